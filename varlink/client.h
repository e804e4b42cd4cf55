/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A blocking Varlink client connection. */
#ifndef VARLINK_CLIENT_H
#define VARLINK_CLIENT_H

#include "common/err.h"
#include "varlink/message.h"

struct vl_client;

/* Connects to a socket path ("unix:" in front is accepted). ret_client *owned*.
 * Returns 0 or negative errno (-ENOENT, -ECONNREFUSED: no daemon; -EACCES: not
 * allowed; each with a hint). */
_must_check_ int vl_client_connect(const char *address, struct vl_client **ret_client, struct err *reterr);

/* Closes it (*taken*, may be NULL). */
void vl_client_close(struct vl_client *c);
DEFINE_CLEANUP(struct vl_client, vl_client_close);

/* Sends a call; parameters *borrowed*, may be NULL. Returns 0 or negative errno. */
_must_check_ int vl_client_send(struct vl_client *c, const char *method, json_t *parameters, int more,
				struct err *reterr);

/* Waits for the next reply at most timeout_ms (-1: for ever). *ret_raw (may be
 * NULL) gets the reply's text as it came, *owned*. ret_reply is emptied by
 * vl_reply_done(). Returns 0 or negative errno (-ETIMEDOUT, -ECONNRESET: "the
 * daemon refused the message or closed the connection"; -EINTR: a signal came). */
_must_check_ int vl_client_receive(struct vl_client *c, int timeout_ms, struct vl_reply *ret_reply, char **ret_raw,
				   struct err *reterr);

#endif
