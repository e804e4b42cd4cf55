/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs that are paused and go on. */
#include "tests/unit/job-util.h"

#include "common/log.h"

#define KEY "11112222-3333-4444-5555-666677778888"
#define OTHER "AAAAAAAA-3333-4444-5555-666677778888"

/* A body: how often it began, and whether it may end well; it counts its being freed. */
struct work {
	int begun, may_end, freed;
};

static int get(const int *value)
{
	return __atomic_load_n(value, __ATOMIC_ACQUIRE);
}

static void add(int *value)
{
	__atomic_add_fetch(value, 1, __ATOMIC_ACQ_REL);
}

/* Works until it may end, or is asked to stop. */
static int body(struct job *job, void *arg, struct err *reterr)
{
	struct work *w = arg;

	add(&w->begun);
	while (!get(&w->may_end)) {
		if (job_interrupted(job))
			return err_set(reterr, ERR_CANCELLED, -ECANCELED, "it was asked to stop");
		sched_yield();
	}
	return 0;
}

static void free_work(void *arg)
{
	struct work *w = arg;

	add(&w->freed);
}

static void await(const int *value, int wanted)
{
	while (get(value) < wanted)
		sched_yield();
}

static void await_state(struct job *job, enum job_state wanted)
{
	while (state_of(job) != wanted)
		sched_yield();
}

/* Declared before all references to jobs: those go before. */
static void end_jobsp(struct jobs **jobs)
{
	jobs_drain(*jobs);
	jobs_free(*jobs);
	loop_done();
}
#define _cleanup_jobs_ _cleanup_(end_jobsp)

static struct job *submit(struct jobs *jobs, struct work *w)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct job *job;

	assert_ok(job_submit(jobs, "flatten", KEY, "web", body, w, free_work, &job, &err), &err);
	job_let_pause(job);
	return job;
}

static struct job *submit_merge(struct jobs *jobs, struct work *w)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct job *job;

	assert_ok(job_submit_giving_way(jobs, "merge", KEY, "web", body, w, free_work, &job, &err), &err);
	job_let_pause(job);
	return job;
}

static void pause_job(struct jobs *jobs, struct job *job)
{
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(jobs_pause(jobs, job_id(job), &err), &err);
	await_state(job, JOB_PAUSED);
}

/* Paused it holds nothing; let go on it waits for whoever has the VM, holding nothing, and is the same job.
 * other is the work of another one. */
static void pause_and_resume(struct jobs *jobs, struct job *job, struct work *w, struct work *other)
{
	_cleanup_job_ struct job *between = NULL;
	_cleanup_free_ char *holder = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	await(&w->begun, 1);
	pause_job(jobs, job);
	assert_ok(jobs_pause(jobs, job_id(job), &err), &err); /* it is */
	assert_int_equal(jobs_active(jobs), 0);
	assert_null(jobs_holder(jobs, KEY));
	between = submit(jobs, other);
	await(&other->begun, 1);
	assert_ok(jobs_resume(jobs, job_id(job), &err), &err);
	assert_int_equal(state_of(job), JOB_QUEUED);
	holder = jobs_holder(jobs, KEY);
	assert_string_equal(holder, job_id(between));
	pause_job(jobs, job);
	assert_ok(jobs_resume(jobs, job_id(job), &err), &err);
	add(&other->may_end);
	await(&w->begun, 2);
	assert_int_equal(state_of(between), JOB_DONE);
	add(&w->may_end);
	await_state(job, JOB_DONE);
}

static void test_pause(void **state _unused_)
{
	struct work w = { 0 }, other = { 0 };
	_cleanup_jobs_ struct jobs *jobs = make_jobs(2, 8);
	_cleanup_job_ struct job *job = submit(jobs, &w);

	pause_and_resume(jobs, job, &w, &other);
}

static void test_pause_giving_way(void **state _unused_)
{
	struct work w = { 0 }, other = { 0 };
	_cleanup_jobs_ struct jobs *jobs = make_jobs(2, 8);
	_cleanup_job_ struct job *job = submit_merge(jobs, &w);

	pause_and_resume(jobs, job, &w, &other);
	assert_null(jobs_paused(jobs, "merge", KEY));
}

