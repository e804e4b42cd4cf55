/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a background capture needs of the hypervisor beyond hv.h: QEMU's migration into a
 * descriptor with the capability background-snapshot. The order in which these are called,
 * and the ways back, are background.c's; behind them stand libvirt (hv-background.c) or a
 * script. */
#ifndef DAEMON_HV_BACKGROUND_H
#define DAEMON_HV_BACKGROUND_H

#include <stdint.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/guid.h"

struct hv;

#define HV_BG_VERSION(major, minor, micro) ((major) * 1000000 + (minor) * 1000 + (micro))

/* A running guest of QEMU's; made by open(), ended by close(). */
struct hv_bg {
	pid_t pid;   /* of its QEMU; 0: there is no process to look at */
	int version; /* of its QEMU, as HV_BG_VERSION() has it */
	char *name;  /* of the domain, *owned* */
};

/* Where QEMU's migration stands. */
enum hv_bg_state {
	HV_BG_NONE,      /* there was none */
	HV_BG_SETUP,     /* begun; memory is not going out yet, the guest was not stopped by it yet */
	HV_BG_ACTIVE,    /* memory is going out */
	HV_BG_COMPLETED, /* it stays so until the next one */
	HV_BG_FAILED,    /* failed or cancelled; stays so, too */
};

struct hv_bg_status {
	enum hv_bg_state state;
	char *problem;  /* why it failed, in QEMU's words, *owned*; NULL: it did not say */
	int guest_runs; /* by QEMU's own word */
	int64_t done, total; /* bytes of memory; 0: not known */
	int64_t setup_msec, downtime_msec; /* by QEMU; -1: not known */
	/* QEMU's STOP and RESUME since arm(), us since 1970 by its clock; 0: not seen (yet) */
	int64_t stopped_usec, resumed_usec;
};

/* The functions. All block; errors are filled by them. */
struct hv_bg_ops {
	/* Looks up the domain. Gives ret_bg *owned*. Returns 0 or negative errno (-ESRCH: it does not
	 * run; -EOPNOTSUPP with a reason: this hypervisor, or this libvirt, cannot). */
	int (*open)(struct hv *hv, const struct guid *vm, struct hv_bg **ret_bg, struct err *reterr);
	/* Whether QEMU takes the capability and the memory is of a sort that can be captured so. The
	 * capability is off afterwards. Returns 0 or negative errno with the reason. */
	int (*check)(struct hv_bg *bg, struct err *reterr);
	/* Capability on; gives QEMU both ends of the pipe (*borrowed*): the read end for keeping, so that
	 * its writing can never fail, the write end to be written. Returns 0 or negative errno; then
	 * disarm() takes back what was done of it. */
	int (*arm)(struct hv_bg *bg, int read_fd, int write_fd, struct err *reterr);
	/* Begins the migration into the write end. Returns 0 or negative errno. */
	int (*begin)(struct hv_bg *bg, struct err *reterr);
	/* ret_status is emptied by hv_bg_status_done(). Returns 0 or negative errno. */
	int (*status)(struct hv_bg *bg, struct hv_bg_status *ret_status, struct err *reterr);
	/* 1 if the capability is on, 0 if not, or negative errno. */
	int (*is_armed)(struct hv_bg *bg, struct err *reterr);
	/* Closes what arm() gave to QEMU and is still there, capability off. Not to be called while a
	 * migration is under way. What is done already is success. Returns 0 or negative errno. */
	int (*disarm)(struct hv_bg *bg, struct err *reterr);
	void (*close)(struct hv_bg *bg);
};

/* Empties it. */
void hv_bg_status_done(struct hv_bg_status *status);

/* The functions of a libvirt's QEMU driver (*borrowed*). */
extern const struct hv_bg_ops lv_background;

#endif
