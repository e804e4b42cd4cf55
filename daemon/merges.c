/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Merging that goes on by itself. */
#include "daemon/merges.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "daemon/op-merge.h"
#include "daemon/pace.h"
#include "daemon/promise.h"
#include "daemon/space.h"
#include "daemon/worker.h"
#include "layout/chain.h"

#define ROOM_MARGIN SPACE_MERGE_MARGIN /* bytes that a merge leaves to others */
#define ROOM_LOOK_NSEC 500000000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char **stopped; /* VMs whose merging somebody cancelled */

/* A VM to be looked at. */
struct look {
	struct daemon *daemon;
	struct vmdir *dir;
	struct guid vm;
	const char *into_base; /* an image outside that may be committed into, *borrowed*; NULL: none */
};

static void look_free(void *arg)
{
	struct look *l = arg;

	vmdir_free(l->dir);
	cleanup_free(&l);
}

static struct look *look_new(struct daemon *daemon, const struct guid *vm)
{
	struct look *l = xcalloc(1, sizeof(*l));

	l->daemon = daemon;
	l->vm = *vm;
	return l;
}

static int is_stopped(const struct guid *vm)
{
	int found;

	pthread_mutex_lock(&lock);
	found = strv_has(stopped, vm->s);
	pthread_mutex_unlock(&lock);
	return found;
}

static void set_stopped(const struct guid *vm, int value)
{
	pthread_mutex_lock(&lock);
	if (value && !strv_has(stopped, vm->s))
		strv_push(&stopped, xstrdup(vm->s));
	for (size_t i = 0, n = strv_count(stopped); !value && i < n; i++) {
		if (strcmp(stopped[i], vm->s) != 0)
			continue;
		free(stopped[i]);
		stopped[i] = stopped[n - 1];
		stopped[n - 1] = NULL;
		break;
	}
	pthread_mutex_unlock(&lock);
}

/* ---- what is to be done next */

/* The first merge that can be made now. Returns 1 with the plan and its index, 0 if there
 * is none, or negative errno. */
static int next_merge(struct machine *m, const char *into_base, struct plan *ret_plan, size_t *ret_i,
		      struct err *reterr)
{
	struct merges_input input = { 0 };
	struct plan plan = { 0 };
	int r = machine_refuse_foreign(m, reterr), found = 0;

	if (!r)
		r = merges_read(m, &input, reterr);
	input.in.into_base = into_base;
	if (!r)
		r = plan_make(&input.in, &plan, reterr);
	for (size_t i = 0; !r && i < plan.n && !found; i++) {
		found = plan.action[i].kind == PLAN_PULL || plan.action[i].kind == PLAN_COMMIT;
		*ret_i = i;
	}
	merges_input_done(&input);
	if (found)
		*ret_plan = plan;
	else
		plan_done(&plan);
	return r < 0 ? r : found;
}

/* The disk of the VM in whose chain path is; the first one if it is in none: then no
 * guest is asked. *Borrowed* from m. */
static const char *target_of(const struct machine *m, const char *path)
{
	for (size_t i = 0; i < m->cfg->n_disks; i++) {
		_cleanup_free_ char *disk = machine_disk_path(m, &m->cfg->disks[i]);
		_cleanup_(chain_done) struct chain chain = { NULL, 0 };

		if (chain_read(disk, m->cfg->disks[i].format, &chain, NULL) < 0)
			continue;
		for (size_t k = 0; k < chain.n; k++)
			if (strcmp(chain.image[k].path, path) == 0)
				return m->cfg->disks[i].target;
	}
	return m->cfg->n_disks ? m->cfg->disks[0].target : "";
}

/* ---- the job */

static int interrupted(struct job *job, struct err *reterr)
{
	int r = job_check(job, reterr);

	return r < 0 || !job_interrupted(job) ? r : err_set(reterr, ERR_CANCELLED, -ECANCELED, "another job goes first");
}

static void say_room(struct job *job, const char *dir, int64_t needed, int64_t room, int64_t promised)
{
	_cleanup_free_ char *need = bytes_human(needed + ROOM_MARGIN), *have = bytes_human(room);
	_cleanup_free_ char *others = bytes_human(promised), *phase = NULL;

	phase = promised > 0 ? xasprintf("waiting for room: %s needed in '%s', %s free, %s of that promised to operations "
					 "under way", need, dir, have, others) :
			       xasprintf("waiting for room: %s needed in '%s', %s free", need, dir, have);
	job_phase(job, phase);
}

