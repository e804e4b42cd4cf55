/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Domains: what there is, its state and document, defining it, starting and
 * ending it. */
#define _GNU_SOURCE
#include <string.h>

#include "common/alloc.h"
#include "common/timefmt.h"
#include "daemon/hv-libvirt.h"
#include "xmlcfg/domain.h"

/* A QEMU that hangs dies of SIGKILL after some ten seconds; libvirt's attempt to
 * find out about a domain again after a restart comes on top. */
enum { DESTROY_MS = 60 * 1000, DESTROY_STEP_MS = 100 };
enum { DEATH_MS = 5 * 1000 }; /* for libvirt to notice that a QEMU is gone */

enum hv_state lv_state_of(int state)
{
	switch (state) {
	case VIR_DOMAIN_PAUSED:
	case VIR_DOMAIN_PMSUSPENDED:
		return HV_PAUSED;
	case VIR_DOMAIN_SHUTDOWN:
		return HV_STOPPING;
	case VIR_DOMAIN_SHUTOFF:
		return HV_OFF;
	case VIR_DOMAIN_CRASHED:
		return HV_CRASHED;
	default: /* NOSTATE is how Xen shows a guest that is idle */
		return HV_RUNNING;
	}
}

int lv_is_state(struct lv_call *call, enum hv_state state)
{
	int now;

	if (virDomainGetState(call->dom, &now, NULL, 0) < 0)
		return state == HV_OFF && lv_last_code() == VIR_ERR_NO_DOMAIN;
	return lv_state_of(now) == state;
}

/* ---- what there is */

static void free_domains(virDomainPtr *doms)
{
	for (size_t i = 0; doms[i]; i++)
		ignore_result(virDomainFree(doms[i]));
	free(doms);
}
DEFINE_CLEANUP(virDomainPtr, free_domains);

/* Fills one entry; 0 if the domain has gone meanwhile. */
static int read_domain(virDomainPtr dom, struct hv_domain *ret_domain)
{
	char uuid[VIR_UUID_STRING_BUFLEN];
	struct guid guid;
	int state, persistent;

	persistent = virDomainIsPersistent(dom);
	if (persistent < 0 || virDomainGetState(dom, &state, NULL, 0) < 0)
		return 0;
	if (virDomainGetUUIDString(dom, uuid) < 0 || guid_parse(uuid, &guid) < 0)
		return 0;
	*ret_domain = (struct hv_domain){
		.guid = guid,
		.name = xstrdup(virDomainGetName(dom)),
		.state = lv_state_of(state),
		.persistent = persistent,
	};
	return 1;
}

int lv_list(struct hv *hv, struct hv_domain **ret_domains, size_t *ret_n, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	_cleanup_(free_domainsp) virDomainPtr *doms = NULL;
	struct hv_domain *list;
	size_t filled = 0;
	int n, r = lv_begin(hv, &call, reterr);

	if (r < 0)
		return r;
	n = virConnectListAllDomains(call.conn, &doms, 0);
	if (n < 0)
		return lv_fail(&call, reterr, "cannot list the domains");
	list = xcalloc((size_t)n + 1, sizeof(*list));
	for (int i = 0; i < n; i++)
		filled += (size_t)read_domain(doms[i], &list[filled]);
	*ret_domains = list;
	*ret_n = filled;
	return 0;
}

int lv_state(struct hv *hv, const struct guid *vm, enum hv_state *ret_state, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int state, r = lv_begin_domain(hv, vm, &call, &err);

	if (r == 0 && virDomainGetState(call.dom, &state, NULL, 0) < 0)
		r = lv_fail(&call, &err, "cannot read the state of domain \"%s\"", call.name);
	if (r < 0 && r != -ENOENT)
		return err_move(reterr, &err);
	*ret_state = r == -ENOENT ? HV_ABSENT : lv_state_of(state);
	return 0;
}

int lv_xml(struct hv *hv, const struct guid *vm, enum hv_xml which, char **ret_xml, struct err *reterr)
{
	static const unsigned int flags[] = {
		[HV_XML_INACTIVE] = VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_INACTIVE,
		[HV_XML_LIVE] = VIR_DOMAIN_XML_SECURE,
		[HV_XML_MIGRATABLE] = VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_MIGRATABLE,
	};
	_cleanup_call_ struct lv_call call = { 0 };
	char *xml;
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	xml = virDomainGetXMLDesc(call.dom, flags[which]);
	if (!xml)
		return lv_fail(&call, reterr, "cannot read the configuration of domain \"%s\"",
			       call.name);
	*ret_xml = xml;
	return 0;
}

/* ---- defining */

/* Name in a document, *owned*, for messages only: "?" if it has none. */
static char *name_in(const char *xml)
{
	_cleanup_domain_ struct domain *dom = NULL;
	char *name = NULL;

	if (domain_parse(xml, &dom, NULL) == 0)
		name = domain_name(dom);
	return name ? name : xstrdup("?");
}

int lv_define(struct hv *hv, const char *xml, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	_cleanup_free_ char *name = NULL;
	int r = lv_begin(hv, &call, reterr);

	if (r < 0)
		return r;
	call.dom = virDomainDefineXML(call.conn, xml);
	if (call.dom)
		return 0;
	name = name_in(xml);
	r = lv_fail(&call, reterr, "cannot define the domain \"%s\"", name);
	err_set_vm(reterr, name);
	return r;
}

/* Only QEMU's driver keeps TPM states, and only the two take flags at all; a bare
 * undefine deletes the TPM state without a word. */
