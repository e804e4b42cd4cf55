/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs run to their end. */
#include "tests/unit/common-util.h"

#include <pthread.h>
#include <signal.h>

#include "common/proc.h"
#include "common/timefmt.h"

/* Runs a line of shell. */
static int run_sh(const char *script, char **ret_output, struct err *reterr)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	const struct proc_opts opts = { .argv = argv };

	return proc_run(&opts, ret_output, reterr);
}

static void check_output(const char *script, const char *want)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *output = NULL;

	if (run_sh(script, &output, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(output, want);
}

static void output_is_returned(void **state _unused_)
{
	check_output("echo one; echo noise >&2; echo two", "one\ntwo\n");
	check_output("true", "");
	check_output("printf 'a\\000b'", "a?b");
	assert_int_equal(run_sh("echo ignored", NULL, NULL), 0);
}

static void failures_say_why(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT, killed = ERR_INIT;
	char *output = NULL;

	assert_int_equal(run_sh("echo; echo first >&2; echo last words >&2; exit 3", &output, &err), -EIO);
	assert_null(output);
	assert_string_equal(err.message, "sh failed with exit status 3: first; last words");
	assert_int_equal(run_sh("kill -9 $$", &output, &killed), -EIO);
	assert_string_equal(killed.message, "sh was killed by signal 9");
}

static void a_missing_program_is_named(void **state _unused_)
{
	const char *const nowhere[] = { "vmsnap-no-such-program", NULL }, *const no_path[] = { "/nonexistent/x", NULL };
	const char *const sh[] = { "sh", "-c", "true", NULL };
	_cleanup_err_ struct err err = ERR_INIT, cwd = ERR_INIT;

	assert_int_equal(proc_run(&(struct proc_opts){ .argv = nowhere }, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.hint, "vmsnap-no-such-program"));
	assert_int_equal(proc_run(&(struct proc_opts){ .argv = no_path }, NULL, NULL), -ENOENT);
	assert_int_equal(proc_run(&(struct proc_opts){ .argv = sh, .cwd = "/nonexistent" }, NULL, &cwd), -ENOENT);
	assert_non_null(strstr(cwd.message, "/nonexistent"));
}

static void a_failed_exec_is_told_from_a_failed_program(void **state)
{
	_cleanup_free_ char *script = NULL;
	const char *argv[] = { NULL, NULL };
	_cleanup_err_ struct err err = ERR_INIT;

	if (getenv("VMSNAP_VALGRIND")) /* which ends a process whose exec fails */
		skip();
	argv[0] = script = put_file(*state, "script", "#!/nonexistent/interpreter\n", 27);
	assert_int_equal(chmod(script, 0700), 0);
	assert_int_equal(proc_run(&(struct proc_opts){ .argv = argv }, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.message, script));
}

static void it_runs_where_it_is_told(void **state)
{
	const char *const argv[] = { "pwd", NULL };
	const struct proc_opts opts = { .argv = argv, .cwd = *state };
	_cleanup_free_ char *output = NULL, *want = xasprintf("%s\n", (char *)*state);

	assert_int_equal(proc_run(&opts, &output, NULL), 0);
	assert_string_equal(output, want);
}

/* The child's world: nothing on standard input, no descriptors of ours, signals
 * at their defaults although the daemon ignores and blocks some. */
static void nothing_of_ours_is_inherited(void **state)
{
	_cleanup_close_ int leak = open("/dev/null", O_RDONLY); /* no O_CLOEXEC: a library's fault */
	_cleanup_free_ char *path = path_join(*state, "made"), *script = xasprintf("echo > %s", path);
	sigset_t some, old;
	struct stat st;

	assert_true(leak > 2);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&some);
	sigaddset(&some, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &some, &old);
	check_output("cat; umask", "0077\n");
	check_output("for fd in /proc/self/fd/*; do n=${fd##*/}; test $n -gt 2 && readlink $fd; done | "
		     "grep -v -e pipe: -e /proc; true",
		     "");
	/* signals 1 to 28: glibc keeps 32 and 33 to itself, as whoever started us left them */
	check_output("sed -n -E '/^Sig(Blk|Ign)/s/.*(.{7})$/\\1/p' /proc/self/status", "0000000\n0000000\n");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(run_sh(script, NULL, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* Both pipes full many times over: neither may block the other. */
static void much_output_does_not_block(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *output = NULL;

	assert_int_equal(run_sh("head -c 3000000 /dev/zero | tr '\\0' e >&2; head -c 3000000 /dev/zero | tr '\\0' o",
				&output, &err),
			 0);
	assert_int_equal(strlen(output), 1 << 20);
	assert_int_equal(output[(1 << 20) - 1], 'o');
	assert_int_equal(run_sh("head -c 300000 /dev/zero | tr '\\0' e >&2; echo the end >&2; false", NULL, &err),
			 -EIO);
	assert_non_null(strstr(err.message, "the end"));
	assert_true(strlen(err.message) < 4096);
}

static int cancel_when_ready(void *arg, const char *output)
{
	++*(int *)arg;
	return strstr(output, "ready") != NULL;
}

static void poll_sees_output_and_cancels(void **state _unused_)
{
	const char *const argv[] = { "sh", "-c", "echo ready; exec sleep 1000", NULL };
	int calls = 0;
	const struct proc_opts opts = { .argv = argv, .poll = cancel_when_ready, .poll_arg = &calls };
	_cleanup_err_ struct err err = ERR_INIT;
	char *output = NULL;
	int64_t start = time_mono_usec();

	assert_int_equal(proc_run(&opts, &output, &err), -ECANCELED);
	assert_int_equal(err.kind, ERR_CANCELLED);
	assert_null(output);
	assert_true(calls >= 1);
	assert_true(time_mono_usec() - start < 9 * 1000000); /* it heard SIGTERM */
}

/* A grandchild that keeps the pipes open is not waited for. */
static void a_daemonising_program_ends(void **state _unused_)
{
	_cleanup_free_ char *output = NULL;
	int64_t start = time_mono_usec();

	assert_int_equal(run_sh("sleep 30 & echo $!", &output, NULL), 0);
	assert_true(time_mono_usec() - start < 20 * 1000000);
	assert_int_equal(kill((pid_t)atoi(output), SIGKILL), 0);
}

static void *run_many(void *arg)
{
	for (int i = 0; i < 20; i++) {
		_cleanup_free_ char *script = xasprintf("echo %s%d", (char *)arg, i), *output = NULL;
		_cleanup_free_ char *want = xasprintf("%s%d\n", (char *)arg, i);

		if (run_sh(script, &output, NULL) < 0 || strcmp(output, want) != 0)
			return (void *)"wrong";
	}
	return NULL;
}

static void threads_run_programs_at_once(void **state _unused_)
{
	static char *names[] = { "a", "b", "c", "d" };
	pthread_t thread[ARRAY_SIZE(names)];
	void *result;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run_many, names[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(pthread_join(thread[i], &result), 0);
		assert_null(result);
	}
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, dir_setup, dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_is_returned),
		cmocka_unit_test(failures_say_why),
		cmocka_unit_test(a_missing_program_is_named),
		IN_DIR(a_failed_exec_is_told_from_a_failed_program),
		IN_DIR(it_runs_where_it_is_told),
		IN_DIR(nothing_of_ours_is_inherited),
		cmocka_unit_test(much_output_does_not_block),
		cmocka_unit_test(poll_sees_output_and_cancels),
		cmocka_unit_test(a_daemonising_program_ends),
		cmocka_unit_test(threads_run_programs_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
