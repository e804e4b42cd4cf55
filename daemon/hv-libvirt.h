/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files behind hv_libvirt_open() share: the connection, the frame of
 * one call, and libvirt's errors as ours. Private to hv-*.c. */
#ifndef DAEMON_HV_LIBVIRT_H
#define DAEMON_HV_LIBVIRT_H

#include <event2/event.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "daemon/hv.h"

/* Which of libvirt's drivers stands behind the URI, as far as we treat them
 * differently. */
enum lv_driver { LV_QEMU_SYSTEM, LV_QEMU_SESSION, LV_QEMU_EMBED, LV_XEN, LV_TEST, LV_OTHER };

/* One hypervisor reached through libvirt. */
struct lv {
	struct hv hv; /* first: a struct hv is cast to its struct lv */
	int refs;     /* the owner, the connection's thread, each registration with libvirt */
	char *uri;
	enum lv_driver driver;
	char *root; /* of LV_QEMU_EMBED, else NULL */

	virConnectPtr opened; /* what the thread begins with, or NULL: it opens itself */
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows, up to the line */
	pthread_cond_t changed; /* connection lost, quit, or a domain changed its state */
	virConnectPtr conn;     /* NULL: down */
	int lost;               /* conn is dead, the thread has not put it away yet */
	int quit;
	char *why;        /* why the last attempt to open failed, or NULL */
	char *describe;   /* of the last connection */
	char *guest_type; /* once it is known */
	enum hv_event pending[4];
	int n_pending;
	struct event *wake; /* runs the pending UP and DOWN in the loop's thread */
	/* ---- */

	hv_event_fn fn; /* loop's thread only */
	void *fn_arg;
};

/* One call: the connection and perhaps a domain, referenced while it lasts. */
struct lv_call {
	struct lv *lv;
	virConnectPtr conn;
	virDomainPtr dom;
	const char *name; /* the domain's (asking for it when a call failed would clear libvirt's error) */
};

/* A new one, of one reference, not connected yet; *owned*. */
struct lv *lv_new(const char *uri, struct event_base *base);

/* Drops a reference (a struct lv *, *taken*); the last one frees it. */
void lv_unref(void *lv);

/* Starts the thread that connects. Returns 0 or negative errno. */
_must_check_ int lv_connect_start(struct lv *lv, struct err *reterr);

/* Ends it and closes the connection. */
void lv_connect_stop(struct lv *lv);

/* Begins a call; needs lv_end(). Returns 0, or -ENOTCONN when libvirt is down. */
_must_check_ int lv_begin(struct hv *hv, struct lv_call *ret_call, struct err *reterr);

/* Same, and looks up the domain. Returns 0 or negative errno (-ENOENT with
 * ERR_NO_DOMAIN if there is none; -ENOTCONN). */
_must_check_ int lv_begin_domain(struct hv *hv, const struct guid *vm, struct lv_call *ret_call,
				 struct err *reterr);

/* Ends a call (also one that never began: all zero). */
void lv_end(struct lv_call *call);
#define _cleanup_call_ _cleanup_(lv_end)

/* Fills reterr from libvirt's last error of this thread: the text says what was
 * attempted, libvirt's message follows it. Notices a lost connection. Returns the
 * negative errno that fits best (-ENOENT no such domain, -ENOTCONN connection
 * lost, -EOPNOTSUPP, -EACCES, -ETIMEDOUT, -ECANCELED, else -EIO). */
int lv_fail(struct lv_call *call, struct err *reterr, const char *fmt, ...) _printf_(3, 4);

/* Code of libvirt's last error of this thread (VIR_ERR_*). */
int lv_last_code(void);

/* Adds the hint that fits libvirt's message, if we know one. */
void lv_hint(struct err *err, const char *message);

/* 1 if the domain is in that state now (a domain that is gone counts as off). */
int lv_is_state(struct lv_call *call, enum hv_state state);

/* Our word for a libvirt state (VIR_DOMAIN_*). */
enum hv_state lv_state_of(int state);

/* Waits until some domain changes its state, at most ms milliseconds. */
void lv_wait_change(struct lv *lv, int ms);

/* hv-domain.c: each as the call of hv.h with that name. */
_must_check_ int lv_list(struct hv *hv, struct hv_domain **ret_domains, size_t *ret_n, struct err *reterr);
/* as hv_state() */
_must_check_ int lv_state(struct hv *hv, const struct guid *vm, enum hv_state *ret_state, struct err *reterr);
/* as hv_xml() */
_must_check_ int lv_xml(struct hv *hv, const struct guid *vm, enum hv_xml which, char **ret_xml, struct err *reterr);
/* as hv_define() */
_must_check_ int lv_define(struct hv *hv, const char *xml, struct err *reterr);
/* as hv_undefine() */
_must_check_ int lv_undefine(struct hv *hv, const struct guid *vm, int remove_tpm, struct err *reterr);
/* as hv_rename() */
_must_check_ int lv_rename(struct hv *hv, const struct guid *vm, const char *name, struct err *reterr);
/* as hv_start() */
_must_check_ int lv_start(struct hv *hv, const struct guid *vm, int paused, struct err *reterr);
/* as hv_shutdown() */
_must_check_ int lv_shutdown(struct hv *hv, const struct guid *vm, struct err *reterr);
/* as hv_destroy() */
_must_check_ int lv_destroy(struct hv *hv, const struct guid *vm, struct err *reterr);
/* as hv_suspend() */
_must_check_ int lv_suspend(struct hv *hv, const struct guid *vm, struct err *reterr);
/* as hv_resume() */
_must_check_ int lv_resume(struct hv *hv, const struct guid *vm, struct err *reterr);

/* hv-snapshot.c: each as the call of hv.h with that name. */
_must_check_ int lv_snapshot(struct hv *hv, const struct guid *vm, const struct hv_snapshot *what,
			     struct err *reterr);
/* As hv_snapshot_request(). */
_must_check_ int lv_snapshot_request(struct hv *hv, const struct guid *vm, const struct hv_snapshot *what,
				     char **ret_request, struct err *reterr);
/* as hv_thaw() */
_must_check_ int lv_thaw(struct hv *hv, const struct guid *vm, struct err *reterr);

/* hv-tune.c: each as the call of hv.h with that name. */
_must_check_ int lv_max_downtime(struct hv *hv, const struct guid *vm, int64_t *ret_msec, struct err *reterr);
/* as hv_set_max_downtime() */
_must_check_ int lv_set_max_downtime(struct hv *hv, const struct guid *vm, int64_t msec, struct err *reterr);
/* as hv_set_time() */
_must_check_ int lv_set_time(struct hv *hv, const struct guid *vm, struct err *reterr);

/* hv-qemu.c: as hv_take_back(). */
_must_check_ int lv_take_back(struct hv *hv, const struct guid *vm, const struct hv_back *disks, size_t n,
			      struct err *reterr);
/* as hv_forget_image() */
_must_check_ int lv_forget_image(struct hv *hv, const struct guid *vm, const char *path, struct err *reterr);
/* as hv_restore() */
_must_check_ int lv_restore(struct hv *hv, const char *fifo, const char *xml, struct err *reterr);
/* as hv_progress() */
_must_check_ int lv_progress(struct hv *hv, const struct guid *vm, struct hv_progress *ret_progress,
			     struct err *reterr);
/* as hv_abort_job() */
_must_check_ int lv_abort_job(struct hv *hv, const struct guid *vm, struct err *reterr);
/* as hv_foreign() */
_must_check_ int lv_foreign(struct hv *hv, const struct guid *vm, struct hv_foreign *ret_foreign,
			    struct err *reterr);

#endif
