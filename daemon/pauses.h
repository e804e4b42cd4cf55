/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long guests stood still, from the hypervisor's events: what a snapshot
 * reports as its pause when libvirt does the pausing. */
#ifndef DAEMON_PAUSES_H
#define DAEMON_PAUSES_H

#include <stdint.h>

#include "daemon/hv.h"

/* Takes an event in (main loop's thread). */
void pauses_note(const struct guid *vm, enum hv_event event);

/* Length in us of the last whole pause of vm that began after since (monotonic us),
 * or -1; waits a moment for an event that is still on its way. Worker threads. */
int64_t pauses_last(const struct guid *vm, int64_t since);

#endif
