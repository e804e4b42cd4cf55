/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files of a save state and of those it takes pages from. */
#include "daemon/savestates.h"

#include "common/alloc.h"
#include "common/fileio.h"

void savestate_chain_done(struct savestate_chain *chain)
{
	for (size_t i = 0; i < chain->n; i++) {
		free((char *)chain->files[i].vsv);
		free((char *)chain->files[i].bin);
	}
	free(chain->files);
	free(chain->guids);
	*chain = (struct savestate_chain){ 0 };
}

/* Appends a save state; both pathnames are *taken*, bin may be NULL. */
static void add_level(struct savestate_chain *chain, const struct guid *guid, char *vsv, char *bin)
{
	chain->files = xreallocarray(chain->files, chain->n + 1, sizeof(*chain->files));
	chain->guids = xreallocarray(chain->guids, chain->n + 1, sizeof(*chain->guids));
	chain->guids[chain->n] = *guid;
	chain->files[chain->n++] = (struct save_files){ .vsv = vsv, .bin = bin };
}

static int refuse_opaque(const char *path, struct err *reterr)
{
	return err_full(reterr, ERR_REFUSED, -ENOTSUP, NULL, path, NULL,
			"save state '%s' is in the opaque form: its memory is not apart from the rest", path);
}

/* Adds the save state of the snapshot that the last one builds on. */
static int add_parent(const struct vmdir *dir, struct savestate_chain *chain, const struct guid *parent,
		      struct err *reterr)
{
	_cleanup_free_ char *vsv = vmdir_snapshot_file(dir, parent, ".vsv");
	_cleanup_free_ char *bin = vmdir_snapshot_file(dir, parent, ".bin");
	const char *child = chain->files[chain->n - 1].vsv;
	int there;

	if (chain->n == VSV_MAX_CHAIN)
		return err_full(reterr, ERR_LIMIT, -E2BIG, NULL, chain->files[0].vsv, NULL,
				"save state '%s' builds on more than %d others", chain->files[0].vsv, VSV_MAX_CHAIN - 1);
	there = path_exists(vsv);
	if (there < 0)
		return err_file(reterr, there, vsv, "cannot look at the save state '%s', which '%s' builds on", vsv,
				child);
	if (!there)
		return err_full(reterr, ERR_BAD_DATA, -ENOENT, NULL, vsv,
				"Restore the file from a backup of the VM directory",
				"save state '%s' is missing (of snapshot %s); '%s' builds on it", vsv, parent->s,
				child);
	add_level(chain, parent, TAKE_PTR(vsv), TAKE_PTR(bin));
	return 0;
}

/* Reads the last one: whether it is ours, has a .bin, and what it builds on. */
static int look_at_last(struct savestate_chain *chain, struct guid *ret_parent, struct err *reterr)
{
	struct save_files *last = &chain->files[chain->n - 1];
	_cleanup_vsv_ struct vsv *vsv = NULL;
	int r = vsv_is_ours(last->vsv, reterr);

	if (r == 0)
		return refuse_opaque(last->vsv, reterr);
	if (r > 0)
		r = vsv_open(last->vsv, &vsv, reterr);
	if (r < 0)
		return r;
	if (vsv_info(vsv)->bin_size == 0) {
		free((char *)last->bin);
		last->bin = NULL;
	}
	*ret_parent = vsv_info(vsv)->parent;
	return 0;
}

int savestate_chain_open(const struct vmdir *dir, const char *vsv_path, const char *bin_path,
			 struct savestate_chain *ret, struct err *reterr)
{
	_cleanup_savestate_chain_ struct savestate_chain chain = { 0 };
	struct guid parent = { "" };
	int r;

	add_level(&chain, &parent, vmdir_resolve(dir, vsv_path), bin_path ? vmdir_resolve(dir, bin_path) : NULL);
	r = look_at_last(&chain, &parent, reterr);
	while (r >= 0 && !guid_is_none(&parent)) {
		r = add_parent(dir, &chain, &parent, reterr);
		if (r >= 0)
			r = look_at_last(&chain, &parent, reterr);
	}
	if (r < 0)
		return r;
	*ret = chain;
	chain = (struct savestate_chain){ 0 };
	return 0;
}

char *savestate_owner(const struct config *cfg)
{
	return xasprintf("%s '%s'", cfg->kind == CONFIG_VM ? "VM" : "snapshot", cfg->name);
}

int savestate_config(const struct vmdir *dir, const struct guid *snap, struct config **ret_cfg, struct err *reterr)
{
	_cleanup_free_ char *path = snap ? vmdir_snapshot_config(dir, snap) : vmdir_config(dir);
	_cleanup_config_ struct config *cfg = NULL;
	int r = config_read(path, &cfg, reterr);

	if (r < 0)
		return r;
	if (!cfg->state.vsv && snap)
		return err_set(reterr, ERR_REFUSED, -ENODATA, "snapshot '%s' has no memory", cfg->name);
	if (!cfg->state.vsv)
		return err_full(reterr, ERR_REFUSED, -ENODATA, cfg->name, NULL, NULL,
				"VM '%s' has no save state of its own: it is not saved", cfg->name);
	*ret_cfg = TAKE_PTR(cfg);
	return 0;
}

/* That all of a save state's memory is apart from the rest. */
static int require_split(const char *path, struct err *reterr)
{
	_cleanup_vsv_ struct vsv *vsv = NULL;
	int r = vsv_open(path, &vsv, reterr);

	if (r < 0)
		return r;
	if (!(vsv_info(vsv)->flags & VSV_F_RAM))
		return refuse_opaque(path, reterr);
	if (vsv_info(vsv)->flags & VSV_F_PARTIAL)
		return err_full(reterr, ERR_REFUSED, -ENOTSUP, NULL, path, NULL,
				"save state '%s' is split in part only: some of its memory is among the rest", path);
	return 0;
}

int savestate_compare(const struct vmdir *dir, const struct config *first, const struct config *second,
		      struct join_diff *ret_diff, struct err *reterr)
{
	_cleanup_savestate_chain_ struct savestate_chain a = { 0 }, b = { 0 };
	int r = savestate_chain_open(dir, first->state.vsv, first->state.bin, &a, reterr);

	if (r >= 0)
		r = savestate_chain_open(dir, second->state.vsv, second->state.bin, &b, reterr);
	if (r >= 0)
		r = require_split(a.files[0].vsv, reterr);
	if (r >= 0)
		r = require_split(b.files[0].vsv, reterr);
	return r < 0 ? r : join_compare(a.files, a.n, b.files, b.n, ret_diff, reterr);
}
