/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of the hypervisor share: a loop in a thread of its own, the
 * hypervisor on it, and a record of its events to wait for. Included first. */
#ifndef TESTS_UNIT_TEST_HV_UTIL_H
#define TESTS_UNIT_TEST_HV_UTIL_H

#include "tests/unit/common-util.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "daemon/hv.h"

enum { PATIENCE_SECONDS = 30, MAX_EVENTS = 256 };

struct rig {
	struct event_base *base;
	pthread_t thread;
	struct hv *hv;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct {
		struct guid guid;
		enum hv_event event;
	} events[MAX_EVENTS];
	int n_events, seen; /* recorded; waited for so far */
};

static inline void rig_record(void *arg, const struct guid *guid, enum hv_event event)
{
	struct rig *rig = arg;

	pthread_mutex_lock(&rig->lock);
	if (rig->n_events < MAX_EVENTS) {
		rig->events[rig->n_events].guid = *guid;
		rig->events[rig->n_events++].event = event;
	}
	pthread_cond_broadcast(&rig->more);
	pthread_mutex_unlock(&rig->lock);
}

static inline void *rig_loop(void *arg)
{
	struct rig *rig = arg;

	event_base_loop(rig->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

/* Opens uri with a running loop. Returns what hv_libvirt_open() does. */
static inline _unused_ int rig_open(struct rig *rig, const char *uri, struct err *reterr)
{
	int r;

	memset(rig, 0, sizeof(*rig));
	pthread_mutex_init(&rig->lock, NULL);
	pthread_cond_init(&rig->more, NULL);
	signal(SIGPIPE, SIG_IGN);
	evthread_use_pthreads();
	rig->base = event_base_new();
	r = hv_libvirt_open(uri, rig->base, &rig->hv, reterr);
	if (r < 0) {
		event_base_free(rig->base);
		return r;
	}
	hv_on_event(rig->hv, rig_record, rig);
	pthread_create(&rig->thread, NULL, rig_loop, rig);
	return 0;
}

static inline void rig_break(evutil_socket_t fd _unused_, short what _unused_, void *base)
{
	event_base_loopbreak(base);
}

/* Ends the loop, from inside (a break before it runs would be lost), then the rest. */
static inline _unused_ void rig_close(struct rig *rig)
{
	const struct timeval now = { 0 };

	event_base_once(rig->base, -1, EV_TIMEOUT, rig_break, rig->base, &now);
	pthread_join(rig->thread, NULL);
	hv_free(rig->hv);
	event_base_free(rig->base);
}

/* Waits for the next such event, passing over others; 1 if it came in time.
 * guid NULL: of the connection. */
static inline _unused_ int rig_await(struct rig *rig, const struct guid *guid, enum hv_event event)
{
	static const struct guid none;
	struct timespec until;
	int found = 0, late = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_SECONDS;
	pthread_mutex_lock(&rig->lock);
	while (!found) {
		if (rig->seen < rig->n_events) {
			found = rig->events[rig->seen].event == event &&
				guid_eq(&rig->events[rig->seen].guid, guid ? guid : &none);
			rig->seen++;
		} else if (late) {
			break;
		} else {
			late = pthread_cond_timedwait(&rig->more, &rig->lock, &until) != 0;
		}
	}
	pthread_mutex_unlock(&rig->lock);
	return found;
}

/* Fails with the error's whole text unless r is 0. */
static inline _unused_ void must(int r, struct err *err, const char *what)
{
	_cleanup_free_ char *text = err_text(err);

	if (r != 0)
		fail_msg("%s: %s", what, text);
}
#define MUST(call_with_err)                                    \
	do {                                                   \
		_cleanup_err_ struct err err = ERR_INIT;       \
		int must_r = (call_with_err);                  \
		must(must_r, &err, #call_with_err);            \
	} while (0)

/* A tool that is missing skips the test, but not in CI. */
static inline _unused_ int skip_status(const char *why)
{
	const char *ci = getenv("CI");

	fprintf(stderr, "skipped: %s\n", why);
	return ci && strcmp(ci, "true") == 0 ? 1 : 77;
}

#endif
