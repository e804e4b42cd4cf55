/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking, applying and deleting snapshots: what a caller asks for. The functions
 * are job bodies' work (worker threads) and open the machine themselves. */
#ifndef DAEMON_OP_SNAPSHOT_H
#define DAEMON_OP_SNAPSHOT_H

#include "daemon/op.h"

/* What kind of snapshot; strings *borrowed*, may be NULL. */
struct snapshot_spec {
	const char *name;  /* NULL: "VM - (date - time)" */
	const char *notes;
	const char *mode;  /* "background", "live", "paused"; NULL: the best that is possible */
	int no_memory;     /* disk only */
	int64_t max_pause; /* live: ms that the guest may stand still; 0: as long as it takes; -1: as configured */
	int quiesce;       /* disk only: freeze file systems through the agent first */
	int force;         /* although there may be too little room */
};

/* Takes a snapshot. ret_snap may be NULL. Returns 0 or negative errno. */
_must_check_ int snapshot_create(struct daemon *daemon, const struct vmdir *dir, const struct snapshot_spec *spec,
				 struct job *job, struct guid *ret_snap, struct err *reterr);

/* The mode in which a snapshot of m would be taken now (static text), and why in no
 * better one (*owned*, or NULL). Returns 0 or negative errno. */
_must_check_ int snapshot_mode(const struct machine *m, const char **ret_mode, char **ret_reason,
			       struct err *reterr);

struct space;

/* Adds what a snapshot of m taken now, in the best mode, may write at worst. Returns 0 or negative errno. */
_must_check_ int snapshot_space(struct space *space, const struct machine *m, struct err *reterr);

/* How to go back. */
struct apply_spec {
	const struct guid *snapshot; /* *borrowed*; NULL: the one that *now* derives from */
	int save_present;            /* take the present as a snapshot first */
	int keep_time;               /* leave the clock of a guest that comes back with memory */
	int force;                   /* although there may be too little room */
};

/* Makes a snapshot the present state; ret_saved (may be NULL) names the one that was taken of
 * the present. Returns 0 or negative errno. */
_must_check_ int snapshot_apply(struct daemon *daemon, const struct vmdir *dir, const struct apply_spec *spec,
				struct job *job, struct guid *ret_saved, struct err *reterr);

/* Deletes a snapshot on whose disks nothing depends; save states that need memory of its
 * own take it in first, which is refused where there is too little room for it, unless force.
 * Returns 0 or negative errno. */
_must_check_ int snapshot_delete(struct daemon *daemon, const struct vmdir *dir, const struct guid *snap, int force,
				 struct job *job, struct err *reterr);

/* The snapshots that go when snap is deleted with that scope ("snapshot", "subtree",
 * "children"; NULL: the first), those that derive from others before these. *Owned* array.
 * Returns 0 or negative errno (ERR_INVALID: no such scope). */
_must_check_ int snapshot_scope(const struct machine *m, const struct guid *snap, const char *word,
				struct guid **ret_guids, size_t *ret_n, struct err *reterr);

/* What is deleted. */
struct delete_spec {
	const struct guid *snapshot; /* *borrowed* */
	const char *scope;           /* as for snapshot_scope(), *borrowed* */
	int into_base;               /* merged into base disks outside the VM directory afterwards, by the caller */
	int force;                   /* although there may be too little room to merge what is left: that waits then */
};

/* Deletes these, one after the other: each is an operation of its own, what is deleted
 * when it fails or is cancelled stays so. Returns 0 or negative errno. */
_must_check_ int snapshot_delete_scope(struct daemon *daemon, const struct vmdir *dir, const struct delete_spec *spec,
				       struct job *job, struct err *reterr);

#endif
