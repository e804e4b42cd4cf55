/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting, shutting down, stopping. Nothing is written but what the domain's
 * document changed, so these have no intent record. */
#include <string.h>
#include <time.h>

#include "common/alloc.h"
#include "daemon/daemon.h"
#include "daemon/op-vm.h"

int vm_open(struct daemon *daemon, const struct vmdir *dir, struct job *job, struct machine **ret_m,
	    struct err *reterr)
{
	int r = job_check(job, reterr);

	return r < 0 ? r : machine_open(daemon, dir, 0, ret_m, reterr);
}

int vm_sync(struct machine *m, struct job *job, struct err *reterr)
{
	_cleanup_free_ char *before = NULL, *after = NULL;
	size_t n_before = 0, n_after = 0;
	int r = config_format(m->cfg, &before, &n_before, reterr);

	if (!r)
		r = machine_take_domain(m, reterr);
	if (!r)
		r = config_format(m->cfg, &after, &n_after, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; m->notes && m->notes[i]; i++)
		job_warn(job, "%s", m->notes[i]);
	if (n_before == n_after && memcmp(before, after, n_after) == 0)
		return 0;
	return machine_commit(m, reterr);
}

static int refuse_state(const struct machine *m, const char *what, const char *state, const char *hint,
			struct err *reterr)
{
	return err_full(reterr, ERR_REFUSED, -EINVAL, m->cfg->name, NULL, hint, "VM '%s' cannot be %s: it is %s",
			m->cfg->name, what, state);
}

static int start_off(struct machine *m, int paused, struct job *job, struct err *reterr)
{
	int r = machine_check_disks(m, m->cfg, reterr); /* before anything is written */

	if (!r)
		r = vm_sync(m, job, reterr);
	if (!r)
		r = machine_check_disks(m, m->cfg, reterr); /* disks that the admin added */
	if (!r)
		r = hv_start(m->daemon->hv, &m->dir->guid, paused, reterr);
	err_set_vm(reterr, m->cfg->name);
	return r;
}

int vm_start(struct daemon *daemon, const struct vmdir *dir, const struct start_spec *spec, struct job *job,
	     struct err *reterr)
{
	_cleanup_machine_ struct machine *m = NULL;
	int r = vm_open(daemon, dir, job, &m, reterr);

	if (r < 0)
		return r;
	job_phase(job, "starting");
	if (machine_is_active(m))
		return refuse_state(m, "started", m->state == HV_PAUSED ? "running, but paused" : "running already",
				    m->state == HV_PAUSED ? "Use 'vmsnapctl vm resume'" : NULL, reterr);
	if (!machine_is_saved(m))
		return start_off(m, spec->paused, job, reterr);
	if (spec->paused)
		return refuse_state(m, "started paused", "saved", "Resume it, or discard its save state", reterr);
	if (!spec->discard_saved)
		return vm_resume(daemon, dir, spec->keep_time, job, reterr);
	r = vm_discard_saved(daemon, TAKE_PTR(m), job, reterr);
	if (!r)
		r = machine_open(daemon, dir, 0, &m, reterr);
	return r < 0 ? r : start_off(m, spec->paused, job, reterr);
}

/* Waits without end as long as nobody cancels: a guest may take its time. */
static int wait_off(struct machine *m, struct job *job, struct err *reterr)
{
	for (;;) {
		int r = machine_refresh(m, reterr);

		if (r < 0 || !machine_is_active(m))
			return r;
		if (job_cancelled(job))
			return err_set(reterr, ERR_CANCELLED, -ECANCELED,
				       "waiting for VM '%s' was cancelled; the guest was asked to shut down",
				       m->cfg->name);
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
}

int vm_shutdown(struct daemon *daemon, const struct vmdir *dir, int wait, struct job *job, struct err *reterr)
{
	_cleanup_machine_ struct machine *m = NULL;
	int r = vm_open(daemon, dir, job, &m, reterr);

	if (r < 0)
		return r;
	if (m->state != HV_RUNNING && m->state != HV_STOPPING)
		return refuse_state(m, "shut down", m->state == HV_PAUSED ? "paused" : "not running",
				    m->state == HV_PAUSED ? "Resume it first, or stop it" : NULL, reterr);
	job_phase(job, "asking the guest to shut down");
	r = hv_shutdown(daemon->hv, &m->dir->guid, reterr);
	err_set_vm(reterr, m->cfg->name);
	return r < 0 || !wait ? r : wait_off(m, job, reterr);
}

int vm_stop(struct daemon *daemon, const struct vmdir *dir, struct job *job, struct err *reterr)
{
	_cleanup_machine_ struct machine *m = NULL;
	int r = vm_open(daemon, dir, job, &m, reterr);

	if (r < 0)
		return r;
	if (!machine_is_active(m) && m->state != HV_CRASHED)
		return refuse_state(m, "stopped", "not running", NULL, reterr);
	job_phase(job, "stopping");
	r = hv_destroy(daemon->hv, &m->dir->guid, reterr);
	err_set_vm(reterr, m->cfg->name);
	return r;
}
