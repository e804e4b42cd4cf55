/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What VMs and snapshots there are, by name or GUID. Answers come from the
 * index; the directories are read again whenever they changed. Any worker
 * thread may call. */
#ifndef DAEMON_CATALOG_H
#define DAEMON_CATALOG_H

#include "common/err.h"
#include "layout/index.h"
#include "layout/vmdir.h"

struct catalog;

/* The catalog of a store (its path is copied), with its index. ret_catalog
 * *owned*. Returns 0 or negative errno. */
_must_check_ int catalog_open(const char *store, struct catalog **ret_catalog, struct err *reterr);

/* Closes it (*taken*, may be NULL). */
void catalog_close(struct catalog *cat);

/* All VMs by name, fresh; *owned* array freed by index_vms_free(). Returns 0 or negative errno. */
_must_check_ int catalog_vms(struct catalog *cat, struct index_vm **ret_vms, size_t *ret_n, struct err *reterr);

/* The VM of that name or GUID. ret_vm is emptied by index_vm_done(). Returns 0,
 * or negative errno with ERR_NO_VM or ERR_AMBIGUOUS (candidates named). */
_must_check_ int catalog_find_vm(struct catalog *cat, const char *vm, struct index_vm *ret_vm, struct err *reterr);

/* All snapshots of a VM by time, *owned* array freed by index_snapshots_free(). Returns 0 or negative errno. */
_must_check_ int catalog_snapshots(struct catalog *cat, const struct index_vm *vm, struct index_snapshot **ret_snaps,
				   size_t *ret_n, struct err *reterr);

/* The GUID of a VM's snapshot by name or GUID. Returns 0, or negative errno with
 * ERR_NO_SNAPSHOT or ERR_AMBIGUOUS (candidates named). */
_must_check_ int catalog_find_snapshot(struct catalog *cat, const struct index_vm *vm, const char *snapshot,
				       struct guid *ret_snap, struct err *reterr);

/* Where a VM's directory is, *owned*. Returns 0 or negative errno. */
_must_check_ int catalog_dir(struct catalog *cat, const struct guid *vm, struct vmdir **ret_dir, struct err *reterr);

/* Looks at the store again and refuses (ERR_REFUSED, both named) a VM that two
 * directories hold: nobody can tell which one is meant. Returns 0 or negative errno. */
_must_check_ int catalog_refuse_twin(struct catalog *cat, const struct guid *vm, struct err *reterr);

/* What is wrong with a VM's files (unreadable documents, duplicates): *owned*
 * list, NULL if nothing; with vm NULL, what is wrong with the store. */
char **catalog_problems(struct catalog *cat, const struct guid *vm);

/* Reads a VM's directory again after an operation (or forgets it if it is gone). */
void catalog_touch(struct catalog *cat, const struct guid *vm);

/* Forgets what is known of the store's entries: the next call scans again. */
void catalog_rescan(struct catalog *cat);

/* Directories with an intent record, *owned* array of *owned* values. */
void catalog_unfinished(struct catalog *cat, struct vmdir ***ret_dirs, size_t *ret_n);

/* Job history. */
void catalog_add_job(struct catalog *cat, const struct index_job *job);
_must_check_ int catalog_jobs(struct catalog *cat, size_t max, struct index_job **ret_jobs, size_t *ret_n,
			      struct err *reterr); /* as index_list_jobs() */

/* The store's path (*borrowed*). */
const char *catalog_store(const struct catalog *cat);

#endif
