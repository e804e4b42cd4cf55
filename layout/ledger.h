/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What operations under way may still write, file system by file system, so that one does not
 * count on room that another was promised. Pure rules: nothing is looked at. */
#ifndef LAYOUT_LEDGER_H
#define LAYOUT_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include "layout/space.h"

/* What one operation was promised on one file system. */
struct ledger_entry {
	uint64_t owner;  /* the operation */
	uint64_t dev;    /* st_dev */
	int64_t need;    /* bytes, at worst */
	int64_t written; /* of these: what is there, so that it is not free any more */
};

/* Starts zeroed. */
struct ledger {
	struct ledger_entry *entry;
	size_t n;
};

/* owner is promised what the account (*borrowed*) needs at worst, in place of what it was promised before. */
void ledger_promise(struct ledger *ledger, uint64_t owner, const struct space *account);

/* So many bytes of it are written. What was written once counts, even if it is gone again. */
void ledger_written(struct ledger *ledger, uint64_t owner, uint64_t dev, int64_t bytes);

/* Bytes that all but that owner may still write there. */
int64_t ledger_open(const struct ledger *ledger, uint64_t dev, uint64_t but);

/* The operation has ended: nothing is promised to it any more. */
void ledger_forget(struct ledger *ledger, uint64_t owner);

/* Notes in an account what others than owner were promised where it writes; space_short() counts that. */
void ledger_apply(const struct ledger *ledger, uint64_t owner, struct space *account);

#endif
