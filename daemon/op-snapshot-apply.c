/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Applying a snapshot (revert is applying the one that *now* derives from): all
 * that can fail first, then the commit, and only then the present machine ends. */
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/daemon.h"
#include "daemon/firmware.h"
#include "daemon/memory.h"
#include "daemon/op-clock.h"
#include "daemon/op-disks.h"
#include "daemon/op-refs.h"
#include "daemon/op-snapshot.h"
#include "daemon/promise.h"
#include "daemon/space.h"
#include "xmlcfg/domain.h"

static int load_target(struct op *op, struct config **ret_cfg, struct err *reterr)
{
	struct guid snap = op_guid(op, "snapshot");

	return machine_snapshot(op->m, &snap, ret_cfg, reterr);
}

static char *before_path(const struct op *op)
{
	_cleanup_free_ char *dir = vmdir_state_dir(op->m->dir);

	return path_join(dir, "before.xml");
}

/* The configuration before the apply, in case the memory cannot be loaded. */
static int before_run(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *path = before_path(op);

	return config_write(op->m->cfg, path, reterr);
}

static int before_undo(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *path = before_path(op);
	int r = firmware_drop_kept(op->m, reterr);

	if (!r)
		r = memory_drop_pipe(op->m, reterr);
	return r < 0 ? r : file_remove(path, reterr);
}

/* Where the hypervisor itself names firmware state it does so by the VM's present
 * name and its own present place, not by those of the snapshot's day. */
static int place_firmware(struct op *op, struct config *target, struct err *reterr)
{
	_cleanup_domain_ struct domain *dom = NULL;
	_cleanup_free_ char *nvram = hv_nvram_path(op->daemon->hv, target->name);
	_cleanup_free_ char *tpm = hv_tpm_dir(op->daemon->hv, &op->m->dir->guid);
	struct domain_firmware fw;
	int r = domain_parse(target->domain_xml, &dom, reterr);

	if (r < 0)
		return r;
	domain_get_firmware(dom, &fw);
	if (target->nvram.live && nvram && !fw.nvram) {
		cleanup_free(&target->nvram.live);
		target->nvram.live = vmdir_store_path(op->m->dir, nvram);
	}
	if (target->tpm.live && tpm)
		xstrset(&target->tpm.live, tpm);
	domain_firmware_done(&fw);
	return 0;
}

/* The snapshot's configuration as the VM's: identity is the VM's own, all else
 * exactly as it was. */
static int commit_run(struct op *op, struct err *reterr)
{
	_cleanup_config_ struct config *target = NULL;
	struct config *was = op->m->cfg;
	int r = load_target(op, &target, reterr);

	if (r < 0)
		return r;
	target->kind = CONFIG_VM;
	target->parent = target->guid;
	target->guid = was->guid;
	xstrset(&target->name, was->name);
	xstrset(&target->notes, was->notes);
	target->created_usec = was->created_usec;
	config_clear_state(target);
	cleanup_free(&target->nvram.copy);
	cleanup_free(&target->tpm.copy);
	target->nvram.size = target->tpm.size = -1;
	cleanup_free(&target->capture.mode);
	cleanup_free(&target->capture.reason);
	cleanup_free(&target->capture.level);
	op_disks_point(op, target);
	r = place_firmware(op, target, reterr);
	if (r < 0)
		return r;
	config_free(op->m->cfg);
	op->m->cfg = TAKE_PTR(target);
	return machine_commit(op->m, reterr);
}

/* 1 if the domain runs as the applied snapshot already, or did: a guest that wrote
 * to the new disks was there, and has ended or been paused since. What it wrote is
 * the present; it is not thrown away a second time. */
static int already_restored(struct op *op, struct err *reterr)
{
	int r = machine_refresh(op->m, reterr);

	if (r < 0)
		return r;
	if (machine_is_active(op->m)) {
		r = machine_domain_uses(op->m, op->m->cfg, reterr);
		if (r <= 0 || op->m->state == HV_RUNNING)
			return r;
	}
	return op_disks_written(op, reterr);
}

/* 1 if the present machine was not ended yet: it runs on as it was. */
static int still_runs(struct op *op, const struct config *before, struct err *reterr)
{
	int r = machine_refresh(op->m, reterr);

	return r < 0 || !machine_is_active(op->m) ? r : machine_domain_uses(op->m, before, reterr);
}

static int go_back_after_commit(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *path = before_path(op);
	_cleanup_config_ struct config *before = NULL;
	int runs = 0, r = config_read(path, &before, reterr);

	if (!r)
		runs = r = still_runs(op, before, reterr);
	if (r == 0 && machine_is_active(op->m))
		r = hv_destroy(op->daemon->hv, &op->m->dir->guid, reterr);
	if (r < 0)
		return r;
	config_free(op->m->cfg);
	op->m->cfg = TAKE_PTR(before);
	r = runs ? 0 : firmware_put_back(op->m, reterr);
	if (!r)
		r = machine_commit(op->m, reterr);
	if (!r)
		r = machine_define(op->m, 0, reterr);
	if (!r)
		job_warn(op->job, runs ? "the VM runs on as it was" :
					 "the VM is off, on the disks that it had before");
	return r;
}

