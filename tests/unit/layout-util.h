/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scratch directories and files for the tests of layout and savestate. Included
 * first. */
#ifndef TESTS_UNIT_LAYOUT_UTIL_H
#define TESTS_UNIT_LAYOUT_UTIL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* nftw() */
#endif

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "common/err.h"
#include "common/fileio.h"
#include "common/guid.h"

/* Fails with the error's text if the call did not succeed. */
#define assert_ok(r, err)                                       \
	do {                                                    \
		int r_ = (r);                                   \
		if (r_ < 0)                                     \
			fail_msg("%s (%d)", (err)->message, r_); \
	} while (0)

static inline int scratch_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = xasprintf("%s/vmsnap-test-XXXXXX", tmp ? tmp : "/tmp");

	*state = mkdtemp(dir);
	return *state ? 0 : -1;
}

static inline int scratch_unlink(const char *path, const struct stat *st _unused_, int flag _unused_,
				 struct FTW *ftw _unused_)
{
	return remove(path);
}

static inline int scratch_teardown(void **state)
{
	int r = nftw(*state, scratch_unlink, 16, FTW_DEPTH | FTW_PHYS);

	free(*state);
	return r;
}

/* Writes a file under dir; returns its path, owned. */
static inline char *put_file(const char *dir, const char *name, const void *data, size_t len)
{
	_cleanup_err_ struct err err = ERR_INIT;
	char *path = path_join(dir, name);

	assert_ok(file_replace(path, data, len, 0600, &err), &err);
	return path;
}

static inline struct guid guid_of(const char *text)
{
	struct guid guid;

	assert_int_equal(guid_parse(text, &guid), 0);
	return guid;
}

static inline int exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static inline mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

#endif
