/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flattening: a VM's own disks take what is below them, down to a snapshot's disk or all
 * of it. What nobody else needs of that is removed. */
#include <string.h>

#include "common/alloc.h"
#include "daemon/daemon.h"
#include "daemon/hv-block.h"
#include "daemon/merges.h"
#include "daemon/op-merge.h"
#include "daemon/promise.h"
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

/* What is to be done to one disk. */
struct flattening {
	struct plan_action action; /* points into what follows; kind PLAN_KEEP: nothing */
	char *path, *to;           /* the disk, and what stays below it (NULL: nothing) */
	struct chain chain;
	char **released;           /* what nobody needs afterwards */
	int64_t freed;             /* bytes of it */
};

static void flattening_done(struct flattening *f)
{
	free(f->path);
	free(f->to);
	chain_done(&f->chain);
	strv_free(f->released);
	*f = (struct flattening){ 0 };
}

/* What is between the disk and `to`: how much it is, and which of it can go afterwards.
 * Returns 0 or negative errno. */
static int look_below(const struct machine *m, struct flattening *f, struct err *reterr)
{
	struct merges_input input = { 0 };
	int r = merges_read(m, &input, reterr);

	for (size_t i = 1; !r && i < f->chain.n; i++) {
		const struct chain_image *below = &f->chain.image[i];
		const struct plan_image *image = find_image(&input, below->path);

		if (f->to && strcmp(below->path, f->to) == 0)
			break;
		f->action.copied += below->allocated;
		if (!image || !is_released(&input, image, f->released, f->path))
			continue;
		strv_push(&f->released, xstrdup(image->path));
		f->freed += below->allocated;
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

static int plan_disk(const struct machine *m, const char *target, const struct guid *snap, struct flattening *f,
		     struct err *reterr)
{
	struct config_disk *disk = config_find_disk(m->cfg, target);
	int r = find_goal(m, target, snap, &f->to, reterr);

	f->action = (struct plan_action){ .kind = PLAN_KEEP, .live = machine_is_active(m) };
	f->path = machine_disk_path(m, disk);
	if (!r)
		r = chain_read(f->path, disk->format, &f->chain, reterr);
	if (!r && f->to && !below(&f->chain, f->to))
		r = err_full(reterr, ERR_INVALID, -EINVAL, m->cfg->name, f->to, NULL,
			     "disk '%s' of VM '%s' does not derive from that snapshot", target, m->cfg->name);
	if (r < 0 || f->chain.n < 2 || (f->to && strcmp(f->chain.image[1].path, f->to) == 0))
		return r;
	f->action.kind = PLAN_FLATTEN;
	f->action.dependant = f->path;
	f->action.image = f->chain.image[1].path;
	f->action.backing = f->to;
	return look_below(m, f, reterr);
}

/* Adds flattening a disk: what it releases goes before the next disk's turn. */
static int add_disk(struct space *space, const struct machine *m, const char *target, const struct guid *snap,
		    struct err *reterr)
{
	_cleanup_(flattening_done) struct flattening f = { 0 };
	int r = plan_disk(m, target, snap, &f, reterr);

	if (r < 0 || f.action.kind == PLAN_KEEP)
		return r;
	r = space_at(space, f.path, f.action.copied + SPACE_MERGE_MARGIN, reterr);
	if (!r)
		r = space_at(space, f.path, -SPACE_MERGE_MARGIN, reterr);
	return r < 0 ? r : space_at(space, f.action.image, -f.freed, reterr);
}

/* All disks of targets (one at least), before anything is done to the first: what is refused changes nothing. */
static int promise_space(const struct machine *m, char *const *targets, const struct guid *snap, int force,
			 const struct job *job, struct promise **ret_promise, struct err *reterr)
{
	_cleanup_free_ char *what = targets[1] ? xasprintf("to flatten the disks of VM '%s'", m->cfg->name) :
						 xasprintf("to flatten disk '%s' of VM '%s'", targets[0], m->cfg->name);
	_cleanup_(space_done) struct space space = { 0 };
	int r = 0;

	for (size_t i = 0; !r && targets[i]; i++)
		if (config_find_disk(m->cfg, targets[i]))
			r = add_disk(&space, m, targets[i], snap, reterr);
	return r < 0 ? r : promise_make(&space, m, job, force, what, "Make room, or try it all the same with --force",
					ret_promise, reterr);
}

static int flatten_disk(struct machine *m, const char *target, const struct guid *snap, struct promise *promise,
			struct job *job, struct err *reterr)
{
	_cleanup_(flattening_done) struct flattening f = { 0 };
	_cleanup_machine_ struct machine *owned = m;
	int r = plan_disk(m, target, snap, &f, reterr);

	if (r < 0 || f.action.kind == PLAN_KEEP)
		return r;
	promise_watch(promise, f.path);
	return merge_flatten(m->daemon, TAKE_PTR(owned), target, &f.action, f.released, job, reterr);
}

/* The VM, if its disks can be flattened as it is now. */
static int open_machine(struct daemon *daemon, const struct vmdir *dir, struct machine **ret_m, struct err *reterr)
{
	_cleanup_machine_ struct machine *m = NULL;
	int r = machine_open(daemon, dir, 0, &m, reterr);

	if (!r)
		r = machine_refuse_foreign(m, reterr);
	if (!r)
		r = machine_take_domain(m, reterr);
	if (!r)
		r = machine_check_disks(m, m->cfg, reterr);
	if (!r)
		r = refuse_live(m, reterr);
	if (!r)
		*ret_m = TAKE_PTR(m);
	return r;
}

int merges_flatten(struct daemon *daemon, const struct vmdir *dir, const struct guid *snap, int force,
		   struct job *job, struct err *reterr)
{
	_cleanup_strv_ char **targets = NULL;
	size_t i = 0;
	int r;

	do {
		_cleanup_promise_ struct promise *promise = NULL;
		_cleanup_machine_ struct machine *m = NULL;

		r = open_machine(daemon, dir, &m, reterr);
		for (size_t k = 0; !r && i == 0 && k < m->cfg->n_disks; k++)
			strv_push(&targets, xstrdup(m->cfg->disks[k].target));
		if (r < 0 || !targets)
			return r;
		/* that all of them fit was found before the first one */
		r = promise_space(m, targets + i, snap, force || i > 0, job, &promise, reterr);
		if (!r && config_find_disk(m->cfg, targets[i]))
			r = flatten_disk(TAKE_PTR(m), targets[i], snap, promise, job, reterr);
	} while (!r && targets[++i]);
	return r;
}
