/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The job engine: slots, states, progress. What a job does is its body's business. */
#include "daemon/job.h"

#include <pthread.h>
#include <string.h>

#include "common/alloc.h"
#include "common/timefmt.h"
#include "daemon/job-priv.h"
#include "daemon/loop.h"
#include "daemon/worker.h"

#define KEEP_FINISHED 64
#define GIVING_WAY_THREADS 2

const char *job_state_name(enum job_state state)
{
	static const char *const name[] = { "queued", "running", "paused", "done", "failed", "cancelled" };

	return name[state];
}

void job_set_state(struct job *job, enum job_state state)
{
	static const unsigned next[] = {
		[JOB_QUEUED] = 1 << JOB_RUNNING | 1 << JOB_CANCELLED,
		[JOB_RUNNING] = 1 << JOB_PAUSED | 1 << JOB_DONE | 1 << JOB_FAILED | 1 << JOB_CANCELLED,
		[JOB_PAUSED] = 1 << JOB_QUEUED | 1 << JOB_CANCELLED,
		[JOB_DONE] = 0,
		[JOB_FAILED] = 0,
		[JOB_CANCELLED] = 0,
	};

	if (!(next[job->v.state] & 1u << state))
		abort();
	log_debug("job %s: %s -> %s", job->v.id, job_state_name(job->v.state), job_state_name(state));
	job->v.state = state;
}

struct job *job_ref(struct job *job)
{
	pthread_mutex_lock(&job->jobs->lock);
	job->refs++;
	pthread_mutex_unlock(&job->jobs->lock);
	return job;
}

static void job_destroy(struct job *job)
{
	if (job->free_arg)
		job->free_arg(job->arg);
	job_view_done(&job->v);
	strv_free(job->keys);
	for (size_t i = 0; i < job->n_results; i++)
		cleanup_free(&job->result[i].key);
	cleanup_free(&job->result);
	cleanup_free(&job);
}

void job_unref(struct job *job)
{
	struct jobs *jobs;
	int last;

	if (!job)
		return;
	jobs = job->jobs;
	pthread_mutex_lock(&jobs->lock);
	last = --job->refs == 0;
	pthread_mutex_unlock(&jobs->lock);
	if (last)
		job_destroy(job);
}

/* Lock held. 1 if it has its VM, or is to have it next. */
static int holds(const struct job *job, const char *key)
{
	return job->v.state <= JOB_RUNNING && !job->waiting && strv_has(job->keys, key);
}

struct job *jobs_holder_of(struct jobs *jobs, const char *key)
{
	struct job *found = NULL;

	for (size_t i = 0; i < jobs->n; i++)
		if (holds(jobs->list[i], key) && (!found || found->gives_way))
			found = jobs->list[i];
	return found;
}

int jobs_ask_way(struct jobs *jobs, const struct job *asker, const char *key)
{
	int running = 0;

	for (size_t i = 0; i < jobs->n; i++) {
		struct job *job = jobs->list[i];

		if (job == asker || !job->gives_way || !holds(job, key))
			continue;
		job->asked = 1;
		running += job->v.state == JOB_RUNNING;
	}
	return running;
}

/* Lock held (once). Waits until nobody who gives way works on what job holds. */
static void wait_for_way(struct job *job)
{
	for (char **key = job->keys; !job->gives_way && key && *key; key++)
		while (jobs_ask_way(job->jobs, job, *key) > 0)
			pthread_cond_wait(&job->jobs->ended, &job->jobs->lock);
}

static int refuse_busy(struct jobs *jobs, const char *key, const char *vm, struct err *reterr)
{
	struct job *job = jobs_holder_of(jobs, key);

	if (job && (!job->gives_way || strv_has(jobs->holds, key))) {
		int r = err_set(reterr, ERR_BUSY, -EBUSY, "VM '%s' is busy: job %s (%s%s%s) holds it", vm, job->v.id,
				job->v.operation, job->v.phase ? ", " : "", job->v.phase ? job->v.phase : "");

		if (reterr && !reterr->job)
			reterr->job = xstrdup(job->v.id);
		err_set_vm(reterr, vm);
		err_hint(reterr, "Wait for it with 'vmsnapctl job watch %s', or cancel it with 'vmsnapctl job cancel %s'",
			 job->v.id, job->v.id);
		return r;
	}
	if (strv_has(jobs->holds, key)) {
		return err_full(reterr, ERR_BUSY, -EBUSY, vm, NULL, "Try again", "VM '%s' is busy: its configuration is being changed", vm);
	}
	return 0;
}

