/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking an existing libvirt domain under management: its disks stay where they
 * are, unless a format that forbids saving memory shall be converted. */
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "daemon/op-others.h"
#include "daemon/op-vm.h"
#include "layout/chain.h"
#include "layout/image.h"
#include "layout/store.h"
#include "xmlcfg/domain.h"

static int show_progress(void *arg, int64_t done, int64_t total)
{
	struct job *job = arg;

	job_progress(job, done, total);
	return job_cancelled(job);
}

static char *converted_path(const struct op *op, int i)
{
	_cleanup_free_ char *key = xasprintf("convert.%d.to", i);

	return op_path(op, key);
}

static int convert_run(struct op *op, struct err *reterr)
{
	int r = 0;

	for (int i = 0; !r && i < op_int(op, "converts", 0); i++) {
		_cleanup_free_ char *to = converted_path(op, i);

		r = disk_convert(intent_getf(op->intent, "convert.%d.from", i),
				 intent_getf(op->intent, "convert.%d.format", i), to, show_progress, op->job, reterr);
	}
	if (r != -ECANCELED)
		return r;
	err_done(reterr);
	return job_check(op->job, reterr);
}

static int convert_undo(struct op *op, struct err *reterr)
{
	int r = 0;

	for (int i = 0; !r && i < op_int(op, "converts", 0); i++) {
		_cleanup_free_ char *to = converted_path(op, i);

		r = file_remove(to, reterr);
	}
	return r;
}

/* The path that a disk will have: converted, or where it is. */
static void take_disk(const struct op *op, struct config *cfg, const struct domain_disk *d)
{
	struct config_disk *disk;

	if (!domain_disk_managed(d, NULL) || config_find_disk(cfg, d->target))
		return;
	disk = config_add_disk(cfg, d->target);
	for (int i = 0; i < op_int(op, "converts", 0); i++) {
		if (strcmp(intent_getf(op->intent, "convert.%d.target", i), d->target) != 0)
			continue;
		disk->pathname = xstrdup(intent_getf(op->intent, "convert.%d.to", i));
		disk->format = xstrdup("qcow2");
		return;
	}
	disk->pathname = vmdir_store_path(op->m->dir, d->source);
	disk->format = xstrdup(d->format);
}

static int take_disks(struct op *op, struct config *cfg, enum hv_xml which, struct err *reterr)
{
	_cleanup_domain_ struct domain *dom = NULL;
	_cleanup_free_ char *xml = NULL;
	struct domain_disks disks;
	int r = hv_xml(op->daemon->hv, &op->m->dir->guid, which, &xml, reterr);

	if (!r)
		r = domain_parse(xml, &dom, reterr);
	if (r < 0)
		return r;
	domain_get_disks(dom, &disks);
	for (size_t i = 0; i < disks.n; i++)
		take_disk(op, cfg, &disks.disk[i]);
	domain_disks_done(&disks);
	if (which == HV_XML_INACTIVE) {
		cleanup_free(&cfg->domain_xml);
		cfg->domain_xml = TAKE_PTR(xml);
	}
	return 0;
}

static int point_converted(struct op *op, struct config *cfg, struct err *reterr)
{
	_cleanup_domain_ struct domain *dom = NULL;
	int r = domain_parse(cfg->domain_xml, &dom, reterr);

	for (int i = 0; !r && i < op_int(op, "converts", 0); i++) {
		_cleanup_free_ char *to = converted_path(op, i);

		r = domain_set_disk(dom, intent_getf(op->intent, "convert.%d.target", i), to, "qcow2", 0, reterr);
	}
	if (r < 0)
		return r;
	cleanup_free(&cfg->domain_xml);
	cfg->domain_xml = domain_format(dom);
	return 0;
}

