/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Methods about VMs. */
#include <string.h>

#include "common/alloc.h"
#include "daemon/catalog.h"
#include "daemon/hv.h"
#include "daemon/op-vm.h"
#include "daemon/rpc-request.h"
#include "daemon/rpc-view.h"
#include "xmlcfg/domain.h"

static int list_answer(struct request *req, json_t **ret_out, struct err *reterr)
{
	json_t *vms;
	int r = view_vms(req->daemon, &vms, reterr);

	if (r < 0)
		return r;
	*ret_out = json_pack("{s:o}", "vms", vms);
	return 0;
}

static int console_answer(struct request *req, json_t **ret_out, struct err *reterr)
{
	_cleanup_domain_ struct domain *dom = NULL;
	_cleanup_free_ char *xml = NULL, *pty = NULL;
	enum hv_state state;
	int r = hv_state(req->daemon->hv, &req->vm.guid, &state, reterr);

	if (!r && state != HV_RUNNING && state != HV_PAUSED)
		r = err_full(reterr, ERR_REFUSED, -EINVAL, req->vm.name, NULL, "Start it first",
			     "VM '%s' has no console: it is not running", req->vm.name);
	if (!r)
		r = hv_xml(req->daemon->hv, &req->vm.guid, HV_XML_LIVE, &xml, reterr);
	if (!r)
		r = domain_parse(xml, &dom, reterr);
	if (r < 0)
		return r;
	pty = domain_console_pty(dom);
	if (!pty)
		return err_full(reterr, ERR_REFUSED, -ENOENT, req->vm.name, NULL,
				"Add one with 'virsh edit': <serial type='pty'/>",
				"VM '%s' has no serial console on a terminal", req->vm.name);
	*ret_out = json_pack("{s:s}", "path", pty);
	return 0;
}

static int create_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;
	struct vm_spec spec = {
		.name = request_string(req, "name"),
		.notes = request_string(req, "notes"),
		.memory = request_int(req, "memoryBytes", 0),
		.disk = request_int(req, "diskBytes", 0),
		.import_disk = request_string(req, "importDisk"),
		.import_format = request_string(req, "importFormat"),
		.cdrom = request_string(req, "cdrom"),
		.network = request_string(req, "network"),
		.console_log = request_string(req, "consoleLog"),
		.uefi = request_bool(req, "uefi", 0),
		.tpm = request_bool(req, "tpm", 0),
	};
	int64_t vcpus = request_int(req, "vcpus", 1);

	spec.vcpus = vcpus < 0 || vcpus > 1 << 20 ? 0 : (int)vcpus;
	return vm_create(req->daemon, &spec, job, &req->vm.guid, reterr);
}

static int adopt_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;

	return vm_adopt(req->daemon, request_string(req, "domain"), request_bool(req, "convert", 0), job,
			&req->vm.guid, reterr);
}

static int start_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;
	struct start_spec spec = {
		.paused = request_bool(req, "paused", 0),
		.discard_saved = request_bool(req, "discardSaved", 0),
		.keep_time = !request_bool(req, "syncTime", 1),
	};

	return vm_start(req->daemon, req->dir, &spec, job, reterr);
}

static int shutdown_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;

	return vm_shutdown(req->daemon, req->dir, request_bool(req, "wait", 0), job, reterr);
}

static int stop_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;

	return vm_stop(req->daemon, req->dir, job, reterr);
}

static int save_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;

	return vm_save(req->daemon, req->dir, job, reterr);
}

static int resume_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;

	return vm_resume(req->daemon, req->dir, !request_bool(req, "syncTime", 1), job, reterr);
}

static int rename_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;

	return vm_rename(req->daemon, req->dir, request_string(req, "name"), job, reterr);
}

static int delete_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;

	return vm_delete(req->daemon, req->dir, request_bool(req, "force", 0), job, reterr);
}

#define JOB(word, fn) { .operation = word, .needs_vm = 1, .body = fn, .answer = request_answer_vm }

static const struct request_kind list_kind = { .answer = list_answer };
static const struct request_kind get_kind = { .needs_vm = 1, .answer = request_answer_vm };
static const struct request_kind console_kind = { .needs_vm = 1, .answer = console_answer };
static const struct request_kind create_kind = { .operation = "vm create", .new_key = "name", .body = create_body,
						 .answer = request_answer_vm };
static const struct request_kind adopt_kind = { .operation = "vm adopt", .new_key = "domain", .body = adopt_body,
						.answer = request_answer_vm };
static const struct request_kind start_kind = JOB("vm start", start_body);
static const struct request_kind shutdown_kind = JOB("vm shutdown", shutdown_body);
static const struct request_kind stop_kind = JOB("vm stop", stop_body);
static const struct request_kind save_kind = JOB("vm save", save_body);
static const struct request_kind resume_kind = JOB("vm resume", resume_body);
static const struct request_kind rename_kind = JOB("vm rename", rename_body);
static const struct request_kind delete_kind = { .operation = "vm delete", .needs_vm = 1, .body = delete_body,
						 .answer = request_answer_nothing };

#define METHOD(fn, kind)                                                     \
	static void fn(struct rpc_call *call, json_t *params, void *ctx)     \
	{                                                                    \
		request_start(&kind, call, params, ctx);                     \
	}

METHOD(list_vms, list_kind)
METHOD(get_vm, get_kind)
METHOD(get_console, console_kind)
METHOD(create_vm, create_kind)
METHOD(adopt_vm, adopt_kind)
METHOD(start_vm, start_kind)
METHOD(shutdown_vm, shutdown_kind)
METHOD(stop_vm, stop_kind)
METHOD(save_vm, save_kind)
METHOD(resume_vm, resume_kind)
METHOD(rename_vm, rename_kind)
METHOD(delete_vm, delete_kind)

const struct rpc_method rpc_vm_methods[] = {
	{ "ListVMs", list_vms },     { "GetVM", get_vm },	    { "GetConsole", get_console },
	{ "CreateVM", create_vm },   { "AdoptVM", adopt_vm },	    { "StartVM", start_vm },
	{ "ShutdownVM", shutdown_vm }, { "StopVM", stop_vm },	    { "SaveVM", save_vm },
	{ "ResumeVM", resume_vm },   { "RenameVM", rename_vm },	    { "DeleteVM", delete_vm },
	{ NULL, NULL },
};
