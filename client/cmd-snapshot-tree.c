/* SPDX-License-Identifier: GPL-2.0-or-later */
/* snapshot tree: the branches, and where now is. */
#include <stdio.h>

#include "client/connection.h"
#include "client/output.h"
#include "client/show.h"
#include "client/tree.h"
#include "common/alloc.h"

/* Text of a member, never NULL (*borrowed*). */
static const char *text_of(json_t *obj, const char *key)
{
	const char *text = json_str(obj, key);

	return text ? text : "";
}

static void fill_row(struct tree_row *row, json_t *snapshot, const char *created, const char *size)
{
	row->name = text_of(snapshot, "name");
	row->created = created;
	row->kind = text_of(snapshot, "kind");
	row->size = size;
	row->problem = json_string_value(json_array_get(json_member(snapshot, "problems"), 0));
	row->depth = json_num(snapshot, "depth") > 0 ? (size_t)json_num(snapshot, "depth") : 0;
	row->current = json_flag(snapshot, "current");
}

static void print_tree(struct ctl *ctl, json_t *reply)
{
	json_t *list = json_member(reply, "snapshots");
	size_t n = json_array_size(list);
	_cleanup_free_ struct tree_row *rows = xcalloc(n + 1, sizeof(*rows));
	_cleanup_strv_ char **texts = xcalloc(2 * n + 1, sizeof(*texts));

	for (size_t i = 0; i < n; i++) {
		json_t *snapshot = json_array_get(list, i);
		char *created = show_time(snapshot, "createdUSec");

		texts[2 * i] = created ? created : xstrdup("-");
		texts[2 * i + 1] = show_snapshot_size(snapshot);
		fill_row(&rows[i], snapshot, texts[2 * i], texts[2 * i + 1]);
	}
	tree_draw(stdout, text_of(json_member(reply, "vm"), "name"), rows, n,
		  args_has(ctl->args, "ascii") || !locale_is_utf8());
}

static int snapshot_tree(struct ctl *ctl)
{
	json_t *params = json_object();

	param_text(params, "vm", args_word(ctl->args, 0));
	return query(ctl, "ListSnapshots", params, print_tree);
}

static const struct option_row tree_options[] = {
	{ "ascii", NULL, 0, "draw with ASCII characters only" },
	{ NULL, NULL, 0, NULL },
};

const struct command tree_commands[] = {
	{ "snapshot", "tree", "VM", 1, 1, tree_options, 0, snapshot_tree, "draw the snapshots and where now is" },
	{ NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL },
};