static unsigned int undefine_flags(const struct lv *lv, int remove_tpm)
{
	switch (lv->driver) {
	case LV_QEMU_SYSTEM:
	case LV_QEMU_SESSION:
	case LV_QEMU_EMBED:
		return VIR_DOMAIN_UNDEFINE_KEEP_NVRAM |
		       (remove_tpm ? VIR_DOMAIN_UNDEFINE_TPM : VIR_DOMAIN_UNDEFINE_KEEP_TPM);
	case LV_XEN:
		return VIR_DOMAIN_UNDEFINE_KEEP_NVRAM;
	default:
		return 0;
	}
}

int lv_undefine(struct hv *hv, const struct guid *vm, int remove_tpm, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int r = lv_begin_domain(hv, vm, &call, &err);

	if (r == 0 && virDomainUndefineFlags(call.dom, undefine_flags(call.lv, remove_tpm)) < 0)
		r = lv_fail(&call, &err, "cannot undefine the domain \"%s\"", call.name);
	if (r < 0 && r != -ENOENT)
		return err_move(reterr, &err);
	return 0;
}

int lv_rename(struct hv *hv, const struct guid *vm, const char *name, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	if (strcmp(call.name, name) == 0)
		return 0;
	if (virDomainRename(call.dom, name, 0) < 0)
		return lv_fail(&call, reterr, "cannot rename the domain \"%s\" to \"%s\"", call.name,
			       name);
	return 0;
}

/* ---- running */

int lv_start(struct hv *hv, const struct guid *vm, int paused, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	/* libvirt would resume that memory on disks it knows nothing of. */
	if (virDomainHasManagedSaveImage(call.dom, 0) > 0) {
		r = err_set(reterr, ERR_REFUSED, -EBUSY,
			    "the domain \"%s\" is not started: libvirt holds a managed save of it", call.name);
		err_hint(reterr, "resume it with virsh start, or drop that memory with virsh managedsave-remove");
		err_set_vm(reterr, call.name);
		return r;
	}
	if (virDomainCreateWithFlags(call.dom, paused ? VIR_DOMAIN_START_PAUSED : 0) < 0)
		return lv_fail(&call, reterr, "cannot start the domain \"%s\"", call.name);
	return 0;
}

int lv_shutdown(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	if (virDomainShutdownFlags(call.dom, 0) < 0)
		return lv_fail(&call, reterr, "cannot ask the domain \"%s\" to shut down", call.name);
	return 0;
}

/* 1 if the last error of a destroy may pass: just after libvirt came up a domain
 * can be "not running" and running, and a QEMU in the kernel's hands dies late. */
static int may_pass(void)
{
	int code = lv_last_code();

	return code == VIR_ERR_OPERATION_INVALID || code == VIR_ERR_SYSTEM_ERROR || code == VIR_ERR_OPERATION_TIMEOUT;
}

static int destroy_domain(struct lv_call *call, struct err *reterr)
{
	int64_t until = time_mono_usec() + DESTROY_MS * INT64_C(1000);

	for (;;) {
		int late = time_mono_usec() > until;

		if (lv_is_state(call, HV_OFF))
			return 0;
		if (virDomainDestroyFlags(call->dom, 0) == 0) {
			if (lv_is_state(call, HV_OFF))
				return 0;
			if (late)
				return err_set(reterr, ERR_BACKEND, -ETIMEDOUT,
					       "the domain \"%s\" was ended and still runs after %d seconds",
					       call->name, DESTROY_MS / 1000);
		} else if (lv_last_code() == VIR_ERR_NO_DOMAIN) {
			return 0;
		} else if (late || !may_pass()) {
			return lv_fail(call, reterr, "cannot end the domain \"%s\"", call->name);
		}
		lv_wait_change(call->lv, DESTROY_STEP_MS);
	}
}

int lv_destroy(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int r = lv_begin_domain(hv, vm, &call, &err);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_move(reterr, &err);
	return destroy_domain(&call, reterr);
}

/* All that is asked of a QEMU that has just died fails until libvirt has noticed; whoever looks at the
 * domain then finds it off. Waits for that if the error may mean it. */
static void await_death(struct lv_call *call, int code)
{
	int64_t until = time_mono_usec() + DEATH_MS * INT64_C(1000);

	if (code != VIR_ERR_SYSTEM_ERROR && code != VIR_ERR_OPERATION_FAILED && code != VIR_ERR_INTERNAL_ERROR)
		return;
	while (!lv_is_state(call, HV_OFF) && time_mono_usec() < until)
		lv_wait_change(call->lv, DESTROY_STEP_MS);
}

/* suspend and resume: call act unless the domain is in the state it leads to, also
 * when somebody else was quicker. */
static int switch_cpus(struct hv *hv, const struct guid *vm, enum hv_state goal, int (*act)(virDomainPtr),
		       const char *verb, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int code, r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	if (lv_is_state(&call, goal) || act(call.dom) == 0)
		return 0;
	code = lv_last_code();
	ignore_result(lv_fail(&call, &err, "cannot %s the domain \"%s\"", verb, call.name));
	if (lv_is_state(&call, goal))
		return 0;
	await_death(&call, code);
	return err_move(reterr, &err);
}

int lv_suspend(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	return switch_cpus(hv, vm, HV_PAUSED, virDomainSuspend, "pause", reterr);
}

int lv_resume(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	return switch_cpus(hv, vm, HV_RUNNING, virDomainResume, "resume", reterr);
}
