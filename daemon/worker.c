/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Worker threads. */
#include "daemon/worker.h"

#include <pthread.h>

#include "common/alloc.h"
#include "daemon/loop.h"

struct task {
	void (*work)(void *arg);
	void (*done)(void *arg);
	void *arg;
	struct task *next;
};

struct worker_pool {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct task *first, **last;
	pthread_t *thread;
	int n;
	int stop;
};

static struct task *next_task(struct worker_pool *pool)
{
	struct task *t = NULL;

	pthread_mutex_lock(&pool->lock);
	while (!pool->first && !pool->stop)
		pthread_cond_wait(&pool->wake, &pool->lock);
	if (!pool->stop) {
		t = pool->first;
		pool->first = t->next;
		if (!pool->first)
			pool->last = &pool->first;
	}
	pthread_mutex_unlock(&pool->lock);
	return t;
}

static void *worker_main(void *arg)
{
	struct worker_pool *pool = arg;

	for (;;) {
		_cleanup_free_ struct task *t = next_task(pool);

		if (!t)
			return NULL;
		t->work(t->arg);
		if (t->done)
			loop_post(t->done, t->arg);
	}
}

int worker_pool_new(const char *name, int n, struct worker_pool **ret_pool, struct err *reterr)
{
	struct worker_pool *pool = xcalloc(1, sizeof(*pool));

	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	pool->last = &pool->first;
	pool->thread = xcalloc(n, sizeof(*pool->thread));
	for (; pool->n < n; pool->n++) {
		int r = pthread_create(&pool->thread[pool->n], NULL, worker_main, pool);

		if (r) {
			worker_pool_free(pool);
			return err_errno(reterr, r, "cannot start a worker thread (%s)", name);
		}
		pthread_setname_np(pool->thread[pool->n], name);
	}
	*ret_pool = pool;
	return 0;
}

void worker_run(struct worker_pool *pool, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
	struct task *t = xcalloc(1, sizeof(*t));

	t->work = work;
	t->done = done;
	t->arg = arg;
	pthread_mutex_lock(&pool->lock);
	*pool->last = t;
	pool->last = &t->next;
	pthread_cond_signal(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
}

void worker_pool_free(struct worker_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = 1;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	for (int i = 0; i < pool->n; i++)
		pthread_join(pool->thread[i], NULL);
	while (pool->first) {
		_cleanup_free_ struct task *t = pool->first;

		pool->first = t->next;
	}
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
	cleanup_free(&pool->thread);
	cleanup_free(&pool);
}
