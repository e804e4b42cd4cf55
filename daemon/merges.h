/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Merging goes on by itself: whatever hidden images a VM directory has that can be merged
 * is found by the planner at start, after each operation and when a guest stops, and done
 * by a job that gives way to all others. Nothing is remembered but the intent record of
 * the merge under way, and the mark of a pause; a job that somebody cancelled leaves one in memory, until the next
 * start or the next deletion. */
#ifndef DAEMON_MERGES_H
#define DAEMON_MERGES_H

#include "common/err.h"
#include "common/guid.h"
#include "daemon/job.h"
#include "daemon/machine.h"
#include "layout/plan.h"

struct daemon;

#define MERGE_OPERATION "merge" /* of the jobs */

/* Looks at one VM, and starts a job if something can be merged. Returns at once. Any thread. */
void merges_look(struct daemon *daemon, const struct guid *vm);

/* Looks at all VMs. Returns at once. */
void merges_look_all(struct daemon *daemon);

/* A job has ended: what it left may be merged now. Main loop's thread. */
void merges_job_ended(struct daemon *daemon, const struct job_view *view);

/* Pauses the job of that id, a merge beyond the next start of the daemon: nothing is merged by itself then
 * until merges_resume(). Returns 0 or negative errno, as jobs_pause(). */
_must_check_ int merges_pause(struct daemon *daemon, const char *id, struct err *reterr);

/* Lets the paused job of that id go on. Returns 0 or negative errno, as jobs_resume(). */
_must_check_ int merges_resume(struct daemon *daemon, const char *id, struct err *reterr);

/* Tells whoever deletes snapshots that what they leave is not merged, if so. */
void merges_warn_paused(struct daemon *daemon, const struct guid *vm, struct job *job);

/* ---- between merges*.c */

/* Whether the VM has the mark of a pause: 1 with the job's id (*owned*) and when it began (us
 * since 1970 UTC; of a damaged one a new id, and now), or 0. */
int merges_pause_read(const struct vmdir *dir, char **ret_id, int64_t *ret_began);

/* A merge has ended: removes the mark if it is of that job. Returns at once. */
void merges_pause_forget(struct daemon *daemon, const struct job_view *view);

/* The VM is gone: ends its paused job. */
void merges_pause_end(struct daemon *daemon, const struct guid *vm);

/* ---- */

/* Merges all that can be merged, now and in the caller's job, which holds the VM. into_base
 * (*borrowed*, NULL none): an image outside the VM directory that may be committed into.
 * Returns 0 or negative errno. */
_must_check_ int merges_run(struct daemon *daemon, const struct vmdir *dir, const char *into_base, struct job *job,
			    struct err *reterr);

/* Merges as merges_run() into each base disk outside the VM directory that the VM's disks have.
 * Returns 0 or negative errno. */
_must_check_ int merges_into_base(struct daemon *daemon, const struct vmdir *dir, struct job *job, struct err *reterr);

/* Lets the VM's own disks take what is below them, down to the disks of snap (none: all of it).
 * Refused where there is too little room for the worst case, unless force. Returns 0 or negative errno. */
_must_check_ int merges_flatten(struct daemon *daemon, const struct vmdir *dir, const struct guid *snap, int force,
				struct job *job, struct err *reterr);

/* Before one more image comes on top of each of the VM's disks: merges what is hidden if a
 * chain would get longer than max-chain, and there is room; warns if that does not help; refuses (ERR_LIMIT)
 * what libvirt could not start any more. Returns 0 or negative errno. */
_must_check_ int merges_shorten(struct daemon *daemon, const struct vmdir *dir, struct job *job, struct err *reterr);

/* All images of a VM and who names them, for the planner. */
struct merges_input {
	struct plan_input in; /* points into what follows */
	struct plan_image *images;
	struct plan_owner *owners;
	const char **formats; /* of each image */
	char **strings; /* all strings, *owned* */
};

/* Reads documents and image headers; ret_input is emptied by merges_input_done(). Returns 0 or
 * negative errno (ERR_BAD_DATA, -ENOENT...: the picture is not whole, nothing may be merged). */
_must_check_ int merges_read(const struct machine *m, struct merges_input *ret_input, struct err *reterr);

/* Empties it. Takes an empty one. */
void merges_input_done(struct merges_input *input);

#endif
