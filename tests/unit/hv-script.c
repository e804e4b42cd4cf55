/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The scripted hypervisor: its functions. */
#include "tests/unit/hv-script.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "tests/unit/hv-script-priv.h"
#include "xmlcfg/domain.h"

struct hv_script *hvs_script(struct hv *hv)
{
	return (struct hv_script *)hv;
}

void hvs_lock(struct hv_script *s)
{
	if (pthread_mutex_lock(&s->lock) == EOWNERDEAD)
		pthread_mutex_consistent(&s->lock);
}

void hvs_unlock(struct hv_script *s)
{
	pthread_mutex_unlock(&s->lock);
}

const char *hvs_call_name(enum hvs_call call)
{
	static const char *const name[] = { "list",    "state",   "xml",     "define", "undefine", "rename",
					    "start",   "shutdown", "destroy", "suspend", "resume",  "snapshot",
					    "restore", "abort",   "foreign" };

	return name[call];
}

const char *hvs_when_name(enum hvs_when when)
{
	static const char *const name[] = { "never", "fails before", "fails after", "fails half-way", "dies before",
					    "dies after", "dies half-way", "dies half-way, job fails" };

	return name[when];
}

int hvs_call_changes(enum hvs_call call)
{
	return call != HVS_LIST && call != HVS_STATE && call != HVS_XML && call != HVS_FOREIGN;
}

struct hvs_domain *hvs_find(struct hv_script *s, const struct guid *vm)
{
	for (size_t i = 0; i < HVS_DOMAINS; i++)
		if (s->domain[i].used && guid_eq(&s->domain[i].guid, vm))
			return &s->domain[i];
	return NULL;
}

int hvs_is_active(const struct hvs_domain *d)
{
	return d->state == HV_RUNNING || d->state == HV_PAUSED;
}

/* ---- faults */

/* The fault that this call, just counted, shall have. */
static enum hvs_when count(struct hv_script *s, enum hvs_call call)
{
	s->calls[call]++;
	return s->fault.when != HVS_NEVER && s->fault.call == call && s->fault.nth == s->calls[call] ? s->fault.when :
												       HVS_NEVER;
}

static int fault_at(enum hvs_call call, enum hvs_when when, int after, struct err *reterr)
{
	if (when == (after ? HVS_DIE_AFTER : HVS_DIE_BEFORE))
		kill(getpid(), SIGKILL);
	if (when != (after ? HVS_FAIL_AFTER : HVS_FAIL_BEFORE))
		return 0;
	return err_set(reterr, ERR_BACKEND, -EIO, "the scripted hypervisor's '%s' was made to fail",
		       hvs_call_name(call));
}

/* Begins a call on a domain (vm NULL: on none), lock taken on success. */
int hvs_begin(struct hv *hv, enum hvs_call call, const struct guid *vm, enum hvs_when *ret_when,
		 struct hvs_domain **ret_domain, struct err *reterr)
{
	struct hv_script *s = hvs_script(hv);
	int r;

	hvs_lock(s);
	*ret_when = count(s, call);
	r = fault_at(call, *ret_when, 0, reterr);
	*ret_domain = vm ? hvs_find(s, vm) : NULL;
	if (!r && vm && !*ret_domain)
		r = err_set(reterr, ERR_NO_DOMAIN, -ENOENT, "there is no domain %s", vm->s);
	if (r < 0)
		hvs_unlock(s);
	return r;
}

int hvs_end(struct hv *hv, enum hvs_call call, enum hvs_when when, struct err *reterr)
{
	int r = fault_at(call, when, 1, reterr);

	hvs_unlock(hvs_script(hv));
	return r;
}

int hvs_refuse(struct hv *hv, struct err *reterr, const char *what, const struct hvs_domain *d)
{
	int r = err_set(reterr, ERR_BACKEND, -EIO, "%s (domain '%s')", what, d->name);

	hvs_unlock(hvs_script(hv));
	return r;
}

/* ---- the hypervisor's functions */

