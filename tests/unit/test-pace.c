/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of how fast merging is thought to be. */
#include "tests/unit/layout-util.h"

#include "daemon/pace.h"

#define MIB (INT64_C(1) << 20)

static void test_rate(void **state _unused_)
{
	int measured = 1;

	assert_int_equal(pace_rate(&measured), PACE_ASSUMED);
	assert_false(measured);
	pace_add(PACE_WORTH - 1, 1);
	pace_add(1000 * MIB, 0);
	assert_int_equal(pace_rate(NULL), PACE_ASSUMED); /* neither tells anything */
	pace_add(100 * MIB, 1000000);
	pace_add(20 * MIB, 3000000);
	assert_in_range(pace_rate(&measured), 30 * MIB - 1, 30 * MIB + 1);
	assert_true(measured);
	pace_add(INT64_MAX / 2, 1000000); /* the sums begin anew */
	assert_true(pace_rate(NULL) > 1000 * MIB);
}

static void test_seconds(void **state _unused_)
{
	assert_int_equal(pace_seconds(0, 100), 0);
	assert_int_equal(pace_seconds(1, 100), 1);
	assert_int_equal(pace_seconds(200, 100), 2);
	assert_int_equal(pace_seconds(INT64_MAX, 1), INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
