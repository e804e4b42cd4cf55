/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packing in the background. */
#include "daemon/packing.h"

#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "daemon/job.h"
#include "daemon/options.h"
#include "daemon/savestates.h"
#include "daemon/worker.h"
#include "layout/index.h"

#define OPERATION "savestate pack"
#define DAY_USEC (24LL * 60 * 60 * 1000000)

/* One VM, or all of them. */
struct look {
	struct daemon *daemon;
	struct guid vm; /* "": all */
};

/* A job's argument. */
struct packing {
	struct daemon *daemon;
	struct vmdir *dir;
};

static void packing_free(void *arg)
{
	struct packing *p = arg;

	vmdir_free(p->dir);
	cleanup_free(&p);
}

/* The document of a snapshot that is to be packed, *owned*, or NULL. */
static struct config *due(const struct packing *p, const struct guid *snap)
{
	int64_t before = time_now_usec() - p->daemon->options->pack_after * DAY_USEC;
	_cleanup_free_ char *path = vmdir_snapshot_config(p->dir, snap);
	_cleanup_config_ struct config *cfg = NULL;

	if (config_read(path, &cfg, NULL) < 0 || cfg->created_usec > before || !savestate_is_flat(p->dir, cfg))
		return NULL;
	return TAKE_PTR(cfg);
}

/* Packs what is due, or (job NULL) only tells whether something is. An operation that was
 * interrupted comes first. One that cannot be packed does not stand in the way of others. */
static int pack_due(const struct packing *p, struct job *job, int *ret_found, struct err *reterr)
{
	_cleanup_free_ char *record = vmdir_intent(p->dir);
	_cleanup_free_ struct guid *snaps = NULL;
	size_t n = 0;
	int r = path_exists(record) == 0 ? vmdir_list_snapshots(p->dir, &snaps, &n, reterr) : 0;

	*ret_found = 0;
	for (size_t i = 0; r >= 0 && i < n && !(*ret_found && !job); i++) {
		_cleanup_config_ struct config *cfg = due(p, &snaps[i]);
		_cleanup_err_ struct err err = ERR_INIT;

		if (!cfg)
			continue;
		*ret_found = 1;
		if (!job)
			continue;
		if (job_interrupted(job))
			return 0; /* the job that it gives way to is an occasion to go on */
		if (savestate_pack(p->dir, cfg, 1, job, &err) < 0 && !job_interrupted(job)) {
			_cleanup_free_ char *text = err_text(&err);

			job_warn(job, "the memory of snapshot '%s' stays as it is: %s", cfg->name, text);
		}
	}
	return r;
}

static int body(struct job *job, void *arg, struct err *reterr)
{
	struct packing *p = arg;
	int found, r = pack_due(p, job, &found, reterr);

	if (r >= 0)
		r = job_check(job, reterr);
	catalog_touch(p->daemon->catalog, &p->dir->guid);
	return r;
}

static void look_at(struct daemon *daemon, const struct index_vm *vm)
{
	struct packing *p = xcalloc(1, sizeof(*p));
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_job_ struct job *job = NULL;
	int found = 0, r;

	p->daemon = daemon;
	p->dir = vmdir_new(vm->root, &vm->guid);
	r = pack_due(p, NULL, &found, &err);
	if (r >= 0 && found)
		r = job_submit_giving_way(daemon->jobs, OPERATION, vm->guid.s, vm->name, body, p, packing_free, &job, &err);
	if (r < 0)
		log_debug("VM %s: nothing is packed now: %s", vm->guid.s, err.message);
	if (r < 0 || !found)
		packing_free(p);
}

/* Worker. */
static void look_work(void *arg)
{
	struct look *look = arg;
	struct index_vm *vms = NULL;
	size_t n = 0;

	if (catalog_vms(look->daemon->catalog, &vms, &n, NULL) < 0)
		n = 0; /* the next job's end is another occasion */
	for (size_t i = 0; i < n; i++)
		if (guid_is_none(&look->vm) || guid_eq(&look->vm, &vms[i].guid))
			look_at(look->daemon, &vms[i]);
	index_vms_free(vms, n);
	cleanup_free(&look);
}

static void start(struct daemon *daemon, const struct guid *vm)
{
	struct look *look;

	if (daemon->options->pack_after <= 0)
		return;
	look = xcalloc(1, sizeof(*look));
	look->daemon = daemon;
	look->vm = vm ? *vm : (struct guid){ "" };
	worker_run(daemon->quick, look_work, NULL, look);
}

void packing_start(struct daemon *daemon)
{
	start(daemon, NULL);
}

void packing_after(struct daemon *daemon, const struct job_view *view)
{
	/* what ours could not do it cannot do now either; and unpacking is somebody's wish */
	if (!guid_is_none(&view->vm_id) && strcmp(view->operation, OPERATION) != 0 &&
	    strcmp(view->operation, "savestate unpack") != 0)
		start(daemon, &view->vm_id);
}