static void notify_posted(void *arg);

void jobs_announce(struct jobs *jobs)
{
	if (jobs->posted)
		return;
	jobs->posted = 1;
	loop_post(notify_posted, jobs);
}

static void forget_oldest(struct jobs *jobs)
{
	size_t finished = 0;

	for (size_t i = 0; i < jobs->n; i++)
		finished += jobs->list[i]->v.state >= JOB_DONE;
	for (size_t i = 0; i < jobs->n && finished > KEEP_FINISHED; i++) {
		struct job *old = jobs->list[i];

		if (old->v.state < JOB_DONE || old->notified != old->v.version)
			continue;
		memmove(&jobs->list[i], &jobs->list[i + 1], (--jobs->n - i) * sizeof(*jobs->list));
		finished--;
		i--;
		if (--old->refs == 0)
			job_destroy(old);
	}
}

/* Tells every watcher of every job that changed since it was told last. */
static void notify(struct jobs *jobs)
{
	struct job **list;
	size_t n;

	jobs_list(jobs, &list, &n);
	for (size_t i = 0; i < n; i++) {
		struct job *job = list[i];
		int changed, ended;

		pthread_mutex_lock(&jobs->lock);
		changed = job->notified != job->v.version;
		job->notified = job->v.version;
		ended = job->v.state >= JOB_DONE && !job->told_end;
		job->told_end |= ended;
		pthread_mutex_unlock(&jobs->lock);
		if (ended && jobs->finished) {
			struct job_view view;

			job_look(job, &view);
			jobs->finished(jobs->finished_arg, &view);
			job_view_done(&view);
		}
		for (struct job_watch *w = jobs->watches; changed && w; w = w->next)
			if (!w->dead)
				w->fn(w->arg, job);
		job_unref(job);
	}
	cleanup_free(&list);
	for (struct job_watch **w = &jobs->watches; *w;) {
		struct job_watch *dead = *w;

		if (!dead->dead) {
			w = &dead->next;
			continue;
		}
		*w = dead->next;
		cleanup_free(&dead);
	}
	pthread_mutex_lock(&jobs->lock);
	forget_oldest(jobs);
	pthread_mutex_unlock(&jobs->lock);
	if (jobs_active(jobs))
		evtimer_add(jobs->timer, &(struct timeval){ .tv_usec = 250000 });
}

static void notify_posted(void *arg)
{
	struct jobs *jobs = arg;

	pthread_mutex_lock(&jobs->lock);
	jobs->posted = 0;
	pthread_mutex_unlock(&jobs->lock);
	notify(jobs);
}

static void notify_timer(evutil_socket_t fd _unused_, short what _unused_, void *arg)
{
	notify(arg);
}

void job_end(struct job *job, int r, struct err *err)
{
	job->v.finished_usec = time_now_usec();
	if (r == -ECANCELED && !err_is_set(err))
		ignore_result(err_set(err, ERR_CANCELLED, r, "%s was cancelled", job->v.operation)); /* same */
	if (r < 0 && !err_is_set(err))
		ignore_result(err_errno(err, r, "%s failed", job->v.operation)); /* the state says it */
	if (r < 0)
		ignore_result(err_move(&job->v.err, err)); /* the state says it */
	job_set_state(job, r >= 0 ? JOB_DONE : job->v.err.kind == ERR_CANCELLED ? JOB_CANCELLED : JOB_FAILED);
	job->v.version++;
	jobs_announce(job->jobs);
	pthread_cond_broadcast(&job->jobs->ended);
}

