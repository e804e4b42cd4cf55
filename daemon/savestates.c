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
	*chain = (struct savestate_chain){ 0 };
}

/* Appends a save state; both pathnames are *taken*, bin may be NULL. */
static void add_level(struct savestate_chain *chain, char *vsv, char *bin)
{
	chain->files = xreallocarray(chain->files, chain->n + 1, sizeof(*chain->files));
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
	add_level(chain, TAKE_PTR(vsv), TAKE_PTR(bin));
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
	struct guid parent;
	int r;

	add_level(&chain, vmdir_resolve(dir, vsv_path), bin_path ? vmdir_resolve(dir, bin_path) : NULL);
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
