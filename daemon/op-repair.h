/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mending what a check found, as far as that is safe. Each thing that is done is whole
 * in itself and looks before it acts, so that an interrupted repair is simply not
 * finished: the next one does the rest. Nothing is ever unlinked but temporary files of
 * our own and empty directories. Worker threads only. */
#ifndef DAEMON_OP_REPAIR_H
#define DAEMON_OP_REPAIR_H

#include "daemon/check.h"
#include "daemon/op.h"

struct index_vm;

/* What shall be mended; *borrowed*. */
struct repair_options {
	int dry_run;
	const char *accept; /* absolute path of a sealed disk whose drift is accepted, or NULL */
};

/* Mends a VM that the job holds (with dry_run it need not). Adds what is done, or would
 * be, to done (its texts say what), and what is left to left. Returns 0 or negative errno. */
_must_check_ int vm_repair(struct daemon *daemon, const struct index_vm *vm, const struct repair_options *opts,
			   struct job *job, struct check_report *done, struct check_report *left, struct err *reterr);

/* Chooses from what was found; adds what is done to done and its rows to the record.
 * Returns 0 or negative errno (ERR_INVALID: accept names no such disk;
 * ERR_REFUSED: there is no place for orphans). */
_must_check_ int repair_plan(const struct vmdir *dir, const struct check_report *found,
			     const struct repair_options *opts, struct intent *in, struct check_report *done,
			     struct err *reterr);

/* 1 if path, with all symbolic links followed, is in the VM directory or is it; else 0. */
int repair_is_inside(const struct vmdir *dir, const char *path);

#endif