/* One that waits begins when a short change of the VM is over. */
static void test_resume_during_hold(void **state _unused_)
{
	struct work w = { 0 };
	_cleanup_jobs_ struct jobs *jobs = make_jobs(2, 8);
	_cleanup_job_ struct job *job = submit_merge(jobs, &w);
	_cleanup_err_ struct err err = ERR_INIT;

	await(&w.begun, 1);
	pause_job(jobs, job);
	assert_ok(jobs_hold(jobs, KEY, "web", &err), &err);
	assert_ok(jobs_resume(jobs, job_id(job), &err), &err);
	assert_int_equal(state_of(job), JOB_QUEUED);
	assert_int_equal(get(&w.begun), 1);
	jobs_release(jobs, KEY);
	await(&w.begun, 2);
	add(&w.may_end);
	await_state(job, JOB_DONE);
}

/* Stops only when it is let. */
static int slow_body(struct job *job, void *arg, struct err *reterr)
{
	struct work *w = arg;

	add(&w->begun);
	while (get(&w->may_end) < get(&w->begun))
		sched_yield();
	return job_interrupted(job) ? err_set(reterr, ERR_CANCELLED, -ECANCELED, "it was asked to stop") : 0;
}

/* Taken back before it had stopped: it stops, and begins again. */
static void test_resume_early(void **state _unused_)
{
	struct work w = { 0 };
	_cleanup_jobs_ struct jobs *jobs = make_jobs(2, 8);
	_cleanup_job_ struct job *job = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(job_submit(jobs, "flatten", KEY, "web", slow_body, &w, free_work, &job, &err), &err);
	job_let_pause(job);
	await(&w.begun, 1);
	assert_ok(jobs_pause(jobs, job_id(job), &err), &err);
	assert_int_equal(state_of(job), JOB_RUNNING);
	assert_ok(jobs_resume(jobs, job_id(job), &err), &err);
	add(&w.may_end);
	await(&w.begun, 2);
	add(&w.may_end);
	await_state(job, JOB_DONE);
	assert_int_equal(w.begun, 2);
}

static void test_refusals(void **state _unused_)
{
	struct work w = { 0 };
	_cleanup_jobs_ struct jobs *jobs = make_jobs(2, 8);
	_cleanup_job_ struct job *job = NULL;
	_cleanup_err_ struct err err = ERR_INIT, never = ERR_INIT, not_paused = ERR_INIT;
	_cleanup_err_ struct err ended = ERR_INIT, late = ERR_INIT;

	assert_ok(job_submit(jobs, "vm save", KEY, "web", body, &w, NULL, &job, &err), &err);
	assert_int_equal(jobs_pause(jobs, job_id(job), &never), -EOPNOTSUPP);
	assert_int_equal(never.kind, ERR_REFUSED);
	assert_non_null(strstr(never.message, "vm save of VM 'web') cannot be paused"));
	assert_int_equal(jobs_resume(jobs, job_id(job), &not_paused), -EALREADY);
	assert_non_null(strstr(not_paused.message, "is not paused"));
	job_let_pause(job);
	assert_ok(jobs_may_pause(jobs, job_id(job), &err), &err);
	await(&w.begun, 1);
	add(&w.may_end);
	jobs_drain(jobs);
	assert_int_equal(jobs_pause(jobs, job_id(job), &ended), -EALREADY);
	assert_non_null(strstr(ended.message, "done"));
	assert_int_equal(jobs_resume(jobs, job_id(job), &late), -EALREADY);
}

static void test_cancel(void **state _unused_)
{
	struct work w = { 0 };
	struct jobs *jobs = make_jobs(2, 8);
	struct job *job = submit(jobs, &w);
	struct job_view view;
	_cleanup_err_ struct err err = ERR_INIT;

	await(&w.begun, 1);
	pause_job(jobs, job);
	assert_ok(jobs_cancel(jobs, job_id(job), &err), &err);
	job_look(job, &view);
	assert_int_equal(view.state, JOB_CANCELLED);
	assert_int_equal(view.err.kind, ERR_CANCELLED);
	assert_true(view.finished_usec > 0);
	job_view_done(&view);
	job_unref(job);
	end_jobsp(&jobs);
	assert_int_equal(w.begun, 1);
	assert_int_equal(w.freed, 1);
}

