/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The seals of a merge: what it writes to is unsealed before, sealed again after, and
 * every document that recorded a seal records the new one (law 1). */
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/op-merge.h"
#include "layout/image.h"

/* Absolute paths of the images that a merge may write to, *owned*. */
static char **written_paths(const struct op *op)
{
	char **list = NULL;

	strv_push(&list, op_path(op, "dependant"));
	if (!merge_is_commit(op))
		return list;
	strv_push(&list, op_path(op, "image"));
	for (int i = 0; i < op_int(op, "children", 0); i++) {
		_cleanup_free_ char *key = xasprintf("child.%d", i);

		strv_push(&list, op_path(op, key));
	}
	return list;
}

int merge_is_working(const struct op *op, const char *path)
{
	for (size_t i = 0; op->m->cfg && i < op->m->cfg->n_disks; i++) {
		_cleanup_free_ char *disk = machine_disk_path(op->m, &op->m->cfg->disks[i]);

		if (strcmp(disk, path) == 0)
			return 1;
	}
	return 0;
}

int merge_unseal(struct op *op, struct err *reterr)
{
	_cleanup_strv_ char **paths = written_paths(op);
	int r = 0;

	for (size_t i = 0; !r && paths[i]; i++)
		if (vmdir_contains(op->m->dir, paths[i]) && !merge_is_working(op, paths[i]))
			r = disk_unseal(paths[i], reterr);
	return r;
}

/* What is no working disk is read only. Files outside keep the mode that they have. */
static int seal_file(const struct op *op, const char *path, struct err *reterr)
{
	int sealed = vmdir_contains(op->m->dir, path) && !merge_is_working(op, path), r = path_exists(path);
	struct stamp stamp;

	if (r <= 0)
		return r < 0 ? err_file(reterr, r, path, "cannot look at '%s'", path) : 0;
	return disk_seal(path, sealed, &stamp, reterr);
}

int merge_repoint(const struct op *op, struct config *cfg)
{
	_cleanup_free_ char *dependant = op_path(op, "dependant");
	int n = 0;

	for (size_t i = 0; i < cfg->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(op->m, &cfg->disks[i]);

		if (strcmp(path, dependant) != 0)
			continue;
		xstrset(&cfg->disks[i].pathname, intent_get(op->intent, "image"));
		xstrset(&cfg->disks[i].format, intent_get(op->intent, "image-format"));
		n++;
	}
	return n;
}

/* The new seals of paths. Returns the number of changes or negative errno. */
static int renew_seals(const struct op *op, struct config *cfg, char *const *paths, struct err *reterr)
{
	int changed = 0;

	for (size_t i = 0; i < cfg->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(op->m, &cfg->disks[i]);
		struct stamp stamp;
		int r;

		if (!cfg->disks[i].sealed || !strv_has(paths, path))
			continue;
		r = stamp_take(path, &stamp, reterr);
		if (r < 0)
			return r;
		changed += stamp.size != cfg->disks[i].seal.size || stamp.mtime_ns != cfg->disks[i].seal.mtime_ns ||
			   stamp.header != cfg->disks[i].seal.header;
		cfg->disks[i].seal = stamp;
	}
	return changed;
}

static int renew_snapshot(const struct op *op, struct config *snap, char *const *paths, int repoint,
			  struct err *reterr)
{
	_cleanup_free_ char *file = vmdir_snapshot_config(op->m->dir, &snap->guid);
	int moved = repoint ? merge_repoint(op, snap) : 0, r = renew_seals(op, snap, paths, reterr);

	return r < 0 || r + moved == 0 ? r : config_write(snap, file, reterr);
}

int merge_seal(struct op *op, int repoint, struct err *reterr)
{
	_cleanup_strv_ char **paths = written_paths(op);
	struct config **snaps = NULL;
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; !r && paths[i]; i++)
		r = seal_file(op, paths[i], reterr);
	if (!r)
		r = machine_snapshots(op->m, &snaps, &n, NULL, reterr);
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = renew_snapshot(op, snaps[i], paths, repoint && merge_is_commit(op), reterr);
	machine_snapshots_free(snaps, n);
	if (r >= 0) /* of a saved VM: its memory fits these disks */
		r = renew_seals(op, op->m->cfg, paths, reterr);
	return r > 0 ? machine_commit(op->m, reterr) : r;
}
