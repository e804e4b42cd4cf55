/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Drawing the snapshot tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/tree.h"
#include "common/alloc.h"

#define ROW(name_, depth_, current_) \
	{ .name = (name_), .created = "2026-11-21 09:12", .kind = "off", .size = "1 MiB", .depth = (depth_), \
	  .current = (current_) }

/* The drawing as text, *owned*. */
static char *draw(const char *title, const struct tree_row *rows, size_t n, int ascii)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	tree_draw(out, title, rows, n, ascii);
	fclose(out);
	return text;
}

static void as_in_the_manual(void **state _unused_)
{
	static const struct tree_row rows[] = {
		{ .name = "base install", .created = "2026-11-21 09:12", .kind = "off", .size = "1.2 GiB" },
		{ .name = "before upgrade", .created = "2026-11-21 10:02", .kind = "memory",
		  .size = "412 MiB + 0.9 GiB", .depth = 1, .current = 1 },
		{ .name = "other idea", .created = "2026-11-21 11:40", .kind = "disk only", .size = "88 MiB", .depth = 1 },
	};
	_cleanup_free_ char *box = draw("web01", rows, ARRAY_SIZE(rows), 0);
	_cleanup_free_ char *ascii = draw("web01", rows, ARRAY_SIZE(rows), 1);

	assert_string_equal(box, "web01\n"
				 "└─ base install            2026-11-21 09:12   off        1.2 GiB\n"
				 "   ├─ before upgrade       2026-11-21 10:02   memory     412 MiB + 0.9 GiB\n"
				 "   │  └─ (now)\n"
				 "   └─ other idea           2026-11-21 11:40   disk only  88 MiB\n");
	assert_string_equal(ascii, "web01\n"
				   "`- base install            2026-11-21 09:12   off        1.2 GiB\n"
				   "   |- before upgrade       2026-11-21 10:02   memory     412 MiB + 0.9 GiB\n"
				   "   |  `- (now)\n"
				   "   `- other idea           2026-11-21 11:40   disk only  88 MiB\n");
}

static void now_without_snapshots(void **state _unused_)
{
	_cleanup_free_ char *text = draw("web01", NULL, 0, 0);

	assert_string_equal(text, "web01\n└─ (now)\n");
}

static void now_at_the_root_and_two_roots(void **state _unused_)
{
	static const struct tree_row rows[] = { ROW("a", 0, 0), ROW("b", 1, 0), ROW("c", 0, 0) };
	_cleanup_free_ char *text = draw("vm", rows, ARRAY_SIZE(rows), 1);

	assert_string_equal(text, "vm\n"
				  "|- a                       2026-11-21 09:12   off        1 MiB\n"
				  "|  `- b                    2026-11-21 09:12   off        1 MiB\n"
				  "|- c                       2026-11-21 09:12   off        1 MiB\n"
				  "`- (now)\n");
}

static void now_is_the_last_child(void **state _unused_)
{
	static const struct tree_row rows[] = { ROW("a", 0, 1), ROW("b", 1, 0), ROW("c", 2, 0), ROW("d", 0, 0) };
	_cleanup_free_ char *text = draw("vm", rows, ARRAY_SIZE(rows), 1);

	assert_string_equal(text, "vm\n"
				  "|- a                       2026-11-21 09:12   off        1 MiB\n"
				  "|  |- b                    2026-11-21 09:12   off        1 MiB\n"
				  "|  |  `- c                 2026-11-21 09:12   off        1 MiB\n"
				  "|  `- (now)\n"
				  "`- d                       2026-11-21 09:12   off        1 MiB\n");
}

static void long_and_wide_names_keep_the_columns(void **state _unused_)
{
	struct tree_row rows[] = { ROW("a name that is longer than most", 0, 0), ROW("zwölf \t\033[31m", 0, 1) };
	_cleanup_free_ char *text = NULL;

	rows[1].problem = "a sealed disk is gone";
	text = draw("vm", rows, ARRAY_SIZE(rows), 1);
	assert_string_equal(text, "vm\n"
				  "|- a name that is longer than most   2026-11-21 09:12   off        1 MiB\n"
				  "`- zwölf   [31m                      2026-11-21 09:12   off        1 MiB"
				  "   ! a sealed disk is gone\n"
				  "   `- (now)\n");
}

/* Depths that no daemon should send must not hurt either. */
static void impossible_depths_are_harmless(void **state _unused_)
{
	static const struct tree_row rows[] = { ROW("a", 7, 0), ROW("b", 1000000, 1), ROW("c", 3, 0), ROW("d", 0, 1) };
	_cleanup_free_ char *text = draw("vm", rows, ARRAY_SIZE(rows), 0);
	size_t lines = 0;

	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 1 + ARRAY_SIZE(rows) + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_in_the_manual),
		cmocka_unit_test(now_without_snapshots),
		cmocka_unit_test(now_at_the_root_and_two_roots),
		cmocka_unit_test(now_is_the_last_child),
		cmocka_unit_test(long_and_wide_names_keep_the_columns),
		cmocka_unit_test(impossible_depths_are_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
