/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All images of each disk of a VM as JSON. */
#include <string.h>

#include "common/alloc.h"
#include "daemon/holdings.h"
#include "daemon/rpc-view-plan.h"
#include "varlink/message.h"

/* What is found out before anything is written. */
struct trees {
	struct holdings h;
	struct plan plan;
	unsigned char *reached;
	const char **target; /* of each image, *borrowed*; NULL: nobody knows */
	size_t *below;       /* of each image, or NO_IMAGE */
	unsigned char *now;  /* of each image: 1 if the VM's own disk is over it, or is it */
};

static void trees_done(struct trees *t)
{
	holdings_done(&t->h);
	plan_done(&t->plan);
	free(t->reached);
	free(t->target);
	free(t->below);
	free(t->now);
}

/* Gives all from image i down to that target, as far as they have none. */
static void set_target(struct trees *t, size_t i, const char *target)
{
	for (; i != NO_IMAGE && !t->target[i]; i = t->below[i])
		t->target[i] = target;
}

static void set_targets(struct trees *t, const struct config *cfg)
{
	for (size_t i = 0; i < cfg->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(t->h.m, &cfg->disks[i]);

		set_target(t, holdings_find(&t->h, path), cfg->disks[i].target);
	}
}

/* What nobody reaches belongs where it came from. */
static void set_targets_of_orphans(struct trees *t)
{
	for (size_t i = 0; i < t->h.input.in.n_images; i++) {
		size_t at = i, steps = 0;

		while (at != NO_IMAGE && !t->target[at] && steps++ <= t->h.input.in.n_images)
			at = t->below[at];
		if (at != NO_IMAGE && t->target[at])
			set_target(t, i, t->target[at]);
	}
}

static void mark_now(struct trees *t)
{
	const struct plan_input *in = &t->h.input.in;

	for (size_t i = 0; i < in->n_owners; i++) {
		size_t at = strcmp(in->owners[i].name, PLAN_NAME_VM) == 0 ? holdings_find(&t->h, in->owners[i].path) :
									      NO_IMAGE;

		for (; at != NO_IMAGE && !t->now[at]; at = t->below[at])
			t->now[at] = 1;
	}
}

static int trees_read(const struct machine *m, struct trees *ret, struct err *reterr)
{
	struct trees t = { 0 };
	size_t n;
	int r = holdings_read(m, &t.h, reterr);

	if (!r)
		r = holdings_plan(&t.h, NULL, 0, &t.plan, reterr);
	if (r < 0) {
		trees_done(&t);
		return r;
	}
	n = t.h.input.in.n_images;
	t.reached = holdings_reached(&t.h);
	t.target = xcalloc(n + 1, sizeof(*t.target));
	t.below = xcalloc(n + 1, sizeof(*t.below));
	t.now = xcalloc(n + 1, 1);
	for (size_t i = 0; i < n; i++)
		t.below[i] = holdings_below(&t.h, i);
	set_targets(&t, m->cfg);
	for (size_t i = 0; i < t.h.n_snaps; i++)
		set_targets(&t, t.h.snaps[i]);
	set_targets_of_orphans(&t);
	mark_now(&t);
	*ret = t;
	return 0;
}

/* What the planner has to say about an image that no configuration names. */
static const char *reason_of(const struct trees *t, const char *path)
{
	for (size_t i = 0; i < t->plan.n; i++) {
		const struct plan_action *a = &t->plan.action[i];

		if (strcmp(a->image, path) != 0)
			continue;
		if (a->kind == PLAN_KEEP)
			return plan_why_text(a->why);
		return a->kind == PLAN_COMMIT ? "what is over it will be merged into it" : "it will be merged into "
											     "what is over it";
	}
	return NULL;
}

