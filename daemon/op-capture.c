/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking a running guest at one instant: by libvirt (live, paused, disk only) or in the
 * background by QEMU itself. */
#include "daemon/op-capture.h"

#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/background.h"
#include "daemon/converge.h"
#include "daemon/daemon.h"
#include "daemon/firmware.h"
#include "daemon/memory.h"
#include "daemon/op-disks.h"
#include "daemon/pauses.h"
#include "xmlcfg/domain.h"

int capture_mode_is(const struct op *op, const char *mode)
{
	return strcmp(intent_get(op->intent, "mode"), mode) == 0;
}

int capture_was(const struct op *op, const char *state)
{
	return strcmp(intent_get(op->intent, "was"), state) == 0;
}

int capture_was_active(const struct op *op)
{
	return capture_was(op, "running") || capture_was(op, "paused");
}

int capture_has_memory(const struct op *op)
{
	return capture_mode_is(op, "background") || capture_mode_is(op, "live") || capture_mode_is(op, "paused");
}

char *capture_file(const struct op *op, const char *suffix)
{
	struct guid snap = op_guid(op, "snapshot");

	return vmdir_snapshot_file(op->m->dir, &snap, suffix);
}

/* The disks to switch live: those of the running domain. */
static int live_disks(struct op *op, struct hv_switch *ret_list, size_t *ret_n, struct err *reterr)
{
	_cleanup_domain_ struct domain *dom = NULL;
	_cleanup_free_ char *xml = NULL;
	struct domain_disks disks;
	int r = hv_xml(op->daemon->hv, &op->m->dir->guid, HV_XML_LIVE, &xml, reterr);

	if (!r)
		r = domain_parse(xml, &dom, reterr);
	if (r < 0)
		return r;
	domain_get_disks(dom, &disks);
	*ret_n = 0;
	for (int i = 0; i < op_disks_count(op); i++) {
		const char *target = intent_getf(op->intent, "disk.%d.target", i);

		for (size_t k = 0; k < disks.n; k++) {
			if (strcmp(disks.disk[k].target, target) != 0)
				continue;
			ret_list[(*ret_n)++] = (struct hv_switch){ target, op_disks_path(op, i, "new"),
								   op_disks_path(op, i, "old") };
		}
	}
	domain_disks_done(&disks);
	return 0;
}

static void forget_disks(struct hv_switch *disks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		cleanup_free((void *)&disks[i].path);
		cleanup_free((void *)&disks[i].image);
	}
}

/* ---- firmware */

/* The flash of a UEFI guest: what QEMU's stream holds of it is of another instant, the
 * copy made in the pause is right. Source: QEMU does not track writes to pflash, and a
 * live stream is no better. */
#define FLASH_BLOCK "system.flash1"

static int in_pause(void *arg, struct err *reterr)
{
	struct op *op = arg;
	struct guid snap = op_guid(op, "snapshot");

	return firmware_copy(op->m, &snap, reterr);
}

/* 1 if firmware state is copied while QEMU has stopped the guest for the end of its stream. */
static int copies_at_end(const struct op *op)
{
	return capture_mode_is(op, "live") && firmware_present(op->m->cfg);
}

/* ---- by libvirt */

/* Where libvirt is to write the memory: ret_sink *owned*, NULL for a disk-only one. */
static int open_sink(struct op *op, struct memory_sink **ret_sink, struct err *reterr)
{
	_cleanup_savestate_chain_ struct savestate_chain parents = { 0 };
	_cleanup_free_ char *path = capture_file(op, "");
	struct memory_sink_opts opts = { .path = path, .guid = op_guid(op, "snapshot"), .parents = &parents, .arg = op };

	*ret_sink = NULL;
	if (!capture_has_memory(op))
		return 0;
	memory_parents(op->m, &parents);
	if (copies_at_end(op))
		opts.in_pause = in_pause;
	return memory_sink_open(op->m, &opts, ret_sink, reterr);
}

/* What the sink has to say is the cause of what libvirt says. */
static int drain_sink(struct memory_sink *sink, int r, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (memory_sink_drain(sink, &err) < 0) {
		err_done(reterr);
		r = err_move(reterr, &err);
	}
	return r;
}

/* ---- a guest that changes its memory faster than it goes out */

/* What the domain had set is in the record before it is changed. */
static int begin_converge(struct op *op, struct converge *c, struct err *reterr)
{
	_cleanup_free_ char *record = vmdir_intent(op->m->dir);
	const struct guid *vm = &op->m->dir->guid;
	int64_t longest = op_int(op, "max-pause", 0), own = -1;
	int r;

	if (hv_max_downtime(op->daemon->hv, vm, &own, NULL) < 0)
		own = -1;
	converge_init(c, longest, own);
	if (own < 0)
		return 0;
	intent_set(op->intent, "downtime", "%lld", (long long)own);
	r = intent_write(op->intent, record, reterr);
	if (r < 0 || !longest || own <= longest)
		return r;
	c->limit = longest;
	return hv_set_max_downtime(op->daemon->hv, vm, longest, reterr);
}

