/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Background captures with libvirt's QEMU driver, which knows nothing of them: it shows
 * the domain running or paused, and no job. Source of the commands: QEMU
 * qapi/migration.json and qapi/misc.json. */
#define _GNU_SOURCE
#include "daemon/hv-background.h"

#include <string.h>

#include "common/alloc.h"
#include "daemon/hv-background-watch.h"
#include "daemon/hv-monitor.h"

#define WRITE_END "vmsnap-bg-write"
#define READ_END "vmsnap-bg-read"
#define CAPABILITY "background-snapshot"
#define FILES_SINCE 8002000 /* libvirt that passes descriptors to the monitor */

/* The guest, with libvirt's handles. */
struct lv_bg {
	struct hv_bg bg; /* first: a struct hv_bg is cast to its struct lv_bg */
	struct lv_call call;
	struct bg_watch *watch; /* between arm() and disarm(), else NULL */
};

void hv_bg_status_done(struct hv_bg_status *status)
{
	free(status->problem);
	*status = (struct hv_bg_status){ 0 };
}

static struct lv_bg *of(struct hv_bg *bg)
{
	return (struct lv_bg *)bg;
}

static int ask(struct lv_bg *lb, const char *command, json_t **ret_value, struct err *reterr)
{
	return lv_monitor(&lb->call, json_pack("{s:s}", "execute", command), -1, ret_value, reterr);
}

/* ---- opening */

static int cannot(const struct lv_call *call, struct err *reterr, const char *why)
{
	return err_full(reterr, ERR_REFUSED, -EOPNOTSUPP, call->name, NULL, NULL, "%s", why);
}

/* 1 if the URI names another host: its processes and descriptors are not ours. */
static int is_remote(const char *uri)
{
	const char *host = strstr(uri, "://");
	size_t scheme = strcspn(uri, ":");

	if (memmem(uri, scheme, "+ssh", 4) || memmem(uri, scheme, "+libssh", 7))
		return 1;
	return host && host[3] != '/' && host[3] != '\0';
}

static int check_libvirt(struct lv_call *call, struct err *reterr)
{
	unsigned long version = 0;
	int active, r = lv_is_qemu(call->lv) ? 0 : cannot(call, reterr, "only QEMU guests can be captured in the background");

	if (!r && is_remote(call->lv->uri))
		r = cannot(call, reterr, "the guest runs on another host, whose QEMU cannot be given our pipe");
	if (!r && (virConnectGetLibVersion(call->conn, &version) < 0 || version < FILES_SINCE))
		r = cannot(call, reterr, "libvirt is older than 8.2 and cannot give QEMU a pipe");
	if (r < 0)
		return r;
	active = virDomainIsActive(call->dom);
	if (active < 0)
		return lv_fail(call, reterr, "cannot see whether domain \"%s\" runs", call->name);
	if (!active)
		r = err_full(reterr, ERR_REFUSED, -ESRCH, call->name, NULL, NULL, "the domain \"%s\" does not run",
			     call->name);
	return r;
}

static int read_version(struct lv_bg *lb, struct err *reterr)
{
	_cleanup_json_ json_t *reply = NULL;
	json_t *qemu;
	int r = ask(lb, "query-version", &reply, reterr);

	if (r < 0)
		return r;
	qemu = json_object_get(reply, "qemu");
	lb->bg.version = (int)HV_BG_VERSION(json_integer_value(json_object_get(qemu, "major")),
					    json_integer_value(json_object_get(qemu, "minor")),
					    json_integer_value(json_object_get(qemu, "micro")));
	return 0;
}

static void bg_close(struct hv_bg *bg)
{
	struct lv_bg *lb = of(bg);

	bg_watch_stop(lb->watch);
	lv_end(&lb->call);
	free(bg->name);
	free(lb);
}

static int bg_open(struct hv *hv, const struct guid *vm, struct hv_bg **ret_bg, struct err *reterr)
{
	struct lv_bg *lb = xcalloc(1, sizeof(*lb));
	int r = lv_begin_domain(hv, vm, &lb->call, reterr);

	if (!r)
		r = check_libvirt(&lb->call, reterr);
	if (!r)
		r = read_version(lb, reterr);
	if (!r)
		r = bg_find_process(&lb->call, vm, &lb->bg.pid, reterr);
	if (r < 0) {
		bg_close(&lb->bg);
		return r;
	}
	lb->bg.name = xstrdup(lb->call.name);
	*ret_bg = &lb->bg;
	return 0;
}

/* ---- the capability */

static int set_capability(struct lv_bg *lb, int on, struct err *reterr)
{
	return lv_monitor(&lb->call,
			  json_pack("{s:s, s:{s:[{s:s, s:b}]}}", "execute", "migrate-set-capabilities", "arguments",
				    "capabilities", "capability", CAPABILITY, "state", on),
			  -1, NULL, reterr);
}

static int bg_is_armed(struct hv_bg *bg, struct err *reterr)
{
	_cleanup_json_ json_t *list = NULL;
	json_t *item;
	size_t i;
	int r = ask(of(bg), "query-migrate-capabilities", &list, reterr);

	if (r < 0)
		return r;
	json_array_foreach(list, i, item)
		if (strcmp(monitor_text(item, "capability"), CAPABILITY) == 0)
			return json_is_true(json_object_get(item, "state"));
	return 0;
}

/* Memory that userfaultfd may accept and yet nobody has tried. libvirt's own text is
 * searched: in it such words can only be elements. */
