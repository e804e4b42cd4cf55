/* SPDX-License-Identifier: GPL-2.0-or-later */
/* index.sqlite: a cache of the store, plus the history of jobs. May be deleted
 * or damaged at any time: it is made anew (law 6). WAL, one schema version,
 * prepared statements. Calls are serialised inside; any thread may call. */
#ifndef LAYOUT_INDEX_H
#define LAYOUT_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/guid.h"

struct index;

/* A VM as cached; strings *owned* by whoever holds the row. */
struct index_vm {
	struct guid guid;
	char *name;
	char *root;         /* VM directory, absolute */
	struct guid now;    /* snapshot that *now* derives from, "" none */
	int64_t stamp;      /* identifies the state of the files it was read from */
	int saved;          /* has a save state of its own */
	char *blocker;      /* why its memory cannot be saved, or NULL */
};

/* A snapshot as cached. */
struct index_snapshot {
	struct guid guid, vm, parent;
	char *name;
	char *notes;        /* may be NULL */
	int64_t created_usec;
	char *mode;         /* config_capture.mode */
	int64_t memory_bytes, disk_bytes; /* allocated */
};

/* A finished job. */
struct index_job {
	char *id, *operation, *vm, *state, *message;
	int64_t started_usec, finished_usec;
};

/* Opens or makes the index at path; one that is damaged, of another schema
 * version or not a database is moved away (name.corrupt) and made anew,
 * *ret_fresh (may be NULL) says so. ret_index *owned*. Returns 0 or negative errno. */
_must_check_ int index_open(const char *path, struct index **ret_index, int *ret_fresh, struct err *reterr);

/* An empty one without a file, for where a disk has no room for one: index_is_stale() of it at once,
 * so that the next look tries the file again. ret_index *owned*. Returns 0 or negative errno. */
_must_check_ int index_open_memory(struct index **ret_index, struct err *reterr);

/* Closes it (*taken*, may be NULL). */
void index_close(struct index *ix);
DEFINE_CLEANUP(struct index, index_close);

/* 1 if the file under the open index is gone or another one: open it anew. */
int index_is_stale(const struct index *ix);

/* Replaces a VM and all its snapshots in one transaction. Returns 0 or negative errno. */
_must_check_ int index_put_vm(struct index *ix, const struct index_vm *vm, const struct index_snapshot *snaps,
			      size_t n, struct err *reterr);

/* Forgets a VM and its snapshots. Returns 0 or negative errno. */
_must_check_ int index_drop_vm(struct index *ix, const struct guid *vm, struct err *reterr);

/* The VM of that GUID. ret_vm is emptied by index_vm_done(). Returns 0, -ENOENT, or negative errno. */
_must_check_ int index_get_vm(struct index *ix, const struct guid *vm, struct index_vm *ret_vm, struct err *reterr);

/* All VMs by name, *owned* array freed by index_vms_free(). Returns 0 or negative errno. */
_must_check_ int index_list_vms(struct index *ix, struct index_vm **ret_vms, size_t *ret_n, struct err *reterr);

/* Snapshots of a VM by time, *owned* array freed by index_snapshots_free(). Returns 0 or negative errno. */
_must_check_ int index_list_snapshots(struct index *ix, const struct guid *vm, struct index_snapshot **ret_snaps,
				      size_t *ret_n, struct err *reterr);

/* Adds a finished job; the oldest beyond 1000 are dropped. Returns 0 or negative errno. */
_must_check_ int index_add_job(struct index *ix, const struct index_job *job, struct err *reterr);

/* The newest max jobs, newest first, *owned* array freed by index_jobs_free(). Returns 0 or negative errno. */
_must_check_ int index_list_jobs(struct index *ix, size_t max, struct index_job **ret_jobs, size_t *ret_n,
				 struct err *reterr);

/* Empty and free rows. All take NULL. */
void index_vm_done(struct index_vm *vm);
void index_vms_free(struct index_vm *vms, size_t n);                /* as index_vm_done() */
void index_snapshots_free(struct index_snapshot *snaps, size_t n);  /* as index_vm_done() */
void index_jobs_free(struct index_job *jobs, size_t n);             /* as index_vm_done() */

#endif
