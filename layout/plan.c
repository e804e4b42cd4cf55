/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plan: actions done on the model, one after the other, and written down. */
#include "layout/plan.h"

#include <string.h>

#include "common/alloc.h"
#include "layout/plan-priv.h"

#define SLACK (1 << 20) /* bytes of tables that even a small copy may bring with it */

static struct plan_action *add(struct plan *plan, enum plan_kind kind, enum plan_why why, const char *image)
{
	struct plan_action *action;

	plan->action = xreallocarray(plan->action, plan->n + 1, sizeof(*plan->action));
	action = &plan->action[plan->n++];
	*action = (struct plan_action){ .kind = kind, .why = why, .image = xstrdup(image) };
	return action;
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Bytes a file of that virtual size holds at most, tables included. */
static int64_t most_of(const struct plan_node *node)
{
	return node->virtual_size < 0 ? INT64_MAX : node->virtual_size + node->virtual_size / 64 + SLACK;
}

/* By how much `to` may grow when it takes bytes that were allocated in pieces of grain: a
 * piece smaller than its own brings a whole one of its own. */
static int64_t growth(const struct plan_node *to, int64_t bytes, int64_t grain)
{
	int64_t room = most_of(to) - to->allocated, times = to->grain > grain ? to->grain / grain : 1;

	if (!bytes || room <= 0)
		return 0;
	if (bytes > room / times)
		return room;
	return smaller(bytes * times + bytes / 64 + SLACK, room);
}

int64_t merge_copies(const struct plan_node *above, const struct plan_node *below, enum plan_kind kind)
{
	return kind == PLAN_PULL ? below->allocated : above->allocated;
}

int64_t merge_needs(const struct plan_node *above, const struct plan_node *below, enum plan_kind kind)
{
	struct plan_node to = kind == PLAN_PULL ? *above : *below;

	if (kind == PLAN_COMMIT)
		to.virtual_size = above->virtual_size;
	return growth(&to, merge_copies(above, below, kind), kind == PLAN_PULL ? below->grain : above->grain);
}

void merge_nodes(struct plan_node *above, struct plan_node *below, enum plan_kind kind)
{
	struct plan_node *to = kind == PLAN_PULL ? above : below;
	int64_t copied = merge_copies(above, below, kind);

	if (kind == PLAN_COMMIT) {
		below->virtual_size = above->virtual_size;
		below->stuck = above->stuck;
		below->flags |= above->flags & PLAN_WORKING;
	}
	if (copied > most_of(to) - to->allocated)
		copied = most_of(to) > to->allocated ? most_of(to) - to->allocated : 0;
	to->allocated += copied;
}

/* Writes down who names what is committed, and lets them name the image below. */
static void repoint(struct model *model, const struct pair *pair, struct plan_action *action)
{
	for (size_t i = 0; i < model->n; i++) {
		struct plan_node *node = &model->node[i];

		if (node->gone || node->backing != pair->above)
			continue;
		node->backing = pair->below;
		if (action)
			strv_push(&action->repoint_images, xstrdup(node->path));
	}
	for (size_t i = 0; i < model->n_holders; i++) {
		struct plan_holder *holder = &model->holder[i];

		if (holder->gone || holder->node != pair->above)
			continue;
		holder->node = pair->below;
		if (action)
			strv_push(&action->repoint_owners, xstrdup(holder->owner->name));
	}
}

static struct plan_action *write_merge(const struct model *model, const struct pair *pair, struct plan *plan)
{
	const struct plan_node *above = &model->node[pair->above], *below = &model->node[pair->below];
	struct plan_action *action = add(plan, pair->kind, pair->why, below->path);
	int pull = pair->kind == PLAN_PULL;

