/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The copying of a merge: by qemu-img while nobody has the images open, or by the
 * running guest's QEMU. No limit in time: it ends when it is done, fails, or is asked to
 * stop. */
#include <string.h>
#include <time.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/timefmt.h"
#include "daemon/daemon.h"
#include "daemon/hv-block.h"
#include "daemon/op-merge.h"
#include "daemon/options.h"
#include "layout/image-merge.h"

#define LOOK_NSEC 50000000 /* between two looks at a block job, at most */
#define LOOK_LEAST_NSEC 2000000
#define LOOK_PART 20 /* of the time that it has taken so far: a short one is not made long by waiting */
#define ROOM_RESERVE (8LL << 20) /* bytes that a merge does not touch: guests write there, too */
#define LOOKS_AFTER 40     /* at the headers once it is gone: they follow a moment later */

static void wait_a_little(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = LOOK_NSEC }, NULL);
}

/* Until the next look at something that began then (us, monotonic). */
static void wait_since(int64_t began)
{
	int64_t nsec = (time_mono_usec() - began) * 1000 / LOOK_PART;

	nsec = nsec < LOOK_LEAST_NSEC ? LOOK_LEAST_NSEC : nsec > LOOK_NSEC ? LOOK_NSEC : nsec;
	nanosleep(&(struct timespec){ .tv_nsec = (long)nsec }, NULL);
}

/* 1 if others would suffer from what is written next. */
static int is_short_of_room(const struct op *op)
{
	_cleanup_free_ char *path = op_path(op, merge_is_commit(op) ? "image" : "dependant");
	_cleanup_free_ char *dir = path_dirname(path);
	int64_t room = INT64_MAX;

	return disk_free(dir, &room, NULL) == 0 && room < ROOM_RESERVE;
}

static int fail_no_room(const struct op *op, struct err *reterr)
{
	return err_full(reterr, ERR_FAILED, -ENOSPC, op->m->cfg->name, op->m->dir->root, "Make room",
			"the merge of disk '%s' of VM '%s' was stopped: hardly any room is left", intent_get(op->intent, "target"),
			op->m->cfg->name);
}

static int show_progress(void *arg, int64_t done, int64_t total)
{
	struct op *op = arg;

	job_progress(op->job, done, total);
	return job_interrupted(op->job) || is_short_of_room(op);
}

/* Bytes in a second, 0: no limit. */
static int64_t bandwidth(const struct op *op)
{
	return op->daemon->options ? op->daemon->options->merge_bandwidth * INT64_C(1024) : 0;
}

static int copy_off(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *image = op_path(op, "image"), *dependant = op_path(op, "dependant");
	_cleanup_free_ char *backing = op_path(op, "backing");
	_cleanup_free_ char *name = backing ? vmdir_backing_name(op->m->dir, dependant, backing) : NULL;

	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	if (merge_is_commit(op))
		r = disk_commit(dependant, image, bandwidth(op), show_progress, op, &err);
	else
		r = disk_pull(dependant, name, intent_get(op->intent, "backing-format"), op_int(op, "copied-bytes", 0),
			      show_progress, op, &err);
	if (r == -ECANCELED && !job_interrupted(op->job))
		return fail_no_room(op, reterr);
	return r < 0 ? err_move(reterr, &err) : 0;
}

/* ---- in the running guest */

static int find_ops(const struct op *op, const struct hv_block_ops **ret_ops, struct err *reterr)
{
	*ret_ops = hv_block(op->daemon->hv);
	if (*ret_ops)
		return 0;
	return err_full(reterr, ERR_REFUSED, -EOPNOTSUPP, op->m->cfg->name, NULL,
			"It is merged when the VM is off", "this hypervisor cannot merge disks while a VM runs");
}

