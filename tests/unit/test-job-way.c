/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs that give way to others. */
#include "tests/unit/job-util.h"

#include "common/log.h"

#define KEY "11112222-3333-4444-5555-666677778888"

static int body(struct job *job _unused_, void *arg, struct err *reterr _unused_)
{
	gate_enter(arg);
	gate_wait_open(arg);
	return 0;
}

/* Works until it is asked to stop, and then still takes its time. */
static int yielding_body(struct job *job, void *arg, struct err *reterr _unused_)
{
	gate_enter(arg);
	while (!job_interrupted(job))
		sched_yield();
	gate_wait_open(arg);
	return 0;
}

/* After the last reference to any of them is gone. */
static void end_jobs(struct jobs *jobs)
{
	jobs_free(jobs);
	loop_done();
}

static int yielding(struct jobs *jobs, struct gate *gate, struct job **ret_job)
{
	return job_submit_giving_way(jobs, "pack", KEY, "web", yielding_body, gate, NULL, ret_job, NULL);
}

/* Another job of the VM is taken, makes it stop, and begins when it has. */
static void test_gives_way(void **state _unused_)
{
	struct gate slow = GATE_INIT, gate = GATE_INIT;
	_cleanup_job_ struct job *pack = NULL, *job = NULL;
	_cleanup_err_ struct err err = ERR_INIT, busy = ERR_INIT;
	struct jobs *jobs = make_jobs(1, 2);
	struct job *none = NULL;

	assert_int_equal(yielding(jobs, &slow, &pack), 0);
	wait_entered(&slow, 1);
	assert_int_equal(job_interrupted(pack), 0);
	assert_int_equal(yielding(jobs, &slow, &none), -EBUSY); /* for its like it does not */
	assert_ok(job_submit(jobs, "snapshot", KEY, "web", body, &gate, NULL, &job, &err), &err);
	assert_true(job_interrupted(pack) && !job_cancelled(pack));
	assert_int_equal(job_submit(jobs, "snapshot", KEY, "web", body, &gate, NULL, &none, &busy), -EBUSY);
	assert_string_equal(busy.job, job_id(job));
	assert_int_equal(gate.entered, 0); /* it waits for the other to end */
	open_gate(&slow);
	wait_entered(&gate, 1);
	assert_true(state_of(pack) > JOB_RUNNING);
	assert_int_equal(yielding(jobs, &slow, &none), -EBUSY);
	open_gate(&gate);
	jobs_drain(jobs);
	assert_int_equal(state_of(job), JOB_DONE);
	assert_null(none);
	job_unref(TAKE_PTR(pack));
	job_unref(TAKE_PTR(job));
	end_jobs(jobs);
}

static void *open_later(void *arg)
{
	struct gate *g = arg;

	for (int i = 0; i < 1000; i++)
		sched_yield(); /* so that the other most likely waits by then */
	open_gate(g);
	return NULL;
}

/* Short changes wait for it. */
static void test_hold(void **state _unused_)
{
	struct gate slow = GATE_INIT;
	_cleanup_job_ struct job *pack = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	struct jobs *jobs = make_jobs(1, 2);
	pthread_t thread;

	assert_int_equal(yielding(jobs, &slow, &pack), 0);
	wait_entered(&slow, 1);
	assert_int_equal(pthread_create(&thread, NULL, open_later, &slow), 0);
	assert_ok(jobs_hold(jobs, KEY, "web", &err), &err);
	assert_true(state_of(pack) > JOB_RUNNING);
	jobs_release(jobs, KEY);
	pthread_join(thread, NULL);
	jobs_drain(jobs);
	job_unref(TAKE_PTR(pack));
	end_jobs(jobs);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_gives_way), cmocka_unit_test(test_hold) };

	log_set_level(LOG_LEVEL_ERROR);
	alarm(120);
	return cmocka_run_group_tests_name("test-job-way", tests, NULL, NULL);
}
