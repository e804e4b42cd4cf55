/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The clock of a guest that goes on from memory. */
#include "daemon/op-clock.h"

#include "daemon/daemon.h"

void op_clock_set(struct op *op, const char *when)
{
	_cleanup_err_ struct err err = ERR_INIT;
	enum hv_state state;

	if (op_flag(op, "keep-time") || hv_state(op->daemon->hv, &op->m->dir->guid, &state, NULL) < 0 ||
	    state != HV_RUNNING)
		return;
	if (hv_set_time(op->daemon->hv, &op->m->dir->guid, &err) < 0)
		job_warn(op->job, "the guest's clock still shows the time of %s: %s; set it in the guest", when,
			 err.message);
}