static void s_free(struct hv *hv _unused_)
{
}

static int s_is_up(struct hv *hv _unused_)
{
	return 1;
}

static char *s_describe(struct hv *hv _unused_)
{
	return xstrdup("scripted");
}

static const char *s_guest_type(struct hv *hv _unused_)
{
	return "qemu";
}

static int s_list(struct hv *hv, struct hv_domain **ret_domains, size_t *ret_n, struct err *reterr)
{
	struct hv_script *s = hvs_script(hv);
	struct hvs_domain *none;
	struct hv_domain *list;
	enum hvs_when when;
	size_t n = 0;
	int r = hvs_begin(hv, HVS_LIST, NULL, &when, &none, reterr);

	if (r < 0)
		return r;
	list = xcalloc(HVS_DOMAINS, sizeof(*list));
	for (size_t i = 0; i < HVS_DOMAINS; i++)
		if (s->domain[i].used)
			list[n++] = (struct hv_domain){ s->domain[i].guid, xstrdup(s->domain[i].name),
							s->domain[i].state, s->domain[i].persistent };
	*ret_domains = list;
	*ret_n = n;
	return hvs_end(hv, HVS_LIST, HVS_NEVER, reterr);
}

static int s_state(struct hv *hv, const struct guid *vm, enum hv_state *ret_state, struct err *reterr)
{
	struct hvs_domain *d;
	enum hvs_when when;
	int r = hvs_begin(hv, HVS_STATE, NULL, &when, &d, reterr);

	if (r < 0)
		return r;
	d = hvs_find(hvs_script(hv), vm);
	*ret_state = d ? d->state : HV_ABSENT;
	return hvs_end(hv, HVS_STATE, HVS_NEVER, reterr);
}

static int s_xml(struct hv *hv, const struct guid *vm, enum hv_xml which, char **ret_xml, struct err *reterr)
{
	struct hvs_domain *d;
	enum hvs_when when;
	int r = hvs_begin(hv, HVS_XML, vm, &when, &d, reterr);

	if (r < 0)
		return r;
	*ret_xml = xstrdup(which == HV_XML_INACTIVE || !hvs_is_active(d) ? d->inactive : d->live);
	return hvs_end(hv, HVS_XML, HVS_NEVER, reterr);
}

/* The domain of that document, or a new one. */
struct hvs_domain *hvs_find_or_add(struct hv_script *s, const char *xml, struct err *reterr)
{
	_cleanup_domain_ struct domain *dom = NULL;
	_cleanup_free_ char *name = NULL, *uuid = NULL;
	struct hvs_domain *d;
	struct guid guid;
	size_t i = 0;

	if (domain_parse(xml, &dom, reterr) < 0)
		return NULL;
	name = domain_name(dom);
	uuid = domain_uuid(dom);
	if (!name || !uuid || guid_parse(uuid, &guid) < 0) {
		ignore_result(err_set(reterr, ERR_BACKEND, -EINVAL, "a document without name or UUID"));
		return NULL;
	}
	d = hvs_find(s, &guid);
	while (!d && i < HVS_DOMAINS && s->domain[i].used)
		i++;
	if (!d) {
		d = &s->domain[i];
		memset(d, 0, sizeof(*d));
		d->used = 1;
		d->guid = guid;
		d->state = HV_OFF;
	}
	snprintf(d->name, sizeof(d->name), "%s", name);
	return d;
}

static int s_define(struct hv *hv, const char *xml, struct err *reterr)
{
	struct hvs_domain *d;
	enum hvs_when when;
	int r = hvs_begin(hv, HVS_DEFINE, NULL, &when, &d, reterr);

	if (r < 0)
		return r;
	d = hvs_find_or_add(hvs_script(hv), xml, reterr);
	if (d) {
		d->persistent = 1;
		snprintf(d->inactive, sizeof(d->inactive), "%s", xml);
	}
	r = hvs_end(hv, HVS_DEFINE, when, reterr);
	return d ? r : -EINVAL;
}

