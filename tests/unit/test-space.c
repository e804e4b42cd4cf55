/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The account of what an operation may write at worst. */
#include "tests/unit/layout-util.h"

#include "layout/image.h"
#include "layout/space.h"

#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)

enum { STORE = 1, OTHER = 2 };

static void test_nothing(void **state _unused_)
{
	_cleanup_(space_done) struct space s = { 0 };

	assert_null(space_short(&s));
	space_add(&s, STORE, "/store", 0); /* as full as can be */
	assert_null(space_short(&s));
	space_use(&s, STORE, 0);
	assert_null(space_short(&s));
	space_use(&s, STORE, 1);
	assert_non_null(space_short(&s));
}

/* What comes before something is given back counts, what comes after it does not. */
static void test_order(void **state _unused_)
{
	_cleanup_(space_done) struct space frees = { 0 }, takes = { 0 };

	space_add(&frees, STORE, "/store", 5);
	space_use(&frees, STORE, -10);
	space_use(&frees, STORE, 15);
	assert_null(space_short(&frees));
	assert_int_equal(frees.fs[0].need, 5);

	space_add(&takes, STORE, "/store", 5);
	space_use(&takes, STORE, 15);
	space_use(&takes, STORE, -10);
	assert_int_equal(space_short(&takes)->need, 15);
	assert_int_equal(space_short(&takes)->free, 5);
	assert_int_equal(takes.fs[0].used, 5);
}

/* Each file system has its own account; the one that lacks most is told. */
static void test_several(void **state _unused_)
{
	_cleanup_(space_done) struct space s = { 0 };

	space_add(&s, STORE, "/store", 100);
	space_add(&s, OTHER, "/other", 100);
	space_add(&s, STORE, "/store/again", 7); /* known already */
	assert_int_equal(s.n, 2);
	space_use(&s, STORE, 60);
	space_use(&s, OTHER, 60);
	assert_null(space_short(&s));
	space_use(&s, OTHER, 45);
	assert_string_equal(space_short(&s)->path, "/other");
	space_use(&s, STORE, 100);
	assert_string_equal(space_short(&s)->path, "/store");
	assert_int_equal(space_short(&s)->free, 100);
	space_use(&s, 99, 1000); /* nobody knows it */
	assert_int_equal(s.n, 2);
}

static void test_exactly(void **state _unused_)
{
	_cleanup_(space_done) struct space s = { 0 };

	space_add(&s, STORE, "/store", 100);
	space_use(&s, STORE, 100);
	assert_null(space_short(&s));
	space_use(&s, STORE, 1);
	assert_int_equal(space_short(&s)->need, 101);
}

static void test_no_overflow(void **state _unused_)
{
	_cleanup_(space_done) struct space s = { 0 };

	space_add(&s, STORE, "/store", GIB);
	space_use(&s, STORE, INT64_MAX);
	space_use(&s, STORE, INT64_MAX);
	assert_int_equal(space_short(&s)->need, INT64_MAX);
	assert_true(space_for_memory(INT64_MAX, INT64_MAX) == INT64_MAX);
	assert_true(space_for_overlay(INT64_MAX) > 0);
}

static void test_memory(void **state _unused_)
{
	assert_int_equal(space_for_memory(0, 0), 0);
	assert_int_equal(space_for_memory(-1, 64 * MIB), 0);
	assert_int_equal(space_for_memory(64 * MIB, 0), (64 + 1 + 32) * MIB);
	assert_int_equal(space_for_memory(64 * MIB, 16 * MIB), space_for_memory(64 * MIB, 0)); /* the usual card */
	assert_int_equal(space_for_memory(64 * MIB, 128 * MIB), (64 + 1 + 16 + 128) * MIB);
	for (int64_t ram = MIB; ram < 1024 * GIB; ram *= 3)
		assert_true(space_for_memory(3 * ram, 0) > space_for_memory(ram, 0) && space_for_memory(ram, 0) > ram);
}

/* Never less than an image of that size takes when it is made, and not much more. */
static void test_overlay(void **state)
{
	static const int64_t sizes[] = { 64 << 10, GIB, 40 * GIB, 3072 * GIB, 40960 * GIB };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_free_ char *base = path_join(*state, "base.qcow2"), *over = path_join(*state, "over.avhd");
		_cleanup_err_ struct err err = ERR_INIT;

		ignore_result(file_remove(base, NULL)); /* of the size before */
		assert_ok(disk_make(base, sizes[i], &err), &err);
		assert_ok(disk_make_overlay(over, "base.qcow2", "qcow2", &err), &err);
		assert_true(file_allocated(over) <= space_for_overlay(sizes[i]));
		assert_true(space_for_overlay(sizes[i]) <= 2 * MIB);
	}
	assert_true(space_for_overlay(-1) >= space_for_overlay(40960 * GIB));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),	    cmocka_unit_test(test_order),  cmocka_unit_test(test_several),
		cmocka_unit_test(test_exactly),	    cmocka_unit_test(test_no_overflow),
		cmocka_unit_test(test_memory),	    TEST(test_overlay),
	};

	return cmocka_run_group_tests_name("test-space", tests, NULL, NULL);
}
