/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Deleting a VM: its document going is the commit; then the domain, then every
 * file that is vmsnap's. What somebody else put into the directory stays. */
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/background.h"
#include "daemon/daemon.h"
#include "daemon/firmware.h"
#include "daemon/memory.h"
#include "daemon/op-others.h"
#include "daemon/op-refs.h"
#include "daemon/op-vm.h"
#include "layout/chain.h"

static int stop_run(struct op *op, struct err *reterr)
{
	return machine_is_active(op->m) ? hv_destroy(op->daemon->hv, &op->m->dir->guid, reterr) : 0;
}

static int commit_run(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *path = vmdir_config(op->m->dir);

	return file_remove(path, reterr);
}

static int undefine_run(struct op *op, struct err *reterr)
{
	return hv_undefine(op->daemon->hv, &op->m->dir->guid, 1, reterr);
}

static int remove_images(struct op *op, struct err *reterr)
{
	_cleanup_strv_ char **images = NULL;
	_cleanup_free_ char *dir = vmdir_avhd_dir(op->m->dir);
	int r = path_exists(dir);

	if (r <= 0)
		return r;
	r = vmdir_list_images(op->m->dir, &images, reterr);
	for (size_t i = 0; !r && images && images[i]; i++)
		r = file_remove(images[i], reterr);
	if (r < 0)
		return r;
	r = dir_remove(dir, NULL);
	return r == -ENOTEMPTY ? 0 : r;
}

/* Its document goes last: while it is there the rest is found by it. */
static int remove_snapshot(struct op *op, const struct guid *snap, struct err *reterr)
{
	_cleanup_free_ char *dir = vmdir_snapshot_dir(op->m->dir, snap), *doc = vmdir_snapshot_config(op->m->dir, snap);
	_cleanup_free_ char *path = vmdir_snapshot_file(op->m->dir, snap, "");
	int r = path_exists(dir) == 1 ? firmware_remove_copies(op->m, snap, reterr) : 0;

	if (!r)
		r = memory_remove(path, reterr);
	if (r < 0)
		return r;
	r = dir_remove(dir, NULL);
	return r < 0 && r != -ENOTEMPTY ? r : file_remove(doc, reterr);
}

static int remove_snapshots(struct op *op, struct err *reterr)
{
	_cleanup_free_ struct guid *snaps = NULL;
	size_t n = 0;
	int r = vmdir_list_snapshots(op->m->dir, &snaps, &n, reterr);

	for (size_t i = 0; !r && i < n; i++)
		r = remove_snapshot(op, &snaps[i], reterr);
	return r;
}

static int remove_state(struct op *op, struct err *reterr)
{
	static const char *const names[] = { "before.xml", "before_VARS.fd", "before.permall", "restore.fifo", "save.fifo" };
	_cleanup_free_ char *state = vmdir_state_path(op->m->dir), *nvram = vmdir_nvram(op->m->dir);
	_cleanup_free_ char *dir = vmdir_state_dir(op->m->dir), *pause = vmdir_pause(op->m->dir);
	int r = memory_remove(state, reterr);

	if (!r)
		r = background_forget(dir, reterr);
	if (!r)
		r = file_remove(nvram, reterr);
	if (!r)
		r = file_remove(pause, reterr);
	for (size_t i = 0; !r && i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = path_join(dir, names[i]);

		r = file_remove(path, reterr);
	}
	return r;
}

static int files_run(struct op *op, struct err *reterr)
{
	int r = remove_images(op, reterr);

	if (!r)
		r = op_refs_remove_planned(op, reterr);
	if (!r)
		r = remove_snapshots(op, reterr);
	return r < 0 ? r : remove_state(op, reterr);
}

static const struct op_step steps[] = {
	{ "stop", "stopping", stop_run, NULL, "the guest runs or is off; the VM is whole", 1 },
	{ "commit", "committing", commit_run, NULL, "the VM's document is there (the VM is whole) or gone (forward)", 1 },
	{ "undefine", "removing the domain", undefine_run, NULL, "the domain may be there; it is undefined", 0 },
	{ "files", "removing files", files_run, NULL, "some files may be there; they are removed", 0 },
};

static int decide(struct op *op, struct op_way *ret_way, struct err *reterr _unused_)
{
	ret_way->forward = op->m->cfg == NULL;
	ret_way->from = 2;
	return 0;
}

static void closed(struct op *op, int undone)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (!undone && vmdir_remove_empty(op->m->dir, &err) < 0)
		job_warn(op->job, "'%s' holds something that is not vmsnap's and stays: %s", op->m->dir->root,
			 err.message);
}

const struct op_kind op_vm_delete = {
	.name = "vm-delete",
	.steps = steps,
	.n_steps = ARRAY_SIZE(steps),
	.may_lack_config = 1,
	.decide = decide,
	.closed = closed,
};

static int is_planned(const struct intent *in, const struct machine *m, const char *path)
{
	_cleanup_free_ char *pathname = vmdir_store_path(m->dir, path);
	long n = intent_get(in, "removes") ? strtol(intent_get(in, "removes"), NULL, 10) : 0;

	for (long i = 0; i < n; i++)
		if (strcmp(intent_getf(in, "remove.%ld", i), pathname) == 0)
			return 1;
	return 0;
}

/* Base disks inside the directory, and whatever else the chains name there. */
static void plan_disks(struct intent *in, const struct machine *m, const struct config *cfg)
{
	for (size_t i = 0; i < cfg->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(m, &cfg->disks[i]);
		struct chain chain = { NULL, 0 };

		if (chain_read(path, cfg->disks[i].format, &chain, NULL) < 0)
			continue; /* .avhd files go by their folder */
		for (size_t k = 0; k < chain.n; k++)
			if (vmdir_contains(m->dir, chain.image[k].path) && !is_planned(in, m, chain.image[k].path))
				op_refs_plan_file(in, m, chain.image[k].path);
		chain_done(&chain);
	}
}

static int plan(struct machine *m, int force, struct intent *in, struct err *reterr)
{
	struct config **snaps;
	size_t n, unreadable;
	int r;

	if (machine_is_active(m) && !force)
		return err_full(reterr, ERR_REFUSED, -EBUSY, m->cfg->name, NULL, "Stop it first, or use --force",
				"VM '%s' cannot be deleted while it runs", m->cfg->name);
	/* libvirt undefines no domain that has one of these, and then it would be too late */
	r = machine_refuse_foreign(m, reterr);
	if (!r && !force)
		r = machine_refuse_written(m, reterr);
	if (!r)
		r = op_others_refuse_directory(m, force, reterr);
	if (r < 0)
		return r;
	r = machine_snapshots(m, &snaps, &n, &unreadable, reterr);
	if (r < 0)
		return r;
	plan_disks(in, m, m->cfg);
	for (size_t i = 0; i < n; i++)
		plan_disks(in, m, snaps[i]);
	machine_snapshots_free(snaps, n);
	return 0;
}

int vm_delete(struct daemon *daemon, const struct vmdir *dir, int force, struct job *job, struct err *reterr)
{
	_cleanup_intent_ struct intent *in = intent_new(op_vm_delete.name);
	_cleanup_machine_ struct machine *m = NULL;
	int r = vm_open(daemon, dir, job, &m, reterr);

	if (!r)
		r = plan(m, force, in, reterr);
	if (r < 0)
		return r;
	return op_run(daemon, &op_vm_delete, TAKE_PTR(m), TAKE_PTR(in), job, reterr);
}
