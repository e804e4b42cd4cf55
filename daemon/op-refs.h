/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which files an operation orphans, and may therefore remove (law 2): planned
 * before, as rows "remove.N" of the intent record. */
#ifndef DAEMON_OP_REFS_H
#define DAEMON_OP_REFS_H

#include "daemon/op.h"

/* Plans to remove the images that nothing needs once the VM's own configuration
 * stands on the disks of next (*borrowed*). Returns 0 or negative errno. */
_must_check_ int op_refs_plan_switch(struct intent *in, const struct machine *m, const struct config *next,
				     struct err *reterr);

/* Plans to remove the images that nothing needs once snapshot snap is gone; what others
 * depend on stays, hidden. *ret_unknown: 1 if that cannot be told, because some chain cannot
 * be read, and something may depend on its disks: then it may not go. Returns 0
 * or negative errno. */
_must_check_ int op_refs_plan_delete(struct intent *in, const struct machine *m, const struct config *snap,
				     int *ret_unknown, struct err *reterr);

/* Adds one path (absolute, inside the VM directory) to the plan. */
void op_refs_plan_file(struct intent *in, const struct machine *m, const char *path);

/* Removes what was planned. Returns 0 or negative errno. */
_must_check_ int op_refs_remove_planned(struct op *op, struct err *reterr);

#endif
