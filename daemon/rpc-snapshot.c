/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Methods about snapshots. */
#include <string.h>

#include "common/alloc.h"
#include "daemon/catalog.h"
#include "daemon/merges.h"
#include "daemon/op-snapshot.h"
#include "daemon/rpc-request.h"
#include "daemon/rpc-view.h"
#include "varlink/message.h"
#include "xmlcfg/config.h"

static int list_answer(struct request *req, json_t **ret_out, struct err *reterr)
{
	json_t *vm, *snapshots;
	int r = view_snapshots(req->daemon, &req->vm, &snapshots, reterr);

	if (r < 0)
		return r;
	r = view_vm(req->daemon, &req->vm.guid, 0, &vm, reterr);
	if (r < 0)
		json_decref(snapshots);
	else
		*ret_out = json_pack("{s:o, s:o}", "vm", vm, "snapshots", snapshots);
	return r;
}

/* Only the snapshot's own document changes: one atomic replacement, no job. */
static int rename_answer(struct request *req, json_t **ret_out, struct err *reterr)
{
	_cleanup_free_ char *path = vmdir_snapshot_config(req->dir, &req->snapshot);
	const char *notes = request_string(req, "notes");
	_cleanup_config_ struct config *cfg = NULL;
	int r = config_check_snapshot_name(request_string(req, "name"), reterr);

	if (!r)
		r = config_read(path, &cfg, reterr);
	if (r < 0)
		return r;
	xstrset(&cfg->name, request_string(req, "name"));
	if (notes)
		xstrset(&cfg->notes, *notes ? notes : NULL);
	r = config_write(cfg, path, reterr);
	if (r < 0)
		return r;
	catalog_touch(req->daemon->catalog, &req->vm.guid);
	return request_answer_snapshot(req, ret_out, reterr);
}

static int diagnose_answer(struct request *req, json_t **ret_out, struct err *reterr)
{
	_cleanup_machine_ struct machine *m = NULL;
	_cleanup_free_ char *reason = NULL;
	_cleanup_strv_ char **problems = NULL;
	const char *mode = NULL;
	int r = machine_open(req->daemon, req->dir, 0, &m, reterr);

	if (!r)
		r = snapshot_mode(m, &mode, &reason, reterr);
	if (r < 0)
		return r;
	problems = machine_problems(m);
	*ret_out = json_pack("{s:s, s:o}", "mode", mode, "problems",
			     problems && problems[0] ? view_strings(problems) : json_array());
	if (reason)
		json_object_set_new(*ret_out, "reason", vl_string(reason));
	return 0;
}

static int create_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;
	struct snapshot_spec spec = {
		.name = request_string(req, "name"),
		.notes = request_string(req, "notes"),
		.mode = request_string(req, "mode"),
		.no_memory = !request_bool(req, "memory", 1),
		.quiesce = request_bool(req, "quiesce", 0),
		.max_pause = request_int(req, "maxPauseMSec", -1),
		.force = request_bool(req, "force", 0),
	};

	return snapshot_create(req->daemon, req->dir, &spec, job, &req->snapshot, reterr);
}

static int apply(struct request *req, struct job *job, const struct guid *snap, struct err *reterr)
{
	const char *present = request_string(req, "present");
	struct apply_spec spec = {
		.snapshot = snap,
		.save_present = present && strcmp(present, "save") == 0,
		.keep_time = !request_bool(req, "syncTime", 1),
		.force = request_bool(req, "force", 0),
	};

	if (!spec.save_present && (!present || strcmp(present, "discard") != 0))
		return err_set(reterr, ERR_INVALID, -EINVAL, "'present' must be \"save\" or \"discard\", not '%s'",
			       present ? present : "");
	return snapshot_apply(req->daemon, req->dir, &spec, job, NULL, reterr);
}

static int apply_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;

	return apply(req, job, &req->snapshot, reterr);
}

