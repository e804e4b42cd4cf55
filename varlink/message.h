/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Varlink calls and replies as values (UAPI.20; the rules stand in
 * io.vmsnap.Manager(7)). JSON by jansson, strictest settings, depth <= 32. */
#ifndef VARLINK_MESSAGE_H
#define VARLINK_MESSAGE_H

#include <jansson.h>
#include <stddef.h>

#include "common/cleanup.h"
#include "common/err.h"

#define VL_MAX_DEPTH 32
#define VL_MAX_CALL (1 << 20)
#define VL_MAX_REPLY (16 << 20)

#define _cleanup_json_ _cleanup_(json_decrefp)
#define _cleanup_call_ _cleanup_(vl_call_done)
#define _cleanup_reply_ _cleanup_(vl_reply_done)

/* A call; strings *owned*, parameters an object (*owned*), never NULL. */
struct vl_call {
	char *method; /* whole: "io.vmsnap.Manager.ListVMs" */
	json_t *parameters;
	int more, oneway, upgrade;
};

/* A reply; error NULL on success. */
struct vl_reply {
	char *error;
	json_t *parameters;
	int continues;
};

/* Parses a call by the header rules: unknown top-level key without a dot, two
 * flags, a non-boolean flag, no method ... are -EPROTO (close the connection).
 * ret_call is emptied by vl_call_done(). Returns 0 or negative errno. */
_must_check_ int vl_call_parse(const char *msg, size_t len, struct vl_call *ret_call, struct err *reterr);

/* Parses a reply. ret_reply is emptied by vl_reply_done(). Returns 0 or negative errno. */
_must_check_ int vl_reply_parse(const char *msg, size_t len, struct vl_reply *ret_reply, struct err *reterr);

/* Text of a call or reply without the NUL, *owned*; parameters *borrowed*, NULL
 * or empty ones are left out. */
char *vl_call_format(const char *method, json_t *parameters, int more, int oneway);
char *vl_reply_format(const char *error, json_t *parameters, int continues); /* as vl_call_format() */

/* A JSON string of s (*borrowed*), *owned*; bytes that are not UTF-8 (file names may
 * hold any) become U+FFFD. NULL gives a JSON null. Never NULL. */
json_t *vl_string(const char *s);

/* Empty them. Take empty ones. */
void vl_call_done(struct vl_call *call);
void vl_reply_done(struct vl_reply *reply); /* as vl_call_done() */

#endif
