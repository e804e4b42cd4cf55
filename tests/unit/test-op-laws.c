/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must hold of a VM's files and its domain whenever no operation is under
 * way: every file is referenced, every reference leads to a whole file. */
#include "tests/unit/test-op-rig.h"

#include "common/stamp.h"
#include "daemon/memory.h"
#include "layout/chain.h"
#include "xmlcfg/domain.h"

/* Paths that may be in the VM directory. */
static char **expected;

static void expect(const char *path)
{
	if (!strv_has(expected, path))
		strv_push(&expected, xstrdup(path));
}

static void expect_taken(char *path)
{
	expect(path);
	free(path);
}

struct config *rig_config(struct rig *rig)
{
	_cleanup_free_ char *path = vmdir_config(rig->dir);
	_cleanup_err_ struct err err = ERR_INIT;
	struct config *cfg = NULL;
	int r = config_read(path, &cfg, &err);

	rig_check(rig, !r || r == -ENOENT, "%s", err.message);
	return cfg;
}

struct config *rig_snapshot(struct rig *rig, const struct guid *snap)
{
	_cleanup_free_ char *path = vmdir_snapshot_config(rig->dir, snap);
	_cleanup_err_ struct err err = ERR_INIT;
	struct config *cfg = NULL;
	int r = config_read(path, &cfg, &err);

	rig_check(rig, !r || r == -ENOENT, "%s", err.message);
	return cfg;
}

struct guid *rig_snapshots(struct rig *rig, size_t *ret_n)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct guid *guids = NULL;
	int r = vmdir_list_snapshots(rig->dir, &guids, ret_n, &err);

	rig_check(rig, !r, "%s", err.message);
	return guids;
}

int rig_same_disks(const struct config *a, const struct config *b)
{
	if (a->n_disks != b->n_disks)
		return 0;
	for (size_t i = 0; i < a->n_disks; i++) {
		struct config_disk *other = config_find_disk((struct config *)b, a->disks[i].target);

		if (!other || strcmp(other->pathname, a->disks[i].pathname) != 0 ||
		    strcmp(other->format, a->disks[i].format) != 0)
			return 0;
	}
	return 1;
}

struct hvs_domain *rig_domain(struct rig *rig)
{
	struct hvs_domain *d = hvs_find(rig->hvs, &rig->dir->guid);

	rig_check(rig, d, "the domain is gone");
	return d;
}

void rig_check_guest(struct rig *rig)
{
	struct hvs_domain *d = rig_domain(rig);

	rig_check(rig, d->state == rig->state, "the guest's state is %d, it was %d", (int)d->state, (int)rig->state);
	rig_check(rig, d->memory == rig->memory, "the guest is not the one that ran");
}

/* Chain of one disk: all there, of the VM, and reached. */
static void check_chain(struct rig *rig, const struct config_disk *disk)
{
	_cleanup_free_ char *path = vmdir_resolve(rig->dir, disk->pathname);
	_cleanup_err_ struct err err = ERR_INIT;
	struct chain chain = { NULL, 0 };
	int r = chain_read(path, disk->format, &chain, &err);

	rig_check(rig, !r, "%s", err.message);
	for (size_t i = 0; i < chain.n; i++)
		expect(chain.image[i].path);
	chain_done(&chain);
}

static void check_memory(struct rig *rig, const struct config *cfg)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	uint64_t sum = 0;

	if (!cfg->state.vsv)
		return;
	path = vmdir_resolve(rig->dir, cfg->state.vsv);
	rig_check(rig, file_checksum(path, &sum, NULL, NULL, &err) == 0, "%s", err.message);
	rig_check(rig, sum == cfg->state.vsv_sum, "the memory of '%s' is not what was written", cfg->name);
	expect(path);
	if (cfg->state.bin) { /* not of the scripted guest; whoever put it there looks at what is in it */
		_cleanup_free_ char *bin = vmdir_resolve(rig->dir, cfg->state.bin);
		_cleanup_free_ char *name = xstrndup(path, strlen(path) - strlen(".vsv"));

		rig_check(rig, memory_is_whole(name), "the memory of '%s' is not whole", cfg->name);
		expect(bin);
		return;
	}
	rig_check(rig, hvs_image_memory(path), "the memory of '%s' is not whole", cfg->name);
}

