/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The main loop: one libevent base, and a queue through which other threads
 * hand it functions to run. */
#include "daemon/loop.h"

#include <event2/thread.h>
#include <pthread.h>

#include "common/alloc.h"

struct posted {
	void (*fn)(void *arg);
	void *arg;
	struct posted *next;
};

static struct {
	struct event_base *base;
	struct event *door;
	pthread_mutex_t lock;
	struct posted *first, **last;
} loop = { .lock = PTHREAD_MUTEX_INITIALIZER, .last = &loop.first };

static struct posted *take_all(void)
{
	struct posted *all;

	pthread_mutex_lock(&loop.lock);
	all = loop.first;
	loop.first = NULL;
	loop.last = &loop.first;
	pthread_mutex_unlock(&loop.lock);
	return all;
}

static void run_posted(evutil_socket_t fd _unused_, short what _unused_, void *arg _unused_)
{
	struct posted *p = take_all();

	while (p) {
		_cleanup_free_ struct posted *here = p;

		p = p->next;
		here->fn(here->arg);
	}
}

int loop_init(struct err *reterr)
{
	struct event_config *cfg;

	if (evthread_use_pthreads() < 0)
		return err_set(reterr, ERR_FAILED, -ENOMEM, "libevent cannot be used with threads here");
	cfg = event_config_new();
	if (cfg) {
		event_config_require_features(cfg, EV_FEATURE_EARLY_CLOSE);
		loop.base = event_base_new_with_config(cfg);
		event_config_free(cfg);
	}
	if (!loop.base)
		return err_set(reterr, ERR_FAILED, -ENOMEM, "cannot make an event loop (epoll is needed)");
	loop.door = event_new(loop.base, -1, EV_PERSIST, run_posted, NULL);
	if (!loop.door)
		return err_set(reterr, ERR_FAILED, -ENOMEM, "cannot make an event");
	return 0;
}

struct event_base *loop_base(void)
{
	return loop.base;
}

void loop_post(void (*fn)(void *arg), void *arg)
{
	struct posted *p = xcalloc(1, sizeof(*p));

	p->fn = fn;
	p->arg = arg;
	pthread_mutex_lock(&loop.lock);
	*loop.last = p;
	loop.last = &p->next;
	pthread_mutex_unlock(&loop.lock);
	event_active(loop.door, EV_TIMEOUT, 0);
}

int loop_run(struct err *reterr)
{
	if (event_base_loop(loop.base, EVLOOP_NO_EXIT_ON_EMPTY) < 0)
		return err_set(reterr, ERR_FAILED, -EIO, "the event loop failed");
	return 0;
}

void loop_stop(void)
{
	event_base_loopbreak(loop.base);
}

void loop_done(void)
{
	struct posted *p = take_all();

	while (p) {
		_cleanup_free_ _unused_ struct posted *here = p;

		p = p->next;
	}
	if (loop.door)
		event_free(loop.door);
	if (loop.base)
		event_base_free(loop.base);
	loop.door = NULL;
	loop.base = NULL;
}
