/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One run of vmsnapctl: what it was asked, whom it talks to, and calls. */
#ifndef CLIENT_CONNECTION_H
#define CLIENT_CONNECTION_H

#include <jansson.h>

#include "client/args.h"
#include "client/exitcode.h"
#include "varlink/client.h"

/* What every command function gets. All *borrowed*. */
struct ctl {
	const struct args *args;
	const char *address; /* of the daemon's socket */
	int json, quiet;
};

/* Prints the parameters of a good reply for people; not called with --json. */
typedef void (*print_fn)(struct ctl *ctl, json_t *reply);

/* Socket by --socket, VMSNAP_SOCKET or the default (*borrowed*). */
const char *connection_address(const struct args *args);

/* Prints "vmsnapctl: MESSAGE" and the hint below to standard error. Returns code. */
int report(const struct err *err, enum exit_code code);

/* Same for a wrong command line. */
int report_usage(const struct err *err);

/* Says that the user answered no. Returns EXIT_CANCELLED. */
int report_cancelled(void);

/* Fills reterr from an error reply to the method (short name, *borrowed*).
 * Returns its negative errno. */
int reply_to_err(const struct vl_reply *reply, const char *method, struct err *reterr);

/* Connects. Returns EXIT_DONE with ret_client *owned*, or an exit code with
 * reterr filled. */
_must_check_ int connection_open(const struct ctl *ctl, struct vl_client **ret_client, struct err *reterr);

/* Calls a method of io.vmsnap.Manager (short name) and waits for its one reply;
 * params *borrowed*. Returns EXIT_DONE with *ret_reply (*owned* by the caller:
 * vl_reply_done()), which may be an error reply; or an exit code with reterr. */
_must_check_ int call_once(const struct ctl *ctl, const char *method, json_t *params, int timeout_ms,
			   struct vl_reply *ret_reply, struct err *reterr);

/* The usual command: call, then print (JSON or by fn, which may be NULL) or
 * report. params *taken*. Returns the exit code. */
int query(struct ctl *ctl, const char *method, json_t *params, print_fn fn);

/* The end of a call: prints a good reply by fn or as JSON, reports an error
 * reply. Returns the exit code. */
int finish_reply(struct ctl *ctl, const char *method, const struct vl_reply *reply, print_fn fn);

/* Adds a member if value is not NULL (text) or the option is there (switch: true, off: false). */
void param_text(json_t *params, const char *key, const char *value);
void param_switch(json_t *params, const char *key, const struct args *args, const char *option); /* as param_text() */
/* as param_text() */
void param_switch_off(json_t *params, const char *key, const struct args *args, const char *option);

void param_number(json_t *params, const char *key, int64_t value); /* always */

#endif
