/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thread beside a call to libvirt that takes a guest's memory. */
#include "daemon/memory.h"

#include <pthread.h>
#include <time.h>

#include "common/alloc.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/daemon.h"

#define LOOK_MSEC 100
#define LOOK_CLOSELY_MSEC 10 /* the guest stands still, and may do so only so long */

struct memory_watch {
	struct machine *m;
	struct job *job;
	struct memory_sink *sink;
	struct converge *converge;
	int aborted;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	int stop;
};

/* Waits a moment or until stopped. Returns 1 to go on. */
static int watch_wait(struct memory_watch *w)
{
	long msec = w->converge && w->converge->suspended_at ? LOOK_CLOSELY_MSEC : LOOK_MSEC;
	struct timespec until;
	int stop;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += msec * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&w->lock);
	if (!w->stop)
		pthread_cond_timedwait(&w->wake, &w->lock, &until);
	stop = w->stop;
	pthread_mutex_unlock(&w->lock);
	return !stop;
}

static void make_converge(struct memory_watch *w, const struct hv_progress *progress)
{
	const struct guid *vm = &w->m->dir->guid;
	struct hv *hv = w->m->daemon->hv;
	struct converge *c = w->converge;

	switch (converge_look(c, progress, time_mono_usec())) {
	case CONVERGE_RAISE:
		log_debug("VM %s: pass %d, the guest may stand still for %lld ms", vm->s, c->pass, (long long)c->limit);
		if (hv_set_max_downtime(hv, vm, c->limit, NULL) < 0)
			c->limit = -1;
		break;
	case CONVERGE_SUSPEND:
		log_debug("VM %s: pass %d, the guest is paused for the rest", vm->s, c->pass);
		job_phase(w->job, "pausing the guest for the rest of its memory");
		if (hv_suspend(hv, vm, NULL) < 0)
			c->suspended_at = 0; /* the job is over, or there is another pass */
		break;
	case CONVERGE_WAIT:
	case CONVERGE_GIVE_UP:
		break;
	}
}

static void *watch_main(void *arg)
{
	struct memory_watch *w = arg;
	struct hv *hv = w->m->daemon->hv;
	const struct guid *vm = &w->m->dir->guid;

	while (watch_wait(w)) {
		struct hv_progress progress;

		if (hv_progress(hv, vm, &progress, NULL) == 0) {
			job_progress(w->job, progress.done, progress.total);
			if (w->converge)
				make_converge(w, &progress);
		}
		if (!w->aborted && (job_cancelled(w->job) || (w->sink && memory_sink_failed(w->sink)) ||
				    (w->converge && w->converge->gave_up))) {
			if (w->sink)
				memory_sink_break(w->sink);
			w->aborted = hv_abort_job(hv, vm, NULL) == 0;
		}
	}
	return NULL;
}

struct memory_watch *memory_watch_start(struct machine *m, struct job *job, struct memory_sink *sink,
					struct converge *converge)
{
	struct memory_watch *w = xcalloc(1, sizeof(*w));

	w->m = m;
	w->job = job;
	w->sink = sink;
	w->converge = converge;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	if (pthread_create(&w->thread, NULL, watch_main, w) != 0)
		w->stop = -1; /* no progress then, nothing else is lost */
	return w;
}

void memory_watch_stop(struct memory_watch *w)
{
	pthread_mutex_lock(&w->lock);
	if (w->stop == 0) {
		w->stop = 1;
		pthread_cond_signal(&w->wake);
		pthread_mutex_unlock(&w->lock);
		pthread_join(w->thread, NULL);
	} else {
		pthread_mutex_unlock(&w->lock);
	}
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	cleanup_free(&w);
}
