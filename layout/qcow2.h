/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads qcow2 headers (QEMU docs/interop/qcow2.rst). Bounded; never writes. */
#ifndef LAYOUT_QCOW2_H
#define LAYOUT_QCOW2_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

/* Bytes that hold every header we accept: backing name (<= 1023) included. */
#define QCOW2_HEAD_BYTES (64 << 10)

/* What a header says; strings *owned*, NULL if absent. */
struct qcow2_info {
	uint32_t version;        /* 2 or 3 */
	uint64_t virtual_size;   /* bytes */
	uint32_t cluster_bits;
	uint32_t snapshots;      /* internal snapshots */
	uint32_t crypt_method;
	uint64_t incompatible;   /* feature bits */
	int dirty, corrupt, external_data, extended_l2;
	uint32_t l1_entries;     /* of the table that maps the guest's disk */
	uint64_t l1_offset;
	char *backing;           /* name as written */
	char *backing_format;    /* of the header extension */
};

/* Parses the first len bytes of a file of file_size bytes. Validates magic,
 * version, sizes, unknown incompatible features, offsets. ret_info is emptied by
 * qcow2_info_done(). Returns 0 or negative errno with ERR_BAD_DATA. */
_must_check_ int qcow2_parse(const void *data, size_t len, uint64_t file_size, struct qcow2_info *ret_info,
			     struct err *reterr);

/* Reads the header of a file (no image lock is taken). Returns 0 or negative errno. */
_must_check_ int qcow2_read(const char *path, struct qcow2_info *ret_info, struct err *reterr);

/* Whether a guest ever wrote to the image at path: 1 if anything is mapped in it, 0
 * if it is as it was made, or there is no such file; or negative errno. */
_must_check_ int qcow2_is_written(const char *path, struct err *reterr);

/* Empties it. Takes an empty one. */
void qcow2_info_done(struct qcow2_info *info);

#endif
