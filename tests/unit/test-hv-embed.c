/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The root of the embedded driver: what is accepted, written and locked. */
#include "tests/unit/common-util.h"

#include <sys/file.h>
#include <sys/wait.h>

#include "daemon/hv-embed.h"

static void assert_root(const char *uri, const char *want)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *root = NULL;

	if (hv_embed_root(uri, &root, &err) < 0)
		fail_msg("%s: %s", uri, err.message);
	if (want)
		assert_string_equal(root, want);
	else
		assert_null(root);
}

static void assert_bad_root(const char *uri, const char *text)
{
	_cleanup_err_ struct err err = ERR_INIT;
	char *root = NULL;

	assert_int_equal(hv_embed_root(uri, &root, &err), -EINVAL);
	assert_null(root);
	assert_int_equal(err.kind, ERR_INVALID);
	assert_non_null(strstr(err.message, text));
}

static void roots_are_read(void **state _unused_)
{
	assert_root("qemu:///system", NULL);
	assert_root("qemu:///embedded?root=/x", NULL);
	assert_root("qemu:///embed?root=/srv/vm", "/srv/vm");
	assert_root("qemu:///embed?other=1&root=/srv/vm&x=/y", "/srv/vm");
	assert_root("qemu:///embed?root=%2Fsrv%2fa%20b", "/srv/a b");
	assert_root("qemu:///embed?root=/23456789012345678901234567890123456789012345678.5",
		    "/23456789012345678901234567890123456789012345678.5");
}

static void bad_roots_are_refused(void **state _unused_)
{
	assert_bad_root("qemu:///embed", "does not name a root");
	assert_bad_root("qemu:///embed?notroot=/x", "does not name a root");
	assert_bad_root("qemu:///embed?root=", "not an absolute path");
	assert_bad_root("qemu:///embed?root=srv/vm", "not an absolute path");
	assert_bad_root("qemu:///embed?root=/srv/", "another directory");
	assert_bad_root("qemu:///embed?root=/srv//vm", "another directory");
	assert_bad_root("qemu:///embed?root=/srv/./vm", "another directory");
	assert_bad_root("qemu:///embed?root=/srv/../vm", "another directory");
	assert_bad_root("qemu:///embed?root=/", "another directory");
	assert_bad_root("qemu:///embed?root=/srv%2", "broken %-escape");
	assert_bad_root("qemu:///embed?root=/srv%00", "broken %-escape");
	assert_bad_root("qemu:///embed?root=/234567890123456789012345678901234567890123456789.1",
			"has 51 bytes, at most 50");
}

/* A process has one root for ever, so each trial is a process of its own: it runs
 * fn(dir), whose result 0 means that all was well. */
static void in_child(int (*fn)(const char *dir), const char *dir)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn(dir) ? 1 : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int prepare_new(const char *dir)
{
	_cleanup_free_ char *root = path_join(dir, "a/b");
	_cleanup_free_ char *other = path_join(dir, "c");
	const char *outputs;

	if (hv_embed_prepare(root, NULL) < 0)
		return -1;
	outputs = getenv("LIBVIRT_LOG_OUTPUTS");
	if (!outputs || !strstr(outputs, "/a/b/libvirt.log"))
		return -1;
	/* the same again is fine, another one is not */
	return hv_embed_prepare(root, NULL) == 0 && hv_embed_prepare(other, NULL) == -EBUSY ? 0 : -1;
}

static void a_new_root_is_made_ready(void **state)
{
	_cleanup_free_ char *root = path_join(*state, "a/b");
	_cleanup_free_ char *path = path_join(root, "etc/qemu.conf");
	_cleanup_free_ char *conf = NULL;
	struct stat st;

	unsetenv("LIBVIRT_LOG_OUTPUTS");
	in_child(prepare_new, *state);
	assert_int_equal(stat(root, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(file_read(path, 4096, &conf, NULL, NULL), 0);
	assert_non_null(strstr(conf, "\nstdio_handler = \"file\"\n"));
	assert_int_equal(strstr(conf, "\nuser = \"root\"\n") != NULL, geteuid() == 0);
	assert_int_equal(strstr(conf, "\nswtpm_user = \"root\"\n") != NULL, geteuid() == 0);
}

static int prepare_plain(const char *dir)
{
	return hv_embed_prepare(dir, NULL);
}

/* A status document of libvirt. */
static void make_status(const char *dir, const char *name, const char *pid)
{
	_cleanup_free_ char *run = path_join(dir, "run/qemu"), *up = path_join(dir, "run");
	_cleanup_free_ char *text = xasprintf("<!-- made by libvirt -->\n<domstatus state='paused' reason='starting up' "
					      "pid='%s'>\n  <domain type='qemu' pid='0'/>\n</domstatus>\n", pid);
	_cleanup_free_ char *path = path_join(run, name);

	assert_int_equal(dir_make(up, 0755, NULL), 0);
	assert_int_equal(dir_make(run, 0755, NULL), 0);
	assert_int_equal(file_replace(path, text, strlen(text), 0600, NULL), 0);
}

static int is_there(const char *dir, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/run/qemu/%s", dir, name);

	return path_exists(path);
}

static void a_domain_that_was_never_started_is_forgotten(void **state)
{
	make_status(*state, "a.xml", "0");
	make_status(*state, "b.xml", "4711");
	make_status(*state, "c.pid", "0");
	in_child(prepare_plain, *state);
	assert_int_equal(is_there(*state, "a.xml"), 0);
	assert_int_equal(is_there(*state, "b.xml"), 1);
	assert_int_equal(is_there(*state, "c.pid"), 1);
}

static void only_our_own_configuration_is_replaced(void **state)
{
	static const char theirs[] = "# mine\nuser = \"someone\"\n";
	_cleanup_free_ char *path = path_join(*state, "etc/qemu.conf");
	_cleanup_free_ char *first = NULL, *kept = NULL, *renewed = NULL, *stale = NULL;

	in_child(prepare_plain, *state);
	assert_int_equal(file_read(path, 4096, &first, NULL, NULL), 0);
	stale = xasprintf("%.*sstdio_handler = \"logd\"\n", (int)(strchr(first, '\n') + 1 - first), first);
	free(put_file(*state, "etc/qemu.conf", stale, strlen(stale)));
	in_child(prepare_plain, *state);
	assert_int_equal(file_read(path, 4096, &renewed, NULL, NULL), 0);
	assert_string_equal(renewed, first);
	free(put_file(*state, "etc/qemu.conf", theirs, strlen(theirs)));
	in_child(prepare_plain, *state);
	assert_int_equal(file_read(path, 4096, &kept, NULL, NULL), 0);
	assert_string_equal(kept, theirs);
}

static void a_root_in_use_is_refused(void **state)
{
	_cleanup_free_ char *path = put_file(*state, "vmsnapd.lock", "4711\n", 5);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	_cleanup_err_ struct err err = ERR_INIT;

	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(hv_embed_prepare(*state, &err), -EBUSY);
	assert_int_equal(err.kind, ERR_BACKEND);
	assert_non_null(strstr(err.message, "in use by another vmsnapd (pid 4711)"));
	assert_non_null(err.hint);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roots_are_read),
		cmocka_unit_test(bad_roots_are_refused),
		cmocka_unit_test_setup_teardown(a_new_root_is_made_ready, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(only_our_own_configuration_is_replaced, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(a_domain_that_was_never_started_is_forgotten, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(a_root_in_use_is_refused, dir_setup, dir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
