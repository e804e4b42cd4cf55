/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One connection: bytes in, calls to the dispatcher one after the other, replies
 * out; bounded in memory and time whatever the peer does. */
#include <event2/buffer.h>
#include <poll.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "daemon/rpc-conn.h"

/* What libevent may read ahead; an unfinished call grows in the splitter. */
#define READ_AHEAD (64 * 1024)

/* Calls that are handled before others get their turn. */
#define CALLS_PER_TURN 64

/* Unsent bytes at which a client is given up that asked for streams faster than
 * it reads and whose handlers do not look at rpc_call_writable(). */
#define MAX_UNSENT (2 * (size_t)VL_MAX_REPLY)

static size_t low_mark(const struct rpc_conn *conn)
{
	return conn->srv->opts.limits.pause_output / 2;
}

static struct timeval stall_time(const struct rpc_conn *conn)
{
	return (struct timeval){ .tv_sec = conn->srv->opts.limits.stall_seconds };
}

size_t rpc_conn_unsent(const struct rpc_conn *conn)
{
	return evbuffer_get_length(bufferevent_get_output(conn->bev));
}

/* A timer of no time runs in the next turn, after the other connections; an
 * activated event would run in this one. */
void rpc_conn_continue(struct rpc_conn *conn)
{
	struct timeval now = { 0 };

	event_add(conn->turn_event, &now);
}

void rpc_conn_drop(struct rpc_conn *conn, const char *why)
{
	if (conn->dead)
		return;
	log_debug("connection of uid %u pid %d: closed, %s", (unsigned)conn->who->peer.uid,
		  (int)conn->who->peer.pid, why);
	conn->dead = 1;
	rpc_conn_peer_gone(conn);
	bufferevent_disable(conn->bev, EV_READ | EV_WRITE);
	bufferevent_setcb(conn->bev, NULL, NULL, NULL, NULL);
	event_del(conn->stall_event);
	rpc_conn_continue(conn);
}

void rpc_conn_peer_gone(struct rpc_conn *conn)
{
	struct evbuffer *output = bufferevent_get_output(conn->bev);

	if (conn->gone)
		return;
	conn->gone = 1;
	conn->full = 0;
	event_del(conn->closed_event);
	bufferevent_disable(conn->bev, EV_WRITE);
	evbuffer_drain(output, evbuffer_get_length(output));
	/* Inside a handler its call is told when the handler has returned. */
	if (conn->call && !conn->dispatching)
		rpc_call_leave(conn->call);
	rpc_conn_continue(conn);
}

void rpc_conn_send(struct rpc_conn *conn, const char *text)
{
	if (conn->gone)
		return;
	if (bufferevent_write(conn->bev, text, strlen(text) + 1) < 0)
		abort(); /* out of memory, as in common/alloc.h */
	if (rpc_conn_unsent(conn) > conn->srv->opts.limits.pause_output)
		conn->full = 1;
	if (rpc_conn_unsent(conn) > MAX_UNSENT) {
		log_warning("connection of uid %u pid %d: given up, it does not read its replies",
			    (unsigned)conn->who->peer.uid, (int)conn->who->peer.pid);
		rpc_conn_peer_gone(conn);
	}
}

/* Next whole call: from the splitter, or from what libevent has read. Returns as
 * frame_next(). */
static int next_call(struct rpc_conn *conn, const char **ret_msg, size_t *ret_len)
{
	struct evbuffer *input = bufferevent_get_input(conn->bev);
	int r;

	while ((r = frame_next(conn->frame, ret_msg, ret_len)) == 0) {
		size_t n = evbuffer_get_contiguous_space(input);

		if (n == 0)
			return 0;
		r = frame_feed(conn->frame, evbuffer_pullup(input, (ev_ssize_t)n), n);
		evbuffer_drain(input, n);
		if (r < 0)
			return r;
	}
	return r;
}

/* An unfinished call has stall_seconds from when we began to read it. */
static void watch_stall(struct rpc_conn *conn, int calls_read)
{
	struct timeval time = stall_time(conn);

	if (frame_pending(conn->frame) == 0) {
		event_del(conn->stall_event);
		conn->stall_armed = 0;
	} else if (!conn->stall_armed || calls_read > 0) {
		event_add(conn->stall_event, &time);
		conn->stall_armed = 1;
	}
}

/* Reads nothing while a call is being answered or the client does not read. The
 * high watermark alone would not do: libevent 2.1 calls on_read() again and again
 * while that much lies there. That the client leaves is seen by on_closed(). */
static void pace_reading(struct rpc_conn *conn)
{
	struct evbuffer *input = bufferevent_get_input(conn->bev);

	if (conn->eof)
		return;
	if (!conn->call && !conn->full)
		bufferevent_enable(conn->bev, EV_READ);
	else if (evbuffer_get_length(input) > 0)
		bufferevent_disable(conn->bev, EV_READ);
}

/* Takes nothing more from a client that breaks the rules; it still gets the
 * replies to what it sent before. */
static void refuse(struct rpc_conn *conn, const char *why)
{
	log_debug("connection of uid %u pid %d: refused, %s", (unsigned)conn->who->peer.uid,
		  (int)conn->who->peer.pid, why);
	conn->refused = 1;
	conn->eof = 1;
	bufferevent_disable(conn->bev, EV_READ);
	event_del(conn->stall_event);
}

/* Ends the connection when nothing more comes in and all has gone out. */
static void finish_if_done(struct rpc_conn *conn)
{
	if (conn->eof && !conn->call && (conn->gone || rpc_conn_unsent(conn) == 0))
		rpc_conn_drop(conn, "the client has left");
}

