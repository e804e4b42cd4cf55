/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GUIDs. */
#include "tests/unit/common-util.h"

#include "common/guid.h"

#define UPPER "B96B53F3-0C8B-4D30-9F73-BAB99CB1F6F1"
#define LOWER "b96b53f3-0c8b-4d30-9f73-bab99cb1f6f1"

static void new_ones_are_valid_and_differ(void **state _unused_)
{
	struct guid a = guid_new(), b = guid_new();

	assert_int_equal(strlen(a.s), GUID_LEN);
	assert_int_equal(guid_valid(a.s), 1);
	assert_int_equal(guid_eq(&a, &b), 0);
	assert_int_equal(a.s[14], '4'); /* random, not by time and network card */
	for (const char *p = a.s; *p; p++)
		assert_false(*p >= 'a' && *p <= 'f');
}

static void both_cases_are_read(void **state _unused_)
{
	struct guid a, b;
	char lower[GUID_LEN + 1];

	assert_int_equal(guid_parse(UPPER, &a), 0);
	assert_int_equal(guid_parse(LOWER, &b), 0);
	assert_string_equal(b.s, UPPER);
	assert_int_equal(guid_eq(&a, &b), 1);
	assert_string_equal(guid_lower(&a, lower), LOWER);
}

static void all_else_is_refused(void **state _unused_)
{
	static const char *const bad[] = {
		"", "x", "{" UPPER "}", UPPER " ", " " UPPER, UPPER "0", "B96B53F3-0C8B-4D30-9F73-BAB99CB1F6F",
		"B96B53F30C8B4D309F73BAB99CB1F6F1", "B96B53F3-0C8B-4D30-9F73-BAB99CB1F6FG",
		"B96B53F3-0C8B-4D309-F73-BAB99CB1F6F1", "../../../../../../../../../../etc/pass",
	};
	struct guid g = { "untouched" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(guid_valid(bad[i]), 0);
		assert_int_equal(guid_parse(bad[i], &g), -EINVAL);
		assert_string_equal(g.s, "untouched");
	}
	assert_int_equal(guid_valid(NULL), 0);
}

static void none_is_equal_to_none(void **state _unused_)
{
	struct guid none = { "" }, zero = { "" }, some = guid_new();
	char lower[GUID_LEN + 1];

	assert_int_equal(guid_is_none(&none), 1);
	assert_int_equal(guid_is_none(&some), 0);
	assert_int_equal(guid_eq(&none, &zero), 1);
	assert_int_equal(guid_eq(&none, &some), 0);
	assert_string_equal(guid_lower(&none, lower), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_ones_are_valid_and_differ),
		cmocka_unit_test(both_cases_are_read),
		cmocka_unit_test(all_else_is_refused),
		cmocka_unit_test(none_is_equal_to_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
