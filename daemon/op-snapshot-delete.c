/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Deleting a snapshot. Its document going is the commit: before, save states that need
 * memory of its own were written anew, beside; after, they take the place of the old ones, its
 * children get its parent, and what it alone needed is removed. Disks that others are over stay,
 * hidden, and are merged afterwards (merges.h). */
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "daemon/firmware.h"
#include "daemon/memory-fold.h"
#include "daemon/memory.h"
#include "daemon/op-refs.h"
#include "daemon/op-snapshot.h"
#include "daemon/promise.h"
#include "daemon/space.h"
#include "layout/store.h"

static int commit_run(struct op *op, struct err *reterr)
{
	struct guid snap = op_guid(op, "snapshot");
	_cleanup_free_ char *path = vmdir_snapshot_config(op->m->dir, &snap);

	return file_remove(path, reterr);
}

/* The parent of the snapshot that went. Returns 1 if cfg was changed. */
static int inherit_parent(const struct op *op, struct config *cfg)
{
	struct guid snap = op_guid(op, "snapshot");

	if (!guid_eq(&cfg->parent, &snap))
		return 0;
	cfg->parent = op_guid(op, "parent");
	return 1;
}

static int parents_run(struct op *op, struct err *reterr)
{
	struct config **snaps = NULL;
	size_t n = 0;
	int r = machine_snapshots(op->m, &snaps, &n, NULL, reterr);

	for (size_t i = 0; !r && i < n; i++) {
		_cleanup_free_ char *path = vmdir_snapshot_config(op->m->dir, &snaps[i]->guid);

		if (inherit_parent(op, snaps[i]))
			r = config_write(snaps[i], path, reterr);
	}
	machine_snapshots_free(snaps, n);
	return !r && inherit_parent(op, op->m->cfg) ? machine_commit(op->m, reterr) : r;
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

enum { FOLD, COMMIT, REPLACE, PARENTS, DISKS, STATE };

static const struct op_step steps[] = {
	[FOLD] = { "fold", "taking memory into other save states", memory_fold_run, memory_fold_undo,
	  "new files of other save states, whole or not; they are removed", 1 },
	[COMMIT] = { "commit", "committing", commit_run, NULL,
	  "the snapshot's document is there (all is taken back) or gone (the rest is removed)", 1 },
	[REPLACE] = { "replace", "replacing save states", memory_fold_finish, NULL,
	  "new files of other save states have their place or not, and a document may not fit them; this is finished", 0 },
	[PARENTS] = { "parents", "moving its children", parents_run, NULL,
	  "children of the snapshot may still name it as their parent; they get its parent", 0 },
	[DISKS] = { "disks", "removing disks", disks_run, NULL,
	  "some of the snapshot's disks may still be there; they are removed by the list in the record", 0 },
	[STATE] = { "state", "removing the save state", state_run, NULL,
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
	ret_way->from = REPLACE;
	return 0;
}

const struct op_kind op_snapshot_delete = {
	.name = "snapshot-delete",
	.steps = steps,
	.n_steps = ARRAY_SIZE(steps),
	.decide = decide,
};

/* A snapshot without children may go all the same: what it has is in nobody's way. */
static int refuse_unknown(const struct machine *m, const struct config *snap, struct err *reterr)
{
	return err_full(reterr, ERR_REFUSED, -EBUSY, m->cfg->name, NULL,
			"Look at what 'vmsnapctl vm show' says of the VM's disks first",
			"snapshot '%s' of VM '%s' cannot be deleted: others depend on its disks, and not all of their "
			"images can be read", snap->name, m->cfg->name);
}

/* Room for what folding writes before the old files go. */
static int check_space(const struct machine *m, const struct config *snap, int64_t folded, const struct job *job,
		       struct err *reterr)
{
	_cleanup_free_ char *what = xasprintf("to delete snapshot '%s' of VM '%s', whose memory others need", snap->name,
					      m->cfg->name);
	_cleanup_free_ char *dir = vmdir_snapshots_dir(m->dir);
	_cleanup_(space_done) struct space space = { 0 };
	int r = folded ? space_at(&space, dir, folded + SPACE_DOCUMENTS, reterr) : 0;

	return r < 0 ? r : promise_refuse(&space, m, job, what, "Make room, or try it all the same with --force", reterr);
}

static int plan(struct machine *m, const struct guid *guid, int force, const struct job *job, struct intent *in,
		struct err *reterr)
{
	_cleanup_config_ struct config *snap = NULL;
	int unknown = 0, r = machine_snapshot(m, guid, &snap, reterr);
	int64_t bytes = 0;

	if (r < 0)
		return r;
	intent_set(in, "snapshot", "%s", guid->s);
	if (!guid_is_none(&snap->parent))
		intent_set(in, "parent", "%s", snap->parent.s);
	r = op_refs_plan_delete(in, m, snap, &unknown, reterr);
	if (r >= 0 && unknown)
		return refuse_unknown(m, snap, reterr);
	if (r >= 0)
		r = memory_fold_plan(m, guid, in, &bytes, reterr);
	return r < 0 || force ? r : check_space(m, snap, bytes, job, reterr);
}

/* On a disk that is full to the last byte not even the record could be written. */
static void make_room_for_record(const struct machine *m)
{
	const char *store = m->daemon->catalog ? catalog_store(m->daemon->catalog) : NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	int64_t room;

	if (!store || disk_free(m->dir->root, &room, NULL) < 0 || room >= SPACE_DOCUMENTS)
		return;
	if (store_reserve_drop(store, &err) < 0)
		log_err(LOG_LEVEL_WARNING, &err, "the reserve of the store cannot be used");
}

int snapshot_delete(struct daemon *daemon, const struct vmdir *dir, const struct guid *snap, int force,
		    struct job *job, struct err *reterr)
{
	_cleanup_intent_ struct intent *in = intent_new(op_snapshot_delete.name);
	_cleanup_machine_ struct machine *m = NULL;
	int r = machine_open(daemon, dir, 0, &m, reterr);

	if (!r)
		r = plan(m, snap, force, job, in, reterr);
	if (r < 0) {
		err_set_vm(reterr, m ? m->cfg->name : NULL);
		return r;
	}
	make_room_for_record(m);
	return op_run(daemon, &op_snapshot_delete, TAKE_PTR(m), TAKE_PTR(in), job, reterr);
}
