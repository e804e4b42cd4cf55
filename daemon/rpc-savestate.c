/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Methods about save states. */
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/catalog.h"
#include "daemon/rpc-request.h"
#include "daemon/rpc-view-savestate.h"
#include "daemon/savestates.h"

/* The document that is meant: of the snapshot, or of the VM itself. */
static int find_config(const struct request *req, struct config **ret_cfg, struct err *reterr)
{
	return savestate_config(req->dir, guid_is_none(&req->snapshot) ? NULL : &req->snapshot, ret_cfg, reterr);
}

static int view_answer(struct request *req, json_t **ret_out, struct err *reterr)
{
	_cleanup_config_ struct config *cfg = NULL;
	int r = find_config(req, &cfg, reterr);

	if (r < 0)
		return r;
	*ret_out = json_pack("{s:o}", "saveState", view_savestate(req->dir, cfg));
	return 0;
}

/* What the body left. */
static int result_answer(struct request *req, json_t **ret_out, struct err *reterr _unused_)
{
	*ret_out = json_incref(req->result);
	return 0;
}

static int verify_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;
	_cleanup_config_ struct config *cfg = NULL;
	int r = find_config(req, &cfg, reterr);

	return r < 0 ? r : savestate_verify(req->dir, cfg, job, reterr);
}

static int extract_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;
	struct savestate_target target = { .path = request_string(req, "path"), .uid = req->uid, .gid = req->gid };
	_cleanup_config_ struct config *cfg = NULL;
	_cleanup_vsv_ struct vsv *vsv = NULL;
	int r = find_config(req, &cfg, reterr);

	if (r >= 0)
		r = savestate_extract(req->dir, cfg, &target, job, &vsv, reterr);
	if (r < 0)
		return r;
	req->result = json_pack("{s:I, s:I, s:o}", "bytes", (json_int_t)vsv_info(vsv)->bin_size, "allocatedBytes",
				(json_int_t)file_allocated(target.path), "blocks", view_ram_blocks(vsv_info(vsv)));
	return 0;
}

/* The document of the save state that a parameter names; absent: the VM's own. */
static int find_named(const struct request *req, const char *parameter, struct config **ret_cfg, struct err *reterr)
{
	const char *name = request_string(req, parameter);
	struct guid snap;
	int r = name ? catalog_find_snapshot(req->daemon->catalog, &req->vm, name, &snap, reterr) : 0;

	return r < 0 ? r : savestate_config(req->dir, name ? &snap : NULL, ret_cfg, reterr);
}

static int compare_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;
	_cleanup_config_ struct config *first = NULL, *second = NULL;
	struct join_diff diff;
	int r = find_named(req, "first", &first, reterr);

	if (r >= 0)
		r = find_named(req, "second", &second, reterr);
	job_phase(job, "comparing pages");
	if (r >= 0)
		r = savestate_compare(req->dir, first, second, &diff, reterr);
	if (r < 0)
		return r;
	req->result = json_pack("{s:{s:i, s:I, s:I, s:I, s:I}}", "difference", "pageBytes", VSV_PAGE, "samePages",
				(json_int_t)diff.same, "changedPages", (json_int_t)diff.changed, "onlyFirstPages",
				(json_int_t)diff.only_first, "onlySecondPages", (json_int_t)diff.only_second);
	return 0;
}

static int pack(struct job *job, struct request *req, int packed, struct err *reterr)
{
	_cleanup_config_ struct config *cfg = NULL;
	int r = find_config(req, &cfg, reterr);

	if (r >= 0)
		r = savestate_pack(req->dir, cfg, packed, job, reterr);
	catalog_touch(req->daemon->catalog, &req->vm.guid);
	return r;
}

static int pack_body(struct job *job, void *arg, struct err *reterr)
{
	return pack(job, arg, 1, reterr);
}

static int unpack_body(struct job *job, void *arg, struct err *reterr)
{
	return pack(job, arg, 0, reterr);
}

static const struct request_kind get_kind = { .needs_vm = 1, .needs_snapshot = 1, .answer = view_answer };
static const struct request_kind verify_kind = { .operation = "savestate verify", .needs_vm = 1, .needs_snapshot = 1,
						 .body = verify_body, .answer = view_answer };
static const struct request_kind extract_kind = { .operation = "savestate extract", .needs_vm = 1,
						  .needs_snapshot = 1, .body = extract_body,
						  .answer = result_answer };
static const struct request_kind compare_kind = { .operation = "savestate diff", .needs_vm = 1, .body = compare_body,
						  .answer = result_answer };

static const struct request_kind pack_kind = { .operation = "savestate pack", .needs_vm = 1, .needs_snapshot = 1,
					       .body = pack_body, .answer = view_answer };
static const struct request_kind unpack_kind = { .operation = "savestate unpack", .needs_vm = 1, .needs_snapshot = 1,
						 .body = unpack_body, .answer = view_answer };

#define METHOD(fn, kind)                                                     \
	static void fn(struct rpc_call *call, json_t *params, void *ctx)     \
	{                                                                    \
		request_start(&kind, call, params, ctx);                     \
	}

METHOD(get_save_state, get_kind)
METHOD(verify_save_state, verify_kind)
METHOD(extract_memory, extract_kind)
METHOD(compare_save_states, compare_kind)
METHOD(pack_save_state, pack_kind)
METHOD(unpack_save_state, unpack_kind)

const struct rpc_method rpc_savestate_methods[] = {
	{ "GetSaveState", get_save_state },
	{ "VerifySaveState", verify_save_state },
	{ "ExtractMemory", extract_memory },
	{ "CompareSaveStates", compare_save_states },
	{ "PackSaveState", pack_save_state },
	{ "UnpackSaveState", unpack_save_state },
	{ NULL, NULL },
};
