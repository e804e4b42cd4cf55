/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Folding: before a snapshot goes, the save states that take pages from its own get
 * those pages, and build on what it built on. For operations, in this order:
 *
 *     memory_fold_plan()    while planning: who is concerned, and how much room it takes
 *     memory_fold_run()     a step before the commit point; memory_fold_undo() takes it back
 *     memory_fold_finish()  a step after the commit point, before the snapshot's own save
 *                           state is removed
 *
 * run writes the new .bin and .vsv of each dependant whole and durable beside the old
 * ones, under names of their own, and touches nothing else. finish renames them over the
 * old ones, .bin first (a new .bin fits the old .vsv as well), and writes the new
 * checksum into the document. All three may be called again by whoever comes after a
 * crash, at any point; run on a dependant that is ready does nothing, as does finish on one
 * that has its new files. What they need stands in the intent record, in the keys "folds" and
 * "fold.*", which plan fills in and nobody else uses. */
#ifndef DAEMON_MEMORY_FOLD_H
#define DAEMON_MEMORY_FOLD_H

#include <stdint.h>

#include "common/err.h"
#include "daemon/machine.h"
#include "daemon/op.h"
#include "layout/intent.h"

/* Finds all documents of the VM (its own and its snapshots') whose save state builds
 * directly on that of snapshot snap and puts them into the record. *ret_bytes: what run
 * will write, all dependants together (0: there are none; what the old files give free
 * in finish is not subtracted). Reads page tables only. Returns 0 or negative errno
 * (ERR_BAD_DATA: a save state cannot be read, so nobody knows what it needs; file named). */
_must_check_ int memory_fold_plan(const struct machine *m, const struct guid *snap, struct intent *in,
				  int64_t *ret_bytes, struct err *reterr);

/* Writes the new files of each dependant. All that is read is checked against its
 * hashes, and the result against the checksum of the whole memory. Progress goes to
 * op->job, a cancel is honoured. Without dependants it does nothing. Returns 0 or
 * negative errno (ERR_BAD_DATA: damage, file and place named; -ENOSPC; -ECANCELED);
 * nothing was replaced then. */
_must_check_ int memory_fold_run(struct op *op, struct err *reterr);

/* Removes what run wrote, whole or not. Before the commit point only. Returns 0 or
 * negative errno. */
_must_check_ int memory_fold_undo(struct op *op, struct err *reterr);

/* Puts the new files in the place of the old ones and brings the documents up to date.
 * After the commit point only. Returns 0 or negative errno (it can be tried again;
 * until it is done, the snapshot's save state must stay). */
_must_check_ int memory_fold_finish(struct op *op, struct err *reterr);

#endif
