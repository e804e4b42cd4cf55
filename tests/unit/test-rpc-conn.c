/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection's life: bytes in any pieces, order, leaving at any time, and
 * bounds for those who send too much or do not read. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "common/log.h"
#include "tests/unit/rpc-util.h"

#define ECHO(text) "{\"method\":\"" TEST_IFACE ".Echo\",\"parameters\":{\"text\":\"" text "\"}}"
#define HOLD(text) "{\"method\":\"" TEST_IFACE ".Hold\",\"parameters\":{\"text\":\"" text "\"}}"
#define HOLD_MORE(text) "{\"method\":\"" TEST_IFACE ".Hold\",\"parameters\":{\"text\":\"" text "\"},\"more\":true}"
#define REPLY(text) "{\"parameters\":{\"text\":\"" text "\"}}"

static void test_split_at_every_byte(void **state)
{
	static const char bytes[] = ECHO("one") "\0" ECHO("two");
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
		say_bytes(fd, bytes, cut);
		rig_turn(rig);
		say_bytes(fd, bytes + cut, sizeof(bytes) - cut);
		expect_reply(rig, fd, REPLY("one"));
		expect_reply(rig, fd, REPLY("two"));
	}
}

/* More calls in one read than are handled in one turn. */
static void test_many_in_one_read(void **state)
{
	_cleanup_free_ char *bytes = NULL;
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);
	size_t len = 0;

	for (int i = 0; i < 300; i++) {
		_cleanup_free_ char *one = xasprintf("{\"method\":\"" TEST_IFACE ".Echo\",\"parameters\":"
						     "{\"text\":\"%d\"}}", i);

		bytes = xreallocarray(bytes, len + strlen(one) + 1, 1);
		memcpy(bytes + len, one, strlen(one) + 1);
		len += strlen(one) + 1;
	}
	say_bytes(fd, bytes, len);
	for (int i = 0; i < 300; i++) {
		_cleanup_free_ char *reply = xasprintf("{\"parameters\":{\"text\":\"%d\"}}", i);

		expect_reply(rig, fd, reply);
	}
}

/* Sends all of it, turning the loop; returns 0 if the server closed meanwhile. */
static int push(struct rig *rig, int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return 0;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
		rig_turn(rig);
	}
	return 1;
}

/* A call of exactly that many bytes. */
static char *echo_of_size(size_t size)
{
	char *text = xcalloc(size + 1, 1);
	static const char head[] = "{\"method\":\"" TEST_IFACE ".Echo\",\"parameters\":{\"text\":\"";

	memset(text, 'x', size);
	memcpy(text, head, strlen(head));
	memcpy(text + size - 3, "\"}}", 3);
	return text;
}

static void test_size_limit(void **state)
{
	const size_t max = 1 << 20;
	struct rig *rig = *state;

	for (int over = -1; over <= 1; over++) {
		size_t size = max + (size_t)over;
		_cleanup_free_ char *text = echo_of_size(size), *heard = NULL;
		_cleanup_close_ int fd = rig_connect(rig);

		rig->echoes = 0;
		push(rig, fd, text, size + 1);
		heard = hear(rig, fd);
		assert_int_equal(heard == NULL, over > 0);
		assert_int_equal(rig->echoes, over <= 0);
	}
}

/* Without an end it is refused as soon as the limit is passed. */
static void test_endless_call(void **state)
{
	_cleanup_free_ char *text = echo_of_size(8 << 20);
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	assert_int_equal(push(rig, fd, text, 8 << 20), 0);
}

static void test_more_then_pipelined(void **state)
{
	static const char bytes[] = HOLD_MORE("stream") "\0" ECHO("next");
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	say_bytes(fd, bytes, sizeof(bytes));
	rig_wait(rig, &rig->n_held, 1);
	rig_settle(rig);
	assert_int_equal(rig->echoes, 0); /* not before the stream ends */
	rpc_reply_continues(rig->held[0].call, json_pack("{s:s}", "text", "part"));
	rig_settle(rig);
	assert_int_equal(rig->echoes, 0);
	answer(&rig->held[0]);
	expect_reply(rig, fd, "{\"parameters\":{\"text\":\"part\"},\"continues\":true}");
	expect_reply(rig, fd, REPLY("stream"));
	expect_reply(rig, fd, REPLY("next"));
}