/* A stop of the daemon ends those that nobody begins again; a merge stays paused. */
static void test_stop(void **state _unused_)
{
	struct work one = { 0 }, two = { 0 };
	_cleanup_jobs_ struct jobs *jobs = make_jobs(2, 8);
	_cleanup_job_ struct job *flatten = submit(jobs, &one), *merge = NULL;

	await(&one.begun, 1);
	pause_job(jobs, flatten);
	merge = submit_merge(jobs, &two);
	await(&two.begun, 1);
	pause_job(jobs, merge);
	jobs_stop(jobs);
	assert_int_equal(state_of(flatten), JOB_CANCELLED);
	assert_int_equal(state_of(merge), JOB_PAUSED);
	assert_int_equal(two.begun, 1);
}

/* The next daemon has the paused job of the last one. */
static void test_submit_paused(void **state _unused_)
{
	struct work w = { 0 };
	_cleanup_jobs_ struct jobs *jobs = make_jobs(2, 8);
	_cleanup_job_ struct job *job = NULL;
	struct job_view view;
	_cleanup_err_ struct err err = ERR_INIT;

	assert_int_equal(job_submit_paused(jobs, "merge", KEY, "web", "AB12CD34", 77, body, &w, free_work), 0);
	assert_int_equal(job_submit_paused(jobs, "merge", KEY, "web", "AB12CD34", 77, body, &w, free_work), -EEXIST);
	job = jobs_paused(jobs, "merge", KEY);
	assert_non_null(job);
	assert_null(jobs_paused(jobs, "merge", OTHER));
	assert_null(jobs_paused(jobs, "pack", KEY));
	job_look(job, &view);
	assert_string_equal(view.id, "AB12CD34");
	assert_int_equal(view.state, JOB_PAUSED);
	assert_int_equal(view.started_usec, 77);
	assert_string_equal(view.vm_id.s, KEY);
	job_view_done(&view);
	assert_ok(jobs_resume(jobs, "ab12cd34", &err), &err);
	await(&w.begun, 1);
	add(&w.may_end);
	await_state(job, JOB_DONE);
	jobs_stop(jobs);
	assert_int_equal(job_submit_paused(jobs, "merge", KEY, "web", "AB12CD35", 77, body, &w, free_work), -EBUSY);
}

/* Claims the other VM, on which a job works that gives way. */
static int claiming_body(struct job *job, void *arg, struct err *reterr)
{
	struct job *merge = arg;
	int r = job_claim(job, KEY, "web", reterr);

	return r < 0 || state_of(merge) >= JOB_DONE ? r : err_set(reterr, ERR_FAILED, -EIO, "the merge goes on");
}

static void test_claim_waits(void **state _unused_)
{
	struct work w = { 0 };
	_cleanup_jobs_ struct jobs *jobs = make_jobs(2, 8);
	_cleanup_job_ struct job *merge = submit_merge(jobs, &w), *adopt = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	struct job_view view;

	await(&w.begun, 1);
	assert_ok(job_submit(jobs, "vm adopt", OTHER, "clone", claiming_body, merge, NULL, &adopt, &err), &err);
	jobs_drain(jobs);
	assert_int_equal(state_of(adopt), JOB_DONE);
	job_look(adopt, &view);
	assert_string_equal(view.vm_id.s, OTHER); /* still that VM's job */
	job_view_done(&view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pause),	     cmocka_unit_test(test_pause_giving_way),
		cmocka_unit_test(test_resume_during_hold), cmocka_unit_test(test_resume_early),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_cancel),	     cmocka_unit_test(test_stop),
		cmocka_unit_test(test_submit_paused), cmocka_unit_test(test_claim_waits),
	};

	log_set_level(LOG_LEVEL_ERROR);
	alarm(120);
	return cmocka_run_group_tests_name("test-job-pause", tests, NULL, NULL);
}
