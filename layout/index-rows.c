/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rows of the index: VMs, snapshots, jobs. */
#include "layout/index.h"

#include "common/alloc.h"
#include "layout/index-internal.h"

#define JOBS_KEPT "1000"

const char *const index_sql[STMT_COUNT] = {
	[STMT_BEGIN] = "BEGIN IMMEDIATE",
	[STMT_COMMIT] = "COMMIT",
	[STMT_ROLLBACK] = "ROLLBACK",
	[STMT_PUT_VM] = "INSERT OR REPLACE INTO vm (guid, name, root, now, stamp, saved, blocker)"
			" VALUES (?, ?, ?, ?, ?, ?, ?)",
	[STMT_PUT_SNAPSHOT] = "INSERT OR REPLACE INTO snapshot (vm, guid, parent, name, notes, created, mode,"
			      " memory_bytes, disk_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[STMT_DROP_VM] = "DELETE FROM vm WHERE guid = ?",
	[STMT_DROP_SNAPSHOTS] = "DELETE FROM snapshot WHERE vm = ?",
	[STMT_GET_VM] = "SELECT guid, name, root, now, stamp, saved, blocker FROM vm WHERE guid = ?",
	[STMT_LIST_VMS] = "SELECT guid, name, root, now, stamp, saved, blocker FROM vm ORDER BY name, guid",
	[STMT_LIST_SNAPSHOTS] = "SELECT vm, guid, parent, name, notes, created, mode, memory_bytes, disk_bytes"
				" FROM snapshot WHERE vm = ? ORDER BY created, guid",
	[STMT_ADD_JOB] = "INSERT INTO job (id, operation, vm, state, message, started, finished)"
			 " VALUES (?, ?, ?, ?, ?, ?, ?)",
	[STMT_TRIM_JOBS] = "DELETE FROM job WHERE seq <= (SELECT max(seq) FROM job) - " JOBS_KEPT,
	[STMT_LIST_JOBS] = "SELECT id, operation, vm, state, message, started, finished FROM job"
			   " ORDER BY seq DESC LIMIT ?",
};

/* Binds the next parameter; what is bound stays the caller's until index_end().
 * Nothing is copied, so that it cannot fail. */
static void bind_text(sqlite3_stmt *stmt, int *at, const char *text)
{
	sqlite3_bind_text(stmt, ++*at, text, -1, SQLITE_STATIC);
}

static void bind_int(sqlite3_stmt *stmt, int *at, int64_t value)
{
	sqlite3_bind_int64(stmt, ++*at, value);
}

/* Next column as text, *owned*; NULL for NULL. */
static char *get_text(sqlite3_stmt *stmt, int *at)
{
	return xstrdup((const char *)sqlite3_column_text(stmt, (*at)++));
}

static int64_t get_int(sqlite3_stmt *stmt, int *at)
{
	return sqlite3_column_int64(stmt, (*at)++);
}

/* Next column as a GUID; "" is none. Another text means damage. */
static void get_guid(sqlite3_stmt *stmt, int *at, struct guid *ret_guid, int *rc)
{
	const char *text = (const char *)sqlite3_column_text(stmt, (*at)++);

	*ret_guid = (struct guid){""};
	if (!text || (*text && guid_parse(text, ret_guid) < 0))
		*rc = SQLITE_CORRUPT;
}

/* Begins a transaction. */
static int begin(struct index *ix, const char *what, struct err *reterr)
{
	return index_run(ix, index_begin(ix, STMT_BEGIN), what, reterr);
}

/* Ends it: commits if r is 0, else (or if that fails) rolls back. Returns the
 * result of both. */
static int finish(struct index *ix, int r, const char *what, struct err *reterr)
{
	if (r == 0)
		r = index_run(ix, index_begin(ix, STMT_COMMIT), what, reterr);
	if (r < 0 && !sqlite3_get_autocommit(ix->db))
		ignore_result(index_run(ix, index_begin(ix, STMT_ROLLBACK), what, NULL)); /* the first one counts */
	return r;
}

static int put_vm(struct index *ix, const struct index_vm *vm, struct err *reterr)
{
	sqlite3_stmt *stmt = index_begin(ix, STMT_PUT_VM);
	int at = 0;

	bind_text(stmt, &at, vm->guid.s);
	bind_text(stmt, &at, vm->name);
	bind_text(stmt, &at, vm->root);
	bind_text(stmt, &at, vm->now.s);
	bind_int(stmt, &at, vm->stamp);
	bind_int(stmt, &at, vm->saved);
	bind_text(stmt, &at, vm->blocker);
	return index_run(ix, stmt, "cannot note a VM", reterr);
}