/* What fails behind the commit (the guest cannot be ended, libvirt does not take the
 * old definition, the memory cannot be loaded) puts the old configuration back. */
static int or_go_back(struct op *op, int r)
{
	if (r < 0)
		ignore_result(go_back_after_commit(op, NULL)); /* if even that fails, the record stays */
	return r;
}

static int stop_run(struct op *op, struct err *reterr)
{
	int r = already_restored(op, reterr);

	if (r != 0)
		return r < 0 ? r : 0;
	r = machine_is_active(op->m) ? hv_destroy(op->daemon->hv, &op->m->dir->guid, reterr) : 0;
	return or_go_back(op, r < 0 ? r : machine_refresh(op->m, reterr));
}

/* Keeps the present machine's firmware state: it is where that machine had it. */
static int keep_firmware(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *path = before_path(op);
	_cleanup_config_ struct config *before = NULL;
	struct machine present = *op->m;
	int r = config_read(path, &before, reterr);

	if (r < 0)
		return r;
	present.cfg = before;
	return firmware_keep(&present, reterr);
}

static int firmware_run(struct op *op, struct err *reterr)
{
	_cleanup_config_ struct config *target = NULL;
	int r = already_restored(op, reterr);

	if (r != 0)
		return r < 0 ? r : 0;
	r = keep_firmware(op, reterr);
	if (!r)
		r = load_target(op, &target, reterr);
	if (!r) {
		xstrset(&target->nvram.live, op->m->cfg->nvram.live);
		xstrset(&target->tpm.live, op->m->cfg->tpm.live);
		r = firmware_restore(op->m, target, reterr);
	}
	return or_go_back(op, r);
}

static int define_run(struct op *op, struct err *reterr)
{
	int r = already_restored(op, reterr);

	if (r != 0)
		return r < 0 ? r : 0;
	return or_go_back(op, machine_define(op->m, 1, reterr));
}

/* Memory is loaded onto fresh overlays only. */
static int restore_run(struct op *op, struct err *reterr)
{
	_cleanup_config_ struct config *target = NULL;
	int r = load_target(op, &target, reterr);

	if (r < 0 || !target->state.vsv)
		return r;
	r = already_restored(op, reterr);
	if (r != 0)
		return r < 0 ? r : 0;
	if (op->recovering)
		r = op_disks_make(op, reterr);
	if (!r)
		r = memory_restore(op->m, op->m->cfg, target, op->job, reterr);
	if (!r)
		op_clock_set(op, "the snapshot");
	return or_go_back(op, r);
}

static int remove_old(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *state = vmdir_state_path(op->m->dir);
	int r = op_refs_remove_planned(op, reterr);

	if (!r)
		r = memory_remove(state, reterr);
	return r < 0 ? r : before_undo(op, reterr);
}

enum { BEFORE, OVERLAYS, COMMIT, STOP, FIRMWARE, DEFINE, RESTORE, CLEANUP };

static const struct op_step steps[] = {
	[BEFORE] = { "before", "preparing", before_run, before_undo,
		     "a copy of the configuration; it is removed", 1 },
	[OVERLAYS] = { "overlays", "making working disks", op_disks_make, op_disks_remove,
		       "overlays that nothing uses; they are removed, the present machine was not touched", 1 },
	[COMMIT] = { "commit", "committing", commit_run, NULL,
		     "the VM's document is the old one (back) or the snapshot's (forward)", 1 },
	[STOP] = { "stop", "ending the present machine", stop_run, NULL,
		   "the present machine may still run on its old disks; it is ended", 0 },
	[FIRMWARE] = { "firmware", "restoring firmware state", firmware_run, NULL,
		       "NVRAM or TPM state may be of either instant; both are written again", 0 },
	[DEFINE] = { "define", "updating the domain", define_run, NULL,
		     "the domain may be of either instant; it is defined again", 0 },
	[RESTORE] = { "restore", "loading memory", restore_run, NULL,
		      "the guest runs or ran on the new disks (done), or not: memory is loaded onto new overlays", 0 },
	[CLEANUP] = { "cleanup", "removing the old working disks", remove_old, NULL,
		      "the old working disks may still be there; they are removed by the list in the record", 0 },
};

/* The configuration of before goes last of all: without it everything is done. */
static int decide(struct op *op, struct op_way *ret_way, struct err *reterr _unused_)
{
	_cleanup_free_ char *path = before_path(op);

	if (!op_disks_are_in(op, op->m->cfg))
		return 0;
	ret_way->forward = 1;
	ret_way->from = path_exists(path) == 0 ? CLEANUP : STOP;
	return 0;
}

