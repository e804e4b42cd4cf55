/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The clock of a guest that goes on from memory. */
#ifndef DAEMON_OP_CLOCK_H
#define DAEMON_OP_CLOCK_H

#include "daemon/op.h"

/* Has the agent of the guest, which went to sleep at another time and believes that it is then,
 * set the clock; a guest that does not run or has no agent is left alone. Nothing is done if the
 * record's "keep-time" is set. A failure is a warning of the job's, which says that the clock
 * shows the time of `when` ("the snapshot"; *borrowed*). */
void op_clock_set(struct op *op, const char *when);

#endif
