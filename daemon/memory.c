/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Save states: taken, described, checked. */
#include "daemon/memory.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/remove.h"
#include "common/stamp.h"
#include "daemon/daemon.h"
#include "savestate/image.h"
#include "savestate/join.h"
#include "savestate/packed.h"
#include "xmlcfg/domain.h"

/* Save states that a new one may build on, one upon the other. */
#define MAX_DIFFERENCES 8

int64_t memory_size(const struct config *cfg)
{
	_cleanup_domain_ struct domain *dom = NULL;

	if (domain_parse(cfg->domain_xml, &dom, NULL) < 0)
		return 0;
	return domain_memory(dom);
}

/* ---- the files */

/* A .vsv that is whole: ours with its .bin, or libvirt's. */
int memory_is_whole(const char *path)
{
	_cleanup_free_ char *vsv = xasprintf("%s.vsv", path), *bin = xasprintf("%s.bin", path);
	_cleanup_free_ char *packed = packed_name(bin);
	_cleanup_vsv_ struct vsv *ours = NULL;
	struct image_info info = { 0 };
	struct stat st;
	int whole;

	if (vsv_is_ours(vsv, NULL) == 1) {
		if (vsv_open(vsv, &ours, NULL) < 0)
			return 0;
		if (!vsv_info(ours)->bin_size)
			return 1;
		return stat(bin, &st) == 0 ? (uint64_t)st.st_size == vsv_info(ours)->bin_size : path_exists(packed) == 1;
	}
	whole = image_read(vsv, &info, NULL) == 0 && info.complete;
	image_info_done(&info);
	return whole;
}

int memory_remove(const char *path, struct err *reterr)
{
	static const char *const name[] = { "%s/%s.vsv", "%s/%s.bin", "%s/%s.binz", "%s/%s.vsv.tmp", "%s/%s.bin.tmp",
					    "%s/.%s.bin.tmp", "%s/.%s.binz.tmp" };
	_cleanup_free_ char *dir = path_dirname(path);
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(name); i++) {
		_cleanup_free_ char *file = xasprintf(name[i], dir, path_basename(path));

		r = path_exists(file) == 0 ? 0 : file_remove_behind(file, reterr);
	}
	return r;
}

static int link_or_copy(const char *from, const char *to, struct err *reterr)
{
	if (link(from, to) == 0 || errno == EEXIST)
		return 0;
	return file_copy(from, to, 0600, (uid_t)-1, (gid_t)-1, reterr);
}

int memory_link(const struct machine *m, const struct config *cfg, const char *to, struct err *reterr)
{
	_cleanup_free_ char *vsv = vmdir_resolve(m->dir, cfg->state.vsv), *dir = path_dirname(to);
	_cleanup_free_ char *bin = cfg->state.bin ? vmdir_resolve(m->dir, cfg->state.bin) : NULL;
	_cleanup_free_ char *to_vsv = xasprintf("%s.vsv", to), *to_bin = xasprintf("%s.bin", to);
	int r = bin ? link_or_copy(bin, to_bin, reterr) : 0;

	if (!r)
		r = link_or_copy(vsv, to_vsv, reterr);
	return r < 0 ? r : path_fsync(dir, reterr);
}

int memory_describe(const struct machine *m, const char *path, struct config *cfg, struct err *reterr)
{
	_cleanup_free_ char *vsv = xasprintf("%s.vsv", path), *bin = xasprintf("%s.bin", path), *memory = NULL;
	struct stat st;
	int r;

	if (stat(vsv, &st) < 0)
		return err_file(reterr, -errno, vsv, "cannot read the save state '%s'", vsv);
	config_clear_state(cfg);
	r = file_checksum(vsv, &cfg->state.vsv_sum, NULL, NULL, reterr);
	if (r < 0)
		return r;
	cfg->state.vsv = vmdir_store_path(m->dir, vsv);
	cfg->state.vsv_size = st.st_size;
	memory = packed_or_flat(bin);
	if (path_exists(memory) == 1)
		cfg->state.bin = vmdir_store_path(m->dir, bin);
	return 0;
}

/* ---- differences */

/* A difference that itself holds most of the memory saves little and costs a step of
 * the way at each load: the next one stands alone. */
