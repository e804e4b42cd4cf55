/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The catalog: from the documents of one VM to rows of the index. */
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/catalog-priv.h"
#include "savestate/packed.h"
#include "xmlcfg/config.h"

static int64_t disks_allocated(const struct vmdir *dir, const struct config *cfg)
{
	int64_t sum = 0;

	for (size_t i = 0; i < cfg->n_disks; i++) {
		_cleanup_free_ char *path = vmdir_resolve(dir, cfg->disks[i].pathname);

		sum += file_allocated(path);
	}
	return sum;
}

static int64_t state_allocated(const struct vmdir *dir, const struct config *cfg)
{
	_cleanup_free_ char *vsv = cfg->state.vsv ? vmdir_resolve(dir, cfg->state.vsv) : NULL;
	_cleanup_free_ char *bin = cfg->state.bin ? vmdir_resolve(dir, cfg->state.bin) : NULL;

	_cleanup_free_ char *memory = bin ? packed_or_flat(bin) : NULL;

	return (vsv ? file_allocated(vsv) : 0) + (memory ? file_allocated(memory) : 0);
}

static void fill_snapshot(const struct vmdir *dir, const struct config *cfg, struct index_snapshot *row)
{
	row->guid = cfg->guid;
	row->vm = dir->guid;
	row->parent = cfg->parent;
	row->name = xstrdup(cfg->name);
	row->notes = xstrdup(cfg->notes);
	row->created_usec = cfg->created_usec;
	row->mode = xstrdup(cfg->capture.mode ? cfg->capture.mode : "none");
	row->memory_bytes = state_allocated(dir, cfg);
	row->disk_bytes = disks_allocated(dir, cfg);
}

/* What is wrong with the document at path; the list has no place for the file beside the text. */
static void note_problem(struct catalog_entry *e, const char *path, struct err *err)
{
	if (!strstr(err->message, path))
		err_prefix(err, "'%s'", path);
	strv_push(&e->problems, err_text(err));
}

/* A snapshot that cannot be read is left out of the rows and named in the problems. */
static int load_snapshots(struct catalog_entry *e, struct index_snapshot **ret_rows, size_t *ret_n, struct err *reterr)
{
	_cleanup_free_ struct guid *guids = NULL;
	struct index_snapshot *rows;
	size_t n = 0, count = 0;
	int r = vmdir_list_snapshots(e->dir, &guids, &n, reterr);

	if (r < 0)
		return r;
	rows = xcalloc(n + 1, sizeof(*rows));
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *path = vmdir_snapshot_config(e->dir, &guids[i]);
		_cleanup_config_ struct config *cfg = NULL;
		_cleanup_err_ struct err err = ERR_INIT;

		r = config_read(path, &cfg, &err);
		if (!r && (cfg->kind != CONFIG_SNAPSHOT || !guid_eq(&cfg->guid, &guids[i])))
			r = err_set(&err, ERR_BAD_DATA, -EBADMSG, "'%s' is not the configuration of snapshot %s", path,
				    guids[i].s);
		if (r < 0) {
			note_problem(e, path, &err);
			continue;
		}
		fill_snapshot(e->dir, cfg, &rows[count++]);
	}
	*ret_rows = rows;
	*ret_n = count;
	return 0;
}

static void fill_vm(struct catalog_entry *e, int64_t stamp, struct index_vm *row)
{
	_cleanup_free_ char *path = vmdir_config(e->dir);
	_cleanup_config_ struct config *cfg = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	memset(row, 0, sizeof(*row));
	row->guid = e->dir->guid;
	row->root = xstrdup(e->dir->root);
	row->stamp = stamp;
	if (config_read(path, &cfg, &err) < 0) {
		note_problem(e, path, &err);
		row->name = xstrdup(path_basename(e->dir->root));
		row->stamp = 0;
		return;
	}
	row->name = xstrdup(cfg->name);
	row->now = cfg->parent;
	row->saved = cfg->state.vsv != NULL;
	row->blocker = xstrdup(cfg->memory_blocker);
}

int catalog_load_entry(struct catalog *cat, struct catalog_entry *e, int64_t stamp, struct err *reterr)
{
	struct index_snapshot *snaps = NULL;
	struct index_vm vm;
	size_t n = 0;
	int r;

	strv_free(e->problems);
	e->problems = NULL;
	r = load_snapshots(e, &snaps, &n, reterr);
	if (r < 0)
		return r;
	fill_vm(e, stamp, &vm);
	r = index_put_vm(cat->index, &vm, snaps, n, reterr);
	index_vm_done(&vm);
	index_snapshots_free(snaps, n);
	return r;
}
