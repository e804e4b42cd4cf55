/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs: a running or finished operation, with phase, progress and result. At
 * most one job holds a VM. A job's body runs in a worker thread; whoever waits
 * for it is told in the main loop's thread. */
#ifndef DAEMON_JOB_H
#define DAEMON_JOB_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/guid.h"

struct jobs;
struct job;

/* Up to JOB_RUNNING it holds its VM; from JOB_DONE on it has ended. */
enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_PAUSED, JOB_DONE, JOB_FAILED, JOB_CANCELLED };

/* A copy of a job's state at one instant; strings *owned*. */
struct job_view {
	char *id, *operation, *vm, *phase;
	struct guid vm_id;
	enum job_state state;
	int64_t bytes_done, bytes_total; /* -1: unknown */
	int64_t started_usec, finished_usec; /* 0: not yet */
	struct err err;
	char **warnings;
	unsigned version; /* grows with each change worth telling */
};

/* The body of a job (worker thread). Returns 0 or negative errno with reterr. */
typedef int (*job_fn)(struct job *job, void *arg, struct err *reterr);

/* The engine with its worker threads and at most max_jobs jobs at once. ret_jobs *owned*. Returns 0 or negative errno. */
_must_check_ int jobs_new(int workers, int max_jobs, struct jobs **ret_jobs, struct err *reterr);

/* Where finished jobs are written; called in the main loop's thread with each one. */
void jobs_on_finished(struct jobs *jobs, void (*fn)(void *arg, const struct job_view *view), void *arg);

/* Takes no more jobs and asks those under way to stop. Any thread. */
void jobs_stop(struct jobs *jobs);

/* Waits until no job is under way. A worker's thread. */
void jobs_drain(struct jobs *jobs);

/* Waits for the jobs under way and frees everything (*taken*, may be NULL). */
void jobs_free(struct jobs *jobs);

/* Queues a job that holds the VM key (a GUID, or "name:..." for a VM that is
 * being made). Refused at once with ERR_BUSY and the holder's id, or ERR_LIMIT.
 * vm is its name for people. fn(job, arg) runs in a worker; then free_arg(arg)
 * (may be NULL). ret_job is a reference, *owned*. Any thread. Returns 0 or
 * negative errno; on failure arg stays the caller's. */
_must_check_ int job_submit(struct jobs *jobs, const char *operation, const char *key, const char *vm, job_fn fn,
			    void *arg, void (*free_arg)(void *arg), struct job **ret_job, struct err *reterr);

/* As job_submit(), for long work that can be begun again: it has worker threads of its own,
 * does not count for max_jobs, and gives way: whoever wants its VM is not refused as busy
 * but waits until it has stopped at its next safe point. A busy VM is refused. */
_must_check_ int job_submit_giving_way(struct jobs *jobs, const char *operation, const char *key, const char *vm,
				       job_fn fn, void *arg, void (*free_arg)(void *arg), struct job **ret_job,
				       struct err *reterr);

/* Holds a further key for the rest of the job: a VM whose GUID became known, or another VM, of
 * that name (vm; NULL: the job's). Waits for a job that gives way. Returns 0 or -EBUSY. */
_must_check_ int job_claim(struct job *job, const char *key, const char *vm, struct err *reterr);

/* Holds a key for a moment without a job (short changes by rpc); waits for a job that gives
 * way. Returns 0 or -EBUSY. */
_must_check_ int jobs_hold(struct jobs *jobs, const char *key, const char *vm, struct err *reterr);

/* Ends jobs_hold(). */
void jobs_release(struct jobs *jobs, const char *key);

/* Id of the job that holds key, *owned*, or NULL. */
char *jobs_holder(struct jobs *jobs, const char *key);

/* References. Any thread. */
struct job *job_ref(struct job *job);
void job_unref(struct job *job); /* as job_ref(); takes NULL */
DEFINE_CLEANUP(struct job, job_unref);
#define _cleanup_job_ _cleanup_(job_unrefp)

