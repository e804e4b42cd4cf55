/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's options: configuration file, command line, which stands above which. */
#include "tests/unit/layout-util.h"

#include "daemon/options.h"

static char *put_config(const char *dir, const char *text)
{
	char *path = path_join(dir, "vmsnapd.conf");

	assert_int_equal(file_replace(path, text, strlen(text), 0600, NULL), 0);
	return path;
}

/* Loads with the configuration file and up to four more words. */
static int load(const char *config, const char *const *words, struct options *ret_o, struct err *reterr)
{
	char *argv[8] = { (char *)"vmsnapd", (char *)"--config", (char *)config };
	int argc = config ? 3 : 1;

	while (words && *words)
		argv[argc++] = (char *)*words++;
	return options_load(argc, argv, ret_o, reterr);
}

static void test_every_key(void **state)
{
	static const char text[] = "# a comment\n"
				   "\n"
				   "uri = qemu:///embed?root=/x=y\n"
				   "\tstore=/srv/vms  \r\n"
				   "socket =/run/s\n"
				   "observer-group = seers\n"
				   "operator-group = doers\n"
				   "admin-group = masters\n"
				   "workers = 7\n"
				   "max-jobs = 9\n"
				   "max-pause = 1500\n"
				   "space-warning = 20% 5G\n"
				   "space-critical = 512M\n"
				   "max-connections = 10\n"
				   "max-connections-per-user = 3"; /* no newline */
	_cleanup_free_ char *path = put_config(*state, text);
	_cleanup_(options_done) struct options o = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(load(path, NULL, &o, &err), &err);
	assert_string_equal(o.config_file, path);
	assert_string_equal(o.uri, "qemu:///embed?root=/x=y");
	assert_string_equal(o.store, "/srv/vms");
	assert_string_equal(o.socket, "/run/s");
	assert_string_equal(o.observer_group, "seers");
	assert_string_equal(o.operator_group, "doers");
	assert_string_equal(o.admin_group, "masters");
	assert_int_equal(o.workers, 7);
	assert_int_equal(o.max_jobs, 9);
	assert_int_equal(o.max_pause, 1500);
	assert_int_equal(o.space_warning.percent, 20);
	assert_int_equal(o.space_warning.bytes, INT64_C(5) << 30);
	assert_int_equal(o.space_critical.percent, 0);
	assert_int_equal(o.space_critical.bytes, 512 << 20);
	assert_int_equal(o.max_connections, 10);
	assert_int_equal(o.max_connections_per_user, 3);
	assert_true(!o.verbose && !o.show_help && !o.show_version && !o.list_steps);
}

static void test_defaults(void **state)
{
	_cleanup_free_ char *path = put_config(*state, "");
	_cleanup_(options_done) struct options o = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(load(path, NULL, &o, &err), &err);
	assert_string_equal(o.uri, "qemu:///system");
	assert_non_null(strstr(o.store, "/lib/vmsnap"));
	assert_non_null(strstr(o.socket, "/vmsnapd/vmsnapd.sock"));
	assert_string_equal(o.operator_group, "vmsnap");
	assert_null(o.observer_group);
	assert_null(o.admin_group);
	assert_true(o.workers >= 1 && o.max_jobs >= o.workers);
	assert_true(o.space_critical.percent > 0 && o.space_warning.percent > o.space_critical.percent);
	assert_true(o.space_critical.bytes > 0 && o.space_warning.bytes > o.space_critical.bytes);
}

/* The command line stands above the file, wherever --config is in it. */
static void test_precedence(void **state)
{
	_cleanup_free_ char *path = put_config(*state, "uri = a:///\nstore = /from/file\n");
	char *argv[] = { (char *)"vmsnapd", (char *)"--uri", (char *)"test:///default", (char *)"-v",
			 (char *)"-c", path, NULL };
	_cleanup_(options_done) struct options o = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(options_load(6, argv, &o, &err), &err);
	assert_string_equal(o.uri, "test:///default");
	assert_string_equal(o.store, "/from/file");
	assert_true(o.verbose);
}

static void test_flags(void **state)
{
	_cleanup_free_ char *path = put_config(*state, "");
	static const char *const words[] = { "-h", "-V", "--list-steps", NULL };
	_cleanup_(options_done) struct options o = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(load(path, words, &o, &err), &err);
	assert_true(o.show_help && o.show_version && o.list_steps && !o.verbose);
}

