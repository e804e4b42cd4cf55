/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks switched to overlays, memory to a file and back, and what stands in the
 * way of both. */
#define _GNU_SOURCE
#include <string.h>

#include "common/alloc.h"
#include "daemon/hv-libvirt.h"
#include "xmlcfg/domain.h"

/* ---- the snapshot document */

/* s as the value of an attribute in single quotes, *owned*. */
static char *xml_escape(const char *s)
{
	static const size_t longest = sizeof("&#62;") - 1;
	size_t room = strlen(s) * longest + 1, len = 0;
	char *out = xcalloc(room, 1);

	for (; *s; s++) {
		int special = strchr("&<>'\"", *s) || (unsigned char)*s < 0x20;

		len += (size_t)snprintf(out + len, room - len, special ? "&#%d;" : "%c", *s);
	}
	return out;
}

static const struct hv_switch *find_switch(const struct hv_snapshot *what, const char *target)
{
	for (size_t i = 0; i < what->n_disks; i++)
		if (strcmp(what->disks[i].target, target) == 0)
			return &what->disks[i];
	return NULL;
}

/* One row of the document, *owned*. */
static char *format_disk(const char *target, const struct hv_switch *sw)
{
	_cleanup_free_ char *name = xml_escape(target);
	_cleanup_free_ char *path = sw ? xml_escape(sw->path) : NULL;

	/* A disk that is not listed would be switched as well, to a name that libvirt makes up. */
	if (!sw)
		return xasprintf("<disk name='%s' snapshot='no'/>", name);
	return xasprintf("<disk name='%s' snapshot='external' type='file'><driver type='qcow2'/>"
			 "<source file='%s'/></disk>",
			 name, path);
}

/* The document for what, listing every disk of the domain, *owned*. */
static char *format_snapshot(const struct hv_snapshot *what, const struct domain_disks *disks)
{
	_cleanup_free_ char *file = what->memory_file ? xml_escape(what->memory_file) : NULL;
	_cleanup_free_ char *memory = file ? xasprintf("snapshot='external' file='%s'", file)
					   : xstrdup("snapshot='no'");
	_cleanup_free_ char *rows = NULL;
	_cleanup_strv_ char **list = NULL;

	for (size_t i = 0; i < disks->n; i++)
		if (disks->disk[i].target)
			strv_push(&list, format_disk(disks->disk[i].target, find_switch(what, disks->disk[i].target)));
	rows = strv_join(list, "");
	return xasprintf("<domainsnapshot><memory %s/><disks>%s</disks></domainsnapshot>", memory, rows);
}

/* The domain's disks as they are now; ret_disks is emptied by domain_disks_done(). */
static int read_disks(struct lv_call *call, struct domain_disks *ret_disks, struct err *reterr)
{
	_cleanup_domain_ struct domain *dom = NULL;
	_cleanup_free_ char *xml = virDomainGetXMLDesc(call->dom, 0);
	int r;

	if (!xml)
		return lv_fail(call, reterr, "cannot read the disks of domain \"%s\"", call->name);
	r = domain_parse(xml, &dom, reterr);
	if (r < 0)
		return r;
	domain_get_disks(dom, ret_disks);
	return 0;
}

static int has_target(const struct domain_disks *disks, const char *target)
{
	for (size_t i = 0; i < disks->n; i++)
		if (disks->disk[i].target && strcmp(disks->disk[i].target, target) == 0)
			return 1;
	return 0;
}

/* libvirt would take a target it does not know for a path. */
static int check_targets(struct lv_call *call, const struct hv_snapshot *what, const struct domain_disks *disks,
			 struct err *reterr)
{
	for (size_t i = 0; i < what->n_disks; i++)
		if (!has_target(disks, what->disks[i].target)) {
			int r = err_set(reterr, ERR_BACKEND, -ENXIO,
					"the domain \"%s\" has no disk \"%s\" to be switched",
					call->name, what->disks[i].target);

			err_set_vm(reterr, call->name);
			return r;
		}
	return 0;
}

static unsigned int snapshot_flags(const struct hv_snapshot *what)
{
	unsigned int flags = VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA | VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT |
			     VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC;

	if (!what->memory_file)
		flags |= VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY;
	else if (what->live)
		flags |= VIR_DOMAIN_SNAPSHOT_CREATE_LIVE;
	if (what->quiesce)
		flags |= VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE;
	return flags;
}

