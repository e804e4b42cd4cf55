/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Save states that take in the pages of one that goes. */
#include "daemon/memory-fold.h"

#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/memory.h"
#include "daemon/savestates.h"
#include "savestate/packed.h"

/* ---- who is concerned */

/* 1 if the save state of cfg takes pages from that of snap, 0 if not, negative errno
 * if that cannot be told of one that may. */
static int builds_on(const struct machine *m, const struct config *cfg, const struct guid *snap, struct err *reterr)
{
	_cleanup_free_ char *path = cfg->state.vsv ? vmdir_resolve(m->dir, cfg->state.vsv) : NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_vsv_ struct vsv *vsv = NULL;
	int r = path && !guid_eq(&cfg->guid, snap) ? vsv_is_ours(path, &err) : 0;

	if (r > 0)
		r = vsv_open(path, &vsv, &err);
	if (r >= 0)
		return vsv && guid_eq(&vsv_info(vsv)->parent, snap);
	if (!guid_eq(&cfg->parent, snap))
		return 0; /* it derives from another and cannot build on this one */
	err_prefix(&err, "whether memory of %s '%s' is needed for it cannot be told",
		   cfg->kind == CONFIG_VM ? "VM" : "snapshot", cfg->name);
	return err_move(reterr, &err);
}

/* Puts cfg into the record and adds what its new files take. */
static int plan_one(const struct machine *m, const struct config *cfg, struct intent *in, int *n, int64_t *bytes,
		    struct err *reterr)
{
	_cleanup_savestate_chain_ struct savestate_chain chain = { 0 };
	_cleanup_free_ char *key = xasprintf("fold.%d", *n);
	uint64_t size;
	int r = savestate_chain_open(m->dir, cfg->state.vsv, cfg->state.bin, &chain, reterr);

	if (!r)
		r = join_fold_size(chain.files, chain.n < 2 ? chain.n : 2, &size, reterr);
	if (r < 0)
		return r;
	intent_set(in, key, "%s", cfg->guid.s);
	intent_set(in, "folds", "%d", ++*n);
	*bytes += (int64_t)size;
	return 0;
}

int memory_fold_plan(const struct machine *m, const struct guid *snap, struct intent *in, int64_t *ret_bytes,
		     struct err *reterr)
{
	struct config **snaps = NULL;
	int64_t bytes = 0;
	size_t n_snaps = 0;
	int n = 0, r = machine_snapshots(m, &snaps, &n_snaps, NULL, reterr);

	for (size_t i = 0; r >= 0 && i <= n_snaps; i++) {
		const struct config *cfg = i < n_snaps ? snaps[i] : m->cfg;

		r = builds_on(m, cfg, snap, reterr);
		if (r > 0)
			r = plan_one(m, cfg, in, &n, &bytes, reterr);
	}
	machine_snapshots_free(snaps, n_snaps);
	if (r < 0)
		return r;
	*ret_bytes = bytes;
	return 0;
}

/* ---- one of them */

/* A dependant: its document and the names of its old and new files. */
struct fold {
	struct config *cfg; /* *owned*; NULL: its document is gone */
	char *path;         /* of its files, without ending */
	char *vsv, *bin, *new_vsv, *new_bin;
};

static void fold_done(struct fold *fold)
{
	config_free(fold->cfg);
	free(fold->path);
	free(fold->vsv);
	free(fold->bin);
	free(fold->new_vsv);
	free(fold->new_bin);
}

static int n_folds(const struct op *op)
{
	return (int)op_int(op, "folds", 0);
}

static struct guid fold_guid(const struct op *op, int i)
{
	_cleanup_free_ char *key = xasprintf("fold.%d", i);

	return op_guid(op, key);
}

/* The names of the i-th. */
static void fold_name(const struct op *op, int i, struct fold *fold)
{
	const struct vmdir *dir = op->m->dir;
	struct guid guid = fold_guid(op, i);

	fold->path = guid_eq(&guid, &dir->guid) ? vmdir_state_path(dir) : vmdir_snapshot_file(dir, &guid, "");
	fold->vsv = xasprintf("%s.vsv", fold->path);
	fold->bin = xasprintf("%s.bin", fold->path);
	fold->new_vsv = xasprintf("%s.fold.vsv", fold->path);
	fold->new_bin = xasprintf("%s.fold.bin", fold->path);
}

/* The same, and reads its document. */
static int fold_open(const struct op *op, int i, struct fold *fold, struct err *reterr)
{
	const struct vmdir *dir = op->m->dir;
	struct guid guid = fold_guid(op, i);
	_cleanup_free_ char *document = guid_eq(&guid, &dir->guid) ? vmdir_config(dir) : vmdir_snapshot_config(dir, &guid);
	int there = path_exists(document);

	fold_name(op, i, fold);
	if (there < 0)
		return err_file(reterr, there, document, "cannot tell whether '%s' is there", document);
	return there ? config_read(document, &fold->cfg, reterr) : 0;
}

/* Removes what was written, whole or not. */
static int fold_remove(const struct fold *fold, struct err *reterr)
{
	static const char *const suffix[] = { "", ".tmp" };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(suffix); i++) {
		_cleanup_free_ char *vsv = xasprintf("%s%s", fold->new_vsv, suffix[i]);
		_cleanup_free_ char *bin = xasprintf("%s%s", fold->new_bin, suffix[i]);

		r = path_exists(vsv) ? file_remove(vsv, reterr) : 0;
		if (r >= 0 && path_exists(bin))
			r = file_remove(bin, reterr);
	}
	return r;
}

/* ---- writing */

struct progress {
	struct job *job;
	int i, n;
};

