/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Handles and timeouts of libvirt as events of libevent. One mutex guards the
 * list; it is never held while libvirt's callbacks run, because they come back
 * here, and libevent's own lock is only ever taken inside it. A watch that is
 * removed stays in memory until the loop's next turn: its callback may be
 * running, and libvirt forbids calling its free function from inside remove. */
#define _GNU_SOURCE
#include "daemon/hv-event.h"

#include <libvirt/libvirt.h>
#include <poll.h>
#include <pthread.h>
#include <sys/queue.h>

#include "common/alloc.h"

struct watch {
	LIST_ENTRY(watch) entry;
	int id;
	int fd; /* -1: a timeout */
	int events; /* VIR_EVENT_HANDLE_*, of a handle */
	int timeout; /* ms, -1: off; of a timeout */
	int removed;
	virEventHandleCallback on_handle;
	virEventTimeoutCallback on_timeout;
	void *opaque;
	virFreeCallback free_opaque;
	struct event *ev; /* NULL while no base is attached */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, watch) watches = LIST_HEAD_INITIALIZER(watches);
static int last_id;
static struct event_base *base;
static struct event *reaper; /* frees removed watches in the loop's thread */

static short wanted_events(int events)
{
	short ev = 0;

	if (events & VIR_EVENT_HANDLE_READABLE)
		ev |= EV_READ;
	if (events & VIR_EVENT_HANDLE_WRITABLE)
		ev |= EV_WRITE;
	if (events && !ev && (event_base_get_features(base) & EV_FEATURE_EARLY_CLOSE))
		ev = EV_CLOSED;
	return ev;
}

/* What is true of the descriptor now, in libvirt's words: libevent folds errors
 * and hang-ups into readable and writable, libvirt tells them apart. */
static int present_events(int fd, int events)
{
	struct pollfd p = { .fd = fd };
	int now = 0;

	if (events & VIR_EVENT_HANDLE_READABLE)
		p.events |= POLLIN;
	if (events & VIR_EVENT_HANDLE_WRITABLE)
		p.events |= POLLOUT;
	if (!p.events)
		p.events = POLLRDHUP; /* as EV_CLOSED */
	if (poll(&p, 1, 0) <= 0)
		return 0;
	if (p.revents & POLLIN)
		now |= VIR_EVENT_HANDLE_READABLE;
	if (p.revents & POLLOUT)
		now |= VIR_EVENT_HANDLE_WRITABLE;
	if (p.revents & (POLLERR | POLLNVAL))
		now |= VIR_EVENT_HANDLE_ERROR;
	if (p.revents & (POLLHUP | POLLRDHUP))
		now |= VIR_EVENT_HANDLE_HANGUP;
	return now;
}

static void on_event(evutil_socket_t fd, short what _unused_, void *arg);

static struct event *make_event(event_callback_fn fn, void *arg)
{
	struct event *ev = event_new(base, -1, 0, fn, arg);

	if (!ev)
		abort(); /* out of memory, as common/alloc.h has it */
	return ev;
}

/* (Re)arms the event of a watch; the lock is held. */
static void arm(struct watch *w)
{
	struct timeval tv = { .tv_sec = w->timeout / 1000, .tv_usec = w->timeout % 1000 * 1000 };
	short ev;

	if (!base || w->removed)
		return;
	if (!w->ev)
		w->ev = make_event(on_event, w);
	ignore_result(event_del_noblock(w->ev)); /* nothing armed is fine */
	if (w->fd < 0) {
		if (w->timeout >= 0)
			ignore_result(event_add(w->ev, &tv)); /* a timer cannot fail */
		return;
	}
	ev = wanted_events(w->events);
	if (!ev)
		return;
	ignore_result(event_assign(w->ev, base, w->fd, ev | EV_PERSIST, on_event, w));
	ignore_result(event_add(w->ev, NULL)); /* fails for a closed descriptor: nothing will come from it */
}

static void on_event(evutil_socket_t fd, short what _unused_, void *arg)
{
	struct watch *w = arg;
	int id, events, timeout;

	pthread_mutex_lock(&lock);
	id = w->removed ? -1 : w->id;
	events = w->events;
	timeout = w->timeout;
	if (w->fd < 0 && id >= 0)
		arm(w); /* libvirt's timeouts repeat */
	pthread_mutex_unlock(&lock);
	if (id < 0)
		return;
	/* The watch cannot be freed meanwhile: that happens in this thread only. */
	if (w->fd >= 0) {
		int now = present_events((int)fd, events);

		if (now)
			w->on_handle(id, (int)fd, now, w->opaque);
	} else if (timeout >= 0) {
		w->on_timeout(id, w->opaque);
	}
}