static int make_request(struct lv_call *call, const struct hv_snapshot *what, char **ret_xml, struct err *reterr)
{
	_cleanup_(domain_disks_done) struct domain_disks disks = { 0 };
	int r = read_disks(call, &disks, reterr);

	if (!r)
		r = check_targets(call, what, &disks, reterr);
	if (!r)
		*ret_xml = format_snapshot(what, &disks);
	return r;
}

int lv_snapshot_request(struct hv *hv, const struct guid *vm, const struct hv_snapshot *what, char **ret_request,
			struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	int r = lv_begin_domain(hv, vm, &call, reterr);

	return r < 0 ? r : make_request(&call, what, ret_request, reterr);
}

int lv_snapshot(struct hv *hv, const struct guid *vm, const struct hv_snapshot *what, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	_cleanup_free_ char *xml = NULL;
	virDomainSnapshotPtr snap;
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (!r && !what->request)
		r = make_request(&call, what, &xml, reterr);
	if (r < 0)
		return r;
	snap = virDomainSnapshotCreateXML(call.dom, what->request ? what->request : xml, snapshot_flags(what));
	if (!snap)
		return lv_fail(&call, reterr, "cannot %s of domain \"%s\"",
			       what->memory_file ? "save the memory and switch the disks" : "switch the disks",
			       call.name);
	ignore_result(virDomainSnapshotFree(snap));
	return 0;
}

int lv_thaw(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	if (virDomainFSThaw(call.dom, NULL, 0, 0) < 0)
		return lv_fail(&call, reterr, "cannot thaw the file systems of domain \"%s\"", call.name);
	return 0;
}

/* ---- memory to a file and back */

int lv_restore(struct hv *hv, const char *fifo, const char *xml, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	int r = lv_begin(hv, &call, reterr);

	if (r < 0)
		return r;
	if (virDomainRestoreFlags(call.conn, fifo, xml, VIR_DOMAIN_SAVE_RUNNING) < 0)
		return lv_fail(&call, reterr, "cannot restore the saved memory");
	return 0;
}

/* A statistic that may be missing. */
static int64_t stat_or(virTypedParameterPtr params, int n, const char *name, int64_t missing)
{
	unsigned long long value;

	return virTypedParamsGetULLong(params, n, name, &value) == 1 ? (int64_t)value : missing;
}

int lv_progress(struct hv *hv, const struct guid *vm, struct hv_progress *ret_progress, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	virTypedParameterPtr params = NULL;
	int n = 0, type = VIR_DOMAIN_JOB_NONE, r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	if (virDomainGetJobStats(call.dom, &type, &params, &n, 0) < 0) {
		if (lv_last_code() != VIR_ERR_OPERATION_INVALID) /* not running: no job either */
			return lv_fail(&call, reterr, "cannot read the progress of domain \"%s\"",
				       call.name);
		type = VIR_DOMAIN_JOB_NONE;
	}
	if (type == VIR_DOMAIN_JOB_BOUNDED || type == VIR_DOMAIN_JOB_UNBOUNDED)
		*ret_progress = (struct hv_progress){
			.done = stat_or(params, n, VIR_DOMAIN_JOB_DATA_PROCESSED, 0),
			.total = stat_or(params, n, VIR_DOMAIN_JOB_DATA_TOTAL, 0),
			.left = stat_or(params, n, VIR_DOMAIN_JOB_DATA_REMAINING, -1),
			.passes = (int)stat_or(params, n, VIR_DOMAIN_JOB_MEMORY_ITERATION, -1),
		};
	else
		r = err_set(reterr, ERR_BACKEND, -ENODATA, "the domain \"%s\" has no job under way", call.name);
	virTypedParamsFree(params, n);
	return r;
}

int lv_abort_job(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	if (virDomainAbortJob(call.dom) < 0)
		return lv_fail(&call, reterr, "cannot cancel the job of domain \"%s\"", call.name);
	return 0;
}

/* ---- what somebody else did */

