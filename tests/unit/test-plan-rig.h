/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images as maps from cluster to value, on which a merge plan is carried out to the
 * letter: what each configuration sees is known, and so is whether a step was allowed.
 * Shares nothing with the planner but its contract. */
#ifndef TESTS_UNIT_TEST_PLAN_RIG_H
#define TESTS_UNIT_TEST_PLAN_RIG_H

#include "tests/unit/layout-util.h"

#include "layout/plan.h"

#define RIG_CLUSTERS 10
#define RIG_UNIT (INT64_C(1) << 30) /* bytes of a cluster: small things do not count beside it */
#define RIG_IMAGES 40
#define RIG_OWNERS 20

/* Values of a cluster beside those a guest wrote (> 0). */
#define RIG_NONE 0
#define RIG_ZERO (-1)

struct rig_image {
	int there;
	char path[8];
	int size; /* clusters */
	int data[RIG_CLUSTERS];
	int backing; /* an image, -1 none */
	unsigned int flags;
	int held;    /* not ours, or nobody reaches it: nobody may touch it */
	int reached; /* by anybody when it was noted, or released */
	int size_before, before[RIG_CLUSTERS], view_before[RIG_CLUSTERS];
};

struct rig_owner {
	int there;
	char name[8];
	int image;
	unsigned int flags;
	int size, sees[RIG_CLUSTERS];
};

struct rig {
	struct rig_image image[RIG_IMAGES];
	struct rig_owner owner[RIG_OWNERS]; /* [0] is the VM */
	int images, owners;                 /* ever made */
	int running, last_value;
	int into_base;                      /* an image, -1 none */
	unsigned int options;
	uint64_t random;
	int64_t used, most;                 /* bytes more than when it was noted; and at the worst time */
	struct plan_image in_image[RIG_IMAGES];
	struct plan_owner in_owner[RIG_OWNERS];
};

/* A random number below n. */
int rig_random(struct rig *rig, int n);

/* 1 in percent of the cases. */
int rig_chance(struct rig *rig, int percent);

/* Grows a tree by a random history of snapshots, applies and deletions. */
void rig_grow(struct rig *rig, uint64_t seed);

/* Starts the guest on the VM's disk, or ends it. */
void rig_run(struct rig *rig, int running);

/* Lets a random number of snapshots leave; the VM never does. */
void rig_leave(struct rig *rig, int percent);

/* Those that were leaving are gone now, and what they alone held is released. */
void rig_left(struct rig *rig);

/* The planner's input (strings and arrays *borrowed* from rig). */
struct plan_input rig_input(struct rig *rig);

/* Notes what everybody sees now, and who is nobody's. */
void rig_note(struct rig *rig);

/* Carries out one action, which has to be allowed; exact: sizes in it are those of now. */
void rig_do(struct rig *rig, const struct plan_action *action, int exact);

/* Everybody left sees what was noted; nothing was written that is not ours. */
void rig_check(struct rig *rig);

/* Nothing is left to merge, and what stays is told with the right reason. */
void rig_check_end(struct rig *rig, const struct plan *plan);

/* 1 if hidden image `below` could be merged with `above` that way, with the guest off if off. */
int rig_can(const struct rig *rig, int above, int below, enum plan_kind kind, int off);

/* The one that names image i as its backing if there is just one and i is hidden, else -1. */
int rig_only(const struct rig *rig, int i);

/* The image of that path. */
int rig_find(const struct rig *rig, const char *path);

/* Bytes the image holds. */
int64_t rig_allocated(const struct rig *rig, int i);

/* Number of images under image i. */
int rig_length(const struct rig *rig, int i);

#endif