static void check_stamp(struct rig *rig, const struct config_disk *disk)
{
	_cleanup_free_ char *path = vmdir_resolve(rig->dir, disk->pathname);
	_cleanup_err_ struct err err = ERR_INIT;

	rig_check(rig, stamp_check(path, &disk->seal, &err) == 0, "%s", err.message);
}

static void check_sealed(struct rig *rig, const struct config_disk *disk)
{
	_cleanup_free_ char *path = vmdir_resolve(rig->dir, disk->pathname);
	struct stat st;

	rig_check(rig, disk->sealed, "a disk of a snapshot has no seal");
	check_stamp(rig, disk);
	rig_check(rig, stat(path, &st) == 0, "'%s' is gone", path);
	rig_check(rig, !vmdir_contains(rig->dir, path) || (st.st_mode & 07777) == SEALED_MODE,
		  "the sealed disk '%s' has mode %#o", path, (unsigned)st.st_mode);
}

static void check_firmware_copy(struct rig *rig, const struct config_fw *fw)
{
	_cleanup_free_ char *path = fw->copy ? vmdir_resolve(rig->dir, fw->copy) : NULL;
	struct stat st;

	if (!path)
		return;
	rig_check(rig, stat(path, &st) == 0 && st.st_size == fw->size, "the firmware's copy '%s' is not whole", path);
	expect(path);
}

static void check_snapshot(struct rig *rig, const struct guid *guid)
{
	_cleanup_config_ struct config *snap = rig_snapshot(rig, guid);
	_cleanup_config_ struct config *parent = NULL;
	_cleanup_free_ char *dir = vmdir_snapshot_dir(rig->dir, guid);

	rig_check(rig, path_exists(dir) == 1, "the directory of snapshot '%s' is missing", snap->name);
	expect(dir);
	expect_taken(vmdir_snapshot_config(rig->dir, guid));
	for (size_t i = 0; i < snap->n_disks; i++) {
		check_chain(rig, &snap->disks[i]);
		check_sealed(rig, &snap->disks[i]);
	}
	check_memory(rig, snap);
	check_firmware_copy(rig, &snap->nvram);
	check_firmware_copy(rig, &snap->tpm);
	if (guid_is_none(&snap->parent))
		return;
	parent = rig_snapshot(rig, &snap->parent);
	rig_check(rig, parent, "snapshot '%s' derives from one that is gone", snap->name);
}

/* Snapshots that were there when the world was kept are the same, byte by byte but for lines
 * that the operation has to change. */
static void check_old_snapshots(struct rig *rig)
{
	for (int i = 0; i < rig->n_snaps; i++) {
		_cleanup_free_ char *path = vmdir_snapshot_config(rig->dir, &rig->snap[i]);
		_cleanup_free_ char *kept = xasprintf("%s%s", rig->kept, path + strlen(rig->world));
		int refolded = rig->refolded && guid_eq(rig->refolded, &rig->snap[i]);
		const char *but = refolded ? "<size|<checksum" : rig->may_differ ? rig->may_differ : "^$";

		if (rig->victim && guid_eq(rig->victim, &rig->snap[i]))
			continue;
		rig_check(rig, path_exists(kept) != 1 || rig_same_text(path, kept, but), "snapshot %s was lost or changed",
			  rig->snap[i].s);
	}
}

/* The document's disks are the configuration's. */
static void check_document(struct rig *rig, const struct config *cfg, const char *xml, const char *which)
{
	_cleanup_domain_ struct domain *dom = NULL;
	struct domain_disks disks;

	rig_check(rig, domain_parse(xml, &dom, NULL) == 0, "the domain has no %s document", which);
	domain_get_disks(dom, &disks);
	for (size_t i = 0; i < disks.n; i++) {
		struct config_disk *disk = config_find_disk((struct config *)cfg, disks.disk[i].target);
		_cleanup_free_ char *path = disk ? vmdir_resolve(rig->dir, disk->pathname) : NULL;

		rig_check(rig, path && strcmp(path, disks.disk[i].source) == 0,
			  "the domain's %s disk is '%s', not '%s'", which, disks.disk[i].source, path);
	}
	domain_disks_done(&disks);
}