/* For the body: what is being done, in words; how far; a warning for the user. */
void job_phase(struct job *job, const char *phase);
void job_progress(struct job *job, int64_t done, int64_t total); /* as job_phase(); bytes */
void job_warn(struct job *job, const char *fmt, ...) _printf_(2, 3); /* as job_phase() */

/* The finished job's result for whoever asked: set by the body (a GUID), read at the end. */
void job_set_result(struct job *job, const char *key, const struct guid *value);
int job_get_result(struct job *job, const char *key, struct guid *ret_value); /* as job_set_result(); 0 or -ENOENT */

/* 1 if somebody asked for the job to be cancelled. Any thread. */
int job_cancelled(struct job *job);

/* Fills reterr with ERR_CANCELLED and returns -ECANCELED if so, else 0. */
_must_check_ int job_check(struct job *job, struct err *reterr);

/* 1 if the job should stop: it was cancelled, is to pause, or another one waits for its VM. Any thread. */
int job_interrupted(struct job *job);

/* Its id (*borrowed*). */
const char *job_id(const struct job *job);

/* Asks a job by id to stop. Returns 0, or -ENOENT with ERR_NO_JOB. Any thread. */
_must_check_ int jobs_cancel(struct jobs *jobs, const char *id, struct err *reterr);

/* From now on the job can be paused: its body returns -ECANCELED when job_interrupted() says
 * so, having left nothing half done, and goes on from there when it is called again with the same
 * argument. Any thread. */
void job_let_pause(struct job *job);

/* 1 if it was asked to pause. Any thread. */
int job_pausing(struct job *job);

/* 1 if all jobs were asked to stop (jobs_stop()). Any thread. */
int job_stopping(struct job *job);

/* 0 if the job of that id could be paused now, or negative errno with ERR_REFUSED or
 * ERR_NO_JOB. Any thread. */
_must_check_ int jobs_may_pause(struct jobs *jobs, const char *id, struct err *reterr);

/* Asks a job to stop until jobs_resume(); meanwhile it holds nothing. One that is paused
 * is success. Returns as jobs_may_pause(). Any thread. */
_must_check_ int jobs_pause(struct jobs *jobs, const char *id, struct err *reterr);

/* Lets a paused job go on, at once or when its VM is free. Returns 0 or negative errno
 * (ERR_REFUSED: it is not paused; ERR_NO_JOB). Any thread. */
_must_check_ int jobs_resume(struct jobs *jobs, const char *id, struct err *reterr);

/* A job of the sort of job_submit_giving_way() that is paused from the beginning; id, began: of the
 * one that it continues. Returns 0 or -EEXIST (there is a job of that id), -EBUSY (jobs_stop()); then arg
 * stays the caller's. */
_must_check_ int job_submit_paused(struct jobs *jobs, const char *operation, const char *key, const char *vm,
				   const char *id, int64_t began, job_fn fn, void *arg, void (*free_arg)(void *arg));

/* The job of that operation on that key which is paused, or asked to (a reference, *owned*), or NULL. */
struct job *jobs_paused(struct jobs *jobs, const char *operation, const char *key);

/* The job of that id (a reference, *owned*), or NULL: running ones and those that ended lately. */
struct job *jobs_find(struct jobs *jobs, const char *id);

/* All jobs that are known here, oldest first: references, *owned* array. */
void jobs_list(struct jobs *jobs, struct job ***ret_list, size_t *ret_n);

/* Number of queued and running jobs. */
int jobs_active(struct jobs *jobs);

/* Fills ret_view; emptied by job_view_done(). Any thread. */
void job_look(struct job *job, struct job_view *ret_view);

/* Empties it. */
void job_view_done(struct job_view *view);

/* "queued", "running", "paused", "done", "failed", "cancelled". */
const char *job_state_name(enum job_state state);

/* fn(arg, job) is called in the main loop's thread whenever a job changed
 * (at most four times a second for progress) and when it ended. Returns a handle
 * for jobs_unwatch(). */
struct job_watch *jobs_watch(struct jobs *jobs, void (*fn)(void *arg, struct job *job), void *arg);

/* Ends watching (*taken*, may be NULL). Main loop's thread. */
void jobs_unwatch(struct jobs *jobs, struct job_watch *watch);

#endif
