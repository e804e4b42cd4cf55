/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the unit tests of common/ share: cmocka with what it needs, and a
 * private directory per test. Included first. */
#ifndef TESTS_UNIT_COMMON_UTIL_H
#define TESTS_UNIT_COMMON_UTIL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* nftw() */
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/fileio.h"

/* Setup of a test: *state becomes the path of an empty directory. */
static inline _unused_ int dir_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = path_join(tmp ? tmp : "/tmp", "vmsnap-test.XXXXXX");

	*state = dir;
	return mkdtemp(dir) ? 0 : -1;
}

static inline int remove_entry(const char *path, const struct stat *st _unused_, int type _unused_,
			       struct FTW *ftw _unused_)
{
	return remove(path);
}

/* Teardown of a test: removes the directory with all that is in it. */
static inline _unused_ int dir_teardown(void **state)
{
	int r = nftw(*state, remove_entry, 16, FTW_DEPTH | FTW_PHYS);

	free(*state);
	return r;
}

/* Writes text to dir/name (as the test's file) and gives its path, *owned*. */
static inline _unused_ char *put_file(const char *dir, const char *name, const void *data, size_t len)
{
	char *path = path_join(dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, data, len), 0);
	close(fd);
	return path;
}

#endif
