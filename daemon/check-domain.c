/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A check of a VM's domain against its configuration, and of the index against the
 * documents. */
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/catalog.h"
#include "daemon/check-priv.h"
#include "daemon/daemon.h"
#include "xmlcfg/domain.h"

static int is_active(const struct checking *c)
{
	return c->state == HV_RUNNING || c->state == HV_PAUSED || c->state == HV_STOPPING;
}

static const struct domain_disk *find_disk(const struct domain_disks *disks, const char *target)
{
	for (size_t i = 0; i < disks->n; i++)
		if (strcmp(disks->disk[i].target, target) == 0)
			return &disks->disk[i];
	return NULL;
}

static void judge_source(struct checking *c, const struct config_disk *disk, const struct domain_disk *d,
			 enum check_id id, const char *which)
{
	_cleanup_free_ char *path = vmdir_resolve(c->dir, disk->pathname);
	int moved = !is_active(c) && d->source && path_exists(d->source) == 0 && path_exists(path) == 1;

	if (d->source && strcmp(d->source, path) == 0) {
		if (!d->format || strcmp(d->format, disk->format) != 0)
			check_add(c->rep, id, path, "the %s of VM '%s' has disk '%s' as '%s' and not as '%s'", which,
				  c->cfg->name, disk->target, d->format ? d->format : "(unnamed)", disk->format);
		return;
	}
	if (moved) /* the VM directory was: every operation defines the domain anew then */
		check_add(c->rep, CHECK_DOMAIN_EDITED, path, "the domain of VM '%s' has disk '%s' at its former place '%s'",
			  c->cfg->name, disk->target, d->source);
	else
		check_add(c->rep, id, path, "the %s of VM '%s' uses '%s' as disk '%s' instead of '%s'", which, c->cfg->name,
			  d->source ? d->source : "(nothing)", disk->target, path);
}

/* One document of the domain against the configuration. */
static void judge_disks(struct checking *c, const struct domain *dom, enum check_id id, const char *which)
{
	struct domain_disks disks = { NULL, 0 };

	domain_get_disks(dom, &disks);
	for (size_t i = 0; i < c->cfg->n_disks; i++) {
		const struct domain_disk *d = find_disk(&disks, c->cfg->disks[i].target);

		if (d)
			judge_source(c, &c->cfg->disks[i], d, id, which);
		else
			check_add(c->rep, CHECK_DOMAIN_EDITED, NULL, "disk '%s' of VM '%s' was removed from the domain",
				  c->cfg->disks[i].target, c->cfg->name);
	}
	for (size_t i = 0; i < disks.n; i++)
		if (domain_disk_managed(&disks.disk[i], NULL) && !config_find_disk(c->cfg, disks.disk[i].target))
			check_add(c->rep, CHECK_DOMAIN_EDITED, NULL, "disk '%s' was added to the domain of VM '%s'",
				  disks.disk[i].target, c->cfg->name);
	domain_disks_done(&disks);
}

/* Reads and compares one document; 1 if it could be. */
static int judge_document(struct checking *c, enum hv_xml which, enum check_id id, const char *word)
{
	_cleanup_domain_ struct domain *dom = NULL;
	_cleanup_free_ char *xml = NULL, *name = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	int r = hv_xml(c->daemon->hv, &c->dir->guid, which, &xml, &err);

	if (!r)
		r = domain_parse(xml, &dom, &err);
	if (r < 0) {
		check_add(c->rep, CHECK_DOMAIN_UNCHECKED, NULL, "the %s of VM '%s' was not compared: %s", word,
			  c->cfg->name, err.message);
		return 0;
	}
	judge_disks(c, dom, id, word);
	name = domain_name(dom);
	if (which == HV_XML_INACTIVE && name && strcmp(name, c->cfg->name) != 0)
		check_add(c->rep, CHECK_DOMAIN_EDITED, NULL, "the domain of VM '%s' was renamed to '%s'", c->cfg->name, name);
	return 1;
}

