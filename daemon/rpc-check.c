/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Methods that check and repair. */
#include "common/alloc.h"
#include "daemon/catalog.h"
#include "daemon/check.h"
#include "daemon/op-repair.h"
#include "daemon/rpc-request.h"
#include "varlink/message.h"

static void set_text(json_t *obj, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(obj, key, vl_string(text));
}

/* Appends the findings of one VM (NULL: of the store). */
static void add_findings(json_t *list, const struct index_vm *vm, const struct check_report *rep)
{
	for (size_t i = 0; i < rep->n; i++) {
		const struct check_finding *f = &rep->finding[i];
		const struct check_rule *rule = check_rule(f->id);
		json_t *obj = json_pack("{s:s, s:s, s:o, s:b}", "id", rule->word, "severity",
					check_severity_name(rule->severity), "text", vl_string(f->text), "repairable",
					!rule->why);

		set_text(obj, "vm", vm ? vm->name : NULL);
		set_text(obj, "vmId", vm ? vm->guid.s : NULL);
		set_text(obj, "file", f->file);
		set_text(obj, "hint", rule->advice);
		set_text(obj, "reason", rule->why);
		json_array_append_new(list, obj);
	}
}

/* The VMs that a call is about; *owned* array. Returns 0 or negative errno. */
static int find_vms(const struct request *req, struct index_vm **ret_vms, size_t *ret_n, struct err *reterr)
{
	struct index_vm *vms;
	int r;

	if (!req->dir)
		return catalog_vms(req->daemon->catalog, ret_vms, ret_n, reterr);
	vms = xcalloc(1, sizeof(*vms));
	r = catalog_find_vm(req->daemon->catalog, req->vm.guid.s, vms, reterr);
	if (r < 0) {
		cleanup_free(&vms);
		return r;
	}
	*ret_vms = vms;
	*ret_n = 1;
	return 0;
}

static int check_one(struct request *req, struct job *job, const struct index_vm *vm, struct err *reterr)
{
	_cleanup_check_report_ struct check_report rep = { 0 };
	struct check_options opts = { .deep = request_bool(req, "deep", 0) };
	int r = check_vm(req->daemon, vm, &opts, job, &rep, reterr);

	if (r < 0)
		return r;
	json_array_append_new(json_object_get(req->result, "vms"), vl_string(vm->name));
	add_findings(json_object_get(req->result, "findings"), vm, &rep);
	if (rep.cut)
		json_object_set_new(req->result, "truncated", json_true());
	return 0;
}

static int check_all(struct request *req, struct err *reterr)
{
	_cleanup_check_report_ struct check_report rep = { 0 };
	int r = check_store(req->daemon, &rep, reterr);

	add_findings(json_object_get(req->result, "findings"), NULL, &rep);
	return r;
}

static int check_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;
	struct index_vm *vms = NULL;
	size_t n = 0;
	int r = find_vms(req, &vms, &n, reterr);

	req->result = json_pack("{s:[], s:[]}", "vms", "findings");
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = check_one(req, job, &vms[i], reterr);
	if (r >= 0 && !req->dir)
		r = check_all(req, reterr);
	index_vms_free(vms, n);
	return r;
}

/* What the body left. */
static int result_answer(struct request *req, json_t **ret_out, struct err *reterr _unused_)
{
	*ret_out = json_incref(req->result);
	return 0;
}

/* Without a VM each is held from when its turn comes; one that somebody works on is left out. */
static int claim(struct request *req, struct job *job, const struct index_vm *vm, int dry_run,
		 struct check_report *left, struct err *reterr)
{
	struct check_options look = { .own_job = job_id(job) };
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_vmdir_ struct vmdir *dir = vmdir_new(vm->root, &vm->guid);
	int r;

	if (dry_run || req->dir)
		return 1;
	if (job_claim(job, vm->guid.s, vm->name, &err) < 0) {
		check_add(left, CHECK_BUSY, NULL, "VM '%s' was left alone: %s", vm->name, err.message);
		return 0;
	}
	r = catalog_refuse_twin(req->daemon->catalog, &vm->guid, &err);
	if (r >= 0)
		r = op_recover(req->daemon, dir, job, &err);
	if (r >= 0)
		return 1;
	job_warn(job, "VM '%s' was left alone: %s", vm->name, err.message);
	return check_vm(req->daemon, vm, &look, job, left, reterr);
}

static void add_repairs(json_t *list, const struct index_vm *vm, const struct check_report *done)
{
	for (size_t i = 0; i < done->n; i++) {
		json_t *obj = json_pack("{s:s, s:o}", "id", check_rule(done->finding[i].id)->word, "text",
					vl_string(done->finding[i].text));

		set_text(obj, "vm", vm->name);
		set_text(obj, "file", done->finding[i].file);
		json_array_append_new(list, obj);
	}
}

static int repair_one(struct request *req, struct job *job, const struct index_vm *vm, struct err *reterr)
{
	_cleanup_check_report_ struct check_report done = { 0 }, left = { 0 };
	struct repair_options opts = { .dry_run = request_bool(req, "dryRun", 0),
				       .accept = request_string(req, "acceptDrift") };
	int r = claim(req, job, vm, opts.dry_run, &left, reterr);

	if (r > 0)
		r = vm_repair(req->daemon, vm, &opts, job, &done, &left, reterr);
	if (r < 0)
		return r;
	json_array_append_new(json_object_get(req->result, "vms"), vl_string(vm->name));
	add_repairs(json_object_get(req->result, "repairs"), vm, &done);
	add_findings(json_object_get(req->result, "findings"), vm, &left);
	if (left.cut)
		json_object_set_new(req->result, "truncated", json_true());
	return 0;
}

static int repair_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;
	struct index_vm *vms = NULL;
	size_t n = 0;
	int r;

	if (!req->dir && request_string(req, "acceptDrift"))
		return err_set(reterr, ERR_INVALID, -EINVAL, "it is not said of which VM the disk '%s' is",
			       request_string(req, "acceptDrift"));
	r = find_vms(req, &vms, &n, reterr);
	req->result = json_pack("{s:[], s:[], s:[]}", "vms", "repairs", "findings");
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = repair_one(req, job, &vms[i], reterr);
	index_vms_free(vms, n);
	return r;
}

static const struct request_kind check_kind = { .operation = "check", .needs_vm = 1, .all = 1, .beside = 1,
						.body = check_body, .answer = result_answer };

static const struct request_kind repair_kind = { .operation = "repair", .needs_vm = 1, .all = 1, .body = repair_body,
						 .answer = result_answer };
static const struct request_kind dry_run_kind = { .operation = "repair --dry-run", .needs_vm = 1, .all = 1,
						  .beside = 1, .body = repair_body, .answer = result_answer };

static void check(struct rpc_call *call, json_t *params, void *ctx)
{
	request_start(&check_kind, call, params, ctx);
}

/* Only telling what would be done is as good as a check. */
static void repair(struct rpc_call *call, json_t *params, void *ctx)
{
	int dry_run = json_is_true(json_object_get(params, "dryRun"));

	request_start(dry_run ? &dry_run_kind : &repair_kind, call, params, ctx);
}

const struct rpc_method rpc_check_methods[] = {
	{ "CheckVM", check },
	{ "RepairVM", repair },
	{ NULL, NULL },
};
