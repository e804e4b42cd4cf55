/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files and directories, durable when a call returns. */
#define _GNU_SOURCE
#include "common/fileio.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "common/alloc.h"

#define BUFFER_SIZE (1024 * 1024)
#define COPY_STEP (64 * 1024 * 1024)

char *path_join(const char *dir, const char *name)
{
	size_t len = strlen(dir);

	return xasprintf("%s%s%s", dir, len == 0 || dir[len - 1] == '/' ? "" : "/", name);
}

char *path_dirname(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return xstrdup(".");
	return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

const char *path_basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

ssize_t pread_all(int fd, void *buf, size_t len, off_t offset)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* Opens a regular file for reading; O_NONBLOCK so that a FIFO in its place is
 * an error and not a hang. */
static int open_regular(const char *path, struct err *reterr)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return err_file(reterr, errno, path, "cannot open %s", path);
	if (fstat(fd, &st) < 0)
		return err_file(reterr, errno, path, "cannot examine %s", path);
	if (!S_ISREG(st.st_mode)) {
		int code = err_set(reterr, ERR_BAD_DATA, -EINVAL, "%s is not a regular file", path);

		err_set_file(reterr, path);
		return code;
	}
	return TAKE_FD(fd);
}

int file_read(const char *path, size_t max, char **ret_data, size_t *ret_len, struct err *reterr)
{
	_cleanup_free_ char *data = NULL;
	_cleanup_close_ int fd = -1;
	size_t len = 0, room = 0;
	ssize_t n;
	int r;

	fd = open_regular(path, reterr);
	if (fd < 0)
		return fd;
	do {
		room = room ? 2 * room : 4096;
		room = room > max ? max + 1 : room; /* one more byte tells "larger" from "full" */
		data = xreallocarray(data, room + 1, 1);
		n = pread_all(fd, data + len, room - len, (off_t)len);
		if (n < 0)
			return err_file(reterr, (int)n, path, "cannot read %s", path);
		len += (size_t)n;
	} while (len == room && len <= max);
	if (len > max) {
		r = err_set(reterr, ERR_BAD_DATA, -EFBIG, "%s is larger than %zu bytes", path, max);
		err_set_file(reterr, path);
		return r;
	}
	data[len] = '\0';
	*ret_data = TAKE_PTR(data);
	if (ret_len)
		*ret_len = len;
	return 0;
}

/* A file under a temporary name that removes itself unless it was put in place. */
struct temp_file {
	char *path;
	int fd;
};

#define TEMP_INIT \
	{         \
		.fd = -1 \
	}

static void temp_done(struct temp_file *t)
{
	if (t->fd >= 0)
		close(t->fd);
	if (t->path)
		unlink(t->path);
	free(t->path);
}

/* Hidden and ".tmp", so that nobody who looks for documents takes it for one. */
static int temp_open(struct temp_file *t, const char *path, mode_t mode, struct err *reterr)
{
	_cleanup_free_ char *dir = path_dirname(path), *name = NULL;

	name = xasprintf("%s/.%.200s.XXXXXX.tmp", dir, path_basename(path));
	t->fd = mkostemps(name, (int)strlen(".tmp"), O_CLOEXEC);
	if (t->fd < 0)
		return err_file(reterr, errno, path, "cannot create a temporary file beside %s", path);
	t->path = TAKE_PTR(name);
	if (fchmod(t->fd, mode) < 0)
		return err_file(reterr, errno, path, "cannot set the mode of %s", path);
	return 0;
}

/* Makes the temporary file path: durable data first, then the name, then the directory. */
static int temp_place(struct temp_file *t, const char *path, struct err *reterr)
{
	_cleanup_free_ char *dir = path_dirname(path);

	if (fsync(t->fd) < 0)
		return err_file(reterr, errno, path, "cannot bring %s to the disk", path);
	if (rename(t->path, path) < 0)
		return err_file(reterr, errno, path, "cannot put %s in place", path);
	xstrset(&t->path, NULL);
	return path_fsync(dir, reterr);
}

int file_replace(const char *path, const void *data, size_t len, mode_t mode, struct err *reterr)
{
	_cleanup_(temp_done) struct temp_file t = TEMP_INIT;
	int r;

	r = temp_open(&t, path, mode, reterr);
	if (r < 0)
		return r;
	r = write_all(t.fd, data, len);
	if (r < 0)
		return err_file(reterr, r, path, "cannot write %s", path);
	return temp_place(&t, path, reterr);
}

/* Copies through a buffer, for file systems between which the kernel does not. */
static int copy_buffered(int in, int out, off_t start, off_t end)
{
	_cleanup_free_ char *buf = xcalloc(1, BUFFER_SIZE);

	while (start < end) {
		size_t want = end - start < BUFFER_SIZE ? (size_t)(end - start) : BUFFER_SIZE;
		ssize_t n = pread_all(in, buf, want, start);
		int r;

		if (n < 0)
			return (int)n;
		if (n == 0)
			return -ENODATA; /* it became shorter under our hands */
		if (lseek(out, start, SEEK_SET) < 0)
			return -errno;
		r = write_all(out, buf, (size_t)n);
		if (r < 0)
			return r;
		start += n;
	}
	return 0;
}

