/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operations with the scripted hypervisor in a scratch store. A daemon's life is a
 * child process, so that it can be killed at any place; the next life settles what
 * it left, and then the laws of the store are checked file by file. */
#ifndef TESTS_UNIT_TEST_OP_RIG_H
#define TESTS_UNIT_TEST_OP_RIG_H

#include "tests/unit/layout-util.h"

#include "daemon/daemon.h"
#include "daemon/op.h"
#include "daemon/op-snapshot.h"
#include "daemon/op-vm.h"
#include "tests/unit/hv-script.h"
#include "xmlcfg/config.h"

#define RIG_MEMORY (64 << 20)

struct rig;

/* The work of one life; ret_guid may be filled (the new VM or snapshot). */
typedef int (*rig_fn)(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid,
		      struct err *reterr);

/* How a life went; in shared memory. */
struct rig_outcome {
	int killed;
	int r;
	enum err_kind kind;
	char message[1024];
	int warnings;
	struct guid guid;
};

struct rig {
	char *top, *world, *kept; /* scratch; all that may change, in it; its copy */
	char *store, *outside;    /* in the world: the store; a place for others' disks and NVRAM */
	struct hv_script *hvs, *kept_hvs;
	struct rig_outcome *out;
	struct vmdir *dir;        /* the VM at hand; NULL: not known yet */
	struct guid snap[4];      /* snapshots that the preparation took */
	int n_snaps;
	uint64_t memory;          /* the guest's memory and state when the world was kept */
	enum hv_state state;
	struct config *before;    /* the VM's configuration then (NULL: none) */
	const char *context;      /* what is being tried, for messages */
	const struct guid *victim; /* a snapshot that may go */
	const struct guid *refolded; /* a snapshot whose memory may be written anew: it is the same, its sums not */
	const char *may_differ;   /* lines of all snapshots' documents that may differ: a pattern; NULL: none */
	int gone;                 /* 1: the VM may be gone as a whole */
};

/* What is tried in every way: an operation on a prepared VM. */
struct rig_case {
	const char *name;
	const struct op_kind *kind;
	void (*prepare)(struct rig *rig);
	rig_fn run;
	/* Finds the VM that was made (NULL: it is known). */
	void (*find)(struct rig *rig);
	/* 1: it came about; 0: it did not, and all is as it was; fails if it is neither. */
	int (*look)(struct rig *rig);
};

/* A failed check, with what was being tried. */
#define rig_check(rig, what, ...)                                                 \
	do {                                                                      \
		if (!(what)) {                                                    \
			print_error("%s\n", (rig)->context ? (rig)->context : ""); \
			fail_msg(__VA_ARGS__);                                    \
		}                                                                 \
	} while (0)

/* A scratch store. */
struct rig *rig_new(void);

/* Removes and frees everything. */
void rig_free(struct rig *rig);

/* An empty image outside the store. */
void rig_make_disk(struct rig *rig, const char *name, const char *format);

/* A domain "t" of somebody's, off, with a disk and perhaps NVRAM outside the store;
 * rig->dir is where it would be adopted. */
void rig_define(struct rig *rig, const char *format, int uefi);

/* A daemon's life with VMSNAPD_FAULT set to fault (NULL: not), doing fn. */
void rig_life(struct rig *rig, const char *fault, rig_fn fn);

/* Same; it must succeed. */
void rig_must(struct rig *rig, rig_fn fn);

/* The next life: what a dead one left is settled. It must succeed. */
void rig_recover(struct rig *rig);

/* 1 if an intent record is there. */
int rig_has_record(struct rig *rig);

/* Makes `to` a copy of the directory `from`, with modes, times and holes; what was there goes. */
void rig_copy(const char *from, const char *to);

/* 1 if both files are the same but for the lines that match the pattern `but`. */
int rig_same_text(const char *path, const char *other, const char *but);

/* Keeps store and hypervisor as they are now; puts them back. */
void rig_keep(struct rig *rig);
void rig_put_back(struct rig *rig); /* as rig_keep() */

/* Checks what must always hold of the VM's files and its domain. */
void rig_check_laws(struct rig *rig);

/* The VM's configuration as it stands, *owned*; NULL: none. */
struct config *rig_config(struct rig *rig);

/* A snapshot's document, *owned*; NULL: none. */
struct config *rig_snapshot(struct rig *rig, const struct guid *snap);

/* The snapshots that there are: *owned* array. */
struct guid *rig_snapshots(struct rig *rig, size_t *ret_n);

/* 1 if both configurations stand on the same disks. */
int rig_same_disks(const struct config *a, const struct config *b);

/* The VM's domain; fails if there is none. */
struct hvs_domain *rig_domain(struct rig *rig);

/* Checks that the guest is as it was when the world was kept. */
void rig_check_guest(struct rig *rig);

/* Runs a case without a fault, then killed before and after and failing in each
 * step, then with each call of the hypervisor failing and dying in each way. */
void rig_try(const struct rig_case *c);

/* Exits with 77 without qemu-img, unless CI=true: then it fails. */
void rig_need_tools(void);

#endif
