/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hypervisor behind a libvirt URI: opening it, what it is and where it keeps
 * things, and the table of its functions. */
#include "daemon/hv-libvirt.h"

#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/hv-background.h"
#include "daemon/hv-block.h"
#include "daemon/hv-embed.h"
#include "daemon/hv-event.h"
#include "daemon/hv-kvm.h"

static struct lv *lv_of(struct hv *hv)
{
	return (struct lv *)hv;
}

static int lv_is_up(struct hv *hv)
{
	struct lv *lv = lv_of(hv);
	int up;

	pthread_mutex_lock(&lv->lock);
	up = lv->conn && !lv->lost;
	pthread_mutex_unlock(&lv->lock);
	return up;
}

static char *lv_describe(struct hv *hv)
{
	struct lv *lv = lv_of(hv);
	char *text;

	pthread_mutex_lock(&lv->lock);
	text = lv->describe ? xstrdup(lv->describe) : xasprintf("%s (not connected yet)", lv->uri);
	pthread_mutex_unlock(&lv->lock);
	return text;
}

/* 1 if libvirt, too, thinks that it can run KVM guests: its QEMU may run as a
 * user who may not open /dev/kvm. */
static int libvirt_has_kvm(struct lv_call *call)
{
	_cleanup_free_ char *caps = virConnectGetDomainCapabilities(call->conn, NULL, NULL, NULL, "kvm", 0);

	return caps != NULL;
}

static const char *find_guest_type(struct lv *lv)
{
	_cleanup_call_ struct lv_call call = { 0 };

	if (lv->driver == LV_TEST)
		return "test";
	if (lv->driver == LV_XEN)
		return "xen";
	if (!hv_kvm_works())
		return "qemu";
	if (lv_begin(&lv->hv, &call, NULL) < 0)
		return NULL;
	return libvirt_has_kvm(&call) ? "kvm" : "qemu";
}

static const char *lv_guest_type(struct hv *hv)
{
	struct lv *lv = lv_of(hv);
	const char *type;

	pthread_mutex_lock(&lv->lock);
	type = lv->guest_type;
	pthread_mutex_unlock(&lv->lock);
	if (type)
		return type;
	type = find_guest_type(lv);
	if (!type)
		return "qemu"; /* down: not known yet */
	pthread_mutex_lock(&lv->lock);
	if (!lv->guest_type)
		lv->guest_type = xstrdup(type);
	type = lv->guest_type;
	pthread_mutex_unlock(&lv->lock);
	return type;
}

/* ~/.config/libvirt, as libvirt finds it */
static char *user_config_dir(void)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	_cleanup_free_ char *dir = NULL;

	if (config && config[0] == '/')
		return path_join(config, "libvirt");
	dir = path_join(home ? home : "/", ".config");
	return path_join(dir, "libvirt");
}

/* Directory below which the driver keeps state of the kind ("nvram", "swtpm"),
 * *owned*; NULL for drivers that keep none. */
static char *state_dir(const struct lv *lv, const char *kind)
{
	_cleanup_free_ char *config = NULL;

	switch (lv->driver) {
	case LV_QEMU_SYSTEM:
		return xasprintf("/var/lib/libvirt/%s%s", strcmp(kind, "nvram") == 0 ? "qemu/" : "", kind);
	case LV_QEMU_EMBED:
		return xasprintf("%s/lib/%s%s", lv->root, strcmp(kind, "nvram") == 0 ? "qemu/" : "", kind);
	case LV_QEMU_SESSION:
		config = user_config_dir();
		return xasprintf("%s/qemu/%s", config, kind);
	case LV_XEN:
		return strcmp(kind, "nvram") == 0 ? xstrdup("/var/lib/libvirt/qemu/nvram") : NULL;
	default:
		return NULL;
	}
}

static char *lv_nvram_path(struct hv *hv, const char *name)
{
	_cleanup_free_ char *dir = state_dir(lv_of(hv), "nvram");

	return dir ? xasprintf("%s/%s_VARS.fd", dir, name) : NULL;
}

static char *lv_tpm_dir(struct hv *hv, const struct guid *vm)
{
	_cleanup_free_ char *dir = state_dir(lv_of(hv), "swtpm");
	char uuid[GUID_LEN + 1];

	return dir ? path_join(dir, guid_lower(vm, uuid)) : NULL;
}

static void lv_on_event(struct hv *hv, hv_event_fn fn, void *arg)
{
	struct lv *lv = lv_of(hv);

	lv->fn = fn;
	lv->fn_arg = arg;
}

