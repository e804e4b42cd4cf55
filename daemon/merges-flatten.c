/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flattening: a VM's own disks take what is below them, down to a snapshot's disk or all
 * of it. What nobody else needs of that is removed. */
#include <string.h>

#include "common/alloc.h"
#include "daemon/daemon.h"
#include "daemon/hv-block.h"
#include "daemon/merges.h"
#include "daemon/op-merge.h"
#include "daemon/space.h"
#include "layout/chain.h"

/* 1 if nothing but images of the list and the one at `over` needs the image. */
static int is_released(const struct merges_input *input, const struct plan_image *image, char *const *list,
		       const char *over)
{
	if (image->flags & (PLAN_OUTSIDE | PLAN_SHARED))
		return 0;
	for (size_t i = 0; i < input->in.n_owners; i++)
		if (strcmp(input->owners[i].path, image->path) == 0)
			return 0;
	for (size_t i = 0; i < input->in.n_images; i++) {
		const struct plan_image *other = &input->images[i];

		if (other->backing && strcmp(other->backing, image->path) == 0 && strcmp(other->path, over) != 0 &&
		    !strv_has(list, other->path))
			return 0;
	}
	return 1;
}

static const struct plan_image *find_image(const struct merges_input *input, const char *path)
{
	for (size_t i = 0; i < input->in.n_images; i++)
		if (strcmp(input->images[i].path, path) == 0)
			return &input->images[i];
	return NULL;
}

/* What is between the disk and `to` (NULL: the end): how much it is, and which of it can
 * go afterwards (*owned* list). Returns 0 or negative errno. */
static int look_below(const struct machine *m, const struct chain *chain, const char *to, struct plan_action *a,
		      char ***ret_released, struct err *reterr)
{
	struct merges_input input = { 0 };
	int r = merges_read(m, &input, reterr);

	for (size_t i = 1; !r && i < chain->n; i++) {
		const struct plan_image *image = find_image(&input, chain->image[i].path);

		if (to && strcmp(chain->image[i].path, to) == 0)
			break;
		a->copied += chain->image[i].allocated;
		if (image && is_released(&input, image, *ret_released, chain->image[0].path))
			strv_push(ret_released, xstrdup(image->path));
	}
	merges_input_done(&input);
	return r;
}

static int refuse_live(const struct machine *m, struct err *reterr)
{
	const struct hv_block_ops *live = hv_block(m->daemon->hv);
	int r = !machine_is_active(m) ? 1 : live ? live->can_pull(m->daemon->hv, &m->dir->guid, reterr) : 0;

	if (r != 0)
		return r < 0 ? r : 0;
	return err_full(reterr, ERR_REFUSED, -EOPNOTSUPP, m->cfg->name, NULL, "Shut the VM down first",
			"the disks of VM '%s' cannot be flattened while it runs: that takes QEMU 8.2 or newer",
			m->cfg->name);
}

static int check_room(const struct machine *m, const char *target, const char *path, int64_t needed,
		      struct err *reterr)
{
	_cleanup_free_ char *what = xasprintf("to flatten disk '%s' of VM '%s'", target, m->cfg->name);
	_cleanup_(space_done) struct space space = { 0 };
	int r = space_at(&space, path, needed + SPACE_MERGE_MARGIN, reterr);

	return r < 0 ? r : space_refuse(&space, m, what, "Make room, or try it all the same with --force", reterr);
}

/* The image of the snapshot's disk of that target, *owned*; NULL: there is no snapshot. */
static int find_goal(const struct machine *m, const char *target, const struct guid *snap, char **ret_path,
		     struct err *reterr)
{
	_cleanup_config_ struct config *cfg = NULL;
	struct config_disk *disk;
	int r = guid_is_none(snap) ? 0 : machine_snapshot(m, snap, &cfg, reterr);

	if (r < 0 || !cfg)
		return r;
	disk = config_find_disk(cfg, target);
	if (disk)
		*ret_path = machine_disk_path(m, disk);
	return disk ? 0 : err_full(reterr, ERR_INVALID, -ENOENT, m->cfg->name, NULL, NULL,
				   "snapshot '%s' has no disk '%s'", cfg->name, target);
}

static int below(const struct chain *chain, const char *path)
{
	for (size_t i = 1; i < chain->n; i++)
		if (strcmp(chain->image[i].path, path) == 0)
			return 1;
	return 0;
}

static int flatten_disk(struct machine *m, const char *target, const struct guid *snap, int force,
			struct job *job, struct err *reterr)
{
	struct plan_action a = { .kind = PLAN_FLATTEN, .live = machine_is_active(m) };
	struct config_disk *disk = config_find_disk(m->cfg, target);
	_cleanup_free_ char *path = machine_disk_path(m, disk), *to = NULL;
	_cleanup_(chain_done) struct chain chain = { NULL, 0 };
	_cleanup_machine_ struct machine *owned = m;
	_cleanup_strv_ char **released = NULL;
	int r = find_goal(m, target, snap, &to, reterr);

	if (!r)
		r = chain_read(path, disk->format, &chain, reterr);
	if (!r && to && !below(&chain, to))
		r = err_full(reterr, ERR_INVALID, -EINVAL, m->cfg->name, to, NULL,
			     "disk '%s' of VM '%s' does not derive from that snapshot", target, m->cfg->name);
	if (r < 0 || chain.n < 2 || (to && strcmp(chain.image[1].path, to) == 0))
		return r;
	r = look_below(m, &chain, to, &a, &released, reterr);
	if (!r && !force)
		r = check_room(m, target, path, a.copied, reterr);
	if (r < 0)
		return r;
	a.dependant = path;
	a.image = chain.image[1].path;
	a.backing = to;
	return merge_flatten(m->daemon, TAKE_PTR(owned), target, &a, released, job, reterr);
}

int merges_flatten(struct daemon *daemon, const struct vmdir *dir, const struct guid *snap, int force,
		   struct job *job, struct err *reterr)
{
	_cleanup_strv_ char **targets = NULL;
	size_t i = 0;
	int r = 0;

	do {
		_cleanup_machine_ struct machine *m = NULL;

		r = machine_open(daemon, dir, 0, &m, reterr);
		if (!r)
			r = machine_refuse_foreign(m, reterr);
		if (!r)
			r = machine_take_domain(m, reterr);
		if (!r)
			r = machine_check_disks(m, m->cfg, reterr);
		if (!r)
			r = refuse_live(m, reterr);
		for (size_t k = 0; !r && i == 0 && k < m->cfg->n_disks; k++)
			strv_push(&targets, xstrdup(m->cfg->disks[k].target));
		if (!r && targets && targets[i] && config_find_disk(m->cfg, targets[i]))
			r = flatten_disk(TAKE_PTR(m), targets[i], snap, force, job, reterr);
	} while (!r && targets && targets[i] && targets[++i]);
	return r;
}