/* A group can be taken away; a path of the working directory becomes absolute. */
static void test_values(void **state)
{
	_cleanup_free_ char *path = put_config(*state, "operator-group =\nstore = vms\n"), *cwd = getcwd(NULL, 0);
	static const char *const words[] = { "--socket", "s", NULL };
	_cleanup_free_ char *store = path_join(cwd, "vms"), *sock = path_join(cwd, "s");
	_cleanup_(options_done) struct options o = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(load(path, words, &o, &err), &err);
	assert_null(o.operator_group);
	assert_string_equal(o.store, store);
	assert_string_equal(o.socket, sock);
}

/* Every error names file and line, and leaves the result alone. */
static void test_bad_lines(void **state)
{
	static const struct {
		const char *text, *line, *says;
	} bad[] = {
		{ "uri = a\nnonsense\n", ":2:", "key = value" },
		{ "\n\ncolour = red\n", ":3:", "unknown key 'colour'" },
		{ "workers = many\n", ":1:", "'workers' must be a number from 1 to 64" },
		{ "workers = 0\n", ":1:", "not '0'" },
		{ "workers = 65\n", ":1:", "not '65'" },
		{ "workers =\n", ":1:", "'workers'" },
		{ "workers = 4 x\n", ":1:", "not '4 x'" },
		{ "max-jobs = 99999999999999999999\n", ":1:", "'max-jobs'" },
		{ "max-connections = 7\n", ":1:", "from 8 to 4096" },
		{ "# x\nURI = a\n", ":2:", "unknown key 'URI'" },
		{ "= a\n", ":1:", "unknown key ''" },
		{ "space-warning = ten%\n", ":1:", "not 'ten%'" },
		{ "space-warning = 101%\n", ":1:", "'space-warning' must be" },
		{ "x\nspace-critical =\n", ":1:", "key = value" },
		{ "space-critical =\n", ":1:", "not ''" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_free_ char *path = put_config(*state, bad[i].text);
		_cleanup_free_ char *where = xasprintf("%s%s", path, bad[i].line);
		struct options o = { .workers = 42 };
		_cleanup_err_ struct err err = ERR_INIT;

		assert_int_equal(load(path, NULL, &o, &err), -EINVAL);
		assert_int_equal(err.kind, ERR_INVALID);
		assert_ptr_equal(strstr(err.message, where), err.message);
		assert_non_null(strstr(err.message, bad[i].says));
		assert_int_equal(o.workers, 42);
	}
}

static void test_empty_values(void **state)
{
	static const char *const text[] = { "uri =\n", "store =\n", "socket =\n" };

	for (size_t i = 0; i < ARRAY_SIZE(text); i++) {
		_cleanup_free_ char *path = put_config(*state, text[i]);
		_cleanup_err_ struct err err = ERR_INIT;
		struct options o;

		assert_int_equal(load(path, NULL, &o, &err), -EINVAL);
		assert_non_null(strstr(err.message, "must not be empty"));
	}
}

static void test_missing_file(void **state)
{
	_cleanup_free_ char *path = path_join(*state, "none.conf");
	_cleanup_err_ struct err err = ERR_INIT;
	struct options o;

	assert_int_equal(load(path, NULL, &o, &err), -ENOENT);
	assert_non_null(strstr(err.message, path));
}

static void test_bad_words(void **state)
{
	static const struct {
		const char *const words[4];
		const char *says;
	} bad[] = {
		{ { "--nonsense" }, "unknown option '--nonsense'" },
		{ { "-x" }, "unknown option '-x'" },
		{ { "--uri" }, "option '--uri' needs an argument" },
		{ { "-s" }, "option '-s' needs an argument" },
		{ { "extra" }, "unexpected argument 'extra'" },
	};
	_cleanup_free_ char *path = put_config(*state, "");

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_err_ struct err err = ERR_INIT;
		struct options o;

		assert_int_equal(load(path, bad[i].words, &o, &err), -EINVAL);
		assert_string_equal(err.message, bad[i].says);
	}
}

static void test_help_names_every_option(void **state _unused_)
{
	static const char *const names[] = { "--config", "--uri", "--store", "--socket", "--verbose", "--list-steps",
					     "--help", "--version" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_non_null(strstr(options_help(), names[i]));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_key),	TEST(test_defaults),	 TEST(test_precedence),
		TEST(test_flags),	TEST(test_values),	 TEST(test_bad_lines),
		TEST(test_empty_values), TEST(test_missing_file), TEST(test_bad_words),
		cmocka_unit_test(test_help_names_every_option),
	};

	return cmocka_run_group_tests_name("test-options", tests, NULL, NULL);
}
