/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which way to merge: what is possible, and what costs less. */
#include <string.h>

#include "common/alloc.h"
#include "layout/plan-priv.h"

#define NOT_OURS (PLAN_OUTSIDE | PLAN_SHARED)

static int may_remove(const struct plan_node *node)
{
	return !(node->flags & NOT_OURS);
}

static int may_commit_into(const struct plan_node *node)
{
	unsigned int flags = node->flags;

	if (flags & PLAN_INTO)
		flags &= ~(unsigned int)PLAN_OUTSIDE;
	return !(flags & (NOT_OURS | PLAN_READ_ONLY));
}

/* A commit leaves the lower image at least as large as the upper one: the upper one's
 * readers would see another size if that were too large. */
static int sizes_fit(const struct plan_node *above, const struct plan_node *below)
{
	if (above->virtual_size < 0 || below->virtual_size < 0)
		return 0;
	if (above->virtual_size == below->virtual_size)
		return 1;
	return above->virtual_size > below->virtual_size && !(below->flags & PLAN_NO_GROW);
}

/* What QEMU can do for libvirt while the guest runs on one of them or both. */
static int possible_live(unsigned int options, const struct plan_node *above, const struct plan_node *below,
			 enum plan_kind kind)
{
	if (!((above->flags | below->flags) & PLAN_RUNNING))
		return 1;
	if (!(above->flags & below->flags & PLAN_RUNNING))
		return 0;
	if (kind == PLAN_COMMIT)
		return !(options & PLAN_NO_LIVE_COMMIT);
	return (above->flags & PLAN_WORKING) && !(options & PLAN_NO_LIVE_PULL);
}

int merge_possible(unsigned int options, const struct plan_node *above, const struct plan_node *below,
		   enum plan_kind kind, int off)
{
	if (!off && !possible_live(options, above, below, kind))
		return 0;
	if (kind == PLAN_COMMIT)
		return may_remove(above) && !above->stuck && may_commit_into(below) && sizes_fit(above, below);
	return may_remove(below) && !(above->flags & (NOT_OURS | PLAN_READ_ONLY | PLAN_RAW));
}

/* A run: images each of which is the only dependant of the next one, which is hidden,
 * [0] on top, and each pair of which can be merged one way at least. */
struct run {
	size_t *node;
	size_t n;
};

static int can_merge(const struct model *model, size_t above, size_t below)
{
	const struct plan_node *a = &model->node[above], *b = &model->node[below];

	return merge_possible(model->options, a, b, PLAN_PULL, 0) ||
	       merge_possible(model->options, a, b, PLAN_COMMIT, 0);
}

/* The image above node i if the two are of one run, else NO_NODE. */
static size_t run_above(const struct model *model, size_t i)
{
	size_t above = model_is_hidden(model, i) ? model_only_image(model, i) : NO_NODE;

	return above != NO_NODE && can_merge(model, above, i) ? above : NO_NODE;
}

/* The run that node bottom, whose own backing is not part of it, ends. */
static struct run run_up(const struct model *model, size_t bottom)
{
	struct run run = { xcalloc(model->n + 1, sizeof(*run.node)), 0 };

	for (size_t i = bottom; i != NO_NODE; i = run_above(model, i))
		run.node[run.n++] = i;
	for (size_t i = 0; i < run.n / 2; i++) {
		size_t swap = run.node[i];

		run.node[i] = run.node[run.n - 1 - i];
		run.node[run.n - 1 - i] = swap;
	}
	return run;
}

static struct pair make_pair(const struct run *run, size_t upper, enum plan_kind kind)
{
	return (struct pair){ .above = run->node[upper], .below = run->node[upper + 1], .kind = kind };
}

/* One step of cost_of(): adds to *cost, or makes it -1. */
static void try_merge(unsigned int options, struct plan_node *above, struct plan_node *below, enum plan_kind kind,
		      int64_t *cost)
{
	if (*cost < 0)
		return;
	if (!merge_possible(options, above, below, kind, 0)) {
		*cost = -1;
		return;
	}
	*cost += merge_copies(above, below, kind);
	merge_nodes(above, below, kind);
}

/* Bytes copied if image `stays` of the run stays and takes all others, those above it
 * first; -1 if that is not possible. */
