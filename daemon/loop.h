/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The main loop and its door for other threads. */
#ifndef DAEMON_LOOP_H
#define DAEMON_LOOP_H

#include <event2/event.h>

#include "common/cleanup.h"
#include "common/err.h"

/* Makes the event base (thread-safe, with early close detection) and the door.
 * Returns 0 or negative errno. */
_must_check_ int loop_init(struct err *reterr);

/* The base (*borrowed*). */
struct event_base *loop_base(void);

/* Runs fn(arg) in the main loop's thread, in the order of the calls. Any thread. */
void loop_post(void (*fn)(void *arg), void *arg);

/* Runs until loop_stop(). Returns 0 or negative errno. */
_must_check_ int loop_run(struct err *reterr);

/* Makes loop_run() return. Any thread. */
void loop_stop(void);

/* Frees the base; what was posted and has not run is dropped. */
void loop_done(void);

#endif
