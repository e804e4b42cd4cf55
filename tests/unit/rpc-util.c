/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rig of the server's tests. */
#include "tests/unit/rpc-util.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/timefmt.h"
#include "varlink/message.h"

#define DEADLINE_USEC (30 * 1000000)
#define FLOOD_BYTES 1000

static const struct vl_field nothing[] = { { .name = NULL } };
static const struct vl_field text_in[] = { { "text", VL_STRING, 0, NULL, "Text." }, { .name = NULL } };
static const struct vl_field text_out[] = { { "text", VL_STRING, VL_NULLABLE, NULL, "Text." }, { .name = NULL } };
static const struct vl_field bytes_in[] = { { "bytes", VL_INT, 0, NULL, "How many." }, { .name = NULL } };

static const struct vl_method methods[] = {
	{ "Echo", "Says it again.", text_in, text_out, VL_MORE_NO, VL_ROLE_OBSERVER },
	{ "Hold", "Answers when the test wants it.", text_in, text_out, VL_MORE_SUPPORTED, VL_ROLE_OPERATOR },
	{ "Watch", "Streams.", nothing, text_out, VL_MORE_REQUIRED, VL_ROLE_OBSERVER },
	{ "Flood", "Streams as fast as it may.", bytes_in, text_out, VL_MORE_REQUIRED, VL_ROLE_OBSERVER },
	{ "Secret", "Nobody may call it.", nothing, nothing, VL_MORE_NO, VL_ROLE_ADMIN },
	{ "Unwritten", "Has no handler.", nothing, nothing, VL_MORE_NO, VL_ROLE_OBSERVER },
	{ .name = NULL },
};

static const struct vl_error errors[] = { { .name = NULL } };
static const struct vl_struct *const types[] = { NULL };
static const struct vl_interface iface = { TEST_IFACE, "For tests.", types, methods, errors };

static json_t *text_of(const char *text)
{
	json_t *out = json_object();

	json_object_set_new(out, "text", vl_string(text));
	return out;
}

static void do_echo(struct rpc_call *c, json_t *params, void *ctx)
{
	struct rig *rig = ctx;

	rig->echoes++;
	rig->uid = rpc_call_peer(c)->uid;
	rig->n_groups = rpc_call_peer(c)->n_groups;
	rpc_reply(c, text_of(json_string_value(json_object_get(params, "text"))));
}

static void held_gone(void *arg)
{
	struct held *held = arg;

	held->gone++;
	held->call = NULL;
}

static void do_hold(struct rpc_call *c, json_t *params, void *ctx)
{
	struct rig *rig = ctx;
	struct held *held = &rig->held[rig->n_held];

	assert_true(rig->n_held < (int)ARRAY_SIZE(rig->held));
	rig->n_held++;
	held->call = c;
	held->text = xstrdup(json_string_value(json_object_get(params, "text")));
	if (!rig->deaf)
		rpc_call_on_gone(c, held_gone, held);
}

static void do_watch(struct rpc_call *c, json_t *params _unused_, void *ctx _unused_)
{
	rpc_reply_continues(c, text_of("first"));
	rpc_reply_continues(c, text_of("second"));
	rpc_reply(c, text_of("last"));
}

static void produce(void *arg)
{
	struct rig *rig = arg;
	char text[FLOOD_BYTES + 1];

	memset(text, 'x', FLOOD_BYTES);
	text[FLOOD_BYTES] = '\0';
	while (rig->flood && rig->produced < rig->to_produce && rpc_call_writable(rig->flood)) {
		rig->produced += FLOOD_BYTES;
		rpc_reply_continues(rig->flood, text_of(text));
	}
	if (rig->flood && rig->produced >= rig->to_produce)
		rpc_reply(TAKE_PTR(rig->flood), NULL);
}

static void flood_gone(void *arg)
{
	((struct rig *)arg)->flood = NULL;
}

static void do_flood(struct rpc_call *c, json_t *params, void *ctx)
{
	struct rig *rig = ctx;

	rig->flood = c;
	rig->to_produce = json_integer_value(json_object_get(params, "bytes"));
	rpc_call_on_gone(c, flood_gone, rig);
	rpc_call_on_writable(c, produce, rig);
	produce(rig);
}

static void do_secret(struct rpc_call *c, json_t *params _unused_, void *ctx _unused_)
{
	rpc_reply(c, NULL);
}

static const struct rpc_method handlers[] = {
	{ "Echo", do_echo },   { "Hold", do_hold },	{ "Watch", do_watch },
	{ "Flood", do_flood }, { "Secret", do_secret }, { NULL, NULL },
};

static int authorize(void *ctx _unused_, const struct rpc_peer *peer _unused_, const struct vl_method *method)
{
	return method->role == VL_ROLE_ADMIN ? -EACCES : 0;
}

