/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where VMSNAPD_FAULT lets the daemon die, fail or wait. Each case in a process of its own: turns are counted. */
#include "tests/unit/layout-util.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "daemon/op.h"

static const struct op_kind kind = { .name = "merge" };

/* How often of three times the step fails under that fault; -1: it dies. */
static int failures_of(const char *fault, const char *where)
{
	pid_t pid = fork();
	int status, n = 0;

	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("VMSNAPD_FAULT", fault, 1);
		for (int i = 0; i < 3; i++)
			n = n * 2 + (op_fault(&kind, "copy", where, NULL) == -EIO);
		_exit(n);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return -1;
	}
	return WEXITSTATUS(status);
}

static void test_which(void **state _unused_)
{
	assert_int_equal(failures_of("fail:copy", "before"), 7);
	assert_int_equal(failures_of("fail:merge.copy", "before"), 7);
	assert_int_equal(failures_of("fail:merge.copy", "after"), 0);
	assert_int_equal(failures_of("fail:merge.copyy", "before"), 0);
	assert_int_equal(failures_of("fail:apply.copy", "before"), 0);
	assert_int_equal(failures_of("fail", "before"), 0);
	assert_int_equal(failures_of("kill-before:copy", "before"), -1);
	assert_int_equal(failures_of("kill-before:copy", "after"), 0);
	assert_int_equal(failures_of("kill-after:merge.copy", "after"), -1);
	assert_int_equal(failures_of("hold-after:merge.copy", "after"), 0);
	assert_int_equal(failures_of("slow:2048:/x", "before"), 0);
}

static void test_turns(void **state _unused_)
{
	assert_int_equal(failures_of("fail:merge.copy@1", "before"), 4);
	assert_int_equal(failures_of("fail:copy@2", "before"), 2);
	assert_int_equal(failures_of("fail:copy@4", "before"), 0);
	assert_int_equal(failures_of("kill-before:copy@3", "before"), -1);
	assert_int_equal(failures_of("kill-before:copy@4", "before"), 0);
}

/* It waits while the file is there, and not without. */
static void test_hold(void **state)
{
	_cleanup_free_ char *file = path_join(*state, "held"), *written = NULL;
	_cleanup_free_ char *fault = xasprintf("hold-before:merge.copy:%s", file);
	siginfo_t ended = { .si_pid = 0 };
	int status;
	pid_t pid;

	assert_int_equal(failures_of(fault, "before"), 0);
	written = put_file(*state, "held", "", 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("VMSNAPD_FAULT", fault, 1);
		ignore_result(op_fault(&kind, "copy", "before", NULL));
		status = path_exists(file); /* 1: it did not wait */
		cleanup_free(&fault);
		cleanup_free(&written);
		cleanup_free(&file);
		_exit(status);
	}
	assert_int_equal(waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT), 0);
	assert_int_equal(ended.si_pid, 0);
	assert_int_equal(unlink(written), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which),
		cmocka_unit_test(test_turns),
		cmocka_unit_test_setup_teardown(test_hold, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
