/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checking a VM from documents to domain: the daemon's side of layout/check.h. Only
 * looks; beside the VM's own jobs, never in their way. Worker threads only. */
#ifndef DAEMON_CHECK_H
#define DAEMON_CHECK_H

#include "common/err.h"
#include "daemon/job.h"
#include "daemon/machine.h"
#include "layout/check.h"

struct daemon;
struct index_vm;

/* How to check. */
struct check_options {
	int deep;            /* 1: read save states and images through */
	const char *own_job; /* id of the job that holds the VM and asks for it, or NULL */
};

/* Adds what is wrong with a VM. One that somebody works on gives CHECK_BUSY and
 * nothing else. Phases, progress and cancelling by job. Returns 0 or negative errno:
 * damage is no failure. */
_must_check_ int check_vm(struct daemon *daemon, const struct index_vm *vm, const struct check_options *opts,
			  struct job *job, struct check_report *rep, struct err *reterr);

/* Adds what is wrong with the store beside its VMs. Returns 0 or negative errno. */
_must_check_ int check_store(struct daemon *daemon, struct check_report *rep, struct err *reterr);

#endif
