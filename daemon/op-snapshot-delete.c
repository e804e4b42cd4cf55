/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Deleting a snapshot on which nothing depends. Its document going is the commit:
 * before, nothing was touched; after, what it alone needed is removed. */
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/daemon.h"
#include "daemon/firmware.h"
#include "daemon/memory.h"
#include "daemon/op-refs.h"
#include "daemon/op-snapshot.h"

static int commit_run(struct op *op, struct err *reterr)
{
	struct guid snap = op_guid(op, "snapshot");
	_cleanup_free_ char *path = vmdir_snapshot_config(op->m->dir, &snap);

	return file_remove(path, reterr);
}

static int disks_run(struct op *op, struct err *reterr)
{
	return op_refs_remove_planned(op, reterr);
}

static int state_run(struct op *op, struct err *reterr)
{
	struct guid snap = op_guid(op, "snapshot");
	_cleanup_free_ char *memory = vmdir_snapshot_file(op->m->dir, &snap, "");
	_cleanup_free_ char *dir = vmdir_snapshot_dir(op->m->dir, &snap);
	int r = memory_remove(memory, reterr);

	if (!r)
		r = firmware_remove_copies(op->m, &snap, reterr);
	if (!r)
		r = dir_remove(dir, reterr);
	if (r != -ENOTEMPTY)
		return r;
	err_done(reterr);
	job_warn(op->job, "'%s' holds files that are not vmsnap's; it stays", dir);
	return 0;
}

static const struct op_step steps[] = {
	{ "commit", "committing", commit_run, NULL,
	  "the snapshot's document is there (nothing was touched) or gone (the rest is removed)", 1 },
	{ "disks", "removing disks", disks_run, NULL,
	  "some of the snapshot's disks may still be there; they are removed by the list in the record", 0 },
	{ "state", "removing the save state", state_run, NULL,
	  "the save state may still be there; it is removed", 0 },
};

static int decide(struct op *op, struct op_way *ret_way, struct err *reterr)
{
	struct guid snap = op_guid(op, "snapshot");
	_cleanup_free_ char *path = vmdir_snapshot_config(op->m->dir, &snap);
	int there = path_exists(path);

	if (there < 0)
		return err_file(reterr, there, path, "cannot tell whether '%s' is there", path);
	ret_way->forward = !there;
	ret_way->from = 1;
	return 0;
}

const struct op_kind op_snapshot_delete = {
	.name = "snapshot-delete",
	.steps = steps,
	.n_steps = ARRAY_SIZE(steps),
	.decide = decide,
};

static int refuse_needed(const struct machine *m, const struct config *snap, struct err *reterr)
{
	int is_now = guid_eq(&m->cfg->parent, &snap->guid);

	return err_full(reterr, ERR_REFUSED, -EBUSY, m->cfg->name, NULL,
			"Delete what depends on it first, or apply another snapshot; deleting in the middle of the tree "
			"needs merging, which this version does not do",
			"snapshot '%s' of VM '%s' cannot be deleted: %s", snap->name, m->cfg->name,
			is_now ? "the present state derives from it" : "other snapshots depend on its disks");
}

static int has_children(const struct machine *m, const struct config *snap, struct err *reterr)
{
	struct config **snaps;
	size_t n;
	int r = machine_snapshots(m, &snaps, &n, NULL, reterr), found = 0;

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		found |= guid_eq(&snaps[i]->parent, &snap->guid);
	machine_snapshots_free(snaps, n);
	return found;
}

static int plan(struct machine *m, const struct guid *guid, struct intent *in, struct err *reterr)
{
	_cleanup_config_ struct config *snap = NULL;
	int needed = 0, r = machine_snapshot(m, guid, &snap, reterr);

	if (r < 0)
		return r;
	r = has_children(m, snap, reterr);
	if (r > 0 || (!r && guid_eq(&m->cfg->parent, guid)))
		return refuse_needed(m, snap, reterr);
	intent_set(in, "snapshot", "%s", guid->s);
	if (!r)
		r = op_refs_plan_delete(in, m, snap, &needed, reterr);
	return r < 0 ? r : needed ? refuse_needed(m, snap, reterr) : 0;
}

int snapshot_delete(struct daemon *daemon, const struct vmdir *dir, const struct guid *snap, struct job *job,
		    struct err *reterr)
{
	_cleanup_intent_ struct intent *in = intent_new(op_snapshot_delete.name);
	_cleanup_machine_ struct machine *m = NULL;
	int r = machine_open(daemon, dir, 0, &m, reterr);

	if (!r)
		r = plan(m, snap, in, reterr);
	if (r < 0) {
		err_set_vm(reterr, m ? m->cfg->name : NULL);
		return r;
	}
	return op_run(daemon, &op_snapshot_delete, TAKE_PTR(m), TAKE_PTR(in), job, reterr);
}
