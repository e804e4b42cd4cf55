/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Renaming a VM that is off: configuration, domain, and NVRAM that libvirt keeps
 * under the domain's name. The directory keeps its name. */
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "daemon/op-vm.h"
#include "xmlcfg/domain.h"

static int commit_run(struct op *op, struct err *reterr)
{
	_cleanup_domain_ struct domain *dom = NULL;
	int r = domain_parse(op->m->cfg->domain_xml, &dom, reterr);

	if (r < 0)
		return r;
	domain_set_name(dom, intent_get(op->intent, "new"));
	cleanup_free(&op->m->cfg->domain_xml);
	op->m->cfg->domain_xml = domain_format(dom);
	xstrset(&op->m->cfg->name, intent_get(op->intent, "new"));
	if (intent_get(op->intent, "nvram.new"))
		xstrset(&op->m->cfg->nvram.live, intent_get(op->intent, "nvram.new"));
	return machine_commit(op->m, reterr);
}

static int domain_run(struct op *op, struct err *reterr)
{
	return hv_rename(op->daemon->hv, &op->m->dir->guid, intent_get(op->intent, "new"), reterr);
}

/* libvirt does not move NVRAM that it names after the domain. */
static int nvram_run(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *old = op_path(op, "nvram.old"), *new = op_path(op, "nvram.new");

	if (!old || !new || path_exists(old) != 1)
		return 0;
	if (rename(old, new) < 0)
		return err_file(reterr, errno, old, "cannot rename the NVRAM file '%s' to '%s'", old, new);
	return 0;
}

static const struct op_step steps[] = {
	{ "commit", "committing", commit_run, NULL,
	  "the VM's document has the old name (back) or the new one (forward)", 1 },
	{ "domain", "renaming the domain", domain_run, NULL,
	  "the domain may have either name; it is renamed again", 0 },
	{ "nvram", "renaming NVRAM", nvram_run, NULL,
	  "the file may have either name; it is renamed if it is there", 0 },
};

static int decide(struct op *op, struct op_way *ret_way, struct err *reterr _unused_)
{
	ret_way->forward = strcmp(op->m->cfg->name, intent_get(op->intent, "new")) == 0;
	ret_way->from = 1;
	return 0;
}

const struct op_kind op_vm_rename = {
	.name = "vm-rename",
	.steps = steps,
	.n_steps = ARRAY_SIZE(steps),
	.decide = decide,
};

static int refuse_taken(struct machine *m, const char *name, struct err *reterr)
{
	struct hv_domain *domains = NULL;
	struct index_vm other;
	size_t n = 0;
	int r = hv_list(m->daemon->hv, &domains, &n, reterr);

	for (size_t i = 0; !r && i < n; i++)
		if (strcmp(domains[i].name, name) == 0 && !guid_eq(&domains[i].guid, &m->dir->guid))
			r = err_full(reterr, ERR_REFUSED, -EEXIST, m->cfg->name, NULL, "Choose another name",
				     "a libvirt domain '%s' exists already", name);
	hv_domains_free(domains, n);
	if (r < 0 || catalog_find_vm(m->daemon->catalog, name, &other, NULL) < 0)
		return r;
	if (!guid_eq(&other.guid, &m->dir->guid))
		r = err_full(reterr, ERR_REFUSED, -EEXIST, m->cfg->name, NULL, "Choose another name",
			     "a VM '%s' exists already", name);
	index_vm_done(&other);
	return r;
}

static int plan(struct machine *m, const char *name, struct job *job, struct intent *in, struct err *reterr)
{
	_cleanup_free_ char *by_name = NULL, *live = NULL;
	int r = config_check_vm_name(name, reterr);

	if (!r && machine_is_active(m))
		r = err_full(reterr, ERR_REFUSED, -EBUSY, m->cfg->name, NULL, "Shut it down first",
			     "VM '%s' cannot be renamed while it runs", m->cfg->name);
	if (!r)
		r = refuse_taken(m, name, reterr);
	if (!r)
		r = machine_refuse_foreign(m, reterr);
	if (!r)
		r = vm_sync(m, job, reterr);
	if (r < 0)
		return r;
	intent_set(in, "old", "%s", m->cfg->name);
	intent_set(in, "new", "%s", name);
	by_name = hv_nvram_path(m->daemon->hv, m->cfg->name);
	live = m->cfg->nvram.live ? vmdir_resolve(m->dir, m->cfg->nvram.live) : NULL;
	if (live && by_name && strcmp(live, by_name) == 0) {
		_cleanup_free_ char *renamed = hv_nvram_path(m->daemon->hv, name);

		intent_set(in, "nvram.old", "%s", live);
		intent_set(in, "nvram.new", "%s", renamed);
	}
	return 0;
}

int vm_rename(struct daemon *daemon, const struct vmdir *dir, const char *name, struct job *job, struct err *reterr)
{
	_cleanup_intent_ struct intent *in = intent_new(op_vm_rename.name);
	_cleanup_machine_ struct machine *m = NULL;
	int r = vm_open(daemon, dir, job, &m, reterr);

	if (!r && strcmp(m->cfg->name, name) == 0)
		return 0;
	if (!r)
		r = plan(m, name, job, in, reterr);
	if (r < 0)
		return r;
	return op_run(daemon, &op_vm_rename, TAKE_PTR(m), TAKE_PTR(in), job, reterr);
}
