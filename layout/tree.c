/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The snapshot tree as pure rules. */
#include "layout/tree.h"

#include <string.h>

#include "common/alloc.h"

#define NONE SIZE_MAX

/* Indices below are into the nodes in sibling order: by time, then GUID. */

static int by_time(const void *a, const void *b)
{
	const struct tree_node *x = a, *y = b;

	if (x->created_usec != y->created_usec)
		return x->created_usec < y->created_usec ? -1 : 1;
	return strcmp(x->guid.s, y->guid.s);
}

/* A GUID and where its node is. */
struct key {
	const char *guid;
	size_t index;
};

static int by_guid(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int order = strcmp(x->guid, y->guid);

	if (order)
		return order;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* Index of the first node (in sibling order) of that GUID, or NONE. */
static size_t lookup(const struct key *keys, size_t n, const char *guid)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(keys[mid].guid, guid) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && strcmp(keys[low].guid, guid) == 0 ? keys[low].index : NONE;
}

/* Links every node to its parent; those whose parent is missing become roots. */
static void find_parents(struct tree_node *nodes, size_t n, size_t *parent)
{
	_cleanup_free_ struct key *keys = xcalloc(n, sizeof(*keys));

	for (size_t i = 0; i < n; i++)
		keys[i] = (struct key){.guid = nodes[i].guid.s, .index = i};
	qsort(keys, n, sizeof(*keys), by_guid);
	for (size_t i = 0; i < n; i++) {
		nodes[i].depth = nodes[i].children = 0;
		nodes[i].last = nodes[i].orphaned = 0;
		parent[i] = NONE;
		if (guid_is_none(&nodes[i].parent))
			continue;
		parent[i] = lookup(keys, n, nodes[i].parent.s);
		nodes[i].orphaned = parent[i] == NONE;
	}
}

/* Makes the first node of every cycle a root. */
static void cut_cycles(struct tree_node *nodes, size_t n, size_t *parent)
{
	_cleanup_free_ size_t *walk = xcalloc(n, sizeof(*walk)); /* number of the walk that came by */

	for (size_t i = 0; i < n; i++) {
		size_t at = i, first;

		for (; at != NONE && !walk[at]; at = parent[at])
			walk[at] = i + 1;
		if (at == NONE || walk[at] != i + 1)
			continue;
		first = at;
		for (size_t in = parent[at]; in != at; in = parent[in]) {
			if (in < first)
				first = in;
		}
		parent[first] = NONE;
		nodes[first].orphaned = 1;
	}
}

/* Chains the children of every node (and the roots under index n) in order. */
static void link_children(struct tree_node *nodes, size_t n, const size_t *parent, size_t *child, size_t *next)
{
	for (size_t i = 0; i <= n; i++)
		child[i] = NONE;
	for (size_t i = n; i-- > 0;) {
		size_t above = parent[i] == NONE ? n : parent[i];

		nodes[i].last = child[above] == NONE;
		next[i] = child[above];
		child[above] = i;
		if (above != n)
			nodes[above].children++;
	}
}

/* Writes the nodes to out, each before its children. */
static void lay_out(const struct tree_node *nodes, size_t n, const size_t *parent, const size_t *child,
		    const size_t *next, struct tree_node *out)
{
	size_t at = child[n], depth = 0, filled = 0;

	while (at != NONE) {
		out[filled] = nodes[at];
		out[filled++].depth = depth;
		if (child[at] != NONE) {
			at = child[at];
			depth++;
			continue;
		}
		while (at != NONE && next[at] == NONE) {
			at = parent[at];
			depth -= at != NONE;
		}
		if (at != NONE)
			at = next[at];
	}
}

void tree_build(struct tree_node *nodes, size_t n)
{
	_cleanup_free_ struct tree_node *out = NULL;
	_cleanup_free_ size_t *parent = NULL, *child = NULL, *next = NULL;

	if (n == 0)
		return;
	out = xcalloc(n, sizeof(*out));
	parent = xcalloc(n, sizeof(*parent));
	next = xcalloc(n, sizeof(*next));
	child = xcalloc(n + 1, sizeof(*child));
	qsort(nodes, n, sizeof(*nodes), by_time);
	find_parents(nodes, n, parent);
	cut_cycles(nodes, n, parent);
	link_children(nodes, n, parent, child, next);
	lay_out(nodes, n, parent, child, next, out);
	memcpy(nodes, out, n * sizeof(*nodes));
}

ssize_t tree_find(const struct tree_node *nodes, size_t n, const struct guid *guid)
{
	for (size_t i = 0; i < n; i++) {
		if (guid_eq(&nodes[i].guid, guid))
			return (ssize_t)i;
	}
	return -1;
}

int tree_is_above(const struct tree_node *nodes, size_t n, const struct guid *ancestor, const struct guid *node)
{
	ssize_t at = tree_find(nodes, n, node);

	/* A path has at most n nodes; a cycle would have more. */
	for (size_t steps = 0; at >= 0 && steps < n; steps++) {
		if (guid_eq(&nodes[at].guid, ancestor))
			return 1;
		if (nodes[at].orphaned || guid_is_none(&nodes[at].parent))
			return 0;
		at = tree_find(nodes, n, &nodes[at].parent);
	}
	return 0;
}
