/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the job engine: shared by job.c (slots, states), job-body.c (what
 * a body says of itself) and job-pause.c. */
#ifndef DAEMON_JOB_PRIV_H
#define DAEMON_JOB_PRIV_H

#include <event2/event.h>
#include <pthread.h>

#include "common/log.h"
#include "daemon/job.h"

struct job_watch {
	void (*fn)(void *arg, struct job *job);
	void *arg;
	int dead;
	struct job_watch *next;
};

struct job {
	struct jobs *jobs;
	struct job_view v; /* guarded by jobs->lock, as all that follows */
	int refs, cancelled, told_end;
	int gives_way; /* it ends for another job of its VM that asks it to */
	int asked;     /* it was */
	int may_pause; /* it can be stopped, and its body be called again */
	int pause;     /* that was asked for */
	int resume;    /* and taken back before it had stopped */
	int waiting;   /* queued, for others to let go of its VM; no worker has it, and it holds nothing */
	unsigned notified;
	char **keys;
	struct {
		char *key;
		struct guid value;
	} *result;
	size_t n_results;
	job_fn fn;
	void *arg;
	void (*free_arg)(void *arg);
};

struct jobs {
	pthread_mutex_t lock; /* recursive */
	pthread_cond_t ended;
	struct worker_pool *pool, *giving_way;
	struct job **list;
	size_t n;
	char **holds;
	int max_jobs, posted, stopping;
	struct event *timer;
	struct job_watch *watches; /* main loop's thread only */
	void (*finished)(void *arg, const struct job_view *view);
	void *finished_arg;
};

/* ---- for the lock's holder */

/* Which state may follow which is known here; everything else is a bug worth a crash. */
void job_set_state(struct job *job, enum job_state state);

/* Something changed that is worth telling at once. */
void jobs_announce(struct jobs *jobs);

/* The job that holds key (*borrowed*), or NULL; one that gives way only if there is no other. */
struct job *jobs_holder_of(struct jobs *jobs, const char *key);

/* Asks those that hold key and give way to stop; not asker (may be NULL). Returns the number of
 * them that are running still. */
int jobs_ask_way(struct jobs *jobs, const struct job *asker, const char *key);

/* A queued job in the list: a reference, *owned*. */
struct job *job_new(struct jobs *jobs, const char *operation, const char *key, const char *vm);

/* Gives it to a worker. */
void job_start(struct job *job);

/* Makes its state final: r is what the body returned, with err (emptied). */
void job_end(struct job *job, int r, struct err *err);

/* A running job stopped because it was asked to pause: makes it paused, or begins it again if
 * that was taken back. */
void job_stand_still(struct job *job);

/* Begins those that wait for nobody any more. */
void jobs_start_waiting(struct jobs *jobs);

#endif
