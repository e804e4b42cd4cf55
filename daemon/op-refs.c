/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which images an operation orphans. */
#include "daemon/op-refs.h"

#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/op-others.h"
#include "layout/chain.h"

/* Who holds what. Where a chain or a document cannot be read the picture is not
 * whole: then only disks that no document names are orphans for sure. */
struct holders {
	struct refs *refs;
	struct config **snaps;
	size_t n;
	int incomplete;
};

static void add_disks(struct holders *h, const struct machine *m, const struct config *cfg, const char *owner)
{
	for (size_t i = 0; i < cfg->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(m, &cfg->disks[i]);
		struct chain chain = { NULL, 0 };

		refs_add_owner(h->refs, path, owner);
		if (chain_read(path, cfg->disks[i].format, &chain, NULL) < 0) {
			h->incomplete = 1;
			continue;
		}
		for (size_t k = 0; k < chain.n; k++)
			refs_add_image(h->refs, chain.image[k].path,
				       k + 1 < chain.n ? chain.image[k + 1].path : NULL);
		chain_done(&chain);
	}
}

static void holders_done(struct holders *h)
{
	refs_free(h->refs);
	machine_snapshots_free(h->snaps, h->n);
}

/* Everything that holds an image now: the VM, every snapshot. */
static int find_holders(const struct machine *m, struct holders *ret_h, struct err *reterr)
{
	struct holders h = { .refs = refs_new() };
	size_t unreadable = 0;
	int r = machine_snapshots(m, &h.snaps, &h.n, &unreadable, reterr);

	if (r < 0) {
		holders_done(&h);
		return r;
	}
	h.incomplete = unreadable > 0;
	add_disks(&h, m, m->cfg, "vm");
	for (size_t i = 0; i < h.n; i++)
		add_disks(&h, m, h.snaps[i], h.snaps[i]->guid.s);
	*ret_h = h;
	return 0;
}

static int named_by_snapshot(const struct holders *h, const struct config_disk *disk, const struct config *but)
{
	for (size_t i = 0; i < h->n; i++)
		for (size_t k = 0; k < h->snaps[i]->n_disks; k++)
			if (!guid_eq(&h->snaps[i]->guid, &but->guid) &&
			    strcmp(h->snaps[i]->disks[k].pathname, disk->pathname) == 0)
				return 1;
	return 0;
}

void op_refs_plan_file(struct intent *in, const struct machine *m, const char *path)
{
	const char *count = intent_get(in, "removes");
	long n = count ? strtol(count, NULL, 10) : 0;
	_cleanup_free_ char *key = xasprintf("remove.%ld", n), *pathname = vmdir_store_path(m->dir, path);

	intent_set(in, key, "%s", pathname);
	intent_set(in, "removes", "%ld", n + 1);
}

/* Only what vmsnap made goes: differencing images. A base disk stays where it is
 * (the admin's own, attached after the snapshot that is applied: its only copy), as
 * does what lies outside (law 7). */
static int is_ours(const struct machine *m, const char *path)
{
	_cleanup_free_ char *images = vmdir_avhd_dir(m->dir), *dir = path_dirname(path);

	return vmdir_contains(m->dir, path) && strcmp(dir, images) == 0;
}

/* The images that become orphans, *owned* list. leaving: the configuration whose disks
 * may be among them. */
static char **list_orphans(const struct machine *m, const struct holders *h, const struct config *leaving)
{
	char **orphans = h->incomplete ? NULL : refs_orphans(h->refs);

	for (size_t i = 0; h->incomplete && i < leaving->n_disks; i++)
		if (!named_by_snapshot(h, &leaving->disks[i], leaving))
			strv_push(&orphans, machine_disk_path(m, &leaving->disks[i]));
	return orphans;
}

/* Plans to remove them, but for those that another VM's disks need. */
static int plan_orphans(struct intent *in, const struct machine *m, const struct holders *h,
			const struct config *leaving, struct err *reterr)
{
	_cleanup_strv_ char **orphans = list_orphans(m, h, leaving), **ours = NULL, **shared = NULL;
	int r;

	for (size_t i = 0; orphans && orphans[i]; i++)
		if (is_ours(m, orphans[i]))
			strv_push(&ours, xstrdup(orphans[i]));
	r = op_others_shared(m, ours, &shared, reterr);
	for (size_t i = 0; !r && ours && ours[i]; i++)
		if (!strv_has(shared, ours[i]))
			op_refs_plan_file(in, m, ours[i]);
	return r;
}

int op_refs_plan_switch(struct intent *in, const struct machine *m, const struct config *next, struct err *reterr)
{
	struct holders h;
	int r = find_holders(m, &h, reterr);

	if (r < 0)
		return r;
	refs_drop_owner(h.refs, "vm");
	add_disks(&h, m, next, "vm");
	r = plan_orphans(in, m, &h, m->cfg, reterr);
	holders_done(&h);
	return r;
}

int op_refs_plan_delete(struct intent *in, const struct machine *m, const struct config *snap, int *ret_unknown,
			struct err *reterr)
{
	struct holders h;
	int needed = 0, r = find_holders(m, &h, reterr);

	if (r < 0)
		return r;
	refs_drop_owner(h.refs, snap->guid.s);
	for (size_t i = 0; i < snap->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(m, &snap->disks[i]);

		needed |= refs_dependants(h.refs, path) > 0;
	}
	*ret_unknown = needed && h.incomplete;
	if (!*ret_unknown)
		r = plan_orphans(in, m, &h, snap, reterr);
	holders_done(&h);
	return r;
}

int op_refs_remove_planned(struct op *op, struct err *reterr)
{
	int64_t n = op_int(op, "removes", 0);
	int r = 0;

	for (int64_t i = 0; !r && i < n; i++) {
		_cleanup_free_ char *key = xasprintf("remove.%lld", (long long)i), *path = op_path(op, key);

		if (path && vmdir_contains(op->m->dir, path))
			r = file_remove(path, reterr);
	}
	return r;
}
