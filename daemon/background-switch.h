/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The switch of the disks in the pause of a background capture. The guest has to wait until QEMU
 * has switched, but not until libvirt has relabelled the images and written down where the disks
 * are now: that is seen by QEMU's locks. Private to background*.c. */
#ifndef DAEMON_BACKGROUND_SWITCH_H
#define DAEMON_BACKGROUND_SWITCH_H

#include "daemon/hv.h"

struct background_switch;

/* Asks what can be asked before the pause. All *borrowed* until background_switch_end(), which has
 * to be called; ret_switch *owned*. Returns 0 or negative errno. */
_must_check_ int background_switch_new(struct hv *hv, const struct guid *vm, const struct hv_switch *disks,
				       size_t n_disks, struct background_switch **ret_switch, struct err *reterr);

/* The guest is paused: has the disks switched, and waits for libvirt's answer or, if early, until
 * QEMU writes to none of the images any more that it wrote to before. Returns 1 if libvirt has not
 * answered yet, 0 if all is done, or negative errno: the disks are where they were. */
_must_check_ int background_switch_run(struct background_switch *s, int early, struct err *reterr);

/* Waits for libvirt's answer. Returns 0, also if there was nothing left to wait for, or negative
 * errno: where the disks are has to be found out. */
_must_check_ int background_switch_end(struct background_switch *s, struct err *reterr);

/* Waits for libvirt's answer if nobody has, and frees it (*taken*, may be NULL). */
void background_switch_free(struct background_switch *s);

#endif
