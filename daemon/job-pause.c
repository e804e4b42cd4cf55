/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs that stop for a while: a paused one has no worker and holds no VM. Let go on, it is
 * queued, and begins when nobody else has its VM. */
#include <pthread.h>
#include <string.h>

#include "common/alloc.h"
#include "daemon/job-priv.h"

void job_let_pause(struct job *job)
{
	pthread_mutex_lock(&job->jobs->lock);
	job->may_pause = 1;
	pthread_mutex_unlock(&job->jobs->lock);
}

int job_pausing(struct job *job)
{
	int pausing;

	pthread_mutex_lock(&job->jobs->lock);
	pausing = job->pause;
	pthread_mutex_unlock(&job->jobs->lock);
	return pausing;
}

int job_stopping(struct job *job)
{
	int stopping;

	pthread_mutex_lock(&job->jobs->lock);
	stopping = job->jobs->stopping;
	pthread_mutex_unlock(&job->jobs->lock);
	return stopping;
}

/* ---- who waits for whom */

/* Lock held. 1 if somebody has its VM who does not give way to it. */
static int is_blocked(const struct job *job)
{
	for (char **key = job->keys; *key; key++) {
		const struct job *holder = jobs_holder_of(job->jobs, *key);

		if (strv_has(job->jobs->holds, *key) || (holder && (job->gives_way || !holder->gives_way)))
			return 1;
	}
	return 0;
}

void jobs_start_waiting(struct jobs *jobs)
{
	for (size_t i = 0; i < jobs->n; i++) {
		struct job *job = jobs->list[i];

		if (job->v.state != JOB_QUEUED || !job->waiting || is_blocked(job))
			continue;
		job->waiting = 0;
		for (char **key = job->keys; !job->gives_way && *key; key++)
			ignore_result(jobs_ask_way(jobs, job, *key)); /* waited for by the worker */
		job_start(job);
	}
}

/* Lock held. */
static void go_on(struct job *job)
{
	job->pause = job->resume = job->asked = 0;
	job->waiting = 1;
	job_set_state(job, JOB_QUEUED);
	job->v.version++;
	jobs_announce(job->jobs);
	jobs_start_waiting(job->jobs);
}

void job_stand_still(struct job *job)
{
	job_set_state(job, JOB_PAUSED);
	cleanup_free(&job->v.phase);
	job->v.bytes_done = job->v.bytes_total = -1;
	job->v.version++;
	jobs_announce(job->jobs);
	pthread_cond_broadcast(&job->jobs->ended);
	if (job->resume)
		go_on(job);
	else if (job->jobs->stopping && !job->gives_way) {
		_cleanup_err_ struct err err = ERR_INIT;

		job_end(job, job_check(job, &err), &err);
	}
}

/* ---- what people ask for */

/* Lock held. */
static int check_pause(struct job *job, struct err *reterr)
{
	if (job->v.state >= JOB_DONE)
		return err_set(reterr, ERR_REFUSED, -EALREADY, "job %s (%s of VM '%s') has ended already: it is %s", job->v.id,
			       job->v.operation, job->v.vm, job_state_name(job->v.state));
	if (job->may_pause && !job->cancelled)
		return 0;
	if (job->cancelled)
		return err_set(reterr, ERR_REFUSED, -EALREADY, "job %s (%s of VM '%s') is being cancelled", job->v.id,
			       job->v.operation, job->v.vm);
	return err_full(reterr, ERR_REFUSED, -EOPNOTSUPP, job->v.vm, NULL,
			"Only the merging and flattening of disks can be paused. 'vmsnapctl job cancel' ends a job",
			"job %s (%s of VM '%s') cannot be paused", job->v.id, job->v.operation, job->v.vm);
}

/* Lock held. As check_pause(); then it is asked to stop. */
static int pause_job(struct job *job, struct err *reterr)
{
	int r = check_pause(job, reterr);

	if (r < 0)
		return r;
	if (job->v.state == JOB_QUEUED && job->waiting) {
		job->waiting = 0; /* as a worker would find it */
		job_set_state(job, JOB_RUNNING);
		job_stand_still(job);
	}
	job->pause = 1;
	job->resume = 0;
	return 0;
}

/* Lock held. */
static int resume_job(struct job *job, struct err *reterr)
{
	if (job->v.state >= JOB_DONE || !job->pause)
		return err_full(reterr, ERR_REFUSED, -EALREADY, job->v.vm, NULL, NULL,
				"job %s (%s of VM '%s') is not paused: it is %s", job->v.id, job->v.operation,
				job->v.vm, job_state_name(job->v.state));
	if (job->v.state == JOB_PAUSED)
		go_on(job);
	else
		job->resume = 1; /* once it has stopped */
	return 0;
}

/* What somebody asks of a job that he names. */
static int ask(struct jobs *jobs, const char *id, int (*what)(struct job *job, struct err *reterr), struct err *reterr)
{
	_cleanup_job_ struct job *job = jobs_find(jobs, id);
	int r;

	if (!job)
		return err_set(reterr, ERR_NO_JOB, -ENOENT, "there is no job '%s'", id);
	pthread_mutex_lock(&jobs->lock);
	r = what(job, reterr);
	pthread_mutex_unlock(&jobs->lock);
	return r;
}

int jobs_may_pause(struct jobs *jobs, const char *id, struct err *reterr)
{
	return ask(jobs, id, check_pause, reterr);
}

int jobs_pause(struct jobs *jobs, const char *id, struct err *reterr)
{
	return ask(jobs, id, pause_job, reterr);
}

int jobs_resume(struct jobs *jobs, const char *id, struct err *reterr)
{
	return ask(jobs, id, resume_job, reterr);
}

/* ---- beyond one life of the daemon */

int job_submit_paused(struct jobs *jobs, const char *operation, const char *key, const char *vm, const char *id,
		      int64_t began, job_fn fn, void *arg, void (*free_arg)(void *arg))
{
	_cleanup_job_ struct job *known = NULL, *job = NULL;
	int r;

	pthread_mutex_lock(&jobs->lock);
	known = jobs_find(jobs, id);
	r = jobs->stopping ? -EBUSY : known ? -EEXIST : 0;
	if (!r) {
		job = job_new(jobs, operation, key, vm);
		xstrset(&job->v.id, id);
		job->v.started_usec = began;
		job->v.state = JOB_PAUSED;
		job->fn = fn;
		job->arg = arg;
		job->free_arg = free_arg;
		job->gives_way = job->may_pause = job->pause = 1;
	}
	pthread_mutex_unlock(&jobs->lock);
	return r;
}

struct job *jobs_paused(struct jobs *jobs, const char *operation, const char *key)
{
	struct job *found = NULL;

	pthread_mutex_lock(&jobs->lock);
	for (size_t i = 0; i < jobs->n && !found; i++)
		if (jobs->list[i]->pause && jobs->list[i]->v.state < JOB_DONE &&
		    strcmp(jobs->list[i]->v.operation, operation) == 0 && strv_has(jobs->list[i]->keys, key))
			found = job_ref(jobs->list[i]);
	pthread_mutex_unlock(&jobs->lock);
	return found;
}