static void take_firmware(struct op *op, struct config *cfg)
{
	_cleanup_domain_ struct domain *dom = NULL;
	_cleanup_free_ char *xml = NULL, *path = NULL;
	struct domain_firmware fw;

	/* only the live document names NVRAM that libvirt chose itself */
	if (!machine_is_active(op->m) || hv_xml(op->daemon->hv, &op->m->dir->guid, HV_XML_LIVE, &xml, NULL) < 0)
		xml = xstrdup(cfg->domain_xml);
	if (domain_parse(xml, &dom, NULL) < 0)
		return;
	domain_get_firmware(dom, &fw);
	path = fw.nvram ? xstrdup(fw.nvram) : hv_nvram_path(op->daemon->hv, cfg->name);
	if (fw.pflash && path)
		cfg->nvram.live = vmdir_store_path(op->m->dir, path);
	if (fw.tpm)
		cfg->tpm.live = hv_tpm_dir(op->daemon->hv, &op->m->dir->guid);
	domain_firmware_done(&fw);
}

static int commit_run(struct op *op, struct err *reterr)
{
	_cleanup_config_ struct config *cfg = config_new(CONFIG_VM);
	_cleanup_domain_ struct domain *dom = NULL;
	int r = 0;

	cfg->guid = cfg->vm_guid = op->m->dir->guid;
	cfg->name = xstrdup(intent_get(op->intent, "name"));
	cfg->created_usec = op_int(op, "created", 0);
	if (machine_is_active(op->m))
		r = take_disks(op, cfg, HV_XML_LIVE, reterr);
	if (!r)
		r = take_disks(op, cfg, HV_XML_INACTIVE, reterr);
	if (!r)
		r = point_converted(op, cfg, reterr);
	if (!r)
		r = domain_parse(cfg->domain_xml, &dom, reterr);
	if (r < 0)
		return r;
	cfg->memory_blocker = domain_memory_blocker(dom);
	take_firmware(op, cfg);
	config_free(op->m->cfg);
	op->m->cfg = TAKE_PTR(cfg);
	return machine_commit(op->m, reterr);
}

/* 1 if the domain names a converted copy already. */
static int uses_converted(struct op *op, struct err *reterr)
{
	_cleanup_config_ struct config *cfg = config_new(CONFIG_VM);

	for (int i = 0; i < op_int(op, "converts", 0); i++) {
		struct config_disk *disk = config_add_disk(cfg, intent_getf(op->intent, "convert.%d.target", i));

		disk->pathname = xstrdup(intent_getf(op->intent, "convert.%d.to", i));
	}
	return machine_domain_uses(op->m, cfg, reterr);
}

/* Before the commit, so that the domain never runs on an original while the VM is
 * said to have the copy. */
static int define_run(struct op *op, struct err *reterr)
{
	_cleanup_config_ struct config *cfg = NULL;
	int r;

	if (!op_int(op, "converts", 0))
		return 0;
	r = machine_refresh(op->m, reterr);
	if (!r && machine_is_active(op->m))
		r = err_full(reterr, ERR_FAILED, -EBUSY, intent_get(op->intent, "name"), NULL,
			     "Shut it down, and try again", "domain '%s' was started while its disks were converted",
			     intent_get(op->intent, "name"));
	cfg = config_new(CONFIG_VM);
	if (!r)
		r = take_disks(op, cfg, HV_XML_INACTIVE, reterr);
	if (!r)
		r = point_converted(op, cfg, reterr);
	return r < 0 ? r : hv_define(op->daemon->hv, cfg->domain_xml, reterr);
}

static const struct op_step steps[] = {
	{ "convert", "converting disks", convert_run, convert_undo,
	  "converted copies that nothing uses; they are removed, the originals were only read", 1 },
	{ "define", "updating the domain", define_run, NULL,
	  "the domain names the originals (back), or the copies, which it may have written since (forward)", 1 },
	{ "commit", "committing", commit_run, NULL, "the VM's document is there (done) or not (see before)", 0 },
};

static int decide(struct op *op, struct op_way *ret_way, struct err *reterr)
{
	int r = op->m->cfg ? 1 : uses_converted(op, reterr);

	if (r < 0)
		return r;
	ret_way->forward = r;
	ret_way->from = 2;
	return 0;
}

