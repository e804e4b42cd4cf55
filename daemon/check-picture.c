/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From documents, domains and the other VMs of the store to the picture that the
 * rules of layout/ look at. */
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/catalog.h"
#include "daemon/check-priv.h"
#include "daemon/daemon.h"
#include "layout/chain.h"
#include "layout/path.h"
#include "layout/qcow2.h"
#include "savestate/packed.h"
#include "xmlcfg/domain.h"

static char *resolve(const struct vmdir *dir, const char *pathname)
{
	_cleanup_free_ char *path = vmdir_resolve(dir, pathname);

	return path_clean(path);
}

static void judge_pathname(struct checking *c, const char *file, const char *pathname)
{
	if (pathname && pathname[0] == '/' && vmdir_contains(c->dir, pathname))
		check_add(c->rep, CHECK_PATH_ABSOLUTE, file, "'%s' names '%s' by its absolute path, although it is in the "
			  "VM directory", file, pathname);
}

/* The memory file, or the packed one in its place; *owned*. */
static char *memory_file(const struct vmdir *dir, const char *pathname)
{
	_cleanup_free_ char *bin = resolve(dir, pathname);

	return packed_or_flat(bin);
}

static void add_state(struct checking *c, struct check_doc *doc, const struct config *cfg)
{
	if (cfg->state.vsv)
		check_doc_ref(doc, resolve(c->dir, cfg->state.vsv), CHECK_STATE_MISSING, cfg->state.vsv_size,
			      CHECK_STATE_DRIFT);
	if (cfg->state.bin)
		check_doc_ref(doc, memory_file(c->dir, cfg->state.bin), CHECK_MEMORY_MISSING, -1, CHECK_STATE_DRIFT);
	judge_pathname(c, doc->file, cfg->state.vsv);
	judge_pathname(c, doc->file, cfg->state.bin);
}

static void add_firmware(struct checking *c, struct check_doc *doc, const struct config_fw *fw, enum check_id missing)
{
	if (fw->copy)
		check_doc_ref(doc, resolve(c->dir, fw->copy), missing, fw->size, CHECK_FIRMWARE_DRIFT);
	if (fw->live)
		strv_push(&c->pic.held, resolve(c->dir, fw->live));
}

static void add_document(struct checking *c, const struct config *cfg, const char *file)
{
	struct check_doc *doc = check_picture_doc(&c->pic);

	doc->file = xstrdup(file);
	doc->name = xstrdup(cfg->name);
	doc->vm = cfg->kind == CONFIG_VM;
	doc->guid = cfg->guid;
	doc->parent = cfg->parent;
	for (size_t i = 0; i < cfg->n_disks; i++) {
		struct check_disk *disk = check_doc_disk(doc);

		disk->target = xstrdup(cfg->disks[i].target);
		disk->path = resolve(c->dir, cfg->disks[i].pathname);
		disk->format = xstrdup(cfg->disks[i].format);
		disk->sealed = cfg->disks[i].sealed;
		disk->seal = cfg->disks[i].seal;
		judge_pathname(c, file, cfg->disks[i].pathname);
	}
	add_state(c, doc, cfg);
	add_firmware(c, doc, &cfg->nvram, CHECK_NVRAM_MISSING);
	add_firmware(c, doc, &cfg->tpm, CHECK_TPM_MISSING);
	strv_push(&c->pic.texts, xstrdup(cfg->domain_xml));
}

/* A document that says nothing we can use: what it named is not known any more. */
static void lose_document(struct checking *c, const char *file)
{
	strv_push(&c->pic.held, xstrdup(file));
	c->pic.incomplete = 1;
}

/* Reads one; *ret_cfg stays NULL where it became a finding. */
static void read_document(struct checking *c, const char *file, enum config_kind kind, const struct guid *guid,
			  struct config **ret_cfg)
{
	_cleanup_config_ struct config *cfg = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	struct stat st;

	if (config_read(file, &cfg, &err) < 0) {
		int readable = stat(file, &st) == 0 && S_ISREG(st.st_mode) && err.kind == ERR_BAD_DATA;

		check_add(c->rep, readable ? CHECK_XML_INVALID : CHECK_XML_UNREADABLE, file, "%s", err.message);
		lose_document(c, file);
		return;
	}
	if (cfg->kind != kind) {
		check_add(c->rep, CHECK_XML_TYPE, file, "'%s' is not the document of a %s", file,
			  kind == CONFIG_VM ? "VM" : "snapshot");
		lose_document(c, file);
		return;
	}
	if (!guid_eq(&cfg->guid, guid) || !guid_eq(&cfg->vm_guid, &c->dir->guid)) {
		check_add(c->rep, CHECK_XML_GUID, file, "'%s' is the document of %s %s of VM %s", file,
			  kind == CONFIG_VM ? "VM" : "snapshot", cfg->guid.s, cfg->vm_guid.s);
		c->pic.incomplete = 1;
		strv_push(&c->pic.held, xstrdup(file));
	}
	*ret_cfg = TAKE_PTR(cfg);
}

