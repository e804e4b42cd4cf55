/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bounded reader. */
#include "tests/unit/common-util.h"

#include "common/cursor.h"

static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff };

static void big_endian(void **state _unused_)
{
	struct cursor c;

	cursor_init(&c, bytes, sizeof(bytes));
	assert_int_equal(cursor_be16(&c), 0x0102);
	assert_int_equal(cursor_be32(&c), 0x03040506);
	assert_true(cursor_be64(&c) == UINT64_C(0x0708090a0b0c0d0e));
	assert_int_equal(cursor_u8(&c), 0xff);
	assert_int_equal(cursor_left(&c), 0);
	assert_int_equal(cursor_failed(&c), 0);
}

static void little_endian(void **state _unused_)
{
	struct cursor c;

	cursor_init(&c, bytes, sizeof(bytes));
	assert_int_equal(cursor_le16(&c), 0x0201);
	assert_int_equal(cursor_le32(&c), 0x06050403);
	assert_true(cursor_le64(&c) == UINT64_C(0x0e0d0c0b0a090807));
	assert_int_equal(cursor_failed(&c), 0);
}

/* What does not fit is not read in part, and nothing works afterwards. */
static void a_failure_sticks(void **state _unused_)
{
	uint8_t copy[4] = { 9, 9, 9, 9 };
	struct cursor c;

	cursor_init(&c, bytes, 3);
	assert_int_equal(cursor_be32(&c), 0);
	assert_int_equal(cursor_failed(&c), 1);
	assert_int_equal(cursor_u8(&c), 0);
	assert_int_equal(cursor_left(&c), 0);
	assert_null(cursor_bytes(&c, 1));
	cursor_seek(&c, 0);
	assert_int_equal(cursor_failed(&c), 1);
	cursor_copy(&c, copy, sizeof(copy));
	for (size_t i = 0; i < sizeof(copy); i++)
		assert_int_equal(copy[i], 0);
}

static void sizes_cannot_wrap(void **state _unused_)
{
	struct cursor c;

	cursor_init(&c, bytes, sizeof(bytes));
	cursor_seek(&c, 4);
	assert_null(cursor_bytes(&c, SIZE_MAX - 2));
	assert_int_equal(cursor_failed(&c), 1);
	cursor_init(&c, bytes, sizeof(bytes));
	cursor_seek(&c, SIZE_MAX);
	assert_int_equal(cursor_failed(&c), 1);
}

static void seek_may_reach_the_end_only(void **state _unused_)
{
	struct cursor c;

	cursor_init(&c, bytes, sizeof(bytes));
	cursor_seek(&c, sizeof(bytes));
	assert_int_equal(cursor_failed(&c), 0);
	assert_int_equal(cursor_left(&c), 0);
	cursor_seek(&c, sizeof(bytes) + 1);
	assert_int_equal(cursor_failed(&c), 1);
}

static void views_and_copies(void **state _unused_)
{
	struct cursor c;
	uint8_t copy[3];

	cursor_init(&c, bytes, sizeof(bytes));
	assert_ptr_equal(cursor_bytes(&c, 4), bytes);
	cursor_copy(&c, copy, sizeof(copy));
	assert_memory_equal(copy, bytes + 4, sizeof(copy));
	assert_int_equal(cursor_left(&c), sizeof(bytes) - 7);
	cursor_fail(&c);
	assert_int_equal(cursor_failed(&c), 1);
}

static void nothing_to_read(void **state _unused_)
{
	struct cursor c;

	cursor_init(&c, NULL, 0);
	assert_int_equal(cursor_failed(&c), 0);
	cursor_copy(&c, NULL, 0);
	assert_non_null(cursor_bytes(&c, 0));
	assert_int_equal(cursor_failed(&c), 0);
	assert_int_equal(cursor_u8(&c), 0);
	assert_int_equal(cursor_failed(&c), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(big_endian),
		cmocka_unit_test(little_endian),
		cmocka_unit_test(a_failure_sticks),
		cmocka_unit_test(sizes_cannot_wrap),
		cmocka_unit_test(seek_may_reach_the_end_only),
		cmocka_unit_test(views_and_copies),
		cmocka_unit_test(nothing_to_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
