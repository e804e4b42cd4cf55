/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls to the daemon and what becomes of their replies. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/connection.h"
#include "client/output.h"
#include "common/alloc.h"
#include "varlink/manager.h"

#define DEFAULT_SOCKET RUNSTATEDIR "/vmsnapd/vmsnapd.sock"

const char *connection_address(const struct args *args)
{
	const char *address = args_option(args, "socket");

	if (!address || !*address)
		address = getenv("VMSNAP_SOCKET");
	return address && *address ? address : DEFAULT_SOCKET;
}

int report(const struct err *err, enum exit_code code)
{
	_cleanup_free_ char *message = text_clean(err->message ? err->message : "failed");
	_cleanup_free_ char *hint = err->hint ? text_clean(err->hint) : NULL;

	fflush(stdout);
	fprintf(stderr, "vmsnapctl: %s\n", message);
	if (hint)
		fprintf(stderr, "  %s\n", hint);
	return code;
}

int report_usage(const struct err *err)
{
	return report(err, EXIT_USAGE);
}

int report_cancelled(void)
{
	fputs("vmsnapctl: cancelled, nothing was changed\n", stderr);
	return EXIT_CANCELLED;
}

/* Least role that may call the method, for people. */
static const char *role_of(const char *method)
{
	static const char *const roles[] = {
		[VL_ROLE_OBSERVER] = "observer", [VL_ROLE_OPERATOR] = "operator", [VL_ROLE_ADMIN] = "admin"
	};
	const struct vl_method *row = vl_find_method(&vl_manager, method);

	return row ? roles[row->role] : "admin";
}

/* Errors of org.varlink.service have no text of their own. */
static int service_error(const struct vl_reply *reply, const char *method, enum err_kind kind, struct err *reterr)
{
	const char *parameter = json_str(reply->parameters, "parameter");

	if (kind == ERR_PERMISSION) {
		err_set(reterr, kind, -EACCES, "permission denied: %s needs the role '%s'", method, role_of(method));
		err_hint(reterr, "The groups that have a role are named in vmsnapd.conf; see io.vmsnap.Manager(7).");
		return -EACCES;
	}
	if (parameter)
		err_set(reterr, kind, -EINVAL, "the daemon does not accept the parameter '%s' of %s", parameter,
			method);
	else
		err_set(reterr, kind, -EPROTO, "the daemon answered %s to %s", reply->error, method);
	err_hint(reterr, "Daemon and vmsnapctl may be of different versions; 'vmsnapctl status' tells the daemon's.");
	return reterr ? reterr->code : -EPROTO;
}

int reply_to_err(const struct vl_reply *reply, const char *method, struct err *reterr)
{
	static const int codes[] = {
		[ERR_REFUSED] = -EPERM,   [ERR_INVALID] = -EINVAL,     [ERR_NO_VM] = -ENOENT,
		[ERR_NO_SNAPSHOT] = -ENOENT, [ERR_NO_DOMAIN] = -ENOENT, [ERR_NO_JOB] = -ENOENT,
		[ERR_BUSY] = -EBUSY,      [ERR_CANCELLED] = -ECANCELED, [ERR_PERMISSION] = -EACCES,
	};
	enum err_kind kind = error_kind(reply->error);
	const char *message = json_str(reply->parameters, "message");
	const char *hint = json_str(reply->parameters, "hint");
	int code = (size_t)kind < ARRAY_SIZE(codes) && codes[kind] ? codes[kind] : -EIO;

	if (!message)
		return service_error(reply, method, kind, reterr);
	err_set(reterr, kind, code, "%s", message);
	if (hint)
		err_hint(reterr, "%s", hint);
	return code;
}

int connection_open(const struct ctl *ctl, struct vl_client **ret_client, struct err *reterr)
{
	int r = vl_client_connect(ctl->address, ret_client, reterr);

	if (r == 0)
		return EXIT_DONE;
	return r == -EACCES || r == -EPERM ? EXIT_PERMISSION : EXIT_CONNECT;
}

int call_once(const struct ctl *ctl, const char *method, json_t *params, int timeout_ms, struct vl_reply *ret_reply,
	      struct err *reterr)
{
	_cleanup_(vl_client_closep) struct vl_client *client = NULL;
	_cleanup_free_ char *full = xasprintf(VL_MANAGER ".%s", method);
	int r;

	r = connection_open(ctl, &client, reterr);
	if (r != EXIT_DONE)
		return r;
	r = vl_client_send(client, full, params, 0, reterr);
	if (r == 0)
		r = vl_client_receive(client, timeout_ms, ret_reply, NULL, reterr);
	return r < 0 ? EXIT_CONNECT : EXIT_DONE;
}

int finish_reply(struct ctl *ctl, const char *method, const struct vl_reply *reply, print_fn fn)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (ctl->json)
		print_json(reply->error, reply->parameters);
	if (reply->error) {
		ignore_result(reply_to_err(reply, method, &err)); /* its kind says more */
		return report(&err, exit_code_of(err.kind));
	}
	if (!ctl->json && fn)
		fn(ctl, reply->parameters);
	return EXIT_DONE;
}

int query(struct ctl *ctl, const char *method, json_t *params, print_fn fn)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_json_ json_t *owned = params;
	_cleanup_(vl_reply_done) struct vl_reply reply = { 0 };
	int code;

	code = call_once(ctl, method, owned, -1, &reply, &err);
	if (code != EXIT_DONE)
		return report(&err, code);
	return finish_reply(ctl, method, &reply, fn);
}

void param_text(json_t *params, const char *key, const char *value)
{
	if (value)
		ignore_result(json_object_set_new(params, key, vl_string(value))); /* a valid key and value */
}

void param_switch(json_t *params, const char *key, const struct args *args, const char *option)
{
	if (args_has(args, option))
		ignore_result(json_object_set_new(params, key, json_true())); /* as above */
}

void param_switch_off(json_t *params, const char *key, const struct args *args, const char *option)
{
	if (args_has(args, option))
		ignore_result(json_object_set_new(params, key, json_false())); /* as above */
}

void param_number(json_t *params, const char *key, int64_t value)
{
	ignore_result(json_object_set_new(params, key, json_integer(value))); /* as above */
}
