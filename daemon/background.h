/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Background captures: memory and disks of one instant, with the guest stopped for some
 * milliseconds. QEMU writes the guest's memory copy-on-write into our pipe; vmsnap-capture
 * reads it; in between the disks are switched. Rules that hold whatever fails or dies:
 * the pipe is read to its end by somebody, nobody cancels QEMU's migration, its capability
 * is off again, and the guest runs. Worker threads only. */
#ifndef DAEMON_BACKGROUND_H
#define DAEMON_BACKGROUND_H

#include "daemon/hv.h"
#include "savestate/capture.h"

/* What to capture; all *borrowed*. */
struct background_opts {
	struct hv *hv;
	const struct guid *vm;
	const char *dir;     /* ours during the capture: the pipe, the lock, the result */
	const char *program; /* NULL: vmsnap-capture as installed, or what VMSNAP_CAPTURE names */
	/* vsv, bin, guid, parents, max_ram and replace are read; the rest is filled in */
	struct capture_spec image;
	const struct hv_switch *disks;
	size_t n_disks;
	/* Called while the guest is suspended, before the disks are switched: firmware is copied here.
	 * A failure takes all back. NULL: nothing to do. */
	int (*in_pause)(void *arg, struct err *reterr);
	/* Called now and then with bytes of memory written. Other than 0 gives up, but only until the
	 * guest is suspended. NULL: nobody cares. */
	int (*progress)(void *arg, int64_t done, int64_t total);
	void *arg;
	int force; /* try it although there may be too little room */
	int plain; /* never hold QEMU back before the pause, although it could be */
	int stall_msec; /* end a reader that reads nothing for so long (the guest waits for it); 0: 15 s */
};

/* Where the time went, in us; -1: not known, or did not happen. */
struct background_times {
	int64_t hold;     /* from the begin until QEMU was held, guest running */
	int64_t suspend;  /* the call */
	int64_t in_pause; /* the callback */
	int64_t disks;    /* the switch */
	int64_t go_on;    /* from the word to QEMU until the guest was seen running again */
	int64_t pause;    /* from before the suspend until the guest was seen running: late by what asking takes */
	int64_t stopped;  /* from QEMU's STOP to its RESUME, by its clock: the pause, where it is known */
	int64_t qemu_setup, qemu_down; /* by QEMU, to the ms; the latter: devices and write protection */
	int64_t total;
};

struct background_result {
	int switched; /* the disks are on the overlays, whether the capture succeeded or not */
	int held;     /* memory was populated before the pause */
	struct capture_result image;
	struct background_times times;
};

/* Why this guest cannot be captured in the background now: *owned* sentence, or NULL if it
 * can be. Switches QEMU's capability on and off to find out. */
char *background_blocker(struct hv *hv, const struct guid *vm);

/* Captures. The save state is durable under its names when it returns 0, and its result stays
 * in dir (background_forget()). After a failure the guest runs and nothing of the save state is
 * left, unless libvirt itself was lost (background_put_right() then). ret_result is filled in
 * either case, to be emptied by background_result_done(): `switched` tells whether the disks
 * stay switched. Returns 0 or negative errno (ERR_REFUSED: not possible, guest not touched;
 * -ENOSPC; -ECANCELED). */
_must_check_ int background_capture(const struct background_opts *opts, struct background_result *ret_result,
				    struct err *reterr);

/* Empties it. */
void background_result_done(struct background_result *result);

/* What was found after a death. */
struct background_found {
	int under_way; /* QEMU's migration still went on */
	int unfrozen;  /* ranges of memory that were left write-protected */
	int whole;     /* `image` is a whole save state, durable under its names */
	struct capture_result image; /* .guid is empty: there is none */
};

/* After the death of a daemon, and at each start for each guest that runs: waits for the
 * migration and for vmsnap-capture, reading the pipe in dir to its end itself if nobody does;
 * lifts leftover write protection; takes back what QEMU was given, capability off; resumes the
 * guest if `resume`. Nothing to do is success. ret_found is emptied by
 * background_found_done(). Files named .tmp beside the save state's are the caller's to remove.
 * Returns 0 or negative errno; may be called again. */
_must_check_ int background_put_right(struct hv *hv, const struct guid *vm, const char *dir, int resume,
				      struct background_found *ret_found, struct err *reterr);

/* Empties it. */
void background_found_done(struct background_found *found);

/* At each start, before any hypervisor is asked: where a killed daemon left the pipe of a capture in
 * dir, a thread reads what comes, unless a vmsnap-capture does, until the pipe is removed. A guest
 * that waits for its memory to go out cannot even be asked. */
void background_release(const char *dir);

/* Removes what captures leave in dir: when their result is not needed any more. Returns 0 or
 * negative errno (-EBUSY: vmsnap-capture still works there). */
_must_check_ int background_forget(const char *dir, struct err *reterr);

/* Has huge pages made of the guest's memory where that shortens the next capture's pause
 * (RAM of a GiB and more; 0.1 s per GiB, the guest runs on). Stops when poll(arg) is not 0 (may
 * be NULL). ret_bytes: how much. Returns 0 or negative errno. */
_must_check_ int background_collapse(struct hv *hv, const struct guid *vm, int (*poll)(void *arg), void *arg,
				     int64_t *ret_bytes, struct err *reterr);

#endif
