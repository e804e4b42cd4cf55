/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One merge: a hidden image and its only dependant become one file, off by qemu-img or
 * in the running guest's QEMU. Which and which way is the planner's business. An operation
 * like any other, short but for the copying; a merge that is stopped or dies there is taken
 * back, which leaves two valid images, and begun again by whoever plans next. */
#ifndef DAEMON_OP_MERGE_H
#define DAEMON_OP_MERGE_H

#include "daemon/op.h"
#include "layout/plan.h"

extern const struct op_kind op_merge;

/* Does one PLAN_PULL or PLAN_COMMIT for the disk target (*borrowed*) of m (*taken*). Returns 0 or
 * negative errno (-ECANCELED: it was asked to stop, by job_cancel or for another job;
 * -ENOSPC: no room; both leave everything as it was seen before). */
_must_check_ int merge_run(struct daemon *daemon, struct machine *m, const char *target,
			   const struct plan_action *action, struct job *job, struct err *reterr);

/* Does a PLAN_FLATTEN in the same way: the dependant takes all down to its new backing. released
 * (*borrowed*, may be NULL): images that nobody needs then; they are removed. Returns as merge_run(). */
_must_check_ int merge_flatten(struct daemon *daemon, struct machine *m, const char *target,
			       const struct plan_action *action, char *const *released, struct job *job,
			       struct err *reterr);

/* ---- between op-merge*.c */

/* 1 if the dependant goes into the image, 0 if the image goes into the dependant. */
int merge_is_commit(const struct op *op);

/* 1 if the running guest's QEMU does it. */
int merge_is_live(const struct op *op);

/* 1 if the dependant is what the running guest writes to, or did when the merge began. */
int merge_is_active(const struct op *op);

/* 1 if path is a working disk of the VM by its configuration. */
int merge_is_working(const struct op *op, const char *path);

/* Whether what backs the qcow2 image at path is what: 1, 0 or negative errno. */
_must_check_ int merge_is_over(const char *path, const char *what, struct err *reterr);

/* Copies, by qemu-img or in the guest. Returns 0 or negative errno, as merge_run(). */
_must_check_ int merge_copy(struct op *op, struct err *reterr);

/* Lets a guest that has merged below its working disk, or into it, write what of that is in
 * its QEMU's memory only, and notes in the record that all is copied. Returns 0 or negative errno. */
_must_check_ int merge_flush(struct op *op, struct err *reterr);

/* Names again in the header what the merge took out of the chain; nobody has the images open.
 * Returns 0 or negative errno. */
_must_check_ int merge_point_back(struct op *op, struct err *reterr);

/* Writes in the record that all is copied and will stay so. Returns 0 or negative errno. */
_must_check_ int merge_note_copied(struct op *op, struct err *reterr);

/* Ends a block job of ours in the running guest, wherever it stands; none is success.
 * Returns 0 or negative errno. */
_must_check_ int merge_end_block_job(struct op *op, struct err *reterr);

/* Lets the paused guest change over to the image. Returns 0 or negative errno. */
_must_check_ int merge_pivot(struct op *op, struct err *reterr);

/* Lets the guest go on that the pivot or a flush paused; one that died of it all need not. Returns 0 or
 * negative errno. */
_must_check_ int merge_go_on(struct op *op, struct err *reterr);

/* Makes writable what the merge writes to. Returns 0 or negative errno. */
_must_check_ int merge_unseal(struct op *op, struct err *reterr);

/* Seals again what was unsealed, and writes the new seals into all documents; with
 * repoint those that named the dependant name the image from now on. Returns 0 or
 * negative errno. */
_must_check_ int merge_seal(struct op *op, int repoint, struct err *reterr);

/* Points disks of cfg that are the dependant at the image. Returns their number. */
int merge_repoint(const struct op *op, struct config *cfg);

#endif
