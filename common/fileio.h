/* SPDX-License-Identifier: GPL-2.0-or-later */
/* File i/o with the durability that the store's laws need: whole or absent,
 * and on disk when it returns. Errors name the file. */
#ifndef COMMON_FILEIO_H
#define COMMON_FILEIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "common/err.h"

/* dir/name. Returns it *owned*. */
char *path_join(const char *dir, const char *name);

/* Directory part of path (*borrowed*); "." if it has none. Returns it *owned*. */
char *path_dirname(const char *path);

/* Last component of path, a view into it (*borrowed*). */
const char *path_basename(const char *path);

/* Writes all len bytes to fd. Returns 0 or negative errno. */
_must_check_ int write_all(int fd, const void *data, size_t len);

/* Reads exactly len bytes at offset of fd, or fewer at the end of the file.
 * Returns the count or negative errno. */
_must_check_ ssize_t pread_all(int fd, void *buf, size_t len, off_t offset);

/* Whole content of a regular file of at most max bytes, NUL-terminated (the NUL
 * is not counted). ret_data *owned*, ret_len may be NULL. Returns 0 or negative
 * errno (-EFBIG: larger than max; -ENOENT stays -ENOENT). */
_must_check_ int file_read(const char *path, size_t max, char **ret_data, size_t *ret_len, struct err *reterr);

/* Replaces path by data, whole or not at all: temporary file beside it (mode as
 * given; .NAME.XXXXXX.tmp, which a crash may leave), fsync, rename, fsync of the
 * directory. Returns 0 or negative errno. */
_must_check_ int file_replace(const char *path, const void *data, size_t len, mode_t mode, struct err *reterr);

/* Copies src to dst (created with mode; owner as given where uid/gid are not
 * (uid_t)-1) by way of a temporary file, fsync and rename; sparse stays sparse
 * where the kernel can. Returns 0 or negative errno. */
_must_check_ int file_copy(const char *src, const char *dst, mode_t mode, uid_t uid, gid_t gid, struct err *reterr);

/* fsync of a file or a directory by path. Returns 0 or negative errno. */
_must_check_ int path_fsync(const char *path, struct err *reterr);

/* Removes a file and fsyncs its directory; a missing file is success. Returns 0 or negative errno. */
_must_check_ int file_remove(const char *path, struct err *reterr);

/* Makes one directory with mode (umask does not count) and fsyncs its parent; an
 * existing directory is success. Returns 0 or negative errno. */
_must_check_ int dir_make(const char *path, mode_t mode, struct err *reterr);

/* Removes an empty directory and fsyncs its parent; a missing one is success,
 * -ENOTEMPTY if something is in it. Returns 0 or negative errno. */
_must_check_ int dir_remove(const char *path, struct err *reterr);

/* Takes an exclusive lock on an open file or directory (flock, for the life of the
 * description). A killed holder's child may hold it for a moment longer, until it
 * runs its program: waits up to two seconds. Returns 0, -EBUSY, or negative errno. */
_must_check_ int fd_lock(int fd);

/* 1 if path exists (symbolic links are followed), 0 if not, negative errno if
 * that cannot be told. */
_must_check_ int path_exists(const char *path);

/* Names in a directory without "." and "..", sorted bytewise, as an *owned*
 * list. Returns 0 or negative errno. */
_must_check_ int dir_list(const char *path, char ***ret_names, struct err *reterr);

/* Bytes allocated on disk for path (st_blocks), 0 if it cannot be told. */
int64_t file_allocated(const char *path);

/* Bytes free for us on the file system that holds path. Returns 0 or negative errno. */
_must_check_ int disk_free(const char *path, int64_t *ret_bytes, struct err *reterr);

#endif
