/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process that lets libvirt go on if we die while it works with a pipe of ours:
 * waiting for the other end in open() it would hold locks that other callers of the
 * same libvirtd need. See savestate/guard.h for what it does. */
#ifndef DAEMON_PIPE_GUARD_H
#define DAEMON_PIPE_GUARD_H

#include "common/cleanup.h"
#include "common/err.h"

struct pipe_guard;

/* Starts one for the pipe at path, before libvirt hears of it. ret_guard *owned*. Returns 0
 * or negative errno. */
_must_check_ int pipe_guard_start(const char *path, struct pipe_guard **ret_guard, struct err *reterr);

/* libvirt is done with the pipe: ends it (*taken*, may be NULL). */
void pipe_guard_end(struct pipe_guard *guard);
DEFINE_CLEANUP(struct pipe_guard, pipe_guard_end);
#define _cleanup_pipe_guard_ _cleanup_(pipe_guard_endp)

#endif
