/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The splitter: messages come out whole and in order however they come in. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "varlink/frame.h"

static void expect_message(struct frame *f, const char *text)
{
	const char *msg;
	size_t len;

	assert_int_equal(frame_next(f, &msg, &len), 1);
	assert_int_equal(len, strlen(text));
	assert_string_equal(msg, text);
}

static void expect_none(struct frame *f)
{
	const char *msg;
	size_t len;

	assert_int_equal(frame_next(f, &msg, &len), 0);
}

static void test_split_at_every_byte(void **state _unused_)
{
	static const char bytes[] = "{\"a\":1}\0{}\0{\"bcd\":\"efg\"}"; /* with its own NUL at the end */

	for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
		_cleanup_(frame_freep) struct frame *f = frame_new(100);

		assert_int_equal(frame_feed(f, bytes, cut), 0);
		assert_int_equal(frame_feed(f, bytes + cut, sizeof(bytes) - cut), 0);
		expect_message(f, "{\"a\":1}");
		expect_message(f, "{}");
		expect_message(f, "{\"bcd\":\"efg\"}");
		expect_none(f);
		assert_int_equal(frame_pending(f), 0);
	}
}

static void test_one_byte_at_a_time(void **state _unused_)
{
	static const char bytes[] = "one\0two";
	_cleanup_(frame_freep) struct frame *f = frame_new(3);

	for (size_t i = 0; i < sizeof(bytes); i++) {
		if (i == 3 || i == 7)
			expect_none(f);
		assert_int_equal(frame_feed(f, bytes + i, 1), 0);
		if (i == 3)
			expect_message(f, "one");
	}
	expect_message(f, "two");
	expect_none(f);
}

static void test_two_in_one_read_and_a_part(void **state _unused_)
{
	_cleanup_(frame_freep) struct frame *f = frame_new(10);

	assert_int_equal(frame_feed(f, "a\0bb\0cc", 7), 0);
	assert_int_equal(frame_pending(f), 2);
	expect_message(f, "a");
	assert_int_equal(frame_feed(f, "c\0", 2), 0);
	assert_int_equal(frame_pending(f), 0);
	expect_message(f, "bb");
	expect_message(f, "ccc");
	expect_none(f);
}

static void test_empty_message(void **state _unused_)
{
	_cleanup_(frame_freep) struct frame *f = frame_new(10);

	assert_int_equal(frame_feed(f, "\0\0", 2), 0);
	expect_message(f, "");
	expect_message(f, "");
	expect_none(f);
}

static void test_limit(void **state _unused_)
{
	enum { MAX = 1 << 20 };
	_cleanup_free_ char *big = xcalloc(MAX + 2, 1);
	const char *msg;
	size_t len;

	memset(big, 'x', MAX + 1);
	for (int over = -1; over <= 1; over++) {
		_cleanup_(frame_freep) struct frame *f = frame_new(MAX);
		size_t n = (size_t)(MAX + over);

		assert_int_equal(frame_feed(f, big, n), over > 0 ? -EMSGSIZE : 0);
		if (over > 0) {
			assert_int_equal(frame_feed(f, "", 1), -EMSGSIZE);
			assert_int_equal(frame_next(f, &msg, &len), -EMSGSIZE);
			continue;
		}
		expect_none(f);
		assert_int_equal(frame_pending(f), n);
		assert_int_equal(frame_feed(f, "", 1), 0);
		assert_int_equal(frame_next(f, &msg, &len), 1);
		assert_int_equal(len, n);
	}
}

/* Too large but whole in one piece: what is before it still comes out. */
static void test_whole_message_over_limit(void **state _unused_)
{
	_cleanup_(frame_freep) struct frame *f = frame_new(3);
	const char *msg;
	size_t len;

	assert_int_equal(frame_feed(f, "abc\0abcd\0abc", 13), 0);
	expect_message(f, "abc");
	assert_int_equal(frame_next(f, &msg, &len), -EMSGSIZE);
	assert_int_equal(frame_next(f, &msg, &len), -EMSGSIZE);
}

/* Many messages after a large one: the buffer is used again from its start. */
static void test_reuse(void **state _unused_)
{
	_cleanup_(frame_freep) struct frame *f = frame_new(1 << 20);
	_cleanup_free_ char *big = xcalloc(500001, 1);

	memset(big, 'y', 500000);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(frame_feed(f, big, 500001), 0);
		assert_int_equal(frame_feed(f, "tail", 5), 0);
		expect_message(f, big);
		expect_message(f, "tail");
		expect_none(f);
	}
	assert_int_equal(frame_feed(f, NULL, 0), 0);
	expect_none(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_at_every_byte),
		cmocka_unit_test(test_one_byte_at_a_time),
		cmocka_unit_test(test_two_in_one_read_and_a_part),
		cmocka_unit_test(test_empty_message),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_whole_message_over_limit),
		cmocka_unit_test(test_reuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
