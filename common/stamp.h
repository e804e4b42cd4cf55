/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a file looked like at one instant: the seal of a sealed disk, and the
 * check that it has not changed since (law 1). */
#ifndef COMMON_STAMP_H
#define COMMON_STAMP_H

#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

/* size in bytes; mtime in ns since 1970 (0 for a block device, where it means
 * nothing); header is the xxh3-64 of the first 4 KiB. */
struct stamp {
	int64_t size;
	int64_t mtime_ns;
	uint64_t header;
};

/* Reads path's present stamp. Block devices give their size in bytes. Returns 0
 * or negative errno. */
_must_check_ int stamp_take(const char *path, struct stamp *ret_stamp, struct err *reterr);

/* Compares path with the stamp taken earlier. Returns 0, or -ESTALE with
 * ERR_DRIFT, the file named and what differs, or another negative errno. */
_must_check_ int stamp_check(const char *path, const struct stamp *stamp, struct err *reterr);

/* Bytes that file_checksum() reads between two calls of poll. */
#define CHECKSUM_CHUNK (1 << 20)

/* xxh3-64 of a whole file, read sequentially; poll(arg) != 0 stops it with
 * -ECANCELED (may be NULL). Returns 0 or negative errno. */
_must_check_ int file_checksum(const char *path, uint64_t *ret_sum, int (*poll)(void *arg), void *arg,
			       struct err *reterr);

#endif