static int revert_body(struct job *job, void *arg, struct err *reterr)
{
	return apply(arg, job, NULL, reterr);
}

/* It can be paused once nothing is left to do but merging. */
static int delete_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;
	struct delete_spec spec = {
		.snapshot = &req->snapshot,
		.scope = request_string(req, "scope"),
		.into_base = request_bool(req, "intoBase", 0),
		.force = request_bool(req, "force", 0),
	};
	int r = 0;

	if (!req->began)
		r = snapshot_delete_scope(req->daemon, req->dir, &spec, job, reterr);
	if (r < 0)
		return r;
	if (!req->began)
		merges_warn_paused(req->daemon, &req->vm.guid, job);
	req->began = 1;
	if (!spec.into_base)
		return 0;
	job_let_pause(job);
	return merges_into_base(req->daemon, req->dir, job, reterr);
}

/* The VM as it is now, and the snapshot that was taken of the present before. */
static int apply_answer(struct request *req, json_t **ret_out, struct err *reterr)
{
	_cleanup_json_ json_t *out = NULL;
	struct guid saved;
	json_t *view;
	struct index_vm vm;
	int r = request_answer_vm(req, &out, reterr);

	if (!r && job_get_result(req->job, "saved", &saved) == 0) {
		r = catalog_find_vm(req->daemon->catalog, req->vm.guid.s, &vm, reterr);
		if (r < 0)
			return r;
		r = view_snapshot(req->daemon, &vm, &saved, &view, reterr);
		index_vm_done(&vm);
		if (!r)
			json_object_set_new(out, "saved", view);
	}
	if (!r)
		*ret_out = TAKE_PTR(out);
	return r;
}

static const struct request_kind list_kind = { .needs_vm = 1, .answer = list_answer };
static const struct request_kind get_kind = { .needs_vm = 1, .needs_snapshot = 1, .answer = request_answer_snapshot };
static const struct request_kind rename_kind = { .needs_vm = 1, .needs_snapshot = 1, .may_be_busy = 1,
						 .answer = rename_answer };
static const struct request_kind diagnose_kind = { .needs_vm = 1, .may_be_busy = 1, .answer = diagnose_answer };
static const struct request_kind create_kind = { .operation = "snapshot create", .needs_vm = 1, .body = create_body,
						 .answer = request_answer_snapshot };
static const struct request_kind apply_kind = { .operation = "snapshot apply", .needs_vm = 1, .needs_snapshot = 1,
						.body = apply_body, .answer = apply_answer };
static const struct request_kind revert_kind = { .operation = "snapshot revert", .needs_vm = 1, .body = revert_body,
						 .answer = apply_answer };
static const struct request_kind delete_kind = { .operation = "snapshot delete", .needs_vm = 1, .needs_snapshot = 1,
						 .body = delete_body, .answer = request_answer_nothing };

#define METHOD(fn, kind)                                                     \
	static void fn(struct rpc_call *call, json_t *params, void *ctx)     \
	{                                                                    \
		request_start(&kind, call, params, ctx);                     \
	}

METHOD(list_snapshots, list_kind)
METHOD(get_snapshot, get_kind)
METHOD(rename_snapshot, rename_kind)
METHOD(diagnose_vm, diagnose_kind)
METHOD(create_snapshot, create_kind)
METHOD(apply_snapshot, apply_kind)
METHOD(revert_vm, revert_kind)
METHOD(delete_snapshot, delete_kind)

const struct rpc_method rpc_snapshot_methods[] = {
	{ "ListSnapshots", list_snapshots },
	{ "GetSnapshot", get_snapshot },
	{ "RenameSnapshot", rename_snapshot },
	{ "DiagnoseVM", diagnose_vm },
	{ "CreateSnapshot", create_snapshot },
	{ "ApplySnapshot", apply_snapshot },
	{ "RevertVM", revert_vm },
	{ "DeleteSnapshot", delete_snapshot },
	{ NULL, NULL },
};
