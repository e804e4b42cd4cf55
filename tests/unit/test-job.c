/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The job engine: slots, states, cancelling, watching, history. */
#include "tests/unit/job-util.h"

#include "common/log.h"

#define KEY "11112222-3333-4444-5555-666677778888"
#define OTHER "AAAAAAAA-3333-4444-5555-666677778888"

/* A body that begins, then waits until it is let go. */
struct work {
	struct gate gate;
	int freed;
	int r;      /* what the body returns */
	int checks; /* 1: it ends when it is cancelled */
};

struct rig {
	struct jobs *jobs;
	struct work work;
	int finished, watched, ended;
	char *last_state;
	size_t wanted;
};

static struct rig *rig_new(int workers, int max_jobs)
{
	struct rig *rig = xcalloc(1, sizeof(*rig));

	pthread_mutex_init(&rig->work.gate.lock, NULL);
	pthread_cond_init(&rig->work.gate.wake, NULL);
	rig->jobs = make_jobs(workers, max_jobs);
	return rig;
}

static void rig_free(struct rig *rig)
{
	jobs_free(rig->jobs);
	loop_done();
	pthread_cond_destroy(&rig->work.gate.wake);
	pthread_mutex_destroy(&rig->work.gate.lock);
	free(rig->last_state);
	free(rig);
}

static int body(struct job *job, void *arg, struct err *reterr)
{
	struct work *w = arg;

	gate_enter(&w->gate);
	gate_wait_open(&w->gate);
	if (w->checks)
		return job_check(job, reterr);
	return w->r < 0 ? err_set(reterr, ERR_REFUSED, w->r, "the body refused") : w->r;
}

static void free_work(void *arg)
{
	struct work *w = arg;

	__atomic_add_fetch(&w->freed, 1, __ATOMIC_ACQ_REL);
}

static struct job *submit(struct rig *rig, const char *key)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct job *job = NULL;

	assert_ok(job_submit(rig->jobs, "take a snapshot", key, "web", body, &rig->work, free_work, &job, &err), &err);
	return job;
}

static void on_finished(void *arg, const struct job_view *view)
{
	struct rig *rig = arg;

	rig->finished++;
	xstrset(&rig->last_state, job_state_name(view->state));
	assert_true(view->finished_usec >= view->started_usec && view->started_usec > 0);
	if (rig->wanted && (size_t)rig->finished == rig->wanted)
		loop_stop();
}

/* Lets the loop run until n jobs were reported finished. */
static void run_until_finished(struct rig *rig, size_t n)
{
	_cleanup_err_ struct err err = ERR_INIT;

	jobs_on_finished(rig->jobs, on_finished, rig);
	rig->wanted = n;
	assert_ok(loop_run(&err), &err);
	assert_int_equal(rig->finished, n);
}

static void test_done(void **state _unused_)
{
	struct rig *rig = rig_new(1, 4);
	struct job *job = submit(rig, KEY), *found;
	_cleanup_free_ char *holder = jobs_holder(rig->jobs, KEY), *none = NULL;
	struct guid guid, got;

	assert_string_equal(holder, job_id(job));
	found = jobs_find(rig->jobs, holder);
	assert_ptr_equal(found, job);
	wait_entered(&rig->work.gate, 1);
	assert_int_equal(state_of(job), JOB_RUNNING);
	assert_int_equal(jobs_active(rig->jobs), 1);
	assert_int_equal(guid_parse(KEY, &guid), 0);
	job_set_result(job, "snapshot", &guid);
	open_gate(&rig->work.gate);
	run_until_finished(rig, 1);
	assert_string_equal(rig->last_state, "done");
	assert_int_equal(state_of(job), JOB_DONE);
	assert_int_equal(jobs_active(rig->jobs), 0);
	none = jobs_holder(rig->jobs, KEY);
	assert_null(none);
	assert_int_equal(job_get_result(job, "snapshot", &got), 0);
	assert_true(guid_eq(&guid, &got));
	assert_int_equal(job_get_result(job, "vm", &got), -ENOENT);
	job_unref(job);
	job_unref(found);
	rig_free(rig);
}

