/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chains, what they cost and what becomes of them, as JSON. Worker threads only. */
#ifndef DAEMON_RPC_VIEW_PLAN_H
#define DAEMON_RPC_VIEW_PLAN_H

#include <jansson.h>

#include "daemon/machine.h"

/* All images of a VM, by disk. ret_json *owned*: an array of DiskTree. Returns 0 or negative errno. */
_must_check_ int view_disk_trees(const struct machine *m, json_t **ret_json, struct err *reterr);

/* What they cost. ret_json *owned*: a DiskUsage. Returns 0 or negative errno. */
_must_check_ int view_disk_usage(const struct machine *m, json_t **ret_json, struct err *reterr);

/* What deleting snapshot snap with that scope (as snapshot_scope()) would do, with into_base
 * to base disks outside the VM directory as well. ret_json *owned*: a DeletePlan. Returns 0
 * or negative errno. */
_must_check_ int view_delete_plan(const struct machine *m, const struct guid *snap, const char *scope, int into_base,
				  json_t **ret_json, struct err *reterr);

#endif
