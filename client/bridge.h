/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Standard input and output as a Varlink connection. */
#ifndef CLIENT_BRIDGE_H
#define CLIENT_BRIDGE_H

#include "common/cleanup.h"
#include "common/err.h"

/* Joins in_fd and out_fd (both *borrowed*) with sock_fd (*borrowed*, a stream
 * socket) until both directions have ended. The end of one direction is passed
 * on and leaves the other open. Returns 0 or negative errno. */
_must_check_ int bridge_run(int in_fd, int out_fd, int sock_fd, struct err *reterr);

/* Connects to a socket path ("unix:" in front is accepted). *ret_fd *owned*.
 * Returns 0 or negative errno. */
_must_check_ int bridge_connect(const char *address, int *ret_fd, struct err *reterr);

#endif