static void test_failed(void **state _unused_)
{
	struct rig *rig = rig_new(1, 4);
	struct job *job = submit(rig, KEY);
	struct job_view view;

	rig->work.r = -ENOSPC;
	open_gate(&rig->work.gate);
	run_until_finished(rig, 1);
	job_look(job, &view);
	assert_int_equal(view.state, JOB_FAILED);
	assert_int_equal(view.err.kind, ERR_REFUSED);
	assert_int_equal(view.err.code, -ENOSPC);
	assert_string_equal(view.err.message, "the body refused");
	job_view_done(&view);
	job_unref(job);
	rig_free(rig);
}

static void test_busy_names_the_holder(void **state _unused_)
{
	struct rig *rig = rig_new(2, 4);
	struct job *job = submit(rig, KEY), *second = NULL, *other = submit(rig, OTHER);
	_cleanup_err_ struct err err = ERR_INIT;

	wait_entered(&rig->work.gate, 2); /* another VM's job runs beside it */
	job_phase(job, "copying memory");
	assert_int_equal(job_submit(rig->jobs, "delete it", KEY, "web", body, &rig->work, free_work, &second, &err),
			 -EBUSY);
	assert_int_equal(err.kind, ERR_BUSY);
	assert_string_equal(err.job, job_id(job));
	assert_string_equal(err.vm, "web");
	assert_non_null(strstr(err.message, job_id(job)));
	assert_non_null(strstr(err.message, "take a snapshot, copying memory"));
	assert_non_null(strstr(err.hint, job_id(job)));
	assert_null(second);
	assert_int_equal(rig->work.freed, 0); /* the argument stays the caller's */
	open_gate(&rig->work.gate);
	run_until_finished(rig, 2);
	second = submit(rig, KEY);
	jobs_drain(rig->jobs);
	job_unref(job);
	job_unref(second);
	job_unref(other);
	rig_free(rig);
}

static void test_claim(void **state _unused_)
{
	struct rig *rig = rig_new(2, 4);
	struct job *made = submit(rig, "name:new"), *other = submit(rig, OTHER);
	_cleanup_err_ struct err err = ERR_INIT, busy = ERR_INIT;
	_cleanup_free_ char *holder = NULL;
	struct job_view view;

	assert_ok(job_claim(made, KEY, NULL, &err), &err);
	assert_ok(job_claim(made, KEY, NULL, &err), &err); /* its own */
	holder = jobs_holder(rig->jobs, KEY);
	assert_string_equal(holder, job_id(made));
	assert_int_equal(job_claim(made, OTHER, NULL, &busy), -EBUSY);
	assert_string_equal(busy.job, job_id(other));
	job_look(made, &view);
	assert_string_equal(view.vm_id.s, KEY); /* the name had none */
	job_view_done(&view);
	open_gate(&rig->work.gate);
	jobs_drain(rig->jobs);
	job_unref(made);
	job_unref(other);
	rig_free(rig);
}

static void test_hold(void **state _unused_)
{
	struct rig *rig = rig_new(1, 4);
	_cleanup_err_ struct err busy = ERR_INIT, again = ERR_INIT, held = ERR_INIT, err = ERR_INIT;
	struct job *job = NULL;

	assert_ok(jobs_hold(rig->jobs, KEY, "web", &err), &err);
	assert_ok(jobs_hold(rig->jobs, OTHER, "db", &err), &err);
	assert_int_equal(jobs_hold(rig->jobs, KEY, "web", &again), -EBUSY);
	assert_int_equal(job_submit(rig->jobs, "x", KEY, "web", body, &rig->work, NULL, &job, &busy), -EBUSY);
	assert_int_equal(busy.kind, ERR_BUSY);
	assert_null(busy.job);
	jobs_release(rig->jobs, KEY);
	assert_int_equal(jobs_hold(rig->jobs, OTHER, "db", &held), -EBUSY); /* the other one stays */
	job = submit(rig, KEY);
	err_done(&again);
	assert_int_equal(jobs_hold(rig->jobs, KEY, "web", &again), -EBUSY);
	assert_string_equal(again.job, job_id(job));
	jobs_release(rig->jobs, OTHER);
	open_gate(&rig->work.gate);
	jobs_drain(rig->jobs);
	job_unref(job);
	rig_free(rig);
}