static void lv_free(struct hv *hv)
{
	struct lv *lv = lv_of(hv);
	struct event *wake;

	lv->fn = NULL;
	lv_connect_stop(lv);
	pthread_mutex_lock(&lv->lock);
	wake = TAKE_PTR(lv->wake);
	pthread_mutex_unlock(&lv->lock);
	event_free(wake);
	hv_event_detach();
	lv_unref(lv);
}

static const struct hv_ops lv_ops = {
	.free = lv_free,
	.is_up = lv_is_up,
	.describe = lv_describe,
	.guest_type = lv_guest_type,
	.list = lv_list,
	.state = lv_state,
	.xml = lv_xml,
	.define = lv_define,
	.undefine = lv_undefine,
	.rename = lv_rename,
	.start = lv_start,
	.shutdown = lv_shutdown,
	.destroy = lv_destroy,
	.suspend = lv_suspend,
	.resume = lv_resume,
	.snapshot = lv_snapshot,
	.snapshot_request = lv_snapshot_request,
	.restore = lv_restore,
	.progress = lv_progress,
	.abort_job = lv_abort_job,
	.foreign = lv_foreign,
	.nvram_path = lv_nvram_path,
	.tpm_dir = lv_tpm_dir,
	.thaw = lv_thaw,
	.take_back = lv_take_back,
	.forget_image = lv_forget_image,
	.max_downtime = lv_max_downtime,
	.set_max_downtime = lv_set_max_downtime,
	.set_time = lv_set_time,
	.background = &lv_background,
	.block = &lv_block,
	.on_event = lv_on_event,
};

/* libvirt prints errors to standard error unless somebody takes them; we read
 * them where they happen. */
static void swallow_error(void *arg _unused_, virErrorPtr e _unused_)
{
}

static enum lv_driver driver_of(const char *uri)
{
	const char *path = strstr(uri, "://");
	size_t scheme = strcspn(uri, "+:");

	path = path ? strchr(path + 3, '/') : NULL;
	if (scheme == 4 && strncmp(uri, "test", 4) == 0)
		return LV_TEST;
	if (scheme == 3 && strncmp(uri, "xen", 3) == 0)
		return LV_XEN;
	if (scheme != 4 || strncmp(uri, "qemu", 4) != 0 || !path)
		return LV_OTHER;
	if (strncmp(path, "/embed", 6) == 0)
		return LV_QEMU_EMBED;
	/* libvirt's daemon of root is the system's, whatever the path says */
	if (strncmp(path, "/session", 8) == 0 && geteuid() != 0)
		return LV_QEMU_SESSION;
	return LV_QEMU_SYSTEM;
}

/* Opens the embedded driver here and now: a failure is final for the process, so
 * the caller has to hear of it. */
static int open_embedded(struct lv *lv, struct err *reterr)
{
	virErrorPtr e;
	int code;

	lv->opened = virConnectOpen(lv->uri);
	if (lv->opened)
		return 0;
	e = virGetLastError();
	code = err_set(reterr, ERR_BACKEND, -EIO, "cannot open libvirt's embedded driver in \"%s\": %s", lv->root,
		       e && e->message ? e->message : "libvirt gave no reason");
	if (e && e->message)
		lv_hint(reterr, e->message);
	err_hint(reterr, "read \"%s/libvirt.log\"", lv->root);
	return code;
}

static int start_libvirt(struct lv *lv, struct err *reterr)
{
	int r;

	virSetErrorFunc(NULL, swallow_error);
	if (virInitialize() < 0)
		return err_set(reterr, ERR_BACKEND, -EIO, "cannot initialise libvirt: %s", virGetLastErrorMessage());
	if (lv->driver == LV_QEMU_EMBED) {
		r = open_embedded(lv, reterr);
		if (r < 0)
			return r;
	}
	return lv_connect_start(lv, reterr);
}

int hv_libvirt_open(const char *uri, struct event_base *base, struct hv **ret_hv, struct err *reterr)
{
	_cleanup_free_ char *root = NULL;
	struct lv *lv;
	int r = hv_embed_root(uri, &root, reterr);

	if (r < 0)
		return r;
	if (root) {
		r = hv_embed_prepare(root, reterr);
		if (r < 0)
			return r;
	}
	r = hv_event_attach(base, reterr);
	if (r < 0)
		return r;
	lv = lv_new(uri, base);
	lv->hv.ops = &lv_ops;
	lv->driver = driver_of(uri);
	lv->root = TAKE_PTR(root);
	r = start_libvirt(lv, reterr);
	if (r < 0) {
		event_free(TAKE_PTR(lv->wake));
		hv_event_detach();
		lv_unref(lv);
		return r;
	}
	*ret_hv = &lv->hv;
	return 0;
}
