/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The listening side: sockets taken over and left alone, limits, and running out
 * of descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "tests/unit/rpc-util.h"

#define ECHO(text) "{\"method\":\"" TEST_IFACE ".Echo\",\"parameters\":{\"text\":\"" text "\"}}"
#define HOLD(text) "{\"method\":\"" TEST_IFACE ".Hold\",\"parameters\":{\"text\":\"" text "\"}}"
#define REPLY(text) "{\"parameters\":{\"text\":\"" text "\"}}"

/* nobody's uid and gid on every Linux */
#define OTHER_ID 65534

static void expect_echo(struct rig *rig, int fd)
{
	say(fd, ECHO("x"));
	expect_reply(rig, fd, REPLY("x"));
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* Starting must fail with code, and say which file it is about. */
static void expect_refused(struct rig *rig, int code)
{
	_cleanup_err_ struct err err = ERR_INIT;

	assert_int_equal(rpc_server_start(rig->base, &rig->opts, &rig->srv, &err), code);
	assert_string_equal(err.file, rig->path);
	assert_null(rig->srv);
}

static void test_mode_and_removal(void **state _unused_)
{
	struct rig *rig = rig_new();
	struct stat st;

	rig_start(rig);
	assert_int_equal(stat(rig->path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0660);
	rpc_server_stop(TAKE_PTR(rig->srv));
	assert_int_equal(path_exists(rig->path), 0);
	rig_free(rig);
}

/* A socket that somebody else made in the meantime is not removed. */
static void test_foreign_socket_stays(void **state _unused_)
{
	struct rig *rig = rig_new();
	_cleanup_free_ char *ours = path_join(rig->dir, "ours");
	_cleanup_close_ int fd = -1;

	rig_start(rig);
	assert_int_equal(rename(rig->path, ours), 0);
	fd = listen_at(rig->path);
	rpc_server_stop(TAKE_PTR(rig->srv));
	assert_int_equal(path_exists(rig->path), 1);
	unlink(ours);
	rig_free(rig);
}

static void test_in_use(void **state _unused_)
{
	struct rig *rig = rig_new();
	_cleanup_close_ _unused_ int fd = listen_at(rig->path);

	expect_refused(rig, -EADDRINUSE);
	assert_int_equal(path_exists(rig->path), 1);
	rig_free(rig);
}

static void test_dead_socket_is_replaced(void **state _unused_)
{
	struct rig *rig = rig_new();
	_cleanup_close_ int fd = listen_at(rig->path), client = -1;

	cleanup_close(&fd);
	rig_start(rig);
	client = rig_connect(rig);
	expect_echo(rig, client);
	rig_free(rig);
}

static void test_no_socket_is_left_alone(void **state _unused_)
{
	struct rig *rig = rig_new();
	_cleanup_close_ int fd = open(rig->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	expect_refused(rig, -EEXIST);
	assert_int_equal(path_exists(rig->path), 1);
	rig_free(rig);
}

static void test_inherited_listener(void **state _unused_)
{
	struct rig *rig = rig_new();
	_cleanup_close_ int client = -1;

	rig->opts.fd = listen_at(rig->path);
	rig->opts.path = NULL;
	rig_start(rig);
	client = rig_connect(rig);
	expect_echo(rig, client);
	rpc_server_stop(TAKE_PTR(rig->srv));
	assert_int_equal(path_exists(rig->path), 1); /* it is systemd's */
	rig_free(rig);
}

static void test_inherited_connection(void **state _unused_)
{
	struct rig *rig = rig_new();
	_cleanup_close_ int client = -1;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	client = fds[0];
	fcntl(client, F_SETFL, O_NONBLOCK);
	rig->opts.fd = fds[1];
	rig->opts.path = NULL;
	rig_start(rig);
	expect_echo(rig, client);
	rig_free(rig);
}

static void test_unknown_method_row(void **state _unused_)
{
	static const struct rpc_method wrong[] = { { "NoSuchMethod", NULL }, { NULL, NULL } };
	_cleanup_err_ struct err err = ERR_INIT;
	struct rig *rig = rig_new();

	rig->opts.methods = wrong;
	assert_int_equal(rpc_server_start(rig->base, &rig->opts, &rig->srv, &err), -EINVAL);
	assert_int_equal(path_exists(rig->path), 0);
	rig_free(rig);
}

static void test_stop_tells_calls(void **state _unused_)
{
	struct rig *rig = rig_new();
	_cleanup_close_ int fd = -1, deaf = -1;

	rig_start(rig);
	fd = rig_connect(rig);
	deaf = rig_connect(rig);
	say(fd, HOLD("a"));
	rig_wait(rig, &rig->n_held, 1);
	rig->deaf = 1;
	say(deaf, HOLD("b"));
	rig_wait(rig, &rig->n_held, 2);
	rpc_server_stop(TAKE_PTR(rig->srv));
	assert_int_equal(rig->held[0].gone, 1);
	answer(&rig->held[1]); /* still a valid call */
	expect_reply(rig, fd, NULL);
	rig_free(rig);
}

/* A connection whose credentials are those of another user, whatever we are. */
static int connect_as_other(struct rig *rig)
{
	uid_t uid = geteuid();
	int fd;

	if (uid == 0)
		assert_int_equal(seteuid(OTHER_ID), 0);
	fd = rig_connect(rig);
	if (uid == 0)
		assert_int_equal(seteuid(uid), 0);
	return fd;
}

static void open_to_all(struct rig *rig)
{
	assert_int_equal(chmod(rig->dir, 0755), 0);
	assert_int_equal(chmod(rig->path, 0666), 0);
}

static void test_limit_per_uid(void **state _unused_)
{
	struct rig *rig = rig_new();
	int fds[32], one_too_many, again;

	rig_start(rig);
	open_to_all(rig);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = connect_as_other(rig);
		expect_echo(rig, fds[i]);
	}
	assert_int_equal(rig->uid, geteuid() == 0 ? OTHER_ID : geteuid());
	one_too_many = connect_as_other(rig);
	expect_reply(rig, one_too_many, NULL);
	if (geteuid() == 0) { /* root is exempt */
		_cleanup_close_ int root = rig_connect(rig);

		expect_echo(rig, root);
		assert_int_equal(rig->uid, 0);
	}
	cleanup_close(&fds[0]);
	rig_settle(rig);
	again = connect_as_other(rig); /* a place has become free */
	expect_echo(rig, again);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		cleanup_close(&fds[i]);
	cleanup_close(&one_too_many);
	cleanup_close(&again);
	rig_free(rig);
}

/* Of 10 places root alone can have the last 8. */
static void test_limit_in_all(void **state _unused_)
{
	struct rig *rig = rig_new();
	int fds[12];

	rig->opts.limits.connections = 10;
	rig_start(rig);
	open_to_all(rig);
	for (int i = 0; i < 3; i++) {
		fds[i] = connect_as_other(rig);
		if (i < 2)
			expect_echo(rig, fds[i]);
		else
			expect_reply(rig, fds[i], NULL);
	}
	for (int i = 3; i < 12; i++) {
		fds[i] = rig_connect(rig);
		if (geteuid() == 0 && i < 11)
			expect_echo(rig, fds[i]);
		else
			expect_reply(rig, fds[i], NULL);
	}
	for (int i = 0; i < 12; i++)
		cleanup_close(&fds[i]);
	rig_free(rig);
}

/* Without descriptors accepting rests instead of spinning, and then goes on. */
static void test_no_descriptors(void **state _unused_)
{
	struct rig *rig;
	struct rlimit old, none;
	int64_t before;
	int busy, late;

	if (getenv("VMSNAP_VALGRIND")) /* which keeps the limit of descriptors for itself */
		skip();
	rig = rig_new();
	rig_start(rig);
	busy = rig_connect(rig);
	expect_echo(rig, busy);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	late = rig_connect(rig);
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	rig_turn(rig);
	before = time_mono_usec();
	rig_settle(rig); /* 20 turns, each ended by the tick of 2 ms unless there is something to do */
	assert_true(time_mono_usec() - before > 20 * 1000);
	expect_echo(rig, busy); /* the others are served */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	expect_echo(rig, late);
	cleanup_close(&busy);
	cleanup_close(&late);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mode_and_removal),
		cmocka_unit_test(test_foreign_socket_stays),
		cmocka_unit_test(test_in_use),
		cmocka_unit_test(test_dead_socket_is_replaced),
		cmocka_unit_test(test_no_socket_is_left_alone),
		cmocka_unit_test(test_inherited_listener),
		cmocka_unit_test(test_inherited_connection),
		cmocka_unit_test(test_unknown_method_row),
		cmocka_unit_test(test_stop_tells_calls),
		cmocka_unit_test(test_limit_per_uid),
		cmocka_unit_test(test_limit_in_all),
		cmocka_unit_test(test_no_descriptors),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