static int s_undefine(struct hv *hv, const struct guid *vm, int remove_tpm _unused_, struct err *reterr)
{
	struct hvs_domain *d;
	enum hvs_when when;
	int r = hvs_begin(hv, HVS_UNDEFINE, NULL, &when, &d, reterr);

	if (r < 0)
		return r;
	d = hvs_find(hvs_script(hv), vm);
	if (d && hvs_is_active(d))
		d->persistent = 0;
	else if (d)
		d->used = 0;
	return hvs_end(hv, HVS_UNDEFINE, when, reterr);
}

static int s_rename(struct hv *hv, const struct guid *vm, const char *name, struct err *reterr)
{
	_cleanup_domain_ struct domain *dom = NULL;
	_cleanup_free_ char *text = NULL;
	struct hvs_domain *d;
	enum hvs_when when;
	int r = hvs_begin(hv, HVS_RENAME, vm, &when, &d, reterr);

	if (r < 0)
		return r;
	if (hvs_is_active(d))
		return hvs_refuse(hv, reterr, "a running domain cannot be renamed", d);
	if (domain_parse(d->inactive, &dom, NULL) < 0)
		return hvs_refuse(hv, reterr, "no document", d);
	domain_set_name(dom, name);
	text = domain_format(dom);
	snprintf(d->inactive, sizeof(d->inactive), "%s", text);
	snprintf(d->name, sizeof(d->name), "%s", name);
	return hvs_end(hv, HVS_RENAME, when, reterr);
}

static int s_start(struct hv *hv, const struct guid *vm, int paused, struct err *reterr)
{
	struct hvs_domain *d;
	enum hvs_when when;
	int r = hvs_begin(hv, HVS_START, vm, &when, &d, reterr);

	if (r < 0)
		return r;
	if (hvs_is_active(d))
		return hvs_refuse(hv, reterr, "it runs already", d);
	r = hvs_check_disks(hvs_script(hv), d->inactive, reterr);
	if (r < 0) {
		hvs_unlock(hvs_script(hv));
		return r;
	}
	memcpy(d->live, d->inactive, sizeof(d->live));
	d->memory = ++hvs_script(hv)->clock;
	d->state = paused ? HV_PAUSED : HV_RUNNING;
	hvs_guest_writes(hvs_script(hv), d);
	return hvs_end(hv, HVS_START, when, reterr);
}

void hvs_stop(struct hvs_domain *d)
{
	d->state = HV_OFF;
	d->live[0] = '\0';
	d->memory = 0;
	d->job = 0;
	d->used = d->persistent;
}

static int s_shutdown(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	struct hvs_domain *d;
	enum hvs_when when;
	int r = hvs_begin(hv, HVS_SHUTDOWN, vm, &when, &d, reterr);

	if (r < 0)
		return r;
	if (d->state != HV_RUNNING)
		return hvs_refuse(hv, reterr, "it does not run", d);
	hvs_stop(d);
	return hvs_end(hv, HVS_SHUTDOWN, when, reterr);
}

static int s_destroy(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	struct hvs_domain *d;
	enum hvs_when when;
	int r = hvs_begin(hv, HVS_DESTROY, NULL, &when, &d, reterr);

	if (r < 0)
		return r;
	d = hvs_find(hvs_script(hv), vm);
	if (d)
		hvs_stop(d);
	return hvs_end(hv, HVS_DESTROY, when, reterr);
}

static int s_suspend(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	struct hvs_domain *d;
	enum hvs_when when;
	int r = hvs_begin(hv, HVS_SUSPEND, vm, &when, &d, reterr);

	if (r < 0)
		return r;
	if (!hvs_is_active(d))
		return hvs_refuse(hv, reterr, "it does not run", d);
	d->state = HV_PAUSED;
	return hvs_end(hv, HVS_SUSPEND, when, reterr);
}

