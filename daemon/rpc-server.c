/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The listening side: who gets a connection, and what happens when there are too
 * many or no descriptors are left. */
#define _GNU_SOURCE /* accept4() */

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/rpc-conn.h"

/* Connections taken before others get their turn. */
#define ACCEPTS_PER_TURN 16

/* How long accepting rests when the process has no descriptors left, and how
 * often at most refused connections are logged. */
#define ACCEPT_PAUSE_SECONDS 1
#define REFUSED_LOG_USEC (10 * 1000000)

static int count_of_uid(const struct rpc_server *srv, uid_t uid)
{
	int n = 0;

	for (const struct rpc_conn *c = srv->conns; c; c = c->next)
		n += c->who->peer.uid == uid;
	return n;
}

/* Root is never kept out by others: it can still look and cancel. */
static int may_connect(const struct rpc_server *srv, uid_t uid)
{
	const struct rpc_limits *l = &srv->opts.limits;

	if (uid == 0)
		return srv->n_conns < l->connections;
	return srv->n_conns < l->connections - RPC_RESERVED && count_of_uid(srv, uid) < l->per_uid;
}

static void log_refused(struct rpc_server *srv, uid_t uid)
{
	int64_t now = time_mono_usec();

	srv->refused++;
	if (srv->refused_logged_usec && now - srv->refused_logged_usec < REFUSED_LOG_USEC)
		return;
	log_warning("too many connections: refused one of uid %u (%u since the last such line)", (unsigned)uid,
		    srv->refused);
	srv->refused_logged_usec = now;
	srv->refused = 0;
}

/* Serves a connection, or closes it without a word if it is one too many. */
static int take_connection(struct rpc_server *srv, int taken_fd, struct err *reterr)
{
	_cleanup_(rpc_identity_unrefp) struct rpc_identity *who = NULL;
	_cleanup_close_ int fd = taken_fd;
	int r;

	r = rpc_identity_read(fd, &who, reterr);
	if (r < 0)
		return r;
	if (!may_connect(srv, who->peer.uid)) {
		log_refused(srv, who->peer.uid);
		return 0;
	}
	r = rpc_conn_start(srv, fd, who, reterr);
	if (r < 0)
		return r;
	fd = -1; /* the connection has it now */
	return 0;
}

static void on_accept(evutil_socket_t fd, short what _unused_, void *arg)
{
	struct timeval pause = { .tv_sec = ACCEPT_PAUSE_SECONDS };
	struct rpc_server *srv = arg;

	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		_cleanup_err_ struct err err = ERR_INIT;
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (client >= 0) {
			if (take_connection(srv, client, &err) < 0)
				log_err(LOG_LEVEL_WARNING, &err, "connection dropped");
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		/* No descriptors or no memory: the client stays in the backlog, and
		 * asking again at once would only burn a CPU. */
		log_warning("cannot accept a connection, trying again in %d s: %s", ACCEPT_PAUSE_SECONDS,
			    strerror(errno));
		event_del(srv->accept_event);
		event_add(srv->resume_event, &pause);
		return;
	}
}

static void on_resume(evutil_socket_t fd _unused_, short what _unused_, void *arg)
{
	struct rpc_server *srv = arg;

	event_add(srv->accept_event, NULL);
}

static void fill_defaults(struct rpc_limits *l)
{
	if (!l->max_call)
		l->max_call = VL_MAX_CALL;
	if (!l->pause_output)
		l->pause_output = 256 * 1024;
	if (!l->connections)
		l->connections = 256;
	if (!l->per_uid)
		l->per_uid = 32;
	if (!l->stall_seconds)
		l->stall_seconds = 30;
}

/* A row that names no method is a slip of the pen that would never be noticed. */
static int check_methods(const struct rpc_options *opts, struct err *reterr)
{
	for (const struct rpc_method *m = opts->methods; m->name; m++)
		if (!vl_find_method(opts->iface, m->name))
			return err_set(reterr, ERR_INVALID, -EINVAL, "the interface %s has no method %s",
				       opts->iface->name, m->name);
	return 0;
}

/* Remembers the socket file that is ours, to remove that one and no other. */
static void remember_path(struct rpc_server *srv, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return;
	srv->path = xstrdup(path);
	srv->dev = st.st_dev;
	srv->ino = st.st_ino;
}

static void forget_path(struct rpc_server *srv)
{
	struct stat st;

	if (srv->path && lstat(srv->path, &st) == 0 && st.st_dev == srv->dev && st.st_ino == srv->ino)
		unlink(srv->path);
	free(srv->path);
}

static int start_accepting(struct rpc_server *srv, struct err *reterr)
{
	srv->accept_event = event_new(srv->base, srv->fd, EV_READ | EV_PERSIST, on_accept, srv);
	srv->resume_event = evtimer_new(srv->base, on_resume, srv);
	if (!srv->accept_event || !srv->resume_event || event_add(srv->accept_event, NULL) < 0)
		return err_set(reterr, ERR_FAILED, -ENOMEM, "cannot wait for connections");
	return 0;
}

/* An inherited descriptor is a listening socket or, with "exec:" and the like,
 * one connection. */
static int use_inherited(struct rpc_server *srv, int fd, struct err *reterr)
{
	int listening = 0;
	socklen_t len = sizeof(listening);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
		return err_errno(reterr, -errno, "cannot use the inherited descriptor %d as a socket", fd);
	if (evutil_make_socket_closeonexec(fd) < 0 || evutil_make_socket_nonblocking(fd) < 0)
		return err_errno(reterr, -errno, "cannot prepare the inherited socket %d", fd);
	if (!listening)
		return take_connection(srv, fd, reterr);
	srv->fd = fd;
	return start_accepting(srv, reterr);
}

DEFINE_CLEANUP(struct rpc_server, rpc_server_stop);

int rpc_server_start(struct event_base *base, const struct rpc_options *opts, struct rpc_server **ret_server,
		     struct err *reterr)
{
	_cleanup_(rpc_server_stopp) struct rpc_server *srv = NULL;
	int r;

	if (!(event_base_get_features(base) & EV_FEATURE_EARLY_CLOSE))
		return err_set(reterr, ERR_FAILED, -ENOTSUP, "the event loop cannot tell when a client leaves");
	r = check_methods(opts, reterr);
	if (r < 0)
		return r;
	srv = xcalloc(1, sizeof(*srv));
	srv->base = base;
	srv->opts = *opts;
	srv->fd = -1;
	fill_defaults(&srv->opts.limits);
	if (opts->path) {
		r = rpc_socket_listen(opts->path, &srv->fd, reterr);
		if (r < 0)
			return r;
		remember_path(srv, opts->path);
		r = start_accepting(srv, reterr);
	} else {
		r = use_inherited(srv, opts->fd, reterr);
	}
	if (r < 0)
		return r;
	*ret_server = TAKE_PTR(srv);
	return 0;
}

void rpc_server_stop(struct rpc_server *srv)
{
	if (!srv)
		return;
	if (srv->accept_event)
		event_free(srv->accept_event);
	if (srv->resume_event)
		event_free(srv->resume_event);
	while (srv->conns)
		rpc_conn_free(srv->conns);
	if (srv->fd >= 0)
		close(srv->fd);
	forget_path(srv);
	free(srv);
}
