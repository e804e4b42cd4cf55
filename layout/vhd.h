/* SPDX-License-Identifier: GPL-2.0-or-later */
/* As much of VHD and VHDX as it takes to tell an image that stands alone from a
 * differencing one, which QEMU must never be given: of a VHD it ignores the
 * parent without a word. Bounded; never writes. */
#ifndef LAYOUT_VHD_H
#define LAYOUT_VHD_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

#define VHD_FOOTER_BYTES 512
#define VHDX_TABLE_BYTES (64 << 10)   /* a region table, a metadata table */
#define VHDX_REGIONS_1 (192 << 10)    /* where the two region tables are */
#define VHDX_REGIONS_2 (256 << 10)

enum vhd_type { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };

struct vhd_info {
	enum vhd_type type;
	int64_t virtual_size; /* bytes, the footer's "current size" */
};

/* Parses a VHD footer of len bytes (its first 511 at least). Checks cookie,
 * version, checksum, type and size. Returns 0 or negative errno with
 * ERR_BAD_DATA. */
_must_check_ int vhd_parse_footer(const void *data, size_t len, struct vhd_info *ret_info, struct err *reterr);

/* Finds the metadata region in a VHDX region table of len bytes; offset in bytes
 * from the start of the file. Returns 0 or negative errno with ERR_BAD_DATA. */
_must_check_ int vhdx_parse_regions(const void *data, size_t len, uint64_t *ret_offset, struct err *reterr);

/* Says whether the image has a parent, from the first len bytes of the metadata
 * region. The file parameters may lie beyond them: then *ret_params is their
 * offset in the region and *ret_parent is -1; else *ret_params is 0. Returns 0
 * or negative errno with ERR_BAD_DATA. */
_must_check_ int vhdx_parse_metadata(const void *data, size_t len, uint32_t *ret_params, int *ret_parent,
				     struct err *reterr);

/* Refuses (ERR_REFUSED) the file at path if it is a differencing VHD (format
 * "vpc") or VHDX ("vhdx"); one whose footer or tables cannot be read is refused
 * as damaged. Other formats pass. Returns 0 or negative errno. */
_must_check_ int vhd_refuse_differencing(const char *path, const char *format, struct err *reterr);

#endif