static void closed(struct op *op, int undone)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (undone && vmdir_remove_empty(op->m->dir, &err) < 0)
		log_err(LOG_LEVEL_WARNING, &err, "removing the directory of a VM that was not adopted");
}

const struct op_kind op_vm_adopt = {
	.name = "vm-adopt",
	.steps = steps,
	.n_steps = ARRAY_SIZE(steps),
	.may_lack_config = 1,
	.decide = decide,
	.closed = closed,
};

static int find_domain(struct daemon *daemon, const char *name, struct hv_domain *ret_domain, struct err *reterr)
{
	struct hv_domain *domains = NULL;
	struct guid guid;
	size_t n = 0;
	int by_guid = guid_parse(name, &guid) == 0, found = 0, r = hv_list(daemon->hv, &domains, &n, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n && !found; i++) {
		if (strcmp(domains[i].name, name) != 0 && !(by_guid && guid_eq(&domains[i].guid, &guid)))
			continue;
		*ret_domain = domains[i];
		ret_domain->name = xstrdup(domains[i].name);
		found = 1;
	}
	hv_domains_free(domains, n);
	return found ? 0 : err_full(reterr, ERR_NO_DOMAIN, -ENOENT, name, NULL, "'virsh list --all' shows the domains",
				    "libvirt has no domain '%s'", name);
}

static int forbids_memory(const char *format)
{
	static const char *const formats[] = { "vpc", "vmdk", "vdi", "vhdx" };

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (format && strcmp(format, formats[i]) == 0)
			return 1;
	return 0;
}

static int plan_convert(struct machine *m, const struct domain_disk *d, const char *name, struct intent *in,
			struct err *reterr)
{
	long n = intent_get(in, "converts") ? strtol(intent_get(in, "converts"), NULL, 10) : 0;
	_cleanup_free_ char *target = xasprintf("convert.%ld.target", n), *from = xasprintf("convert.%ld.from", n);
	_cleanup_free_ char *format = xasprintf("convert.%ld.format", n), *to = xasprintf("convert.%ld.to", n);

	if (machine_is_active(m))
		return err_full(reterr, ERR_REFUSED, -EBUSY, name, d->source, "Shut it down first",
				"disk '%s' of domain '%s' cannot be converted while it runs", d->target, name);
	intent_set(in, target, "%s", d->target);
	intent_set(in, from, "%s", d->source);
	intent_set(in, format, "%s", d->format);
	intent_set(in, to, "%s-%s.qcow2", name, d->target);
	intent_set(in, "converts", "%ld", n + 1);
	return 0;
}

static int plan_disk(struct machine *m, const struct domain_disk *d, const char *name, int convert, struct job *job,
		     struct intent *in, struct err *reterr)
{
	const char *why = NULL;

	if (!domain_disk_managed(d, &why)) {
		job_warn(job, "disk '%s' is left alone: %s", d->target, why ? why : "it is not a plain disk");
		return 0;
	}
	if (!d->format)
		return err_full(reterr, ERR_REFUSED, -EINVAL, name, d->source,
				"Name it in the domain ('virsh edit': <driver name='qemu' type='...'/>)",
				"the format of disk '%s' of domain '%s' is not named, and formats are never guessed",
				d->target, name);
	if (path_exists(d->source) != 1)
		return err_full(reterr, ERR_REFUSED, -ENOENT, name, d->source, NULL,
				"disk '%s' of domain '%s' is gone: '%s' does not exist", d->target, name, d->source);
	if (forbids_memory(d->format) && convert)
		return plan_convert(m, d, name, in, reterr);
	if (forbids_memory(d->format))
		job_warn(job, "disk '%s' has the format %s, with which QEMU cannot save memory: snapshots of this VM are "
			      "disk only (adopt with --convert makes it qcow2)",
			 d->target, d->format);
	return 0;
}

