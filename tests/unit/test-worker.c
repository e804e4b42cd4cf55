/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Worker threads and the main loop's door. */
#include "tests/unit/layout-util.h"

#include <pthread.h>

#include "daemon/loop.h"
#include "daemon/worker.h"

struct work {
	pthread_t worked, finished;
	int number, *order, *n, last;
};

static void do_work(void *arg)
{
	struct work *w = arg;

	w->worked = pthread_self();
	w->order[(*w->n)++] = w->number;
}

static void work_done(void *arg)
{
	struct work *w = arg;

	w->finished = pthread_self();
	if (w->last)
		loop_stop();
}

/* One thread takes the work in order; its end is told in the loop's thread. */
static void test_order(void **state _unused_)
{
	struct work work[20] = { { .number = 0 } };
	_cleanup_err_ struct err err = ERR_INIT;
	struct worker_pool *pool;
	int order[20], n = 0;

	assert_ok(loop_init(&err), &err);
	assert_ok(worker_pool_new("one", 1, &pool, &err), &err);
	for (int i = 0; i < 20; i++) {
		work[i] = (struct work){ .number = i, .order = order, .n = &n, .last = i == 19 };
		worker_run(pool, do_work, work_done, &work[i]);
	}
	assert_ok(loop_run(&err), &err);
	assert_int_equal(n, 20);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(order[i], i);
		assert_true(pthread_equal(work[i].finished, pthread_self()));
		assert_false(pthread_equal(work[i].worked, pthread_self()));
	}
	worker_pool_free(pool);
	loop_done();
}

static void meet(void *arg)
{
	pthread_barrier_wait(arg);
}

/* As many at once as there are threads: they all wait for each other. */
static void test_at_once(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct worker_pool *pool;
	pthread_barrier_t barrier;

	pthread_barrier_init(&barrier, NULL, 4);
	assert_ok(loop_init(&err), &err);
	assert_ok(worker_pool_new("three", 3, &pool, &err), &err);
	for (int i = 0; i < 3; i++)
		worker_run(pool, meet, NULL, &barrier);
	pthread_barrier_wait(&barrier);
	worker_pool_free(pool);
	loop_done();
	pthread_barrier_destroy(&barrier);
}

struct blocked {
	pthread_barrier_t begun, end;
	int ran;
};

static void block(void *arg)
{
	struct blocked *b = arg;

	pthread_barrier_wait(&b->begun);
	pthread_barrier_wait(&b->end);
}

static void count(void *arg)
{
	struct blocked *b = arg;

	b->ran++;
}

static void *free_pool(void *arg)
{
	worker_pool_free(arg);
	return NULL;
}

/* What waits when the pool goes is dropped; what is under way comes to its end. */
static void test_free_drops_what_waits(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct blocked b = { .ran = 0 };
	struct worker_pool *pool;
	pthread_t thread;

	pthread_barrier_init(&b.begun, NULL, 2);
	pthread_barrier_init(&b.end, NULL, 2);
	assert_ok(loop_init(&err), &err);
	assert_ok(worker_pool_new("one", 1, &pool, &err), &err);
	worker_run(pool, block, NULL, &b);
	worker_run(pool, count, NULL, &b);
	pthread_barrier_wait(&b.begun);
	assert_int_equal(pthread_create(&thread, NULL, free_pool, pool), 0);
	if (pthread_tryjoin_np(thread, NULL) == 0)
		fail_msg("the pool went while its work was under way");
	pthread_barrier_wait(&b.end);
	pthread_join(thread, NULL);
	assert_true(b.ran <= 1); /* 1: the thread took it before it heard of the end */
	worker_pool_free(NULL);
	loop_done();
	pthread_barrier_destroy(&b.begun);
	pthread_barrier_destroy(&b.end);
}

static void note(void *arg)
{
	char **text = arg;
	size_t len = strlen(*text);

	(*text)[len] = (char)('a' + len);
	if (len == 4)
		loop_stop();
}

/* In the order of the calls, also from within. */
static void test_post(void **state _unused_)
{
	char buf[8] = "", *text = buf;
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(loop_init(&err), &err);
	for (int i = 0; i < 5; i++)
		loop_post(note, &text);
	assert_ok(loop_run(&err), &err);
	assert_string_equal(buf, "abcde");
	loop_post(note, &text); /* never runs: dropped */
	loop_done();
	assert_string_equal(buf, "abcde");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_free_drops_what_waits),
		cmocka_unit_test(test_post),
	};

	alarm(120);
	return cmocka_run_group_tests_name("test-worker", tests, NULL, NULL);
}
