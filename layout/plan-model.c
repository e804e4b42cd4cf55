/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The images of one disk as a model: made from the input, counted, asked. */
#include <string.h>

#include "common/alloc.h"
#include "layout/plan-priv.h"

/* The input's images by path. */
struct named {
	const char *path;
	size_t node;
};

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->path, ((const struct named *)b)->path);
}

static size_t find(const struct named *names, size_t n, const char *path)
{
	struct named key = { path, 0 };
	const struct named *found = n ? bsearch(&key, names, n, sizeof(key), by_path) : NULL;

	return found ? found->node : NO_NODE;
}

/* Sums of sizes stay below INT64_MAX. */
#define MOST_BYTES (INT64_C(1) << 50)

static int64_t within(int64_t value, int64_t low, int64_t high)
{
	return value < low ? low : value > high ? high : value;
}

static int bad(struct err *reterr, const char *path, const char *why)
{
	return err_full(reterr, ERR_BAD_DATA, -EINVAL, NULL, path, NULL, "image '%s' %s", path, why);
}

static int add_images(struct model *m, const struct plan_input *in, const struct named *names, struct err *reterr)
{
	for (size_t i = 0; i < in->n_images; i++) {
		const struct plan_image *image = &in->images[i];
		size_t backing = image->backing ? find(names, in->n_images, image->backing) : NO_NODE;

		if (i && strcmp(names[i - 1].path, names[i].path) == 0)
			return bad(reterr, names[i].path, "is listed twice");
		if (image->backing && backing == NO_NODE)
			return bad(reterr, image->path, "has a backing image that is not known");
		if (image->backing && (image->flags & PLAN_RAW))
			return bad(reterr, image->path, "is raw and has a backing image all the same");
		m->node[i] = (struct plan_node){
			.path = image->path,
			.backing = backing,
			.allocated = within(image->allocated, 0, MOST_BYTES),
			.virtual_size = within(image->virtual_size, -1, MOST_BYTES << 10),
			.grain = image->grain > 0 ? image->grain : 4096,
			.flags = image->flags,
		};
	}
	return 0;
}

static int refuse_loops(const struct model *m, struct err *reterr)
{
	for (size_t i = 0; i < m->n; i++)
		if (model_length(m, i) > m->n)
			return bad(reterr, m->node[i].path, "comes back to itself by its backing images");
	return 0;
}

static int add_holders(struct model *m, const struct plan_input *in, const struct named *names, struct err *reterr)
{
	for (size_t i = 0; i < in->n_owners; i++) {
		size_t node = find(names, in->n_images, in->owners[i].path);

		if (node == NO_NODE && (in->owners[i].flags & PLAN_LEAVING))
			continue; /* what is damaged can be deleted */
		if (node == NO_NODE)
			return bad(reterr, in->owners[i].path, "is named by a configuration, but not known");
		m->holder[m->n_holders++] = (struct plan_holder){ .owner = &in->owners[i], .node = node };
	}
	return 0;
}

int model_make(const struct plan_input *in, struct model *ret_model, struct err *reterr)
{
	_cleanup_free_ struct named *names = xcalloc(in->n_images + 1, sizeof(*names));
	_cleanup_(model_done) struct model m = {
		.node = xcalloc(in->n_images + 1, sizeof(*m.node)),
		.n = in->n_images,
		.holder = xcalloc(in->n_owners + 1, sizeof(*m.holder)),
		.options = in->options,
	};
	size_t into;
	int r;

	for (size_t i = 0; i < in->n_images; i++)
		names[i] = (struct named){ in->images[i].path, i };
	qsort(names, in->n_images, sizeof(*names), by_path);
	r = add_images(&m, in, names, reterr);
	if (!r)
		r = refuse_loops(&m, reterr);
	if (!r)
		r = add_holders(&m, in, names, reterr);
	if (r < 0)
		return r;
	into = in->into_base ? find(names, in->n_images, in->into_base) : NO_NODE;
	if (into != NO_NODE)
		m.node[into].flags |= PLAN_INTO;
	model_count(&m);
	for (size_t i = 0; i < m.n; i++)
		m.node[i].was_reached = m.node[i].reached || (m.node[i].flags & PLAN_RELEASED);
	*ret_model = m;
	m = (struct model){ 0 };
	return 0;
}