/* A disk that somebody else writes, or whose content another VM's disks rest on. */
static int refuse_shared(struct machine *m, const struct domain_disks *disks, size_t i, const char *name,
			 struct err *reterr)
{
	const struct domain_disk *d = &disks->disk[i];
	struct stat st, other;
	int r;

	for (size_t k = 0; k < i; k++)
		if (domain_disk_managed(&disks->disk[k], NULL) && stat(d->source, &st) == 0 &&
		    stat(disks->disk[k].source, &other) == 0 && st.st_dev == other.st_dev &&
		    st.st_ino == other.st_ino)
			return err_full(reterr, ERR_REFUSED, -EEXIST, name, d->source, "Take one of them out",
					"disks '%s' and '%s' of domain '%s' are one and the same file",
					disks->disk[k].target, d->target, name);
	r = op_others_refuse_file(m, d->source, reterr);
	if (r < 0)
		err_prefix(reterr, "domain '%s' cannot be adopted", name);
	return r;
}

/* The images that a disk consists of, as far as they can be read. */
static void add_chain(const struct domain_disk *d, char ***paths)
{
	_cleanup_free_ char *at = xstrdup(d->source), *format = xstrdup(d->format);

	while (at && !strv_has(*paths, at)) {
		_cleanup_free_ char *next = NULL, *next_format = NULL;

		strv_push(paths, xstrdup(at));
		if (!format || chain_next(at, format, &next, &next_format, NULL) < 0)
			return; /* it is told of when the disk is used */
		xstrset(&at, next);
		xstrset(&format, next_format);
	}
}

/* What a dead daemon left there is settled as before any other job. */
static int claim_base(struct machine *m, const struct index_vm *vm, const char *name, struct job *job,
		      struct err *reterr)
{
	_cleanup_vmdir_ struct vmdir *dir = vmdir_new(vm->root, &vm->guid);
	int r = job_claim(job, vm->guid.s, vm->name, reterr);

	if (!r)
		r = op_recover(m->daemon, dir, job, reterr);
	if (r < 0)
		err_prefix(reterr, "domain '%s' stands on images of VM '%s'", name, vm->name);
	return r;
}

/* Nobody may merge or remove images of another VM while they get a dependant that is not seen
 * yet. A merge that was under way may have changed what is below: it is looked at again. */
static int claim_bases(struct machine *m, const struct domain_disks *disks, const char *name, struct job *job,
		       struct err *reterr)
{
	_cleanup_strv_ char **claimed = NULL;
	int r = 0, more = 1;

	while (!r && more) {
		_cleanup_strv_ char **paths = NULL;
		struct index_vm *vms = NULL;
		size_t n = 0;

		for (size_t i = 0; i < disks->n; i++)
			if (domain_disk_managed(&disks->disk[i], NULL))
				add_chain(&disks->disk[i], &paths);
		r = op_others_owners(m, paths, &vms, &n, reterr);
		more = 0;
		for (size_t i = 0; !r && i < n; i++) {
			if (strv_has(claimed, vms[i].guid.s))
				continue;
			r = claim_base(m, &vms[i], name, job, reterr);
			strv_push(&claimed, xstrdup(vms[i].guid.s));
			more = 1;
		}
		index_vms_free(vms, n);
	}
	return r;
}

static int plan_disks(struct machine *m, const char *name, int convert, struct job *job, struct intent *in,
		      struct err *reterr)
{
	_cleanup_domain_ struct domain *dom = NULL;
	_cleanup_free_ char *xml = NULL;
	struct domain_disks disks;
	int r = hv_xml(m->daemon->hv, &m->dir->guid, machine_is_active(m) ? HV_XML_LIVE : HV_XML_INACTIVE, &xml,
		       reterr);

