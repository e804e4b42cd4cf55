/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text widths, tables, progress lines, exit codes and the words of operations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/exitcode.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/show.h"
#include "common/alloc.h"
#include "varlink/manager.h"

static void widths(void **state _unused_)
{
	setenv("LC_ALL", "C.UTF-8", 1);
	assert_int_equal(text_width(""), 0);
	assert_int_equal(text_width("abc"), 3);
	assert_int_equal(text_width("zwölf"), 5);
	assert_int_equal(text_width("e\xcc\x81"), 1);  /* e and a combining accent */
	assert_int_equal(text_width("日本"), 4);
	assert_int_equal(text_width("\xff\xfe"), 2); /* no UTF-8: one column each */
	assert_true(locale_is_utf8());
}

static void controls_are_taken_out(void **state _unused_)
{
	static const struct {
		const char *dirty, *clean;
	} rows[] = {
		{ "plain", "plain" },
		{ "a\033[2Jb\n", "a [2Jb " },
		{ "\xc2\x9b""31m", " 31m" },          /* CSI of 8 bits */
		{ "x\xe2\x80\xaey", "x y" },          /* right-to-left override */
		{ "\xc0\xaf", "??" },                 /* overlong "/" */
		{ "\xed\xa0\x80", "???" },            /* surrogate */
		{ "\xe6\x97", "??" },                 /* cut short */
		{ "zwölf 日本", "zwölf 日本" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *clean = text_clean(rows[i].dirty);

		assert_string_equal(clean, rows[i].clean);
	}
}

static void tables(void **state _unused_)
{
	static const char *const heads[] = { "NAME", "STATE", "NOW" };
	_cleanup_(table_freep) struct table *t = table_new(heads, 3);
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *out;

	table_add(t, "zwölf");
	table_take(t, xstrdup("running"));
	table_add(t, NULL);
	table_add(t, "a");
	table_add(t, "");
	table_add(t, "base install");
	out = open_memstream(&text, &size);
	table_print(t, out);
	fclose(out);
	assert_string_equal(text, "NAME   STATE    NOW\n"
				  "zwölf  running  -\n"
				  "a      -        base install\n");
}

static void progress_lines(void **state _unused_)
{
	struct progress_state s = { .phase = "memory", .done = 512 << 20, .total = 1024 << 20,
				    .elapsed_usec = 4 * 1000 * 1000, .moved = 512 << 20 };
	_cleanup_free_ char *whole = progress_line(&s, 120), *cut = progress_line(&s, 20), *none = NULL, *open = NULL;
	_cleanup_free_ char *waiting = NULL, *over = NULL;

	assert_string_equal(whole, "memory [############............]  50% 512 MiB of 1.0 GiB, 128 MiB/s, 0:04 left");
	assert_int_equal(strlen(cut), 19);
	s.elapsed_usec = 0;
	none = progress_line(&s, 120);
	assert_null(strstr(none, "/s"));
	s.total = 0;
	open = progress_line(&s, 120);
	assert_string_equal(open, "memory: 512 MiB");
	s = (struct progress_state){ 0 };
	waiting = progress_line(&s, 120);
	assert_string_equal(waiting, "waiting ...");
	s = (struct progress_state){ .phase = "disks", .done = 3, .total = 2, .moved = 3, .elapsed_usec = 1000000 };
	over = progress_line(&s, 120);
	assert_non_null(strstr(over, "100%"));
	assert_null(strstr(over, "left"));
}

static void cuts_whole_characters(void **state _unused_)
{
	struct progress_state s = { .phase = "zwölfäöü" };
	_cleanup_free_ char *line = progress_line(&s, 7);

	assert_string_equal(line, "zwölfä");
}

static void exit_codes(void **state _unused_)
{
	static const struct {
		const char *name;
		int code;
	} rows[] = {
		{ "JobFailed", 1 },      { "Refused", 7 },       { "InvalidArgument", 7 }, { "NoSuchVM", 7 },
		{ "NoSuchSnapshot", 7 }, { "NoSuchDomain", 7 },  { "NoSuchJob", 7 },       { "AmbiguousName", 7 },
		{ "VMBusy", 5 },         { "JobCancelled", 6 },  { "BackendError", 1 },    { "DamagedFile", 7 },
		{ "SealedDiskChanged", 7 }, { "LimitReached", 5 },
	};
	size_t n = 0;

	while (vl_manager.errors[n].name) {
		_cleanup_free_ char *name = xasprintf(VL_MANAGER ".%s", vl_manager.errors[n].name);
		int code = exit_code_of(error_kind(name));

		for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
			if (strcmp(rows[i].name, vl_manager.errors[n].name) == 0) {
				assert_int_equal(code, rows[i].code);
				code = -1;
			}
		assert_int_equal(code, -1); /* every error of the interface stands above */
		n++;
	}
	assert_int_equal(n, ARRAY_SIZE(rows));
	assert_int_equal(exit_code_of(error_kind("org.varlink.service.PermissionDenied")), 4);
	assert_int_equal(exit_code_of(error_kind("org.varlink.service.InvalidParameter")), 7);
	assert_int_equal(exit_code_of(error_kind("com.example.Odd")), 1);
	assert_int_equal(exit_code_of(ERR_NONE), 0);
}

static void words_of_operations(void **state _unused_)
{
	static const struct {
		const char *method, *words;
	} rows[] = {
		{ "CreateSnapshot", "create snapshot" }, { "RevertVM", "revert VM" }, { "StartVM", "start VM" }, { "", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *words = show_operation(rows[i].method);

		assert_string_equal(words, rows[i].words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(widths),           cmocka_unit_test(controls_are_taken_out),
		cmocka_unit_test(tables),           cmocka_unit_test(progress_lines),
		cmocka_unit_test(cuts_whole_characters), cmocka_unit_test(exit_codes),
		cmocka_unit_test(words_of_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
