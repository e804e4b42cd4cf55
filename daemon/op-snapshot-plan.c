/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Planning a snapshot: everything that can be refused is refused here, before
 * anything is written; what will be done goes into the intent record. */
#include <string.h>
#include <time.h>

#include "common/alloc.h"
#include "common/timefmt.h"
#include "daemon/background.h"
#include "daemon/daemon.h"
#include "daemon/firmware.h"
#include "daemon/memory.h"
#include "daemon/merges.h"
#include "daemon/op-disks.h"
#include "daemon/op-snapshot.h"
#include "daemon/options.h"
#include "daemon/promise.h"
#include "daemon/space.h"

static char *default_name(const struct config *cfg, int64_t usec)
{
	_cleanup_free_ char *name = NULL;
	time_t t = (time_t)(usec / 1000000);
	char when[32];
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(when, sizeof(when), "%Y-%m-%d - %H:%M:%S", &tm);
	name = xasprintf("%s - (%s)", cfg->name, when);
	if (config_check_snapshot_name(name, NULL) == 0)
		return TAKE_PTR(name);
	return xstrdup(when); /* the VM's name alone is as long as a name may be */
}

static int refuse_mode(const struct machine *m, const char *mode, const char *why, struct err *reterr)
{
	return err_full(reterr, ERR_REFUSED, -ENOTSUP, m->cfg->name, NULL,
			"Leave the mode to vmsnapd, or take the snapshot with --no-memory",
			"a snapshot of VM '%s' with its memory cannot be taken in mode '%s': %s", m->cfg->name, mode,
			why);
}

/* 1 if the guest runs while its memory is taken. */
static int runs_on(const char *mode)
{
	return strcmp(mode, "background") == 0 || strcmp(mode, "live") == 0;
}

/* Why it cannot be taken in the background, *owned*, or NULL. */
static char *background_obstacle(const struct machine *m)
{
	if (m->state == HV_PAUSED)
		return xstrdup("the guest is paused");
	return background_blocker(m->daemon->hv, &m->dir->guid);
}

static int insists(const struct snapshot_spec *spec, const char *mode)
{
	return spec->mode && strcmp(spec->mode, mode) == 0;
}

/* The best mode for a guest that is there: background, live, paused. */
static int choose_running_mode(const struct machine *m, const struct snapshot_spec *spec, const char **ret_mode,
			       char **ret_reason, struct err *reterr)
{
	int paused = m->state == HV_PAUSED;
	_cleanup_free_ char *obstacle = NULL;

	if (insists(spec, "live") && paused)
		return refuse_mode(m, "live", "the guest is paused", reterr);
	if (insists(spec, "paused") || insists(spec, "live")) {
		*ret_mode = insists(spec, "live") ? "live" : "paused";
		*ret_reason = xstrdup("it was asked for");
		return 0;
	}
	obstacle = background_obstacle(m);
	if (!obstacle) {
		*ret_mode = "background";
		return 0;
	}
	if (insists(spec, "background"))
		return refuse_mode(m, "background", obstacle, reterr);
	*ret_mode = paused ? "paused" : "live";
	*ret_reason = TAKE_PTR(obstacle);
	return 0;
}

/* Chooses how the memory is taken, best first, and says why not better (*owned*). */
static int choose_mode(const struct machine *m, const struct snapshot_spec *spec, const char **ret_mode,
		       char **ret_reason, struct err *reterr)
{
	*ret_reason = NULL;
	if (!machine_is_active(m) && machine_is_saved(m)) {
		*ret_mode = spec->no_memory ? "disk-only" : "paused";
		*ret_reason = xstrdup("the VM was saved");
	} else if (!machine_is_active(m)) {
		*ret_mode = "none";
	} else if (spec->no_memory) {
		*ret_mode = "disk-only";
	} else if (m->cfg->memory_blocker) {
		if (spec->mode)
			return refuse_mode(m, spec->mode, m->cfg->memory_blocker, reterr);
		*ret_mode = "disk-only";
		*ret_reason = xstrdup(m->cfg->memory_blocker);
	} else {
		return choose_running_mode(m, spec, ret_mode, ret_reason, reterr);
	}
	return 0;
}

