/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which snapshots go when one is deleted with those that derive from it. */
#include <string.h>

#include "common/alloc.h"
#include "daemon/op-snapshot.h"
#include "daemon/promise.h"
#include "daemon/space.h"
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

/* One alone goes even if documents of others cannot be read. */
static int list_meant(const struct machine *m, const struct delete_spec *spec, struct guid **ret_guids, size_t *ret_n,
		      struct err *reterr)
{
	if (spec->scope && strcmp(spec->scope, "snapshot") != 0)
		return snapshot_scope(m, spec->snapshot, spec->scope, ret_guids, ret_n, reterr);
	*ret_guids = xcalloc(1, sizeof(**ret_guids));
	**ret_guids = *spec->snapshot;
	*ret_n = 1;
	return 0;
}

/* The merges that follow are jobs of their own, which wait for room as long as it takes: better
 * said before than found out later. */
static int promise_space(const struct machine *m, const struct delete_spec *spec, const struct guid *guids, size_t n,
			 const struct job *job, struct promise **ret_promise, struct err *reterr)
{
	_cleanup_free_ char *what = xasprintf("to delete %zu snapshot%s of VM '%s' and merge what is left", n,
					      n == 1 ? "" : "s", m->cfg->name);
	_cleanup_(space_done) struct space space = { 0 };
	int r = space_delete(&space, m, guids, n, spec->into_base, spec->force ? NULL : reterr);

	if (r < 0)
		return spec->force ? 0 : r;
	return promise_make(&space, m, job, spec->force, what, "Make room, or delete with --force: what cannot be merged "
			    "now is kept until there is room", ret_promise, reterr);
}

int snapshot_delete_scope(struct daemon *daemon, const struct vmdir *dir, const struct delete_spec *spec,
			  struct job *job, struct err *reterr)
{
	_cleanup_promise_ struct promise *promise = NULL;
	_cleanup_machine_ struct machine *m = NULL;
	_cleanup_free_ struct guid *guids = NULL;
	size_t n = 0, done = 0;
	int r = machine_open(daemon, dir, 0, &m, reterr);

	if (!r)
		r = list_meant(m, spec, &guids, &n, reterr);
	if (!r)
		r = promise_space(m, spec, guids, n, job, &promise, reterr);
	for (; !r && done < n; done++) {
		r = job_check(job, reterr);
		if (!r)
			r = snapshot_delete(daemon, dir, &guids[done], spec->force, job, reterr);
		if (r < 0)
			break;
	}
	if (r < 0 && done && reterr)
		err_prefix(reterr, "%zu of %zu snapshots are deleted", done, n);
	return r;
}