static void finish(struct job *job, int r, struct err *err)
{
	struct jobs *jobs = job->jobs;

	pthread_mutex_lock(&jobs->lock);
	if (r == -ECANCELED && job->pause)
		job_stand_still(job);
	else
		job_end(job, r, err);
	jobs_start_waiting(jobs);
	pthread_mutex_unlock(&jobs->lock);
}

static void job_work(void *arg)
{
	struct job *job = arg;
	_cleanup_err_ struct err err = ERR_INIT;
	int held_back, r;

	pthread_mutex_lock(&job->jobs->lock);
	wait_for_way(job);
	job_set_state(job, JOB_RUNNING);
	held_back = job->asked || job->pause;
	r = job->pause ? -ECANCELED : 0;
	job->v.version++;
	jobs_announce(job->jobs);
	pthread_mutex_unlock(&job->jobs->lock);
	if (!r)
		r = job_check(job, &err);
	if (!r && !held_back)
		r = job->fn(job, job->arg, &err);
	finish(job, r, &err);
	job_unref(job);
}

void job_start(struct job *job)
{
	job->refs++; /* the worker's */
	worker_run(job->gives_way ? job->jobs->giving_way : job->jobs->pool, job_work, NULL, job);
}

struct job *job_new(struct jobs *jobs, const char *operation, const char *key, const char *vm)
{
	struct job *job = xcalloc(1, sizeof(*job));
	struct guid id = guid_new();

	job->jobs = jobs;
	job->v.id = xasprintf("%.8s", id.s);
	job->v.operation = xstrdup(operation);
	job->v.vm = xstrdup(vm);
	ignore_result(guid_parse(key, &job->v.vm_id)); /* "name:..." has none */
	job->v.bytes_done = job->v.bytes_total = -1;
	job->v.started_usec = time_now_usec();
	job->v.version = 1;
	strv_push(&job->keys, xstrdup(key));
	job->refs = 2; /* the list's, the caller's */
	jobs->list = xreallocarray(jobs->list, jobs->n + 1, sizeof(*jobs->list));
	jobs->list[jobs->n++] = job;
	jobs_announce(jobs);
	return job;
}

/* Lock held. 1 if no more jobs of that sort are taken. */
static int is_full(struct jobs *jobs, int gives_way)
{
	int n = 0;

	for (size_t i = 0; i < jobs->n; i++)
		n += jobs->list[i]->v.state <= JOB_RUNNING && !jobs->list[i]->gives_way;
	return jobs->stopping || (!gives_way && n >= jobs->max_jobs);
}

/* What is to be run; the parameters of job_submit(). */
struct submission {
	const char *operation, *key, *vm;
	job_fn fn;
	void *arg;
	void (*free_arg)(void *arg);
	int gives_way;
};

static int submit(struct jobs *jobs, const struct submission *s, struct job **ret_job, struct err *reterr)
{
	struct job *job;
	int r;

	pthread_mutex_lock(&jobs->lock);
	r = refuse_busy(jobs, s->key, s->vm, reterr);
	if (!r && s->gives_way && jobs_holder_of(jobs, s->key))
		r = err_set(reterr, ERR_BUSY, -EBUSY, "VM '%s' is being worked on already", s->vm);
	if (!r && is_full(jobs, s->gives_way))
		r = err_set(reterr, ERR_LIMIT, -EAGAIN,
			    jobs->stopping ? "vmsnapd is stopping" : "%d jobs are under way, no more are taken",
			    jobs->max_jobs);
	if (r) {
		pthread_mutex_unlock(&jobs->lock);
		return r;
	}
	job = job_new(jobs, s->operation, s->key, s->vm);
	job->fn = s->fn;
	job->arg = s->arg;
	job->free_arg = s->free_arg;
	job->gives_way = s->gives_way;
	if (!s->gives_way)
		ignore_result(jobs_ask_way(jobs, job, s->key)); /* waited for by the worker */
	job_start(job);
	pthread_mutex_unlock(&jobs->lock);
	*ret_job = job;
	return 0;
}

