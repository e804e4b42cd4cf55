/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Renaming a VM that is off: domain, NVRAM that libvirt keeps under the domain's
 * name, configuration. What libvirt may refuse comes before the commit. The
 * directory keeps its name. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "daemon/op-vm.h"
#include "xmlcfg/domain.h"

static int domain_run(struct op *op, struct err *reterr)
{
	return hv_rename(op->daemon->hv, &op->m->dir->guid, intent_get(op->intent, "new"), reterr);
}

static int domain_undo(struct op *op, struct err *reterr)
{
	if (op->m->state == HV_ABSENT)
		return 0;
	return hv_rename(op->daemon->hv, &op->m->dir->guid, intent_get(op->intent, "old"), reterr);
}

/* Moves a file to a name that is free; one that is not there was moved already. */
static int move(const char *from, const char *to, struct err *reterr)
{
	_cleanup_free_ char *dir = NULL;

	if (!from || !to || path_exists(from) != 1)
		return 0;
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
		return err_file(reterr, errno, from, "cannot rename the NVRAM file '%s' to '%s'", from, to);
	dir = path_dirname(to);
	return path_fsync(dir, reterr);
}

/* libvirt does not move NVRAM that it names after the domain. */
static int nvram_run(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *old = op_path(op, "nvram.old"), *new = op_path(op, "nvram.new");

	return move(old, new, reterr);
}

static int nvram_undo(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *old = op_path(op, "nvram.old"), *new = op_path(op, "nvram.new");

	return op_flag(op, "nvram.was") ? move(new, old, reterr) : 0;
}

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

enum { DOMAIN, NVRAM, COMMIT };

static const struct op_step steps[] = {
	[DOMAIN] = { "domain", "renaming the domain", domain_run, domain_undo,
		     "the domain may have either name; it gets the old one back", 1 },
	[NVRAM] = { "nvram", "renaming NVRAM", nvram_run, nvram_undo,
		    "the file may have either name; it gets the old one back", 0 },
	[COMMIT] = { "commit", "committing", commit_run, NULL,
		     "the VM's document has the old name (back) or the new one (done)", 0 },
};

/* A guest that was started under its new name has that name's NVRAM in use: forward. */
static int decide(struct op *op, struct op_way *ret_way, struct err *reterr)
{
	struct hv_domain *domains = NULL;
	const char *new = intent_get(op->intent, "new");
	size_t n = 0;
	int r = 0;

	ret_way->from = COMMIT;
	ret_way->forward = strcmp(op->m->cfg->name, new) == 0;
	if (ret_way->forward || !machine_is_active(op->m))
		return 0;
	r = hv_list(op->daemon->hv, &domains, &n, reterr);
	for (size_t i = 0; !r && i < n; i++)
		if (guid_eq(&domains[i].guid, &op->m->dir->guid) && strcmp(domains[i].name, new) == 0)
			ret_way->forward = 1;
	hv_domains_free(domains, n);
	return r;
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

/* NVRAM moves along where libvirt finds it by the domain's name; one that the
 * document names stays where it is, and so does a file of somebody else's. */
static int plan_nvram(struct machine *m, const char *name, struct intent *in, struct err *reterr)
{
	_cleanup_free_ char *by_name = hv_nvram_path(m->daemon->hv, m->cfg->name), *live = NULL, *renamed = NULL;
	_cleanup_domain_ struct domain *dom = NULL;
	struct domain_firmware fw;
	int named, r = domain_parse(m->cfg->domain_xml, &dom, reterr);

	if (r < 0 || !m->cfg->nvram.live || !by_name)
		return r;
	domain_get_firmware(dom, &fw);
	named = fw.nvram != NULL;
	domain_firmware_done(&fw);
	live = vmdir_resolve(m->dir, m->cfg->nvram.live);
	if (named || strcmp(live, by_name) != 0)
		return 0;
	renamed = hv_nvram_path(m->daemon->hv, name);
	if (path_exists(renamed) != 0)
		return err_full(reterr, ERR_REFUSED, -EEXIST, m->cfg->name, renamed,
				"Choose another name, or move it away",
				"VM '%s' cannot be renamed to '%s': there is an NVRAM file of that name already",
				m->cfg->name, name);
	intent_set(in, "nvram.old", "%s", live);
	intent_set(in, "nvram.new", "%s", renamed);
	intent_set(in, "nvram.was", "%d", path_exists(live) == 1);
	return 0;
}

static int plan(struct machine *m, const char *name, struct job *job, struct intent *in, struct err *reterr)
{
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
	return plan_nvram(m, name, in, reterr);
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