const struct op_kind op_snapshot_apply = {
	.name = "snapshot-apply",
	.steps = steps,
	.n_steps = ARRAY_SIZE(steps),
	.decide = decide,
};

static int refuse_no_parent(const struct machine *m, struct err *reterr)
{
	return err_full(reterr, ERR_REFUSED, -ENOENT, m->cfg->name, NULL, "Take a snapshot first, or apply one by name",
			"VM '%s' cannot be reverted: its present state derives from no snapshot", m->cfg->name);
}

/* Checks everything that could make the apply fail. */
static int plan(struct machine *m, const struct guid *snap, struct job *job, struct intent *in, struct err *reterr)
{
	_cleanup_config_ struct config *target = NULL;
	int r = machine_refuse_foreign(m, reterr);

	if (!r)
		r = machine_take_domain(m, reterr);
	if (!r)
		r = machine_snapshot(m, snap, &target, reterr);
	if (!r)
		r = machine_check_disks(m, target, reterr);
	if (!r)
		r = machine_refuse_written(m, reterr);
	if (!r && target->state.vsv)
		r = memory_verify(m, target, job, reterr);
	if (!r)
		r = firmware_check(m, target, reterr);
	if (r < 0)
		return r;
	intent_set(in, "snapshot", "%s", snap->s);
	op_disks_plan(in, m, target);
	return op_refs_plan_switch(in, m, target, reterr);
}

static int apply(struct daemon *daemon, const struct vmdir *dir, const struct guid *snap, int keep_time,
		 struct job *job, struct err *reterr)
{
	_cleanup_intent_ struct intent *in = intent_new(op_snapshot_apply.name);
	_cleanup_machine_ struct machine *m = NULL;
	int r = machine_open(daemon, dir, 0, &m, reterr);

	if (!r)
		r = plan(m, snap, job, in, reterr);
	if (r < 0) {
		err_set_vm(reterr, m ? m->cfg->name : NULL);
		return r;
	}
	for (size_t i = 0; m->notes && m->notes[i]; i++)
		job_warn(job, "%s", m->notes[i]);
	intent_set(in, "keep-time", "%d", keep_time);
	return op_run(daemon, &op_snapshot_apply, TAKE_PTR(m), TAKE_PTR(in), job, reterr);
}

/* Both at once where the present is saved first: what is refused changes nothing. That is promised
 * when it begins, then. */
static int promise_space(const struct machine *m, const struct guid *snap, int save_present, int force,
			 const struct job *job, struct promise **ret_promise, struct err *reterr)
{
	static const char hint[] = "Make room, or try it all the same with --force";
	_cleanup_(space_done) struct space space = { 0 };
	_cleanup_config_ struct config *target = NULL;
	_cleanup_free_ char *what = NULL;
	int r = machine_snapshot(m, snap, &target, force ? NULL : reterr);

	if (!r && save_present)
		r = snapshot_space(&space, m, force ? NULL : reterr);
	if (!r)
		r = space_apply(&space, m, target, force ? NULL : reterr);
	if (r < 0 || (save_present && force))
		return force ? 0 : r;
	what = xasprintf("to %sapply snapshot '%s' of VM '%s'", save_present ? "save the present and " : "",
			 target->name, m->cfg->name);
	return save_present ? promise_refuse(&space, m, job, what, hint, reterr) :
			      promise_make(&space, m, job, force, what, hint, ret_promise, reterr);
}

int snapshot_apply(struct daemon *daemon, const struct vmdir *dir, const struct apply_spec *spec, struct job *job,
		   struct guid *ret_saved, struct err *reterr)
{
	_cleanup_promise_ struct promise *promise = NULL;
	_cleanup_machine_ struct machine *m = NULL;
	struct guid target, saved;
	int r = machine_open(daemon, dir, 0, &m, reterr);

	if (r < 0)
		return r;
	target = spec->snapshot ? *spec->snapshot : m->cfg->parent;
	if (guid_is_none(&target))
		return refuse_no_parent(m, reterr);
	r = promise_space(m, &target, spec->save_present, spec->force, job, &promise, reterr);
	if (r < 0)
		return r;
	if (spec->save_present) {
		struct snapshot_spec present = { .notes = "Taken before another snapshot was applied", .max_pause = -1,
						 .force = spec->force };

		r = snapshot_create(daemon, dir, &present, job, &saved, reterr);
		if (r < 0)
			return r;
		job_set_result(job, "saved", &saved);
		if (ret_saved)
			*ret_saved = saved;
		r = promise_space(m, &target, 0, 1, job, &promise, reterr);
		if (r < 0)
			return r;
	}
	return apply(daemon, dir, &target, spec->keep_time, job, reterr);
}
