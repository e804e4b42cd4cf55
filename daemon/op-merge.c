/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Merging a hidden image with its only dependant. What anybody reads is the same at
 * every instant. Until all is copied it is taken back, from there on it goes forward:
 * the copy being whole is the commit point, and can be seen in the images. */
#include "daemon/op-merge.h"

#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/daemon.h"
#include "daemon/op-refs.h"
#include "layout/chain.h"
#include "layout/image-merge.h"

int merge_is_commit(const struct op *op)
{
	return strcmp(intent_get(op->intent, "way"), "commit") == 0;
}

int merge_is_live(const struct op *op)
{
	return op_flag(op, "live");
}

int merge_is_active(const struct op *op)
{
	return merge_is_live(op) && op_flag(op, "working");
}

int merge_is_over(const char *path, const char *what, struct err *reterr)
{
	_cleanup_free_ char *backing = NULL, *format = NULL;
	int r = disk_backing(path, &backing, &format, reterr);

	return r < 0 ? r : backing && strcmp(backing, what) == 0;
}

/* 1 if the domain is on the image that its working disk was merged into. */
static int domain_moved(const struct op *op, struct err *reterr)
{
	_cleanup_config_ struct config *cfg = config_copy(op->m->cfg);

	merge_repoint(op, cfg);
	return machine_domain_uses(op->m, cfg, reterr);
}

static int unseal_run(struct op *op, struct err *reterr)
{
	return merge_unseal(op, reterr);
}

static int unseal_undo(struct op *op, struct err *reterr)
{
	return merge_seal(op, 0, reterr);
}

/* The record says that all is copied before anybody is re-pointed or an image removed. */
static int copy_run(struct op *op, struct err *reterr)
{
	int r = merge_copy(op, reterr);

	if (r < 0 || (merge_is_active(op) && merge_is_commit(op)))
		return r;
	if (!merge_is_live(op))
		return merge_note_copied(op, reterr);
	r = op_fault(op->kind, "flush", "before", reterr);
	return r < 0 ? r : merge_flush(op, reterr);
}

static int pivot_run(struct op *op, struct err *reterr)
{
	int moved;

	if (!merge_is_active(op) || !merge_is_commit(op))
		return 0;
	moved = domain_moved(op, reterr);
	return moved != 0 ? (moved < 0 ? moved : 0) : merge_pivot(op, reterr);
}

static int pivot_undo(struct op *op, struct err *reterr)
{
	return merge_go_on(op, reterr);
}

/* The guest goes on even if the document cannot be written: the definition and the
 * domain tell recovery where it is. */
static int commit_run(struct op *op, struct err *reterr)
{
	int r = 0;

	if (merge_is_commit(op) && merge_repoint(op, op->m->cfg) > 0)
		r = machine_commit(op->m, reterr);
	return r < 0 ? (ignore_result(merge_go_on(op, NULL)), r) : merge_go_on(op, reterr);
}

/* Who was over the dependant is over the image, which shows the same by now. */
static int children_run(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *image = op_path(op, "image"), *dependant = op_path(op, "dependant");
	int r = 0;

	for (int i = 0; r >= 0 && i < op_int(op, "children", 0); i++) {
		_cleanup_free_ char *key = xasprintf("child.%d", i), *child = op_path(op, key);
		_cleanup_free_ char *name = vmdir_backing_name(op->m->dir, child, image);

		r = merge_is_over(child, dependant, reterr);
		if (r > 0)
			r = disk_repoint(child, name, intent_get(op->intent, "image-format"), reterr);
	}
	return r;
}

static int seal_run(struct op *op, struct err *reterr)
{
	return merge_seal(op, 1, reterr);
}

/* The definition, with whatever was edited in it, on the disks of the configuration. A
 * switch of disks in a running guest leaves the images below in it (backingStore), and the
 * domain would not start without them. */
static int define_run(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *xml = NULL, *moved = NULL;
	int fits, r = machine_refresh(op->m, reterr);

	if (r < 0 || op->m->state == HV_ABSENT)
		return r; /* it is defined again when it is needed */
	r = hv_xml(op->daemon->hv, &op->m->dir->guid, HV_XML_INACTIVE, &xml, reterr);
	if (r < 0)
		return r;
	fits = machine_is_defined_on(op->m, op->m->cfg, reterr);
	if (fits < 0 || (fits && !strstr(xml, "<backingStore")))
		return fits < 0 ? fits : 0;
	r = machine_point_xml(op->m, op->m->cfg, xml, &moved, reterr);
	return r < 0 ? r : hv_define(op->daemon->hv, moved, reterr);
}