/* Handles the calls that are there, in their order: the next one only when the
 * one before is answered, and none while the client does not read. What has come
 * in whole is done even if the client has left since, so that what happens does
 * not depend on who is faster. */
static void serve(struct rpc_conn *conn)
{
	const char *msg;
	size_t len;
	int n, r = 1;

	for (n = 0; n < CALLS_PER_TURN && !conn->refused && !conn->dead && !conn->call && !conn->full; n++) {
		r = next_call(conn, &msg, &len);
		if (r <= 0)
			break;
		r = rpc_dispatch(conn, msg, len);
		if (r < 0)
			break;
	}
	if (conn->dead)
		return;
	if (r < 0)
		refuse(conn, r == -EMSGSIZE ? "the call is too large" : "the message is malformed");
	if (!conn->refused)
		watch_stall(conn, n);
	pace_reading(conn);
	if (n == CALLS_PER_TURN)
		rpc_conn_continue(conn);
	else if (r == 0 || conn->refused)
		finish_if_done(conn);
}

static void on_read(struct bufferevent *bev _unused_, void *arg)
{
	serve(arg);
}

/* Little enough is unsent (the low watermark). */
static void on_write(struct bufferevent *bev _unused_, void *arg)
{
	struct rpc_conn *conn = arg;
	struct rpc_call *call = conn->call;

	if (conn->full) {
		conn->full = 0;
		if (call && call->writable_fn)
			call->writable_fn(call->writable_arg);
	}
	serve(conn);
}

/* Is the other end closed, not only shut down for writing? */
static int hung_up(struct rpc_conn *conn)
{
	struct pollfd p = { .fd = bufferevent_getfd(conn->bev) };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

static void on_event(struct bufferevent *bev _unused_, short what, void *arg)
{
	struct rpc_conn *conn = arg;

	if (what & BEV_EVENT_TIMEOUT) {
		rpc_conn_drop(conn, "it does not read its replies");
		return;
	}
	if (what & BEV_EVENT_READING)
		conn->eof = 1;
	if ((what & BEV_EVENT_ERROR) || hung_up(conn))
		rpc_conn_peer_gone(conn);
	serve(conn);
}

/* Tells a client that left from one that has only finished sending ("nc -N"),
 * also while its input is not being read. */
static void on_closed(evutil_socket_t fd _unused_, short what _unused_, void *arg)
{
	struct rpc_conn *conn = arg;

	if (hung_up(conn))
		rpc_conn_peer_gone(conn);
	else
		event_del(conn->closed_event); /* it is level-triggered and has told all it can */
}

static void on_turn(evutil_socket_t fd _unused_, short what _unused_, void *arg)
{
	struct rpc_conn *conn = arg;

	if (conn->dead)
		rpc_conn_free(conn);
	else
		serve(conn);
}

static void on_stall(evutil_socket_t fd _unused_, short what _unused_, void *arg)
{
	struct rpc_conn *conn = arg;

	conn->stall_armed = 0;
	if (conn->call || conn->full)
		watch_stall(conn, 0); /* it is we who do not read */
	else
		rpc_conn_drop(conn, "its call stays unfinished");
}

static void link_conn(struct rpc_conn *conn)
{
	struct rpc_server *srv = conn->srv;

	conn->next = srv->conns;
	if (conn->next)
		conn->next->prev = conn;
	srv->conns = conn;
	srv->n_conns++;
}

static void unlink_conn(struct rpc_conn *conn)
{
	if (conn->prev)
		conn->prev->next = conn->next;
	else
		conn->srv->conns = conn->next;
	if (conn->next)
		conn->next->prev = conn->prev;
	conn->srv->n_conns--;
}

void rpc_conn_free(struct rpc_conn *conn)
{
	if (conn->call)
		rpc_call_leave(conn->call);
	unlink_conn(conn);
	event_free(conn->closed_event);
	event_free(conn->turn_event);
	event_free(conn->stall_event);
	bufferevent_free(conn->bev);
	frame_free(conn->frame);
	rpc_identity_unref(conn->who);
	free(conn);
}

int rpc_conn_start(struct rpc_server *srv, int fd, struct rpc_identity *who, struct err *reterr)
{
	struct rpc_conn *conn;
	struct bufferevent *bev;
	struct timeval stall;

	if (evutil_make_socket_nonblocking(fd) < 0)
		return err_errno(reterr, -errno, "cannot prepare a connection");
	bev = bufferevent_socket_new(srv->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!bev)
		return err_set(reterr, ERR_FAILED, -ENOMEM, "cannot prepare a connection");
	conn = xcalloc(1, sizeof(*conn));
	conn->srv = srv;
	conn->bev = bev;
	conn->who = rpc_identity_ref(who);
	conn->frame = frame_new(srv->opts.limits.max_call);
	conn->closed_event = event_new(srv->base, fd, EV_CLOSED | EV_PERSIST, on_closed, conn);
	conn->turn_event = evtimer_new(srv->base, on_turn, conn);
	conn->stall_event = evtimer_new(srv->base, on_stall, conn);
	if (!conn->closed_event || !conn->turn_event || !conn->stall_event)
		abort(); /* out of memory, as in common/alloc.h */
	link_conn(conn);
	stall = stall_time(conn);
	bufferevent_setwatermark(bev, EV_READ, 0, READ_AHEAD);
	bufferevent_setwatermark(bev, EV_WRITE, low_mark(conn), 0);
	bufferevent_set_timeouts(bev, NULL, &stall);
	bufferevent_setcb(bev, on_read, on_write, on_event, conn);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	event_add(conn->closed_event, NULL);
	return 0;
}
