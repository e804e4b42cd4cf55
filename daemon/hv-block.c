/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Block jobs by libvirt. */
#include "daemon/hv-block.h"

#include "daemon/hv-libvirt.h"

const struct hv_block_ops *hv_block(struct hv *hv)
{
	return hv->ops->block;
}

static int block_commit(struct hv *hv, const struct guid *vm, const struct hv_block *what, struct err *reterr)
{
	unsigned int flags = what->top ? 0 : VIR_DOMAIN_BLOCK_COMMIT_ACTIVE;
	_cleanup_call_ struct lv_call call = { 0 };
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	if (what->relative && what->top)
		flags |= VIR_DOMAIN_BLOCK_COMMIT_RELATIVE;
	if (virDomainBlockCommit(call.dom, what->target, what->base, what->top, 0, flags) < 0)
		return lv_fail(&call, reterr, "cannot start to merge into '%s' in domain \"%s\"", what->base,
			       call.name);
	return 0;
}

static int block_pull(struct hv *hv, const struct guid *vm, const struct hv_block *what, struct err *reterr)
{
	unsigned int flags = what->relative && what->base ? VIR_DOMAIN_BLOCK_REBASE_RELATIVE : 0;
	_cleanup_call_ struct lv_call call = { 0 };
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	if (virDomainBlockRebase(call.dom, what->target, what->base, 0, flags) < 0)
		return lv_fail(&call, reterr, "cannot start to merge into disk '%s' of domain \"%s\"", what->target,
			       call.name);
	return 0;
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

const struct hv_block_ops lv_block = {
	.commit = block_commit,
	.pull = block_pull,
	.status = block_status,
	.end = block_end,
};