/* A plain call that is answered late holds up its own connection only. */
static void test_late_answer(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig), other = rig_connect(rig);

	say(fd, HOLD("late"));
	say(fd, ECHO("after"));
	rig_wait(rig, &rig->n_held, 1);
	say(other, ECHO("other"));
	expect_reply(rig, other, REPLY("other"));
	assert_int_equal(rig->echoes, 1);
	answer(&rig->held[0]);
	expect_reply(rig, fd, REPLY("late"));
	expect_reply(rig, fd, REPLY("after"));
}

static void test_half_close(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	say(fd, ECHO("a"));
	say(fd, HOLD_MORE("b"));
	say(fd, ECHO("c"));
	say_bytes(fd, "{\"unfin", 7);
	shutdown(fd, SHUT_WR);
	rig_wait(rig, &rig->n_held, 1);
	rig_settle(rig);
	assert_int_equal(rig->held[0].gone, 0);
	rpc_reply_continues(rig->held[0].call, NULL);
	answer(&rig->held[0]);
	expect_reply(rig, fd, REPLY("a"));
	expect_reply(rig, fd, "{\"continues\":true}");
	expect_reply(rig, fd, REPLY("b"));
	expect_reply(rig, fd, REPLY("c"));
	expect_reply(rig, fd, NULL);
}

static void test_close_in_stream(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	say(fd, HOLD_MORE("a"));
	rig_wait(rig, &rig->n_held, 1);
	rpc_reply_continues(rig->held[0].call, NULL);
	cleanup_close(&fd);
	rig_wait(rig, &rig->held[0].gone, 1);
	rig_settle(rig);
	assert_int_equal(rig->held[0].gone, 1); /* once */
}

/* Also when so much is unread that the server does not read the socket. */
static void test_close_behind_unread_input(void **state)
{
	_cleanup_free_ char *big = echo_of_size(200000);
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	say(fd, HOLD("a"));
	rig_wait(rig, &rig->n_held, 1);
	ignore_result((int)send(fd, big, 150000, MSG_NOSIGNAL)); /* as much as fits */
	rig_settle(rig);
	cleanup_close(&fd);
	rig_wait(rig, &rig->held[0].gone, 1);
}

/* A handler that did not ask keeps a valid call; its answer goes nowhere. */
static void test_close_unnoticed(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	rig->deaf = 1;
	say(fd, HOLD("a"));
	say(fd, ECHO("b"));
	rig_wait(rig, &rig->n_held, 1);
	cleanup_close(&fd);
	rig_wait(rig, &rig->echoes, 1); /* the call behind it is done too */
	rig_settle(rig);
	assert_int_equal(rpc_call_peer(rig->held[0].call)->uid, geteuid());
	assert_int_equal(rpc_call_writable(rig->held[0].call), 0);
	answer(&rig->held[0]);
}

/* What was sent in whole is done, although nobody waits for the answer. */
static void test_send_and_leave(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	say(fd, ECHO("a"));
	say(fd, "{\"method\":\"" TEST_IFACE ".Echo\",\"parameters\":{\"text\":\"b\"},\"oneway\":true}");
	say(fd, HOLD("c"));
	say(fd, ECHO("d"));
	cleanup_close(&fd);
	rig_wait(rig, &rig->echoes, 3);
	assert_int_equal(rig->held[0].gone, 1);
}

static void test_slow_reader_of_stream(void **state)
{
	const long all = 20 * 1000 * 1000;
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig), other = rig_connect(rig);

	say(fd, "{\"method\":\"" TEST_IFACE ".Flood\",\"parameters\":{\"bytes\":20000000},\"more\":true}");
	rig_settle(rig);
	/* our bound and the kernel's socket buffers */
	assert_in_range(rig->produced, 200 * 1000, 1500 * 1000);
	say(other, ECHO("meanwhile"));
	expect_reply(rig, other, REPLY("meanwhile"));
	for (long heard = 0; heard < all; heard += 1000) {
		_cleanup_free_ char *text = hear(rig, fd);

		assert_non_null(text);
		assert_non_null(strstr(text, "\"continues\":true"));
	}
	expect_reply(rig, fd, "{}");
}

