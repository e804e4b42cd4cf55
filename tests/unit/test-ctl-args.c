/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command tables and the parsing of the command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/args.h"
#include "client/help.h"
#include "common/alloc.h"
#include "common/fileio.h"

/* Parses the words up to NULL. */
static int parse(struct args *ret_args, struct err *err, ...)
{
	char *argv[16] = { (char *)"vmsnapctl" };
	int argc = 1;
	va_list ap;

	va_start(ap, err);
	while (argc < 15 && (argv[argc] = va_arg(ap, char *)))
		argc++;
	va_end(ap);
	return args_parse(argc, argv, ret_args, err);
}

/* How many words a usage text names; *ret_min without those in brackets. */
static size_t count_words(const char *usage, size_t *ret_min)
{
	size_t n = 0;

	*ret_min = 0;
	while (*usage) {
		size_t len = strcspn(usage, " ");

		n++;
		*ret_min += usage[0] != '[';
		usage += len;
		usage += *usage == ' ';
	}
	return n;
}

static void rows_are_consistent(void **state _unused_)
{
	const struct command *cmd, *other;

	for (size_t i = 0; (cmd = command_at(i)); i++) {
		size_t min, options = 0;

		assert_int_equal(count_words(cmd->usage, &min), cmd->max);
		assert_int_equal(min, cmd->min);
		assert_true(cmd->max <= ARGS_MAX_WORDS);
		assert_non_null(cmd->run);
		assert_true(strlen(cmd->help) > 5 && cmd->help[strlen(cmd->help) - 1] != '.');
		while (command_option_at(cmd, options)) {
			const struct option_row *row = command_option_at(cmd, options++);

			/* No name stands for two options. */
			assert_ptr_equal(command_option(cmd, row->name, strlen(row->name)), row);
		}
		assert_true(options <= ARGS_MAX_OPTIONS);
		for (size_t k = 0; k < i && (other = command_at(k)); k++)
			assert_true(strcmp(cmd->noun, other->noun) != 0 || strcmp(cmd->verb, other->verb) != 0);
	}
	assert_true(command_at(0) != NULL);
}

static void options_stand_anywhere(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct args args;

	assert_int_equal(parse(&args, &err, "--json", "snapshot", "--quiet", "apply", "--discard", "web01", "--socket",
			       "/s", "a name", "--no-wait", NULL),
			 0);
	assert_string_equal(args.cmd->verb, "apply");
	assert_string_equal(args_word(&args, 0), "web01");
	assert_string_equal(args_word(&args, 1), "a name");
	assert_null(args_word(&args, 2));
	assert_string_equal(args_option(&args, "socket"), "/s");
	assert_true(args_has(&args, "json") && args_has(&args, "quiet") && args_has(&args, "discard"));
	assert_true(args_has(&args, "no-wait") && !args_has(&args, "save-current"));
}

static void values_by_equals_and_dashes(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct args args;

	assert_int_equal(parse(&args, &err, "snapshot", "create", "--name=a=b", "--notes=", "--", "--web", NULL), 0);
	assert_string_equal(args_option(&args, "name"), "a=b");
	assert_string_equal(args_option(&args, "notes"), "");
	assert_string_equal(args_word(&args, 0), "--web");
	assert_int_equal(parse(&args, &err, "status", NULL), 0);
	assert_string_equal(args.cmd->noun, "status");
}

