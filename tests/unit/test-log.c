/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Log lines, read back from where standard error goes. */
#include "tests/unit/common-util.h"

#include <pthread.h>

#include "common/log.h"

static int real_stderr = -1;
static char *log_path;

/* Standard error goes to a file of the test until log_stop(). */
static void log_start(void)
{
	int fd = open(log_path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);

	real_stderr = dup(STDERR_FILENO);
	assert_true(fd >= 0 && real_stderr >= 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
}

/* What was written, *owned*. */
static char *log_stop(void)
{
	char *text = NULL;

	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	assert_int_equal(file_read(log_path, 1 << 20, &text, NULL, NULL), 0);
	return text;
}

static int log_setup(void **state)
{
	int r = dir_setup(state);

	log_path = path_join(*state, "log");
	unsetenv("JOURNAL_STREAM");
	log_set_level(LOG_LEVEL_INFO);
	return r;
}

static int log_teardown(void **state)
{
	free(log_path);
	return dir_teardown(state);
}

static void lines_above_the_level_are_dropped(void **state _unused_)
{
	_cleanup_free_ char *text = NULL;

	log_start();
	log_debug("hidden %d", 1);
	log_info("shown %d", 2);
	log_error("bad %d", 3);
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("now %d", 4);
	log_set_level(LOG_LEVEL_WARNING);
	log_info("hidden %d", 5);
	log_warning("take care %d", 6);
	text = log_stop();
	assert_string_equal(text, "shown 2\nerror: bad 3\ndebug: now 4\nwarning: take care 6\n");
}

static void one_record_is_one_line(void **state _unused_)
{
	_cleanup_free_ char *text = NULL;

	log_start();
	log_info("name %s end", "a\nerror: forged\r\x1b[31m\x7f \xc3\xa9");
	text = log_stop();
	assert_string_equal(text, "name a error: forged  [31m  \xc3\xa9 end\n");
}

static void journald_gets_priorities(void **state _unused_)
{
	_cleanup_free_ char *text = NULL, *stream = NULL;
	struct stat st;

	log_start();
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	stream = xasprintf("%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_warning("w");
	log_error("e");
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_error("not the journal's stream");
	text = log_stop();
	assert_string_equal(text, "<4>w\n<3>e\nerror: not the journal's stream\n");
}

static void errors_name_vm_and_file_once(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *text = NULL;

	err_set(&err, ERR_DRIFT, -ESTALE, "disk /a/b has changed");
	err_hint(&err, "Restore it");
	err_set_vm(&err, "web");
	err_set_file(&err, "/a/b");
	log_start();
	log_err(LOG_LEVEL_ERROR, &err, "job %d failed", 7);
	log_err(LOG_LEVEL_DEBUG, &err, "hidden");
	text = log_stop();
	assert_string_equal(text, "error: job 7 failed: disk /a/b has changed. Restore it [VM web]\n");
}

static void *write_lines(void *arg)
{
	for (int i = 0; i < 200; i++)
		log_info("thread %s thread %s thread %s", (char *)arg, (char *)arg, (char *)arg);
	return NULL;
}

static void threads_do_not_mix_lines(void **state _unused_)
{
	_cleanup_free_ char *text = NULL;
	pthread_t a, b;
	char *rest, *line;
	int count = 0;

	log_start();
	assert_int_equal(pthread_create(&a, NULL, write_lines, "A"), 0);
	assert_int_equal(pthread_create(&b, NULL, write_lines, "B"), 0);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	text = rest = log_stop();
	while ((line = strsep(&rest, "\n")) != NULL && *line) {
		assert_true(strcmp(line, "thread A thread A thread A") == 0 ||
			    strcmp(line, "thread B thread B thread B") == 0);
		count++;
	}
	assert_int_equal(count, 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_above_the_level_are_dropped, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(one_record_is_one_line, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(journald_gets_priorities, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(errors_name_vm_and_file_once, log_setup, log_teardown),
		cmocka_unit_test_setup_teardown(threads_do_not_mix_lines, log_setup, log_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