/* Waits until there is room for what a merge writes to path at worst, and says so meanwhile. */
static int wait_for_room(struct job *job, const char *path, int64_t needed, struct promise **ret_promise,
			 struct err *reterr)
{
	for (;;) {
		_cleanup_(space_done) struct space space = { 0 };
		_cleanup_free_ char *dir = NULL;
		int r = space_at(&space, path, needed + ROOM_MARGIN, reterr);

		if (!r)
			r = interrupted(job, reterr);
		if (r < 0)
			return r;
		if (promise_try(&space, job, ret_promise) == 0) {
			promise_watch(*ret_promise, path);
			return 0;
		}
		dir = path_dirname(path);
		say_room(job, dir, needed, space.fs->free, space.fs->promised);
		nanosleep(&(struct timespec){ .tv_nsec = ROOM_LOOK_NSEC }, NULL);
	}
}

/* One merge. Returns 1 if there was one, 0 if nothing is left to do, or negative errno. */
static int merge_next(struct look *l, struct job *job, struct err *reterr)
{
	_cleanup_machine_ struct machine *m = NULL;
	_cleanup_(plan_done) struct plan plan = { 0 };
	const struct plan_action *a;
	_cleanup_promise_ struct promise *promise = NULL;
	_cleanup_free_ char *target = NULL;
	int64_t began;
	size_t i = 0;
	int r = machine_open(l->daemon, l->dir, 0, &m, reterr);

	if (!r)
		r = machine_take_domain(m, reterr);
	if (!r)
		r = next_merge(m, l->into_base, &plan, &i, reterr);
	if (r <= 0)
		return r;
	a = &plan.action[i];
	target = xstrdup(target_of(m, a->dependant));
	r = wait_for_room(job, a->kind == PLAN_COMMIT ? a->image : a->dependant, a->needed, &promise, reterr);
	began = time_now_usec();
	if (!r)
		r = merge_run(l->daemon, TAKE_PTR(m), target, a, job, reterr);
	if (!r)
		pace_add(a->copied, time_now_usec() - began);
	return r < 0 ? r : 1;
}

/* Whether it is worth trying again at once: the guest started or stopped meanwhile. */
static int guest_turned(const struct look *l, enum hv_state before)
{
	enum hv_state now = before;

	ignore_result(hv_state(l->daemon->hv, &l->vm, &now, NULL)); /* then it did not, as far as we know */
	return (before == HV_OFF) != (now == HV_OFF);
}

/* Something failed for want of room: a merge that is under way, or what settles it. */
static void wait_before_another_try(const struct look *l, struct job *job)
{
	int64_t room;

	if (disk_free(l->dir->root, &room, NULL) == 0 && room < ROOM_MARGIN)
		say_room(job, l->dir->root, 0, room, 0);
	nanosleep(&(struct timespec){ .tv_nsec = ROOM_LOOK_NSEC }, NULL);
}

/* It was asked to stop: the engine hears of it, unless that is for another job, which comes back to it. */
static int give_up(struct job *job, struct err *why, struct err *reterr)
{
	if (job_pausing(job) || (job_cancelled(job) && !job_stopping(job)))
		return err_move(reterr, why);
	return job_cancelled(job) ? err_set(reterr, ERR_CANCELLED, -ECANCELED,
					    "vmsnapd was stopped; merging goes on when it starts again") : 0;
}

/* Whether anything is left is looked for even if it is to stop: what is done is done. */
static int merge_all(struct look *l, struct job *job, struct err *reterr)
{
	for (;;) {
		_cleanup_err_ struct err err = ERR_INIT;
		enum hv_state before = HV_OFF;
		int r = op_recover(l->daemon, l->dir, job, &err);

		if (!r)
			r = hv_state(l->daemon->hv, &l->vm, &before, &err);
		if (!r)
			r = merge_next(l, job, &err);
		if (r == 0)
			return 0;
		if (r > 0)
			continue;
		if (r == -ECANCELED)
			return give_up(job, &err, reterr);
		if (r != -ENOSPC && !guest_turned(l, before))
			return err_move(reterr, &err);
		log_err(LOG_LEVEL_INFO, &err, "a merge is begun again");
		if (r == -ENOSPC)
			wait_before_another_try(l, job);
		err_done(&err);
		r = interrupted(job, &err);
		if (r < 0)
			return give_up(job, &err, reterr);
	}
}