	action->dependant = xstrdup(above->path);
	if (pull && below->backing != NO_NODE)
		action->backing = xstrdup(model->node[below->backing].path);
	action->live = ((above->flags | below->flags) & PLAN_RUNNING) != 0;
	action->grow = !pull && above->virtual_size > below->virtual_size;
	action->virtual_size = pull ? -1 : above->virtual_size;
	action->copied = merge_copies(above, below, pair->kind);
	action->needed = merge_needs(above, below, pair->kind);
	action->freed = pull ? below->allocated : above->allocated;
	action->saved_max = smaller(above->allocated, below->allocated);
	return action;
}

int64_t model_merge(struct model *model, const struct pair *pair, struct plan *plan)
{
	struct plan_node *above = &model->node[pair->above], *below = &model->node[pair->below];
	struct plan_action *action = plan ? write_merge(model, pair, plan) : NULL;
	int64_t copied = merge_copies(above, below, pair->kind);

	merge_nodes(above, below, pair->kind);
	if (pair->kind == PLAN_PULL) {
		above->backing = below->backing;
		below->gone = 1;
	} else {
		repoint(model, pair, action);
		above->gone = 1;
	}
	model_count(model);
	return copied;
}

void model_remove(struct model *model, size_t i, struct plan *plan)
{
	struct plan_node *node = &model->node[i];

	if (plan) {
		struct plan_action *action = add(plan, PLAN_REMOVE, PLAN_WHY_UNREACHED, node->path);

		action->freed = action->saved_min = action->saved_max = node->allocated;
	}
	node->gone = 1;
	model_count(model);
}

int64_t model_flatten(struct model *model, size_t top, size_t to, struct plan *plan)
{
	struct plan_node *node = &model->node[top];
	int64_t bytes = 0, needed = 0;

	for (size_t i = node->backing; i != to && i != NO_NODE; i = model->node[i].backing) {
		needed += growth(node, model->node[i].allocated, model->node[i].grain);
		needed = smaller(needed, most_of(node) > node->allocated ? most_of(node) - node->allocated : 0);
		bytes += model->node[i].allocated;
	}
	bytes = smaller(bytes, most_of(node));
	if (plan) {
		struct plan_action *action = add(plan, PLAN_FLATTEN, PLAN_WHY_ASKED, model->node[node->backing].path);

		action->dependant = xstrdup(node->path);
		action->backing = to == NO_NODE ? NULL : xstrdup(model->node[to].path);
		action->live = (node->flags & PLAN_RUNNING) != 0;
		action->copied = bytes;
		action->needed = needed;
	}
	node->backing = to;
	node->allocated += smaller(bytes, needed);
	model_count(model);
	return bytes;
}

int64_t model_settle(struct model *model, struct plan *plan)
{
	int64_t copied = 0;
	struct pair pair;

	for (size_t i; (i = model_next_removal(model)) != NO_NODE;)
		model_remove(model, i, plan);
	while (model_next_merge(model, &pair))
		copied += model_merge(model, &pair, plan);
	return copied;
}

/* Why hidden node i, with one image on it, is not merged. */
static enum plan_why why_not(const struct model *model, size_t i, size_t above)
{
	const struct plan_node *a = &model->node[above], *b = &model->node[i];

	if ((a->flags | b->flags) & PLAN_SHARED)
		return PLAN_WHY_SHARED;
	if ((a->flags & PLAN_OUTSIDE) || ((b->flags & PLAN_OUTSIDE) && !(b->flags & PLAN_INTO)))
		return PLAN_WHY_OUTSIDE;
	if (merge_possible(model->options, a, b, PLAN_PULL, 1) || merge_possible(model->options, a, b, PLAN_COMMIT, 1))
		return PLAN_WHY_LATER;
	return PLAN_WHY_FIXED;
}

/* Why node i stays, which is hidden or was left by all. */
static enum plan_why why_kept(const struct model *model, size_t i)
{
	const struct plan_node *node = &model->node[i];

