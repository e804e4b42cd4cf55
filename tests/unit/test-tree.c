/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of the snapshot tree, against a naive model. */
#include "tests/unit/layout-util.h"

#include "layout/tree.h"

#define CASES 4000
#define MAX_NODES 16

static struct guid numbered(int n)
{
	struct guid guid = {""};

	if (n >= 0)
		snprintf(guid.s, sizeof(guid.s), "%08X-0000-4000-8000-000000000000", (unsigned int)n);
	return guid;
}

static struct tree_node node(int n, int parent, int64_t time)
{
	return (struct tree_node){
		.guid = numbered(n),
		.parent = numbered(parent),
		.created_usec = time,
		.depth = 99,
		.children = 99,
		.last = 99,
		.orphaned = 99,
	};
}

static void check(const struct tree_node *t, int n, size_t depth, size_t children, int last, int orphaned)
{
	struct guid guid = numbered(n);

	assert_string_equal(t->guid.s, guid.s);
	assert_int_equal(t->depth, depth);
	assert_int_equal(t->children, children);
	assert_int_equal(t->last, last);
	assert_int_equal(t->orphaned, orphaned);
}

static void test_branches(void **state _unused_)
{
	struct tree_node t[] = {node(4, 2, 40), node(3, 1, 30), node(5, 9, 5), node(2, 1, 20), node(1, -1, 10)};
	struct guid one = numbered(1), four = numbered(4), three = numbered(3), nine = numbered(9);

	tree_build(t, ARRAY_SIZE(t));
	check(&t[0], 5, 0, 0, 0, 1);
	check(&t[1], 1, 0, 2, 1, 0);
	check(&t[2], 2, 1, 1, 0, 0);
	check(&t[3], 4, 2, 0, 1, 0);
	check(&t[4], 3, 1, 0, 1, 0);
	assert_int_equal(tree_find(t, 5, &four), 3);
	assert_int_equal(tree_find(t, 5, &nine), -1);
	assert_true(tree_is_above(t, 5, &one, &four));
	assert_true(tree_is_above(t, 5, &four, &four));
	assert_false(tree_is_above(t, 5, &three, &four));
	assert_false(tree_is_above(t, 5, &four, &one));
	assert_false(tree_is_above(t, 5, &nine, &nine));
	tree_build(t, 0);
}

static void test_ties_and_cycles(void **state _unused_)
{
	struct tree_node same[] = {node(3, -1, 7), node(1, -1, 7), node(2, -1, 7)};
	struct tree_node cycle[] = {node(1, 3, 30), node(2, 1, 10), node(3, 2, 20), node(4, 3, 5)};
	struct tree_node self[] = {node(1, 1, 1)};
	struct guid two = numbered(2), four = numbered(4);

	tree_build(same, 3);
	check(&same[0], 1, 0, 0, 0, 0);
	check(&same[1], 2, 0, 0, 0, 0);
	check(&same[2], 3, 0, 0, 1, 0);

	tree_build(cycle, 4); /* the oldest of the cycle becomes the root */
	check(&cycle[0], 2, 0, 1, 1, 1);
	check(&cycle[1], 3, 1, 2, 1, 0);
	check(&cycle[2], 4, 2, 0, 0, 0);
	check(&cycle[3], 1, 2, 0, 1, 0);
	assert_true(tree_is_above(cycle, 4, &two, &four));
	assert_false(tree_is_above(cycle, 4, &four, &two));

	tree_build(self, 1);
	check(&self[0], 1, 0, 0, 1, 1);
}

/* The sibling order. */
static int before(const struct tree_node *a, const struct tree_node *b)
{
	return a->created_usec != b->created_usec ? a->created_usec < b->created_usec
						  : strcmp(a->guid.s, b->guid.s) < 0;
}

/* The next in tree order under parent (NULL: roots) after the siblings already
 * taken, written recursively. */
