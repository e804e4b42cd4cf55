/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A call between its dispatch and its last reply. */
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "daemon/rpc-conn.h"

struct rpc_call *rpc_call_new(struct rpc_conn *conn, struct vl_call *parsed)
{
	struct rpc_call *call = xcalloc(1, sizeof(*call));

	call->conn = conn;
	call->who = rpc_identity_ref(conn->who);
	call->name = TAKE_PTR(parsed->method);
	call->params = TAKE_PTR(parsed->parameters);
	call->more = parsed->more;
	call->oneway = parsed->oneway;
	conn->call = call;
	return call;
}

static void call_free(struct rpc_call *call)
{
	rpc_identity_unref(call->who);
	json_decref(call->params);
	free(call->name);
	free(call);
}

void rpc_call_leave(struct rpc_call *call)
{
	call->conn->call = NULL;
	call->conn = NULL;
	if (!call->gone_fn)
		return; /* the handler will end it and free it so */
	call->leaving = 1;
	call->gone_fn(call->gone_arg);
	call_free(call);
}

/* The call has had its last reply. */
static void call_end(struct rpc_call *call)
{
	struct rpc_conn *conn = call->conn;

	if (call->leaving)
		return; /* rpc_call_leave() frees it */
	if (conn) {
		conn->call = NULL;
		if (!conn->dispatching)
			rpc_conn_continue(conn);
	}
	call_free(call);
}

/* A reply that the tables do not allow is a bug of the handler; it is sent all the
 * same, because the client's caller may do with it what we cannot know. */
static void check_reply(const struct rpc_call *call _unused_, json_t *out _unused_)
{
#ifndef NDEBUG
	_cleanup_json_ json_t *empty = json_object();
	const char *field;

	if (call->method && vl_validate(call->method->out, out ? out : empty, 0, &field) < 0)
		log_error("bug: the reply of %s does not fit its description: field '%s'", call->name, field);
#endif
}

/* Sends a reply, unless nobody wants one. */
static void send_reply(struct rpc_call *call, const char *error, json_t *params, int continues)
{
	_cleanup_free_ char *text = NULL;

	if (!call->conn || call->conn->gone || call->oneway)
		return;
	text = vl_reply_format(error, params, continues);
	if (strlen(text) > VL_MAX_REPLY) {
		_cleanup_err_ struct err err = ERR_INIT;
		_cleanup_json_ json_t *why = NULL;

		ignore_result(err_set(&err, ERR_LIMIT, -EMSGSIZE,
				      "the reply of %s would be larger than the 16 MiB that clients accept",
				      call->name));
		log_err(LOG_LEVEL_ERROR, &err, "not sent");
		if (continues)
			return;
		why = rpc_error_params(&err);
		free(text);
		text = vl_reply_format(rpc_error_name(err.kind), why, 0);
	}
	rpc_conn_send(call->conn, text);
}

int rpc_call_more(const struct rpc_call *call)
{
	return call->more;
}

const struct rpc_peer *rpc_call_peer(const struct rpc_call *call)
{
	return &call->who->peer;
}

void rpc_reply(struct rpc_call *call, json_t *out)
{
	_cleanup_json_ json_t *params = out;

	check_reply(call, params);
	send_reply(call, NULL, params, 0);
	call_end(call);
}

void rpc_reply_continues(struct rpc_call *call, json_t *out)
{
	_cleanup_json_ json_t *params = out;

	check_reply(call, params);
	if (!call->more) {
		log_error("bug: %s replied twice to a call without 'more'", call->name);
		return;
	}
	send_reply(call, NULL, params, 1);
}

void rpc_error(struct rpc_call *call, const struct err *err)
{
	rpc_error_named(call, rpc_error_name(err->kind), rpc_error_params(err));
}

void rpc_error_named(struct rpc_call *call, const char *error, json_t *params)
{
	_cleanup_json_ json_t *p = params;

	send_reply(call, error, p, 0);
	call_end(call);
}

int rpc_call_writable(const struct rpc_call *call)
{
	return call->conn && !call->conn->full;
}

void rpc_call_on_writable(struct rpc_call *call, void (*fn)(void *arg), void *arg)
{
	call->writable_fn = fn;
	call->writable_arg = arg;
}

void rpc_call_on_gone(struct rpc_call *call, void (*fn)(void *arg), void *arg)
{
	call->gone_fn = fn;
	call->gone_arg = arg;
}
