/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What operations may write at worst, asked before they begin: the account (layout/space.h)
 * of each, with what is free in the file systems that it writes to (promise.h compares). Worker threads only. */
#ifndef DAEMON_SPACE_H
#define DAEMON_SPACE_H

#include "daemon/machine.h"
#include "layout/plan.h"
#include "layout/space.h"

/* The next step writes so many bytes to the file system that holds path, or will hold it when it
 * is made; a negative number gives bytes back. Returns 0 or negative errno. */
_must_check_ int space_at(struct space *space, const char *path, int64_t bytes, struct err *reterr);

/* Adds taking a snapshot, with the memory of the running guest or without. Returns 0 or negative errno. */
_must_check_ int space_take(struct space *space, const struct machine *m, int with_memory, struct err *reterr);

/* Adds applying a snapshot's configuration. What the present gives free is not counted: it goes
 * last. Returns 0 or negative errno. */
_must_check_ int space_apply(struct space *space, const struct machine *m, const struct config *target,
			     struct err *reterr);

/* Adds what a plan removes and merges, in its order. Returns 0 or negative errno. */
_must_check_ int space_plan(struct space *space, const struct plan *plan, struct err *reterr);

/* Adds deleting the snapshots of guids (n of them) with the memory that others take over and the
 * merges that follow. One that has nothing to be copied adds nothing: deleting is what one does when a
 * disk is full. into_base as merges_into_base(). Returns 0 or negative errno. */
_must_check_ int space_delete(struct space *space, const struct machine *m, const struct guid *guids, size_t n,
			      int into_base, struct err *reterr);

/* Adds merging all that is hidden and can be merged now. Returns 0 or negative errno. */
_must_check_ int space_merges(struct space *space, const struct machine *m, struct err *reterr);

#endif
