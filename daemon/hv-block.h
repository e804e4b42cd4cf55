/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Merging images in a running guest's emulator: block jobs, one at a time on a disk.
 * The order of the calls and the ways back are op-merge*.c's. */
#ifndef DAEMON_HV_BLOCK_H
#define DAEMON_HV_BLOCK_H

#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/guid.h"

struct hv;

/* One block job; paths are absolute and those of images in the disk's chain. */
struct hv_block {
	const char *target; /* "vda" */
	const char *top;    /* commit: what goes into base; NULL: the disk itself (ready, then pivot) */
	const char *base;   /* commit: what takes it; pull: what stays below the disk, NULL nothing */
	int relative;       /* backing names that change are written relative */
	int64_t bandwidth;  /* bytes in a second, 0: no limit */
};

struct hv_block_status {
	int present;         /* 0: there is no job on that disk, and nothing else here holds */
	int ready;           /* a commit of the disk itself: all is copied, it may pivot */
	int64_t done, total; /* bytes, roughly */
};

/* The functions; all block but none waits for a job. Errors are filled by them. */
struct hv_block_ops {
	/* Starts to commit. Returns 0 or negative errno. */
	int (*commit)(struct hv *hv, const struct guid *vm, const struct hv_block *what, struct err *reterr);
	/* Starts to pull into the disk itself. Returns 0 or negative errno. */
	int (*pull)(struct hv *hv, const struct guid *vm, const struct hv_block *what, struct err *reterr);
	/* Whether it may pull: before 8.2 QEMU dies of pulling into an image with subclusters, as ours
	 * are (bdrv_co_do_copy_on_readv: assertion skip_bytes < pnum). Returns 1, 0 or negative errno. */
	int (*can_pull)(struct hv *hv, const struct guid *vm, struct err *reterr);
	/* Images that one disk may consist of for a domain to start. */
	size_t (*chain_max)(struct hv *hv);
	/* Returns 0 or negative errno. */
	int (*status)(struct hv *hv, const struct guid *vm, const char *target, struct hv_block_status *ret_status,
		      struct err *reterr);
	/* Ends the job; with pivot the disk changes over to base. Returns 0 or negative errno
	 * (-EAGAIN: not ready to pivot yet). */
	int (*end)(struct hv *hv, const struct guid *vm, const char *target, int pivot, struct err *reterr);
	/* Lets the emulator of a guest that stands still write what it has of images in its own memory
	 * only; a guest that is being suspended does so by itself. Returns 0 or negative errno. */
	int (*flush)(struct hv *hv, const struct guid *vm, struct err *reterr);
};

/* The functions of hv (*borrowed*), NULL if it has none. */
const struct hv_block_ops *hv_block(struct hv *hv);

/* The functions of a libvirt's QEMU driver (*borrowed*). */
extern const struct hv_block_ops lv_block;

#endif
