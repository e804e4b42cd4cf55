/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instants and sizes as text. */
#include "tests/unit/common-util.h"

#include <time.h>

#include "common/timefmt.h"

/* 2026-11-21 08:12:33.5 UTC */
#define INSTANT INT64_C(1795248753500000)

static void zone(const char *name)
{
	setenv("TZ", name, 1);
	tzset();
}

static void check_text(char *text, const char *want)
{
	_cleanup_free_ char *owned = text;

	assert_string_equal(owned, want);
}

static void local_time_with_its_offset(void **state _unused_)
{
	zone("CET-1CEST,M3.5.0,M10.5.0/3");
	check_text(time_short(INSTANT), "2026-11-21 09:12");
	check_text(time_iso(INSTANT), "2026-11-21T09:12:33+01:00");
	zone("UTC0");
	check_text(time_iso(INSTANT), "2026-11-21T08:12:33+00:00");
	zone("NST3:30");
	check_text(time_iso(INSTANT), "2026-11-21T04:42:33-03:30");
}

static void before_1970_is_rounded_down(void **state _unused_)
{
	zone("UTC0");
	check_text(time_iso(0), "1970-01-01T00:00:00+00:00");
	check_text(time_iso(-1), "1969-12-31T23:59:59+00:00");
}

static void clocks_go_forward(void **state _unused_)
{
	int64_t mono = time_mono_usec();

	assert_true(time_now_usec() > INT64_C(1600000000000000));
	assert_true(time_mono_usec() >= mono);
}

static void sizes_have_three_digits(void **state _unused_)
{
	static const struct {
		int64_t bytes;
		const char *text;
	} rows[] = {
		{ 0, "0 B" }, { 1, "1 B" }, { 999, "999 B" }, { 1000, "1.0 KiB" }, { 1024, "1.0 KiB" },
		{ 1536, "1.5 KiB" }, { 10138, "9.9 KiB" }, { 10239, "10 KiB" }, { INT64_C(412) << 20, "412 MiB" },
		{ 1288490189, "1.2 GiB" }, { (INT64_C(999) << 30) + (INT64_C(600) << 20), "1.0 TiB" },
		{ INT64_MAX, "8.0 EiB" }, { -2048, "-2.0 KiB" }, { INT64_MIN, "-8.0 EiB" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_text(bytes_human(rows[i].bytes), rows[i].text);
}

static void sizes_are_read(void **state _unused_)
{
	static const struct {
		const char *text;
		int64_t bytes;
	} rows[] = {
		{ "0", 0 }, { "4096", 4096 }, { "4096B", 4096 }, { "512M", INT64_C(512) << 20 },
		{ "512m", INT64_C(512) << 20 }, { "2G", INT64_C(2) << 30 }, { "2GiB", INT64_C(2) << 30 },
		{ "2GB", INT64_C(2) << 30 }, { "1.5T", INT64_C(3) << 39 }, { "0.5K", 512 }, { "7E", INT64_C(7) << 60 },
		{ "9223372036854775807", INT64_MAX },
	};
	int64_t bytes;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(bytes_parse(rows[i].text, &bytes), 0);
		assert_true(bytes == rows[i].bytes);
	}
}

static void nonsense_is_refused(void **state _unused_)
{
	static const char *const invalid[] = { "", "G", "-1", "+1", " 1", "1 ", "1 G", "1X", "1Gi", "1GiBs", "1.5",
					       "1.", "1.G", ".5G", "1e3", "0x10", "1.0000000001G", "1BB", "1,5G" };
	static const char *const large[] = { "8E", "9223372036854775808", "99999999999999999999", "16777216T" };
	int64_t bytes = 42;

	for (size_t i = 0; i < ARRAY_SIZE(invalid); i++)
		assert_int_equal(bytes_parse(invalid[i], &bytes), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(large); i++)
		assert_int_equal(bytes_parse(large[i], &bytes), -ERANGE);
	assert_true(bytes == 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(local_time_with_its_offset),
		cmocka_unit_test(before_1970_is_rounded_down),
		cmocka_unit_test(clocks_go_forward),
		cmocka_unit_test(sizes_have_three_digits),
		cmocka_unit_test(sizes_are_read),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
