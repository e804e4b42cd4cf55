/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connection to libvirt: opened, watched and opened again by a thread of its
 * own, so that a libvirt that is down, restarts or hangs never stops the loop. */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <time.h>

#include "common/alloc.h"
#include "common/log.h"
#include "daemon/hv-libvirt.h"

/* A daemon that answers no keepalive for 5 * 6 seconds is dead; the attempts to
 * open again begin one second apart and double up to half a minute. */
enum { KEEPALIVE_SECONDS = 5, KEEPALIVE_COUNT = 6, FIRST_DELAY = 1, MAX_DELAY = 30, STOP_WAIT_SECONDS = 5,
       FIRST_WAIT_SECONDS = 10 };

static struct lv *lv_ref(struct lv *lv)
{
	__atomic_add_fetch(&lv->refs, 1, __ATOMIC_SEQ_CST);
	return lv;
}

void lv_unref(void *arg)
{
	struct lv *lv = arg;

	if (__atomic_sub_fetch(&lv->refs, 1, __ATOMIC_SEQ_CST) > 0)
		return;
	pthread_cond_destroy(&lv->changed);
	pthread_mutex_destroy(&lv->lock);
	free(lv->uri);
	free(lv->root);
	free(lv->why);
	free(lv->describe);
	free(lv->guest_type);
	free(lv);
}

/* ---- waiting */

static struct timespec deadline(int ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000L;
	if (ts.tv_nsec >= 1000000000L) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000L;
	}
	return ts;
}

void lv_wait_change(struct lv *lv, int ms)
{
	struct timespec until = deadline(ms);

	pthread_mutex_lock(&lv->lock);
	pthread_cond_timedwait(&lv->changed, &lv->lock, &until);
	pthread_mutex_unlock(&lv->lock);
}

/* Waits out the pause between two attempts; 1 if the thread has to end. */
static int wait_quit(struct lv *lv, int seconds)
{
	struct timespec until = deadline(seconds * 1000);
	int quit;

	pthread_mutex_lock(&lv->lock);
	while (!lv->quit && pthread_cond_timedwait(&lv->changed, &lv->lock, &until) == 0)
		;
	quit = lv->quit;
	pthread_mutex_unlock(&lv->lock);
	return quit;
}

/* Waits while the connection is good; 1 if the thread has to end. */
static int wait_lost(struct lv *lv)
{
	int quit;

	pthread_mutex_lock(&lv->lock);
	while (!lv->quit && !lv->lost)
		pthread_cond_wait(&lv->changed, &lv->lock);
	quit = lv->quit;
	pthread_mutex_unlock(&lv->lock);
	return quit;
}

/* ---- events */

/* Loop's thread: passes on UP and DOWN. */
static void on_wake(evutil_socket_t fd _unused_, short what _unused_, void *arg)
{
	static const struct guid none;
	struct lv *lv = arg;
	enum hv_event events[ARRAY_SIZE(lv->pending)];
	int n;

	pthread_mutex_lock(&lv->lock);
	n = lv->n_pending;
	memcpy(events, lv->pending, sizeof(events));
	lv->n_pending = 0;
	pthread_mutex_unlock(&lv->lock);
	for (int i = 0; i < n && lv->fn; i++)
		lv->fn(lv->fn_arg, &none, events[i]);
}

/* Has UP or DOWN told in the loop's thread. A listener that is slow misses a pair
 * of DOWN and UP, never the last one of them. */
static void notify(struct lv *lv, enum hv_event event)
{
	pthread_mutex_lock(&lv->lock);
	if (lv->n_pending == (int)ARRAY_SIZE(lv->pending))
		lv->n_pending -= 2;
	lv->pending[lv->n_pending++] = event;
	if (lv->wake)
		event_active(lv->wake, EV_TIMEOUT, 0);
	pthread_mutex_unlock(&lv->lock);
}

/* Our word for a lifecycle event, or -1 if nobody needs it. */
static int event_of(int event, int detail)
{
	switch (event) {
	case VIR_DOMAIN_EVENT_DEFINED:
		return HV_EVENT_DEFINED;
	case VIR_DOMAIN_EVENT_UNDEFINED:
		return detail == VIR_DOMAIN_EVENT_UNDEFINED_RENAMED ? -1 : HV_EVENT_UNDEFINED;
	case VIR_DOMAIN_EVENT_STARTED:
		return HV_EVENT_STARTED;
	case VIR_DOMAIN_EVENT_SUSPENDED:
	case VIR_DOMAIN_EVENT_PMSUSPENDED:
	case VIR_DOMAIN_EVENT_CRASHED: /* stands still; its state tells why */
		return HV_EVENT_PAUSED;
	case VIR_DOMAIN_EVENT_RESUMED:
		return HV_EVENT_RESUMED;
	case VIR_DOMAIN_EVENT_STOPPED:
		return HV_EVENT_STOPPED;
	default:
		return -1;
	}
}

