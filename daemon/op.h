/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operations: an operation is a table of steps, each with do, undo and what
 * recovery looks at. What it is about to do stands in its intent record before
 * the first step; after a crash the same table is run from that record, backward
 * before the commit point, forward after it (law 4). */
#ifndef DAEMON_OP_H
#define DAEMON_OP_H

#include "common/err.h"
#include "daemon/job.h"
#include "daemon/machine.h"
#include "layout/intent.h"

struct daemon;
struct op;

/* One step. run and undo may be called again after they were called, in whole or
 * in part, by a process that died: both look before they act. */
struct op_step {
	const char *name;  /* one word, as in VMSNAPD_FAULT and --list-steps */
	const char *phase; /* for people: "copying memory" */
	int (*run)(struct op *op, struct err *reterr);
	int (*undo)(struct op *op, struct err *reterr); /* NULL: leaves nothing to take back */
	const char *if_we_die; /* what is on disk then, and what recovery does */
	int cancellable; /* 1: before the commit point; a cancel is honoured before this step */
};

/* Which way an operation goes that did not get to its end. */
struct op_way {
	int forward;  /* 1: from step `from` to the end; 0: undo everything */
	size_t from;
	int failed;   /* forward, but what was asked for did not come about */
};

struct op_kind {
	const char *name; /* word in the intent record: "snapshot-create" */
	const struct op_step *steps;
	size_t n_steps;
	int may_lack_config; /* the VM's configuration need not exist (create, delete) */
	/* Looks at disk and domain, after a failed step or a crash. Returns 0 or negative errno. */
	int (*decide)(struct op *op, struct op_way *ret_way, struct err *reterr);
	/* After the intent record is gone (may be NULL); undone: 1 if all was taken back. */
	void (*closed)(struct op *op, int undone);
};

/* An operation under way. */
struct op {
	struct daemon *daemon; /* *borrowed* */
	const struct op_kind *kind;
	struct intent *intent; /* *owned*: everything a step needs to know */
	struct machine *m;     /* *owned*; m->cfg is the VM's configuration as it stands */
	struct job *job;       /* *borrowed* */
	int recovering;        /* 1: run again from its record after a crash */
	int failed;            /* op_way.failed, for the steps */
};

/* Every kind there is, NULL-terminated. */
extern const struct op_kind *const op_kinds[];

extern const struct op_kind op_snapshot_create, op_snapshot_apply, op_snapshot_delete;
extern const struct op_kind op_vm_create, op_vm_adopt, op_vm_delete, op_vm_rename, op_vm_save, op_vm_resume, op_repair;

/* Runs kind on m (*taken*) as planned in intent (*taken*): writes the record,
 * runs the steps, on failure goes back or forward as decide says. Returns 0 or
 * negative errno. */
_must_check_ int op_run(struct daemon *daemon, const struct op_kind *kind, struct machine *m, struct intent *intent,
			struct job *job, struct err *reterr);

/* Finishes or takes back what a dead process left in dir. No record is success.
 * Returns 0 or negative errno. */
_must_check_ int op_recover(struct daemon *daemon, const struct vmdir *dir, struct job *job, struct err *reterr);

/* Reads the VM's configuration again into op->m. Returns 0 or negative errno. */
_must_check_ int op_reload(struct op *op, struct err *reterr);

/* Value of an intent key as an absolute path, *owned*; NULL if absent. */
char *op_path(const struct op *op, const char *key);

/* Value of an intent key as a GUID; "none" if absent. */
struct guid op_guid(const struct op *op, const char *key);

/* Value of an intent key as a number; `missing` if absent. */
int64_t op_int(const struct op *op, const char *key, int64_t missing);

/* 1 if an intent key is there and not 0. */
int op_flag(const struct op *op, const char *key);

/* Prints "kind step" lines of every kind to standard output (--list-steps), with
 * explain also what is on disk if we die there and what recovery does. */
void op_list_steps(int explain);

/* A place where a test may kill the daemon or make a step fail: VMSNAPD_FAULT is
 * "kill-before:STEP", "kill-after:STEP", "fail:STEP", or "hold-before:STEP:FILE" and
 * "hold-after:STEP:FILE", which stand still while FILE is there; STEP being "step" or
 * "kind.step", with "@N" only the Nth time. where is "before" or "after". Returns 0 or -EIO. */
_must_check_ int op_fault(const struct op_kind *kind, const char *step, const char *where, struct err *reterr);

#endif
