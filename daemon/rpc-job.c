/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Methods about jobs and about the daemon itself, and the one table of all methods. */
#include "config.h"

#include <pthread.h>
#include <string.h>

#include "common/alloc.h"
#include "daemon/catalog.h"
#include "daemon/hv.h"
#include "daemon/merges.h"
#include "daemon/options.h"
#include "daemon/rpc-request.h"
#include "daemon/rpc-view.h"
#include "varlink/message.h"

static int list_answer(struct request *req, json_t **ret_out, struct err *reterr)
{
	json_t *jobs;
	int r = view_jobs(req->daemon, request_string(req, "vm"), &jobs, reterr);

	if (r < 0)
		return r;
	*ret_out = json_pack("{s:o}", "jobs", jobs);
	return 0;
}

static int cancel_answer(struct request *req, json_t **ret_out, struct err *reterr)
{
	int r = jobs_cancel(req->daemon->jobs, request_string(req, "id"), reterr);

	*ret_out = r < 0 ? NULL : json_object();
	return r;
}

static int pause_answer(struct request *req, json_t **ret_out, struct err *reterr)
{
	int r = merges_pause(req->daemon, request_string(req, "id"), reterr);

	*ret_out = r < 0 ? NULL : json_object();
	return r;
}

static int resume_answer(struct request *req, json_t **ret_out, struct err *reterr)
{
	int r = merges_resume(req->daemon, request_string(req, "id"), reterr);

	*ret_out = r < 0 ? NULL : json_object();
	return r;
}

/* What is wrong with the store and with every VM in it. */
static json_t *all_problems(struct daemon *daemon, const struct index_vm *vms, size_t n)
{
	_cleanup_strv_ char **store = catalog_problems(daemon->catalog, NULL);
	json_t *list = json_array();

	for (size_t i = 0; store && store[i]; i++)
		json_array_append_new(list, vl_string(store[i]));
	for (size_t i = 0; i < n; i++) {
		_cleanup_strv_ char **problems = catalog_problems(daemon->catalog, &vms[i].guid);

		for (size_t k = 0; problems && problems[k]; k++) {
			_cleanup_free_ char *line = xasprintf("VM '%s': %s", vms[i].name, problems[k]);

			json_array_append_new(list, vl_string(line));
		}
	}
	return list;
}

static int status_answer(struct request *req, json_t **ret_out, struct err *reterr)
{
	_cleanup_free_ char *hypervisor = hv_is_up(req->daemon->hv) ? hv_describe(req->daemon->hv) : NULL;
	const struct options *o = req->daemon->options;
	json_t *problems, *file_systems;
	struct index_vm *vms;
	size_t n;
	int r = catalog_vms(req->daemon->catalog, &vms, &n, reterr);

	if (r < 0)
		return r;
	problems = all_problems(req->daemon, vms, n);
	file_systems = view_file_systems(req->daemon, problems);
	*ret_out = json_pack("{s:s, s:o, s:b, s:o, s:i, s:i, s:I, s:o, s:o}", "version", VERSION, "uri",
			     vl_string(o->uri), "connected", hypervisor != NULL, "store", vl_string(o->store), "vms", (int)n, "jobsRunning",
			     jobs_active(req->daemon->jobs), "startedUSec", (json_int_t)req->daemon->started_usec,
			     "problems", problems, "fileSystems", file_systems);
	if (hypervisor)
		json_object_set_new(*ret_out, "hypervisor", json_string(hypervisor));
	index_vms_free(vms, n);
	return 0;
}

/* A client that watches jobs: all, or one until its end. */
struct watcher {
	struct daemon *daemon;
	struct rpc_call *call;
	struct job_watch *watch;
	char *id; /* NULL: all */
};

static void watcher_end(void *arg)
{
	struct watcher *w = arg;

	jobs_unwatch(w->daemon->jobs, w->watch);
	cleanup_free(&w->id);
	cleanup_free(&w);
}

