/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making a VM: directory, disk, domain (which libvirt may refuse), configuration
 * (the commit). */
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "daemon/op-vm.h"
#include "layout/image.h"
#include "layout/store.h"
#include "xmlcfg/domain.h"

#define OVMF_CODE "/usr/share/OVMF/OVMF_CODE_4M.fd"
#define OVMF_VARS "/usr/share/OVMF/OVMF_VARS_4M.fd"

static int show_progress(void *arg, int64_t done, int64_t total)
{
	struct job *job = arg;

	job_progress(job, done, total);
	return job_cancelled(job);
}

static int disk_run(struct op *op, struct err *reterr)
{
	const char *import = intent_get(op->intent, "import");
	_cleanup_free_ char *path = op_path(op, "disk");
	int r;

	if (!import)
		return disk_make(path, op_int(op, "size", 0), reterr);
	r = disk_convert(import, intent_get(op->intent, "import-format"), path, show_progress, op->job, reterr);
	if (r == -ECANCELED) {
		err_done(reterr);
		r = job_check(op->job, reterr);
	}
	return r;
}

static int disk_undo(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *path = op_path(op, "disk");

	return file_remove(path, reterr);
}

static void set_string(char **to, const struct op *op, const char *key)
{
	*to = xstrdup(intent_get(op->intent, key));
}

static char *build_domain(struct op *op, const char *name, const char *disk, const char *nvram)
{
	_cleanup_free_ char *cdrom = NULL, *network = NULL, *log = NULL, *type = NULL;
	_cleanup_domain_ struct domain *dom = NULL;
	struct domain_spec spec = { .name = name, .disk_path = disk, .disk_format = "qcow2" };
	char uuid[GUID_LEN + 1];

	set_string(&cdrom, op, "cdrom");
	set_string(&network, op, "network");
	set_string(&log, op, "console-log");
	set_string(&type, op, "type");
	spec.uuid = guid_lower(&op->m->dir->guid, uuid);
	spec.type = type;
	spec.memory = op_int(op, "memory", 0);
	spec.vcpus = (int)op_int(op, "vcpus", 1);
	spec.cdrom = cdrom;
	spec.network = network;
	spec.console_log = log;
	spec.tpm = op_flag(op, "tpm");
	if (op_flag(op, "uefi")) {
		spec.loader = OVMF_CODE;
		spec.nvram_template = OVMF_VARS;
		spec.nvram = nvram;
	}
	dom = domain_build(&spec);
	return domain_format(dom);
}

/* The configuration of the new VM, into op->m. */
static void make_config(struct op *op)
{
	_cleanup_free_ char *disk = op_path(op, "disk"), *nvram = vmdir_nvram(op->m->dir);
	struct config *cfg = config_new(CONFIG_VM);
	struct config_disk *d;

	config_free(op->m->cfg);
	op->m->cfg = cfg;
	cfg->guid = cfg->vm_guid = op->m->dir->guid;
	set_string(&cfg->name, op, "name");
	set_string(&cfg->notes, op, "notes");
	cfg->created_usec = op_int(op, "created", 0);
	d = config_add_disk(cfg, "vda");
	d->pathname = vmdir_store_path(op->m->dir, disk);
	d->format = xstrdup("qcow2");
	if (op_flag(op, "uefi"))
		cfg->nvram.live = vmdir_store_path(op->m->dir, nvram);
	if (op_flag(op, "tpm"))
		cfg->tpm.live = hv_tpm_dir(op->daemon->hv, &op->m->dir->guid);
	cfg->domain_xml = build_domain(op, cfg->name, disk, nvram);
}

static int define_run(struct op *op, struct err *reterr)
{
	make_config(op);
	return machine_define(op->m, 0, reterr);
}

/* The GUID is new: a domain that has it is the one that we defined. */
static int define_undo(struct op *op, struct err *reterr)
{
	return hv_undefine(op->daemon->hv, &op->m->dir->guid, 1, reterr);
}

static int commit_run(struct op *op, struct err *reterr)
{
	return machine_commit(op->m, reterr);
}

static const struct op_step steps[] = {
	{ "disk", "making the disk", disk_run, disk_undo, "a disk that nothing uses; it is removed with the directory",
	  1 },
	{ "define", "defining the domain", define_run, define_undo, "the domain may be there; it is undefined", 1 },
	{ "commit", "committing", commit_run, NULL, "the VM's document is there (done) or not (back)", 1 },
};

static int decide(struct op *op, struct op_way *ret_way, struct err *reterr _unused_)
{
	ret_way->forward = op->m->cfg != NULL;
	ret_way->from = 2;
	return 0;
}

static void closed(struct op *op, int undone)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (undone && vmdir_remove_empty(op->m->dir, &err) < 0)
		log_err(LOG_LEVEL_WARNING, &err, "removing the directory of a VM that was not made");
}

const struct op_kind op_vm_create = {
	.name = "vm-create",
	.steps = steps,
	.n_steps = ARRAY_SIZE(steps),
	.may_lack_config = 1,
	.decide = decide,
	.closed = closed,
};

static int refuse_name(struct daemon *daemon, const char *name, struct err *reterr)
{
	struct hv_domain *domains = NULL;
	struct index_vm other;
	size_t n = 0;
	int r = config_check_vm_name(name, reterr);

	if (!r && guid_valid(name))
		r = err_set(reterr, ERR_INVALID, -EINVAL, "a VM cannot be named like a GUID: '%s'", name);
	if (!r && catalog_find_vm(daemon->catalog, name, &other, NULL) == 0) {
		index_vm_done(&other);
		r = err_full(reterr, ERR_REFUSED, -EEXIST, name, NULL, "Choose another name",
			     "a VM '%s' exists already", name);
	}
	if (!r)
		r = hv_list(daemon->hv, &domains, &n, reterr);
	for (size_t i = 0; !r && i < n; i++)
		if (strcmp(domains[i].name, name) == 0)
			r = err_full(reterr, ERR_REFUSED, -EEXIST, name, NULL,
				     "Choose another name, or take it under management with 'vmsnapctl vm adopt'",
				     "a libvirt domain '%s' exists already", name);
	hv_domains_free(domains, n);
	return r;
}

