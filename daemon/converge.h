/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is done about a guest that changes its memory faster than it goes out, while it runs:
 * without it a live capture would never end. First it is let go through its memory a few
 * times; then it may stand still for longer at the end, in steps; and if even the longest pause
 * is not enough, it is suspended for the rest. Where the admin has set a bound for the
 * pause, that one holds: what would take longer is given up. */
#ifndef DAEMON_CONVERGE_H
#define DAEMON_CONVERGE_H

#include "daemon/hv.h"

/* What to do now. */
enum converge_step {
	CONVERGE_WAIT,
	CONVERGE_RAISE,   /* let it stand still for `limit` */
	CONVERGE_SUSPEND, /* for the rest */
	CONVERGE_GIVE_UP, /* it would stand still, or has stood still, for longer than it may */
};

/* One capture; made by converge_init(). */
struct converge {
	int64_t max_pause; /* ms that the guest may stand still; 0: as long as it takes */
	int64_t own;       /* ms: the domain's own limit; -1: unknown, it is not touched */
	int64_t limit;     /* ms: what is set, as far as we know; as own */
	int pass;          /* that was seen last */
	int64_t began, began_done, suspended_at; /* us, bytes, us; suspended_at 0: not suspended */
	int64_t rest;      /* ms that the rest takes by what was seen; -1 unknown */
	int gave_up;
};

/* Begins: max_pause and own as in struct converge. */
void converge_init(struct converge *c, int64_t max_pause, int64_t own);

/* Takes in how far the job is, at the time now (monotonic us), and says what to do. */
enum converge_step converge_look(struct converge *c, const struct hv_progress *progress, int64_t now);

#endif
