/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs and jobs as JSON. */
#include "daemon/rpc-view.h"

#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "daemon/hv.h"
#include "daemon/machine.h"
#include "daemon/rpc-view-disk.h"
#include "daemon/rpc.h"
#include "varlink/message.h"
#include "xmlcfg/config.h"
#include "xmlcfg/domain.h"

json_t *view_strings(char *const *v)
{
	json_t *list;

	if (!v || !v[0])
		return NULL;
	list = json_array();
	for (size_t i = 0; v[i]; i++)
		json_array_append_new(list, vl_string(v[i]));
	return list;
}

static void set_int(json_t *obj, const char *key, int64_t value, int64_t unknown)
{
	if (value != unknown)
		json_object_set_new(obj, key, json_integer(value));
}

static void set_text(json_t *obj, const char *key, const char *value)
{
	if (value && *value)
		json_object_set_new(obj, key, vl_string(value));
}

json_t *view_job(const struct job_view *job)
{
	json_t *obj = json_pack("{s:s, s:s, s:o, s:s}", "id", job->id, "operation", job->operation, "vm",
				vl_string(job->vm), "state", job_state_name(job->state));

	set_text(obj, "vmId", job->vm_id.s);
	set_text(obj, "phase", job->phase);
	set_int(obj, "bytesDone", job->bytes_done, -1);
	set_int(obj, "bytesTotal", job->bytes_total, -1);
	set_int(obj, "startedUSec", job->started_usec, 0);
	set_int(obj, "finishedUSec", job->finished_usec, 0);
	if (err_is_set(&job->err)) {
		set_text(obj, "error", rpc_error_name(job->err.kind));
		set_text(obj, "errorMessage", job->err.message);
		set_text(obj, "hint", job->err.hint);
	}
	if (job->warnings)
		json_object_set_new(obj, "warnings", view_strings(job->warnings));
	return obj;
}

static json_t *past_job(const struct index_job *job)
{
	json_t *obj = json_pack("{s:s, s:s, s:s, s:s}", "id", job->id, "operation", job->operation, "vm",
				job->vm ? job->vm : "", "state", job->state);

	set_int(obj, "startedUSec", job->started_usec, 0);
	set_int(obj, "finishedUSec", job->finished_usec, 0);
	set_text(obj, "errorMessage", job->message);
	return obj;
}

static int same_vm(const struct job_view *view, const char *vm)
{
	return !vm || strcmp(view->vm, vm) == 0 || strcasecmp(view->vm_id.s, vm) == 0;
}

/* The history, without those that are still known here. */
static int add_past(struct daemon *daemon, const char *vm, json_t *list, struct err *reterr)
{
	struct index_job *past;
	size_t n;
	int r = catalog_jobs(daemon->catalog, 50, &past, &n, reterr);

	if (r < 0)
		return r;
	for (size_t i = n; i-- > 0;) {
		_cleanup_job_ struct job *known = jobs_find(daemon->jobs, past[i].id);

		if (!known && (!vm || (past[i].vm && strcmp(past[i].vm, vm) == 0)))
			json_array_append_new(list, past_job(&past[i]));
	}
	index_jobs_free(past, n);
	return 0;
}

int view_jobs(struct daemon *daemon, const char *vm, json_t **ret_json, struct err *reterr)
{
	_cleanup_json_ json_t *list = json_array();
	struct job **jobs;
	size_t n;
	int r = add_past(daemon, vm, list, reterr);

	if (r < 0)
		return r;
	jobs_list(daemon->jobs, &jobs, &n);
	for (size_t i = 0; i < n; i++) {
		struct job_view view;

		job_look(jobs[i], &view);
		if (same_vm(&view, vm))
			json_array_append_new(list, view_job(&view));
		job_view_done(&view);
		job_unref(jobs[i]);
	}
	cleanup_free(&jobs);
	*ret_json = TAKE_PTR(list);
	return 0;
}

static const char *state_name(enum hv_state state, int saved)
{
	switch (state) {
	case HV_ABSENT:
		return "undefined";
	case HV_OFF:
		return saved ? "saved" : "off";
	case HV_RUNNING:
		return "running";
	case HV_PAUSED:
		return "paused";
	case HV_STOPPING:
		return "stopping";
	case HV_CRASHED:
		return "crashed";
	}
	return "unknown";
}

