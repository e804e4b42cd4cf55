/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of jobs share: an engine, a job's state, a gate in which a body stands. */
#ifndef TESTS_UNIT_JOB_UTIL_H
#define TESTS_UNIT_JOB_UTIL_H

#include "tests/unit/layout-util.h"

#include <pthread.h>
#include <sched.h>

#include "daemon/job.h"
#include "daemon/loop.h"

/* How many bodies have begun, and whether they may end. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	int entered, open;
};

#define GATE_INIT { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 }

/* A body has begun. */
static inline _unused_ void gate_enter(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->entered++;
	pthread_cond_broadcast(&g->wake);
	pthread_mutex_unlock(&g->lock);
}

/* The body stands here until open_gate(). */
static inline _unused_ void gate_wait_open(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	while (!g->open)
		pthread_cond_wait(&g->wake, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

/* Returns when n bodies have begun. */
static inline _unused_ void wait_entered(struct gate *g, int n)
{
	pthread_mutex_lock(&g->lock);
	while (g->entered < n)
		pthread_cond_wait(&g->wake, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

/* All bodies go on. */
static inline _unused_ void open_gate(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = 1;
	pthread_cond_broadcast(&g->wake);
	pthread_mutex_unlock(&g->lock);
}

/* An engine and the loop that it tells; jobs_free() and loop_done() end them. */
static inline _unused_ struct jobs *make_jobs(int workers, int max_jobs)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct jobs *jobs;

	assert_ok(loop_init(&err), &err);
	assert_ok(jobs_new(workers, max_jobs, &jobs, &err), &err);
	return jobs;
}

/* The state of a job. */
static inline _unused_ enum job_state state_of(struct job *job)
{
	struct job_view view;
	enum job_state state;

	job_look(job, &view);
	state = view.state;
	job_view_done(&view);
	return state;
}

#endif
