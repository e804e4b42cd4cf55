/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The blocking client against a server whose side the test plays itself: what is
 * sent fits into the socket's buffers, so one thread is enough. */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "varlink/client.h"

struct fixture {
	char dir[32];
	char *path;
	int listener, peer;
	struct vl_client *client;
};

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_true(strlen(path) < sizeof(addr.sun_path));
	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	_cleanup_free_ char *address = NULL;

	strcpy(f->dir, "/tmp/vmsnap-client-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->path = path_join(f->dir, "sock");
	f->listener = listen_at(f->path);
	address = xasprintf("unix:%s;mode=0660", f->path);
	assert_int_equal(vl_client_connect(address, &f->client, NULL), 0);
	f->peer = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(f->peer >= 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	vl_client_close(f->client);
	cleanup_close(&f->peer);
	cleanup_close(&f->listener);
	unlink(f->path);
	rmdir(f->dir);
	free(f->path);
	free(f);
	return 0;
}

static void peer_says(struct fixture *f, const char *bytes, size_t len)
{
	assert_int_equal(send(f->peer, bytes, len, MSG_NOSIGNAL), len);
}

static void test_call_and_reply(void **state)
{
	static const char sent[] = "{\"method\":\"a.b.C\",\"parameters\":{\"x\":1},\"more\":true}";
	static const char reply[] = "{ \"parameters\": {\"y\":2} }";
	_cleanup_json_ json_t *params = json_pack("{s:i}", "x", 1);
	_cleanup_reply_ struct vl_reply r = { 0 };
	_cleanup_free_ char *raw = NULL;
	struct fixture *f = *state;
	char buf[200];

	assert_int_equal(vl_client_send(f->client, "a.b.C", params, 1, NULL), 0);
	assert_int_equal(recv(f->peer, buf, sizeof(buf), 0), sizeof(sent));
	assert_memory_equal(buf, sent, sizeof(sent));
	peer_says(f, reply, sizeof(reply));
	assert_int_equal(vl_client_receive(f->client, -1, &r, &raw, NULL), 0);
	assert_string_equal(raw, reply);
	assert_int_equal(json_integer_value(json_object_get(r.parameters, "y")), 2);
}

static void test_stream_in_one_read(void **state)
{
	static const char replies[] = "{\"continues\":true}\0{\"continues\":true}\0{\"error\":\"a.b.E\"}";
	struct fixture *f = *state;

	peer_says(f, replies, sizeof(replies));
	for (int i = 0; i < 3; i++) {
		_cleanup_reply_ struct vl_reply r = { 0 };

		assert_int_equal(vl_client_receive(f->client, 10000, &r, NULL, NULL), 0);
		assert_int_equal(r.continues, i < 2);
		assert_int_equal(r.error != NULL, i == 2);
	}
}

static void test_timeout_keeps_what_came(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_reply_ struct vl_reply r = { 0 };
	struct fixture *f = *state;

	peer_says(f, "{\"para", 6);
	assert_int_equal(vl_client_receive(f->client, 10, &r, NULL, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.message, f->path));
	assert_null(r.parameters);
	peer_says(f, "meters\":{\"z\":3}}", 17);
	assert_int_equal(vl_client_receive(f->client, 10000, &r, NULL, NULL), 0);
	assert_int_equal(json_integer_value(json_object_get(r.parameters, "z")), 3);
}

static void expect_closed(struct fixture *f)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct vl_reply r = { 0 };

	assert_int_equal(vl_client_receive(f->client, 10000, &r, NULL, &err), -ECONNRESET);
	assert_non_null(strstr(err.message, "refused the message or closed the connection"));
}

static void test_daemon_closes(void **state)
{
	struct fixture *f = *state;

	peer_says(f, "{\"half", 6);
	cleanup_close(&f->peer);
	expect_closed(f);
}

/* A close with our call unread gives ECONNRESET instead of an end of file. */
static void test_daemon_refuses(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct fixture *f = *state;

	assert_int_equal(vl_client_send(f->client, "a.b.C", NULL, 0, NULL), 0);
	cleanup_close(&f->peer);
	expect_closed(f);
	assert_int_equal(vl_client_send(f->client, "a.b.C", NULL, 0, &err), -ECONNRESET);
}

static void test_malformed_reply(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct vl_reply r = { 0 };
	struct fixture *f = *state;

	peer_says(f, "[1]", 4);
	assert_int_equal(vl_client_receive(f->client, 10000, &r, NULL, &err), -EPROTO);
}

static void on_alarm(int sig _unused_)
{
}

static void test_signal(void **state)
{
	struct sigaction sa = { .sa_handler = on_alarm }, old;
	struct itimerval often = { .it_interval = { .tv_usec = 2000 }, .it_value = { .tv_usec = 2000 } }, never = { 0 };
	struct fixture *f = *state;
	struct vl_reply r = { 0 };

	assert_int_equal(sigaction(SIGALRM, &sa, &old), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	assert_int_equal(vl_client_receive(f->client, 60000, &r, NULL, NULL), -EINTR);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
}

static void test_no_daemon(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT, dead = ERR_INIT, longer = ERR_INIT, empty = ERR_INIT;
	_cleanup_free_ char *missing = NULL, *too_long = xcalloc(200, 1);
	struct fixture *f = *state;
	struct vl_client *c = NULL;

	missing = path_join(f->dir, "missing");
	assert_int_equal(vl_client_connect(missing, &c, &err), -ENOENT);
	assert_string_equal(err.file, missing);
	assert_non_null(err.hint);
	cleanup_close(&f->listener);
	assert_int_equal(vl_client_connect(f->path, &c, &dead), -ECONNREFUSED);
	assert_non_null(dead.hint);
	memset(too_long, 'x', 150);
	assert_int_equal(vl_client_connect(too_long, &c, &longer), -ENAMETOOLONG);
	assert_int_equal(vl_client_connect("unix:", &c, &empty), -EINVAL);
	assert_null(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_call_and_reply, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream_in_one_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timeout_keeps_what_came, setup, teardown),
		cmocka_unit_test_setup_teardown(test_daemon_closes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_daemon_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed_reply, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_daemon, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