int snapshot_mode(const struct machine *m, const char **ret_mode, char **ret_reason, struct err *reterr)
{
	const struct snapshot_spec best = { 0 };

	return choose_mode(m, &best, ret_mode, ret_reason, reterr);
}

static int is_mode(const char *mode)
{
	return strcmp(mode, "background") == 0 || strcmp(mode, "live") == 0 || strcmp(mode, "paused") == 0;
}

static int check_spec(const struct machine *m, const struct snapshot_spec *spec, struct err *reterr)
{
	if (spec->mode && !is_mode(spec->mode))
		return err_set(reterr, ERR_INVALID, -EINVAL,
			       "unknown capture mode '%s' (known: background, live, paused)",
			       spec->mode);
	if (spec->mode && spec->no_memory)
		return err_set(reterr, ERR_INVALID, -EINVAL, "a snapshot without memory has no capture mode");
	if (spec->max_pause < -1 || spec->max_pause > OPTIONS_MAX_PAUSE)
		return err_set(reterr, ERR_INVALID, -EINVAL, "the longest pause must be 0 to %d milliseconds",
			       OPTIONS_MAX_PAUSE);
	if (spec->max_pause > 0 && (spec->no_memory || insists(spec, "paused") || insists(spec, "background")))
		return err_set(reterr, ERR_INVALID, -EINVAL, "only a live capture can be given a longest pause");
	if (spec->quiesce && !(spec->no_memory && m->state == HV_RUNNING))
		return err_full(reterr, ERR_REFUSED, -EINVAL, m->cfg->name, NULL,
				"Use it with --no-memory on a running VM",
				"file systems are frozen only for a snapshot without memory of a running VM");
	if (m->state == HV_STOPPING || m->state == HV_CRASHED)
		return err_full(reterr, ERR_REFUSED, -EBUSY, m->cfg->name, NULL, "Wait until it is off, or stop it",
				"VM '%s' is %s", m->cfg->name,
				m->state == HV_STOPPING ? "shutting down" : "crashed");
	if (m->cfg->n_disks == 0)
		return err_full(reterr, ERR_REFUSED, -EINVAL, m->cfg->name, NULL, NULL,
				"VM '%s' has no disk that a snapshot could be taken of", m->cfg->name);
	return spec->name ? config_check_snapshot_name(spec->name, reterr) : 0;
}

/* 1 if a snapshot in that mode writes the guest's memory. */
static int writes_memory(const struct machine *m, const char *mode)
{
	return machine_is_active(m) && is_mode(mode);
}

static int promise_space(const struct machine *m, const char *mode, const struct job *job, int force,
			 struct promise **ret_promise, struct err *reterr)
{
	_cleanup_free_ char *what = xasprintf("for a snapshot of VM '%s'", m->cfg->name);
	_cleanup_(space_done) struct space space = { 0 };
	int with_memory = writes_memory(m, mode), r = space_take(&space, m, with_memory, force ? NULL : reterr);

	if (r < 0)
		return force ? 0 : r;
	return promise_make(&space, m, job, force, what, with_memory ?
			    "Make room, take it with --no-memory, or try it all the same with --force" :
			    "Make room, or try it all the same with --force", ret_promise, reterr);
}

int snapshot_space(struct space *space, const struct machine *m, struct err *reterr)
{
	_cleanup_free_ char *reason = NULL;
	const char *mode = NULL;
	int r = snapshot_mode(m, &mode, &reason, reterr);

	return r < 0 ? r : space_take(space, m, writes_memory(m, mode), reterr);
}

