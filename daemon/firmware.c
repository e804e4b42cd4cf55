/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NVRAM and TPM state of a snapshot. */
#include "daemon/firmware.h"

#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"

/* swtpm's permanent state below the directory that libvirt gives it, by TPM version
 * (2.0, 1.2); volatile state is in the memory stream only. */
static const struct {
	const char *dir, *file;
} tpm_files[] = { { "tpm2", "tpm2-00.permall" }, { "tpm1.2", "tpm-00.permall" } };

int firmware_present(const struct config *cfg)
{
	return cfg->nvram.live || cfg->tpm.live;
}

char *firmware_nvram_copy(const struct machine *m, const struct guid *snap)
{
	return vmdir_snapshot_file(m->dir, snap, "_VARS.fd");
}

/* The copy of TPM version i. */
static char *tpm_copy_of(const struct machine *m, const struct guid *snap, size_t i)
{
	_cleanup_free_ char *dir = vmdir_snapshot_dir(m->dir, snap);

	return path_join(dir, tpm_files[i].file);
}

static char *tpm_live_of(const struct machine *m, const struct config *cfg, size_t i)
{
	_cleanup_free_ char *dir = vmdir_resolve(m->dir, cfg->tpm.live), *sub = path_join(dir, tpm_files[i].dir);

	return path_join(sub, tpm_files[i].file);
}

/* Which version's file is there; the newer one if none is (it was never started). */
static size_t tpm_version_at(const struct machine *m, const struct config *cfg)
{
	for (size_t i = 0; i < ARRAY_SIZE(tpm_files); i++) {
		_cleanup_free_ char *live = tpm_live_of(m, cfg, i);

		if (path_exists(live) == 1)
			return i;
	}
	return 0;
}

static char *tpm_copy_path(const struct machine *m, const struct guid *snap)
{
	for (size_t i = 0; i < ARRAY_SIZE(tpm_files); i++) {
		char *copy = tpm_copy_of(m, snap, i);

		if (path_exists(copy) == 1)
			return copy;
		cleanup_free(&copy);
	}
	return tpm_copy_of(m, snap, 0);
}

static char *tpm_live_path(const struct machine *m, const struct config *cfg)
{
	return tpm_live_of(m, cfg, tpm_version_at(m, cfg));
}

/* Where a snapshot's copy belongs: by the copy's own name. */
static char *tpm_target_path(const struct machine *m, const struct config *snap)
{
	for (size_t i = 0; snap->tpm.copy && i < ARRAY_SIZE(tpm_files); i++)
		if (strcmp(path_basename(snap->tpm.copy), tpm_files[i].file) == 0)
			return tpm_live_of(m, snap, i);
	return tpm_live_path(m, snap);
}

/* Copies live to copy with its owner and mode; a live file that does not exist
 * yet (the VM was never started) leaves no copy. */
static int copy_one(const char *live, const char *copy, struct err *reterr)
{
	struct stat st;

	if (stat(live, &st) < 0)
		return errno == ENOENT ? file_remove(copy, reterr) :
					 err_file(reterr, errno, live, "cannot read the firmware state '%s'", live);
	return file_copy(live, copy, st.st_mode & 07777, st.st_uid, st.st_gid, reterr);
}

int firmware_copy(const struct machine *m, const struct guid *snap, struct err *reterr)
{
	int r = 0;

	if (m->cfg->nvram.live) {
		_cleanup_free_ char *live = vmdir_resolve(m->dir, m->cfg->nvram.live);
		_cleanup_free_ char *copy = firmware_nvram_copy(m, snap);

		r = copy_one(live, copy, reterr);
	}
	if (!r && m->cfg->tpm.live) {
		size_t version = tpm_version_at(m, m->cfg);
		_cleanup_free_ char *live = tpm_live_of(m, m->cfg, version);
		_cleanup_free_ char *copy = tpm_copy_of(m, snap, version);

		r = copy_one(live, copy, reterr);
	}
	return r;
}

int64_t firmware_bytes(const struct machine *m, const struct config *cfg)
{
	_cleanup_free_ char *nvram = cfg->nvram.live ? vmdir_resolve(m->dir, cfg->nvram.live) : NULL;
	_cleanup_free_ char *tpm = cfg->tpm.live ? tpm_live_of(m, cfg, tpm_version_at(m, cfg)) : NULL;
	struct stat st;
	int64_t bytes = nvram && stat(nvram, &st) == 0 ? st.st_size : 0;

	return tpm && stat(tpm, &st) == 0 ? bytes + st.st_size : bytes;
}

static void describe_one(const struct machine *m, struct config_fw *fw, const char *copy)
{
	struct stat st;

	cleanup_free(&fw->copy);
	fw->size = fw->uid = fw->gid = fw->mode = -1;
	if (!fw->live || stat(copy, &st) < 0)
		return;
	fw->copy = vmdir_store_path(m->dir, copy);
	fw->size = st.st_size;
	fw->uid = st.st_uid;
	fw->gid = st.st_gid;
	fw->mode = st.st_mode & 07777;
}

void firmware_describe(const struct machine *m, struct config *snap)
{
	_cleanup_free_ char *nvram = firmware_nvram_copy(m, &snap->guid), *tpm = tpm_copy_path(m, &snap->guid);

	describe_one(m, &snap->nvram, nvram);
	describe_one(m, &snap->tpm, tpm);
}