static const char *operation_name(int operation)
{
	static const char *const names[] = {
		[VIR_DOMAIN_JOB_OPERATION_START] = "start",
		[VIR_DOMAIN_JOB_OPERATION_SAVE] = "save",
		[VIR_DOMAIN_JOB_OPERATION_RESTORE] = "restore",
		[VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN] = "migration in",
		[VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT] = "migration out",
		[VIR_DOMAIN_JOB_OPERATION_SNAPSHOT] = "snapshot",
		[VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_REVERT] = "snapshot revert",
		[VIR_DOMAIN_JOB_OPERATION_DUMP] = "dump",
		[VIR_DOMAIN_JOB_OPERATION_BACKUP] = "backup",
	};

	if (operation < 0 || (size_t)operation >= ARRAY_SIZE(names) || !names[operation])
		return "unknown";
	return names[operation];
}

/* The domain job under way (ret_job *owned*), NULL if there is none. */
static int find_job(struct lv_call *call, char **ret_job, struct err *reterr)
{
	virTypedParameterPtr params = NULL;
	int n = 0, type = VIR_DOMAIN_JOB_NONE, operation = -1;

	*ret_job = NULL;
	if (virDomainGetJobStats(call->dom, &type, &params, &n, 0) < 0) {
		int code = lv_last_code();

		if (code == VIR_ERR_OPERATION_INVALID || code == VIR_ERR_NO_SUPPORT)
			return 0;
		return lv_fail(call, reterr, "cannot see whether the domain \"%s\" has a job",
			       call->name);
	}
	ignore_result(virTypedParamsGetInt(params, n, VIR_DOMAIN_JOB_OPERATION, &operation)); /* -1: not said */
	virTypedParamsFree(params, n);
	if (type == VIR_DOMAIN_JOB_BOUNDED || type == VIR_DOMAIN_JOB_UNBOUNDED)
		*ret_job = xstrdup(operation_name(operation));
	return 0;
}

static void free_snapshots(virDomainSnapshotPtr *snaps)
{
	for (size_t i = 0; snaps[i]; i++)
		ignore_result(virDomainSnapshotFree(snaps[i]));
	free(snaps);
}
DEFINE_CLEANUP(virDomainSnapshotPtr, free_snapshots);

static int find_snapshots(struct lv_call *call, char ***list, struct err *reterr)
{
	_cleanup_(free_snapshotsp) virDomainSnapshotPtr *snaps = NULL;
	int n = virDomainListAllSnapshots(call->dom, &snaps, 0);

	if (n < 0 && lv_last_code() == VIR_ERR_NO_SUPPORT)
		return 0;
	if (n < 0)
		return lv_fail(call, reterr, "cannot list libvirt's snapshots of domain \"%s\"",
			       call->name);
	for (int i = 0; i < n; i++)
		strv_push(list, xstrdup(virDomainSnapshotGetName(snaps[i])));
	return 0;
}

static int find_block_jobs(struct lv_call *call, char ***list, struct err *reterr)
{
	_cleanup_(domain_disks_done) struct domain_disks disks = { 0 };
	int r;

	if (virDomainIsActive(call->dom) != 1)
		return 0;
	r = read_disks(call, &disks, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < disks.n; i++) {
		virDomainBlockJobInfo info;
		const char *target = disks.disk[i].target;

		/* An empty drive gives an error: it has no job. */
		if (target && virDomainGetBlockJobInfo(call->dom, target, &info, 0) > 0)
			strv_push(list, xstrdup(target));
	}
	return 0;
}

int lv_foreign(struct hv *hv, const struct guid *vm, struct hv_foreign *ret_foreign, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	_cleanup_(hv_foreign_done) struct hv_foreign found = { 0 };
	int saved, r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	saved = virDomainHasManagedSaveImage(call.dom, 0);
	if (saved < 0 && lv_last_code() != VIR_ERR_NO_SUPPORT)
		return lv_fail(&call, reterr, "cannot see whether libvirt saved the domain \"%s\"",
			       call.name);
	found.managed_save = saved > 0;
	r = find_snapshots(&call, &found.snapshots, reterr);
	if (r == 0)
		r = find_block_jobs(&call, &found.block_jobs, reterr);
	if (r == 0)
		r = find_job(&call, &found.job, reterr);
	if (r < 0)
		return r;
	*ret_foreign = found;
	found = (struct hv_foreign){ 0 };
	return 0;
}
