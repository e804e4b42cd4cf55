/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Merging that somebody paused. The mark of it is a file of the VM directory, so that the next
 * daemon knows; it has the form of an intent record, and the id of the job. */
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "daemon/merges.h"
#include "daemon/worker.h"
#include "layout/intent.h"

#define RECORD "merge-pause"

int merges_pause_read(const struct vmdir *dir, char **ret_id, int64_t *ret_began)
{
	_cleanup_free_ char *path = vmdir_pause(dir);
	_cleanup_intent_ struct intent *mark = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	struct guid id = guid_new();
	const char *began;

	if (path_exists(path) == 0)
		return 0;
	if (intent_read(path, &mark, &err) < 0 || strcmp(intent_operation(mark), RECORD) != 0 ||
	    !intent_get(mark, "job")) {
		log_warning("'%s' cannot be read; merging is paused all the same", path);
		*ret_id = xasprintf("%.8s", id.s);
		*ret_began = time_now_usec();
		return 1;
	}
	began = intent_get(mark, "began");
	*ret_id = xstrdup(intent_get(mark, "job"));
	*ret_began = began ? strtoll(began, NULL, 10) : 0;
	return 1;
}

static int write_mark(const struct vmdir *dir, const struct job_view *view, struct err *reterr)
{
	_cleanup_intent_ struct intent *mark = intent_new(RECORD);
	_cleanup_free_ char *path = vmdir_pause(dir);

	intent_set(mark, "job", "%s", view->id);
	intent_set(mark, "began", "%lld", (long long)view->started_usec);
	return intent_write(mark, path, reterr);
}

/* Removes the mark if it is that of job id, or nobody can tell. */
static int remove_mark(const struct vmdir *dir, const char *id, struct err *reterr)
{
	_cleanup_free_ char *path = vmdir_pause(dir);
	_cleanup_intent_ struct intent *mark = NULL;
	const char *of = NULL;

	if (path_exists(path) == 0)
		return 0;
	if (intent_read(path, &mark, NULL) == 0)
		of = intent_get(mark, "job");
	return of && strcasecmp(of, id) != 0 ? 0 : file_remove(path, reterr);
}

/* The directory of a merge's VM, *owned*; NULL: it is another sort of job, which leaves no mark. */
static int find_dir(struct daemon *daemon, const struct job_view *view, struct vmdir **ret_dir, struct err *reterr)
{
	*ret_dir = NULL;
	if (strcmp(view->operation, MERGE_OPERATION) != 0)
		return 0;
	return catalog_dir(daemon->catalog, &view->vm_id, ret_dir, reterr);
}

static int look_at(struct daemon *daemon, const char *id, struct job_view *ret_view, struct err *reterr)
{
	_cleanup_job_ struct job *job = jobs_find(daemon->jobs, id);

	if (!job)
		return err_set(reterr, ERR_NO_JOB, -ENOENT, "there is no job '%s'", id);
	job_look(job, ret_view);
	return 0;
}

/* The mark comes first: from when the job stops on nobody begins another. It ends with the job,
 * which may be now. */
int merges_pause(struct daemon *daemon, const char *id, struct err *reterr)
{
	_cleanup_vmdir_ struct vmdir *dir = NULL;
	struct job_view view;
	int r = jobs_may_pause(daemon->jobs, id, reterr);

	if (!r)
		r = look_at(daemon, id, &view, reterr);
	if (r < 0)
		return r;
	r = find_dir(daemon, &view, &dir, reterr);
	if (!r && dir)
		r = write_mark(dir, &view, reterr);
	job_view_done(&view);
	if (r < 0)
		return r;
	r = jobs_pause(daemon->jobs, id, reterr);
	if (r < 0 && dir)
		ignore_result(remove_mark(dir, id, NULL)); /* why it is not paused is told */
	return r;
}

int merges_resume(struct daemon *daemon, const char *id, struct err *reterr)
{
	_cleanup_vmdir_ struct vmdir *dir = NULL;
	struct job_view view;
	int r = look_at(daemon, id, &view, reterr);

	if (r < 0)
		return r;
	r = find_dir(daemon, &view, &dir, reterr);
	job_view_done(&view);
	if (!r && dir)
		r = remove_mark(dir, id, reterr);
	return r < 0 ? r : jobs_resume(daemon->jobs, id, reterr);
}

/* ---- ends */

struct ended {
	struct daemon *daemon;
	struct guid vm;
	char *id;
};

/* Quick worker. */
static void forget_work(void *arg)
{
	struct ended *e = arg;
	_cleanup_vmdir_ struct vmdir *dir = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	int r = catalog_dir(e->daemon->catalog, &e->vm, &dir, &err);

	if (!r && remove_mark(dir, e->id, &err) < 0)
		log_err(LOG_LEVEL_WARNING, &err, "forgetting that merging was paused");
	cleanup_free(&e->id);
	cleanup_free(&e);
}

void merges_pause_forget(struct daemon *daemon, const struct job_view *view)
{
	struct ended *e = xcalloc(1, sizeof(*e));

	e->daemon = daemon;
	e->vm = view->vm_id;
	e->id = xstrdup(view->id);
	worker_run(daemon->quick, forget_work, NULL, e);
}

void merges_pause_end(struct daemon *daemon, const struct guid *vm)
{
	_cleanup_job_ struct job *job = jobs_paused(daemon->jobs, MERGE_OPERATION, vm->s);

	if (job)
		ignore_result(jobs_cancel(daemon->jobs, job_id(job), NULL)); /* it exists */
}

void merges_warn_paused(struct daemon *daemon, const struct guid *vm, struct job *job)
{
	_cleanup_job_ struct job *paused = jobs_paused(daemon->jobs, MERGE_OPERATION, vm->s);

	if (paused)
		job_warn(job, "what is hidden now is not merged: that is paused until 'vmsnapctl job resume %s'",
			 job_id(paused));
}