static int put_snapshot(struct index *ix, const struct guid *vm, const struct index_snapshot *snap, struct err *reterr)
{
	sqlite3_stmt *stmt = index_begin(ix, STMT_PUT_SNAPSHOT);
	int at = 0;

	bind_text(stmt, &at, vm->s);
	bind_text(stmt, &at, snap->guid.s);
	bind_text(stmt, &at, snap->parent.s);
	bind_text(stmt, &at, snap->name);
	bind_text(stmt, &at, snap->notes);
	bind_int(stmt, &at, snap->created_usec);
	bind_text(stmt, &at, snap->mode);
	bind_int(stmt, &at, snap->memory_bytes);
	bind_int(stmt, &at, snap->disk_bytes);
	return index_run(ix, stmt, "cannot note a snapshot", reterr);
}

/* Runs a statement whose one parameter is a VM's GUID. */
static int run_for_vm(struct index *ix, enum index_stmt which, const struct guid *vm, struct err *reterr)
{
	sqlite3_stmt *stmt = index_begin(ix, which);
	int at = 0;

	bind_text(stmt, &at, vm->s);
	return index_run(ix, stmt, "cannot forget a VM", reterr);
}

int index_put_vm(struct index *ix, const struct index_vm *vm, const struct index_snapshot *snaps, size_t n,
		 struct err *reterr)
{
	_cleanup_index_unlock_ _unused_ struct index *held = index_lock(ix);
	int r = begin(ix, "cannot note a VM", reterr);

	if (r < 0)
		return r;
	r = run_for_vm(ix, STMT_DROP_SNAPSHOTS, &vm->guid, reterr);
	if (r == 0)
		r = put_vm(ix, vm, reterr);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = put_snapshot(ix, &vm->guid, &snaps[i], reterr);
	return finish(ix, r, "cannot note a VM", reterr);
}

int index_drop_vm(struct index *ix, const struct guid *vm, struct err *reterr)
{
	_cleanup_index_unlock_ _unused_ struct index *held = index_lock(ix);
	int r = begin(ix, "cannot forget a VM", reterr);

	if (r < 0)
		return r;
	r = run_for_vm(ix, STMT_DROP_SNAPSHOTS, vm, reterr);
	if (r == 0)
		r = run_for_vm(ix, STMT_DROP_VM, vm, reterr);
	return finish(ix, r, "cannot forget a VM", reterr);
}

/* The VM of the present row. Sets *rc if it makes no sense. */
static struct index_vm read_vm(sqlite3_stmt *stmt, int *rc)
{
	struct index_vm vm = {0};
	int at = 0;

	get_guid(stmt, &at, &vm.guid, rc);
	vm.name = get_text(stmt, &at);
	vm.root = get_text(stmt, &at);
	get_guid(stmt, &at, &vm.now, rc);
	vm.stamp = get_int(stmt, &at);
	vm.saved = get_int(stmt, &at) != 0;
	vm.blocker = get_text(stmt, &at);
	if (!vm.name || !vm.root)
		*rc = SQLITE_CORRUPT;
	return vm;
}

int index_get_vm(struct index *ix, const struct guid *vm, struct index_vm *ret_vm, struct err *reterr)
{
	_cleanup_index_unlock_ _unused_ struct index *held = index_lock(ix);
	_cleanup_(index_endp) sqlite3_stmt *stmt = index_begin(ix, STMT_GET_VM);
	_cleanup_(index_vm_done) struct index_vm row = {0};
	int at = 0, rc;

	bind_text(stmt, &at, vm->s);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_DONE)
		return err_set(reterr, ERR_NO_VM, -ENOENT, "no VM %s is in the index", vm->s);
	if (rc == SQLITE_ROW)
		row = read_vm(stmt, &rc);
	if (rc != SQLITE_ROW)
		return index_error(ix, rc, "cannot look up a VM", reterr);
	*ret_vm = row;
	row = (struct index_vm){0};
	return 0;
}

/* Room for one more row: doubles as it fills up. */
static void *grow(void *rows, size_t n, size_t size)
{
	return n & (n - 1) ? rows : xreallocarray(rows, n ? n * 2 : 1, size);
}

int index_list_vms(struct index *ix, struct index_vm **ret_vms, size_t *ret_n, struct err *reterr)
{
	_cleanup_index_unlock_ _unused_ struct index *held = index_lock(ix);
	_cleanup_(index_endp) sqlite3_stmt *stmt = index_begin(ix, STMT_LIST_VMS);
	struct index_vm *vms = NULL;
	size_t n = 0;
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		vms = grow(vms, n, sizeof(*vms));
		vms[n++] = read_vm(stmt, &rc);
		if (rc != SQLITE_ROW)
			break;
	}
	if (rc != SQLITE_DONE) {
		index_vms_free(vms, n);
		return index_error(ix, rc, "cannot list the VMs", reterr);
	}
	*ret_vms = vms;
	*ret_n = n;
	return 0;
}

static struct index_snapshot read_snapshot(sqlite3_stmt *stmt, int *rc)
{
	struct index_snapshot snap = {0};
	int at = 0;