/* 1 if some image of the VM still has path below it. One that cannot be read may. */
static int is_needed(const struct op *op, const char *path, struct err *reterr)
{
	_cleanup_strv_ char **images = NULL;
	int r = vmdir_list_images(op->m->dir, &images, reterr), needed = 0;

	for (size_t i = 0; r >= 0 && images && images[i]; i++) {
		r = merge_is_over(images[i], path, reterr);
		needed |= r > 0;
	}
	return r < 0 ? r : needed;
}

static int remove_run(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *path = op_path(op, merge_is_commit(op) ? "dependant" : "image");
	int r;

	if (strcmp(intent_get(op->intent, "way"), "flatten") == 0)
		return op_refs_remove_planned(op, reterr);
	r = vmdir_contains(op->m->dir, path) ? is_needed(op, path, reterr) : 1;
	return r != 0 ? (r < 0 ? r : 0) : file_remove(path, reterr);
}

enum { UNSEAL, COPY, PIVOT, COMMIT, CHILDREN, SEAL, DEFINE, REMOVE };

static const struct op_step steps[] = {
	[UNSEAL] = { "unseal", "preparing", unseal_run, unseal_undo,
		     "sealed disks may be writable; they are sealed again, their content was not touched", 1 },
	[COPY] = { "copy", "merging", copy_run, NULL,
		   "a part is copied to where it is hidden by what it was copied from, or all and QEMU may have a part "
		   "of it in memory only: while it runs that is written and the merge finished, else headers are put "
		   "back, new seals recorded and the merge is begun again; or that all is copied is noted, and it is "
		   "finished", 1 },
	[PIVOT] = { "pivot", "changing over", pivot_run, pivot_undo,
		    "the guest may be paused, on either of two images that are the same; it goes on where it is", 0 },
	[COMMIT] = { "commit", "committing", commit_run, NULL,
		     "the VM's document may name the image that was merged, or the guest be paused; both are mended", 0 },
	[CHILDREN] = { "children", "committing", children_run, NULL,
		       "some images are over the one and some over the other, which show the same; all are moved", 0 },
	[SEAL] = { "seal", "sealing", seal_run, NULL,
		   "documents may have old seals or name the image that was merged; they are written again", 0 },
	[DEFINE] = { "define", "updating the domain", define_run, NULL,
		     "the definition may name images that were merged; the domain is defined again", 0 },
	[REMOVE] = { "remove", "removing the image that was merged", remove_run, NULL,
		     "the image that was merged may still be there; it is removed", 0 },
};

/* 1 if the headers say that the merge is done. */
static int is_out_of_chain(const struct op *op, struct err *reterr)
{
	_cleanup_free_ char *image = op_path(op, "image"), *dependant = op_path(op, "dependant");
	_cleanup_free_ char *live_child = op_path(op, "live-child");
	int r;

	if (merge_is_commit(op))
		return live_child ? merge_is_over(live_child, image, reterr) : 0;
	r = merge_is_over(dependant, image, reterr);
	return r < 0 ? r : !r;
}

/* 1 if everything was copied and will stay so. If that was not noted, and whoever copied is
 * gone, the headers alone prove nothing: they are put back. */
static int is_copied(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *image = op_path(op, "image");
	int r;

	if (op_flag(op, "copied"))
		return 1;
	if (merge_is_active(op) && merge_is_commit(op))
		return merge_is_working(op, image) ? 1 : domain_moved(op, reterr);
	r = is_out_of_chain(op, reterr);
	if (r <= 0)
		return r;
	r = machine_refresh(op->m, reterr);
	if (r < 0)
		return r;
	if (!machine_is_active(op->m))
		return merge_point_back(op, reterr);
	r = merge_flush(op, reterr);
	return r < 0 ? r : 1;
}

static int decide(struct op *op, struct op_way *ret_way, struct err *reterr)
{
	int r = merge_is_live(op) ? merge_end_block_job(op, reterr) : 0;

	if (!r)
		r = is_copied(op, reterr);
	if (r < 0)
		return r;
	ret_way->forward = r;
	ret_way->from = COMMIT;
	return 0;
}

const struct op_kind op_merge = {
	.name = "merge",
	.steps = steps,
	.n_steps = ARRAY_SIZE(steps),
	.decide = decide,
};

/* ---- what is to be done */

static void set_path(struct intent *in, const struct machine *m, const char *key, const char *path)
{
	_cleanup_free_ char *pathname = path ? vmdir_store_path(m->dir, path) : NULL;

	if (pathname)
		intent_set(in, key, "%s", pathname);
}

