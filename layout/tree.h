/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The snapshot tree as pure rules: from (GUID, parent, time) to order, depth,
 * children, and what is wrong with it. */
#ifndef LAYOUT_TREE_H
#define LAYOUT_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "common/guid.h"

/* One snapshot going in; out come the rest. */
struct tree_node {
	struct guid guid;
	struct guid parent;    /* "" none */
	int64_t created_usec;
	void *data;            /* the caller's, *borrowed* */
	/* filled by tree_build(): */
	size_t depth;          /* 0 for a root */
	size_t children;       /* direct ones */
	int last;              /* last child of its parent (or last root) */
	int orphaned;          /* its parent is not there, or a cycle: shown as a root */
};

/* Sorts nodes into tree order (each before its children, siblings by time, then
 * GUID) and fills the outputs. Cycles and missing parents make roots, never
 * loops. */
void tree_build(struct tree_node *nodes, size_t n);

/* Index of guid in nodes, or -1. */
ssize_t tree_find(const struct tree_node *nodes, size_t n, const struct guid *guid);

/* 1 if ancestor is node or above it (both by GUID), else 0. */
int tree_is_above(const struct tree_node *nodes, size_t n, const struct guid *ancestor, const struct guid *node);

#endif
