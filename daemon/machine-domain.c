/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One VM: its configuration beside its libvirt domain. */
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/daemon.h"
#include "daemon/machine.h"
#include "xmlcfg/domain.h"

static int is_block(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

/* Points dom at cfg's disks, NVRAM and name; a disk that dom lacks is skipped. */
static int point_domain(const struct machine *m, const struct config *cfg, struct domain *dom, struct err *reterr)
{
	struct domain_firmware fw;

	for (size_t i = 0; i < cfg->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(m, &cfg->disks[i]);
		_cleanup_err_ struct err err = ERR_INIT;
		int r = domain_set_disk(dom, cfg->disks[i].target, path, cfg->disks[i].format, is_block(path), &err);

		if (r < 0 && r != -ENOENT)
			return err_move(reterr, &err);
	}
	domain_set_name(dom, cfg->name);
	domain_get_firmware(dom, &fw);
	if (cfg->nvram.live && fw.pflash && (fw.nvram || !fw.efi_auto)) {
		_cleanup_free_ char *path = vmdir_resolve(m->dir, cfg->nvram.live);

		domain_set_nvram(dom, path);
	}
	domain_firmware_done(&fw);
	return 0;
}

int machine_definition(const struct machine *m, const struct config *cfg, int renew_genid, char **ret_xml,
		       struct err *reterr)
{
	_cleanup_domain_ struct domain *dom = NULL;
	char lower[GUID_LEN + 1];
	int r = domain_parse(cfg->domain_xml, &dom, reterr);

	if (!r)
		r = point_domain(m, cfg, dom, reterr);
	if (r < 0)
		return r;
	domain_set_uuid(dom, guid_lower(&m->dir->guid, lower));
	domain_set_tpm_persistent(dom);
	domain_strip_runtime(dom);
	if (renew_genid)
		domain_renew_genid(dom);
	*ret_xml = domain_format(dom);
	return 0;
}

int machine_point_xml(const struct machine *m, const struct config *cfg, const char *xml, char **ret_xml,
		      struct err *reterr)
{
	_cleanup_domain_ struct domain *dom = NULL;
	int r = domain_parse(xml, &dom, reterr);

	if (!r)
		r = point_domain(m, cfg, dom, reterr);
	if (r < 0)
		return r;
	*ret_xml = domain_format(dom);
	return 0;
}

static int get_disks(struct machine *m, enum hv_xml which, struct domain_disks *ret_disks, char **ret_xml,
		     struct domain_firmware *ret_fw, struct err *reterr)
{
	_cleanup_free_ char *xml = NULL;
	_cleanup_domain_ struct domain *dom = NULL;
	int r = hv_xml(m->daemon->hv, &m->dir->guid, which, &xml, reterr);

	if (!r)
		r = domain_parse(xml, &dom, reterr);
	if (r < 0)
		return r;
	domain_get_disks(dom, ret_disks);
	if (ret_fw)
		domain_get_firmware(dom, ret_fw);
	if (ret_xml)
		*ret_xml = TAKE_PTR(xml);
	return 0;
}

static int same_source(const struct machine *m, const struct config_disk *disk, const struct domain_disk *d)
{
	_cleanup_free_ char *path = machine_disk_path(m, disk);

	return d->source && strcmp(d->source, path) == 0;
}

static int document_uses(const struct machine *m, enum hv_xml which, const struct config *cfg, struct err *reterr)
{
	struct domain_disks disks;
	int found = 0, others = 0, r;

	if (m->state == HV_ABSENT)
		return 0;
	r = get_disks((struct machine *)m, which, &disks, NULL, NULL, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < cfg->n_disks; i++)
		for (size_t k = 0; k < disks.n; k++) {
			if (strcmp(disks.disk[k].target, cfg->disks[i].target) != 0)
				continue;
			found = 1;
			others |= !same_source(m, &cfg->disks[i], &disks.disk[k]);
		}
	domain_disks_done(&disks);
	return found && !others; /* a domain with none of them at all uses none */
}

int machine_domain_uses(const struct machine *m, const struct config *cfg, struct err *reterr)
{
	return document_uses(m, machine_is_active(m) ? HV_XML_LIVE : HV_XML_INACTIVE, cfg, reterr);
}

int machine_is_defined_on(const struct machine *m, const struct config *cfg, struct err *reterr)
{
	return document_uses(m, HV_XML_INACTIVE, cfg, reterr);
}

/* The VM directory was moved: what the domain names is gone, what we name is there. */
static int was_moved(const struct machine *m, const struct config_disk *disk, const struct domain_disk *d)
{
	_cleanup_free_ char *path = machine_disk_path(m, disk);

	return !machine_is_active(m) && d->source && path_exists(d->source) == 0 && path_exists(path) == 1;
}

static int refuse_changed(const struct machine *m, const struct config_disk *disk, const struct domain_disk *d,
			  struct err *reterr)
{
	_cleanup_free_ char *path = machine_disk_path(m, disk);

	return err_full(reterr, ERR_REFUSED, -ESTALE, m->cfg->name, path,
			"Point the disk back with 'virsh edit', or undefine the domain: vmsnapd defines it again "
			"from its own configuration",
			"disk '%s' of VM '%s' was changed by somebody else: the domain uses '%s' instead of '%s'",
			disk->target, m->cfg->name, d->source ? d->source : "(nothing)", path);
}

/* Compares one document's disks with the configuration; new ones are taken in. */
static int compare_disks(struct machine *m, const struct domain_disks *disks, int *moved, struct err *reterr)
{
	for (size_t k = 0; k < disks->n; k++) {
		const struct domain_disk *d = &disks->disk[k];
		struct config_disk *disk = config_find_disk(m->cfg, d->target);

		if (disk && same_source(m, disk, d))
			continue;
		if (disk && was_moved(m, disk, d)) {
			*moved = 1;
			continue;
		}
		if (disk)
			return refuse_changed(m, disk, d, reterr);
		if (!domain_disk_managed(d, NULL))
			continue;
		if (!d->format)
			return err_full(reterr, ERR_REFUSED, -EINVAL, m->cfg->name, d->source,
					"Name it in the domain ('virsh edit': <driver name='qemu' type='...'/>)",
					"disk '%s' of VM '%s' was added without a format, and formats are never guessed",
					d->target, m->cfg->name);
		disk = config_add_disk(m->cfg, d->target);
		disk->pathname = vmdir_store_path(m->dir, d->source);
		disk->format = xstrdup(d->format);
		strv_push(&m->notes, xasprintf("disk '%s' was added to the domain and is now part of the VM",
					       d->target));
	}
	return 0;
}

static int listed(const struct domain_disks *disks, const char *target)
{
	for (size_t k = 0; k < disks->n; k++)
		if (strcmp(disks->disk[k].target, target) == 0)
			return 1;
	return 0;
}

static void drop_removed(struct machine *m, const struct domain_disks *live, const struct domain_disks *inactive)
{
	for (size_t i = m->cfg->n_disks; i-- > 0;) {
		const char *target = m->cfg->disks[i].target;

		if (listed(inactive, target) || listed(live, target))
			continue;
		strv_push(&m->notes, xasprintf("disk '%s' was removed from the domain and is no longer part of the VM; "
					       "its files stay",
					       target));
		config_remove_disk(m->cfg, i);
	}
}

/* Where NVRAM and TPM state are in use: from the live document where there is
 * one, else from the definition, else where the driver keeps them. */
static void take_firmware(struct machine *m, const struct domain_firmware *fw)
{
	_cleanup_free_ char *nvram = xstrdup(fw->nvram);

	if (fw->pflash && !nvram && m->cfg->nvram.live)
		nvram = vmdir_resolve(m->dir, m->cfg->nvram.live);
	if (fw->pflash && !nvram)
		nvram = hv_nvram_path(m->daemon->hv, m->cfg->name);
	cleanup_free(&m->cfg->nvram.live);
	if (fw->pflash && nvram)
		m->cfg->nvram.live = vmdir_store_path(m->dir, nvram);
	cleanup_free(&m->cfg->tpm.live);
	if (fw->tpm)
		m->cfg->tpm.live = hv_tpm_dir(m->daemon->hv, &m->dir->guid);
}

/* The admin renamed the domain. NVRAM that libvirt finds by the domain's name is not
 * moved by it: the next start begins with another file. */
static int take_name(struct machine *m, const char *xml, struct err *reterr)
{
	_cleanup_domain_ struct domain *dom = NULL;
	_cleanup_free_ char *name = NULL, *live = NULL, *by_name = NULL;
	int r = domain_parse(xml, &dom, reterr);

	name = r < 0 ? NULL : domain_name(dom);
	if (!name || strcmp(name, m->cfg->name) == 0)
		return r;
	r = config_check_vm_name(name, reterr);
	if (r < 0) {
		err_hint(reterr, "Give the domain a plain name with 'virsh domrename'");
		return r;
	}
	strv_push(&m->notes, xasprintf("the domain was renamed: VM '%s' is '%s' now", m->cfg->name, name));
	live = m->cfg->nvram.live ? vmdir_resolve(m->dir, m->cfg->nvram.live) : NULL;
	by_name = hv_nvram_path(m->daemon->hv, m->cfg->name);
	if (live && by_name && strcmp(live, by_name) == 0) {
		strv_push(&m->notes, xasprintf("libvirt left its UEFI variables in '%s': move them to the new name, or "
					       "it starts with empty ones",
					       live));
		cleanup_free(&m->cfg->nvram.live);
	}
	xstrset(&m->cfg->name, name);
	return 0;
}

static void take_blocker(struct machine *m)
{
	_cleanup_domain_ struct domain *dom = NULL;

	if (domain_parse(m->cfg->domain_xml, &dom, NULL) < 0)
		return;
	cleanup_free(&m->cfg->memory_blocker);
	m->cfg->memory_blocker = domain_memory_blocker(dom);
}

static int define_again(struct machine *m, const char *why, struct err *reterr)
{
	_cleanup_free_ char *xml = NULL;
	int r = machine_definition(m, m->cfg, 0, &xml, reterr);

	if (!r)
		r = hv_define(m->daemon->hv, xml, reterr);
	if (r < 0)
		return r;
	strv_push(&m->notes, xasprintf("%s; it was defined again from the configuration", why));
	return machine_refresh(m, reterr);
}

int machine_take_domain(struct machine *m, struct err *reterr)
{
	struct domain_disks live = { NULL, 0 }, inactive = { NULL, 0 };
	struct domain_firmware fw = { 0 };
	_cleanup_free_ char *xml = NULL;
	int moved = 0, r = 0;

	if (m->state == HV_ABSENT)
		r = define_again(m, "the domain had been undefined", reterr);
	if (!r)
		r = get_disks(m, HV_XML_INACTIVE, &inactive, &xml, machine_is_active(m) ? NULL : &fw, reterr);
	if (!r && machine_is_active(m))
		r = get_disks(m, HV_XML_LIVE, &live, NULL, &fw, reterr);
	if (!r)
		r = compare_disks(m, &live, &moved, reterr);
	if (!r)
		r = compare_disks(m, &inactive, &moved, reterr);
	if (!r && moved)
		r = define_again(m, "the VM directory had been moved", reterr);
	else if (!r)
		r = take_name(m, xml, reterr);
	if (!r && !moved) {
		drop_removed(m, &live, &inactive);
		xstrset(&m->cfg->domain_xml, xml);
		take_firmware(m, &fw);
		take_blocker(m);
	}
	domain_disks_done(&live);
	domain_disks_done(&inactive);
	domain_firmware_done(&fw);
	return r;
}

int machine_define(struct machine *m, int renew_genid, struct err *reterr)
{
	_cleanup_free_ char *xml = NULL;
	int r = machine_definition(m, m->cfg, renew_genid, &xml, reterr);

	if (!r)
		r = hv_define(m->daemon->hv, xml, reterr);
	if (r < 0)
		err_set_vm(reterr, m->cfg->name);
	return r < 0 ? r : machine_refresh(m, reterr);
}

/* Adds what a check has to say. */
static void add_problem(char ***list, int r, struct err *err)
{
	if (r < 0 && err_is_set(err))
		strv_push(list, err_text(err));
	err_done(err);
}

/* Undefined while it ran: it is gone from libvirt when it stops. */
static int is_transient(struct machine *m)
{
	struct hv_domain *domains = NULL;
	size_t n = 0;
	int transient = 0;

	if (hv_list(m->daemon->hv, &domains, &n, NULL) < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		transient |= guid_eq(&domains[i].guid, &m->dir->guid) && !domains[i].persistent;
	hv_domains_free(domains, n);
	return transient;
}

char **machine_problems(struct machine *m)
{
	struct domain_disks disks = { NULL, 0 };
	_cleanup_free_ char *record = vmdir_intent(m->dir);
	_cleanup_err_ struct err err = ERR_INIT;
	char **list = NULL;
	int moved = 0, r;

	if (m->state == HV_ABSENT)
		strv_push(&list, xasprintf("the domain of VM '%s' is undefined; it is defined again when it is needed",
					   m->cfg->name));
	if (machine_is_active(m) && is_transient(m))
		strv_push(&list, xasprintf("the domain of VM '%s' was undefined while it ran; it is defined again when "
					   "it is needed after it has stopped",
					   m->cfg->name));
	if (path_exists(record) == 0) { /* else a block job may be our own */
		r = machine_refuse_foreign(m, &err);
		add_problem(&list, r, &err);
	}
	r = machine_check_disks(m, m->cfg, &err);
	add_problem(&list, r, &err);
	if (machine_is_saved(m)) {
		r = machine_check_stamps(m, &err);
		add_problem(&list, r, &err);
	}
	for (int live = 0; m->state != HV_ABSENT && live <= machine_is_active(m); live++) {
		if (get_disks(m, live ? HV_XML_LIVE : HV_XML_INACTIVE, &disks, NULL, NULL, NULL) < 0)
			continue;
		r = compare_disks(m, &disks, &moved, &err);
		add_problem(&list, r, &err);
		domain_disks_done(&disks);
		if (r < 0)
			break;
	}
	return list;
}
