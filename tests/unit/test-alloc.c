/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Allocation and lists of strings. */
#include "tests/unit/common-util.h"

#include <signal.h>
#include <sys/wait.h>

static void strings_are_copied(void **state _unused_)
{
	_cleanup_free_ char *a = xstrdup("disk"), *b = xstrndup("snapshot", 4), *c = xasprintf("%s-%d", "vm", 7);

	assert_string_equal(a, "disk");
	assert_string_equal(b, "snap");
	assert_string_equal(c, "vm-7");
	assert_null(xstrdup(NULL));
}

static void set_may_take_from_itself(void **state _unused_)
{
	_cleanup_free_ char *s = xstrdup("abcdef");

	xstrset(&s, s + 3);
	assert_string_equal(s, "def");
	xstrset(&s, NULL);
	assert_null(s);
}

static void memory_is_zeroed_and_grows(void **state _unused_)
{
	_cleanup_free_ unsigned char *p = xcalloc(16, 4);

	for (int i = 0; i < 64; i++)
		assert_int_equal(p[i], 0);
	memset(p, 0x5a, 64);
	p = xreallocarray(p, 1000, 4);
	assert_int_equal(p[63], 0x5a);
	p = xreallocarray(p, 0, 4);
	assert_non_null(p);
}

/* A size that overflows ends the process instead of giving too little. */
static void overflow_aborts(void **state _unused_)
{
	volatile size_t huge = SIZE_MAX / 2;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		close(STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		free(xreallocarray(NULL, huge, 8));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void lists_count_find_and_join(void **state _unused_)
{
	_cleanup_strv_ char **v = NULL;
	_cleanup_free_ char *none = strv_join(NULL, ", "), *three = NULL;

	assert_string_equal(none, "");
	assert_int_equal(strv_count(NULL), 0);
	assert_int_equal(strv_has(NULL, "vda"), 0);
	strv_push(&v, xstrdup("vda"));
	strv_push(&v, xstrdup(""));
	strv_push(&v, xstrdup("sdb"));
	three = strv_join(v, ", ");
	assert_string_equal(three, "vda, , sdb");
	assert_int_equal(strv_count(v), 3);
	assert_int_equal(strv_has(v, "sdb"), 1);
	assert_int_equal(strv_has(v, "sd"), 0);
}

static void taking_leaves_nothing_behind(void **state _unused_)
{
	_cleanup_free_ char *p = xstrdup("x"), *q = NULL;
	int fd = 5;

	q = TAKE_PTR(p);
	assert_null(p);
	assert_string_equal(q, "x");
	assert_int_equal(TAKE_FD(fd), 5);
	assert_int_equal(fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_copied),
		cmocka_unit_test(set_may_take_from_itself),
		cmocka_unit_test(memory_is_zeroed_and_grows),
		cmocka_unit_test(overflow_aborts),
		cmocka_unit_test(lists_count_find_and_join),
		cmocka_unit_test(taking_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