/* The format of what is to back the dependant, from the header that names it now. */
static int find_backing_format(struct intent *in, const struct plan_action *a, const char *format, struct err *reterr)
{
	_cleanup_(chain_done) struct chain chain = { NULL, 0 };
	int r = a->backing ? chain_read(a->image, format, &chain, reterr) : 0;

	for (size_t i = 0; !r && i < chain.n; i++)
		if (strcmp(chain.image[i].path, a->backing) == 0)
			intent_set(in, "backing-format", "%s", chain.image[i].format);
	if (r < 0 || !a->backing || intent_get(in, "backing-format"))
		return r;
	return err_full(reterr, ERR_BAD_DATA, -ESTALE, NULL, a->image, NULL,
			"'%s' is not below image '%s', which was to be merged", a->backing, a->image);
}

/* The files must be what the plan was made from. */
static int check_images(struct intent *in, const struct plan_action *a, struct err *reterr)
{
	_cleanup_free_ char *image = NULL, *format = NULL;
	int r = disk_backing(a->dependant, &image, &format, reterr);

	if (r < 0)
		return r;
	if (!image || strcmp(image, a->image) != 0 || !format)
		return err_full(reterr, ERR_BAD_DATA, -ESTALE, NULL, a->dependant, NULL,
				"image '%s' is not over '%s', which was to be merged with it", a->dependant, a->image);
	intent_set(in, "image-format", "%s", format);
	return a->kind == PLAN_COMMIT ? 0 : find_backing_format(in, a, format, reterr);
}

/* The image in the running guest's chain that is over the dependant. */
static int find_live_child(struct intent *in, const struct machine *m, const char *target, const char *dependant,
			   struct err *reterr)
{
	struct config_disk *disk = config_find_disk(m->cfg, target);
	_cleanup_(chain_done) struct chain chain = { NULL, 0 };
	_cleanup_free_ char *path = disk ? machine_disk_path(m, disk) : NULL;
	int r = disk ? chain_read(path, disk->format, &chain, reterr) : 0;

	for (size_t i = 1; !r && i < chain.n; i++)
		if (strcmp(chain.image[i].path, dependant) == 0)
			set_path(in, m, "live-child", chain.image[i - 1].path);
	if (r < 0 || intent_get(in, "live-child"))
		return r;
	return err_full(reterr, ERR_BAD_DATA, -ESTALE, m->cfg->name, dependant, NULL,
			"'%s' is not below disk '%s' of the running VM '%s'", dependant, target, m->cfg->name);
}

static int plan_intent(const struct machine *m, const char *target, const struct plan_action *a, struct intent *in,
		       struct err *reterr)
{
	const char *working = NULL;
	int r = check_images(in, a, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; i < m->cfg->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(m, &m->cfg->disks[i]);

		if (strcmp(path, a->dependant) == 0)
			working = "1";
	}
	intent_set(in, "way", "%s", a->kind == PLAN_COMMIT ? "commit" : a->kind == PLAN_PULL ? "pull" : "flatten");
	intent_set(in, "target", "%s", target);
	intent_set(in, "live", "%d", a->live);
	intent_set(in, "working", "%s", working ? working : "0");
	intent_set(in, "copied-bytes", "%lld", (long long)a->copied);
	set_path(in, m, "image", a->image);
	set_path(in, m, "dependant", a->dependant);
	set_path(in, m, "backing", a->backing);
	intent_set(in, "children", "%zu", strv_count(a->repoint_images));
	for (size_t i = 0; a->kind == PLAN_COMMIT && i < strv_count(a->repoint_images); i++) {
		_cleanup_free_ char *key = xasprintf("child.%zu", i);

		set_path(in, m, key, a->repoint_images[i]);
	}
	if (a->live && a->kind == PLAN_COMMIT && !working)
		return find_live_child(in, m, target, a->dependant, reterr);
	return 0;
}

int merge_run(struct daemon *daemon, struct machine *m, const char *target, const struct plan_action *action,
	      struct job *job, struct err *reterr)
{
	return merge_flatten(daemon, m, target, action, NULL, job, reterr);
}

int merge_flatten(struct daemon *daemon, struct machine *m, const char *target, const struct plan_action *action,
		  char *const *released, struct job *job, struct err *reterr)
{
	_cleanup_intent_ struct intent *in = intent_new(op_merge.name);
	_cleanup_machine_ struct machine *owned = m;
	int r = plan_intent(m, target, action, in, reterr);

	for (size_t i = 0; released && released[i]; i++)
		op_refs_plan_file(in, m, released[i]);
	if (r < 0) {
		err_set_vm(reterr, m->cfg->name);
		return r;
	}
	return op_run(daemon, &op_merge, TAKE_PTR(owned), TAKE_PTR(in), job, reterr);
}