static void test_limit(void **state _unused_)
{
	struct rig *rig = rig_new(1, 2);
	struct job *one = submit(rig, KEY), *two = submit(rig, OTHER), *three = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	assert_int_equal(job_submit(rig->jobs, "x", "name:c", "c", body, &rig->work, NULL, &three, &err), -EAGAIN);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_non_null(strstr(err.message, "2 jobs"));
	open_gate(&rig->work.gate);
	jobs_drain(rig->jobs);
	assert_int_equal(job_submit(rig->jobs, "x", "name:c", "c", body, &rig->work, NULL, &three, &err), 0);
	jobs_drain(rig->jobs);
	job_unref(one);
	job_unref(two);
	job_unref(three);
	rig_free(rig);
}

/* One worker: the second job waits, and is cancelled before it begins. */
static void test_cancel_before_start(void **state _unused_)
{
	struct rig *rig = rig_new(1, 4);
	struct job *one = submit(rig, KEY), *two = submit(rig, OTHER);
	_cleanup_err_ struct err err = ERR_INIT, none = ERR_INIT;

	wait_entered(&rig->work.gate, 1);
	assert_int_equal(state_of(two), JOB_QUEUED);
	assert_ok(jobs_cancel(rig->jobs, job_id(two), &err), &err);
	assert_true(job_cancelled(two) && !job_cancelled(one));
	assert_int_equal(jobs_cancel(rig->jobs, "nosuch", &none), -ENOENT);
	assert_int_equal(none.kind, ERR_NO_JOB);
	open_gate(&rig->work.gate);
	run_until_finished(rig, 2);
	assert_int_equal(state_of(one), JOB_DONE);
	assert_int_equal(state_of(two), JOB_CANCELLED);
	assert_int_equal(rig->work.gate.entered, 1); /* its body never ran */
	job_unref(one);
	job_unref(two);
	rig_free(rig);
}

static void test_cancel_running(void **state _unused_)
{
	struct rig *rig = rig_new(1, 4);
	struct job *job = submit(rig, KEY);
	struct job_view view;

	rig->work.checks = 1;
	wait_entered(&rig->work.gate, 1);
	assert_int_equal(jobs_cancel(rig->jobs, job_id(job), NULL), 0);
	open_gate(&rig->work.gate);
	run_until_finished(rig, 1);
	job_look(job, &view);
	assert_int_equal(view.state, JOB_CANCELLED);
	assert_int_equal(view.err.kind, ERR_CANCELLED);
	assert_non_null(strstr(view.err.message, "nothing was changed"));
	job_view_done(&view);
	job_unref(job);
	rig_free(rig);
}

/* Asked to stop, it came to its end all the same: then it is done. */
static void test_cancel_too_late(void **state _unused_)
{
	struct rig *rig = rig_new(1, 4);
	struct job *job = submit(rig, KEY);

	wait_entered(&rig->work.gate, 1);
	assert_int_equal(jobs_cancel(rig->jobs, job_id(job), NULL), 0);
	open_gate(&rig->work.gate);
	run_until_finished(rig, 1);
	assert_int_equal(state_of(job), JOB_DONE);
	job_unref(job);
	rig_free(rig);
}

static void on_change(void *arg, struct job *job)
{
	struct rig *rig = arg;
	struct job_view view;

	job_look(job, &view);
	rig->watched++;
	if (view.state == JOB_RUNNING && view.bytes_done == 10) { /* the progress came through: let it end */
		assert_string_equal(view.phase, "copying");
		assert_int_equal(view.bytes_total, 20);
		assert_string_equal(view.warnings[0], "beware of 7");
		open_gate(&rig->work.gate);
	}
	rig->ended += view.state == JOB_DONE;
	job_view_done(&view);
}

static void never(void *arg _unused_, struct job *job _unused_)
{
	fail_msg("told although the watch had ended");
}

static void test_watch(void **state _unused_)
{
	struct rig *rig = rig_new(1, 4);
	struct job_watch *watch = jobs_watch(rig->jobs, on_change, rig);
	struct job *job;

	jobs_unwatch(rig->jobs, jobs_watch(rig->jobs, never, rig));
	jobs_unwatch(rig->jobs, NULL);
	job = submit(rig, KEY);
	wait_entered(&rig->work.gate, 1);
	job_phase(job, "copying");
	job_warn(job, "beware of %d", 7);
	job_progress(job, 10, 20);
	run_until_finished(rig, 1);
	assert_true(rig->watched >= 1);
	event_base_loop(loop_base(), EVLOOP_NONBLOCK); /* loop_stop() came in the midst of the telling */
	assert_int_equal(rig->ended, 1);
	jobs_unwatch(rig->jobs, watch);
	job_unref(job);
	rig_free(rig);
}