struct model model_copy(const struct model *model)
{
	struct model copy = *model;

	copy.node = xcalloc(model->n + 1, sizeof(*copy.node));
	copy.holder = xcalloc(model->n_holders + 1, sizeof(*copy.holder));
	memcpy(copy.node, model->node, model->n * sizeof(*copy.node));
	memcpy(copy.holder, model->holder, model->n_holders * sizeof(*copy.holder));
	return copy;
}

void model_done(struct model *model)
{
	free(model->node);
	free(model->holder);
	*model = (struct model){ 0 };
}

/* Marks node i and all below it as reached. Stops where that was done: loops end. */
static void reach(struct model *model, size_t i, int running)
{
	while (i != NO_NODE && !(model->node[i].reached & (running ? 2 : 1))) {
		model->node[i].reached |= running ? 2 : 1;
		i = model->node[i].backing;
	}
}

static void forget_counts(struct model *model)
{
	for (size_t i = 0; i < model->n; i++) {
		model->node[i].reached = 0;
		model->node[i].images = model->node[i].orphans = model->node[i].stuck = 0;
		model->node[i].owners = 0;
	}
}

/* Where a guest writes, it holds the disk as a configuration does; what is no longer
 * below that disk its QEMU has no longer open. */
static void count_running(struct model *model)
{
	int working = 0;

	for (size_t i = 0; i < model->n; i++) {
		if (model->node[i].gone || !(model->node[i].flags & PLAN_WORKING))
			continue;
		working = 1;
		reach(model, i, 1);
	}
	for (size_t i = 0; working && i < model->n; i++)
		if (!(model->node[i].reached & 2))
			model->node[i].flags &= ~(unsigned int)PLAN_RUNNING;
}

void model_count(struct model *model)
{
	forget_counts(model);
	count_running(model);
	for (size_t i = 0; i < model->n_holders; i++) {
		if (model->holder[i].gone)
			continue;
		model->node[model->holder[i].node].owners++;
		reach(model, model->holder[i].node, 0);
	}
	for (size_t i = 0; i < model->n; i++) {
		struct plan_node *node = &model->node[i];

		if (node->gone || node->backing == NO_NODE)
			continue;
		model->node[node->backing].images++;
		model->node[node->backing].image = i;
		model->node[node->backing].orphans += !node->reached;
		model->node[node->backing].stuck +=
			(node->flags & (PLAN_OUTSIDE | PLAN_SHARED | PLAN_READ_ONLY)) != 0;
	}
}

void model_drop_holder(struct model *model, size_t i)
{
	model->holder[i].gone = 1;
	model_count(model);
}

void model_drop_leaving(struct model *model)
{
	for (size_t i = 0; i < model->n_holders; i++)
		if (model->holder[i].owner->flags & PLAN_LEAVING)
			model->holder[i].gone = 1;
	model_count(model);
}

int model_is_hidden(const struct model *model, size_t i)
{
	const struct plan_node *node = &model->node[i];

	return !node->gone && node->reached && !node->owners && !(node->flags & PLAN_WORKING);
}

size_t model_only_image(const struct model *model, size_t i)
{
	return model->node[i].images == 1 ? model->node[i].image : NO_NODE;
}

size_t model_length(const struct model *model, size_t i)
{
	size_t n = 0;

	while (i != NO_NODE && n <= model->n) {
		n++;
		i = model->node[i].backing;
	}
	return n;
}

size_t model_vm_node(const struct model *model)
{
	for (size_t i = 0; i < model->n_holders; i++)
		if (!model->holder[i].gone && strcmp(model->holder[i].owner->name, PLAN_NAME_VM) == 0)
			return model->holder[i].node;
	return NO_NODE;
}
