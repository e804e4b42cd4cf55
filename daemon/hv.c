/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The door to the hypervisor: each call goes through the table of whoever
 * stands behind it (libvirt, or a script in tests). */
#include "daemon/hv.h"

#include <stdlib.h>

#include "common/alloc.h"

void hv_free(struct hv *hv)
{
	if (hv)
		hv->ops->free(hv);
}

int hv_is_up(struct hv *hv)
{
	return hv->ops->is_up(hv);
}

char *hv_describe(struct hv *hv)
{
	return hv->ops->describe(hv);
}

const char *hv_guest_type(struct hv *hv)
{
	return hv->ops->guest_type(hv);
}

int hv_list(struct hv *hv, struct hv_domain **ret_domains, size_t *ret_n, struct err *reterr)
{
	return hv->ops->list(hv, ret_domains, ret_n, reterr);
}

void hv_domains_free(struct hv_domain *domains, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(domains[i].name);
	free(domains);
}

int hv_state(struct hv *hv, const struct guid *vm, enum hv_state *ret_state, struct err *reterr)
{
	return hv->ops->state(hv, vm, ret_state, reterr);
}

int hv_xml(struct hv *hv, const struct guid *vm, enum hv_xml which, char **ret_xml, struct err *reterr)
{
	return hv->ops->xml(hv, vm, which, ret_xml, reterr);
}

int hv_define(struct hv *hv, const char *xml, struct err *reterr)
{
	return hv->ops->define(hv, xml, reterr);
}

int hv_undefine(struct hv *hv, const struct guid *vm, int remove_tpm, struct err *reterr)
{
	return hv->ops->undefine(hv, vm, remove_tpm, reterr);
}

int hv_rename(struct hv *hv, const struct guid *vm, const char *name, struct err *reterr)
{
	return hv->ops->rename(hv, vm, name, reterr);
}

int hv_start(struct hv *hv, const struct guid *vm, int paused, struct err *reterr)
{
	return hv->ops->start(hv, vm, paused, reterr);
}

int hv_shutdown(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	return hv->ops->shutdown(hv, vm, reterr);
}

int hv_destroy(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	return hv->ops->destroy(hv, vm, reterr);
}

int hv_suspend(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	return hv->ops->suspend(hv, vm, reterr);
}

int hv_resume(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	return hv->ops->resume(hv, vm, reterr);
}

int hv_snapshot(struct hv *hv, const struct guid *vm, const struct hv_snapshot *what, struct err *reterr)
{
	return hv->ops->snapshot(hv, vm, what, reterr);
}

int hv_snapshot_request(struct hv *hv, const struct guid *vm, const struct hv_snapshot *what, char **ret_request,
			struct err *reterr)
{
	*ret_request = NULL;
	return hv->ops->snapshot_request ? hv->ops->snapshot_request(hv, vm, what, ret_request, reterr) : 0;
}

int hv_restore(struct hv *hv, const char *fifo, const char *xml, struct err *reterr)
{
	return hv->ops->restore(hv, fifo, xml, reterr);
}

int hv_progress(struct hv *hv, const struct guid *vm, struct hv_progress *ret_progress, struct err *reterr)
{
	return hv->ops->progress(hv, vm, ret_progress, reterr);
}

int hv_abort_job(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	return hv->ops->abort_job(hv, vm, reterr);
}

int hv_foreign(struct hv *hv, const struct guid *vm, struct hv_foreign *ret_foreign, struct err *reterr)
{
	return hv->ops->foreign(hv, vm, ret_foreign, reterr);
}

void hv_foreign_done(struct hv_foreign *foreign)
{
	strv_free(foreign->snapshots);
	strv_free(foreign->block_jobs);
	free(foreign->job);
	*foreign = (struct hv_foreign){ 0 };
}

char *hv_nvram_path(struct hv *hv, const char *name)
{
	return hv->ops->nvram_path(hv, name);
}

char *hv_tpm_dir(struct hv *hv, const struct guid *vm)
{
	return hv->ops->tpm_dir(hv, vm);
}

void hv_on_event(struct hv *hv, hv_event_fn fn, void *arg)
{
	hv->ops->on_event(hv, fn, arg);
}

int hv_take_back(struct hv *hv, const struct guid *vm, const struct hv_back *disks, size_t n, struct err *reterr)
{
	return hv->ops->take_back ? hv->ops->take_back(hv, vm, disks, n, reterr) : 0;
}

int hv_forget_image(struct hv *hv, const struct guid *vm, const char *path, struct err *reterr)
{
	return hv->ops->forget_image ? hv->ops->forget_image(hv, vm, path, reterr) : 0;
}

int hv_thaw(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	if (!hv->ops->thaw)
		return err_set(reterr, ERR_BACKEND, -EOPNOTSUPP, "this hypervisor cannot thaw file systems");
	return hv->ops->thaw(hv, vm, reterr);
}

int hv_max_downtime(struct hv *hv, const struct guid *vm, int64_t *ret_msec, struct err *reterr)
{
	if (!hv->ops->max_downtime)
		return err_set(reterr, ERR_BACKEND, -EOPNOTSUPP, "this hypervisor has no limit for a guest's pause");
	return hv->ops->max_downtime(hv, vm, ret_msec, reterr);
}

int hv_set_max_downtime(struct hv *hv, const struct guid *vm, int64_t msec, struct err *reterr)
{
	if (!hv->ops->set_max_downtime)
		return err_set(reterr, ERR_BACKEND, -EOPNOTSUPP, "this hypervisor has no limit for a guest's pause");
	return hv->ops->set_max_downtime(hv, vm, msec, reterr);
}

int hv_set_time(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	return hv->ops->set_time ? hv->ops->set_time(hv, vm, reterr) : 0;
}
