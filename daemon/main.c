/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmsnapd: puts the rooms together and runs the loop. */
#include "config.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/activation.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "daemon/hv.h"
#include "daemon/loop.h"
#include "daemon/merges.h"
#include "daemon/op.h"
#include "daemon/options.h"
#include "daemon/packing.h"
#include "daemon/pauses.h"
#include "daemon/recover.h"
#include "daemon/rpc-request.h"
#include "daemon/space-watch.h"
#include "daemon/worker.h"
#include "layout/store.h"
#include "varlink/manager.h"

struct program {
	struct options options;
	struct daemon daemon;
	struct rpc_server *server;
	struct event *signals[2];
	struct event *stop_timer;
	int64_t stop_by; /* monotonic us */
	int lock_fd;
	int stopping;
};

#define ANSWER_SECONDS 2 /* for clients to take their last answer when we stop */

/* Main loop: stops once every caller has its answer, or has not taken it in time. */
static void stop_when_answered(evutil_socket_t fd _unused_, short what _unused_, void *arg)
{
	struct program *p = arg;

	if (requests_open() == 0 || time_mono_usec() > p->stop_by)
		loop_stop();
	else
		evtimer_add(p->stop_timer, &(struct timeval){ .tv_usec = 10000 });
}

static void jobs_ended(void *arg)
{
	struct program *p = arg;

	p->stop_by = time_mono_usec() + ANSWER_SECONDS * 1000000LL;
	stop_when_answered(-1, 0, p);
}

/* Worker: jobs end at their next safe point; the loop goes on meanwhile. */
static void drain_jobs(void *arg)
{
	struct program *p = arg;

	jobs_drain(p->daemon.jobs);
}

static void on_signal(evutil_socket_t sig, short what _unused_, void *arg)
{
	struct program *p = arg;

	if (p->stopping)
		return;
	p->stopping = 1;
	log_info("stopping (%s)%s", strsignal(sig),
		 jobs_active(p->daemon.jobs) ? "; jobs under way end at their next safe point" : "");
	jobs_stop(p->daemon.jobs);
	worker_run(p->daemon.quick, drain_jobs, jobs_ended, p);
}

static int catch_signals(struct program *p, struct err *reterr)
{
	static const int sigs[] = { SIGTERM, SIGINT };

	signal(SIGPIPE, SIG_IGN);
	p->stop_timer = evtimer_new(loop_base(), stop_when_answered, p);
	if (!p->stop_timer)
		return err_set(reterr, ERR_FAILED, -ENOMEM, "cannot make a timer");
	for (size_t i = 0; i < ARRAY_SIZE(sigs); i++) {
		p->signals[i] = evsignal_new(loop_base(), sigs[i], on_signal, p);
		if (!p->signals[i] || event_add(p->signals[i], NULL) < 0)
			return err_set(reterr, ERR_FAILED, -ENOMEM, "cannot catch signal %d", sigs[i]);
	}
	return 0;
}

static void on_hv_event(void *arg, const struct guid *guid, enum hv_event event)
{
	struct program *p = arg;

	pauses_note(guid, event);
	if (p->stopping)
		return;
	if (event == HV_EVENT_UP) {
		recover_start(&p->daemon);
		merges_look_all(&p->daemon);
		space_watch_kick(p->daemon.space);
	} else if (event == HV_EVENT_STOPPED || event == HV_EVENT_STARTED) {
		merges_look(&p->daemon, guid);
		if (event == HV_EVENT_STARTED)
			space_watch_kick(p->daemon.space);
	}
}

static void on_job_finished(void *arg, const struct job_view *view)
{
	struct program *p = arg;
	struct index_job row = {
		.id = view->id,
		.operation = view->operation,
		.vm = view->vm,
		.state = (char *)job_state_name(view->state),
		.message = view->err.message,
		.started_usec = view->started_usec,
		.finished_usec = view->finished_usec,
	};

	if (view->state == JOB_FAILED)
		log_err(LOG_LEVEL_WARNING, &view->err, "job %s (%s of VM '%s')", view->id, view->operation, view->vm);
	else
		log_info("job %s (%s of VM '%s'): %s", view->id, view->operation, view->vm,
			 job_state_name(view->state));
	catalog_add_job(p->daemon.catalog, &row);
	if (!p->stopping)
		packing_after(&p->daemon, view);
	/* what it could not settle itself is tried at once, not at the next start: its guest may be paused */
	if (view->state > JOB_DONE && strcmp(view->operation, "recover") != 0 && !p->stopping)
		recover_start(&p->daemon);
	if (!p->stopping)
		merges_job_ended(&p->daemon, view);
	if (!p->stopping && strcmp(view->operation, "snapshot delete") == 0)
		space_watch_kick(p->daemon.space); /* there may be much more space now */
	if (jobs_active(p->daemon.jobs) == 0)
		malloc_trim(0);
}