static int worth_building_on(const struct savestate_chain *chain)
{
	_cleanup_vsv_ struct vsv *top = NULL;
	const uint64_t *pages;

	if (chain->n >= MAX_DIFFERENCES || vsv_open(chain->files[0].vsv, &top, NULL) < 0)
		return 0;
	pages = vsv_info(top)->pages;
	return chain->n == 1 || pages[PAGE_DATA] <= pages[PAGE_PARENT];
}

/* 1 if the .vsv has the GUID that its name says: it can be found as a parent. */
static int is_named(const char *vsv, const struct guid *guid)
{
	_cleanup_vsv_ struct vsv *v = NULL;

	return vsv_is_ours(vsv, NULL) == 1 && vsv_open(vsv, &v, NULL) == 0 && guid_eq(&vsv_info(v)->guid, guid);
}

/* Whose .bin is not named is not reflinked. */
static void forbid_reflink(struct savestate_chain *chain)
{
	const char *wish = getenv("VMSNAP_REFLINK");

	for (size_t i = 0; wish && strcmp(wish, "no") == 0 && i < chain->n; i++) {
		free((char *)chain->files[i].bin);
		chain->files[i].bin = NULL;
	}
}

void memory_parents(const struct machine *m, struct savestate_chain *ret_parents)
{
	_cleanup_config_ struct config *snap = NULL;
	_cleanup_free_ char *vsv = NULL, *bin = NULL;

	*ret_parents = (struct savestate_chain){ 0 };
	if (guid_is_none(&m->cfg->parent) || machine_snapshot(m, &m->cfg->parent, &snap, NULL) < 0 ||
	    !snap->state.vsv || !snap->state.bin)
		return;
	vsv = vmdir_resolve(m->dir, snap->state.vsv);
	bin = vmdir_resolve(m->dir, snap->state.bin);
	if (!is_named(vsv, &snap->guid) || savestate_chain_open(m->dir, vsv, bin, ret_parents, NULL) < 0)
		return;
	if (!worth_building_on(ret_parents))
		savestate_chain_done(ret_parents);
	forbid_reflink(ret_parents);
}

/* ---- checking */

static int check_cancel(void *arg)
{
	return job_cancelled(arg);
}

static int report_progress(void *arg, uint64_t done, uint64_t total)
{
	job_progress(arg, (int64_t)done, (int64_t)total);
	return job_cancelled(arg);
}

static int verify_ours(const struct machine *m, const struct config *cfg, struct job *job, struct err *reterr)
{
	_cleanup_savestate_chain_ struct savestate_chain chain = { 0 };
	int r = savestate_chain_open(m->dir, cfg->state.vsv, cfg->state.bin, &chain, reterr);

	return r < 0 ? r : join_verify(chain.files, chain.n, report_progress, job, reterr);
}

int memory_check(const struct machine *m, const struct config *cfg, struct job *job, struct err *reterr)
{
	_cleanup_free_ char *path = vmdir_resolve(m->dir, cfg->state.vsv);
	struct stat st;
	uint64_t sum;
	int r;

	if (stat(path, &st) < 0)
		return err_file(reterr, -errno, path, "cannot read the save state '%s'", path);
	r = st.st_size == cfg->state.vsv_size ? file_checksum(path, &sum, check_cancel, job, reterr) : 0;
	if (r < 0)
		return r;
	if (st.st_size != cfg->state.vsv_size || sum != cfg->state.vsv_sum)
		return err_full(reterr, ERR_DRIFT, -ESTALE, cfg->name, path,
				"Restore the file from a backup of the VM directory",
				"the save state '%s' is damaged: its %s is not what it was when it was taken", path,
				st.st_size != cfg->state.vsv_size ? "size" : "checksum");
	return 0;
}

int memory_verify(const struct machine *m, const struct config *cfg, struct job *job, struct err *reterr)
{
	_cleanup_free_ char *path = vmdir_resolve(m->dir, cfg->state.vsv);
	int r = memory_check(m, cfg, job, reterr);

	return r < 0 || vsv_is_ours(path, NULL) != 1 ? r : verify_ours(m, cfg, job, reterr);
}
