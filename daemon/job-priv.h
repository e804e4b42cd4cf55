/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the job engine: shared by job.c (slots, states) and job-body.c (what
 * a body says of itself). */
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

#endif