	if (node->reached && node->images == 1)
		return why_not(model, i, node->image);
	if (node->flags & PLAN_SHARED)
		return PLAN_WHY_SHARED;
	if ((node->flags & PLAN_OUTSIDE) && !(node->reached && (node->flags & PLAN_INTO)))
		return PLAN_WHY_OUTSIDE;
	if (node->reached)
		return node->orphans && node->images - node->orphans == 1 ? PLAN_WHY_ORPHAN : PLAN_WHY_BRANCHES;
	return node->images ? PLAN_WHY_ORPHAN : PLAN_WHY_BASE;
}

void model_keep(const struct model *model, struct plan *plan)
{
	for (size_t i = 0; i < model->n; i++) {
		const struct plan_node *node = &model->node[i];
		struct plan_action *action;

		if (node->gone || !(model_is_hidden(model, i) || (!node->reached && node->was_reached)))
			continue;
		action = add(plan, PLAN_KEEP, why_kept(model, i), node->path);
		if (node->images == 1)
			action->dependant = xstrdup(model->node[node->image].path);
	}
}

/* The sums over a plan that is whole. */
static void sum_up(struct plan *plan)
{
	int64_t used = 0;

	for (size_t i = 0; i < plan->n; i++) {
		const struct plan_action *action = &plan->action[i];

		plan->copied += action->copied;
		plan->freed += action->freed;
		plan->saved_min += action->saved_min;
		plan->saved_max += action->saved_max;
		used += action->needed;
		if (used > plan->needed)
			plan->needed = used;
		used -= action->freed;
	}
}

static void finish(struct model *model, struct plan *plan)
{
	model_settle(model, plan);
	model_keep(model, plan);
	sum_up(plan);
}

int plan_make(const struct plan_input *in, struct plan *ret_plan, struct err *reterr)
{
	_cleanup_(model_done) struct model model = { 0 };
	struct plan plan = { 0 };
	int r = model_make(in, &model, reterr);

	if (r < 0)
		return r;
	model_drop_leaving(&model);
	finish(&model, &plan);
	*ret_plan = plan;
	return 0;
}

static int refuse_flatten(const struct model *model, size_t top, struct err *reterr)
{
	const struct plan_node *node = &model->node[top];

	if (node->flags & (PLAN_OUTSIDE | PLAN_SHARED | PLAN_READ_ONLY))
		return err_full(reterr, ERR_REFUSED, -EPERM, NULL, node->path, NULL,
				"'%s' is not vmsnap's to write to", node->path);
	if ((node->flags & PLAN_RUNNING) && (!(node->flags & PLAN_WORKING) || (model->options & PLAN_NO_LIVE_PULL)))
		return err_full(reterr, ERR_REFUSED, -EBUSY, NULL, node->path, "Stop the VM first",
				"'%s' cannot take what lies below it while the guest runs", node->path);
	return 0;
}

/* The node of path below top, *ret_to, which stays NO_NODE without a path. */
static int find_below(const struct model *model, size_t top, const char *path, size_t *ret_to, struct err *reterr)
{
	if (!path)
		return 0;
	for (size_t i = model->node[top].backing; i != NO_NODE; i = model->node[i].backing)
		if (strcmp(model->node[i].path, path) == 0) {
			*ret_to = i;
			return 0;
		}
	return err_full(reterr, ERR_INVALID, -EINVAL, NULL, path, NULL, "'%s' is not below the VM's disk '%s'", path,
			model->node[top].path);
}

int plan_flatten(const struct plan_input *in, const char *to, struct plan *ret_plan, struct err *reterr)
{
	_cleanup_(model_done) struct model model = { 0 };
	size_t top, stop = NO_NODE;
	struct plan plan = { 0 };
	int r = model_make(in, &model, reterr);

	if (r < 0)
		return r;
	model_drop_leaving(&model);
	top = model_vm_node(&model);
	if (top == NO_NODE)
		return err_set(reterr, ERR_INVALID, -EINVAL, "the VM's own configuration names no such disk");
	r = find_below(&model, top, to, &stop, reterr);
	if (!r && model.node[top].backing != stop)
		r = refuse_flatten(&model, top, reterr);
	if (r < 0)
		return r;
	if (model.node[top].backing != stop)
		model_flatten(&model, top, stop, &plan);
	finish(&model, &plan);
	*ret_plan = plan;
	return 0;
}

void plan_done(struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		struct plan_action *action = &plan->action[i];

		free(action->image);
		free(action->dependant);
		free(action->backing);
		strv_free(action->repoint_images);
		strv_free(action->repoint_owners);
	}
	free(plan->action);
	*plan = (struct plan){ 0 };
}