/* What the guest wrote last is in the files that it has open. */
static void check_written(struct rig *rig, const struct hvs_domain *d)
{
	_cleanup_domain_ struct domain *dom = NULL;
	struct domain_disks disks;

	rig_check(rig, domain_parse(d->live, &dom, NULL) == 0, "no live document");
	domain_get_disks(dom, &disks);
	for (size_t i = 0; i < disks.n; i++)
		rig_check(rig, hvs_generation(disks.disk[i].source) == d->written[i],
			  "the disk of a running guest was replaced: '%s'", disks.disk[i].source);
	domain_disks_done(&disks);
}

static void check_domain(struct rig *rig, const struct config *cfg)
{
	struct hvs_domain *d = rig_domain(rig);
	int active = d->state == HV_RUNNING || d->state == HV_PAUSED;

	rig_check(rig, d->persistent, "the domain is transient");
	rig_check(rig, strcmp(d->name, cfg->name) == 0, "the domain is named '%s', the VM '%s'", d->name, cfg->name);
	check_document(rig, cfg, d->inactive, "defined");
	if (active) {
		check_document(rig, cfg, d->live, "live");
		check_written(rig, d);
	}
	rig_check(rig, d->state != HV_PAUSED || rig->state == HV_PAUSED, "the guest was left paused");
	rig_check(rig, !cfg->state.vsv || !active, "the VM is saved and runs");
}

/* Nothing in dir that is not expected. */
static void check_tree(struct rig *rig, const char *dir)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_strv_ char **names = NULL;

	rig_check(rig, dir_list(dir, &names, &err) == 0, "%s", err.message);
	for (size_t i = 0; names && names[i]; i++) {
		_cleanup_free_ char *path = path_join(dir, names[i]);
		struct stat st;

		rig_check(rig, strv_has(expected, path), "nothing references '%s'", path);
		if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
			check_tree(rig, path);
	}
}

static void check_vm(struct rig *rig, const struct config *cfg)
{
	for (size_t i = 0; i < cfg->n_disks; i++) {
		_cleanup_free_ char *path = vmdir_resolve(rig->dir, cfg->disks[i].pathname);
		struct stat st;

		check_chain(rig, &cfg->disks[i]);
		rig_check(rig, stat(path, &st) == 0 && (st.st_mode & 0200), "the working disk '%s' is read-only", path);
		if (cfg->state.vsv)
			check_stamp(rig, &cfg->disks[i]);
	}
	check_memory(rig, cfg);
	if (cfg->nvram.live)
		expect_taken(vmdir_resolve(rig->dir, cfg->nvram.live));
	if (!guid_is_none(&cfg->parent)) {
		_cleanup_config_ struct config *now = rig_snapshot(rig, &cfg->parent);

		rig_check(rig, now, "the VM derives from a snapshot that is gone");
	}
	check_domain(rig, cfg);
}

static void expect_standing(struct rig *rig)
{
	expect_taken(vmdir_vms_dir(rig->dir));
	expect_taken(vmdir_config(rig->dir));
	expect_taken(vmdir_state_dir(rig->dir));
	expect_taken(vmdir_snapshots_dir(rig->dir));
	expect_taken(vmdir_avhd_dir(rig->dir));
}

/* Directories of VMs in the store that are not the one at hand. */
static void check_store(struct rig *rig)
{
	_cleanup_strv_ char **names = NULL;

	rig_check(rig, dir_list(rig->store, &names, NULL) == 0, "the store is gone");
	for (size_t i = 0; names && names[i]; i++)
		rig_check(rig, strncmp(names[i], "index.sqlite", 12) == 0 ||
			  (rig->dir && strcmp(names[i], path_basename(rig->dir->root)) == 0),
			  "the store holds '%s'", names[i]);
}

void rig_check_laws(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = rig->dir ? rig_config(rig) : NULL;
	_cleanup_free_ struct guid *snaps = NULL;
	size_t n = 0;

	strv_free(expected); /* of a test that failed */
	expected = NULL;
	check_store(rig);
	if (!cfg) {
		rig_check(rig, rig->gone, "the VM is gone");
		rig_check(rig, !rig->dir || path_exists(rig->dir->root) == 0, "'%s' is left", rig->dir->root);
		return;
	}
	snaps = rig_snapshots(rig, &n);
	expect_standing(rig);
	check_vm(rig, cfg);
	for (size_t i = 0; i < n; i++)
		check_snapshot(rig, &snaps[i]);
	check_old_snapshots(rig);
	check_tree(rig, rig->dir->root);
	strv_free(expected);
	expected = NULL;
}
