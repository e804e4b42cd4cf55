/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a VM consists of on disk, looked at as a whole: its documents, all images, and
 * who needs which. Worker threads only. */
#ifndef DAEMON_HOLDINGS_H
#define DAEMON_HOLDINGS_H

#include "daemon/machine.h"
#include "daemon/merges.h"

/* All strings *owned*. Images are by their index in input.images. */
struct holdings {
	const struct machine *m; /* *borrowed* */
	struct merges_input input;
	struct config **snaps;
	size_t n_snaps;
};

#define NO_IMAGE SIZE_MAX

/* Reads all of it. A merge may go on meanwhile: what changed in the middle is read again.
 * ret_holdings is emptied by holdings_done(). Returns 0 or negative errno, as merges_read(). */
_must_check_ int holdings_read(const struct machine *m, struct holdings *ret_holdings, struct err *reterr);

/* Empties it. Takes an empty one. */
void holdings_done(struct holdings *h);

/* The snapshot of that GUID (*borrowed*), or NULL. */
const struct config *holdings_snapshot(const struct holdings *h, const char *guid);

/* The image at path, or NO_IMAGE; path may be NULL. */
size_t holdings_find(const struct holdings *h, const char *path);

/* The image below image i, or NO_IMAGE. */
size_t holdings_below(const struct holdings *h, size_t i);

/* For each image 1 if a configuration reaches it, else 0. Returns it *owned*. */
unsigned char *holdings_reached(const struct holdings *h);

/* Number of owners of image i. */
size_t holdings_owners(const struct holdings *h, size_t i);

/* Lets what the planner says count in base disks outside the VM directory, as merges_into_base(). */
void holdings_into_base(struct holdings *h);

/* What the planner says once the snapshots of guids (n of them; 0: none) are gone. ret_plan is
 * emptied by plan_done(). Returns 0 or negative errno. */
_must_check_ int holdings_plan(const struct holdings *h, const struct guid *guids, size_t n, struct plan *ret_plan,
			       struct err *reterr);

/* Bytes on disk of the save state of cfg; 0 if it has none. */
int64_t holdings_memory(const struct holdings *h, const struct config *cfg);

/* What is written, in bytes and at most, so that nobody lacks memory of snapshots that go. */
struct holdings_folds {
	int64_t copied; /* in all; a save state may take in one after the other */
	int64_t needed; /* for the one of them that takes most at once */
	int64_t kept;   /* what of it is there in the end */
};

/* For the snapshots of guids (n of them), which go in that order. What cannot be told counts as
 * nothing: deleting refuses it. */
struct holdings_folds holdings_folded(const struct holdings *h, const struct guid *guids, size_t n);

#endif
