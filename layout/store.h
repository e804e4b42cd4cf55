/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store: the directory that holds the VM directories. */
#ifndef LAYOUT_STORE_H
#define LAYOUT_STORE_H

#include <stddef.h>

#include "common/err.h"
#include "layout/vmdir.h"

/* One VM directory that was found. */
struct store_entry {
	struct vmdir *dir; /* *owned* by the list */
	int has_config;    /* <VMGUID>.xml is there */
	int has_intent;    /* <VMGUID>.op is there */
	int duplicate;     /* another directory has the same VM's GUID */
};

struct store_list {
	struct store_entry *entry;
	size_t n;
};

/* Makes the store directory (0711, parents too) if it is missing, checks that we
 * can write there, and takes its lock (an open descriptor, *owned*, held for
 * life; flock on the directory). Returns 0 or negative errno (-EBUSY: another
 * vmsnapd has it). */
_must_check_ int store_open(const char *path, int *ret_lock_fd, struct err *reterr);

/* Finds every VM directory (a directory with Virtual Machines/<GUID>.xml or .op).
 * Directories that cannot be read are left out; each adds a line to *ret_problems
 * (*owned* list, may be NULL). ret_list is emptied by store_list_done(). Returns
 * 0 or negative errno. */
_must_check_ int store_scan(const char *path, struct store_list *ret_list, char ***ret_problems, struct err *reterr);

/* Empties the list. */
void store_list_done(struct store_list *list);

/* Path for a new VM directory: store/NAME, or store/NAME-<8 of guid> if that
 * exists. Returns it *owned*. */
char *store_new_vm_path(const char *store, const char *name, const struct guid *guid);

#define STORE_RESERVE_NAME ".reserve"
#define STORE_RESERVE (1 << 20) /* bytes */

/* Makes the file `.reserve` of that size in the store, unless it is there; drops it, so that
 * those bytes can be used. Both return 0 or negative errno. */
_must_check_ int store_reserve_make(const char *store, struct err *reterr);
_must_check_ int store_reserve_drop(const char *store, struct err *reterr); /* as store_reserve_make() */

/* Removes VM directory skeletons that hold no file at all but temporary ones (left
 * by a creation that died at once). Returns the number removed or negative errno. */
_must_check_ int store_sweep_empty(const char *path, struct err *reterr);

#endif