static void test_phase_forgets_progress(void **state _unused_)
{
	struct rig *rig = rig_new(1, 4);
	struct job *job = submit(rig, KEY);
	struct job_view view;
	unsigned version;

	job_progress(job, 10, 20);
	job_look(job, &view);
	version = view.version;
	job_view_done(&view);
	job_progress(job, 10, 20); /* nothing new */
	job_look(job, &view);
	assert_true(view.bytes_done == 10 && view.bytes_total == 20);
	assert_true(view.version - version <= 1); /* at most the worker's beginning */
	job_view_done(&view);
	job_phase(job, "next");
	job_look(job, &view);
	assert_true(view.bytes_done == -1 && view.bytes_total == -1);
	job_view_done(&view);
	open_gate(&rig->work.gate);
	jobs_drain(rig->jobs);
	job_unref(job);
	rig_free(rig);
}

static void test_history_is_bounded(void **state _unused_)
{
	struct rig *rig = rig_new(2, 200);
	struct job **list;
	size_t n;

	open_gate(&rig->work.gate);
	for (int i = 0; i < 150; i++) {
		_cleanup_free_ char *key = xasprintf("name:%d", i);

		job_unref(submit(rig, key));
	}
	run_until_finished(rig, 150);
	event_base_loop(loop_base(), EVLOOP_NONBLOCK);
	jobs_list(rig->jobs, &list, &n);
	assert_int_equal(n, 64);
	for (size_t i = 0; i < n; i++) {
		struct job_view view;
		_cleanup_free_ char *id = NULL;

		job_look(list[i], &view);
		id = xstrdup(view.id);
		job_view_done(&view);
		assert_string_equal(id, job_id(list[i]));
		job_unref(list[i]);
	}
	free(list);
	/* those forgotten give back their argument, the last ones when their worker lets go of them */
	for (int i = 0; i < 5000 && __atomic_load_n(&rig->work.freed, __ATOMIC_ACQUIRE) < 150 - 64; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_int_equal(__atomic_load_n(&rig->work.freed, __ATOMIC_ACQUIRE), 150 - 64);
	rig_free(rig);
}

static void test_stop(void **state _unused_)
{
	struct rig *rig = rig_new(1, 4);
	struct job *one = submit(rig, KEY), *two = submit(rig, OTHER), *three = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	rig->work.checks = 1;
	wait_entered(&rig->work.gate, 1);
	jobs_stop(rig->jobs);
	assert_true(job_cancelled(one) && job_cancelled(two));
	assert_int_equal(job_submit(rig->jobs, "x", "name:c", "c", body, &rig->work, NULL, &three, &err), -EAGAIN);
	assert_non_null(strstr(err.message, "stopping"));
	open_gate(&rig->work.gate);
	jobs_drain(rig->jobs);
	assert_int_equal(state_of(one), JOB_CANCELLED);
	assert_int_equal(state_of(two), JOB_CANCELLED);
	job_unref(one);
	job_unref(two);
	rig_free(rig);
}

static void *free_jobs(void *arg)
{
	jobs_free(arg);
	return NULL;
}

/* Jobs that still wait when the engine goes are dropped, not leaked. */
static void test_free_with_queued_jobs(void **state _unused_)
{
	struct rig *rig = rig_new(1, 4);
	pthread_t thread;

	job_unref(submit(rig, KEY));
	wait_entered(&rig->work.gate, 1);
	job_unref(submit(rig, OTHER));
	assert_int_equal(pthread_create(&thread, NULL, free_jobs, rig->jobs), 0);
	for (int i = 0; i < 1000; i++)
		sched_yield(); /* so that the engine most likely goes first */
	open_gate(&rig->work.gate);
	pthread_join(thread, NULL);
	rig->jobs = NULL;
	assert_int_equal(rig->work.freed, 2);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_done),
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_busy_names_the_holder),
		cmocka_unit_test(test_claim),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_cancel_before_start),
		cmocka_unit_test(test_cancel_running),
		cmocka_unit_test(test_cancel_too_late),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_phase_forgets_progress),
		cmocka_unit_test(test_history_is_bounded),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_free_with_queued_jobs),
	};

	log_set_level(LOG_LEVEL_ERROR);
	alarm(120);
	return cmocka_run_group_tests_name("test-job", tests, NULL, NULL);
}