/* Loop's thread; reads the event and nothing else: a call to libvirt would hold
 * up all events behind it. */
static int on_lifecycle(virConnectPtr conn _unused_, virDomainPtr dom, int event, int detail, void *arg)
{
	struct lv *lv = arg;
	char text[VIR_UUID_STRING_BUFLEN];
	struct guid guid;
	int ours = event_of(event, detail);

	pthread_mutex_lock(&lv->lock);
	pthread_cond_broadcast(&lv->changed);
	pthread_mutex_unlock(&lv->lock);
	if (ours < 0 || virDomainGetUUIDString(dom, text) < 0 || guid_parse(text, &guid) < 0)
		return 0;
	if (lv->fn)
		lv->fn(lv->fn_arg, &guid, (enum hv_event)ours);
	return 0;
}

static void on_close(virConnectPtr conn, int reason _unused_, void *arg)
{
	struct lv *lv = arg;

	pthread_mutex_lock(&lv->lock);
	if (!lv->conn || lv->conn == conn) {
		lv->lost = 1;
		pthread_cond_broadcast(&lv->changed);
	}
	pthread_mutex_unlock(&lv->lock);
}

/* ---- the connection's thread */

/* "QEMU 7.2.22, libvirt 9.0.0, qemu:///system" */
static char *describe(virConnectPtr conn, const char *uri)
{
	const char *type = virConnectGetType(conn);
	unsigned long hyper = 0, lib = 0;
	_cleanup_free_ char *version = NULL;

	if (virConnectGetVersion(conn, &hyper) == 0 && hyper)
		version = xasprintf(" %lu.%lu.%lu", hyper / 1000000, hyper / 1000 % 1000, hyper % 1000);
	ignore_result(virConnectGetLibVersion(conn, &lib)); /* 0.0.0 then */
	return xasprintf("%s%s, libvirt %lu.%lu.%lu, %s", type ? type : "unknown hypervisor", version ? version : "",
			 lib / 1000000, lib / 1000 % 1000, lib % 1000, uri);
}

/* Remembers why an attempt failed; says so in the log when the reason is new. */
static void note_failure(struct lv *lv)
{
	virErrorPtr e = virGetLastError();
	const char *why = e && e->message ? e->message : "libvirt gave no reason";

	pthread_mutex_lock(&lv->lock);
	if (!lv->why || strcmp(lv->why, why) != 0) {
		log_warning("cannot connect to %s: %s", lv->uri, why);
		xstrset(&lv->why, why);
	}
	pthread_cond_broadcast(&lv->changed);
	pthread_mutex_unlock(&lv->lock);
}

/* Makes conn (*taken*) the connection. */
static void publish(struct lv *lv, virConnectPtr conn, int *ret_events)
{
	_cleanup_free_ char *text = NULL;

	pthread_mutex_lock(&lv->lock);
	lv->lost = 0;
	pthread_mutex_unlock(&lv->lock);
	/* Drivers inside this process have neither close callbacks nor keepalive: they cannot be lost. */
	ignore_result(virConnectRegisterCloseCallback(conn, on_close, lv, NULL));
	ignore_result(virConnectSetKeepAlive(conn, KEEPALIVE_SECONDS, KEEPALIVE_COUNT));
	*ret_events = virConnectDomainEventRegisterAny(conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
						       VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), lv_ref(lv), lv_unref);
	if (*ret_events < 0) {
		lv_unref(lv);
		log_warning("%s gives no events of domains: changes made by others are noticed late", lv->uri);
	}
	text = describe(conn, lv->uri);
	log_info("connected: %s", text);

	pthread_mutex_lock(&lv->lock);
	lv->conn = conn;
	xstrset(&lv->describe, text);
	xstrset(&lv->why, NULL);
	pthread_cond_broadcast(&lv->changed);
	pthread_mutex_unlock(&lv->lock);
	notify(lv, HV_EVENT_UP);
}

/* Puts the connection away; calls under way hold it a little longer. */
static void withdraw(struct lv *lv, int events)
{
	virConnectPtr conn;
	int quit;

	pthread_mutex_lock(&lv->lock);
	conn = lv->conn;
	lv->conn = NULL;
	quit = lv->quit;
	if (!quit)
		xstrset(&lv->why, "the connection was lost");
	pthread_mutex_unlock(&lv->lock);
	if (!quit) {
		log_warning("the connection to %s was lost; trying again", lv->uri);
		notify(lv, HV_EVENT_DOWN);
	}
	/* On a dead connection these fail and clean up on our side all the same. */
	if (events >= 0)
		ignore_result(virConnectDomainEventDeregisterAny(conn, events));
	ignore_result(virConnectUnregisterCloseCallback(conn, on_close));
	ignore_result(virConnectClose(conn));
}