/* Whole jobs, not differences: one that is left out while the client is slow does no harm. */
static void watcher_tell(void *arg, struct job *job)
{
	struct watcher *w = arg;
	struct job_view view;
	json_t *out;
	int ended;

	if (w->id && strcasecmp(w->id, job_id(job)) != 0)
		return;
	job_look(job, &view);
	ended = view.state >= JOB_DONE;
	if (!ended && !rpc_call_writable(w->call)) {
		job_view_done(&view);
		return;
	}
	out = json_pack("{s:o}", "job", view_job(&view));
	job_view_done(&view);
	if (ended && w->id) {
		rpc_reply(w->call, out);
		watcher_end(w);
	} else {
		rpc_reply_continues(w->call, out);
	}
}

static void watcher_tell_all(struct watcher *w)
{
	struct job **list;
	size_t n;

	jobs_list(w->daemon->jobs, &list, &n);
	for (size_t i = 0; i < n; i++) {
		struct job_view view;

		job_look(list[i], &view);
		if (view.state < JOB_DONE)
			watcher_tell(w, list[i]);
		job_view_done(&view);
		job_unref(list[i]);
	}
	cleanup_free(&list);
}

static void watch_jobs(struct rpc_call *call, json_t *params, void *ctx)
{
	const char *id = json_string_value(json_object_get(params, "id"));
	struct daemon *daemon = ctx;
	_cleanup_job_ struct job *job = id ? jobs_find(daemon->jobs, id) : NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	struct watcher *w;

	if (id && !job) {
		ignore_result(err_set(&err, ERR_NO_JOB, -ENOENT, "there is no job '%s'", id)); /* told to the client */
		rpc_error(call, &err);
		return;
	}
	w = xcalloc(1, sizeof(*w));
	w->daemon = daemon;
	w->call = call;
	w->id = xstrdup(id);
	w->watch = jobs_watch(daemon->jobs, watcher_tell, w);
	rpc_call_on_gone(call, watcher_end, w);
	if (job)
		watcher_tell(w, job);
	else
		watcher_tell_all(w);
}

static const struct request_kind list_kind = { .answer = list_answer };
static const struct request_kind cancel_kind = { .answer = cancel_answer };
static const struct request_kind pause_kind = { .answer = pause_answer };
static const struct request_kind resume_kind = { .answer = resume_answer };
static const struct request_kind status_kind = { .answer = status_answer };

static void list_jobs(struct rpc_call *call, json_t *params, void *ctx)
{
	request_start(&list_kind, call, params, ctx);
}

static void cancel_job(struct rpc_call *call, json_t *params, void *ctx)
{
	request_start(&cancel_kind, call, params, ctx);
}

static void pause_job(struct rpc_call *call, json_t *params, void *ctx)
{
	request_start(&pause_kind, call, params, ctx);
}

static void resume_job(struct rpc_call *call, json_t *params, void *ctx)
{
	request_start(&resume_kind, call, params, ctx);
}

static void get_status(struct rpc_call *call, json_t *params, void *ctx)
{
	request_start(&status_kind, call, params, ctx);
}

const struct rpc_method rpc_job_methods[] = {
	{ "ListJobs", list_jobs },   { "WatchJobs", watch_jobs }, { "CancelJob", cancel_job },
	{ "PauseJob", pause_job },   { "ResumeJob", resume_job }, { "GetStatus", get_status },
	{ NULL, NULL },
};

static struct rpc_method all_methods[64];

static void join_methods(void)
{
	const struct rpc_method *const rooms[] = { rpc_vm_methods, rpc_snapshot_methods, rpc_savestate_methods,
						   rpc_disk_methods, rpc_check_methods, rpc_job_methods,
						   rpc_space_methods };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++)
		for (const struct rpc_method *m = rooms[i]; m->name && n + 1 < ARRAY_SIZE(all_methods); m++)
			all_methods[n++] = *m;
}

const struct rpc_method *rpc_all_methods(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, join_methods);
	return all_methods;
}
