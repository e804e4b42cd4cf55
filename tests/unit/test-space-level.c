/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Thresholds for free space, and what is told when they are crossed. */
#include "tests/unit/common-util.h"

#include <string.h>

#include "common/alloc.h"
#include "daemon/space-watch.h"

#define GIB (INT64_C(1) << 30)

static void test_parse(void **state _unused_)
{
	static const struct {
		const char *text;
		int percent;
		int64_t bytes;
	} good[] = {
		{ "10%", 10, 0 },	 { "50G", 0, 50 * GIB },	  { "10% 50G", 10, 50 * GIB },
		{ " 2T  1% ", 1, 2048 * GIB }, { "0", 0, 0 },		  { "99%", 99, 0 },
		{ "1048576", 0, 1 << 20 },
	};
	static const char *const bad[] = { "", " ", "0%", "100%", "%", "-1%", "10 %", "1.5%", "10% 5%", "1G 2G", "10%50G", "G", "0 0",
					   "-5G", "much", "10% 0" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct space_limit limit = { 7, 7 };

		if (space_limit_parse(good[i].text, &limit) != 0 || limit.percent != good[i].percent ||
		    limit.bytes != good[i].bytes)
			fail_msg("'%s' gave %d%% and %lld", good[i].text, limit.percent, (long long)limit.bytes);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct space_limit limit = { 7, 7 };

		if (space_limit_parse(bad[i], &limit) != -EINVAL || limit.percent != 7 || limit.bytes != 7)
			fail_msg("'%s' was taken", bad[i]);
	}
}

static void test_the_less_of_both(void **state _unused_)
{
	struct space_limit both = { 10, 50 * GIB }, part = { .percent = 10 }, bytes = { .bytes = 50 * GIB }, none = { 0 };

	assert_int_equal(space_limit_bytes(&both, 100 * GIB), 10 * GIB);
	assert_int_equal(space_limit_bytes(&both, 10000 * GIB), 50 * GIB);
	assert_int_equal(space_limit_bytes(&part, 10000 * GIB), 1000 * GIB);
	assert_int_equal(space_limit_bytes(&bytes, 10 * GIB), 50 * GIB);
	assert_int_equal(space_limit_bytes(&none, 10 * GIB), 0);
	assert_int_equal(space_limit_bytes(&part, INT64_MAX), INT64_MAX / 100 * 10 + INT64_MAX % 100 * 10 / 100);
	assert_int_equal(space_limit_bytes(&part, 55), 5);
}

/* Of 1000: warning below 100, critical below 40; better from 112 and 45 on. */
static void test_hysteresis(void **state _unused_)
{
	static const struct {
		int64_t free;
		enum space_level level;
	} steps[] = {
		{ 1000, SPACE_OK },	 { 100, SPACE_OK },	 { 99, SPACE_WARNING },	 { 100, SPACE_WARNING },
		{ 111, SPACE_WARNING },	 { 112, SPACE_OK },	 { 111, SPACE_OK },	 { 39, SPACE_CRITICAL },
		{ 40, SPACE_CRITICAL },	 { 44, SPACE_CRITICAL }, { 45, SPACE_WARNING },	 { 40, SPACE_WARNING },
		{ 39, SPACE_CRITICAL },	 { 105, SPACE_WARNING }, { 0, SPACE_CRITICAL },	 { 500, SPACE_OK },
		{ 41, SPACE_WARNING },
	};
	enum space_level level = SPACE_OK;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		level = space_level(100, 40, steps[i].free, 1000, level);
		if (level != steps[i].level)
			fail_msg("step %zu: %s", i, space_level_word(level));
	}
}

static void test_odd_thresholds(void **state _unused_)
{
	/* none at all */
	assert_int_equal(space_level(0, 0, 0, 1000, SPACE_OK), SPACE_OK);
	assert_int_equal(space_level(0, 0, 0, 1000, SPACE_CRITICAL), SPACE_OK);
	/* the critical one alone, or above the other */
	assert_int_equal(space_level(0, 40, 39, 1000, SPACE_OK), SPACE_CRITICAL);
	assert_int_equal(space_level(0, 40, 45, 1000, SPACE_CRITICAL), SPACE_OK);
	assert_int_equal(space_level(10, 40, 20, 1000, SPACE_OK), SPACE_CRITICAL);
	/* more than there is: it stays, until all of it is free; no overflow */
	assert_int_equal(space_level(950, 0, 999, 1000, SPACE_WARNING), SPACE_WARNING);
	assert_int_equal(space_level(950, 0, 1000, 1000, SPACE_WARNING), SPACE_OK);
	assert_int_equal(space_level(INT64_MAX, INT64_MAX, 10, 1000, SPACE_OK), SPACE_CRITICAL);
}