static int start_rooms(struct program *p, struct err *reterr)
{
	struct daemon *d = &p->daemon;
	int r = store_open(p->options.store, &p->lock_fd, reterr);

	d->options = &p->options;
	d->started_usec = time_now_usec();

	if (!r)
		r = catalog_open(p->options.store, &d->catalog, reterr);
	if (!r)
		r = worker_pool_new("quick", 4, &d->quick, reterr);
	if (!r)
		r = jobs_new(p->options.workers, p->options.max_jobs, &d->jobs, reterr);
	if (!r)
		r = space_watch_new(d, &d->space, reterr);
	if (r < 0)
		return r;
	jobs_on_finished(d->jobs, on_job_finished, p);
	recover_sweep(d);
	r = hv_libvirt_open(p->options.uri, loop_base(), &d->hv, reterr);
	if (!r)
		hv_on_event(d->hv, on_hv_event, p);
	return r;
}

static int start_server(struct program *p, struct err *reterr)
{
	struct rpc_options o = {
		.path = p->options.socket,
		.fd = activation_fd(),
		.limits = { .connections = p->options.max_connections, .per_uid = p->options.max_connections_per_user },
		.iface = &vl_manager,
		.methods = rpc_all_methods(),
		.ctx = &p->daemon,
		.authorize = rpc_authorize,
		.vendor = "vmsnap",
		.product = "vmsnapd",
		.version = VERSION,
		.url = "https://vmsnap.invalid/",
	};
	int r = rpc_authorize_init(&p->options, reterr);

	if (o.fd >= 0)
		o.path = NULL;
	if (!r)
		r = rpc_server_start(loop_base(), &o, &p->server, reterr);
	if (!r && o.path)
		rpc_authorize_socket(o.path);
	return r;
}

static void stop_rooms(struct program *p)
{
	rpc_server_stop(p->server);
	worker_pool_free(p->daemon.quick);
	jobs_free(p->daemon.jobs);
	space_watch_free(p->daemon.space);
	if (p->daemon.hv)
		hv_free(p->daemon.hv);
	catalog_close(p->daemon.catalog);
	for (size_t i = 0; i < ARRAY_SIZE(p->signals); i++)
		if (p->signals[i])
			event_free(p->signals[i]);
	if (p->stop_timer)
		event_free(p->stop_timer);
	loop_done();
	cleanup_close(&p->lock_fd);
	options_done(&p->options);
}

static int run(struct program *p, struct err *reterr)
{
	int r = loop_init(reterr);

	if (!r)
		r = catch_signals(p, reterr);
	if (!r)
		r = start_rooms(p, reterr);
	if (!r)
		r = start_server(p, reterr);
	if (r < 0)
		return r;
	log_info("vmsnapd " VERSION " serves '%s' on %s", p->options.store, p->options.socket);
	packing_start(&p->daemon);
	space_watch_kick(p->daemon.space);
	activation_notify("READY=1");
	return loop_run(reterr);
}

static int show_info(const struct options *o)
{
	if (o->show_help)
		fputs(options_help(), stdout);
	else if (o->show_version)
		puts("vmsnapd " VERSION);
	else if (o->list_steps)
		op_list_steps(o->verbose);
	else
		return 0;
	return 1;
}

int main(int argc, char **argv)
{
	struct program p = { .lock_fd = -1 };
	_cleanup_err_ struct err err = ERR_INIT;
	int r = options_load(argc, argv, &p.options, &err);

	if (r < 0) {
		fprintf(stderr, "vmsnapd: %s\nTry 'vmsnapd --help'.\n", err.message);
		return 2;
	}
	if (show_info(&p.options)) {
		options_done(&p.options);
		return 0;
	}
	umask(077);
	/* documents are parsed in many threads, one after the other: an arena for each would keep its peak for ever */
	mallopt(M_ARENA_MAX, 2);
	json_object_seed(0); /* before there are threads */
	log_set_level(p.options.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	r = run(&p, &err);
	if (r < 0)
		log_err(LOG_LEVEL_ERROR, &err, "vmsnapd cannot run");
	stop_rooms(&p);
	return r < 0 ? 1 : 0;
}