/* Of all dependants together, each with the same share. */
static int report(void *arg, uint64_t done, uint64_t total)
{
	const struct progress *p = arg;

	job_progress(p->job, (int64_t)(done + (uint64_t)p->i * total), (int64_t)(total * (uint64_t)p->n));
	return job_cancelled(p->job);
}

static int run_one(struct op *op, int i, const struct guid *snap, struct err *reterr)
{
	struct progress progress = { .job = op->job, .i = i, .n = n_folds(op) };
	_cleanup_savestate_chain_ struct savestate_chain chain = { 0 };
	_cleanup_(fold_done) struct fold fold = { 0 };
	int r = fold_open(op, i, &fold, reterr);

	if (r < 0 || !fold.cfg || path_exists(fold.new_vsv) == 1)
		return r; /* the .vsv gets its name last */
	r = savestate_chain_open(op->m->dir, fold.vsv, fold.bin, &chain, reterr);
	if (!r && (chain.n < 2 || !guid_eq(&chain.guids[1], snap)))
		return 0;
	if (!r)
		r = join_fold(chain.files, chain.n, &(struct save_files){ fold.new_vsv, fold.new_bin }, report,
			      &progress, reterr);
	if (r < 0)
		err_prefix(reterr, "%s '%s' needs memory of the snapshot", fold.cfg->kind == CONFIG_VM ? "VM" : "snapshot",
			   fold.cfg->name);
	return r;
}

int memory_fold_run(struct op *op, struct err *reterr)
{
	struct guid snap = op_guid(op, "snapshot");
	int r = 0;

	for (int i = 0; !r && i < n_folds(op); i++)
		r = run_one(op, i, &snap, reterr);
	return r;
}

int memory_fold_undo(struct op *op, struct err *reterr)
{
	int r = 0;

	for (int i = 0; !r && i < n_folds(op); i++) {
		_cleanup_(fold_done) struct fold fold = { 0 };

		fold_name(op, i, &fold);
		r = fold_remove(&fold, reterr);
	}
	return r;
}

/* ---- taking their place */

/* Gives a new file its name, if it has not got it. */
static int move_into_place(const char *from, const char *to, struct err *reterr)
{
	int there = path_exists(from);

	if (there < 0)
		return err_file(reterr, there, from, "cannot look at '%s'", from);
	if (there && rename(from, to) < 0)
		return err_file(reterr, -errno, to, "cannot rename '%s' to '%s'", from, to);
	return 0;
}

/* .bin first: it fits the old .vsv too. Each of both is durable before the next step. */
static int replace_files(struct op *op, const struct fold *fold, struct err *reterr)
{
	_cleanup_free_ char *dir = path_dirname(fold->vsv);
	int r = move_into_place(fold->new_bin, fold->bin, reterr);

	if (!r)
		r = path_fsync(dir, reterr);
	if (!r)
		r = op_fault(op->kind, "fold-bin", "after", reterr);
	if (!r)
		r = move_into_place(fold->new_vsv, fold->vsv, reterr);
	if (!r)
		r = path_fsync(dir, reterr);
	return r < 0 ? r : op_fault(op->kind, "fold-vsv", "after", reterr);
}

/* That what has the name now is whole and needs the snapshot no more. */
static int check_replaced(const struct fold *fold, const struct guid *snap, struct err *reterr)
{
	_cleanup_vsv_ struct vsv *vsv = NULL;
	int r = vsv_open(fold->vsv, &vsv, reterr);

	if (!r)
		r = vsv_check(vsv, reterr);
	if (r < 0)
		return r;
	if (guid_eq(&vsv_info(vsv)->parent, snap))
		return err_full(reterr, ERR_BAD_DATA, -EBADMSG, fold->cfg->name, fold->vsv,
				"Restore the file from a backup of the VM directory",
				"save state '%s' still takes pages from snapshot %s, which is being deleted, and the new "
				"files that do not are gone", fold->vsv, snap->s);
	return 0;
}

/* What was packed was the old one. */
static int drop_packed(const struct fold *fold, struct err *reterr)
{
	_cleanup_free_ char *packed = packed_name(fold->bin);

	return file_remove(packed, reterr);
}

static int update_document(struct op *op, const struct fold *fold, struct err *reterr)
{
	struct config *cfg = fold->cfg->kind == CONFIG_VM ? op->m->cfg : fold->cfg;
	int64_t size = cfg->state.vsv_size;
	uint64_t sum = cfg->state.vsv_sum;
	_cleanup_free_ char *path = NULL;
	int r = memory_describe(op->m, fold->path, cfg, reterr);

	if (r < 0 || (cfg->state.vsv_size == size && cfg->state.vsv_sum == sum))
		return r;
	if (cfg->kind == CONFIG_VM)
		return machine_commit(op->m, reterr);
	path = vmdir_snapshot_config(op->m->dir, &cfg->guid);
	return config_write(cfg, path, reterr);
}

int memory_fold_finish(struct op *op, struct err *reterr)
{
	struct guid snap = op_guid(op, "snapshot");
	int r = 0;

	for (int i = 0; !r && i < n_folds(op); i++) {
		_cleanup_(fold_done) struct fold fold = { 0 };

		r = fold_open(op, i, &fold, reterr);
		if (!r && !fold.cfg)
			r = fold_remove(&fold, reterr);
		if (r < 0 || !fold.cfg)
			continue;
		r = replace_files(op, &fold, reterr);
		if (!r)
			r = check_replaced(&fold, &snap, reterr);
		if (!r)
			r = update_document(op, &fold, reterr);
		if (!r)
			r = drop_packed(&fold, reterr);
	}
	return r;
}
