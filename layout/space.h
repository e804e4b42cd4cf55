/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an operation may write at worst, file system by file system, against what is free
 * there. Pure rules: nothing is looked at. */
#ifndef LAYOUT_SPACE_H
#define LAYOUT_SPACE_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

#define SPACE_DOCUMENTS (INT64_C(1) << 20)     /* documents and the record of one operation */
#define SPACE_RESERVE (INT64_C(16) << 20)      /* left to running guests by what is there to stay */
#define SPACE_MERGE_MARGIN (INT64_C(32) << 20) /* left to running guests by a merge */

/* One file system. */
struct space_fs {
	uint64_t dev; /* st_dev */
	char *path;   /* something on it, for people, *owned* */
	int64_t free; /* bytes free before the operation */
	int64_t promised; /* of these: what other operations may still write (ledger.h) */
	int64_t used; /* bytes by which more is used at this point of it; negative: less */
	int64_t need; /* the most that `used` ever was: what has to be free */
};

/* The operation's account. Starts zeroed. */
struct space {
	struct space_fs *fs;
	size_t n;
};

/* Makes a file system known, unless it is: path (*borrowed*) lies on it, free bytes are free. */
void space_add(struct space *space, uint64_t dev, const char *path, int64_t free);

/* The next step writes so many bytes to a file system that is known; a negative number
 * gives bytes back. What is too large for a number counts as the largest. */
void space_use(struct space *space, uint64_t dev, int64_t bytes);

/* The file system that lacks most (*borrowed*), or NULL if the operation fits. Where nothing
 * is needed nothing lacks, however full it is. */
const struct space_fs *space_short(const struct space *space);

/* Empties it. */
void space_done(struct space *space);

/* Most that a save state takes: RAM, hashes and tables for its pages, video memory, ROMs
 * and devices. Bytes; ram 0: none is saved. */
int64_t space_for_memory(int64_t ram, int64_t video);

/* Most that an empty differencing image over a disk of that size takes (-1: size unknown). Bytes. */
int64_t space_for_overlay(int64_t virtual_size);

#endif