int check_read_documents(struct checking *c, struct err *reterr)
{
	_cleanup_free_ char *own = vmdir_config(c->dir);
	_cleanup_free_ struct guid *guids = NULL;
	size_t n = 0;
	int r = vmdir_list_snapshots(c->dir, &guids, &n, reterr);

	if (r < 0)
		return r;
	read_document(c, own, CONFIG_VM, &c->dir->guid, &c->cfg);
	if (c->cfg)
		add_document(c, c->cfg, own);
	c->snaps = xcalloc(n + 1, sizeof(*c->snaps));
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *file = vmdir_snapshot_config(c->dir, &guids[i]);

		read_document(c, file, CONFIG_SNAPSHOT, &guids[i], &c->snaps[c->n_snaps]);
		if (!c->snaps[c->n_snaps])
			continue;
		add_document(c, c->snaps[c->n_snaps], file);
		c->n_snaps++;
	}
	return 0;
}

/* What another VM's working disks stand on, and what its differencing images name. */
static void add_other(struct checking *c, const struct index_vm *vm)
{
	_cleanup_vmdir_ struct vmdir *dir = vmdir_new(vm->root, &vm->guid);
	_cleanup_free_ char *file = vmdir_config(dir);
	_cleanup_config_ struct config *cfg = NULL;
	_cleanup_strv_ char **images = NULL;

	if (config_read(file, &cfg, NULL) < 0 || vmdir_list_images(dir, &images, NULL) < 0) {
		c->pic.incomplete = 1; /* nobody knows what it needs */
		return;
	}
	for (size_t i = 0; i < cfg->n_disks; i++) {
		_cleanup_free_ char *path = resolve(dir, cfg->disks[i].pathname);
		struct chain chain = { NULL, 0 };

		check_picture_other(&c->pic, path, vm->name, 1);
		if (chain_read(path, cfg->disks[i].format, &chain, NULL) < 0)
			continue;
		for (size_t k = 1; k < chain.n; k++)
			check_picture_other(&c->pic, chain.image[k].path, vm->name, 0);
		chain_done(&chain);
	}
	for (size_t i = 0; images && images[i]; i++) {
		_cleanup_(qcow2_info_done) struct qcow2_info info = { 0 };
		_cleanup_free_ char *at = path_dirname(images[i]), *below = NULL;

		if (qcow2_read(images[i], &info, NULL) < 0 || !info.backing || path_has_protocol(info.backing))
			continue;
		below = info.backing[0] == '/' ? xstrdup(info.backing) : path_join(at, info.backing);
		check_picture_other(&c->pic, below, vm->name, 0);
	}
	strv_push(&c->pic.texts, xstrdup(cfg->domain_xml));
}

/* Every domain's documents: an admin's own domain may stand on an image of this VM. */
static void add_domains(struct checking *c)
{
	struct hv_domain *domains = NULL;
	size_t n = 0;

	if (!c->asked || hv_list(c->daemon->hv, &domains, &n, NULL) < 0) {
		c->pic.incomplete = 1;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		int active = domains[i].state == HV_RUNNING || domains[i].state == HV_PAUSED ||
			     domains[i].state == HV_STOPPING;

		for (int live = 0; live <= active; live++) {
			char *xml = NULL;

			if (!live && !domains[i].persistent)
				continue;
			if (hv_xml(c->daemon->hv, &domains[i].guid, live ? HV_XML_LIVE : HV_XML_INACTIVE, &xml, NULL) < 0)
				c->pic.incomplete = 1;
			else
				strv_push(&c->pic.texts, xml);
		}
	}
	hv_domains_free(domains, n);
}

void check_read_others(struct checking *c)
{
	struct index_vm *vms = NULL;
	size_t n = 0;

	add_domains(c);
	if (catalog_vms(c->daemon->catalog, &vms, &n, NULL) < 0) {
		c->pic.incomplete = 1;
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (!guid_eq(&vms[i].guid, &c->dir->guid))
			add_other(c, &vms[i]);
	index_vms_free(vms, n);
}
