/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packs and unpacks the memory of a save state. */
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/savestates.h"
#include "savestate/packed.h"

#define SPACE_MARGIN (16LL << 20) /* bytes that stay free for others */

static int tell_job(void *arg, uint64_t done, uint64_t total)
{
	job_progress(arg, (int64_t)done, (int64_t)total);
	return job_interrupted(arg);
}

/* Room for both forms at once. */
static int check_space(const struct vmdir *dir, const char *vsv_path, struct err *reterr)
{
	_cleanup_free_ char *need_text = NULL, *have_text = NULL;
	_cleanup_vsv_ struct vsv *vsv = NULL;
	int64_t need, have = 0;
	int r = vsv_open(vsv_path, &vsv, reterr);

	if (r < 0)
		return r;
	need = (int64_t)(vsv_info(vsv)->pages[PAGE_DATA] * VSV_PAGE) + SPACE_MARGIN;
	r = disk_free(dir->root, &have, reterr);
	if (r < 0 || have >= need)
		return r;
	need_text = bytes_human(need);
	have_text = bytes_human(have);
	return err_full(reterr, ERR_REFUSED, -ENOSPC, NULL, dir->root, "Make room",
			"not enough space to write the memory of '%s' a second time: it may need %s, %s are free", vsv_path,
			need_text, have_text);
}

static int refuse_without_file(const char *path, struct err *reterr)
{
	return err_full(reterr, ERR_REFUSED, -ENOTSUP, NULL, path, NULL,
			"save state '%s' has no memory file that could be packed: its memory is not apart from the rest",
			path);
}

int savestate_pack(const struct vmdir *dir, const struct config *cfg, int packed, struct job *job, struct err *reterr)
{
	_cleanup_free_ char *vsv = vmdir_resolve(dir, cfg->state.vsv);
	_cleanup_free_ char *bin = cfg->state.bin ? vmdir_resolve(dir, cfg->state.bin) : NULL;
	struct save_files files = { vsv, bin };
	int r;

	if (!bin)
		return refuse_without_file(vsv, reterr);
	r = check_space(dir, vsv, reterr);
	if (r < 0)
		return r;
	job_phase(job, packed ? "packing memory" : "unpacking memory");
	return packed ? join_pack(&files, tell_job, job, reterr) : join_unpack(&files, tell_job, job, reterr);
}

int savestate_is_flat(const struct vmdir *dir, const struct config *cfg)
{
	_cleanup_free_ char *bin = cfg->state.bin ? vmdir_resolve(dir, cfg->state.bin) : NULL;

	return bin && path_exists(bin) == 1;
}

/* That the flat one is whole is seen by its size, which it gets last but its name. */
static void sweep_one(const struct vmdir *dir, const struct guid *snap)
{
	_cleanup_free_ char *vsv_path = vmdir_snapshot_file(dir, snap, ".vsv");
	_cleanup_free_ char *bin = vmdir_snapshot_file(dir, snap, ".bin"), *packed = packed_name(bin);
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_vsv_ struct vsv *vsv = NULL;
	struct stat st;

	if (path_exists(packed) != 1 || stat(bin, &st) < 0 || vsv_open(vsv_path, &vsv, NULL) < 0 ||
	    (uint64_t)st.st_size != vsv_info(vsv)->bin_size)
		return;
	if (file_remove(packed, &err) < 0)
		log_err(LOG_LEVEL_WARNING, &err, "removing a packed memory file beside a flat one");
}

void savestate_sweep(const struct vmdir *dir)
{
	_cleanup_free_ struct guid *snaps = NULL;
	size_t n = 0;

	if (vmdir_list_snapshots(dir, &snaps, &n, NULL) < 0)
		return; /* the catalog tells of it */
	for (size_t i = 0; i < n; i++)
		sweep_one(dir, &snaps[i]);
}