static int check_file(const char *path, const char *what, struct err *reterr)
{
	int there = path_exists(path);

	if (*path != '/')
		return err_set(reterr, ERR_INVALID, -EINVAL, "the path of %s must be absolute, not '%s'", what, path);
	if (there < 0)
		return err_file(reterr, there, path, "cannot read %s '%s'", what, path);
	return there ? 0 : err_full(reterr, ERR_REFUSED, -ENOENT, NULL, path, NULL, "%s '%s' does not exist", what, path);
}

static int check_spec(struct daemon *daemon, const struct vm_spec *spec, struct err *reterr)
{
	int r = refuse_name(daemon, spec->name, reterr);

	if (!r && spec->memory < 1 << 20)
		r = err_set(reterr, ERR_INVALID, -EINVAL, "a VM needs at least 1 MiB of memory");
	if (!r && (spec->vcpus < 1 || spec->vcpus > 1024))
		r = err_set(reterr, ERR_INVALID, -EINVAL, "a VM has from 1 to 1024 vCPUs, not %d", spec->vcpus);
	if (!r && !spec->import_disk == !spec->disk)
		r = err_set(reterr, ERR_INVALID, -EINVAL,
			    "a VM needs either the size of a new disk or a disk to import");
	if (!r && !spec->import_disk && spec->disk < 512)
		r = err_set(reterr, ERR_INVALID, -EINVAL, "a disk has at least 512 bytes");
	if (!r && spec->import_disk)
		r = check_file(spec->import_disk, "the disk to import", reterr);
	if (!r && spec->cdrom)
		r = check_file(spec->cdrom, "the CD image", reterr);
	if (!r && spec->console_log && *spec->console_log != '/')
		r = err_set(reterr, ERR_INVALID, -EINVAL, "the path of the console log must be absolute");
	if (!r && spec->uefi && path_exists(OVMF_CODE) != 1)
		r = err_full(reterr, ERR_REFUSED, -ENOENT, spec->name, OVMF_CODE, "Install the package 'ovmf'",
			     "UEFI firmware is not installed: '%s' is missing", OVMF_CODE);
	return r;
}

static int plan_import(const struct vm_spec *spec, struct intent *in, struct err *reterr)
{
	const char *format = spec->import_format;
	int r = format ? 0 : disk_detect_format(spec->import_disk, &format, reterr);

	if (r < 0)
		return r;
	intent_set(in, "import", "%s", spec->import_disk);
	intent_set(in, "import-format", "%s", format);
	return 0;
}

static void plan_rest(struct daemon *daemon, const struct vm_spec *spec, const struct vmdir *dir, struct intent *in)
{
	intent_set(in, "name", "%s", spec->name);
	intent_set(in, "disk", "%s.qcow2", spec->name);
	intent_set(in, "created", "%lld", (long long)time_now_usec());
	intent_set(in, "size", "%lld", (long long)spec->disk);
	intent_set(in, "memory", "%lld", (long long)spec->memory);
	intent_set(in, "vcpus", "%d", spec->vcpus);
	intent_set(in, "uefi", "%d", spec->uefi);
	intent_set(in, "tpm", "%d", spec->tpm);
	intent_set(in, "type", "%s", hv_guest_type(daemon->hv));
	intent_set(in, "directory", "%s", path_basename(dir->root));
	if (spec->notes)
		intent_set(in, "notes", "%s", spec->notes);
	if (spec->cdrom)
		intent_set(in, "cdrom", "%s", spec->cdrom);
	if (spec->network)
		intent_set(in, "network", "%s", spec->network);
	if (spec->console_log)
		intent_set(in, "console-log", "%s", spec->console_log);
}

int vm_create(struct daemon *daemon, const struct vm_spec *spec, struct job *job, struct guid *ret_vm,
	      struct err *reterr)
{
	_cleanup_intent_ struct intent *in = intent_new(op_vm_create.name);
	_cleanup_machine_ struct machine *m = NULL;
	_cleanup_vmdir_ struct vmdir *dir = NULL;
	_cleanup_free_ char *root = NULL;
	struct guid guid = guid_new();
	int r = check_spec(daemon, spec, reterr);

	if (!r && spec->import_disk)
		r = plan_import(spec, in, reterr);
	if (!r)
		r = job_claim(job, guid.s, NULL, reterr);
	if (r < 0)
		return r;
	root = store_new_vm_path(catalog_store(daemon->catalog), spec->name, &guid);
	dir = vmdir_new(root, &guid);
	plan_rest(daemon, spec, dir, in);
	r = vmdir_make(dir, reterr);
	if (!r)
		r = machine_open(daemon, dir, 1, &m, reterr);
	if (r < 0) {
		ignore_result(vmdir_remove_empty(dir, NULL)); /* reterr says what went wrong */
		return r;
	}
	r = op_run(daemon, &op_vm_create, TAKE_PTR(m), TAKE_PTR(in), job, reterr);
	if (r < 0) {
		/* if not even the record could be written; otherwise it is gone already */
		ignore_result(vmdir_remove_empty(dir, NULL));
		return r;
	}
	job_set_result(job, "vm", &guid);
	*ret_vm = guid;
	return 0;
}
