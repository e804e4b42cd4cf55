/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long the chains are, and which snapshots to delete so that they are not too long. */
#include <string.h>

#include "common/alloc.h"
#include "layout/plan-priv.h"

static size_t vm_length(const struct model *model)
{
	size_t top = model_vm_node(model);

	return top == NO_NODE ? 0 : model_length(model, top);
}

static size_t longest(const struct model *model)
{
	size_t most = 0;

	for (size_t i = 0; i < model->n_holders; i++) {
		size_t n = model->holder[i].gone ? 0 : model_length(model, model->holder[i].node);

		if (n > most)
			most = n;
	}
	return most;
}

/* Marks the nodes under the VM's disk. */
static unsigned char *mark_chain(const struct model *model)
{
	unsigned char *in = xcalloc(model->n + 1, 1);

	for (size_t i = model_vm_node(model); i != NO_NODE; i = model->node[i].backing)
		in[i] = 1;
	return in;
}

struct candidate {
	size_t holder; /* NO_NODE: none found */
	int64_t copied, created;
};

static int is_better(const struct candidate *a, const struct candidate *than)
{
	if (than->holder == NO_NODE || a->copied != than->copied)
		return than->holder == NO_NODE || a->copied < than->copied;
	return a->created < than->created;
}

/* What it would cost to delete the snapshot of holder i; 0 if that makes the VM's chain
 * no shorter. */
static int try_holder(const struct model *model, size_t i, struct candidate *ret)
{
	_cleanup_(model_done) struct model trial = model_copy(model);
	int64_t copied;

	model_drop_holder(&trial, i);
	copied = model_settle(&trial, NULL);
	*ret = (struct candidate){ i, copied, model->holder[i].owner->created_usec };
	return vm_length(&trial) < vm_length(model);
}

/* 1 if the holder is a snapshot that may go, and it is below the VM's disk. */
static int is_candidate(const struct plan_holder *holder, const unsigned char *chain)
{
	return !holder->gone && (holder->owner->flags & PLAN_DELETABLE) && chain[holder->node] &&
	       strcmp(holder->owner->name, PLAN_NAME_VM) != 0;
}

/* The holder whose snapshot is best deleted next. */
static size_t choose(const struct model *model)
{
	_cleanup_free_ unsigned char *chain = mark_chain(model);
	struct candidate best = { .holder = NO_NODE };

	for (size_t i = 0; i < model->n_holders; i++) {
		struct candidate candidate;

		if (!is_candidate(&model->holder[i], chain))
			continue;
		if (try_holder(model, i, &candidate) && is_better(&candidate, &best))
			best = candidate;
	}
	return best.holder;
}

int plan_depth(const struct plan_input *in, size_t max_chain, struct plan_depth *ret_depth, struct err *reterr)
{
	_cleanup_(model_done) struct model model = { 0 };
	size_t max = max_chain ? max_chain : PLAN_MAX_CHAIN;
	struct plan_depth depth = { 0 };
	int r = model_make(in, &model, reterr);

	if (r < 0)
		return r;
	model_drop_leaving(&model);
	depth.length = vm_length(&model);
	depth.longest = longest(&model);
	model_settle(&model, NULL);
	depth.after = vm_length(&model);
	depth.excess = depth.after > max ? depth.after - max : 0;
	while (vm_length(&model) > max) {
		size_t i = choose(&model);

		if (i == NO_NODE)
			break;
		strv_push(&depth.snapshots, xstrdup(model.holder[i].owner->name));
		model_drop_holder(&model, i);
		model_settle(&model, NULL);
	}
	depth.reached = vm_length(&model);
	*ret_depth = depth;
	return 0;
}

size_t plan_chain_length(const struct plan_input *in, const char *path)
{
	size_t n = 0;

	while (path && n <= in->n_images) {
		size_t i = 0;

		while (i < in->n_images && strcmp(in->images[i].path, path) != 0)
			i++;
		if (i == in->n_images)
			break;
		n++;
		path = in->images[i].backing;
	}
	return n;
}

void plan_depth_done(struct plan_depth *depth)
{
	strv_free(depth->snapshots);
	*depth = (struct plan_depth){ 0 };
}
