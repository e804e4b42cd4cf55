/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guard of a pipe: as long as its daemon lives it is not there; when that dies whoever
 * waits for the other end goes on and finds nobody. */
#include "tests/unit/common-util.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "daemon/pipe-guard.h"

/* The daemon: starts a guard, perhaps takes the pipe's name away, and is killed. The guard
 * becomes our child. */
static void die_with_guard(const char *fifo, int nameless)
{
	struct pipe_guard *guard;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (pipe_guard_start(fifo, &guard, NULL) == 0 && (!nameless || unlink(fifo) == 0))
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int wait_guard(void)
{
	int status;

	assert_true(waitpid(-1, &status, 0) > 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *make_fifo(const char *dir)
{
	char *fifo = path_join(dir, "fifo");

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	return fifo;
}

/* Writes until nobody reads: returns that error. */
static void *write_main(void *fifo)
{
	_cleanup_close_ int fd = open(fifo, O_WRONLY | O_CLOEXEC);
	ssize_t n = 1;

	while (fd >= 0 && n > 0)
		n = write(fd, "x", 1);
	return (void *)(intptr_t)(fd < 0 || n < 0 ? errno : 0);
}

/* Reads once: returns 1 for the end of the file. */
static void *read_main(void *fifo)
{
	_cleanup_close_ int fd = open(fifo, O_RDONLY | O_CLOEXEC);
	char c;

	return (void *)(intptr_t)(fd >= 0 && read(fd, &c, 1) == 0);
}

static intptr_t join(pthread_t thread)
{
	void *value;

	assert_int_equal(pthread_join(thread, &value), 0);
	return (intptr_t)value;
}

static void test_writers_go_on(void **state)
{
	_cleanup_free_ char *fifo = make_fifo(*state);
	pthread_t thread;

	for (int visit = 0; visit < 2; visit++) {
		assert_int_equal(pthread_create(&thread, NULL, write_main, fifo), 0);
		if (visit == 0)
			die_with_guard(fifo, 0);
		assert_int_equal(join(thread), EPIPE);
	}
	assert_int_equal(unlink(fifo), 0);
	assert_int_equal(wait_guard(), 0);
}

static void test_readers_go_on(void **state)
{
	_cleanup_free_ char *fifo = make_fifo(*state);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, read_main, fifo), 0);
	die_with_guard(fifo, 0);
	assert_int_equal(join(thread), 1);
	assert_int_equal(unlink(fifo), 0);
	assert_int_equal(wait_guard(), 0);
}

/* One that found it just before its name went. */
static void test_without_its_name(void **state)
{
	_cleanup_free_ char *fifo = make_fifo(*state), *found = NULL;
	_cleanup_close_ int fd = open(fifo, O_PATH | O_CLOEXEC);
	pthread_t thread;

	found = xasprintf("/proc/self/fd/%d", fd);
	assert_int_equal(pthread_create(&thread, NULL, write_main, found), 0);
	die_with_guard(fifo, 1);
	assert_int_equal(join(thread), EPIPE);
	assert_int_equal(wait_guard(), 0);
}

/* With a daemon that lives: what is written arrives, nothing is taken. */
static void test_is_not_there(void **state)
{
	_cleanup_free_ char *fifo = make_fifo(*state);
	_cleanup_close_ int in = -1, out = -1;
	struct pipe_guard *guard;
	char c = 0;

	assert_int_equal(pipe_guard_start(fifo, &guard, NULL), 0);
	assert_int_equal(open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC), -1);
	assert_int_equal(errno, ENXIO);
	in = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(read(in, &c, 1), 0);
	out = open(fifo, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(out, "x", 1), 1);
	assert_int_equal(read(in, &c, 1), 1);
	assert_int_equal(c, 'x');
	pipe_guard_end(guard);
	assert_int_equal(waitpid(-1, NULL, 0), -1);
	assert_int_equal(unlink(fifo), 0);
}

static void test_refuses(void **state)
{
	_cleanup_free_ char *nothing = path_join(*state, "nothing"), *program = path_join(*state, "program");
	_cleanup_err_ struct err err = ERR_INIT;
	struct pipe_guard *guard = NULL;

	assert_int_equal(pipe_guard_start(nothing, &guard, &err), -ENOENT);
	assert_non_null(strstr(err.message, "nothing"));
	if (getenv("VMSNAP_VALGRIND"))
		return; /* its posix_spawn() never fails */
	setenv("VMSNAP_CAPTURE", program, 1);
	assert_int_equal(mkfifo(nothing, 0600), 0);
	err_done(&err);
	assert_true(pipe_guard_start(nothing, &guard, &err) < 0);
	assert_non_null(strstr(err.message, "cannot start"));
	assert_null(guard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_writers_go_on, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_readers_go_on, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_without_its_name, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_is_not_there, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_refuses, dir_setup, dir_teardown),
	};
	const char *top = getenv("top_builddir");
	_cleanup_free_ char *program = path_join(top && *top ? top : ".", "savestate/vmsnap-capture");

	setenv("VMSNAP_CAPTURE", program, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