int job_submit(struct jobs *jobs, const char *operation, const char *key, const char *vm, job_fn fn, void *arg,
	       void (*free_arg)(void *arg), struct job **ret_job, struct err *reterr)
{
	struct submission s = { operation, key, vm, fn, arg, free_arg, 0 };

	return submit(jobs, &s, ret_job, reterr);
}

int job_submit_giving_way(struct jobs *jobs, const char *operation, const char *key, const char *vm, job_fn fn,
			  void *arg, void (*free_arg)(void *arg), struct job **ret_job, struct err *reterr)
{
	struct submission s = { operation, key, vm, fn, arg, free_arg, 1 };

	return submit(jobs, &s, ret_job, reterr);
}

int job_claim(struct job *job, const char *key, const char *vm, struct err *reterr)
{
	struct jobs *jobs = job->jobs;
	int r = 0;

	pthread_mutex_lock(&jobs->lock);
	if (jobs_holder_of(jobs, key) != job)
		r = refuse_busy(jobs, key, vm ? vm : job->v.vm, reterr);
	if (!r) {
		strv_push(&job->keys, xstrdup(key));
		if (guid_is_none(&job->v.vm_id))
			ignore_result(guid_parse(key, &job->v.vm_id)); /* "name:..." has none */
		wait_for_way(job);
	}
	pthread_mutex_unlock(&jobs->lock);
	return r;
}

int jobs_hold(struct jobs *jobs, const char *key, const char *vm, struct err *reterr)
{
	int r;

	pthread_mutex_lock(&jobs->lock);
	r = refuse_busy(jobs, key, vm, reterr);
	while (!r && jobs_ask_way(jobs, NULL, key) > 0) {
		pthread_cond_wait(&jobs->ended, &jobs->lock);
		r = refuse_busy(jobs, key, vm, reterr);
	}
	if (!r)
		strv_push(&jobs->holds, xstrdup(key));
	pthread_mutex_unlock(&jobs->lock);
	return r;
}

void jobs_release(struct jobs *jobs, const char *key)
{
	pthread_mutex_lock(&jobs->lock);
	for (size_t i = 0; jobs->holds && jobs->holds[i]; i++) {
		if (strcmp(jobs->holds[i], key) != 0)
			continue;
		cleanup_free(&jobs->holds[i]);
		memmove(&jobs->holds[i], &jobs->holds[i + 1],
			(strv_count(&jobs->holds[i + 1]) + 1) * sizeof(*jobs->holds));
		break;
	}
	jobs_start_waiting(jobs);
	pthread_mutex_unlock(&jobs->lock);
}

char *jobs_holder(struct jobs *jobs, const char *key)
{
	struct job *job;
	char *id;

	pthread_mutex_lock(&jobs->lock);
	job = jobs_holder_of(jobs, key);
	id = job ? xstrdup(job->v.id) : NULL;
	pthread_mutex_unlock(&jobs->lock);
	return id;
}

/* Lock held. One that does not run ends at once. */
static void cancel(struct job *job)
{
	_cleanup_err_ struct err err = ERR_INIT;

	job->cancelled = 1;
	if (job->v.state == JOB_PAUSED || (job->v.state == JOB_QUEUED && job->waiting))
		job_end(job, job_check(job, &err), &err);
}

int jobs_cancel(struct jobs *jobs, const char *id, struct err *reterr)
{
	_cleanup_job_ struct job *job = jobs_find(jobs, id);

	if (!job)
		return err_set(reterr, ERR_NO_JOB, -ENOENT, "there is no job '%s'", id);
	pthread_mutex_lock(&jobs->lock);
	job->pause = 0;
	cancel(job);
	pthread_mutex_unlock(&jobs->lock);
	return 0;
}

struct job *jobs_find(struct jobs *jobs, const char *id)
{
	struct job *job = NULL;

	pthread_mutex_lock(&jobs->lock);
	for (size_t i = 0; i < jobs->n && !job; i++)
		if (strcasecmp(jobs->list[i]->v.id, id) == 0)
			job = jobs->list[i];
	if (job)
		job->refs++;
	pthread_mutex_unlock(&jobs->lock);
	return job;
}