/* Frees what was removed, one by one: a free function may remove more. */
static void reap(void)
{
	for (;;) {
		struct watch *w;

		pthread_mutex_lock(&lock);
		LIST_FOREACH(w, &watches, entry)
			if (w->removed)
				break;
		if (w)
			LIST_REMOVE(w, entry);
		pthread_mutex_unlock(&lock);
		if (!w)
			return;
		if (w->ev)
			event_free(w->ev);
		if (w->free_opaque)
			w->free_opaque(w->opaque);
		free(w);
	}
}

static void on_reap(evutil_socket_t fd _unused_, short what _unused_, void *arg _unused_)
{
	reap();
}

static int add_watch(struct watch *w)
{
	int id;

	pthread_mutex_lock(&lock);
	id = w->id = ++last_id;
	LIST_INSERT_HEAD(&watches, w, entry);
	arm(w);
	pthread_mutex_unlock(&lock);
	return id;
}

static struct watch *find_watch(int id)
{
	struct watch *w;

	LIST_FOREACH(w, &watches, entry)
		if (w->id == id && !w->removed)
			return w;
	return NULL;
}

static int remove_watch(int id)
{
	struct watch *w;

	pthread_mutex_lock(&lock);
	w = find_watch(id);
	if (w) {
		w->removed = 1;
		if (w->ev)
			ignore_result(event_del_noblock(w->ev)); /* the caller closes the descriptor next */
		if (reaper)
			event_active(reaper, EV_TIMEOUT, 0);
	}
	pthread_mutex_unlock(&lock);
	return w ? 0 : -1;
}

static int add_handle(int fd, int events, virEventHandleCallback cb, void *opaque, virFreeCallback ff)
{
	struct watch *w = xcalloc(1, sizeof(*w));

	w->fd = fd;
	w->events = events;
	w->timeout = -1;
	w->on_handle = cb;
	w->opaque = opaque;
	w->free_opaque = ff;
	return add_watch(w);
}

static void update_handle(int id, int events)
{
	struct watch *w;

	pthread_mutex_lock(&lock);
	w = find_watch(id);
	if (w) {
		w->events = events;
		arm(w);
	}
	pthread_mutex_unlock(&lock);
}

static int add_timeout(int ms, virEventTimeoutCallback cb, void *opaque, virFreeCallback ff)
{
	struct watch *w = xcalloc(1, sizeof(*w));

	w->fd = -1;
	w->timeout = ms;
	w->on_timeout = cb;
	w->opaque = opaque;
	w->free_opaque = ff;
	return add_watch(w);
}

static void update_timeout(int id, int ms)
{
	struct watch *w;

	pthread_mutex_lock(&lock);
	w = find_watch(id);
	if (w) {
		w->timeout = ms;
		arm(w);
	}
	pthread_mutex_unlock(&lock);
}

static void register_impl(void)
{
	virEventRegisterImpl(add_handle, update_handle, remove_watch, add_timeout, update_timeout, remove_watch);
}

int hv_event_attach(struct event_base *to, struct err *reterr)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct watch *w;
	int busy;

	pthread_once(&once, register_impl);
	pthread_mutex_lock(&lock);
	busy = base != NULL;
	if (!busy) {
		base = to;
		reaper = make_event(on_reap, NULL);
		event_active(reaper, EV_TIMEOUT, 0); /* what was removed while there was no loop */
		LIST_FOREACH(w, &watches, entry)
			arm(w);
	}
	pthread_mutex_unlock(&lock);
	if (busy)
		return err_set(reterr, ERR_FAILED, -EBUSY, "libvirt's events are attached to a loop already");
	return 0;
}

void hv_event_detach(void)
{
	struct watch *w;

	reap();
	pthread_mutex_lock(&lock);
	LIST_FOREACH(w, &watches, entry) {
		if (w->ev)
			event_free(w->ev);
		w->ev = NULL;
	}
	if (reaper)
		event_free(reaper);
	reaper = NULL;
	base = NULL;
	pthread_mutex_unlock(&lock);
}