/* A domain that has ended has no such setting any more. */
static void put_downtime_back(struct op *op)
{
	_cleanup_err_ struct err err = ERR_INIT;
	const struct guid *vm = &op->m->dir->guid;
	int64_t own = op_int(op, "downtime", -1);
	enum hv_state state;

	if (own < 0 || hv_set_max_downtime(op->daemon->hv, vm, own, &err) == 0)
		return;
	if (hv_state(op->daemon->hv, vm, &state, NULL) == 0 && (state == HV_RUNNING || state == HV_PAUSED))
		job_warn(op->job, "the pause that the domain allows could not be set back: %s; try 'virsh "
				  "migrate-setmaxdowntime %s %lld'",
			 err.message, op->m->cfg->name, (long long)own);
}

/* Returns r, or why the capture was given up. */
static int end_converge(struct op *op, const struct converge *c, int r, struct err *reterr)
{
	const char *reason = intent_get(op->intent, "reason");
	_cleanup_free_ char *text = NULL;

	put_downtime_back(op);
	if (r < 0 && c->gave_up) {
		err_done(reterr);
		return err_full(reterr, ERR_REFUSED, -ETIME, op->m->cfg->name, NULL,
				"Allow a longer pause with --max-pause, or take it with --paused or --no-memory",
				"the guest changes its memory faster than it can be written: it would have to stand "
				"still for about %lld ms, %lld are allowed",
				(long long)(c->rest > c->max_pause ? c->rest : c->max_pause + 1),
				(long long)c->max_pause);
	}
	if (r < 0 || !c->suspended_at)
		return r;
	job_warn(op->job, "the guest changed its memory faster than it could be written and was paused for the rest");
	text = xasprintf("%s%sthe guest changed its memory faster than it could be written and was paused for the rest",
			 reason ? reason : "", reason ? "; " : "");
	intent_set(op->intent, "reason", "%s", text);
	/* libvirt has resumed it, unless our pause came when it had done so already */
	return hv_resume(op->daemon->hv, &op->m->dir->guid, reterr);
}

/* The one call that saves memory (into the sink, if there is one) and switches the disks. */
static int take(struct op *op, struct memory_sink *sink, struct err *reterr)
{
	_cleanup_free_ struct hv_switch *disks = xcalloc((size_t)op_disks_count(op) + 1, sizeof(*disks));
	struct hv_snapshot what = { .disks = disks, .live = capture_mode_is(op, "live"), .quiesce = op_flag(op, "quiesce") };
	struct memory_watch *w = NULL;
	struct converge converge;
	int r = live_disks(op, disks, &what.n_disks, reterr);

	if (!r && what.live)
		r = begin_converge(op, &converge, reterr);
	if (!r && sink) {
		what.memory_file = memory_sink_path(sink);
		w = memory_watch_start(op->m, op->job, sink, what.live ? &converge : NULL);
	}
	if (!r)
		r = hv_snapshot(op->daemon->hv, &op->m->dir->guid, &what, reterr);
	if (w)
		memory_watch_stop(w);
	forget_disks(disks, what.n_disks);
	if (sink)
		r = drain_sink(sink, r, reterr);
	if (w && what.live)
		r = end_converge(op, &converge, r, reterr);
	if (r < 0 && job_cancelled(op->job)) {
		err_done(reterr);
		r = job_check(op->job, reterr);
	}
	return r;
}

/* Firmware state, memory and disks of one instant; the guest runs again when it returns. */
static int capture_instant(struct op *op, struct memory_sink *sink, struct err *reterr)
{
	struct guid snap = op_guid(op, "snapshot");
	int64_t start = time_mono_usec();
	int ours = op_flag(op, "suspend"), r = 0, r2;

	if (ours)
		r = hv_suspend(op->daemon->hv, &op->m->dir->guid, reterr);
	if (!r && !copies_at_end(op))
		r = firmware_copy(op->m, &snap, reterr);
	if (!r)
		r = take(op, sink, reterr);
	if (!ours) {
		if (!r && capture_has_memory(op) && capture_was(op, "running"))
			intent_set(op->intent, "pause", "%lld", (long long)pauses_last(&op->m->dir->guid, start));
		return r;
	}
	r2 = hv_resume(op->daemon->hv, &op->m->dir->guid, r < 0 ? NULL : reterr);
	if (!r)
		intent_set(op->intent, "pause", "%lld", (long long)(time_mono_usec() - start));
	return r < 0 ? r : r2;
}

