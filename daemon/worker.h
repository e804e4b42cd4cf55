/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Worker threads: blocking work goes in, and its end is posted back to the main
 * loop. */
#ifndef DAEMON_WORKER_H
#define DAEMON_WORKER_H

#include "common/cleanup.h"
#include "common/err.h"

struct worker_pool;

/* A pool of n threads named name. ret_pool *owned*. Returns 0 or negative errno. */
_must_check_ int worker_pool_new(const char *name, int n, struct worker_pool **ret_pool, struct err *reterr);

/* Runs work(arg) in a thread of the pool, in the order of the calls as threads
 * become free; then done(arg) in the main loop's thread (may be NULL). */
void worker_run(struct worker_pool *pool, void (*work)(void *arg), void (*done)(void *arg), void *arg);

/* Lets what is under way end, drops what waits, joins the threads (*taken*, may
 * be NULL). */
void worker_pool_free(struct worker_pool *pool);

#endif
