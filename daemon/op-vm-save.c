/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Saving a VM: its memory goes to Virtual Machines/<VMGUID>/<VMGUID>.vsv and .bin and
 * the guest ends. Once it has ended these are the only copy: recovery goes forward. */
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/timefmt.h"
#include "daemon/daemon.h"
#include "daemon/memory.h"
#include "daemon/op-vm.h"
#include "daemon/promise.h"
#include "daemon/space.h"

/* libvirt writes the memory of the paused guest; the guest stays paused. */
static int write_memory(struct op *op, struct memory_sink *sink, struct err *reterr)
{
	struct hv_snapshot what = { .memory_file = memory_sink_path(sink) };
	struct memory_watch *w = memory_watch_start(op->m, op->job, sink, NULL);
	_cleanup_err_ struct err drained = ERR_INIT;
	int r = hv_snapshot(op->daemon->hv, &op->m->dir->guid, &what, reterr);

	memory_watch_stop(w);
	if (memory_sink_drain(sink, &drained) < 0) {
		err_done(reterr);
		r = err_move(reterr, &drained);
	}
	if (r < 0 && job_cancelled(op->job)) {
		err_done(reterr);
		r = job_check(op->job, reterr);
	}
	return r;
}

/* The guest ends only when its memory is durable: until then it could go on. */
static int save_run(struct op *op, struct err *reterr)
{
	_cleanup_memory_sink_ struct memory_sink *sink = NULL;
	_cleanup_free_ char *state = vmdir_state_path(op->m->dir);
	struct memory_sink_opts opts = { .path = state, .guid = op->m->dir->guid };
	int r = memory_remove(state, reterr); /* a VM that runs has none: of an older time, put there with a backup */

	if (!r)
		r = memory_sink_open(op->m, &opts, &sink, reterr);
	if (!r)
		r = hv_suspend(op->daemon->hv, &op->m->dir->guid, reterr);
	if (!r)
		r = write_memory(op, sink, reterr);
	return r < 0 ? r : memory_sink_finish(sink, op->job, reterr);
}

static int save_undo(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *state = vmdir_state_path(op->m->dir);
	int r = machine_refresh(op->m, reterr);

	if (!r && op->m->state == HV_PAUSED && op_flag(op, "running"))
		r = hv_resume(op->daemon->hv, &op->m->dir->guid, reterr);
	if (!r)
		r = memory_drop_pipe(op->m, reterr);
	return r < 0 ? r : memory_remove(state, reterr);
}

static int end_run(struct op *op, struct err *reterr)
{
	int r = hv_destroy(op->daemon->hv, &op->m->dir->guid, reterr);

	return r < 0 ? r : machine_refresh(op->m, reterr);
}

static int commit_run(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *state = vmdir_state_path(op->m->dir);
	int r;

	if (machine_is_saved(op->m))
		return 0; /* written; stamps are never taken a second time, the disks may have changed */
	r = memory_describe(op->m, state, op->m->cfg, reterr);
	if (!r)
		r = machine_stamp_disks(op->m, reterr);
	return r < 0 ? r : machine_commit(op->m, reterr);
}

enum { SAVE, END, COMMIT };

static const struct op_step steps[] = {
	[SAVE] = { "save", "saving memory", save_run, save_undo,
		   "the guest is there, perhaps paused: it goes on and the files are removed", 1 },
	[END] = { "end", "ending the guest", end_run, NULL,
		  "the guest is paused with its memory whole in the files (it goes on, they are removed), or off (forward)",
		  1 },
	[COMMIT] = { "commit", "committing", commit_run, NULL,
		     "the guest is off and its memory whole: the document is written again", 0 },
};

/* 1 if a disk was written after the memory was: somebody started the VM, which
 * does not fit its memory any more. Of block devices nobody knows. */
static int started_since(const struct op *op, const char *state)
{
	_cleanup_free_ char *vsv = xasprintf("%s.vsv", state);
	struct stat image, disk;

	if (stat(vsv, &image) < 0)
		return 0;
	for (size_t i = 0; i < op->m->cfg->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(op->m, &op->m->cfg->disks[i]);

		if (stat(path, &disk) < 0 || !S_ISREG(disk.st_mode))
			continue;
		if (disk.st_mtim.tv_sec > image.st_mtim.tv_sec ||
		    (disk.st_mtim.tv_sec == image.st_mtim.tv_sec && disk.st_mtim.tv_nsec > image.st_mtim.tv_nsec))
			return 1;
	}
	return 0;
}

static int decide(struct op *op, struct op_way *ret_way, struct err *reterr)
{
	_cleanup_free_ char *state = vmdir_state_path(op->m->dir);
	int r = machine_wait_idle(op->m, reterr);

	if (r < 0)
		return r;
	ret_way->from = COMMIT;
	if (machine_is_saved(op->m)) { /* committed */
		ret_way->forward = 1;
		return 0;
	}
	ret_way->forward = !machine_is_active(op->m) && memory_is_whole(state);
	if (ret_way->forward && op->recovering && started_since(op, state)) {
		ret_way->forward = 0;
		job_warn(op->job, "the VM was started and ended again since it was saved; its save state is dropped");
	}
	return 0;
}

const struct op_kind op_vm_save = {
	.name = "vm-save",
	.steps = steps,
	.n_steps = ARRAY_SIZE(steps),
	.decide = decide,
};

static int promise_space(const struct machine *m, const struct job *job, struct promise **ret_promise,
			 struct err *reterr)
{
	_cleanup_free_ char *dir = vmdir_state_dir(m->dir), *what = xasprintf("to save VM '%s'", m->cfg->name);
	_cleanup_(space_done) struct space space = { 0 };
	int r = space_at(&space, dir, memory_size(m->cfg) + (16 << 20), reterr);

	if (!r)
		r = promise_make(&space, m, job, 0, what, "Make room, or shut the guest down", ret_promise, reterr);
	if (!r)
		promise_watch(*ret_promise, dir);
	return r;
}

static int plan(struct machine *m, struct job *job, struct promise **ret_promise, struct err *reterr)
{
	int r = 0;

	if (m->state != HV_RUNNING && m->state != HV_PAUSED)
		return err_full(reterr, ERR_REFUSED, -EINVAL, m->cfg->name, NULL, NULL,
				"VM '%s' cannot be saved: it is not running", m->cfg->name);
	r = machine_refuse_foreign(m, reterr);
	if (!r)
		r = vm_sync(m, job, reterr);
	if (!r && m->cfg->memory_blocker)
		r = err_full(reterr, ERR_REFUSED, -ENOTSUP, m->cfg->name, NULL, "Shut the guest down instead",
			     "VM '%s' cannot be saved: %s", m->cfg->name, m->cfg->memory_blocker);
	return r < 0 ? r : promise_space(m, job, ret_promise, reterr);
}

int vm_save(struct daemon *daemon, const struct vmdir *dir, struct job *job, struct err *reterr)
{
	_cleanup_intent_ struct intent *in = intent_new(op_vm_save.name);
	_cleanup_promise_ struct promise *promise = NULL;
	_cleanup_machine_ struct machine *m = NULL;
	int r = vm_open(daemon, dir, job, &m, reterr);

	if (!r)
		r = plan(m, job, &promise, reterr);
	if (r < 0)
		return r;
	intent_set(in, "running", "%d", m->state == HV_RUNNING);
	return op_run(daemon, &op_vm_save, TAKE_PTR(m), TAKE_PTR(in), job, reterr);
}