/* Whatever takes time (syncing the files) comes when the guest runs again. */
static int capture_by_libvirt(struct op *op, struct err *reterr)
{
	_cleanup_memory_sink_ struct memory_sink *sink = NULL;
	struct guid snap = op_guid(op, "snapshot");
	_cleanup_free_ char *nvram = firmware_nvram_copy(op->m, &snap);
	int r = open_sink(op, &sink, reterr);

	if (!r)
		r = capture_instant(op, sink, reterr);
	if (!r && op->m->cfg->nvram.live && copies_at_end(op))
		r = memory_sink_replace(sink, FLASH_BLOCK, nvram, reterr);
	return r < 0 || !sink ? r : memory_sink_finish(sink, op->job, reterr);
}

/* ---- in the background */

static int background_progress(void *arg, int64_t done, int64_t total)
{
	struct op *op = arg;

	job_progress(op->job, done, total);
	return job_cancelled(op->job);
}

/* What came of it, for the record and the user. */
static void note_background(struct op *op, const struct background_result *result)
{
	const struct split_result *split = &result->image.split;
	int64_t pause = result->times.stopped >= 0 ? result->times.stopped : result->times.pause;

	intent_set(op->intent, "pause", "%lld", (long long)pause);
	log_debug("VM %s: background capture: hold %lld suspend %lld firmware %lld disks %lld go on %lld us; QEMU: "
		  "stopped %lld us, setup %lld us, down %lld us", op->m->dir->guid.s, (long long)result->times.hold,
		  (long long)result->times.suspend, (long long)result->times.in_pause,
		  (long long)result->times.disks, (long long)result->times.go_on,
		  (long long)result->times.stopped, (long long)result->times.qemu_setup,
		  (long long)result->times.qemu_down);
	if (split->form != SPLIT_ALL && split->why)
		job_warn(op->job, "the memory is kept %s as it came: %s",
			 split->form == SPLIT_PARTLY ? "partly" : "wholly", split->why);
}

static int collapse_poll(void *arg)
{
	return job_cancelled(arg);
}

/* For the next one: write-protecting huge pages takes no time. The guest runs on. */
static void collapse(struct op *op)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int64_t bytes = 0;

	if (background_collapse(op->daemon->hv, &op->m->dir->guid, collapse_poll, op->job, &bytes, &err) < 0)
		log_debug("VM %s: no huge pages: %s", op->m->dir->guid.s, err.message);
}

static int capture_in_background(struct op *op, struct err *reterr)
{
	_cleanup_savestate_chain_ struct savestate_chain parents = { 0 };
	_cleanup_free_ struct hv_switch *disks = xcalloc((size_t)op_disks_count(op) + 1, sizeof(*disks));
	_cleanup_free_ char *dir = vmdir_state_dir(op->m->dir), *vsv = capture_file(op, ".vsv");
	_cleanup_free_ char *bin = capture_file(op, ".bin"), *nvram = NULL;
	struct guid snap = op_guid(op, "snapshot");
	struct capture_replace flash = { .block = FLASH_BLOCK };
	struct background_result result = { 0 };
	struct background_opts opts = {
		.hv = op->daemon->hv, .vm = &op->m->dir->guid, .dir = dir, .disks = disks, .in_pause = in_pause,
		.progress = background_progress, .arg = op,
		.force = op_flag(op, "force"),
		.image = { .vsv = vsv, .bin = bin, .guid = snap },
	};
	int r = live_disks(op, disks, &opts.n_disks, reterr);

	if (r < 0)
		return r;
	memory_parents(op->m, &parents);
	opts.image.parents = parents.files;
	opts.image.n_parents = parents.n;
	if (op->m->cfg->nvram.live) {
		flash.file = nvram = firmware_nvram_copy(op->m, &snap);
		opts.image.replace = &flash;
		opts.image.n_replace = 1;
	}
	r = background_capture(&opts, &result, reterr);
	if (!r) {
		note_background(op, &result);
		collapse(op);
	}
	background_result_done(&result);
	forget_disks(disks, opts.n_disks);
	return r;
}

int op_capture_running(struct op *op, struct err *reterr)
{
	return capture_mode_is(op, "background") ? capture_in_background(op, reterr) : capture_by_libvirt(op, reterr);
}

int op_capture_put_right(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *dir = vmdir_state_dir(op->m->dir);
	struct background_found found = { 0 };
	int r;

	if (capture_mode_is(op, "live"))
		put_downtime_back(op);
	if (!capture_mode_is(op, "background"))
		return 0;
	r = background_put_right(op->daemon->hv, &op->m->dir->guid, dir, capture_was(op, "running"), &found, reterr);
	/* its files are whole, but what QEMU wrote was not: it died at it */
	if (!r && !guid_is_none(&found.image.guid) && !found.whole)
		intent_set(op->intent, "torn", "1");
	if (found.unfrozen)
		job_warn(op->job, "the guest's memory had been left write-protected; it was set free");
	background_found_done(&found);
	return r < 0 ? r : machine_refresh(op->m, reterr);
}

int op_capture_forget(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *dir = vmdir_state_dir(op->m->dir);

	return background_forget(dir, reterr);
}