static void test_replies_never_read(void **state)
{
	_cleanup_free_ char *text = echo_of_size(1000);
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);
	int idle = 0, accepted = 0;

	while (idle < 50 && accepted < 20000) {
		if (send(fd, text, 1001, MSG_NOSIGNAL) == 1001) {
			accepted++;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		rig_turn(rig);
		idle++;
	}
	assert_true(accepted < 3000);
	assert_true(rig->echoes < accepted);
	for (int i = 0; i < accepted; i++) {
		_cleanup_free_ char *reply = hear(rig, fd);

		assert_non_null(reply);
	}
	assert_int_equal(rig->echoes, accepted);
}

/* A handler that does not look at rpc_call_writable() loses its client, not our memory. */
static void test_reckless_stream(void **state)
{
	_cleanup_free_ char *text = echo_of_size(1 << 20);
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	say(fd, HOLD_MORE("a"));
	rig_wait(rig, &rig->n_held, 1);
	for (int i = 0; i < 100 && rig->held[0].call; i++)
		rpc_reply_continues(rig->held[0].call, json_pack("{s:s}", "text", text));
	assert_int_equal(rig->held[0].gone, 1);
}

static void test_reply_too_large(void **state)
{
	_cleanup_free_ char *text = echo_of_size(17 << 20);
	_cleanup_free_ char *heard = NULL;
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	say(fd, HOLD("a"));
	rig_wait(rig, &rig->n_held, 1);
	rpc_reply(TAKE_PTR(rig->held[0].call), json_pack("{s:s}", "text", text));
	heard = hear(rig, fd);
	assert_non_null(strstr(heard, "io.vmsnap.Manager.LimitReached"));
}

static void test_unfinished_call_times_out(void **state _unused_)
{
	struct rig *rig = rig_new();
	_cleanup_close_ int fd = -1, idle = -1;

	rig->opts.limits.stall_seconds = 1;
	rig_start(rig);
	fd = rig_connect(rig);
	idle = rig_connect(rig);
	say_bytes(fd, "{\"method\":", 10);
	expect_reply(rig, fd, NULL);
	say(idle, ECHO("still here"));
	expect_reply(rig, idle, REPLY("still here"));
	rig_free(rig);
}

static void test_write_stall_times_out(void **state _unused_)
{
	struct rig *rig = rig_new();
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = echo_of_size(1 << 20);

	rig->opts.limits.stall_seconds = 1;
	rig_start(rig);
	fd = rig_connect(rig);
	say(fd, HOLD_MORE("a"));
	rig_wait(rig, &rig->n_held, 1);
	rpc_reply_continues(rig->held[0].call, json_pack("{s:s}", "text", text));
	rig_wait(rig, &rig->held[0].gone, 1);
	rig_free(rig);
}

/* The time of a call counts only while it is we who wait. */
static void test_busy_is_no_stall(void **state _unused_)
{
	static const char bytes[] = HOLD("a") "\0{\"method\":\"" TEST_IFACE ".Echo\"";
	struct rig *rig = rig_new();
	_cleanup_close_ int fd = -1, probe = -1;

	rig->opts.limits.stall_seconds = 1;
	rig_start(rig);
	fd = rig_connect(rig);
	probe = rig_connect(rig);
	say_bytes(fd, bytes, sizeof(bytes) - 1);
	rig_wait(rig, &rig->n_held, 1);
	say_bytes(probe, "{", 1);
	expect_reply(rig, probe, NULL); /* so much time has passed */
	rig_settle(rig);
	assert_int_equal(rig->held[0].gone, 0);
	answer(&rig->held[0]);
	expect_reply(rig, fd, REPLY("a"));
	say(fd, ",\"parameters\":{\"text\":\"b\"}}");
	expect_reply(rig, fd, REPLY("b"));
	rig_free(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_split_at_every_byte),
		TEST(test_many_in_one_read),
		TEST(test_size_limit),
		TEST(test_endless_call),
		TEST(test_more_then_pipelined),
		TEST(test_late_answer),
		TEST(test_half_close),
		TEST(test_close_in_stream),
		TEST(test_close_behind_unread_input),
		TEST(test_close_unnoticed),
		TEST(test_send_and_leave),
		TEST(test_slow_reader_of_stream),
		TEST(test_replies_never_read),
		TEST(test_reckless_stream),
		TEST(test_reply_too_large),
		cmocka_unit_test(test_unfinished_call_times_out),
		cmocka_unit_test(test_write_stall_times_out),
		cmocka_unit_test(test_busy_is_no_stall),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
