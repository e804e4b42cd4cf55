/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What creating, applying and reverting share: new working disks over a set of
 * images, as rows "disk.N.*" of the intent record. */
#ifndef DAEMON_OP_DISKS_H
#define DAEMON_OP_DISKS_H

#include "daemon/op.h"

/* Plans one new working disk over each disk of cfg (the VM's own working disks,
 * or a snapshot's sealed ones). */
void op_disks_plan(struct intent *intent, const struct machine *m, const struct config *cfg);

/* Makes the overlays (again: an empty one replaces what is there). Returns 0 or negative errno. */
_must_check_ int op_disks_make(struct op *op, struct err *reterr);

/* Removes them. Returns 0 or negative errno. */
_must_check_ int op_disks_remove(struct op *op, struct err *reterr);

/* Points the disks of cfg at the overlays (unsealed). */
void op_disks_point(const struct op *op, struct config *cfg);

/* 1 if cfg's disks are the overlays, else 0. */
int op_disks_are_in(const struct op *op, const struct config *cfg);

/* Whether the domain uses the overlays: 1, 0 or negative errno. */
_must_check_ int op_disks_in_use(struct op *op, struct err *reterr);

/* Whether a guest wrote to any of the overlays, whatever libvirt says: 1, 0 or
 * negative errno. */
_must_check_ int op_disks_written(const struct op *op, struct err *reterr);

/* Whether some process has any of the overlays open as QEMU does: 1 or 0. */
int op_disks_held(const struct op *op);

/* Puts an emulator that is on the overlays without libvirt's knowing back on the old
 * images, as hv_take_back() does. Returns 1 if it was there, 0, or negative errno. */
_must_check_ int op_disks_take_back(struct op *op, struct err *reterr);

/* Closes the overlays in the emulator of a running domain that does not use them.
 * Returns 0 or negative errno. */
_must_check_ int op_disks_forget(struct op *op, struct err *reterr);

/* Number of rows; the absolute path of one's old or new image, *owned*. */
int op_disks_count(const struct op *op);
char *op_disks_path(const struct op *op, int i, const char *which); /* as op_disks_count(); "old" or "new" */

#endif
