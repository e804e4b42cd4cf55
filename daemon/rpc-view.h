/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the interface shows: VMs, snapshots and jobs as JSON. All but view_job()
 * block and belong in worker threads. */
#ifndef DAEMON_RPC_VIEW_H
#define DAEMON_RPC_VIEW_H

#include <jansson.h>

#include "common/err.h"
#include "common/guid.h"
#include "daemon/job.h"
#include "layout/index.h"

struct daemon;

/* All VMs. ret_json *owned*: an array of VM. Returns 0 or negative errno. */
_must_check_ int view_vms(struct daemon *daemon, json_t **ret_json, struct err *reterr);

/* One VM; detail adds disks with their chains, memory, firmware. ret_json *owned*.
 * Returns 0 or negative errno. */
_must_check_ int view_vm(struct daemon *daemon, const struct guid *vm, int detail, json_t **ret_json,
			 struct err *reterr);

/* All snapshots of a VM in tree order. ret_json *owned*: an array of Snapshot. Returns 0 or negative errno. */
_must_check_ int view_snapshots(struct daemon *daemon, const struct index_vm *vm, json_t **ret_json,
				struct err *reterr);

/* One snapshot with its disks. ret_json *owned*. Returns 0 or negative errno. */
_must_check_ int view_snapshot(struct daemon *daemon, const struct index_vm *vm, const struct guid *snap,
			       json_t **ret_json, struct err *reterr);

/* A job, *owned*; never NULL. */
json_t *view_job(const struct job_view *job);

/* The jobs of vm (a name or GUID; NULL: all), running ones last. ret_json *owned*:
 * an array of Job. Returns 0 or negative errno. */
_must_check_ int view_jobs(struct daemon *daemon, const char *vm, json_t **ret_json, struct err *reterr);

/* A list of strings as an array, or null. *Owned*; v *borrowed*. */
json_t *view_strings(char *const *v);

/* The file systems that are watched, looked at now, as a list of FileSystem; what is wrong is added to
 * problems. */
json_t *view_file_systems(struct daemon *daemon, json_t *problems);

#endif