static void test_near(void **state _unused_)
{
	assert_false(space_is_near(100, 40, 200, SPACE_OK));
	assert_true(space_is_near(100, 40, 199, SPACE_OK));
	assert_true(space_is_near(100, 40, 5000, SPACE_WARNING));
	assert_false(space_is_near(0, 0, 0, SPACE_OK));
}

static const struct space_limit warning = { .bytes = 100 }, critical = { .bytes = 40 };

static void see(struct space_states *s, const struct space_state *seen, size_t n)
{
	space_states_update(s, &warning, &critical, seen, n);
}

static void assert_told(struct space_states *s, const char *path, enum space_level level, int gone)
{
	assert_int_equal(s->n_changed, 1);
	assert_string_equal(s->changed[0].path, path);
	assert_int_equal(s->changed[0].level, level);
	assert_int_equal(s->changed[0].gone, gone);
	space_states_free(s->changed, s->n_changed);
	s->changed = NULL;
	s->n_changed = 0;
}

static void test_told_once(void **state _unused_)
{
	_cleanup_(space_states_done) struct space_states s = { 0 };
	char store[] = "/store";
	struct space_state seen = { .dev = 1, .path = store, .free = 500, .total = 1000 };

	see(&s, &seen, 1);
	assert_told(&s, "/store", SPACE_OK, 0); /* it is new */
	assert_int_equal(s.known[0].warning, 100);
	assert_int_equal(s.known[0].critical, 40);
	see(&s, &seen, 1);
	assert_int_equal(s.n_changed, 0);
	seen.free = 50;
	see(&s, &seen, 1);
	assert_told(&s, "/store", SPACE_WARNING, 0);
	for (seen.free = 45; seen.free < 110; seen.free += 5)
		see(&s, &seen, 1);
	assert_int_equal(s.n_changed, 0);
	assert_int_equal(s.known[0].free, 105); /* the number itself is always the last */
	seen.free = 10;
	see(&s, &seen, 1);
	assert_told(&s, "/store", SPACE_CRITICAL, 0);
	seen.free = 300;
	see(&s, &seen, 1);
	assert_told(&s, "/store", SPACE_OK, 0);
}

static void test_several_come_and_go(void **state _unused_)
{
	_cleanup_(space_states_done) struct space_states s = { 0 };
	char store[] = "/store", other[] = "/other";
	struct space_state seen[] = { { .dev = 1, .path = store, .free = 500, .total = 1000 },
				      { .dev = 2, .path = other, .free = 10, .total = 1000 } };

	see(&s, seen, 1);
	assert_told(&s, "/store", SPACE_OK, 0);
	see(&s, seen, 2);
	assert_told(&s, "/other", SPACE_CRITICAL, 0);
	assert_int_equal(s.n_known, 2);
	see(&s, seen, 1);
	assert_told(&s, "/other", SPACE_CRITICAL, 1);
	assert_int_equal(s.n_known, 1);
	see(&s, seen, 1);
	assert_int_equal(s.n_changed, 0);
	see(&s, NULL, 0);
	assert_told(&s, "/store", SPACE_OK, 1);
	/* nobody took what was told: nothing of it is lost */
	see(&s, seen, 2);
	see(&s, seen, 1);
	assert_int_equal(s.n_changed, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),	       cmocka_unit_test(test_the_less_of_both),
		cmocka_unit_test(test_hysteresis),     cmocka_unit_test(test_odd_thresholds),
		cmocka_unit_test(test_near),	       cmocka_unit_test(test_told_once),
		cmocka_unit_test(test_several_come_and_go),
	};

	return cmocka_run_group_tests_name("test-space-level", tests, NULL, NULL);
}