void jobs_list(struct jobs *jobs, struct job ***ret_list, size_t *ret_n)
{
	pthread_mutex_lock(&jobs->lock);
	*ret_n = jobs->n;
	*ret_list = xcalloc(jobs->n + 1, sizeof(**ret_list));
	for (size_t i = 0; i < jobs->n; i++) {
		(*ret_list)[i] = jobs->list[i];
		jobs->list[i]->refs++;
	}
	pthread_mutex_unlock(&jobs->lock);
}

int jobs_active(struct jobs *jobs)
{
	int n = 0;

	pthread_mutex_lock(&jobs->lock);
	for (size_t i = 0; i < jobs->n; i++)
		n += jobs->list[i]->v.state <= JOB_RUNNING;
	pthread_mutex_unlock(&jobs->lock);
	return n;
}

void jobs_on_finished(struct jobs *jobs, void (*fn)(void *arg, const struct job_view *view), void *arg)
{
	jobs->finished = fn;
	jobs->finished_arg = arg;
}

struct job_watch *jobs_watch(struct jobs *jobs, void (*fn)(void *arg, struct job *job), void *arg)
{
	struct job_watch *w = xcalloc(1, sizeof(*w));

	w->fn = fn;
	w->arg = arg;
	w->next = jobs->watches;
	jobs->watches = w;
	return w;
}

void jobs_unwatch(struct jobs *jobs _unused_, struct job_watch *watch)
{
	if (watch)
		watch->dead = 1; /* notify() may be walking the list: it sweeps */
}

int jobs_new(int workers, int max_jobs, struct jobs **ret_jobs, struct err *reterr)
{
	struct jobs *jobs = xcalloc(1, sizeof(*jobs));
	pthread_mutexattr_t attr;
	int r;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&jobs->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_cond_init(&jobs->ended, NULL);
	jobs->max_jobs = max_jobs;
	r = worker_pool_new("job", workers, &jobs->pool, reterr);
	if (!r)
		r = worker_pool_new("merge", GIVING_WAY_THREADS, &jobs->giving_way, reterr);
	if (r < 0) {
		worker_pool_free(jobs->pool);
		cleanup_free(&jobs);
		return r;
	}
	jobs->timer = evtimer_new(loop_base(), notify_timer, jobs);
	*ret_jobs = jobs;
	return 0;
}

void jobs_free(struct jobs *jobs)
{
	if (!jobs)
		return;
	worker_pool_free(jobs->pool);
	worker_pool_free(jobs->giving_way);
	if (jobs->timer)
		event_free(jobs->timer);
	while (jobs->watches) {
		struct job_watch *w = jobs->watches;

		jobs->watches = w->next;
		cleanup_free(&w);
	}
	for (size_t i = 0; i < jobs->n; i++) {
		if (jobs->list[i]->v.state == JOB_QUEUED && !jobs->list[i]->waiting)
			job_unref(jobs->list[i]); /* the reference of a worker that never took it */
		job_unref(jobs->list[i]);
	}
	cleanup_free(&jobs->list);
	strv_free(jobs->holds);
	pthread_cond_destroy(&jobs->ended);
	pthread_mutex_destroy(&jobs->lock);
	cleanup_free(&jobs);
}

void jobs_stop(struct jobs *jobs)
{
	pthread_mutex_lock(&jobs->lock);
	jobs->stopping = 1;
	for (size_t i = 0; i < jobs->n; i++)
		if (jobs->list[i]->v.state <= JOB_RUNNING ||
		    (jobs->list[i]->v.state == JOB_PAUSED && !jobs->list[i]->gives_way))
			cancel(jobs->list[i]);
	pthread_mutex_unlock(&jobs->lock);
}

void jobs_drain(struct jobs *jobs)
{
	pthread_mutex_lock(&jobs->lock);
	while (jobs_active(jobs))
		pthread_cond_wait(&jobs->ended, &jobs->lock);
	pthread_mutex_unlock(&jobs->lock);
}