static int start_job(struct op *op, const struct hv_block_ops *ops, struct err *reterr)
{
	_cleanup_free_ char *image = op_path(op, "image"), *dependant = op_path(op, "dependant");
	_cleanup_free_ char *backing = op_path(op, "backing");
	const char *base = merge_is_commit(op) ? image : backing;
	struct hv_block what = {
		.target = intent_get(op->intent, "target"),
		.top = merge_is_active(op) ? NULL : dependant,
		.base = base,
		.bandwidth = bandwidth(op),
		.relative = base && vmdir_contains(op->m->dir, base),
	};

	if (merge_is_commit(op))
		return ops->commit(op->daemon->hv, &op->m->dir->guid, &what, reterr);
	return ops->pull(op->daemon->hv, &op->m->dir->guid, &what, reterr);
}

/* What the job was to do can be seen in the headers: 1 if it is done, 0 or negative errno.
 * A commit of the working disk itself becomes ready instead. */
static int is_done(const struct op *op, const char *image, const char *dependant, struct err *reterr)
{
	_cleanup_free_ char *child = op_path(op, "live-child");
	int r;

	if (merge_is_commit(op))
		return child ? merge_is_over(child, image, reterr) : 0;
	r = merge_is_over(dependant, image, reterr);
	return r < 0 ? r : !r;
}

/* The job is gone. How much room it left is looked at first: others may make some at any time. */
static int check_copied(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *image = op_path(op, "image"), *dependant = op_path(op, "dependant");
	_cleanup_free_ char *dir = path_dirname(merge_is_commit(op) ? image : dependant);
	int64_t room = INT64_MAX;
	int r, full;

	ignore_result(disk_free(dir, &room, NULL)); /* if it cannot be told the reason is another */
	full = room < op_int(op, "copied-bytes", 0) + ROOM_RESERVE;
	r = is_done(op, image, dependant, reterr);
	for (int i = 0; r == 0 && i < LOOKS_AFTER; i++) {
		wait_a_little();
		r = is_done(op, image, dependant, reterr);
	}
	if (r != 0)
		return r < 0 ? r : 0;
	return err_full(reterr, ERR_BACKEND, full ? -ENOSPC : -EIO, op->m->cfg->name, dependant, NULL,
			"QEMU could not merge '%s' and '%s'%s", dependant, image,
			full ? ": there may be too little room for it" : "");
}

/* Until the job has ended or is ready. One that is ready is not given up. */
static int await_job(struct op *op, const struct hv_block_ops *ops, struct err *reterr)
{
	const char *target = intent_get(op->intent, "target");
	int64_t began = time_mono_usec();

	for (;;) {
		struct hv_block_status status;
		int r = ops->status(op->daemon->hv, &op->m->dir->guid, target, &status, reterr);

		if (r < 0)
			return r;
		if (status.ready)
			return 0;
		if (!status.present)
			return check_copied(op, reterr);
		job_progress(op->job, status.done, status.total);
		if (job_interrupted(op->job))
			return err_set(reterr, ERR_CANCELLED, -ECANCELED, "the merge of disk '%s' of VM '%s' was stopped",
				       target, op->m->cfg->name);
		if (is_short_of_room(op))
			return fail_no_room(op, reterr);
		wait_since(began);
	}
}

int merge_copy(struct op *op, struct err *reterr)
{
	const struct hv_block_ops *ops;
	int r;

	if (!merge_is_live(op))
		return copy_off(op, reterr);
	r = find_ops(op, &ops, reterr);
	if (!r)
		r = start_job(op, ops, reterr);
	return r < 0 ? r : await_job(op, ops, reterr);
}

int merge_note_copied(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *record = vmdir_intent(op->m->dir);

	intent_set(op->intent, "copied", "1");
	return intent_write(op->intent, record, reterr);
}

/* Pausing flushes, and is noted before: whoever comes after us lets the guest go on. */
static int flush_guest(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *record = vmdir_intent(op->m->dir);
	const struct hv_block_ops *ops;
	int r = find_ops(op, &ops, reterr);

	if (r < 0)
		return r;
	if (op->m->state != HV_RUNNING)
		return ops->flush(op->daemon->hv, &op->m->dir->guid, reterr);
	intent_set(op->intent, "paused", "1");
	r = intent_write(op->intent, record, reterr);
	if (!r)
		r = hv_suspend(op->daemon->hv, &op->m->dir->guid, reterr);
	if (!r)
		r = merge_go_on(op, reterr);
	if (!r)
		intent_set(op->intent, "paused", "0");
	return r;
}