static void add_owners(const struct trees *t, const char *path, json_t *obj)
{
	const struct plan_input *in = &t->h.input.in;
	json_t *guids = json_array(), *names = json_array();
	int now = 0;

	for (size_t i = 0; i < in->n_owners; i++) {
		const struct config *snap = holdings_snapshot(&t->h, in->owners[i].name);

		if (strcmp(in->owners[i].path, path) != 0)
			continue;
		now |= strcmp(in->owners[i].name, PLAN_NAME_VM) == 0;
		if (!snap)
			continue;
		json_array_append_new(guids, json_string(snap->guid.s));
		json_array_append_new(names, vl_string(snap->name));
	}
	json_object_set_new(obj, "now", json_boolean(now));
	json_object_set_new(obj, "snapshots", guids);
	json_object_set_new(obj, "snapshotNames", names);
}

static json_t *image_object(const struct trees *t, size_t i)
{
	const struct plan_image *image = &t->h.input.images[i];
	int hidden = t->reached[i] && !holdings_owners(&t->h, i);
	const char *reason = hidden ? reason_of(t, image->path) : NULL;
	json_t *obj = json_pack("{s:o, s:s, s:I, s:b, s:b, s:b, s:b}", "path", vl_string(image->path), "format",
				t->h.input.formats[i], "allocatedBytes", (json_int_t)image->allocated, "hidden", hidden,
				"orphan", !t->reached[i], "outside", (image->flags & PLAN_OUTSIDE) != 0, "shared",
				(image->flags & PLAN_SHARED) != 0);

	if (image->backing)
		json_object_set_new(obj, "backing", vl_string(image->backing));
	if (image->virtual_size >= 0)
		json_object_set_new(obj, "virtualBytes", json_integer(image->virtual_size));
	if (reason)
		json_object_set_new(obj, "reason", json_string(reason));
	add_owners(t, image->path, obj);
	return obj;
}

/* Appends image i and all over it; the way to now comes last. No deeper than a chain can be. */
static void add_branch(const struct trees *t, size_t i, json_t *list)
{
	json_array_append_new(list, image_object(t, i));
	for (int now = 0; now <= 1; now++)
		for (size_t k = 0; k < t->h.input.in.n_images; k++)
			if (t->below[k] == i && t->now[k] == now)
				add_branch(t, k, list);
}

static int same_target(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The images of a target (NULL: of none that is known), *owned* array. */
static json_t *list_images(const struct trees *t, const char *target)
{
	json_t *list = json_array();

	for (int now = 0; now <= 1; now++)
		for (size_t i = 0; i < t->h.input.in.n_images; i++)
			if (t->below[i] == NO_IMAGE && t->now[i] == now && same_target(t->target[i], target))
				add_branch(t, i, list);
	return list;
}

static size_t length_of(const struct trees *t, const char *target)
{
	struct config_disk *disk = target ? config_find_disk(t->h.m->cfg, target) : NULL;
	_cleanup_free_ char *path = disk ? machine_disk_path(t->h.m, disk) : NULL;

	return path ? plan_chain_length(&t->h.input.in, path) : 0;
}

static void add_tree(const struct trees *t, const char *target, json_t *out)
{
	json_t *obj = json_pack("{s:I, s:o}", "length", (json_int_t)length_of(t, target), "images",
				list_images(t, target));

	if (target)
		json_object_set_new(obj, "target", json_string(target));
	json_array_append_new(out, obj);
}

int view_disk_trees(const struct machine *m, json_t **ret_json, struct err *reterr)
{
	_cleanup_(trees_done) struct trees t = { 0 };
	_cleanup_strv_ char **done = NULL;
	int unknown = 0, r = trees_read(m, &t, reterr);

	if (r < 0)
		return r;
	*ret_json = json_array();
	for (size_t i = 0; i < m->cfg->n_disks; i++) {
		add_tree(&t, m->cfg->disks[i].target, *ret_json);
		strv_push(&done, xstrdup(m->cfg->disks[i].target));
	}
	for (size_t i = 0; i < t.h.input.in.n_images; i++) {
		unknown |= !t.target[i];
		if (!t.target[i] || strv_has(done, t.target[i]))
			continue;
		add_tree(&t, t.target[i], *ret_json);
		strv_push(&done, xstrdup(t.target[i]));
	}
	if (unknown)
		add_tree(&t, NULL, *ret_json);
	return 0;
}
