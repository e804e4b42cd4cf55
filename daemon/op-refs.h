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

/* Plans to remove the images that nothing needs once snapshot snap is gone.
 * *ret_needed: 1 if something still depends on its disks. Returns 0
 * or negative errno. */
_must_check_ int op_refs_plan_delete(struct intent *in, const struct machine *m, const struct config *snap,
				     int *ret_needed, struct err *reterr);

/* Adds one path (absolute, inside the VM directory) to the plan. */
void op_refs_plan_file(struct intent *in, const struct machine *m, const char *path);

/* Removes what was planned. Returns 0 or negative errno. */
_must_check_ int op_refs_remove_planned(struct op *op, struct err *reterr);

#endif
