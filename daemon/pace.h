/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How fast merging is here: measured in the merges of this daemon's life, so that what
 * comes can be told in seconds. Any thread. */
#ifndef DAEMON_PACE_H
#define DAEMON_PACE_H

#include <stdint.h>

#define PACE_ASSUMED (INT64_C(100) << 20) /* bytes per second, until something was measured */
#define PACE_WORTH (INT64_C(16) << 20)    /* bytes of a merge from which on it tells anything */

/* A merge of bytes (as it was planned) took usec. */
void pace_add(int64_t bytes, int64_t usec);

/* Bytes per second; *ret_measured (may be NULL): 1 if that is more than a guess. */
int64_t pace_rate(int *ret_measured);

/* Seconds that bytes take at rate (bytes per second), rounded up. */
int64_t pace_seconds(int64_t bytes, int64_t rate);

#endif
