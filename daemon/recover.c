/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recovery at start and whenever the hypervisor comes back. */
#include "daemon/recover.h"

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "daemon/background.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "daemon/job.h"
#include "daemon/memory-sink.h"
#include "daemon/op.h"
#include "daemon/savestates.h"
#include "daemon/worker.h"
#include "layout/store.h"

struct leftover {
	struct daemon *daemon;
	struct vmdir *dir;
};

static void leftover_free(void *arg)
{
	struct leftover *l = arg;

	vmdir_free(l->dir);
	cleanup_free(&l);
}

static int recover_body(struct job *job, void *arg, struct err *reterr)
{
	struct leftover *l = arg;
	int r = op_recover(l->daemon, l->dir, job, reterr);

	if (r < 0)
		log_err(LOG_LEVEL_ERROR, reterr, "settling an interrupted operation in '%s'", l->dir->root);
	return r;
}

static void recover_one(struct daemon *daemon, struct vmdir *dir)
{
	struct leftover *l = xcalloc(1, sizeof(*l));
	_cleanup_job_ struct job *job = NULL;

	l->daemon = daemon;
	l->dir = dir;
	if (job_submit(daemon->jobs, "recover", dir->guid.s, path_basename(dir->root), recover_body, l, leftover_free,
		       &job, NULL) < 0)
		leftover_free(l); /* a job of ours is at work there: the record is its own */
}

static void recover_work(void *arg)
{
	struct daemon *daemon = arg;
	struct vmdir **dirs;
	size_t n;

	catalog_unfinished(daemon->catalog, &dirs, &n);
	for (size_t i = 0; i < n; i++)
		recover_one(daemon, dirs[i]);
	cleanup_free(&dirs);
}

/* Whoever waits at the other end of a dead daemon's pipes goes on. */
static void release_pipes(const struct vmdir *dir)
{
	_cleanup_free_ char *state = vmdir_state_dir(dir);

	memory_sink_release(dir);
	background_release(state);
}

void recover_sweep(struct daemon *daemon)
{
	const char *store = catalog_store(daemon->catalog);
	struct store_list list = { NULL, 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int r = store_scan(store, &list, NULL, &err);

	for (size_t i = 0; i < list.n; i++)
		release_pipes(list.entry[i].dir);
	for (size_t i = 0; i < list.n && r >= 0; i++)
		r = vmdir_sweep_temps(list.entry[i].dir, &err);
	for (size_t i = 0; i < list.n && r >= 0; i++)
		savestate_sweep(list.entry[i].dir);
	store_list_done(&list);
	if (r >= 0)
		r = store_sweep_empty(store, &err);
	if (r < 0)
		log_err(LOG_LEVEL_WARNING, &err, "removing what a killed vmsnapd left half-written");
}

void recover_start(struct daemon *daemon)
{
	worker_run(daemon->quick, recover_work, NULL, daemon);
}
