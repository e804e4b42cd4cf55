/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who else in the store needs a file. */
#include "daemon/op-others.h"

#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "layout/chain.h"

/* What is looked for: one file by what it is, or all in a directory by name. */
struct wanted {
	const struct vmdir *dir;
	const char *path; /* NULL: anything in dir */
	struct stat st;
};

static int is_wanted(const struct wanted *w, const char *path)
{
	struct stat st;

	if (!w->path)
		return vmdir_contains(w->dir, path);
	if (stat(path, &st) < 0)
		return strcmp(path, w->path) == 0;
	if (S_ISBLK(st.st_mode) && S_ISBLK(w->st.st_mode))
		return st.st_rdev == w->st.st_rdev;
	return st.st_dev == w->st.st_dev && st.st_ino == w->st.st_ino;
}

static int refuse(const struct wanted *w, const char *path, const struct config *other, struct err *reterr)
{
	return err_full(reterr, ERR_REFUSED, -EBUSY, NULL, path,
			w->path ? "Give the domain a copy of its own" : "Delete that VM first",
			"'%s' is part of a disk of VM '%s'", path, other->name);
}

static int search_document(const struct machine *other, const struct config *doc, const struct wanted *w,
			   struct err *reterr)
{
	for (size_t i = 0; i < doc->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(other, &doc->disks[i]);
		struct chain chain = { NULL, 0 };
		int r = is_wanted(w, path) ? refuse(w, path, other->cfg, reterr) : 0;

		if (!r && chain_read(path, doc->disks[i].format, &chain, NULL) < 0)
			continue; /* it is gone or damaged: its own operations tell of it */
		for (size_t k = 0; !r && k < chain.n; k++)
			if (is_wanted(w, chain.image[k].path))
				r = refuse(w, chain.image[k].path, other->cfg, reterr);
		chain_done(&chain);
		if (r < 0)
			return r;
	}
	return 0;
}

static int search_vm(struct daemon *daemon, const struct index_vm *vm, const struct wanted *w, struct err *reterr)
{
	_cleanup_vmdir_ struct vmdir *dir = vmdir_new(vm->root, &vm->guid);
	_cleanup_free_ char *path = vmdir_config(dir);
	_cleanup_config_ struct config *cfg = NULL;
	struct machine other = { .daemon = daemon, .dir = dir };
	struct config **snaps;
	size_t n, unreadable;
	int r;

	if (config_read(path, &cfg, NULL) < 0)
		return 0; /* damaged: shown among its problems */
	other.cfg = cfg;
	r = machine_snapshots(&other, &snaps, &n, &unreadable, reterr);
	if (r < 0)
		return r;
	r = search_document(&other, cfg, w, reterr);
	for (size_t i = 0; !r && i < n; i++)
		r = search_document(&other, snaps[i], w, reterr);
	machine_snapshots_free(snaps, n);
	return r;
}

static int search(const struct machine *m, const struct wanted *w, struct err *reterr)
{
	struct index_vm *vms;
	size_t n;
	int r = catalog_vms(m->daemon->catalog, &vms, &n, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; !r && i < n; i++)
		if (!guid_eq(&vms[i].guid, &m->dir->guid))
			r = search_vm(m->daemon, &vms[i], w, reterr);
	index_vms_free(vms, n);
	return r;
}

int op_others_refuse_file(const struct machine *m, const char *path, struct err *reterr)
{
	struct wanted w = { .dir = m->dir, .path = path };

	return stat(path, &w.st) < 0 ? 0 : search(m, &w, reterr);
}

int op_others_refuse_directory(const struct machine *m, struct err *reterr)
{
	struct wanted w = { .dir = m->dir };

	return search(m, &w, reterr);
}
