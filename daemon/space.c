/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What operations may write at worst. */
#include "daemon/space.h"

#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/firmware.h"
#include "daemon/holdings.h"
#include "daemon/memory.h"
#include "layout/image.h"
#include "xmlcfg/domain.h"

/* The first directory on the way up from path that is there, or path itself. *Owned*. */
static int find_existing(const char *path, char **ret_path, struct stat *ret_st, struct err *reterr)
{
	_cleanup_free_ char *at = xstrdup(path);

	while (stat(at, ret_st) < 0) {
		char *above;

		if ((errno != ENOENT && errno != ENOTDIR) || at[1] == '\0')
			return err_file(reterr, errno, at, "cannot look at '%s'", at);
		above = path_dirname(at);
		cleanup_free(&at);
		at = above;
	}
	*ret_path = TAKE_PTR(at);
	return 0;
}

int space_at(struct space *space, const char *path, int64_t bytes, struct err *reterr)
{
	_cleanup_free_ char *at = NULL;
	struct stat st;
	int64_t room;
	int r = find_existing(path, &at, &st, reterr);

	if (!r)
		r = disk_free(at, &room, reterr);
	if (r < 0)
		return r;
	space_add(space, (uint64_t)st.st_dev, at, room);
	space_use(space, (uint64_t)st.st_dev, bytes);
	return 0;
}

static int64_t video_memory(const struct config *cfg)
{
	_cleanup_domain_ struct domain *dom = NULL;

	return domain_parse(cfg->domain_xml, &dom, NULL) < 0 ? 0 : domain_video_memory(dom);
}

/* An empty image over each disk of cfg. */
static int add_overlays(struct space *space, const struct machine *m, const struct config *cfg, struct err *reterr)
{
	_cleanup_free_ char *dir = vmdir_avhd_dir(m->dir);
	int r = 0;

	for (size_t i = 0; !r && i < cfg->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(m, &cfg->disks[i]);
		int64_t size = -1;

		/* of a disk whose size cannot be told the most is assumed */
		ignore_result(disk_virtual_size(path, cfg->disks[i].format, &size, NULL));
		r = space_at(space, dir, space_for_overlay(size), reterr);
	}
	return r;
}

int space_take(struct space *space, const struct machine *m, int with_memory, struct err *reterr)
{
	_cleanup_free_ char *dir = vmdir_snapshots_dir(m->dir);
	int64_t bytes = SPACE_DOCUMENTS + firmware_bytes(m, m->cfg);
	int r;

	/* a save state is never as large as that by more than the reserve */
	bytes += with_memory ? space_for_memory(memory_size(m->cfg), video_memory(m->cfg)) : SPACE_RESERVE;
	r = space_at(space, dir, bytes, reterr);
	return r < 0 ? r : add_overlays(space, m, m->cfg, reterr);
}

/* A snapshot's firmware state is written where the live one is, which may be anywhere. */
static int add_live(struct space *space, const struct machine *m, const struct config_fw *fw, struct err *reterr)
{
	_cleanup_free_ char *live = fw->live && fw->size > 0 ? vmdir_resolve(m->dir, fw->live) : NULL;

	return live ? space_at(space, live, fw->size, reterr) : 0;
}

int space_apply(struct space *space, const struct machine *m, const struct config *target, struct err *reterr)
{
	_cleanup_free_ char *dir = vmdir_state_dir(m->dir);
	int r = space_at(space, dir, SPACE_DOCUMENTS + firmware_bytes(m, m->cfg), reterr);

	if (!r)
		r = add_overlays(space, m, target, reterr);
	if (!r)
		r = add_live(space, m, &target->nvram, reterr);
	return r < 0 ? r : add_live(space, m, &target->tpm, reterr);
}

int space_plan(struct space *space, const struct plan *plan, struct err *reterr)
{
	int r = 0;

	for (size_t i = 0; !r && i < plan->n; i++) {
		const struct plan_action *a = &plan->action[i];
		int commit = a->kind == PLAN_COMMIT;

		if (a->kind == PLAN_KEEP)
			continue;
		if (a->kind != PLAN_REMOVE && a->needed > 0) {
			const char *written = commit ? a->image : a->dependant;

			r = space_at(space, written, a->needed + SPACE_MERGE_MARGIN, reterr);
			if (!r)
				r = space_at(space, written, -SPACE_MERGE_MARGIN, reterr);
		}
		if (!r)
			r = space_at(space, commit ? a->dependant : a->image, -a->freed, reterr);
	}
	return r;
}

/* What removing a file gives back: nothing if it has another name, too. */
static int64_t file_gives_back(const struct machine *m, const char *pathname)
{
	_cleanup_free_ char *path = pathname ? vmdir_resolve(m->dir, pathname) : NULL;
	struct stat st;

	return path && stat(path, &st) == 0 && st.st_nlink == 1 ? (int64_t)st.st_blocks * 512 : 0;
}

static int64_t given_back(const struct machine *m, const struct config *snap)
{
	return file_gives_back(m, snap->state.vsv) + file_gives_back(m, snap->state.bin);
}

/* Save states go before anything is merged. Others take over what they need of them before
 * that: then nobody knows how much is left to be given back, and none of it counts. */
static int add_memory(struct space *space, const struct holdings *h, const struct guid *guids, size_t n,
		      int64_t folded, struct err *reterr)
{
	_cleanup_free_ char *dir = vmdir_snapshots_dir(h->m->dir);
	int r = folded ? space_at(space, dir, folded + SPACE_DOCUMENTS, reterr) : 0;

	if (!r && folded)
		r = space_at(space, dir, -folded - SPACE_DOCUMENTS, reterr);
	for (size_t i = 0; !r && !folded && i < n; i++) {
		const struct config *cfg = holdings_snapshot(h, guids[i].s);

		if (cfg)
			r = space_at(space, dir, -given_back(h->m, cfg), reterr);
	}
	return r;
}

/* The snapshots go in the order of guids. */
static int account_delete(struct space *space, const struct holdings *h, const struct guid *guids, size_t n,
			  struct err *reterr)
{
	_cleanup_(plan_done) struct plan before = { 0 }, after = { 0 };
	int64_t folded = holdings_folded(h, guids, n).needed;
	int r = holdings_plan(h, NULL, 0, &before, reterr);

	if (!r)
		r = holdings_plan(h, guids, n, &after, reterr);
	if (!r && (folded || after.copied > before.copied))
		r = add_memory(space, h, guids, n, folded, reterr);
	return r < 0 || after.copied <= before.copied ? r : space_plan(space, &after, reterr);
}

int space_delete(struct space *space, const struct machine *m, const struct guid *guids, size_t n, int into_base,
		 struct err *reterr)
{
	_cleanup_(holdings_done) struct holdings h = { 0 };

	if (holdings_read(m, &h, NULL) < 0)
		return 0; /* then nothing is merged; whether anything is deleted others decide */
	if (into_base)
		holdings_into_base(&h);
	return account_delete(space, &h, guids, n, reterr);
}

int space_merges(struct space *space, const struct machine *m, struct err *reterr)
{
	_cleanup_(holdings_done) struct holdings h = { 0 };
	_cleanup_(plan_done) struct plan plan = { 0 };
	int r = holdings_read(m, &h, reterr);

	if (!r)
		r = holdings_plan(&h, NULL, 0, &plan, reterr);
	return r < 0 ? r : space_plan(space, &plan, reterr);
}