static int check_memory(struct lv_bg *lb, struct err *reterr)
{
	static const char *const others[][2] = {
		{ "<hugepages", "huge pages" },
		{ "<source type='file'/>", "files" },
		{ "<source type='memfd'/>", "memfd" },
		{ "<access mode='shared'/>", "shared memory" },
		{ "memAccess='shared'", "shared memory" },
		{ "<memory model='nvdimm'", "a memory device (nvdimm)" },
		{ "<memory model='virtio-mem'", "a memory device (virtio-mem)" },
		{ "<memory model='virtio-pmem'", "a memory device (virtio-pmem)" },
	};
	_cleanup_free_ char *xml = virDomainGetXMLDesc(lb->call.dom, 0);

	if (!xml)
		return lv_fail(&lb->call, reterr, "cannot read the configuration of domain \"%s\"", lb->call.name);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strstr(xml, others[i][0]))
			return err_full(reterr, ERR_REFUSED, -EOPNOTSUPP, lb->call.name, NULL, NULL,
					"the guest's memory is made of %s", others[i][1]);
	return 0;
}

static int bg_check(struct hv_bg *bg, struct err *reterr)
{
	_cleanup_err_ struct err off = ERR_INIT;
	int r = check_memory(of(bg), reterr), r2;

	if (r < 0)
		return r;
	r = set_capability(of(bg), 1, reterr);
	r2 = set_capability(of(bg), 0, &off);
	return r < 0 ? r : r2 < 0 ? err_move(reterr, &off) : 0;
}

/* ---- the migration */

static int give_fd(struct lv_bg *lb, const char *name, int fd, struct err *reterr)
{
	return lv_monitor(&lb->call, json_pack("{s:s, s:{s:s}}", "execute", "getfd", "arguments", "fdname", name), fd,
			  NULL, reterr);
}

/* One that QEMU does not have is success: then it refuses, and nothing else is wrong. */
static int take_fd_back(struct lv_bg *lb, const char *name, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int r = lv_monitor(&lb->call, json_pack("{s:s, s:{s:s}}", "execute", "closefd", "arguments", "fdname", name),
			   -1, NULL, &err);

	return r == 0 || r == -EPROTO ? 0 : err_move(reterr, &err);
}

static int bg_arm(struct hv_bg *bg, int read_fd, int write_fd, struct err *reterr)
{
	struct lv_bg *lb = of(bg);
	int r = set_capability(lb, 1, reterr);

	if (!r)
		r = give_fd(lb, READ_END, read_fd, reterr);
	if (!r)
		r = give_fd(lb, WRITE_END, write_fd, reterr);
	if (!r)
		lb->watch = bg_watch_start(&lb->call);
	return r;
}

static int bg_begin(struct hv_bg *bg, struct err *reterr)
{
	return lv_monitor(&of(bg)->call,
			  json_pack("{s:s, s:{s:s}}", "execute", "migrate", "arguments", "uri", "fd:" WRITE_END), -1,
			  NULL, reterr);
}

static int bg_disarm(struct hv_bg *bg, struct err *reterr)
{
	struct lv_bg *lb = of(bg);
	_cleanup_err_ struct err err = ERR_INIT;
	int r = take_fd_back(lb, WRITE_END, reterr), r2;

	r2 = take_fd_back(lb, READ_END, &err);
	if (!r2)
		r2 = set_capability(lb, 0, &err);
	bg_watch_stop(TAKE_PTR(lb->watch));
	return r < 0 ? r : r2 < 0 ? err_move(reterr, &err) : 0;
}

/* Words that are not listed are of a migration under way. */
static enum hv_bg_state state_of(const char *word)
{
	static const struct {
		const char *word;
		enum hv_bg_state state;
	} words[] = {
		{ "", HV_BG_NONE },           { "none", HV_BG_NONE },     { "setup", HV_BG_SETUP },
		{ "wait-unplug", HV_BG_SETUP }, { "completed", HV_BG_COMPLETED }, { "failed", HV_BG_FAILED },
		{ "cancelled", HV_BG_FAILED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].word, word) == 0)
			return words[i].state;
	return HV_BG_ACTIVE;
}

static int64_t number_or(json_t *object, const char *key, int64_t otherwise)
{
	json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static int bg_status(struct hv_bg *bg, struct hv_bg_status *ret_status, struct err *reterr)
{
	struct lv_bg *lb = of(bg);
	_cleanup_json_ json_t *migrate = NULL, *status = NULL;
	json_t *ram;
	int r = ask(lb, "query-migrate", &migrate, reterr);

	if (!r)
		r = ask(lb, "query-status", &status, reterr);
	if (r < 0)
		return r;
	ram = json_object_get(migrate, "ram");
	*ret_status = (struct hv_bg_status){
		.state = state_of(monitor_text(migrate, "status")),
		.problem = xstrdup(json_string_value(json_object_get(migrate, "error-desc"))),
		.guest_runs = json_is_true(json_object_get(status, "running")),
		.done = number_or(ram, "transferred", 0),
		.total = number_or(ram, "total", 0),
		.setup_msec = number_or(migrate, "setup-time", -1),
		.downtime_msec = number_or(migrate, "downtime", -1),
	};
	bg_watch_read(lb->watch, &ret_status->stopped_usec, &ret_status->resumed_usec);
	return 0;
}

const struct hv_bg_ops lv_background = {
	.open = bg_open,
	.check = bg_check,
	.arm = bg_arm,
	.begin = bg_begin,
	.status = bg_status,
	.is_armed = bg_is_armed,
	.disarm = bg_disarm,
	.close = bg_close,
};
