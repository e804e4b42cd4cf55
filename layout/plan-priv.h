/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the planner share: the images as a model that actions are tried on. */
#ifndef LAYOUT_PLAN_PRIV_H
#define LAYOUT_PLAN_PRIV_H

#include <sys/types.h>

#include "layout/plan.h"

#define NO_NODE SIZE_MAX

/* An image as it is after the actions so far. */
struct plan_node {
	const char *path;   /* *borrowed* from the input */
	size_t backing;     /* a node, or NO_NODE */
	int64_t allocated, virtual_size, grain;
	unsigned int flags;
	int gone;           /* removed by an action */
	int was_reached;    /* before anything left */
	/* by model_count(): */
	int reached;
	size_t images;      /* that name it as their backing, orphans too */
	size_t image;       /* the last of those */
	size_t orphans;     /* of those, which nothing reaches */
	size_t stuck;       /* of those, which cannot be made to name another one */
	size_t owners;      /* configurations that name it */
};

struct plan_holder {
	const struct plan_owner *owner; /* *borrowed* */
	size_t node;
	int gone;
};

struct model {
	struct plan_node *node;
	size_t n;
	struct plan_holder *holder;
	size_t n_holders;
	unsigned int options;
};

/* Two neighbours and which of them stays: above lies directly on below. */
struct pair {
	size_t above, below; /* nodes */
	enum plan_kind kind; /* PLAN_PULL or PLAN_COMMIT */
	enum plan_why why;
};

/* Makes the model of in (strings *borrowed*) before anything left, counted. ret_model
 * is emptied by model_done(). Returns 0 or negative errno (ERR_BAD_DATA). */
_must_check_ int model_make(const struct plan_input *in, struct model *ret_model, struct err *reterr);

/* A copy, to be tried on; emptied by model_done(). */
struct model model_copy(const struct model *model);

/* Empties it. Takes an empty one. */
void model_done(struct model *model);

/* Lets holder i go; counts. */
void model_drop_holder(struct model *model, size_t i);

/* Lets all owners go that are leaving; counts. */
void model_drop_leaving(struct model *model);

/* Works out who is reached and by how many. */
void model_count(struct model *model);

/* 1 if node i is reached, but no configuration names it and no guest writes to it. */
int model_is_hidden(const struct model *model, size_t i);

/* The one image that names node i as its backing, or NO_NODE if there are more or none. */
size_t model_only_image(const struct model *model, size_t i);

/* Images under node i, itself included. */
size_t model_length(const struct model *model, size_t i);

/* The node that the VM's own configuration names, or NO_NODE. */
size_t model_vm_node(const struct model *model);

/* 1 if below can be merged with above, its only dependant, that way, with these options of
 * the input; with off as if no guest ran. */
int merge_possible(unsigned int options, const struct plan_node *above, const struct plan_node *below,
		   enum plan_kind kind, int off);

/* Bytes that merging them copies at most, and bytes by which the one written may grow. */
int64_t merge_copies(const struct plan_node *above, const struct plan_node *below, enum plan_kind kind);
int64_t merge_needs(const struct plan_node *above, const struct plan_node *below, enum plan_kind kind); /* as that */

/* Makes of the one that stays what it is afterwards, but for its backing. */
void merge_nodes(struct plan_node *above, struct plan_node *below, enum plan_kind kind);

/* The merge that comes next: 1 and *ret_pair, or 0 if none is possible. */
int model_next_merge(const struct model *model, struct pair *ret_pair);

/* The image to remove next, or NO_NODE. */
size_t model_next_removal(const struct model *model);

/* Does one action on the model, counts, and appends what was done to plan (may be NULL).
 * Gives the bytes that are copied at most. */
int64_t model_merge(struct model *model, const struct pair *pair, struct plan *plan);
void model_remove(struct model *model, size_t i, struct plan *plan); /* as model_merge() */
int64_t model_flatten(struct model *model, size_t top, size_t to, struct plan *plan); /* to may be NO_NODE */

/* All removals, then all merges. As model_merge(). */
int64_t model_settle(struct model *model, struct plan *plan);

/* Appends what stays hidden, with the reason. */
void model_keep(const struct model *model, struct plan *plan);

#endif
