/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A little room that is kept for the moment when there is none: deleting frees space, but
 * has to write a record and documents before it does. */
#include <fcntl.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "layout/store.h"

int store_reserve_make(const char *store, struct err *reterr)
{
	_cleanup_free_ char *path = path_join(store, STORE_RESERVE_NAME);
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	if (stat(path, &st) == 0 && st.st_size == STORE_RESERVE)
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_file(reterr, -errno, path, "cannot make '%s'", path);
	r = posix_fallocate(fd, 0, STORE_RESERVE);
	if (r == 0)
		return 0;
	ignore_result(file_remove(path, NULL)); /* a part of it would be no use */
	return err_file(reterr, -r, path, "cannot reserve room in '%s'", path);
}

int store_reserve_drop(const char *store, struct err *reterr)
{
	_cleanup_free_ char *path = path_join(store, STORE_RESERVE_NAME);

	return file_remove(path, reterr);
}