int firmware_remove_copies(const struct machine *m, const struct guid *snap, struct err *reterr)
{
	_cleanup_free_ char *nvram = firmware_nvram_copy(m, snap), *tpm = tpm_copy_path(m, snap);
	int r = file_remove(nvram, reterr);

	return r < 0 ? r : file_remove(tpm, reterr);
}

static int check_size(const struct machine *m, const struct config_fw *fw, const char *copy, struct err *reterr)
{
	struct stat st;

	if (stat(copy, &st) < 0)
		return err_file(reterr, errno, copy, "cannot read the snapshot's firmware state '%s'", copy);
	if (st.st_size == fw->size)
		return 0;
	return err_full(reterr, ERR_DRIFT, -ESTALE, m->cfg ? m->cfg->name : NULL, copy,
			"Restore the file from a backup of the VM directory",
			"'%s' has %lld bytes instead of %lld: it changed since the snapshot", copy,
			(long long)st.st_size, (long long)fw->size);
}

int firmware_check(const struct machine *m, const struct config *snap, struct err *reterr)
{
	const struct config_fw *const all[] = { &snap->nvram, &snap->tpm };
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(all); i++) {
		_cleanup_free_ char *copy = all[i]->copy ? vmdir_resolve(m->dir, all[i]->copy) : NULL;

		if (copy)
			r = check_size(m, all[i], copy, reterr);
	}
	return r;
}

static int restore_one(const struct machine *m, const struct config_fw *fw, const char *live, struct err *reterr)
{
	_cleanup_free_ char *copy = NULL;
	int r;

	if (!fw->copy)
		return file_remove(live, reterr);
	copy = vmdir_resolve(m->dir, fw->copy);
	r = check_size(m, fw, copy, reterr);
	return r < 0 ? r : file_copy(copy, live, (mode_t)fw->mode, (uid_t)fw->uid, (gid_t)fw->gid, reterr);
}

/* swtpm makes its directory itself, unless it finds one: then with its owner. */
static int make_tpm_dir(const char *live, const struct config_fw *fw, struct err *reterr)
{
	_cleanup_free_ char *dir = path_dirname(live), *above = path_dirname(dir);
	const char *const path[] = { above, dir };

	for (size_t i = 0; fw->copy && i < ARRAY_SIZE(path); i++) {
		int r = path_exists(path[i]);

		if (r == 0)
			r = dir_make(path[i], i == 0 ? 0711 : 0700, reterr);
		else if (r > 0)
			continue;
		if (r < 0)
			return r;
		if (i == 1 && chown(dir, (uid_t)fw->uid, (gid_t)fw->gid) < 0)
			return err_file(reterr, errno, dir, "cannot give '%s' to its owner", dir);
	}
	return 0;
}

int firmware_restore(const struct machine *m, const struct config *snap, struct err *reterr)
{
	int r = 0;

	if (snap->nvram.live) {
		_cleanup_free_ char *live = vmdir_resolve(m->dir, snap->nvram.live);

		r = restore_one(m, &snap->nvram, live, reterr);
	}
	if (!r && snap->tpm.live) {
		_cleanup_free_ char *live = tpm_target_path(m, snap);

		r = make_tpm_dir(live, &snap->tpm, reterr);
		if (!r)
			r = restore_one(m, &snap->tpm, live, reterr);
	}
	return r;
}

/* Live place and kept place of NVRAM (i 0) and TPM state (i 1); live NULL: none. */
static void kept_paths(const struct machine *m, int i, char **ret_live, char **ret_kept)
{
	_cleanup_free_ char *dir = vmdir_state_dir(m->dir);

	*ret_kept = path_join(dir, i == 0 ? "before_VARS.fd" : "before.permall");
	if (i == 0)
		*ret_live = m->cfg && m->cfg->nvram.live ? vmdir_resolve(m->dir, m->cfg->nvram.live) : NULL;
	else
		*ret_live = m->cfg && m->cfg->tpm.live ? tpm_live_path(m, m->cfg) : NULL;
}

int firmware_keep(const struct machine *m, struct err *reterr)
{
	int r = 0;

	for (int i = 0; !r && i < 2; i++) {
		_cleanup_free_ char *live = NULL, *kept = NULL;

		kept_paths(m, i, &live, &kept);
		if (live && path_exists(kept) == 0)
			r = copy_one(live, kept, reterr);
	}
	return r;
}

int firmware_put_back(const struct machine *m, struct err *reterr)
{
	int r = 0;

	for (int i = 0; !r && i < 2; i++) {
		_cleanup_free_ char *live = NULL, *kept = NULL;

		kept_paths(m, i, &live, &kept);
		if (live && path_exists(kept) == 1)
			r = copy_one(kept, live, reterr);
	}
	return r;
}

int firmware_drop_kept(const struct machine *m, struct err *reterr)
{
	int r = 0;

	for (int i = 0; !r && i < 2; i++) {
		_cleanup_free_ char *live = NULL, *kept = NULL;

		kept_paths(m, i, &live, &kept);
		r = file_remove(kept, reterr);
	}
	return r;
}
