/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is to be merged, which way, and what stays: pure rules from who depends on
 * whom and how large it is to a list of actions. Stateless; nothing is opened.
 *
 * All is for the images of ONE disk (a target) of one VM. An image is *reached* if a
 * configuration names it or it lies below one that is reached; *hidden* if it is reached
 * but no configuration names it. Only hidden images with exactly one dependant are merged:
 *
 *  PULL    what the hidden image holds goes into its dependant, which gets the hidden
 *          image's backing (or none); the hidden image is removed. Nobody is re-pointed.
 *  COMMIT  what the dependant holds goes into the hidden image; all that named the
 *          dependant (images as their backing, configurations as their disk) name the
 *          hidden image instead; the dependant is removed.
 *
 * Of a run of hidden images below one dependant the one that is dearest to copy stays in
 * place and each of the others is copied once; of equal ones the topmost stays, as pulling
 * re-points nobody. Never written and never removed: what lies outside the VM directory
 * (into_base excepts one such base from the former) and what another VM's chain uses.
 * Images that nothing reached before are not ours to judge: they count as dependants
 * and are left where they are.
 *
 * While the guest runs, images of its chain are reached through QEMU alone: a COMMIT is
 * possible for any two of them, a PULL only into the working disk. */
#ifndef LAYOUT_PLAN_H
#define LAYOUT_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

#define PLAN_MAX_CHAIN 24 /* images under one disk before something is merged (policy) */
#define PLAN_NAME_VM "vm" /* the owner that is the VM's own configuration */

enum plan_image_flag {
	PLAN_OUTSIDE = 1 << 0,   /* not in the VM directory: never removed, not written but for into_base */
	PLAN_SHARED = 1 << 1,    /* a chain of another VM goes through it: never written, never removed */
	PLAN_RAW = 1 << 2,       /* has no backing and cannot get one; may be committed into */
	PLAN_READ_ONLY = 1 << 3, /* cannot be written for another reason; may be read and removed */
	PLAN_BASE = 1 << 4,      /* somebody's own disk, not made by us: not removed as an orphan, but may be merged */
	PLAN_RUNNING = 1 << 5,   /* part of the running guest's chain of this disk */
	PLAN_WORKING = 1 << 6,   /* the running guest writes to it (the top of that chain) */
	PLAN_RELEASED = 1 << 7,  /* nothing reaches it any more because of this very operation: may be removed */
	PLAN_NO_GROW = 1 << 8,   /* has the size it has (a block device) */
	PLAN_INTO = 1 << 9,      /* may be committed into although it is outside, as into_base */
};

/* One image; strings *borrowed*, clean absolute paths. */
struct plan_image {
	const char *path;
	const char *backing;  /* path of its backing image, NULL none */
	int64_t allocated;    /* bytes on disk */
	int64_t virtual_size; /* bytes, -1 unknown: then it is never committed from or into */
	int64_t grain;        /* bytes it allocates at once (subcluster or cluster); 0: 4096 */
	unsigned int flags;   /* enum plan_image_flag */
};

enum plan_owner_flag {
	PLAN_LEAVING = 1 << 0,   /* its configuration goes away with this operation */
	PLAN_DELETABLE = 1 << 1, /* may be deleted to keep the chain short, where need be */
};

/* One configuration naming one image; strings *borrowed*. */
struct plan_owner {
	const char *name; /* PLAN_NAME_VM or the snapshot's GUID */
	const char *path; /* the image */
	int64_t created_usec; /* of the snapshot; 0 for the VM */
	unsigned int flags; /* enum plan_owner_flag */
};

enum plan_option {
	PLAN_NO_LIVE_COMMIT = 1 << 0, /* this hypervisor cannot commit while a guest runs */
	PLAN_NO_LIVE_PULL = 1 << 1,   /* nor pull */
};

/* All about one disk; *borrowed*. Each backing and each owner's path is among the images (that
 * of an owner that is leaving need not: its disk may be lost). */
struct plan_input {
	const struct plan_image *images;
	size_t n_images;
	const struct plan_owner *owners;
	size_t n_owners;
	const char *into_base; /* path of an outside image that may be committed into, NULL none */
	unsigned int options;  /* enum plan_option */
};

enum plan_kind {
	PLAN_REMOVE,  /* image: nothing reaches it any more */
	PLAN_PULL,    /* image goes into dependant */
	PLAN_COMMIT,  /* dependant goes into image */
	PLAN_FLATTEN, /* dependant takes what all images from its backing down to, not including, `backing` hold;
		       * none of them is removed by this action itself. image: its present backing */
	PLAN_KEEP,    /* image stays, hidden */
};