static int64_t cost_of(const struct model *model, const struct run *run, size_t stays)
{
	_cleanup_free_ struct plan_node *node = xcalloc(run->n, sizeof(*node));
	int64_t cost = 0;

	for (size_t i = 0; i < run->n; i++)
		node[i] = model->node[run->node[i]];
	for (size_t i = stays; i-- > 0;)
		try_merge(model->options, &node[i], &node[stays], PLAN_COMMIT, &cost);
	for (size_t i = stays + 1; i < run->n; i++)
		try_merge(model->options, &node[stays], &node[i], PLAN_PULL, &cost);
	return cost;
}

/* Why pair is merged its way, which costs cost, when the other way costs other (-1: not
 * possible). */
static enum plan_why why(const struct model *model, const struct pair *pair, int64_t cost, int64_t other)
{
	if (pair->kind == PLAN_COMMIT && (model->node[pair->below].flags & PLAN_INTO))
		return PLAN_WHY_INTO_BASE;
	if (other < 0)
		return PLAN_WHY_ONLY_WAY;
	return cost == other ? PLAN_WHY_NO_REPOINT : PLAN_WHY_FEWER_BYTES;
}

/* The least of cost[from] to cost[to - 1] that are possible, -1 if none is. */
static int64_t least(const int64_t *cost, size_t from, size_t to)
{
	int64_t best = -1;

	for (size_t i = from; i < to; i++)
		if (cost[i] >= 0 && (best < 0 || cost[i] < best))
			best = cost[i];
	return best;
}

/* One image of the run takes all others: which, and the first step towards that. */
static int choose_whole(const struct model *model, const struct run *run, struct pair *ret_pair)
{
	_cleanup_free_ int64_t *cost = xcalloc(run->n, sizeof(*cost));
	int64_t best, other;
	size_t stays = 0;

	for (size_t i = 0; i < run->n; i++)
		cost[i] = cost_of(model, run, i);
	best = least(cost, 0, run->n);
	if (best < 0)
		return 0;
	while (cost[stays] != best)
		stays++;
	*ret_pair = stays ? make_pair(run, stays - 1, PLAN_COMMIT) : make_pair(run, 0, PLAN_PULL);
	other = stays ? least(cost, 0, stays) : least(cost, 1, run->n);
	ret_pair->why = why(model, ret_pair, best, other);
	return 1;
}

/* What the pair costs, -1 if it is not possible. */
static int64_t pair_cost(const struct model *model, const struct pair *pair)
{
	const struct plan_node *above = &model->node[pair->above], *below = &model->node[pair->below];

	if (!merge_possible(model->options, above, below, pair->kind, 0))
		return -1;
	return merge_copies(above, below, pair->kind);
}

/* No image can take all: the cheapest merge of two. */
static int choose_pair(const struct model *model, const struct run *run, struct pair *ret_pair)
{
	int64_t best = -1;

	for (size_t i = 0; i + 1 < run->n; i++) {
		struct pair ways[] = { make_pair(run, i, PLAN_PULL), make_pair(run, i, PLAN_COMMIT) };
		int64_t cost[2];

		for (size_t k = 0; k < 2; k++)
			cost[k] = pair_cost(model, &ways[k]);
		for (size_t k = 0; k < 2; k++) {
			if (cost[k] < 0 || (best >= 0 && cost[k] >= best))
				continue;
			best = cost[k];
			*ret_pair = ways[k];
			ret_pair->why = why(model, &ways[k], cost[k], cost[!k]);
		}
	}
	return best >= 0;
}

int model_next_merge(const struct model *model, struct pair *ret_pair)
{
	for (size_t i = 0; i < model->n; i++) {
		_cleanup_free_ size_t *nodes = NULL;
		size_t below = model->node[i].backing;
		struct run run;

		if (model->node[i].gone || run_above(model, i) == NO_NODE)
			continue;
		if (below != NO_NODE && run_above(model, below) == i)
			continue; /* not the end of its run */
		run = run_up(model, i);
		nodes = run.node;
		if (choose_whole(model, &run, ret_pair) || choose_pair(model, &run, ret_pair))
			return 1;
	}
	return 0;
}

size_t model_next_removal(const struct model *model)
{
	for (size_t i = 0; i < model->n; i++) {
		const struct plan_node *node = &model->node[i];

		if (!node->gone && !node->reached && node->was_reached && !node->images && may_remove(node) &&
		    !(node->flags & PLAN_BASE))
			return i;
	}
	return NO_NODE;
}