static void fill_record(struct intent *in, const struct machine *m, const struct snapshot_spec *spec,
			const char *mode, const char *reason)
{
	struct guid snap = guid_new();
	int64_t now = time_now_usec();
	_cleanup_free_ char *name = spec->name ? xstrdup(spec->name) : default_name(m->cfg, now);
	const char *was = machine_is_saved(m) ? "saved" : m->state == HV_RUNNING ? "running" :
							  m->state == HV_PAUSED	 ? "paused" :
										   "off";

	intent_set(in, "snapshot", "%s", snap.s);
	intent_set(in, "name", "%s", name);
	if (spec->notes)
		intent_set(in, "notes", "%s", spec->notes);
	intent_set(in, "created", "%lld", (long long)now);
	intent_set(in, "mode", "%s", mode);
	if (reason)
		intent_set(in, "reason", "%s", reason);
	intent_set(in, "was", "%s", was);
	intent_set(in, "quiesce", "%d", spec->quiesce);
	intent_set(in, "force", "%d", spec->force);
	intent_set(in, "max-pause", "%lld",
		   (long long)(spec->max_pause >= 0 ? spec->max_pause : m->daemon->options->max_pause));
	/* NVRAM and TPM state are copied in a pause of ours, which recovery ends; or in QEMU's own */
	intent_set(in, "suspend", "%d", m->state == HV_RUNNING && firmware_present(m->cfg) && !runs_on(mode));
	op_disks_plan(in, m, m->cfg);
}

static int plan(struct machine *m, const struct snapshot_spec *spec, struct intent *in, struct job *job,
		struct promise **ret_promise, struct err *reterr)
{
	_cleanup_free_ char *reason = NULL;
	const char *mode = NULL;
	int r = machine_refuse_foreign(m, reterr);

	if (!r)
		r = machine_take_domain(m, reterr);
	if (!r)
		r = check_spec(m, spec, reterr);
	if (!r)
		r = choose_mode(m, spec, &mode, &reason, reterr);
	if (!r)
		r = machine_check_disks(m, m->cfg, reterr);
	if (!r)
		r = machine_refuse_written(m, reterr);
	if (!r)
		r = promise_space(m, mode, job, spec->force, ret_promise, reterr);
	if (r < 0)
		return r;
	fill_record(in, m, spec, mode, reason);
	if (spec->max_pause > 0 && strcmp(mode, "paused") == 0)
		job_warn(job, "the guest has to stand still until its memory is written, however long that takes");
	return 0;
}

int snapshot_create(struct daemon *daemon, const struct vmdir *dir, const struct snapshot_spec *spec,
		    struct job *job, struct guid *ret_snap, struct err *reterr)
{
	_cleanup_intent_ struct intent *in = intent_new(op_snapshot_create.name);
	_cleanup_promise_ struct promise *promise = NULL;
	_cleanup_machine_ struct machine *m = NULL;
	_cleanup_free_ char *written = NULL;
	struct guid snap;
	int r = merges_shorten(daemon, dir, job, reterr);

	if (!r)
		r = machine_open(daemon, dir, 0, &m, reterr);
	if (!r)
		r = plan(m, spec, in, job, &promise, reterr);
	if (r < 0) {
		err_set_vm(reterr, m ? m->cfg->name : NULL);
		return r;
	}
	for (size_t i = 0; m->notes && m->notes[i]; i++)
		job_warn(job, "%s", m->notes[i]);
	if (guid_parse(intent_get(in, "snapshot"), &snap) < 0)
		snap = guid_new();
	written = vmdir_snapshot_dir(m->dir, &snap);
	promise_watch(promise, written);
	r = op_run(daemon, &op_snapshot_create, TAKE_PTR(m), TAKE_PTR(in), job, reterr);
	if (r < 0)
		return r;
	job_set_result(job, "snapshot", &snap);
	if (ret_snap)
		*ret_snap = snap;
	return 0;
}