static int s_resume(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	struct hvs_domain *d;
	enum hvs_when when;
	int r = hvs_begin(hv, HVS_RESUME, vm, &when, &d, reterr);

	if (r < 0)
		return r;
	if (!hvs_is_active(d))
		return hvs_refuse(hv, reterr, "it does not run", d);
	d->state = HV_RUNNING;
	hvs_guest_writes(hvs_script(hv), d);
	return hvs_end(hv, HVS_RESUME, when, reterr);
}

static int s_progress(struct hv *hv _unused_, const struct guid *vm _unused_,
		      struct hv_progress *ret_progress _unused_, struct err *reterr)
{
	return err_set(reterr, ERR_BACKEND, -ENODATA, "there is no job");
}

static int s_abort_job(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	struct hvs_domain *d;
	enum hvs_when when;
	int r = hvs_begin(hv, HVS_ABORT, vm, &when, &d, reterr);

	return r < 0 ? r : hvs_refuse(hv, reterr, "there is no job", d);
}

static int s_foreign(struct hv *hv, const struct guid *vm, struct hv_foreign *ret_foreign, struct err *reterr)
{
	struct hv_foreign found = { 0 };
	struct hvs_domain *d;
	enum hvs_when when;
	int r = hvs_begin(hv, HVS_FOREIGN, vm, &when, &d, reterr);

	if (r < 0)
		return r;
	found.managed_save = d->managed_save;
	if (d->job && --d->job == 0)
		hvs_finish_job(hvs_script(hv), d);
	if (d->job)
		found.job = xstrdup("snapshot");
	*ret_foreign = found;
	return hvs_end(hv, HVS_FOREIGN, HVS_NEVER, reterr);
}

static int s_set_time(struct hv *hv, const struct guid *vm _unused_, struct err *reterr)
{
	struct hv_script *s = hvs_script(hv);

	if (s->clock_fails)
		return err_set(reterr, ERR_BACKEND, -ETIMEDOUT, "the scripted agent does not answer");
	s->clocks_set++;
	return 1;
}

static char *s_nvram_path(struct hv *hv, const char *name)
{
	return xasprintf("%s/%s_VARS.fd", hvs_script(hv)->dir, name);
}

static char *s_tpm_dir(struct hv *hv, const struct guid *vm)
{
	return xasprintf("%s/%s/tpm2", hvs_script(hv)->dir, vm->s);
}

/* Whom to tell in this process. */
static struct {
	hv_event_fn fn;
	void *arg;
} listener;

static void s_on_event(struct hv *hv _unused_, hv_event_fn fn, void *arg)
{
	listener.fn = fn;
	listener.arg = arg;
}

void hvs_tell(const struct hvs_domain *d, enum hv_event event)
{
	if (listener.fn)
		listener.fn(listener.arg, &d->guid, event);
}

static const struct hv_ops script_ops = {
	.free = s_free, .is_up = s_is_up, .describe = s_describe, .guest_type = s_guest_type, .list = s_list,
	.state = s_state, .xml = s_xml, .define = s_define, .undefine = s_undefine, .rename = s_rename,
	.start = s_start, .shutdown = s_shutdown, .destroy = s_destroy, .suspend = s_suspend, .resume = s_resume,
	.snapshot = hvs_snapshot, .restore = hvs_restore, .progress = s_progress,
	.abort_job = s_abort_job, .foreign = s_foreign, .nvram_path = s_nvram_path, .tpm_dir = s_tpm_dir,
	.on_event = s_on_event, .set_time = s_set_time,
};

struct hv_script *hvs_new(const char *dir)
{
	struct hv_script *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t attr;

	if (s == MAP_FAILED)
		abort();
	s->hv.ops = &script_ops;
	snprintf(s->dir, sizeof(s->dir), "%s", dir);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&s->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return s;
}

void hvs_free(struct hv_script *s)
{
	pthread_mutex_destroy(&s->lock);
	munmap(s, sizeof(*s));
}

void hvs_reset(struct hv_script *s)
{
	memset(s->calls, 0, sizeof(s->calls));
	s->fault.when = HVS_NEVER;
}
