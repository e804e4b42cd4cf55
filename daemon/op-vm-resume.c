/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Letting a saved VM go on, or forgetting its save state. Memory is never loaded
 * onto disks that were written since: their stamps tell. */
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/daemon.h"
#include "daemon/memory.h"
#include "daemon/op-clock.h"
#include "daemon/op-vm.h"

static int restore_run(struct op *op, struct err *reterr)
{
	return op_flag(op, "discard") ? 0 : memory_restore(op->m, op->m->cfg, op->m->cfg, op->job, reterr);
}

static int restore_undo(struct op *op, struct err *reterr)
{
	return memory_drop_pipe(op->m, reterr);
}

static int commit_run(struct op *op, struct err *reterr)
{
	config_clear_state(op->m->cfg);
	for (size_t i = 0; i < op->m->cfg->n_disks; i++)
		op->m->cfg->disks[i].sealed = 0;
	return machine_commit(op->m, reterr);
}

static int cleanup_run(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *state = vmdir_state_path(op->m->dir);
	int r = memory_drop_pipe(op->m, reterr);

	if (!r)
		r = memory_remove(state, reterr);
	if (!r && !op_flag(op, "discard"))
		op_clock_set(op, "the save");
	return r;
}

static const struct op_step steps[] = {
	{ "restore", "loading memory", restore_run, restore_undo,
	  "the guest runs (forward); or it does not and the disks are untouched: the VM stays saved (back)", 1 },
	{ "commit", "committing", commit_run, NULL,
	  "the guest runs while the document still says saved; it is written again", 0 },
	{ "cleanup", "removing the save state", cleanup_run, NULL,
	  "the save state may still be there; it is removed", 0 },
};

/* 1 if the disks are not as they were when the VM was saved, 0 if they are; a disk
 * that cannot be looked at just now is neither. */
static int disks_changed(struct op *op, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int r = machine_check_stamps(op->m, &err);

	return r == -ESTALE ? 1 : r < 0 ? err_move(reterr, &err) : 0;
}

static int decide(struct op *op, struct op_way *ret_way, struct err *reterr)
{
	int changed, r;

	ret_way->from = 2;
	ret_way->forward = !machine_is_saved(op->m);
	if (ret_way->forward)
		return 0;
	if (op_flag(op, "discard"))
		return 0; /* nothing happened yet */
	changed = op->m->state == HV_RUNNING ? 1 : disks_changed(op, reterr);
	if (changed < 0)
		return changed;
	if (op->m->state == HV_PAUSED && !changed) { /* an interrupted load: it has not run */
		r = hv_destroy(op->daemon->hv, &op->m->dir->guid, reterr);
		if (!r)
			r = machine_refresh(op->m, reterr);
		if (r < 0)
			return r;
	}
	ret_way->from = 1;
	ret_way->forward = machine_is_active(op->m) || changed;
	if (ret_way->forward && !machine_is_active(op->m))
		job_warn(op->job, "the guest ran and ended again before this was settled; its save state is used up");
	return 0;
}

const struct op_kind op_vm_resume = {
	.name = "vm-resume",
	.steps = steps,
	.n_steps = ARRAY_SIZE(steps),
	.decide = decide,
};

static int plan(struct machine *m, struct job *job, struct err *reterr)
{
	int r = machine_refuse_foreign(m, reterr);

	if (!r)
		r = machine_take_domain(m, reterr);
	if (!r)
		r = machine_check_stamps(m, reterr);
	if (r == -ESTALE)
		err_hint(reterr, "If the disks are right, start it with 'vmsnapctl vm start --discard-saved'");
	if (!r)
		r = machine_check_disks(m, m->cfg, reterr);
	if (!r)
		r = memory_check(m, m->cfg, job, reterr);
	return r < 0 ? r : machine_define(m, 0, reterr);
}

int vm_resume(struct daemon *daemon, const struct vmdir *dir, int keep_time, struct job *job, struct err *reterr)
{
	_cleanup_intent_ struct intent *in = intent_new(op_vm_resume.name);
	_cleanup_machine_ struct machine *m = NULL;
	int r = vm_open(daemon, dir, job, &m, reterr);

	if (r < 0)
		return r;
	if (m->state == HV_PAUSED)
		return hv_resume(daemon->hv, &m->dir->guid, reterr);
	if (machine_is_active(m) || !machine_is_saved(m))
		return err_full(reterr, ERR_REFUSED, -EINVAL, m->cfg->name, NULL,
				machine_is_active(m) ? NULL : "Start it with 'vmsnapctl vm start'",
				"VM '%s' cannot be resumed: it is %s", m->cfg->name,
				machine_is_active(m) ? "running" : "off");
	r = plan(m, job, reterr);
	if (r < 0)
		return r;
	intent_set(in, "keep-time", "%d", keep_time);
	return op_run(daemon, &op_vm_resume, TAKE_PTR(m), TAKE_PTR(in), job, reterr);
}

int vm_discard_saved(struct daemon *daemon, struct machine *m, struct job *job, struct err *reterr)
{
	struct intent *in = intent_new(op_vm_resume.name);

	intent_set(in, "discard", "1");
	return op_run(daemon, &op_vm_resume, m, in, job, reterr);
}
