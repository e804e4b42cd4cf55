/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the rpc-server*.c and rpc-conn*.c files share; nobody else includes it.
 *
 * Lives: a connection belongs to its server's list and is freed by its own timer
 * in a later turn of the loop (rpc_conn_drop() only marks it), so that no
 * callback ever returns into freed memory. A call belongs to its handler until
 * the handler ends it; if the client goes away first it loses its connection
 * (conn NULL) and answers go nowhere. */
#ifndef DAEMON_RPC_CONN_H
#define DAEMON_RPC_CONN_H

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "daemon/rpc.h"
#include "varlink/frame.h"
#include "varlink/message.h"

/* Root keeps this many connections when all others are taken. */
#define RPC_RESERVED 8

/* The other end's identity, shared by a connection and its calls. */
struct rpc_identity {
	unsigned refs;
	struct rpc_peer peer; /* groups *owned* */
};

struct rpc_server {
	struct event_base *base;
	struct rpc_options opts; /* limits with the defaults filled in */
	int fd;                  /* listening socket, -1 if there is none */
	char *path;              /* socket to remove at the end, *owned*, or NULL */
	dev_t dev;
	ino_t ino;
	struct event *accept_event, *resume_event;
	struct rpc_conn *conns;
	int n_conns;
	int64_t refused_logged_usec; /* monotonic */
	unsigned refused;            /* since then */
};

struct rpc_conn {
	struct rpc_server *srv;
	struct rpc_conn *prev, *next;
	struct rpc_identity *who;
	struct bufferevent *bev;
	struct event *closed_event; /* the peer shut down or closed */
	struct event *turn_event;   /* go on, or be freed, in the next turn of the loop */
	struct event *stall_event;  /* a call stays unfinished */
	struct frame *frame;
	struct rpc_call *call; /* the one that is being answered, or NULL */
	int eof;               /* nothing more comes */
	int refused;           /* it broke the rules: nothing more is taken from it */
	int gone;              /* nobody reads our replies */
	int dead;              /* to be freed */
	int full;              /* too much is unsent; cleared when little enough is */
	int dispatching;       /* inside a handler's call */
	int stall_armed;
};

struct rpc_call {
	struct rpc_conn *conn; /* NULL when the client has gone */
	struct rpc_identity *who;
	const struct vl_method *method; /* NULL until it is known */
	json_t *params;
	char *name; /* whole name, as it came */
	int more, oneway;
	int leaving; /* its gone function runs at the moment */
	void (*writable_fn)(void *arg);
	void *writable_arg;
	void (*gone_fn)(void *arg);
	void *gone_arg;
};

/* rpc-conn-peer.c */

/* Reads who is at the other end of the socket fd. ret_who *owned*. Returns 0 or negative errno. */
_must_check_ int rpc_identity_read(int fd, struct rpc_identity **ret_who, struct err *reterr);

/* One more owner of who. Returns it *owned*. */
struct rpc_identity *rpc_identity_ref(struct rpc_identity *who);

/* One owner less (*taken*, may be NULL). */
void rpc_identity_unref(struct rpc_identity *who);
DEFINE_CLEANUP(struct rpc_identity, rpc_identity_unref);

/* rpc-server-socket.c */

/* Binds and listens on path, 0660, replacing a dead socket. ret_fd *owned*. Returns 0 or negative errno. */
_must_check_ int rpc_socket_listen(const char *path, int *ret_fd, struct err *reterr);

/* rpc-conn.c */

/* Serves the connected socket fd (*taken* on success). Returns 0 or negative errno. */
_must_check_ int rpc_conn_start(struct rpc_server *srv, int fd, struct rpc_identity *who, struct err *reterr);

/* Ends the connection soon; its call is told. why (*borrowed*) is for the log. */
void rpc_conn_drop(struct rpc_conn *conn, const char *why);

/* The peer does not read any more: what is unsent is dropped and the call is told. */
void rpc_conn_peer_gone(struct rpc_conn *conn);

/* Sends one message (without NUL, *borrowed*). */
void rpc_conn_send(struct rpc_conn *conn, const char *text);

/* Looks for more to do in the next turn of the loop. */
void rpc_conn_continue(struct rpc_conn *conn);

/* Bytes that are not sent yet. */
size_t rpc_conn_unsent(const struct rpc_conn *conn);

/* Frees it at once; for the server's end. */
void rpc_conn_free(struct rpc_conn *conn);

/* rpc-conn-call.c */

/* Makes the call that is being answered on conn; parsed is emptied into it. */
struct rpc_call *rpc_call_new(struct rpc_conn *conn, struct vl_call *parsed);

/* The client went away: tells the handler, if it asked for that. */
void rpc_call_leave(struct rpc_call *call);

/* rpc-conn-dispatch.c */

/* Handles one message. Returns 0, or -EPROTO: close the connection. */
_must_check_ int rpc_dispatch(struct rpc_conn *conn, const char *msg, size_t len);

#endif
