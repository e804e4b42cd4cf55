/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QEMU's process behind a domain, and when its guest stopped and went on, by QEMU's own
 * clock. Private to hv-background.c. */
#ifndef DAEMON_HV_BACKGROUND_WATCH_H
#define DAEMON_HV_BACKGROUND_WATCH_H

#include <stdint.h>

#include "daemon/hv-libvirt.h"

struct bg_watch;

/* Begins to listen to the domain's STOP and RESUME events. *Owned*, or NULL where libvirt
 * has none to give: they are for figures only. */
struct bg_watch *bg_watch_start(struct lv_call *call);

/* The first STOP and the first RESUME after it so far, us since 1970; 0: not seen. watch may be NULL. */
void bg_watch_read(struct bg_watch *watch, int64_t *ret_stopped, int64_t *ret_resumed);

/* Ends listening (*taken*, may be NULL). */
void bg_watch_stop(struct bg_watch *watch);

/* Finds the QEMU of the call's domain by libvirt's pid file, and checks that it is this
 * domain's. Returns 0 or negative errno with the reason. */
_must_check_ int bg_find_process(struct lv_call *call, const struct guid *vm, pid_t *ret_pid, struct err *reterr);

#endif
