/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Seals of sealed disks: size, mtime and a hash of the header. */
#define XXH_STATIC_LINKING_ONLY /* the state struct as a local: nothing to free */
#include "common/stamp.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "common/alloc.h"
#include "common/fileio.h"

#define HEADER_SIZE 4096

/* Opens a regular file or block device; O_NONBLOCK so that a FIFO in its place
 * is an error and not a hang. */
static int open_image(const char *path, struct stat *ret_st, struct err *reterr)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_file(reterr, errno, path, "cannot open %s", path);
	if (fstat(fd, ret_st) < 0)
		return err_file(reterr, errno, path, "cannot examine %s", path);
	if (!S_ISREG(ret_st->st_mode) && !S_ISBLK(ret_st->st_mode)) {
		int code = err_set(reterr, ERR_BAD_DATA, -EINVAL, "%s is neither a file nor a block device", path);

		err_set_file(reterr, path);
		return code;
	}
	return TAKE_FD(fd);
}

static int take(int fd, const char *path, const struct stat *st, struct stamp *ret_stamp, struct err *reterr)
{
	uint8_t header[HEADER_SIZE];
	struct stamp stamp = { 0 };
	uint64_t device_size;
	ssize_t n;

	if (S_ISBLK(st->st_mode)) {
		if (ioctl(fd, BLKGETSIZE64, &device_size) < 0)
			return err_file(reterr, errno, path, "cannot get the size of %s", path);
		stamp.size = (int64_t)device_size;
	} else {
		stamp.size = st->st_size;
		stamp.mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
	}
	n = pread_all(fd, header, sizeof(header), 0);
	if (n < 0)
		return err_file(reterr, (int)n, path, "cannot read the header of %s", path);
	stamp.header = XXH3_64bits(header, (size_t)n);
	*ret_stamp = stamp;
	return 0;
}

int stamp_take(const char *path, struct stamp *ret_stamp, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	fd = open_image(path, &st, reterr);
	if (fd < 0)
		return fd;
	return take(fd, path, &st, ret_stamp, reterr);
}

/* What differs, as an *owned* text, or NULL. */
static char *difference(const struct stamp *was, const struct stamp *is)
{
	if (was->size != is->size)
		return xasprintf("its size is %" PRId64 " bytes and was %" PRId64, is->size, was->size);
	if (was->header != is->header)
		return xstrdup("its first 4 KiB are not what they were");
	if (was->mtime_ns != is->mtime_ns)
		return xasprintf("it was written %" PRId64 " ms %s than it was sealed",
				 (is->mtime_ns > was->mtime_ns ? is->mtime_ns - was->mtime_ns :
								 was->mtime_ns - is->mtime_ns) / 1000000,
				 is->mtime_ns > was->mtime_ns ? "later" : "earlier");
	return NULL;
}

int stamp_check(const char *path, const struct stamp *stamp, struct err *reterr)
{
	_cleanup_free_ char *what = NULL;
	struct stamp now;
	int r;

	r = stamp_take(path, &now, reterr);
	if (r < 0)
		return r;
	what = difference(stamp, &now);
	if (!what)
		return 0;
	r = err_set(reterr, ERR_DRIFT, -ESTALE, "sealed disk %s has changed since it was sealed: %s", path, what);
	err_set_file(reterr, path);
	err_hint(reterr, "Nothing may write a sealed disk: restore %s from a backup, with its time stamp", path);
	return r;
}

int file_checksum(const char *path, uint64_t *ret_sum, int (*poll)(void *arg), void *arg, struct err *reterr)
{
	_cleanup_free_ void *chunk = xcalloc(1, CHECKSUM_CHUNK);
	_cleanup_close_ int fd = -1;
	XXH3_state_t state;
	struct stat st;
	off_t offset = 0;
	ssize_t n;

	fd = open_image(path, &st, reterr);
	if (fd < 0)
		return fd;
	ignore_result(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL)); /* advice only */
	XXH3_64bits_reset(&state);
	do {
		if (poll && poll(arg) != 0) {
			int code = err_set(reterr, ERR_CANCELLED, -ECANCELED, "reading %s was cancelled", path);

			err_set_file(reterr, path);
			return code;
		}
		n = pread_all(fd, chunk, CHECKSUM_CHUNK, offset);
		if (n < 0)
			return err_file(reterr, (int)n, path, "cannot read %s", path);
		XXH3_64bits_update(&state, chunk, (size_t)n);
		offset += n;
	} while (n == CHECKSUM_CHUNK);
	*ret_sum = XXH3_64bits_digest(&state);
	return 0;
}
