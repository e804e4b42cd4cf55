/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making a busy guest's memory come to an end. */
#include "daemon/converge.h"

#define FREE_PASSES 2      /* the whole memory, and what changed meanwhile */
#define LONGEST_MSEC 2000  /* where the admin has set no bound: after this suspending is no worse */

void converge_init(struct converge *c, int64_t max_pause, int64_t own)
{
	*c = (struct converge){ .max_pause = max_pause, .own = own, .limit = own, .rest = -1 };
}

/* Times that the memory was gone through; where nobody counts them, by the bytes. */
static int passes(const struct hv_progress *p)
{
	if (p->passes >= 0)
		return p->passes;
	return p->total > 0 ? (int)(p->done / p->total) + 1 : 0;
}

/* By the speed until now; while the guest stands still nothing is added to the rest. */
static void estimate(struct converge *c, const struct hv_progress *p, int64_t now)
{
	int64_t bytes = p->done - c->began_done, usec = now - c->began;

	if (p->left >= 0 && bytes > 0 && usec > 0)
		c->rest = (int64_t)((double)p->left * (double)usec / (double)bytes / 1000);
}

static enum converge_step give_up(struct converge *c)
{
	c->gave_up = 1;
	return CONVERGE_GIVE_UP;
}

static enum converge_step next_step(struct converge *c, int64_t now)
{
	int64_t longest = c->max_pause > 0 ? c->max_pause : LONGEST_MSEC;

	if (c->limit >= 0 && c->limit < longest) {
		c->limit = c->limit > 0 && c->limit * 2 < longest ? c->limit * 2 : longest;
		return CONVERGE_RAISE;
	}
	if (c->max_pause > 0 && c->rest > c->max_pause)
		return give_up(c);
	c->suspended_at = now;
	return CONVERGE_SUSPEND;
}

enum converge_step converge_look(struct converge *c, const struct hv_progress *progress, int64_t now)
{
	int pass = passes(progress);

	if (c->gave_up)
		return CONVERGE_WAIT;
	if (c->suspended_at)
		return c->max_pause > 0 && now - c->suspended_at > c->max_pause * 1000 ? give_up(c) : CONVERGE_WAIT;
	if (!c->began) {
		c->began = now;
		c->began_done = progress->done;
	}
	if (pass <= c->pass)
		return CONVERGE_WAIT;
	c->pass = pass;
	estimate(c, progress, now);
	return pass > FREE_PASSES ? next_step(c, now) : CONVERGE_WAIT;
}
