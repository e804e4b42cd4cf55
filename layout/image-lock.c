/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a QEMU or one of its tools works on an image. */
#define _GNU_SOURCE /* F_OFD_GETLK */
#include "layout/image.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* The bytes of an image that QEMU locks while it uses a permission: 100 and the permission's bit
 * (block/file-posix.c: RAW_LOCK_PERM_BASE). Of those to write, write unchanged and resize: */
#define LOCK_FIRST 101
#define LOCK_COUNT 3

int disk_fd_is_written(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_FIRST, .l_len = LOCK_COUNT };

	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return -errno;
	return lock.l_type != F_UNLCK;
}

int disk_is_written(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0 && disk_fd_is_written(fd) > 0;
}
