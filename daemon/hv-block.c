/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block jobs by libvirt. */
#include "daemon/hv-block.h"

#include <string.h>

#include "common/alloc.h"
#include "daemon/hv-libvirt.h"
#include "daemon/hv-monitor.h"
#include "xmlcfg/domain.h"

#define CHAIN_MAX_SOUND 200
#define CHAIN_MAX_BROKEN 24
#define PULL_SINCE 8002000 /* QEMU, as libvirt counts */

const struct hv_block_ops *hv_block(struct hv *hv)
{
	return hv->ops->block;
}

static int block_commit(struct hv *hv, const struct guid *vm, const struct hv_block *what, struct err *reterr)
{
	unsigned int flags = VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES | (what->top ? 0 : VIR_DOMAIN_BLOCK_COMMIT_ACTIVE);
	_cleanup_call_ struct lv_call call = { 0 };
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	if (what->relative && what->top)
		flags |= VIR_DOMAIN_BLOCK_COMMIT_RELATIVE;
	if (virDomainBlockCommit(call.dom, what->target, what->base, what->top, (unsigned long)what->bandwidth, flags) < 0)
		return lv_fail(&call, reterr, "cannot start to merge into '%s' in domain \"%s\"", what->base,
			       call.name);
	return 0;
}

static int block_pull(struct hv *hv, const struct guid *vm, const struct hv_block *what, struct err *reterr)
{
	unsigned int flags = VIR_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES |
			     (what->relative && what->base ? VIR_DOMAIN_BLOCK_REBASE_RELATIVE : 0);
	_cleanup_call_ struct lv_call call = { 0 };
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	if (virDomainBlockRebase(call.dom, what->target, what->base, (unsigned long)what->bandwidth, flags) < 0)
		return lv_fail(&call, reterr, "cannot start to merge into disk '%s' of domain \"%s\"", what->target,
			       call.name);
	return 0;
}

static int64_t version_part(json_t *version, const char *part)
{
	return json_integer_value(json_object_get(json_object_get(version, "qemu"), part));
}

/* The default emulator's path, *owned*, NULL if libvirt does not tell. */
static char *default_emulator(struct lv_call *call)
{
	_cleanup_free_ char *caps = virConnectGetDomainCapabilities(call->conn, NULL, NULL, NULL, NULL, 0);
	const char *path = caps ? strstr(caps, "<path>") : NULL;

	return path ? xstrndup(path + 6, strcspn(path + 6, "<")) : NULL;
}

/* 1 if the domain runs in the default emulator, 0 if it has one of its own or nobody can tell. */
static int runs_in_default(struct lv_call *call)
{
	_cleanup_free_ char *xml = virDomainGetXMLDesc(call->dom, 0), *its = NULL, *usual = default_emulator(call);
	_cleanup_domain_ struct domain *dom = NULL;

	if (xml && domain_parse(xml, &dom, NULL) == 0)
		its = domain_emulator(dom);
	return its && usual && strcmp(its, usual) == 0;
}

/* The guest's own QEMU may be older than the one that is installed, or another one; it is asked,
 * which marks the domain as tainted, only if it may do. */
static int block_can_pull(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	_cleanup_json_ json_t *version = NULL;
	unsigned long installed = 0;
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0 || !lv_is_qemu(call.lv))
		return r;
	if (virConnectGetVersion(call.conn, &installed) < 0)
		return lv_fail(&call, reterr, "cannot tell which QEMU runs domain \"%s\"", call.name);
	if (installed < PULL_SINCE && runs_in_default(&call))
		return 0;
	r = lv_monitor(&call, json_pack("{s:s}", "execute", "query-version"), -1, &version, reterr);
	return r < 0 ? r : version_part(version, "major") * 1000000 + version_part(version, "minor") * 1000 >= PULL_SINCE;
}

/* From 10.8 until 12.0 libvirt's JSON parser gave up on chains of more than about 25; else
 * it is 200 (QEMU_DOMAIN_STORAGE_SOURCE_CHAIN_MAX_DEPTH). */
static size_t block_chain_max(struct hv *hv)
{
	_cleanup_call_ struct lv_call call = { 0 };
	unsigned long version = 0;

	if (lv_begin(hv, &call, NULL) < 0 || virConnectGetLibVersion(call.conn, &version) < 0)
		return CHAIN_MAX_BROKEN; /* as long as nobody can tell */
	return version >= 10008000 && version < 12000000 ? CHAIN_MAX_BROKEN : CHAIN_MAX_SOUND;
}

/* libvirt sees to it that a job which may pivot, and no other, shows all as done. */
static int block_status(struct hv *hv, const struct guid *vm, const char *target, struct hv_block_status *ret_status,
			struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	virDomainBlockJobInfo info = { 0 };
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	r = virDomainGetBlockJobInfo(call.dom, target, &info, 0);
	if (r < 0)
		return lv_fail(&call, reterr, "cannot see the block job on disk '%s' of domain \"%s\"", target,
			       call.name);
	*ret_status = (struct hv_block_status){
		.present = r > 0,
		.ready = r > 0 && info.type == VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT && info.cur == info.end &&
			 info.end > 0,
		.done = (int64_t)info.cur,
		.total = (int64_t)info.end,
	};
	return 0;
}

static int block_end(struct hv *hv, const struct guid *vm, const char *target, int pivot, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	if (virDomainBlockJobAbort(call.dom, target, pivot ? VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT : 0) < 0) {
		int early = pivot && lv_last_code() == VIR_ERR_BLOCK_COPY_ACTIVE;

		r = lv_fail(&call, reterr, "cannot end the block job on disk '%s' of domain \"%s\"", target,
			    call.name);
		return early ? -EAGAIN : r;
	}
	return 0;
}

/* QEMU's do_vm_stop() flushes whether the guest ran or not. */
static int block_flush(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	int r = lv_begin_domain(hv, vm, &call, reterr);

	return r < 0 ? r : lv_monitor(&call, json_pack("{s:s}", "execute", "stop"), -1, NULL, reterr);
}

const struct hv_block_ops lv_block = {
	.commit = block_commit,
	.pull = block_pull,
	.can_pull = block_can_pull,
	.chain_max = block_chain_max,
	.status = block_status,
	.end = block_end,
	.flush = block_flush,
};
