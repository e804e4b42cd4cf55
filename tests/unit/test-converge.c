/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is done about a guest that is too busy, pass by pass. */
#include "tests/unit/common-util.h"

#include "daemon/converge.h"

#define SECOND INT64_C(1000000)
#define MB INT64_C(1000000)

/* One look: a pass each second, of 100 MB, which are left as well. */
static enum converge_step pass(struct converge *c, int n)
{
	struct hv_progress progress = { .done = n * 100 * MB, .total = 100 * MB, .left = 100 * MB, .passes = n };

	return converge_look(c, &progress, n * SECOND);
}

static void test_steps(void **state _unused_)
{
	static const struct {
		enum converge_step step;
		int64_t limit;
	} expected[] = { { CONVERGE_WAIT, 300 },   { CONVERGE_WAIT, 300 },	{ CONVERGE_RAISE, 600 },
			 { CONVERGE_RAISE, 1200 }, { CONVERGE_RAISE, 2000 }, { CONVERGE_SUSPEND, 2000 },
			 { CONVERGE_WAIT, 2000 } };
	struct converge c;

	converge_init(&c, 0, 300);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_int_equal(pass(&c, (int)i + 1), expected[i].step);
		assert_int_equal(c.limit, expected[i].limit);
		assert_int_equal(pass(&c, (int)i + 1), CONVERGE_WAIT); /* the same pass, seen again */
	}
	assert_true(c.suspended_at > 0);
	assert_int_equal(converge_look(&c, &(struct hv_progress){ .passes = 8 }, 3600 * SECOND), CONVERGE_WAIT);
	assert_false(c.gave_up);
}

/* A setting that is longer already, or that nobody can tell, is left alone. */
static void test_own_limit(void **state _unused_)
{
	static const int64_t own[] = { 5000, -1 };

	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		struct converge c;

		converge_init(&c, 0, own[i]);
		assert_int_equal(pass(&c, 1), CONVERGE_WAIT);
		assert_int_equal(pass(&c, 2), CONVERGE_WAIT);
		assert_int_equal(pass(&c, 3), CONVERGE_SUSPEND);
		assert_int_equal(c.limit, own[i]);
	}
}

static void test_bound(void **state _unused_)
{
	struct converge c;

	converge_init(&c, 500, 300); /* the rest takes a second */
	assert_int_equal(pass(&c, 2), CONVERGE_WAIT);
	assert_int_equal(pass(&c, 3), CONVERGE_RAISE);
	assert_int_equal(c.limit, 500);
	assert_int_equal(pass(&c, 4), CONVERGE_GIVE_UP);
	assert_int_equal(c.rest, 1000);
	assert_true(c.gave_up && !c.suspended_at);
	assert_int_equal(pass(&c, 5), CONVERGE_WAIT);
}

/* What was foreseen to be short enough is not. */
static void test_bound_is_passed(void **state _unused_)
{
	struct hv_progress progress = { .done = 700 * MB, .total = 100 * MB, .left = 50 * MB, .passes = 6 };
	struct converge c;

	converge_init(&c, 1500, 1500);
	assert_int_equal(pass(&c, 2), CONVERGE_WAIT);
	assert_int_equal(pass(&c, 3), CONVERGE_SUSPEND);
	assert_int_equal(converge_look(&c, &progress, 3 * SECOND + 1500000), CONVERGE_WAIT);
	assert_int_equal(converge_look(&c, &progress, 3 * SECOND + 1500001), CONVERGE_GIVE_UP);
	assert_int_equal(converge_look(&c, &progress, 4 * SECOND + 1500001), CONVERGE_WAIT);
}

/* A hypervisor that does not count the passes. */
static void test_by_bytes(void **state _unused_)
{
	struct hv_progress progress = { .total = 100, .left = -1, .passes = -1 };
	struct converge c;

	converge_init(&c, 0, -1);
	for (progress.done = 0; progress.done < 200; progress.done += 10)
		assert_int_equal(converge_look(&c, &progress, progress.done + 1), CONVERGE_WAIT);
	assert_int_equal(converge_look(&c, &progress, 1000), CONVERGE_SUSPEND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),	      cmocka_unit_test(test_own_limit), cmocka_unit_test(test_bound),
		cmocka_unit_test(test_bound_is_passed), cmocka_unit_test(test_by_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
