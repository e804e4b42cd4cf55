/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A call's way: look-up in a worker, job, progress, answer. */
#include "daemon/rpc-request.h"

#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "daemon/catalog.h"
#include "daemon/merges.h"
#include "daemon/op.h"
#include "daemon/rpc-view.h"
#include "daemon/worker.h"

static int n_open; /* main loop's thread */

int requests_open(void)
{
	return n_open;
}

static void request_unref(void *arg)
{
	struct request *req = arg;

	if (__atomic_sub_fetch(&req->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	json_decref(req->params);
	json_decref(req->result);
	json_decref(req->out);
	index_vm_done(&req->vm);
	vmdir_free(req->dir);
	err_done(&req->err);
	cleanup_free(&req);
}

const char *request_string(const struct request *req, const char *name)
{
	return json_string_value(json_object_get(req->params, name));
}

int64_t request_int(const struct request *req, const char *name, int64_t missing)
{
	json_t *v = json_object_get(req->params, name);

	return json_is_integer(v) ? json_integer_value(v) : missing;
}

int request_bool(const struct request *req, const char *name, int missing)
{
	json_t *v = json_object_get(req->params, name);

	return json_is_boolean(v) ? json_boolean_value(v) : missing;
}

/* Worker. What a dead daemon left is settled before anything else is done to the VM. */
static int job_body(struct job *job, void *arg, struct err *reterr)
{
	struct request *req = arg;
	int r = req->dir && !req->kind->beside ? op_recover(req->daemon, req->dir, job, reterr) : 0;

	if (r < 0) {
		err_prefix(reterr, "an earlier operation on VM '%s' was interrupted and cannot be settled",
			   req->vm.name);
		return r;
	}
	return req->kind->body(job, req, reterr);
}

static int look_up(struct request *req)
{
	int needs_vm = req->kind->needs_vm && (!req->kind->all || request_string(req, "vm"));
	int r = 0;

	if (needs_vm)
		r = catalog_find_vm(req->daemon->catalog, request_string(req, "vm"), &req->vm, &req->err);
	if (!r && needs_vm && (req->kind->operation || req->kind->may_be_busy) && !req->kind->beside)
		r = catalog_refuse_twin(req->daemon->catalog, &req->vm.guid, &req->err);
	if (!r && needs_vm)
		req->dir = vmdir_new(req->vm.root, &req->vm.guid);
	if (!r && req->kind->needs_snapshot && request_string(req, "snapshot"))
		r = catalog_find_snapshot(req->daemon->catalog, &req->vm, request_string(req, "snapshot"),
					  &req->snapshot, &req->err);
	return r;
}

/* What the job holds: the VM, one that is to be, or something that nobody else needs.
 * *owned* */
static char *key_of(const struct request *req)
{
	if (req->kind->new_key)
		return xasprintf("name:%s", request_string(req, req->kind->new_key));
	if (req->kind->beside || !req->dir) {
		struct guid own = guid_new();

		return xasprintf("%s:%s", req->kind->operation, own.s);
	}
	return xstrdup(req->vm.guid.s);
}

static int submit(struct request *req)
{
	const char *name = req->kind->new_key ? request_string(req, req->kind->new_key) :
			   req->vm.name	      ? req->vm.name :
						"";
	_cleanup_free_ char *key = key_of(req);
	int r;

	__atomic_add_fetch(&req->refs, 1, __ATOMIC_ACQ_REL); /* the job's */
	r = job_submit(req->daemon->jobs, req->kind->operation, key, name, job_body, req, request_unref, &req->job,
		       &req->err);
	if (r < 0)
		request_unref(req);
	else if (req->kind->may_pause)
		job_let_pause(req->job);
	return r;
}

static int answer_query(struct request *req)
{
	struct jobs *jobs = req->daemon->jobs;
	int r = 0;

	if (req->kind->may_be_busy)
		r = jobs_hold(jobs, req->vm.guid.s, req->vm.name, &req->err);
	if (r < 0)
		return r;
	r = req->kind->answer(req, &req->out, &req->err);
	if (req->kind->may_be_busy)
		jobs_release(jobs, req->vm.guid.s);
	if (req->kind->may_be_busy)
		merges_look(req->daemon, &req->vm.guid); /* it may have stopped for us */
	return r;
}

/* Worker. */
static void request_work(void *arg)
{
	struct request *req = arg;
	int r = look_up(req);

	if (!r)
		r = req->kind->operation ? submit(req) : answer_query(req);
	if (r < 0 && !err_is_set(&req->err))
		ignore_result(err_errno(&req->err, r, "the request failed")); /* told to the client below */
}

static void on_gone(void *arg)
{
	struct request *req = arg;

	req->call = NULL;
	if (req->job && request_bool(req, "cancelOnDisconnect", 0)) {
		log_info("job %s: its client went away, it is cancelled", job_id(req->job));
		ignore_result(jobs_cancel(req->daemon->jobs, job_id(req->job), NULL)); /* it exists */
	}
}

/* Ends the request's part in it; the job may go on. */
static void request_end(struct request *req)
{
	n_open--;
	job_unref(req->job);
	req->job = NULL;
	request_unref(req);
}

static void fail(struct request *req, struct err *err)
{
	if (req->call)
		rpc_error(req->call, err);
	req->call = NULL;
	request_end(req);
}

static void answer_work(void *arg)
{
	struct request *req = arg;
	int r = req->kind->answer(req, &req->out, &req->err);

	if (r < 0 && !err_is_set(&req->err))
		ignore_result(err_errno(&req->err, r, "the result cannot be shown")); /* told to the client below */
}

static void answer_done(void *arg)
{
	struct request *req = arg;
	struct job_view view;

	if (err_is_set(&req->err)) {
		fail(req, &req->err);
		return;
	}
	job_look(req->job, &view);
	if (!req->out)
		req->out = json_object();
	json_object_set_new(req->out, "job", view_job(&view));
	job_view_done(&view);
	if (req->call)
		rpc_reply(req->call, json_incref(req->out));
	req->call = NULL;
	request_end(req);
}

static void tell_progress(struct request *req, struct job_view *view)
{
	if (!req->call || !rpc_call_more(req->call) || view->version == req->told || !rpc_call_writable(req->call))
		return;
	req->told = view->version;
	rpc_reply_continues(req->call, json_pack("{s:o}", "job", view_job(view)));
}

static void job_ended(struct request *req, struct job_view *view)
{
	if (view->state == JOB_DONE) {
		worker_run(req->daemon->quick, answer_work, answer_done, req);
		return;
	}
	if (!view->err.job)
		view->err.job = xstrdup(view->id);
	fail(req, &view->err);
}

/* One watch for each request that waits for a job. */
struct waiting {
	struct request *req;
	struct job_watch *watch;
};

static void on_job(void *arg, struct job *job)
{
	struct waiting *w = arg;
	struct job_view view;

	if (job != w->req->job || w->req->final)
		return;
	job_look(job, &view);
	if (view.state < JOB_DONE) {
		tell_progress(w->req, &view);
	} else {
		struct request *req = w->req;

		req->final = 1;
		jobs_unwatch(req->daemon->jobs, w->watch);
		cleanup_free(&w);
		job_ended(req, &view);
	}
	job_view_done(&view);
}

static void wait_for_job(struct request *req)
{
	struct waiting *w = xcalloc(1, sizeof(*w));

	w->req = req;
	w->watch = jobs_watch(req->daemon->jobs, on_job, w);
	on_job(w, req->job); /* it may have ended already */
}

/* Main loop's thread, after request_work(). */
static void request_worked(void *arg)
{
	struct request *req = arg;

	if (err_is_set(&req->err)) {
		fail(req, &req->err);
	} else if (!req->job) {
		if (req->call)
			rpc_reply(req->call, json_incref(req->out));
		req->call = NULL;
		request_end(req);
	} else {
		if (req->call && request_bool(req, "noWait", 0)) {
			struct job_view view;

			job_look(req->job, &view);
			rpc_reply(req->call, json_pack("{s:o}", "job", view_job(&view)));
			req->call = NULL;
			job_view_done(&view);
		} else if (!req->call) {
			on_gone(req); /* the client left before there was a job */
		}
		wait_for_job(req);
	}
}

void request_start(const struct request_kind *kind, struct rpc_call *call, json_t *params, struct daemon *daemon)
{
	struct request *req = xcalloc(1, sizeof(*req));

	req->kind = kind;
	req->daemon = daemon;
	req->params = json_incref(params);
	req->call = call;
	req->uid = rpc_call_peer(call)->uid;
	req->gid = rpc_call_peer(call)->gid;
	req->refs = 1;
	n_open++;
	rpc_call_on_gone(call, on_gone, req);
	worker_run(daemon->quick, request_work, request_worked, req);
}

int request_answer_vm(struct request *req, json_t **ret_out, struct err *reterr)
{
	struct guid vm = req->vm.guid;
	json_t *view;
	int r;

	if (req->job)
		ignore_result(job_get_result(req->job, "vm", &vm)); /* else the one that was looked up */
	r = view_vm(req->daemon, &vm, 1, &view, reterr);
	if (r < 0)
		return r;
	*ret_out = json_pack("{s:o}", "vm", view);
	return 0;
}

int request_answer_snapshot(struct request *req, json_t **ret_out, struct err *reterr)
{
	struct guid snap = req->snapshot;
	struct index_vm vm;
	json_t *view;
	int r = catalog_find_vm(req->daemon->catalog, req->vm.guid.s, &vm, reterr);

	if (r < 0)
		return r;
	if (req->job)
		ignore_result(job_get_result(req->job, "snapshot", &snap)); /* else the one that was looked up */
	r = view_snapshot(req->daemon, &vm, &snap, &view, reterr);
	index_vm_done(&vm);
	if (r < 0)
		return r;
	*ret_out = json_pack("{s:o}", "snapshot", view);
	return 0;
}

int request_answer_nothing(struct request *req _unused_, json_t **ret_out, struct err *reterr _unused_)
{
	*ret_out = json_object();
	return 0;
}
