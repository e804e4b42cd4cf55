/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Methods about chains of images: what there is, what it costs, what would become of it. */
#include "daemon/machine.h"
#include "daemon/merges.h"
#include "daemon/rpc-request.h"
#include "daemon/rpc-view-plan.h"

static int chains_answer(struct request *req, json_t **ret_out, struct err *reterr)
{
	_cleanup_machine_ struct machine *m = NULL;
	json_t *disks;
	int r = machine_open(req->daemon, req->dir, 0, &m, reterr);

	if (!r)
		r = view_disk_trees(m, &disks, reterr);
	if (!r)
		*ret_out = json_pack("{s:o}", "disks", disks);
	return r;
}

static int usage_answer(struct request *req, json_t **ret_out, struct err *reterr)
{
	_cleanup_machine_ struct machine *m = NULL;
	json_t *usage;
	int r = machine_open(req->daemon, req->dir, 0, &m, reterr);

	if (!r)
		r = view_disk_usage(m, &usage, reterr);
	if (!r)
		*ret_out = json_pack("{s:o}", "usage", usage);
	return r;
}

static int plan_answer(struct request *req, json_t **ret_out, struct err *reterr)
{
	_cleanup_machine_ struct machine *m = NULL;
	json_t *plan;
	int r = machine_open(req->daemon, req->dir, 0, &m, reterr);

	if (!r)
		r = view_delete_plan(m, &req->snapshot, request_string(req, "scope"), request_bool(req, "intoBase", 0),
				     &plan, reterr);
	if (!r)
		*ret_out = json_pack("{s:o}", "plan", plan);
	return r;
}

static int flatten_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;

	return merges_flatten(req->daemon, req->dir, &req->snapshot, request_bool(req, "force", 0), job, reterr);
}

static const struct request_kind flatten_kind = { .operation = "disk flatten", .needs_vm = 1, .needs_snapshot = 1,
						  .may_pause = 1, .body = flatten_body, .answer = request_answer_nothing };
static const struct request_kind chains_kind = { .needs_vm = 1, .answer = chains_answer };
static const struct request_kind usage_kind = { .needs_vm = 1, .answer = usage_answer };
static const struct request_kind plan_kind = { .needs_vm = 1, .needs_snapshot = 1, .answer = plan_answer };

#define METHOD(fn, kind)                                                     \
	static void fn(struct rpc_call *call, json_t *params, void *ctx)     \
	{                                                                    \
		request_start(&kind, call, params, ctx);                     \
	}

METHOD(get_disk_chains, chains_kind)
METHOD(get_disk_usage, usage_kind)
METHOD(plan_delete, plan_kind)
METHOD(flatten_disks, flatten_kind)

const struct rpc_method rpc_disk_methods[] = {
	{ "GetDiskChains", get_disk_chains },
	{ "GetDiskUsage", get_disk_usage },
	{ "PlanDelete", plan_delete },
	{ "FlattenDisks", flatten_disks },
	{ NULL, NULL },
};