/* Copies one range of data, shared instead of copied where the file system can. */
static int copy_range(int in, int out, off_t start, off_t end)
{
	off_t from = start, to = start;

	while (from < end) {
		size_t want = end - from < COPY_STEP ? (size_t)(end - from) : COPY_STEP;
		ssize_t n = copy_file_range(in, &from, out, &to, want, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
			return -errno;
		if (n <= 0)
			return copy_buffered(in, out, from, end);
	}
	return 0;
}

/* Copies size bytes, data only: holes stay holes. */
static int copy_data(int in, int out, off_t size)
{
	off_t start, end = 0;
	int r;

	if (ftruncate(out, size) < 0)
		return -errno;
	while (end < size) {
		start = lseek(in, end, SEEK_DATA);
		if (start < 0 && errno == ENXIO) /* only a hole is left */
			return 0;
		if (start < 0 && errno != EINVAL)
			return -errno;
		if (start < 0) { /* a file system that knows no holes */
			start = end;
			end = size;
		} else {
			end = lseek(in, start, SEEK_HOLE);
			if (end < 0)
				return -errno;
		}
		r = copy_range(in, out, start, end < size ? end : size);
		if (r < 0)
			return r;
	}
	return 0;
}

int file_copy(const char *src, const char *dst, mode_t mode, uid_t uid, gid_t gid, struct err *reterr)
{
	_cleanup_(temp_done) struct temp_file t = TEMP_INIT;
	_cleanup_close_ int in = -1;
	struct stat st;
	int r;

	in = open_regular(src, reterr);
	if (in < 0)
		return in;
	if (fstat(in, &st) < 0)
		return err_file(reterr, errno, src, "cannot examine %s", src);
	r = temp_open(&t, dst, S_IRUSR | S_IWUSR, reterr);
	if (r < 0)
		return r;
	r = copy_data(in, t.fd, st.st_size);
	if (r < 0)
		return err_file(reterr, r, dst, "cannot copy %s to %s", src, dst);
	if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchown(t.fd, uid, gid) < 0)
		return err_file(reterr, errno, dst, "cannot set the owner of %s", dst);
	if (fchmod(t.fd, mode) < 0) /* after the owner: a change of owner clears bits */
		return err_file(reterr, errno, dst, "cannot set the mode of %s", dst);
	return temp_place(&t, dst, reterr);
}

int path_fsync(const char *path, struct err *reterr)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_file(reterr, errno, path, "cannot open %s", path);
	if (fsync(fd) < 0)
		return err_file(reterr, errno, path, "cannot bring %s to the disk", path);
	return 0;
}

/* After a removal. Also when there was nothing to remove: the removal may have
 * been done by somebody who died before this line. */
static int fsync_parent(const char *path, struct err *reterr)
{
	_cleanup_free_ char *clean = xstrdup(path), *dir = NULL;

	for (size_t len = strlen(clean); len > 1 && clean[len - 1] == '/'; len--)
		clean[len - 1] = '\0';
	dir = path_dirname(clean);
	if (path_exists(dir) == 0)
		return 0;
	return path_fsync(dir, reterr);
}

/* Removing what is not there is success also where nothing may be removed (a file
 * system that is read-only says so before it looks). */
static int is_absent(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 && errno == ENOENT;
}

int file_remove(const char *path, struct err *reterr)
{
	if (unlink(path) < 0 && errno != ENOENT) {
		int code = errno;

		if (code == EROFS && is_absent(path))
			return 0;
		return err_file(reterr, code, path, "cannot remove %s", path);
	}
	return fsync_parent(path, reterr);
}

int dir_make(const char *path, mode_t mode, struct err *reterr)
{
	struct stat st;

	if (mkdir(path, S_IRWXU) == 0) {
		if (chmod(path, mode) < 0)
			return err_file(reterr, errno, path, "cannot set the mode of %s", path);
	} else if (errno != EEXIST) {
		return err_file(reterr, errno, path, "cannot make directory %s", path);
	} else if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		return err_file(reterr, ENOTDIR, path, "cannot make directory %s", path);
	}
	return fsync_parent(path, reterr);
}

int dir_remove(const char *path, struct err *reterr)
{
	if (rmdir(path) < 0 && errno != ENOENT) {
		int code = errno == EEXIST ? ENOTEMPTY : errno; /* POSIX allows either */

		if (code == EROFS && is_absent(path))
			return 0;
		return err_file(reterr, code, path, "cannot remove directory %s", path);
	}
	return fsync_parent(path, reterr);
}

int path_exists(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0)
		return 1;
	return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

int dir_list(const char *path, char ***ret_names, struct err *reterr)
{
	_cleanup_(closedirp) DIR *dir = opendir(path);
	_cleanup_strv_ char **names = xcalloc(1, sizeof(*names));
	const struct dirent *entry;

	if (!dir)
		return err_file(reterr, errno, path, "cannot open directory %s", path);
	while ((errno = 0, entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			strv_push(&names, xstrdup(entry->d_name));
	if (errno != 0)
		return err_file(reterr, errno, path, "cannot read directory %s", path);
	qsort(names, strv_count(names), sizeof(*names), compare_names);
	*ret_names = TAKE_PTR(names);
	return 0;
}

int64_t file_allocated(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (int64_t)st.st_blocks * 512 : 0;
}

int disk_free(const char *path, int64_t *ret_bytes, struct err *reterr)
{
	struct statvfs vfs;

	if (statvfs(path, &vfs) < 0)
		return err_file(reterr, errno, path, "cannot get the free space of the file system of %s", path);
	*ret_bytes = (int64_t)vfs.f_bavail * (int64_t)vfs.f_frsize;
	return 0;
}

int fd_lock(int fd)
{
	struct timespec tick = { .tv_nsec = 20000000 };

	for (int i = 0; i < 100; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		nanosleep(&tick, NULL);
	}
	return -EBUSY;
}