static int count_snapshots(struct daemon *daemon, const struct index_vm *vm, const char **ret_now_name,
			   char **ret_owned)
{
	struct index_snapshot *snaps;
	size_t n;

	*ret_now_name = NULL;
	if (catalog_snapshots(daemon->catalog, vm, &snaps, &n, NULL) < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (guid_eq(&snaps[i].guid, &vm->now))
			*ret_now_name = *ret_owned = xstrdup(snaps[i].name);
	index_snapshots_free(snaps, n);
	return (int)n;
}

/* state: NULL when the hypervisor cannot be asked. */
static json_t *vm_object(struct daemon *daemon, const struct index_vm *vm, const char *state)
{
	_cleanup_strv_ char **problems = catalog_problems(daemon->catalog, &vm->guid);
	_cleanup_free_ char *holder = jobs_holder(daemon->jobs, vm->guid.s), *owned = NULL;
	const char *now_name;
	int n = count_snapshots(daemon, vm, &now_name, &owned);
	json_t *obj = json_pack("{s:o, s:s, s:s, s:o, s:i}", "name", vl_string(vm->name), "id", vm->guid.s, "state",
				state ? state : "unknown", "directory", vl_string(vm->root), "snapshots", n);

	set_text(obj, "now", vm->now.s);
	set_text(obj, "nowName", now_name);
	set_text(obj, "memoryBlocker", vm->blocker);
	set_text(obj, "job", holder);
	if (problems)
		json_object_set_new(obj, "problems", view_strings(problems));
	return obj;
}

int view_vms(struct daemon *daemon, json_t **ret_json, struct err *reterr)
{
	struct hv_domain *domains = NULL;
	struct index_vm *vms;
	size_t n, n_domains = 0;
	int up, r = catalog_vms(daemon->catalog, &vms, &n, reterr);

	if (r < 0)
		return r;
	up = hv_list(daemon->hv, &domains, &n_domains, NULL) == 0;
	*ret_json = json_array();
	for (size_t i = 0; i < n; i++) {
		enum hv_state state = HV_ABSENT;

		for (size_t k = 0; k < n_domains; k++)
			if (guid_eq(&domains[k].guid, &vms[i].guid))
				state = domains[k].state;
		json_array_append_new(*ret_json,
				      vm_object(daemon, &vms[i], up ? state_name(state, vms[i].saved) : NULL));
	}
	hv_domains_free(domains, n_domains);
	index_vms_free(vms, n);
	return 0;
}

static void add_domain_facts(json_t *obj, const struct config *cfg)
{
	_cleanup_domain_ struct domain *dom = NULL;
	struct domain_firmware fw;

	if (domain_parse(cfg->domain_xml, &dom, NULL) < 0)
		return;
	set_int(obj, "memoryBytes", domain_memory(dom), 0);
	set_int(obj, "vcpus", domain_vcpus(dom), 0);
	domain_get_firmware(dom, &fw);
	set_text(obj, "firmware", fw.pflash ? "uefi" : "bios");
	json_object_set_new(obj, "tpm", json_boolean(fw.tpm));
	domain_firmware_done(&fw);
}

static void add_detail(json_t *obj, const struct index_vm *vm)
{
	_cleanup_vmdir_ struct vmdir *dir = vmdir_new(vm->root, &vm->guid);
	_cleanup_free_ char *path = vmdir_config(dir);
	_cleanup_config_ struct config *cfg = NULL;

	if (config_read(path, &cfg, NULL) < 0)
		return; /* among the VM's problems already */
	set_text(obj, "notes", cfg->notes);
	set_int(obj, "createdUSec", cfg->created_usec, 0);
	add_domain_facts(obj, cfg);
	json_object_set_new(obj, "disks", view_disks(dir, cfg));
}

/* What the domain and the disks say, besides the documents. */
static void add_problems(struct daemon *daemon, json_t *obj, const struct index_vm *vm)
{
	_cleanup_vmdir_ struct vmdir *dir = vmdir_new(vm->root, &vm->guid);
	_cleanup_machine_ struct machine *m = NULL;
	_cleanup_strv_ char **problems = NULL;
	json_t *list = json_object_get(obj, "problems");

	if (json_object_get(obj, "job") || machine_open(daemon, dir, 0, &m, NULL) < 0)
		return; /* what our own job does is no problem;  a damaged document is among the problems already; or nobody can be asked */
	problems = machine_problems(m);
	if (!list && problems) {
		list = json_array();
		json_object_set_new(obj, "problems", list);
	}
	for (size_t i = 0; problems && problems[i]; i++)
		json_array_append_new(list, vl_string(problems[i]));
}

int view_vm(struct daemon *daemon, const struct guid *vm, int detail, json_t **ret_json, struct err *reterr)
{
	struct index_vm row;
	enum hv_state state;
	int up, r = catalog_find_vm(daemon->catalog, vm->s, &row, reterr);

	if (r < 0)
		return r;
	up = hv_state(daemon->hv, vm, &state, NULL) == 0;
	*ret_json = vm_object(daemon, &row, up ? state_name(state, row.saved) : NULL);
	if (detail) {
		add_detail(*ret_json, &row);
		add_problems(daemon, *ret_json, &row);
	}
	index_vm_done(&row);
	return 0;
}