	if (!r)
		r = domain_parse(xml, &dom, reterr);
	if (r < 0)
		return r;
	domain_get_disks(dom, &disks);
	for (size_t i = 0; !r && i < disks.n; i++)
		r = plan_disk(m, &disks.disk[i], name, convert, job, in, reterr);
	for (size_t i = 0; !r && i < disks.n; i++)
		if (domain_disk_managed(&disks.disk[i], NULL))
			r = refuse_shared(m, &disks, i, name, reterr);
	if (!r)
		r = claim_bases(m, &disks, name, job, reterr);
	domain_disks_done(&disks);
	return r;
}

/* The same refusals as for a snapshot, with a configuration that does not exist yet. */
static int refuse_foreign(struct machine *m, const char *name, struct err *reterr)
{
	int r;

	m->cfg = config_new(CONFIG_VM);
	m->cfg->name = xstrdup(name);
	r = machine_refuse_foreign(m, reterr);
	config_free(m->cfg);
	m->cfg = NULL;
	return r;
}

static int check_domain(struct daemon *daemon, const struct hv_domain *d, struct err *reterr)
{
	struct index_vm other;
	int r = config_check_vm_name(d->name, reterr);

	if (!r && !d->persistent)
		r = err_full(reterr, ERR_REFUSED, -EINVAL, d->name, NULL, "Define it first ('virsh define')",
			     "domain '%s' is transient: it is gone when it stops", d->name);
	if (!r && catalog_find_vm(daemon->catalog, d->name, &other, NULL) == 0) {
		if (!guid_eq(&other.guid, &d->guid))
			r = err_full(reterr, ERR_REFUSED, -EEXIST, d->name, other.root,
				     "Rename one of them ('vmsnapctl vm rename', 'virsh domrename')",
				     "there is another VM named '%s' in the store", d->name);
		index_vm_done(&other);
	}
	if (!r && catalog_find_vm(daemon->catalog, d->guid.s, &other, NULL) == 0) {
		r = err_full(reterr, ERR_REFUSED, -EEXIST, d->name, other.root, NULL,
			     "domain '%s' is under management already, as VM '%s'", d->name, other.name);
		index_vm_done(&other);
	}
	return r;
}

static int adopt(struct daemon *daemon, const struct hv_domain *d, const struct vmdir *dir, int convert,
		 struct job *job, struct err *reterr)
{
	_cleanup_intent_ struct intent *in = intent_new(op_vm_adopt.name);
	_cleanup_machine_ struct machine *m = NULL;
	int r = machine_open(daemon, dir, 1, &m, reterr);

	if (!r)
		r = refuse_foreign(m, d->name, reterr);
	if (!r)
		r = plan_disks(m, d->name, convert, job, in, reterr);
	if (!r)
		r = vmdir_make(dir, reterr);
	if (r < 0)
		return r;
	intent_set(in, "name", "%s", d->name);
	intent_set(in, "created", "%lld", (long long)time_now_usec());
	r = op_run(daemon, &op_vm_adopt, TAKE_PTR(m), TAKE_PTR(in), job, reterr);
	if (r < 0) /* if not even the record could be written; otherwise it is gone already */
		ignore_result(vmdir_remove_empty(dir, NULL));
	return r;
}

int vm_adopt(struct daemon *daemon, const char *domain, int convert, struct job *job, struct guid *ret_vm,
	     struct err *reterr)
{
	_cleanup_vmdir_ struct vmdir *dir = NULL;
	_cleanup_free_ char *root = NULL, *name = NULL;
	struct hv_domain d = { .name = NULL };
	int r = find_domain(daemon, domain, &d, reterr);

	name = d.name;
	if (!r)
		r = check_domain(daemon, &d, reterr);
	if (!r)
		r = job_claim(job, d.guid.s, NULL, reterr);
	if (r < 0)
		return r;
	root = store_new_vm_path(catalog_store(daemon->catalog), d.name, &d.guid);
	dir = vmdir_new(root, &d.guid);
	r = adopt(daemon, &d, dir, convert, job, reterr);
	if (r < 0)
		return r;
	job_set_result(job, "vm", &d.guid);
	*ret_vm = d.guid;
	return 0;
}