	get_guid(stmt, &at, &snap.vm, rc);
	get_guid(stmt, &at, &snap.guid, rc);
	get_guid(stmt, &at, &snap.parent, rc);
	snap.name = get_text(stmt, &at);
	snap.notes = get_text(stmt, &at);
	snap.created_usec = get_int(stmt, &at);
	snap.mode = get_text(stmt, &at);
	snap.memory_bytes = get_int(stmt, &at);
	snap.disk_bytes = get_int(stmt, &at);
	if (!snap.name)
		*rc = SQLITE_CORRUPT;
	return snap;
}

int index_list_snapshots(struct index *ix, const struct guid *vm, struct index_snapshot **ret_snaps, size_t *ret_n,
			 struct err *reterr)
{
	_cleanup_index_unlock_ _unused_ struct index *held = index_lock(ix);
	_cleanup_(index_endp) sqlite3_stmt *stmt = index_begin(ix, STMT_LIST_SNAPSHOTS);
	struct index_snapshot *snaps = NULL;
	size_t n = 0;
	int at = 0, rc;

	bind_text(stmt, &at, vm->s);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		snaps = grow(snaps, n, sizeof(*snaps));
		snaps[n++] = read_snapshot(stmt, &rc);
		if (rc != SQLITE_ROW)
			break;
	}
	if (rc != SQLITE_DONE) {
		index_snapshots_free(snaps, n);
		return index_error(ix, rc, "cannot list the snapshots", reterr);
	}
	*ret_snaps = snaps;
	*ret_n = n;
	return 0;
}

int index_add_job(struct index *ix, const struct index_job *job, struct err *reterr)
{
	_cleanup_index_unlock_ _unused_ struct index *held = index_lock(ix);
	sqlite3_stmt *stmt = index_begin(ix, STMT_ADD_JOB);
	int at = 0, r = begin(ix, "cannot note a job", reterr);

	if (r < 0)
		return r;
	bind_text(stmt, &at, job->id);
	bind_text(stmt, &at, job->operation);
	bind_text(stmt, &at, job->vm);
	bind_text(stmt, &at, job->state);
	bind_text(stmt, &at, job->message);
	bind_int(stmt, &at, job->started_usec);
	bind_int(stmt, &at, job->finished_usec);
	r = index_run(ix, stmt, "cannot note a job", reterr);
	if (r == 0)
		r = index_run(ix, index_begin(ix, STMT_TRIM_JOBS), "cannot note a job", reterr);
	return finish(ix, r, "cannot note a job", reterr);
}

static struct index_job read_job(sqlite3_stmt *stmt)
{
	struct index_job job = {0};
	int at = 0;

	job.id = get_text(stmt, &at);
	job.operation = get_text(stmt, &at);
	job.vm = get_text(stmt, &at);
	job.state = get_text(stmt, &at);
	job.message = get_text(stmt, &at);
	job.started_usec = get_int(stmt, &at);
	job.finished_usec = get_int(stmt, &at);
	return job;
}

int index_list_jobs(struct index *ix, size_t max, struct index_job **ret_jobs, size_t *ret_n, struct err *reterr)
{
	_cleanup_index_unlock_ _unused_ struct index *held = index_lock(ix);
	_cleanup_(index_endp) sqlite3_stmt *stmt = index_begin(ix, STMT_LIST_JOBS);
	struct index_job *jobs = NULL;
	size_t n = 0;
	int at = 0, rc;

	bind_int(stmt, &at, max > INT64_MAX ? INT64_MAX : (int64_t)max);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		jobs = grow(jobs, n, sizeof(*jobs));
		jobs[n++] = read_job(stmt);
	}
	if (rc != SQLITE_DONE) {
		index_jobs_free(jobs, n);
		return index_error(ix, rc, "cannot list the jobs", reterr);
	}
	*ret_jobs = jobs;
	*ret_n = n;
	return 0;
}

void index_vm_done(struct index_vm *vm)
{
	if (!vm)
		return;
	free(vm->name);
	free(vm->root);
	free(vm->blocker);
	*vm = (struct index_vm){0};
}

void index_vms_free(struct index_vm *vms, size_t n)
{
	for (size_t i = 0; vms && i < n; i++)
		index_vm_done(&vms[i]);
	free(vms);
}

void index_snapshots_free(struct index_snapshot *snaps, size_t n)
{
	for (size_t i = 0; snaps && i < n; i++) {
		free(snaps[i].name);
		free(snaps[i].notes);
		free(snaps[i].mode);
	}
	free(snaps);
}

void index_jobs_free(struct index_job *jobs, size_t n)
{
	for (size_t i = 0; jobs && i < n; i++) {
		free(jobs[i].id);
		free(jobs[i].operation);
		free(jobs[i].vm);
		free(jobs[i].state);
		free(jobs[i].message);
	}
	free(jobs);
}