/* When a block job ends QEMU has changed the chain already, but parts of a table that says where
 * in a file things are may be in its memory only, for as long as the guest does not flush: they
 * would be lost if it died, and with them what was copied. The files themselves are synced first,
 * so that the guest stands still for those parts only. */
int merge_flush(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *path = op_path(op, merge_is_commit(op) ? "image" : "dependant");
	int r = path_fsync(path, reterr);

	if (!r)
		r = machine_refresh(op->m, reterr);
	if (!r && !machine_is_active(op->m))
		return err_full(reterr, ERR_BACKEND, -EIO, op->m->cfg->name, path, NULL,
				"VM '%s' ended while its disks were merged", op->m->cfg->name);
	if (!r)
		r = flush_guest(op, reterr);
	return r < 0 ? r : merge_note_copied(op, reterr);
}

/* What was copied and is found in the end shows what the image did from which it came. */
int merge_point_back(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *path = op_path(op, merge_is_commit(op) ? "live-child" : "dependant");
	_cleanup_free_ char *backing = op_path(op, merge_is_commit(op) ? "dependant" : "image");
	_cleanup_free_ char *name = vmdir_backing_name(op->m->dir, path, backing);

	return disk_repoint(path, name, merge_is_commit(op) ? "qcow2" : intent_get(op->intent, "image-format"), reterr);
}

int merge_end_block_job(struct op *op, struct err *reterr)
{
	const struct hv_block_ops *ops = hv_block(op->daemon->hv);
	const char *target = intent_get(op->intent, "target");
	int failures = 0;

	while (ops) {
		_cleanup_err_ struct err err = ERR_INIT;
		struct hv_block_status status;
		int r = machine_refresh(op->m, reterr);

		if (r < 0 || !machine_is_active(op->m))
			return r;
		r = ops->status(op->daemon->hv, &op->m->dir->guid, target, &status, &err);
		if (r < 0 && failures++ >= LOOKS_AFTER) /* the guest may be dying: its state follows in a moment */
			return err_move(reterr, &err);
		if (!r && !status.present)
			return 0;
		if (!r)
			ignore_result(ops->end(op->daemon->hv, &op->m->dir->guid, target, 0, NULL)); /* seen by its status */
		wait_a_little();
	}
	return 0;
}

/* Not ready any more is no failure: the guest wrote. */
static int change_over(struct op *op, const struct hv_block_ops *ops, struct err *reterr)
{
	const char *target = intent_get(op->intent, "target");
	int64_t began = time_mono_usec();

	for (;;) {
		_cleanup_err_ struct err err = ERR_INIT;
		int r = ops->end(op->daemon->hv, &op->m->dir->guid, target, 1, &err);

		if (r != -EAGAIN)
			return r < 0 ? err_move(reterr, &err) : 0;
		wait_since(began);
	}
}

/* The guest stands still from before the change until the document says so: whichever
 * of the two images a crash makes us take up again, they are the same. */
int merge_pivot(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *record = vmdir_intent(op->m->dir);
	const struct hv_block_ops *ops;
	int r = find_ops(op, &ops, reterr);

	if (!r)
		r = machine_refresh(op->m, reterr);
	if (!r && op->m->state == HV_RUNNING) {
		intent_set(op->intent, "paused", "1");
		r = intent_write(op->intent, record, reterr);
		if (!r)
			r = hv_suspend(op->daemon->hv, &op->m->dir->guid, reterr);
	}
	return r < 0 ? r : change_over(op, ops, reterr);
}

int merge_go_on(struct op *op, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int r = op_flag(op, "paused") ? machine_refresh(op->m, reterr) : 0;

	if (r < 0 || !op_flag(op, "paused") || op->m->state != HV_PAUSED)
		return r;
	r = hv_resume(op->daemon->hv, &op->m->dir->guid, &err);
	if (r < 0 && machine_refresh(op->m, NULL) == 0 && !machine_is_active(op->m))
		return 0;
	return r < 0 ? err_move(reterr, &err) : 0;
}