static void judge_foreign(struct checking *c)
{
	struct hv_foreign f = { 0 };
	_cleanup_free_ char *names = NULL;

	if (hv_foreign(c->daemon->hv, &c->dir->guid, &f, NULL) < 0)
		return; /* gone meanwhile: what was found is thrown away */
	if (f.managed_save)
		check_add(c->rep, CHECK_MANAGED_SAVE, NULL, "VM '%s' has a managed save of libvirt", c->cfg->name);
	if (f.job)
		check_add(c->rep, CHECK_FOREIGN_JOB, NULL, "a job of somebody else is under way in the domain of VM '%s': %s",
			  c->cfg->name, f.job);
	if (strv_count(f.block_jobs)) {
		names = strv_join(f.block_jobs, ", ");
		check_add(c->rep, CHECK_FOREIGN_JOB, NULL, "VM '%s' has a block job of somebody else on disk %s",
			  c->cfg->name, names);
	}
	if (strv_count(f.snapshots)) {
		cleanup_free(&names);
		names = strv_join(f.snapshots, ", ");
		check_add(c->rep, CHECK_LIBVIRT_SNAPSHOTS, NULL, "VM '%s' has snapshots of libvirt: %s", c->cfg->name, names);
	}
	hv_foreign_done(&f);
}

/* 0: undefined while it runs, so that there is no definition to compare. */
static int is_persistent(struct checking *c)
{
	struct hv_domain *domains = NULL;
	size_t n = 0;
	int persistent = 1;

	if (hv_list(c->daemon->hv, &domains, &n, NULL) < 0)
		return 1;
	for (size_t i = 0; i < n; i++)
		if (guid_eq(&domains[i].guid, &c->dir->guid))
			persistent = domains[i].persistent;
	hv_domains_free(domains, n);
	return persistent;
}

void check_domain(struct checking *c)
{
	int live_is_right = 1;

	if (!c->cfg || !c->asked)
		return;
	if (c->state == HV_ABSENT) {
		check_add(c->rep, CHECK_DOMAIN_MISSING, NULL, "the hypervisor has no domain of VM '%s'", c->cfg->name);
		return;
	}
	judge_foreign(c);
	if (is_active(c)) {
		judge_document(c, HV_XML_LIVE, CHECK_DOMAIN_DISKS, "running domain");
		live_is_right = !check_has(c->rep, CHECK_DOMAIN_DISKS);
	}
	if (!is_persistent(c))
		check_add(c->rep, CHECK_DOMAIN_TRANSIENT, NULL, "the domain of VM '%s' was undefined while it ran",
			  c->cfg->name);
	else if (!is_active(c))
		judge_document(c, HV_XML_INACTIVE, CHECK_DOMAIN_DISKS, "domain");
	else if (live_is_right)
		judge_document(c, HV_XML_INACTIVE, CHECK_DOMAIN_BEHIND, "definition, for its next start,");
}

static const struct index_snapshot *find_row(const struct index_snapshot *rows, size_t n, const struct guid *guid)
{
	for (size_t i = 0; i < n; i++)
		if (guid_eq(&rows[i].guid, guid))
			return &rows[i];
	return NULL;
}

static int same_row(const struct index_snapshot *row, const struct config *snap)
{
	return row && guid_eq(&row->parent, &snap->parent) && strcmp(row->name, snap->name) == 0 &&
	       row->created_usec == snap->created_usec;
}

/* Damaged documents are left out: the index shows what it can. */
void check_index(struct checking *c)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct index_snapshot *rows = NULL;
	struct index_vm vm = { 0 };
	size_t n = 0;
	int right;

	if (!c->cfg || c->pic.incomplete)
		return;
	if (catalog_find_vm(c->daemon->catalog, c->dir->guid.s, &vm, &err) < 0) {
		check_add(c->rep, CHECK_INDEX, NULL, "the index does not have VM '%s': %s", c->cfg->name, err.message);
		return;
	}
	right = strcmp(vm.name, c->cfg->name) == 0 && guid_eq(&vm.now, &c->cfg->parent) &&
		vm.saved == (c->cfg->state.vsv != NULL) && catalog_snapshots(c->daemon->catalog, &vm, &rows, &n, NULL) == 0 &&
		n == c->n_snaps;
	for (size_t i = 0; right && i < c->n_snaps; i++)
		right = same_row(find_row(rows, n, &c->snaps[i]->guid), c->snaps[i]);
	if (!right)
		check_add(c->rep, CHECK_INDEX, NULL, "the index does not say of VM '%s' what its documents say", c->cfg->name);
	index_snapshots_free(rows, n);
	index_vm_done(&vm);
}