static void on_tick(evutil_socket_t fd _unused_, short what _unused_, void *arg _unused_)
{
}

struct rig *rig_new(void)
{
	struct rig *rig = xcalloc(1, sizeof(*rig));
	struct event_config *config = event_config_new();
	struct timeval tick = { .tv_usec = 2000 };

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	assert_int_equal(event_config_require_features(config, EV_FEATURE_EARLY_CLOSE), 0);
	rig->base = event_base_new_with_config(config);
	event_config_free(config);
	assert_non_null(rig->base);
	rig->tick = event_new(rig->base, -1, EV_PERSIST, on_tick, NULL);
	event_add(rig->tick, &tick);
	strcpy(rig->dir, "/tmp/vmsnap-rpc-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	rig->path = path_join(rig->dir, "sock");
	rig->opts = (struct rpc_options){
		.path = rig->path, .fd = -1, .iface = &iface, .methods = handlers, .ctx = rig,
		.authorize = authorize, .vendor = "the tests", .product = "rig", .version = "1",
		.url = "https://example.org/",
	};
	return rig;
}

void rig_start(struct rig *rig)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (rpc_server_start(rig->base, &rig->opts, &rig->srv, &err) < 0)
		fail_msg("%s", err.message);
}

void rig_free(struct rig *rig)
{
	rpc_server_stop(rig->srv);
	for (int i = 0; i < rig->n_held; i++) {
		if (rig->held[i].call)
			answer(&rig->held[i]);
		free(rig->held[i].text);
	}
	event_free(rig->tick);
	event_base_free(rig->base);
	unlink(rig->path);
	rmdir(rig->dir);
	free(rig->path);
	free(rig);
}

int rig_setup(void **state)
{
	struct rig *rig = rig_new();

	rig_start(rig);
	*state = rig;
	return 0;
}

int rig_teardown(void **state)
{
	rig_free(*state);
	return 0;
}

int rig_connect(struct rig *rig)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	strcpy(addr.sun_path, rig->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

void rig_turn(struct rig *rig)
{
	assert_true(event_base_loop(rig->base, EVLOOP_ONCE) >= 0);
}

void rig_wait(struct rig *rig, const int *value, int wanted)
{
	int64_t deadline = time_mono_usec() + DEADLINE_USEC;

	while (*value < wanted) {
		if (time_mono_usec() > deadline)
			fail_msg("the server did not get there in time");
		rig_turn(rig);
	}
}

/* Each turn ends with a tick at the latest, when all that was ready has been done. */
void rig_settle(struct rig *rig)
{
	for (int i = 0; i < 20; i++)
		rig_turn(rig);
}

void say_bytes(int fd, const void *bytes, size_t len)
{
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

void say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text) + 1);
}

void call(int fd, const char *method, const char *params)
{
	_cleanup_free_ char *text =
		xasprintf("{\"method\":\"%s.%s\",\"parameters\":%s}", TEST_IFACE, method, params ? params : "{}");

	say(fd, text);
}

/* Takes bytes up to and with the next NUL, if there are any. Returns -1 when the
 * server has closed, 1 when the NUL was among them, else 0. */
static int take_some(int fd, char **text, size_t *len)
{
	char buf[65536];
	const char *nul;
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_PEEK);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		return -1;
	if (n < 0)
		return 0;
	nul = memchr(buf, '\0', (size_t)n);
	if (nul)
		n = nul - buf + 1;
	assert_int_equal(recv(fd, buf, (size_t)n, 0), n);
	*text = xreallocarray(*text, *len + (size_t)n, 1);
	memcpy(*text + *len, buf, (size_t)n);
	*len += (size_t)n;
	return nul != NULL;
}

char *hear(struct rig *rig, int fd)
{
	int64_t deadline = time_mono_usec() + DEADLINE_USEC;
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	while ((r = take_some(fd, &text, &len)) == 0) {
		if (time_mono_usec() > deadline)
			fail_msg("no message in time");
		rig_turn(rig);
	}
	return r < 0 ? NULL : TAKE_PTR(text);
}

void expect_reply(struct rig *rig, int fd, const char *text)
{
	_cleanup_free_ char *heard = hear(rig, fd);

	if (!text && heard)
		fail_msg("heard %s, but the server should have closed", heard);
	if (text && !heard)
		fail_msg("the server closed instead of saying %s", text);
	if (text)
		assert_string_equal(heard, text);
}

void expect_error(struct rig *rig, int fd, const char *name, const char *params)
{
	_cleanup_free_ char *text = params ? xasprintf("{\"error\":\"%s\",\"parameters\":%s}", name, params) :
					     xasprintf("{\"error\":\"%s\"}", name);

	expect_reply(rig, fd, text);
}

void answer(struct held *held)
{
	rpc_reply(TAKE_PTR(held->call), text_of(held->text));
}
