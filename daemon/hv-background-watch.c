/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QEMU's process, and its STOP and RESUME events. */
#define _GNU_SOURCE
#include "daemon/hv-background-watch.h"

#include <fcntl.h>
#include <libvirt/libvirt-qemu.h>
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"

#define CMDLINE_MAX (1 << 20)
#define PID_MAX 32 /* bytes of a pid file */

/* ---- events */

/* Two references: the owner's, and libvirt's as long as it may call us. */
struct bg_watch {
	virConnectPtr conn;
	int id; /* of the registration */
	int refs;
	pthread_mutex_t lock;
	int64_t stopped, resumed;
};

static void unref(void *arg)
{
	struct bg_watch *w = arg;

	if (__atomic_sub_fetch(&w->refs, 1, __ATOMIC_SEQ_CST) > 0)
		return;
	pthread_mutex_destroy(&w->lock);
	free(w);
}

/* Loop's thread. */
static void on_event(virConnectPtr conn _unused_, virDomainPtr dom _unused_, const char *event, long long seconds,
		     unsigned int micros, const char *details _unused_, void *arg)
{
	struct bg_watch *w = arg;
	int64_t usec = seconds * INT64_C(1000000) + micros;

	pthread_mutex_lock(&w->lock);
	if (strcmp(event, "STOP") == 0 && !w->stopped)
		w->stopped = usec;
	else if (strcmp(event, "RESUME") == 0 && w->stopped && !w->resumed)
		w->resumed = usec;
	pthread_mutex_unlock(&w->lock);
}

struct bg_watch *bg_watch_start(struct lv_call *call)
{
	struct bg_watch *w = xcalloc(1, sizeof(*w));

	pthread_mutex_init(&w->lock, NULL);
	w->refs = 2;
	w->conn = call->conn;
	w->id = virConnectDomainQemuMonitorEventRegister(call->conn, call->dom, "^(STOP|RESUME)$", on_event, w, unref,
							 VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_REGEX);
	if (w->id >= 0)
		return w;
	unref(w);
	unref(w);
	return NULL;
}

void bg_watch_read(struct bg_watch *watch, int64_t *ret_stopped, int64_t *ret_resumed)
{
	*ret_stopped = *ret_resumed = 0;
	if (!watch)
		return;
	pthread_mutex_lock(&watch->lock);
	*ret_stopped = watch->stopped;
	*ret_resumed = watch->resumed;
	pthread_mutex_unlock(&watch->lock);
}

void bg_watch_stop(struct bg_watch *watch)
{
	if (!watch)
		return;
	ignore_result(virConnectDomainQemuMonitorEventDeregister(watch->conn, watch->id)); /* a dead libvirt forgets */
	unref(watch);
}

/* ---- the process */

/* Where the driver keeps its pid files, *owned*; NULL: it has none. */
static char *pid_dir(const struct lv *lv)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR"), *home = getenv("HOME");

	switch (lv->driver) {
	case LV_QEMU_SYSTEM:
		return xstrdup("/run/libvirt/qemu");
	case LV_QEMU_EMBED:
		return path_join(lv->root, "run/qemu");
	case LV_QEMU_SESSION:
		if (runtime && runtime[0] == '/')
			return path_join(runtime, "libvirt/qemu/run");
		return path_join(home ? home : "/", ".cache/libvirt/qemu/run");
	default:
		return NULL;
	}
}

/* 1 if the process has "-uuid UUID" among its arguments. */
static int has_uuid(pid_t pid, const struct guid *vm)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/cmdline", (int)pid), *args = xcalloc(CMDLINE_MAX + 1, 1);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : pread_all(fd, args, CMDLINE_MAX, 0);
	char buf[GUID_LEN + 1];
	const char *last = "", *uuid = guid_lower(vm, buf);

	for (const char *arg = args; len > 0 && arg < args + len; arg += strlen(arg) + 1) {
		if (strcmp(last, "-uuid") == 0 && strcmp(arg, uuid) == 0)
			return 1;
		last = arg;
	}
	return 0;
}

int bg_find_process(struct lv_call *call, const struct guid *vm, pid_t *ret_pid, struct err *reterr)
{
	_cleanup_free_ char *dir = pid_dir(call->lv);
	_cleanup_free_ char *path = dir ? xasprintf("%s/%s.pid", dir, call->name) : NULL, *text = NULL;
	long pid = 0;

	if (path && file_read(path, PID_MAX, &text, NULL, NULL) == 0)
		pid = strtol(text, NULL, 10);
	if (pid > 1 && pid <= INT32_MAX && has_uuid((pid_t)pid, vm)) {
		*ret_pid = (pid_t)pid;
		return 0;
	}
	return err_full(reterr, ERR_REFUSED, -EOPNOTSUPP, call->name, path, NULL,
			"the QEMU process of the domain \"%s\" was not found in '%s'", call->name,
			path ? path : "this driver's files");
}
