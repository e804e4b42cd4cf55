/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's side of Varlink: listening socket, connections, dispatch by the
 * tables of varlink/. Everything here runs in the main loop's thread; handlers
 * return at once and answer later. */
#ifndef DAEMON_RPC_H
#define DAEMON_RPC_H

#include <event2/event.h>
#include <jansson.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "varlink/iface.h"

struct rpc_server;
struct rpc_call;

/* Who is at the other end, from SO_PEERCRED and SO_PEERGROUPS. */
struct rpc_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid; /* for the log only: pids are reused */
	const gid_t *groups;
	size_t n_groups;
};

/* A method's handler: params (*borrowed* until the call ends and the handler has
 * returned) are validated already. Exactly one
 * rpc_reply() or rpc_error() ends the call, now or later. ctx is the server's. */
typedef void (*rpc_handler)(struct rpc_call *call, json_t *params, void *ctx);

struct rpc_method {
	const char *name; /* short: "ListVMs"; ends with NULL */
	rpc_handler handler;
};

/* Limits; zeros mean the defaults that io.vmsnap.Manager(7) names. */
struct rpc_limits {
	size_t max_call;              /* bytes, 1 MiB */
	size_t pause_output;          /* bytes, 256 KiB */
	int connections, per_uid;     /* 256, 32 (root is exempt of the second) */
	int stall_seconds;            /* 30: write stall, unfinished call */
};

struct rpc_options {
	const char *path;             /* socket to bind, or NULL if fd is given */
	int fd;                       /* inherited socket, listening or connected (*taken*), or -1 */
	struct rpc_limits limits;
	const struct vl_interface *iface;
	const struct rpc_method *methods; /* one row for each method of iface */
	void *ctx;                    /* *borrowed* for the server's life */
	/* May this peer call that method? Returns 0 or -EACCES. */
	int (*authorize)(void *ctx, const struct rpc_peer *peer, const struct vl_method *method);
	const char *vendor, *product, *version, *url; /* *borrowed* for the server's life, as the tables are */
};

/* Starts serving on base. A socket that somebody answers on is refused
 * (-EADDRINUSE), a dead one is replaced; mode 0660. ret_server *owned*. Returns 0
 * or negative errno. */
_must_check_ int rpc_server_start(struct event_base *base, const struct rpc_options *opts,
				  struct rpc_server **ret_server, struct err *reterr);

/* Stops accepting, closes all connections, removes a socket it made. Open calls
 * are told gone. (*taken*, may be NULL.) */
void rpc_server_stop(struct rpc_server *srv);

/* 1 if the caller asked for a stream of replies. */
int rpc_call_more(const struct rpc_call *call);

/* Who calls (*borrowed* for the call's life). */
const struct rpc_peer *rpc_call_peer(const struct rpc_call *call);

/* Ends the call with out (*taken*; NULL: empty). */
void rpc_reply(struct rpc_call *call, json_t *out);

/* One of several replies (only if rpc_call_more()); out *taken*. */
void rpc_reply_continues(struct rpc_call *call, json_t *out);

/* Ends the call with the error of io.vmsnap.Manager that fits err's kind. */
void rpc_error(struct rpc_call *call, const struct err *err);

/* Ends the call with a named error ("org.varlink.service.ExpectedMore"); params *taken*. */
void rpc_error_named(struct rpc_call *call, const char *error, json_t *params);

/* 1 if little enough is unsent that another progress reply makes sense. */
int rpc_call_writable(const struct rpc_call *call);

/* fn(arg) is called when rpc_call_writable() becomes true again (may be NULL). */
void rpc_call_on_writable(struct rpc_call *call, void (*fn)(void *arg), void *arg);

/* fn(arg) is called once if the client goes away before the call ended; the call
 * must not be used after fn returns. Set it before the handler returns. Without
 * it the call stays valid when the client has gone: its replies go nowhere, and
 * the handler still ends it. */
void rpc_call_on_gone(struct rpc_call *call, void (*fn)(void *arg), void *arg);

/* The error name ("io.vmsnap.Manager.VMBusy") and parameters (*owned*) for err. */
const char *rpc_error_name(enum err_kind kind);
json_t *rpc_error_params(const struct err *err); /* as rpc_error_name() */

#endif
