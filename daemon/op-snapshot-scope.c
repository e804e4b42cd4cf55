/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which snapshots go when one is deleted with those that derive from it. */
#include <string.h>

#include "common/alloc.h"
#include "daemon/op-snapshot.h"
#include "layout/tree.h"

enum scope { SCOPE_SNAPSHOT, SCOPE_SUBTREE, SCOPE_CHILDREN };

static int parse_scope(const char *word, enum scope *ret_scope, struct err *reterr)
{
	static const char *const words[] = { "snapshot", "subtree", "children" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(word ? word : "snapshot", words[i]) != 0)
			continue;
		*ret_scope = (enum scope)i;
		return 0;
	}
	return err_set(reterr, ERR_INVALID, -EINVAL, "'scope' must be \"snapshot\", \"subtree\" or \"children\", not '%s'",
		       word);
}

/* Nodes in tree order from the configurations, *owned*. */
static struct tree_node *make_tree(struct config *const *snaps, size_t n)
{
	struct tree_node *nodes = xcalloc(n + 1, sizeof(*nodes));

	for (size_t i = 0; i < n; i++)
		nodes[i] = (struct tree_node){ .guid = snaps[i]->guid,
					       .parent = snaps[i]->parent,
					       .created_usec = snaps[i]->created_usec };
	tree_build(nodes, n);
	return nodes;
}

static int is_meant(const struct tree_node *nodes, size_t n, const struct guid *snap, const struct guid *guid,
		    enum scope scope)
{
	if (guid_eq(snap, guid))
		return scope != SCOPE_CHILDREN;
	return scope != SCOPE_SNAPSHOT && tree_is_above(nodes, n, snap, guid);
}

int snapshot_scope(const struct machine *m, const struct guid *snap, const char *word, struct guid **ret_guids,
		   size_t *ret_n, struct err *reterr)
{
	_cleanup_free_ struct tree_node *nodes = NULL;
	enum scope scope = SCOPE_SNAPSHOT;
	struct config **snaps;
	struct guid *guids;
	size_t n, count = 0;
	int r = parse_scope(word, &scope, reterr);

	if (!r)
		r = machine_snapshots(m, &snaps, &n, NULL, reterr);
	if (r < 0)
		return r;
	nodes = make_tree(snaps, n);
	machine_snapshots_free(snaps, n);
	guids = xcalloc(n + 1, sizeof(*guids));
	for (size_t i = n; i-- > 0;)
		if (is_meant(nodes, n, snap, &nodes[i].guid, scope))
			guids[count++] = nodes[i].guid;
	*ret_guids = guids;
	*ret_n = count;
	return 0;
}

int snapshot_delete_scope(struct daemon *daemon, const struct vmdir *dir, const struct guid *snap, const char *word,
			  struct job *job, struct err *reterr)
{
	_cleanup_machine_ struct machine *m = NULL;
	_cleanup_free_ struct guid *guids = NULL;
	size_t n = 0, done = 0;
	int r = word ? machine_open(daemon, dir, 0, &m, reterr) : 0;

	if (!word || strcmp(word, "snapshot") == 0)
		return r < 0 ? r : snapshot_delete(daemon, dir, snap, job, reterr);
	if (!r)
		r = snapshot_scope(m, snap, word, &guids, &n, reterr);
	for (; !r && done < n; done++) {
		r = job_check(job, reterr);
		if (!r)
			r = snapshot_delete(daemon, dir, &guids[done], job, reterr);
		if (r < 0)
			break;
	}
	if (r < 0 && done && reterr)
		err_prefix(reterr, "%zu of %zu snapshots are deleted", done, n);
	return r;
}
