/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file that is being made. */
#define _GNU_SOURCE /* sync_file_range() */
#include "savestate/out-file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "common/alloc.h"
#include "common/fileio.h"

static int out_failed(const struct out_file *out, int code, struct err *reterr)
{
	return err_file(reterr, code, out->path, "cannot write '%s'", out->path);
}

static int make(struct out_file *out, struct err *reterr)
{
	if (unlink(out->tmp) < 0 && errno != ENOENT)
		return out_failed(out, -errno, reterr);
	out->fd = open(out->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return out->fd < 0 ? out_failed(out, -errno, reterr) : 0;
}

int out_file_open(struct out_file *out, const char *path, struct err *reterr)
{
	out->path = xstrdup(path);
	out->tmp = xasprintf("%s.tmp", path);
	return make(out, reterr);
}

int out_file_open_hidden(struct out_file *out, const char *path, struct err *reterr)
{
	_cleanup_free_ char *dir = path_dirname(path);

	out->path = xstrdup(path);
	out->tmp = xasprintf("%s/.%s.tmp", dir, path_basename(path));
	return make(out, reterr);
}

int out_file_write(const struct out_file *out, const void *data, size_t len, uint64_t offset, struct err *reterr)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = pwrite(out->fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return out_failed(out, -errno, reterr);
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int out_file_clone(const struct out_file *out, int fd)
{
	return ioctl(out->fd, FICLONE, fd) == 0;
}

void out_file_hurry(const struct out_file *out)
{
	ignore_result(sync_file_range(out->fd, 0, 0, SYNC_FILE_RANGE_WRITE));
}

int out_file_sync(const struct out_file *out, struct err *reterr)
{
	return fdatasync(out->fd) < 0 ? out_failed(out, -errno, reterr) : 0;
}

int out_file_publish(struct out_file *out, struct err *reterr)
{
	if (rename(out->tmp, out->path) < 0)
		return out_failed(out, -errno, reterr);
	free(TAKE_PTR(out->tmp));
	return 0;
}

void out_file_done(struct out_file *out)
{
	if (out->fd >= 0 && out->tmp)
		unlink(out->tmp);
	cleanup_close(&out->fd);
	cleanup_free(&out->tmp);
	cleanup_free(&out->path);
}
