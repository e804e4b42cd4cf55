/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What deleting snapshots would do, as JSON. */
#include "daemon/rpc-view-plan.h"

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/holdings.h"
#include "daemon/op-snapshot.h"
#include "daemon/pace.h"
#include "varlink/message.h"

static json_t *action_object(const struct plan_action *a)
{
	size_t repointed = strv_count(a->repoint_images) + strv_count(a->repoint_owners);
	json_t *obj = json_pack("{s:s, s:o, s:s, s:s, s:b, s:I, s:I, s:I, s:I}", "action", plan_kind_text(a->kind),
				"image", vl_string(a->image), "why", plan_why_word(a->why), "reason",
				plan_why_text(a->why), "live", a->live, "repointed", (json_int_t)repointed,
				"copiedBytes", (json_int_t)a->copied, "freedBytes", (json_int_t)a->freed, "neededBytes",
				(json_int_t)a->needed);

	if (a->dependant)
		json_object_set_new(obj, "dependant", vl_string(a->dependant));
	return obj;
}

static json_t *list_actions(const struct plan *plan)
{
	json_t *list = json_array();

	for (size_t i = 0; i < plan->n; i++)
		json_array_append_new(list, action_object(&plan->action[i]));
	return list;
}

/* The snapshots that go, and what their memory comes to. */
static void add_snapshots(const struct holdings *h, const struct guid *guids, size_t n, json_t *obj,
			  int64_t *ret_memory)
{
	json_t *ids = json_array(), *names = json_array();

	*ret_memory = 0;
	for (size_t i = 0; i < n; i++) {
		const struct config *cfg = holdings_snapshot(h, guids[i].s);
		int64_t memory = cfg ? holdings_memory(h, cfg) : 0;

		json_array_append_new(ids, json_string(guids[i].s));
		json_array_append_new(names, vl_string(cfg ? cfg->name : ""));
		*ret_memory += memory;
	}
	json_object_set_new(obj, "snapshots", ids);
	json_object_set_new(obj, "names", names);
}

static json_t *plan_object(const struct holdings *h, const struct guid *guids, size_t n, const struct plan *plan,
			   int64_t available)
{
	struct holdings_folds folds = holdings_folded(h, guids, n);
	int64_t memory, min, rate, copied, needed;
	json_t *obj = json_object();
	int measured;

	add_snapshots(h, guids, n, obj, &memory);
	copied = plan->copied + folds.copied;
	min = plan->saved_min + memory - folds.kept;
	needed = plan->needed > folds.needed ? plan->needed : folds.needed; /* one after the other */
	rate = pace_rate(&measured);
	json_object_update_new(obj, json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "actions", list_actions(plan), "memoryBytes",
					  (json_int_t)memory, "foldedBytes", (json_int_t)folds.kept, "copiedBytes",
					  (json_int_t)copied, "neededBytes", (json_int_t)needed, "availableBytes",
					  (json_int_t)available));
	json_object_update_new(obj, json_pack("{s:I, s:I, s:I, s:b, s:I}", "freedMinBytes", (json_int_t)(min > 0 ? min : 0),
					  "freedMaxBytes", (json_int_t)(plan->saved_max + memory), "bytesPerSecond",
					  (json_int_t)rate, "measured", measured, "seconds",
					  (json_int_t)pace_seconds(copied, rate)));
	return obj;
}

int view_delete_plan(const struct machine *m, const struct guid *snap, const char *scope, int into_base,
		     json_t **ret_json, struct err *reterr)
{
	_cleanup_(holdings_done) struct holdings h = { 0 };
	_cleanup_(plan_done) struct plan plan = { 0 };
	_cleanup_free_ struct guid *guids = NULL;
	int64_t available = 0;
	size_t n = 0;
	int r = snapshot_scope(m, snap, scope, &guids, &n, reterr);

	if (!r)
		r = holdings_read(m, &h, reterr);
	if (!r && into_base)
		holdings_into_base(&h);
	if (!r)
		r = holdings_plan(&h, guids, n, &plan, reterr);
	if (!r)
		r = disk_free(m->dir->root, &available, reterr);
	if (!r)
		*ret_json = plan_object(&h, guids, n, &plan, available);
	return r;
}