enum plan_why {
	PLAN_WHY_UNREACHED,   /* remove: nothing needs it */
	PLAN_WHY_FEWER_BYTES, /* merge: the other way more bytes would be copied, in this run */
	PLAN_WHY_NO_REPOINT,  /* pull: as many bytes both ways, and nobody need be re-pointed */
	PLAN_WHY_ONLY_WAY,    /* merge: the other way is not possible (running guest, sizes, read-only) */
	PLAN_WHY_INTO_BASE,   /* commit: asked for by name */
	PLAN_WHY_ASKED,       /* flatten */
	PLAN_WHY_BRANCHES,    /* keep: two or more depend on it; merged when one is left */
	PLAN_WHY_OUTSIDE,     /* keep: outside the VM directory */
	PLAN_WHY_SHARED,      /* keep: another VM uses it */
	PLAN_WHY_ORPHAN,      /* keep: an image that nothing reaches is among its dependants */
	PLAN_WHY_LATER,       /* keep: can be merged when the guest does not run */
	PLAN_WHY_FIXED,       /* keep: neither it nor its dependant may be written or removed as it would take */
	PLAN_WHY_BASE,        /* keep: nothing reaches it, but it is not ours to remove */
};

/* One action; strings *owned*, NULL where the kind has none. They are to be done in
 * order, each leaves a state in which everything sees what it saw. */
struct plan_action {
	enum plan_kind kind;
	enum plan_why why;
	char *image;
	char *dependant;
	char *backing;         /* PULL, FLATTEN: the dependant's backing afterwards, NULL none */
	char **repoint_images; /* COMMIT: images that named the dependant as backing */
	char **repoint_owners; /* COMMIT: owners that named it */
	int live;              /* the running guest's QEMU has to do it */
	int grow;              /* COMMIT: image has first to be grown to virtual_size */
	int64_t virtual_size;  /* COMMIT: of the dependant */
	int64_t copied;        /* bytes read and written at most */
	int64_t freed;         /* bytes of the file that is removed */
	int64_t needed;        /* bytes by which the file written to may grow, at worst */
	int64_t saved_min, saved_max; /* bytes by which all becomes less: a merge saves what both images hold
				       * (and what zeroes in the upper one, or its smaller size, hide) */
};

struct plan {
	struct plan_action *action;
	size_t n;
	int64_t copied; /* sums over the actions */
	int64_t freed;  /* of files removed */
	int64_t needed; /* most that is needed at one time beyond what was freed before it */
	int64_t saved_min, saved_max; /* what FLATTEN adds is not counted: it stands in `needed` */
};

/* What is to be done once the leaving owners are gone: removals first (tops before
 * their backing images), then merges until none is left, then what is kept hidden.
 * Planned anew after the first k actions the rest of the same plan comes out, as far
 * as sizes are as foreseen; when the leaving owners are gone by then, what they
 * alone held needs PLAN_RELEASED. ret_plan is emptied by plan_done(). Returns 0 or negative errno
 * (ERR_BAD_DATA: loops, a path twice, a backing or owner's image that is not listed). */
_must_check_ int plan_make(const struct plan_input *in, struct plan *ret_plan, struct err *reterr);

/* The same after the VM's own disk took everything below it down to, not including,
 * image to (*borrowed*, NULL: everything): begins with the FLATTEN, if there is
 * anything to take. ERR_INVALID if to is not below that disk. Returns 0 or negative errno. */
_must_check_ int plan_flatten(const struct plan_input *in, const char *to, struct plan *ret_plan, struct err *reterr);

/* How long the chains are, and what would make them shorter. */
struct plan_depth {
	size_t length;    /* images under the VM's disk, itself included */
	size_t longest;   /* of all owners' chains */
	size_t after;     /* `length` once all that is hidden is merged as plan_make() says */
	size_t excess;    /* by which `after` is above the maximum; 0: merging will do */
	char **snapshots; /* deletable owners of that chain to delete for it, in this order, *owned* */
	size_t reached;   /* `length` when those are deleted, too */
};

/* Measures against max_chain (0: PLAN_MAX_CHAIN). Deletable snapshots are chosen one by
 * one: the one whose merge copies least, of equal ones the oldest. ret_depth is emptied by
 * plan_depth_done(). Returns 0 or negative errno, as plan_make(). */
_must_check_ int plan_depth(const struct plan_input *in, size_t max_chain, struct plan_depth *ret_depth,
			    struct err *reterr);

/* Number of images under path, itself included; 0 if it is not listed. Loops end. */
size_t plan_chain_length(const struct plan_input *in, const char *path);

/* Empties them. Take empty ones. */
void plan_done(struct plan *plan);
void plan_depth_done(struct plan_depth *depth); /* as plan_done() */

/* "remove", "pull", "commit", "flatten", "keep" (*borrowed*). */
const char *plan_kind_text(enum plan_kind kind);

/* A word ("branches") and a sentence for people without a full stop (*borrowed*). */
const char *plan_why_word(enum plan_why why);
const char *plan_why_text(enum plan_why why); /* as plan_why_word() */

#endif
