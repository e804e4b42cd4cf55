/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt's event loop on our libevent base. libvirt takes one implementation
 * for the whole process and may call it from any of its threads at any time,
 * also when no base is there (before the loop is made and after it is gone). */
#ifndef DAEMON_HV_EVENT_H
#define DAEMON_HV_EVENT_H

#include <event2/event.h>

#include "common/cleanup.h"
#include "common/err.h"

/* Registers with libvirt (once in a process) and lets everything that libvirt
 * watches be watched by base (*borrowed* until hv_event_detach(); evthread must
 * be set up). Returns 0, or -EBUSY if another base is attached, or another
 * negative errno. */
_must_check_ int hv_event_attach(struct event_base *base, struct err *reterr);

/* Takes everything off the base, which must not be running. libvirt may go on
 * calling; nothing is watched until the next attach. */
void hv_event_detach(void);

#endif