/* Of a job of its own. What was renamed while it was paused is found again. */
static int merge_body(struct job *job, void *arg, struct err *reterr)
{
	_cleanup_vmdir_ struct vmdir *dir = NULL;
	struct look *l = arg;
	int r = catalog_dir(l->daemon->catalog, &l->vm, &dir, reterr);

	if (r < 0)
		return r;
	vmdir_free(l->dir);
	l->dir = TAKE_PTR(dir);
	return merge_all(l, job, reterr);
}

int merges_run(struct daemon *daemon, const struct vmdir *dir, const char *into_base, struct job *job,
	       struct err *reterr)
{
	struct look l = { .daemon = daemon, .dir = (struct vmdir *)dir, .vm = dir->guid, .into_base = into_base };

	return merge_all(&l, job, reterr);
}

/* ---- when */

/* 1 if merging is paused. The job of a pause that an earlier daemon left is there again then. */
static int is_paused(const struct look *l)
{
	_cleanup_job_ struct job *paused = jobs_paused(l->daemon->jobs, MERGE_OPERATION, l->vm.s);
	_cleanup_free_ char *id = NULL;
	struct index_vm vm;
	struct look *own;
	int64_t began;

	if (paused || merges_pause_read(l->dir, &id, &began) == 0)
		return paused != NULL;
	if (catalog_find_vm(l->daemon->catalog, l->vm.s, &vm, NULL) < 0)
		return 1; /* it is told of when its document can be read */
	own = look_new(l->daemon, &l->vm);
	own->dir = vmdir_copy(l->dir);
	if (job_submit_paused(l->daemon->jobs, MERGE_OPERATION, l->vm.s, vm.name, id, began, merge_body, own,
			      look_free) < 0)
		look_free(own); /* it is there already, or nobody will ask for it */
	index_vm_done(&vm);
	return 1;
}

/* Quick worker. What cannot be merged is left as it is; why is said by who asks for it. */
static void look_work(void *arg)
{
	struct look *l = arg;
	_cleanup_machine_ struct machine *m = NULL;
	_cleanup_job_ struct job *job = NULL;
	_cleanup_(plan_done) struct plan plan = { 0 };
	_cleanup_free_ char *record = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	size_t i;
	int r = catalog_dir(l->daemon->catalog, &l->vm, &l->dir, &err);

	record = r < 0 ? NULL : vmdir_intent(l->dir);
	if (!r && is_paused(l))
		r = -EBUSY;
	if (!r)
		r = path_exists(record) == 0 ? machine_open(l->daemon, l->dir, 0, &m, &err) : -EBUSY;
	if (!r)
		r = next_merge(m, NULL, &plan, &i, &err);
	if (r > 0)
		r = job_submit_giving_way(l->daemon->jobs, MERGE_OPERATION, l->vm.s, m->cfg->name, merge_body, l,
					  look_free, &job, &err);
	if (r < 0 && r != -EBUSY)
		log_debug("VM %s: nothing is merged: %s", l->vm.s, err.message ? err.message : "");
	if (job)
		job_let_pause(job);
	else
		look_free(l);
}

void merges_look(struct daemon *daemon, const struct guid *vm)
{
	if (!guid_is_none(vm) && !is_stopped(vm))
		worker_run(daemon->quick, look_work, NULL, look_new(daemon, vm));
}

static void look_all_work(void *arg)
{
	struct daemon *daemon = arg;
	struct index_vm *vms;
	size_t n;

	if (catalog_vms(daemon->catalog, &vms, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		merges_look(daemon, &vms[i].guid);
	index_vms_free(vms, n);
}

void merges_look_all(struct daemon *daemon)
{
	worker_run(daemon->quick, look_all_work, NULL, daemon);
}

/* Other VMs may have waited for it, or no image of theirs is shared any more. */
static int concerns_others(const struct job_view *view)
{
	static const char *const operations[] = { "vm adopt", "vm delete", "repair" };

	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (strcmp(view->operation, operations[i]) == 0)
			return 1;
	return 0;
}

void merges_job_ended(struct daemon *daemon, const struct job_view *view)
{
	if (strcmp(view->operation, MERGE_OPERATION) == 0) {
		if (view->state == JOB_CANCELLED)
			set_stopped(&view->vm_id, 1);
		merges_pause_forget(daemon, view);
		return;
	}
	if (strcmp(view->operation, "snapshot delete") == 0 || strcmp(view->operation, "vm adopt") == 0)
		set_stopped(&view->vm_id, 0);
	if (strcmp(view->operation, "vm delete") == 0 && view->state == JOB_DONE)
		merges_pause_end(daemon, &view->vm_id);
	if (concerns_others(view))
		merges_look_all(daemon);
	else
		merges_look(daemon, &view->vm_id);
}