static void *connection_thread(void *arg)
{
	struct lv *lv = arg;
	int delay = FIRST_DELAY;
	int quit = 0;

	while (!quit) {
		virConnectPtr conn = lv->opened ? TAKE_PTR(lv->opened) : virConnectOpen(lv->uri);
		int events = -1;

		if (conn) {
			delay = FIRST_DELAY;
			publish(lv, conn, &events);
			quit = wait_lost(lv);
			withdraw(lv, events);
			continue;
		}
		note_failure(lv);
		quit = wait_quit(lv, delay);
		delay = delay * 2 < MAX_DELAY ? delay * 2 : MAX_DELAY;
	}
	lv_unref(lv);
	return NULL;
}

/* ---- calls */

static int down_error(struct lv *lv, const char *why, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;

	ignore_result(err_set(&err, ERR_BACKEND, -ENOTCONN, "libvirt (%s) cannot be reached: %s", lv->uri,
			      why ? why : "the first attempt to connect is still under way"));
	if (why)
		lv_hint(&err, why);
	else
		err_hint(&err, "try again in a moment");
	err_hint(&err,
		 "start libvirt's daemon (systemctl start libvirtd); it is tried again every %d seconds at the latest",
		 MAX_DELAY);
	return err_move(reterr, &err);
}

int lv_begin(struct hv *hv, struct lv_call *ret_call, struct err *reterr)
{
	struct lv *lv = (struct lv *)hv;
	_cleanup_free_ char *why = NULL;
	struct timespec until = deadline(FIRST_WAIT_SECONDS * 1000);
	virConnectPtr conn = NULL;

	pthread_mutex_lock(&lv->lock);
	/* who calls right after the start waits for the first attempt to end one way or the other */
	while (!lv->conn && !lv->why && !lv->quit)
		if (pthread_cond_timedwait(&lv->changed, &lv->lock, &until) != 0)
			break;
	if (lv->conn && !lv->lost && virConnectRef(lv->conn) == 0)
		conn = lv->conn;
	else
		why = xstrdup(lv->conn ? "the connection was lost" : lv->why);
	pthread_mutex_unlock(&lv->lock);
	if (!conn)
		return down_error(lv, why, reterr);
	*ret_call = (struct lv_call){ .lv = lv, .conn = conn };
	return 0;
}

int lv_begin_domain(struct hv *hv, const struct guid *vm, struct lv_call *ret_call, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	char uuid[GUID_LEN + 1];
	int r = lv_begin(hv, &call, reterr);

	if (r < 0)
		return r;
	call.dom = virDomainLookupByUUIDString(call.conn, guid_lower(vm, uuid));
	if (!call.dom)
		return lv_fail(&call, reterr, "cannot find the domain %s", vm->s);
	call.name = virDomainGetName(call.dom);
	*ret_call = call;
	call = (struct lv_call){ 0 };
	return 0;
}

void lv_end(struct lv_call *call)
{
	if (call->dom)
		ignore_result(virDomainFree(call->dom));
	if (call->conn)
		ignore_result(virConnectClose(call->conn));
	*call = (struct lv_call){ 0 };
}

int lv_connect_start(struct lv *lv, struct err *reterr)
{
	sigset_t all, old;
	int r;

	lv_ref(lv);
	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&lv->thread, NULL, connection_thread, lv);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0)
		return 0;
	lv_unref(lv);
	return err_errno(reterr, -r, "cannot start the thread that connects to %s", lv->uri);
}

void lv_connect_stop(struct lv *lv)
{
	struct timespec until;

	pthread_mutex_lock(&lv->lock);
	lv->quit = 1;
	pthread_cond_broadcast(&lv->changed);
	pthread_mutex_unlock(&lv->lock);
	/* An open that hangs is left behind; the thread's own reference keeps what it needs. */
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STOP_WAIT_SECONDS;
	if (pthread_timedjoin_np(lv->thread, NULL, &until) != 0)
		ignore_result(pthread_detach(lv->thread));
}

struct lv *lv_new(const char *uri, struct event_base *base)
{
	struct lv *lv = xcalloc(1, sizeof(*lv));
	pthread_condattr_t attr;

	lv->refs = 1;
	lv->uri = xstrdup(uri);
	pthread_mutex_init(&lv->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&lv->changed, &attr);
	pthread_condattr_destroy(&attr);
	lv->wake = event_new(base, -1, 0, on_wake, lv);
	if (!lv->wake)
		abort(); /* out of memory, as common/alloc.h has it */
	return lv;
}
