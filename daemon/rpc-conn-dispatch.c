/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a message to its handler: everything that can be checked by the tables is
 * checked here, for all methods alike. */
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "daemon/rpc-conn.h"
#include "varlink/manager.h"

/* A service error with one string parameter, or none (key NULL). */
static void service_error(struct rpc_call *call, const char *error, const char *key, const char *value)
{
	_cleanup_free_ char *name = xasprintf("%s.%s", VL_SERVICE, error);
	json_t *params = json_object();

	if (key && json_object_set_new(params, key, vl_string(value)) < 0)
		abort(); /* out of memory, as in common/alloc.h */
	rpc_error_named(call, name, params);
}

/* Adds value (*taken*) to obj. */
static void put(json_t *obj, const char *key, json_t *value)
{
	if (json_object_set_new(obj, key, value) < 0)
		abort();
}

static void get_info(struct rpc_call *call, json_t *params _unused_, void *ctx)
{
	const struct rpc_options *opts = &((struct rpc_server *)ctx)->opts;
	json_t *out = json_object();

	put(out, "vendor", vl_string(opts->vendor));
	put(out, "product", vl_string(opts->product));
	put(out, "version", vl_string(opts->version));
	put(out, "url", vl_string(opts->url));
	put(out, "interfaces", json_pack("[s, s]", vl_service.name, opts->iface->name));
	rpc_reply(call, out);
}

/* The interface of that name, or NULL. */
static const struct vl_interface *find_interface(const struct rpc_server *srv, const char *name, size_t len)
{
	const struct vl_interface *all[] = { &vl_service, srv->opts.iface };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (strlen(all[i]->name) == len && memcmp(all[i]->name, name, len) == 0)
			return all[i];
	return NULL;
}

static void get_interface_description(struct rpc_call *call, json_t *params, void *ctx)
{
	const char *name = json_string_value(json_object_get(params, "interface"));
	const struct vl_interface *iface = find_interface(ctx, name, strlen(name));
	_cleanup_free_ char *text = NULL;
	json_t *out;

	if (!iface) {
		service_error(call, "InterfaceNotFound", "interface", name);
		return;
	}
	text = vl_describe(iface);
	out = json_object();
	put(out, "description", vl_string(text));
	rpc_reply(call, out);
}

static const struct rpc_method service_methods[] = {
	{ "GetInfo", get_info },
	{ "GetInterfaceDescription", get_interface_description },
	{ NULL, NULL },
};

static rpc_handler find_handler(const struct rpc_method *methods, const char *name)
{
	for (const struct rpc_method *m = methods; m->name; m++)
		if (strcmp(m->name, name) == 0)
			return m->handler;
	return NULL;
}

/* What changes something is logged with who asked for it. */
static void log_call(const struct rpc_call *call, const char *verdict)
{
	const struct rpc_peer *peer = rpc_call_peer(call);
	const char *vm = json_string_value(json_object_get(call->params, "vm"));

	log_info("uid %u pid %d: %s%s%.80s%s", (unsigned)peer->uid, (int)peer->pid, call->method->name,
		 vm ? " " : "", vm ? vm : "", verdict);
}

/* 1 if the peer may call the method, which everybody may for those of the service. */
static int permitted(const struct rpc_server *srv, const struct vl_interface *iface, const struct rpc_call *call)
{
	int allowed = iface == &vl_service || !srv->opts.authorize ||
		      srv->opts.authorize(srv->opts.ctx, rpc_call_peer(call), call->method) == 0;

	if (!allowed)
		log_call(call, ": refused, not permitted");
	else if (iface != &vl_service && call->method->role != VL_ROLE_OBSERVER)
		log_call(call, "");
	return allowed;
}

/* Runs the method of iface that is called short_name, or answers why not. */
static void run(struct rpc_server *srv, struct rpc_call *call, const struct vl_interface *iface,
		const char *short_name, int upgrade)
{
	int own = iface == &vl_service;
	rpc_handler handler = find_handler(own ? service_methods : srv->opts.methods, short_name);
	_cleanup_json_ json_t *params = json_incref(call->params); /* the handler may end the call and go on */
	const char *field;

	call->method = vl_find_method(iface, short_name);
	if (call->method && call->method->more == VL_MORE_NO)
		call->more = 0; /* the client is content with one reply */
	if (!call->method)
		service_error(call, "MethodNotFound", "method", call->name);
	else if (!handler)
		service_error(call, "MethodNotImplemented", "method", call->name);
	else if (!permitted(srv, iface, call))
		service_error(call, "PermissionDenied", NULL, NULL);
	else if (upgrade) /* anything but an error would make the client believe in one */
		service_error(call, "InvalidParameter", "parameter", "upgrade");
	else if (call->method->more == VL_MORE_REQUIRED && !call->more)
		service_error(call, "ExpectedMore", NULL, NULL);
	else if (vl_validate(call->method->in, params, 0, &field) < 0)
		service_error(call, "InvalidParameter", "parameter", field);
	else
		handler(call, params, own ? srv : srv->opts.ctx);
}

int rpc_dispatch(struct rpc_conn *conn, const char *msg, size_t len)
{
	_cleanup_call_ struct vl_call parsed = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *name = NULL;
	const struct vl_interface *iface;
	struct rpc_call *call;
	const char *dot;
	int r;

	r = vl_call_parse(msg, len, &parsed, &err);
	if (r < 0) {
		log_debug("connection of uid %u pid %d: %s", (unsigned)conn->who->peer.uid, (int)conn->who->peer.pid,
			  err.message);
		return r;
	}
	name = xstrdup(parsed.method);
	dot = strrchr(name, '.');
	call = rpc_call_new(conn, &parsed);
	iface = find_interface(conn->srv, name, dot ? (size_t)(dot - name) : 0);
	conn->dispatching = 1;
	if (iface) {
		run(conn->srv, call, iface, dot + 1, parsed.upgrade);
	} else {
		_cleanup_free_ char *interface = dot ? xstrndup(name, (size_t)(dot - name)) : xstrdup(name);

		service_error(call, "InterfaceNotFound", "interface", interface);
	}
	conn->dispatching = 0;
	if (conn->gone && conn->call)
		rpc_call_leave(conn->call);
	return 0;
}
