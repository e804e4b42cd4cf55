/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Room promised to operations, with what they have written looked at on the disk. */
#include "tests/unit/layout-util.h"

#include "daemon/promise.h"
#include "daemon/space.h"

#define MIB (INT64_C(1) << 20)

/* Stand-ins for jobs: their addresses tell them apart. */
static char first, second;
#define FIRST ((const struct job *)&first)
#define SECOND ((const struct job *)&second)

/* An account of so many bytes in dir. */
static struct space account(const char *dir, int64_t bytes)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct space space = { 0 };

	assert_ok(space_at(&space, dir, bytes, &err), &err);
	return space;
}

/* What others than job were promised where dir lies. */
static int64_t promised(const char *dir, const struct job *job)
{
	_cleanup_(space_done) struct space space = account(dir, 1);

	assert_null(promise_lack(&space, job));
	return space.fs[0].promised;
}

static void write_file(const char *path, int64_t bytes)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(posix_fallocate(fd, 0, (off_t)bytes), 0);
}

static struct promise *promise(const char *dir, int64_t bytes, const struct job *job)
{
	_cleanup_(space_done) struct space space = account(dir, bytes);
	struct promise *p = NULL;

	assert_int_equal(promise_try(&space, job, &p), 0);
	return p;
}

static void test_counts_until_it_ends(void **state)
{
	struct promise *p = promise(*state, 8 * MIB, FIRST), *q = promise(*state, 2 * MIB, SECOND);

	assert_int_equal(promised(*state, FIRST), 2 * MIB);
	assert_int_equal(promised(*state, SECOND), 8 * MIB);
	assert_int_equal(promised(*state, NULL), 10 * MIB);
	promise_end(p);
	assert_int_equal(promised(*state, NULL), 2 * MIB);
	promise_end(q);
	promise_end(NULL);
	assert_int_equal(promised(*state, NULL), 0);
}

/* Three quarters of what is free, and half of it. */
static void test_does_not_fit(void **state)
{
	_cleanup_(space_done) struct space more = account(*state, 0);
	_cleanup_promise_ struct promise *p = NULL;
	struct promise *none = NULL;

	space_use(&more, more.fs[0].dev, more.fs[0].free / 2);
	p = promise(*state, more.fs[0].free / 4 * 3, FIRST);
	promise_watch(p, *state);
	assert_int_equal(promise_try(&more, SECOND, &none), -ENOSPC);
	assert_null(none);
	assert_ptr_equal(promise_lack(&more, SECOND), &more.fs[0]);
	assert_int_equal(promised(*state, FIRST), 0); /* the one that was refused is promised nothing */
}

static void test_file(void **state)
{
	_cleanup_free_ char *file = path_join(*state, "file");
	_cleanup_promise_ struct promise *p = NULL;

	write_file(file, MIB);
	p = promise(*state, 8 * MIB, FIRST);
	promise_watch(p, file);
	assert_int_equal(promised(*state, SECOND), 8 * MIB); /* what was there before is not of this */
	write_file(file, 4 * MIB);
	assert_in_range(promised(*state, SECOND), 5 * MIB - 64 * 1024, 5 * MIB);
	assert_int_equal(unlink(file), 0);
	assert_in_range(promised(*state, SECOND), 5 * MIB - 64 * 1024, 5 * MIB);
	write_file(file, 16 * MIB);
	assert_int_equal(promised(*state, SECOND), 0);
}

/* One that is not there yet. */
static void test_directory(void **state)
{
	_cleanup_free_ char *dir = path_join(*state, "dir"), *a = path_join(dir, "a"), *b = path_join(dir, "b");
	_cleanup_promise_ struct promise *p = promise(*state, 8 * MIB, FIRST);

	promise_watch(p, dir);
	assert_int_equal(promised(*state, SECOND), 8 * MIB);
	assert_int_equal(mkdir(dir, 0700), 0);
	write_file(a, MIB);
	write_file(b, 2 * MIB);
	assert_in_range(promised(*state, SECOND), 5 * MIB - 64 * 1024, 5 * MIB);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_counts_until_it_ends), TEST(test_does_not_fit), TEST(test_file), TEST(test_directory),
	};

	return cmocka_run_group_tests_name("test-promise", tests, NULL, NULL);
}