static void model_order(struct tree_node *in, size_t n, const struct guid *parent, size_t depth,
			struct tree_node **out, size_t *filled, size_t *depths)
{
	for (;;) {
		struct tree_node *best = NULL;

		for (size_t i = 0; i < n; i++) {
			int root = tree_find(in, n, &in[i].parent) < 0;

			if (in[i].data || (parent ? !guid_eq(&in[i].parent, parent) : !root))
				continue;
			if (!best || before(&in[i], best))
				best = &in[i];
		}
		if (!best)
			return;
		best->data = best;
		depths[*filled] = depth;
		out[(*filled)++] = best;
		model_order(in, n, &best->guid, depth + 1, out, filled, depths);
	}
}

static void check_model(const struct tree_node *in, size_t n, unsigned int seed, unsigned int number)
{
	struct tree_node model[MAX_NODES], built[MAX_NODES], *order[MAX_NODES];
	size_t depths[MAX_NODES], filled = 0;

	memcpy(model, in, n * sizeof(*in));
	memcpy(built, in, n * sizeof(*in));
	model_order(model, n, NULL, 0, order, &filled, depths);
	tree_build(built, n);
	assert_int_equal(filled, n);
	for (size_t i = 0; i < n; i++) {
		size_t children = 0;
		int orphaned = tree_find(in, n, &built[i].parent) < 0 && !guid_is_none(&built[i].parent);

		for (size_t j = 0; j < n; j++)
			children += guid_eq(&in[j].parent, &built[i].guid);
		if (!guid_eq(&order[i]->guid, &built[i].guid) || depths[i] != built[i].depth ||
		    children != built[i].children || orphaned != built[i].orphaned)
			fail_msg("seed %u case %u: node %zu is wrong", seed, number, i);
	}
}

/* Trees without cycles: a parent is an earlier number, or one that is missing. */
static void test_against_model(void **state _unused_)
{
	const unsigned int seed = 20080627;
	unsigned int rnd = seed;

	for (unsigned int number = 0; number < CASES; number++) {
		struct tree_node in[MAX_NODES];
		size_t n = 1 + (size_t)rand_r(&rnd) % MAX_NODES;

		for (size_t i = 0; i < n; i++) {
			int kind = rand_r(&rnd) % 8;
			int parent = kind == 0 ? -1 : kind == 1 ? 1000 : i ? (int)((size_t)rand_r(&rnd) % i) : -1;

			in[i] = node((int)i, parent, rand_r(&rnd) % 6);
		}
		for (size_t i = n - 1; i > 0; i--) {
			size_t j = (size_t)rand_r(&rnd) % (i + 1);
			struct tree_node t = in[i];

			in[i] = in[j];
			in[j] = t;
		}
		check_model(in, n, seed, number);
	}
}

/* Any links at all, cycles too: everything comes out once, before its children,
 * and `last` stands at the last of each family. */
static void test_any_graph(void **state _unused_)
{
	const unsigned int seed = 19930101;
	unsigned int rnd = seed;

	for (unsigned int number = 0; number < CASES; number++) {
		struct tree_node t[MAX_NODES];
		size_t n = 1 + (size_t)rand_r(&rnd) % MAX_NODES, children = 0, roots = 0, lasts = 0, parents = 0;

		for (size_t i = 0; i < n; i++)
			t[i] = node((int)i, (int)((size_t)rand_r(&rnd) % (n + 2)) - 1, rand_r(&rnd) % 4);
		tree_build(t, n);
		for (size_t i = 0; i < n; i++) {
			ssize_t up = tree_find(t, n, &t[i].parent);
			struct guid guid = numbered((int)i);

			if (tree_find(t, n, &guid) < 0 || (t[i].depth == 0) != (up < 0 || t[i].orphaned) ||
			    (t[i].depth > 0 && (up >= (ssize_t)i || t[up].depth + 1 != t[i].depth)))
				fail_msg("seed %u case %u: node %zu is wrong", seed, number, i);
			children += t[i].children;
			roots += t[i].depth == 0;
			lasts += (size_t)t[i].last;
			parents += t[i].children > 0;
		}
		if (children + roots != n || roots == 0 || lasts != parents + 1)
			fail_msg("seed %u case %u: %zu roots, %zu children of %zu", seed, number, roots, children, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_branches),
		cmocka_unit_test(test_ties_and_cycles),
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_any_graph),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