static void wrong_lines(void **state _unused_)
{
	static const struct {
		const char *words[6];
		const char *message, *hint;
	} rows[] = {
		{ { NULL }, "a command is missing", "--help" },
		{ { "vm" }, "needs to be told what to do", "'vmsnapctl vm --help'" },
		{ { "snapshto", "list" }, "no command 'snapshto'", "'snapshot'" },
		{ { "snapshot", "creat", "x" }, "no command 'snapshot creat'", "'snapshot create'" },
		{ { "zzz" }, "no command 'zzz'", "lists the commands" },
		{ { "vm", "zzz" }, "no command 'vm zzz'", "'vmsnapctl vm --help'" },
		{ { "vm", "show" }, "not complete", "Usage: vmsnapctl vm show VM" },
		{ { "vm", "show", "a", "b" }, "'b' is one word too many", "Usage: vmsnapctl vm show VM" },
		{ { "vm", "list", "--jsno" }, "no option '--jsno'", "'--json'" },
		{ { "vm", "list", "--discard" }, "no option '--discard'", "Usage" },
		{ { "vm", "list", "-j" }, "no option '-j'", "--help" },
		{ { "vm", "list", "--json=yes" }, "takes no value", NULL },
		{ { "vm", "list", "--socket" }, "needs a value (PATH)", NULL },
		{ { "vm", "list", "--socket=a", "--socket=b" }, "given twice", NULL },
		{ { "vm", "create", "x", "--memory", "1G" }, "option '--vcpus' is missing", "--vcpus N" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_err_ struct err err = ERR_INIT;
		struct args args;
		const char *const *w = rows[i].words;

		assert_int_equal(parse(&args, &err, w[0], w[1], w[2], w[3], w[4], NULL), -EINVAL);
		assert_non_null(strstr(err.message, rows[i].message));
		if (rows[i].hint)
			assert_non_null(strstr(err.hint, rows[i].hint));
	}
}

static void too_many_words_are_refused(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	char *argv[64];
	struct args args;

	for (size_t i = 0; i < ARRAY_SIZE(argv); i++)
		argv[i] = (char *)"vm";
	argv[2] = (char *)"show";
	assert_int_equal(args_parse(ARRAY_SIZE(argv), argv, &args, &err), -EINVAL);
}

static void help_needs_nothing_else(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct args args;

	assert_int_equal(parse(&args, &err, "--help", NULL), 0);
	assert_null(args.cmd);
	assert_null(args.noun);
	assert_int_equal(parse(&args, &err, "vm", "--help", NULL), 0);
	assert_null(args.cmd);
	assert_string_equal(args.noun, "vm");
	assert_int_equal(parse(&args, &err, "vm", "create", "--help", NULL), 0);
	assert_string_equal(args.cmd->verb, "create");
}

static void values_are_checked(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT, bad = ERR_INIT;
	int64_t bytes = -1, number = -1;
	struct args args;

	assert_int_equal(parse(&args, &err, "vm", "create", "x", "--memory", "512M", "--vcpus", "2", NULL), 0);
	assert_int_equal(args_size(&args, "memory", &bytes, &err), 0);
	assert_int_equal(bytes, 512 << 20);
	assert_int_equal(args_number(&args, "vcpus", 1, 4, &number, &err), 0);
	assert_int_equal(number, 2);
	number = -1;
	assert_true(args_number(&args, "vcpus", 3, 4, &number, &bad) < 0);
	assert_non_null(strstr(bad.message, "--vcpus"));
	assert_int_equal(number, -1);
	bytes = -1;
	assert_int_equal(args_size(&args, "disk", &bytes, &err), 0);
	assert_int_equal(bytes, -1);
	assert_int_equal(parse(&args, &err, "vm", "create", "x", "--memory", "lots", "--vcpus", "2x", NULL), 0);
	err_done(&bad);
	assert_true(args_size(&args, "memory", &bytes, &bad) < 0);
	assert_non_null(strstr(bad.message, "'lots'"));
	assert_true(args_number(&args, "vcpus", 1, 4, &number, &bad) < 0);
}

static void paths_become_absolute(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *relative = NULL, *absolute = NULL, *absent = NULL, *cwd = getcwd(NULL, 0), *expected = NULL;
	struct args args;

	assert_int_equal(parse(&args, &err, "vm", "create", "x", "--memory=1", "--vcpus=1", "--cdrom", "a/b.iso",
			       "--import-disk=/d", NULL),
			 0);
	assert_int_equal(args_path(&args, "cdrom", &relative, &err), 0);
	assert_int_equal(args_path(&args, "import-disk", &absolute, &err), 0);
	assert_int_equal(args_path(&args, "console-log", &absent, &err), 0);
	expected = path_join(cwd, "a/b.iso");
	assert_string_equal(relative, expected);
	assert_string_equal(absolute, "/d");
	assert_null(absent);
	assert_true(args_exclusive(&args, "cdrom", "import-disk", &err) < 0);
	assert_int_equal(args_exclusive(&args, "cdrom", "disk", &err), 0);
}

static void usage_names_what_is_required(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *create = NULL, *list = NULL;
	struct args args;

	assert_int_equal(parse(&args, &err, "vm", "create", "--help", NULL), 0);
	create = help_usage(args.cmd);
	assert_string_equal(create, "vmsnapctl vm create NAME --memory SIZE --vcpus N [OPTION...]");
	assert_int_equal(parse(&args, &err, "vm", "list", NULL), 0);
	list = help_usage(args.cmd);
	assert_string_equal(list, "vmsnapctl vm list");
}

static void nearest_is_near(void **state _unused_)
{
	static const char *const words[] = { "create", "list", "delete" };

	assert_string_equal(nearest("craete", words, 3), "create");
	assert_string_equal(nearest("del", words, 3), "delete");
	assert_string_equal(nearest("lst", words, 3), "list");
	assert_null(nearest("frobnicate", words, 3));
	assert_null(nearest("", words, 3));
	assert_null(nearest("x", words, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_consistent),
		cmocka_unit_test(options_stand_anywhere),
		cmocka_unit_test(values_by_equals_and_dashes),
		cmocka_unit_test(wrong_lines),
		cmocka_unit_test(too_many_words_are_refused),
		cmocka_unit_test(help_needs_nothing_else),
		cmocka_unit_test(values_are_checked),
		cmocka_unit_test(paths_become_absolute),
		cmocka_unit_test(usage_names_what_is_required),
		cmocka_unit_test(nearest_is_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
