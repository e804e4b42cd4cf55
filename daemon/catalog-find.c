/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The catalog: VMs and snapshots by name or GUID, and the history of jobs. */
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/catalog-priv.h"

static int pick_vm(struct index_vm *vms, size_t n, const char *vm, struct index_vm *ret_vm, struct err *reterr)
{
	_cleanup_strv_ char **candidates = NULL;
	_cleanup_free_ char *list = NULL;
	struct index_vm *found = NULL;
	struct guid guid;

	if (guid_parse(vm, &guid) < 0)
		guid.s[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (!guid_eq(&vms[i].guid, &guid) && strcmp(vms[i].name, vm) != 0)
			continue;
		found = &vms[i];
		strv_push(&candidates, xstrdup(vms[i].guid.s));
		if (guid_eq(&vms[i].guid, &guid))
			break; /* a GUID stands above a name that looks like one */
	}
	if (!found) {
		return err_full(reterr, ERR_NO_VM, -ENOENT, vm, NULL, "'vmsnapctl vm list' shows what there is",
				"there is no VM '%s'", vm);
	}
	if (strv_count(candidates) > 1 && !guid_eq(&found->guid, &guid)) {
		list = strv_join(candidates, ", ");
		return err_set(reterr, ERR_AMBIGUOUS, -ENOTUNIQ, "several VMs are named '%s': %s; use the GUID", vm,
			       list);
	}
	*ret_vm = *found;
	memset(found, 0, sizeof(*found));
	return 0;
}

/* The fast way: the VM's rows are in the index and its files have not changed. */
static int find_known(struct catalog *cat, const char *vm, struct index_vm *ret_vm)
{
	struct index_vm *vms = NULL, row;
	size_t n = 0;
	int r;

	pthread_mutex_lock(&cat->lock);
	r = cat->index && cat->n ? index_list_vms(cat->index, &vms, &n, NULL) : -ENOENT;
	if (!r)
		r = pick_vm(vms, n, vm, &row, NULL);
	if (!r) {
		struct guid guid = row.guid;

		index_vm_done(&row);
		r = catalog_refresh_vm(cat, &guid, NULL);
		if (!r)
			r = index_get_vm(cat->index, &guid, ret_vm, NULL);
		if (!r && strcmp(ret_vm->name, vm) != 0 && !guid_valid(vm)) {
			index_vm_done(ret_vm); /* renamed behind our back */
			r = -ENOENT;
		}
	}
	index_vms_free(vms, n);
	pthread_mutex_unlock(&cat->lock);
	return r;
}

int catalog_find_vm(struct catalog *cat, const char *vm, struct index_vm *ret_vm, struct err *reterr)
{
	struct index_vm *vms;
	size_t n;
	int r;

	if (!find_known(cat, vm, ret_vm))
		return 0;
	r = catalog_vms(cat, &vms, &n, reterr);
	if (r < 0)
		return r;
	r = pick_vm(vms, n, vm, ret_vm, reterr);
	index_vms_free(vms, n);
	return r;
}

static char *describe(const struct index_snapshot *s)
{
	_cleanup_free_ char *when = time_short(s->created_usec);

	return xasprintf("%s (%s)", s->guid.s, when);
}

int catalog_find_snapshot(struct catalog *cat, const struct index_vm *vm, const char *snapshot, struct guid *ret_snap,
			  struct err *reterr)
{
	_cleanup_strv_ char **candidates = NULL;
	_cleanup_free_ char *list = NULL;
	struct index_snapshot *snaps;
	struct guid guid, found = { "" };
	size_t n;
	int r = catalog_snapshots(cat, vm, &snaps, &n, reterr);

	if (r < 0)
		return r;
	if (guid_parse(snapshot, &guid) < 0)
		guid.s[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (guid_eq(&snaps[i].guid, &guid)) {
			index_snapshots_free(snaps, n);
			*ret_snap = guid;
			return 0;
		}
		if (strcmp(snaps[i].name, snapshot) != 0)
			continue;
		found = snaps[i].guid;
		strv_push(&candidates, describe(&snaps[i]));
	}
	index_snapshots_free(snaps, n);
	if (strv_count(candidates) == 0) {
		return err_full(reterr, ERR_NO_SNAPSHOT, -ENOENT, vm->name, NULL,
				"'vmsnapctl snapshot tree' shows what there is", "VM '%s' has no snapshot '%s'",
				vm->name, snapshot);
	}
	list = strv_join(candidates, ", ");
	if (strv_count(candidates) > 1) {
		return err_full(reterr, ERR_AMBIGUOUS, -ENOTUNIQ, vm->name, NULL, "Use the GUID of the one you mean",
				"VM '%s' has several snapshots named '%s': %s", vm->name, snapshot, list);
	}
	*ret_snap = found;
	return 0;
}

static int add_job(struct catalog *cat, void *arg, struct err *reterr)
{
	return index_add_job(cat->index, arg, reterr);
}

void catalog_add_job(struct catalog *cat, const struct index_job *job)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	pthread_mutex_lock(&cat->lock);
	r = catalog_with_index(cat, add_job, (void *)job, &err);
	pthread_mutex_unlock(&cat->lock);
	if (r < 0)
		log_err(LOG_LEVEL_WARNING, &err, "keeping the history of jobs");
}

int catalog_jobs(struct catalog *cat, size_t max, struct index_job **ret_jobs, size_t *ret_n, struct err *reterr)
{
	int r;

	pthread_mutex_lock(&cat->lock);
	r = cat->index ? index_list_jobs(cat->index, max, ret_jobs, ret_n, reterr) :
			 err_set(reterr, ERR_FAILED, -EBADMSG, "the index is not open");
	pthread_mutex_unlock(&cat->lock);
	return r;
}
