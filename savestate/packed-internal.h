/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What reader and writer of packed memory files share: the numbers of the format. */
#ifndef SAVESTATE_PACKED_INTERNAL_H
#define SAVESTATE_PACKED_INTERNAL_H

#include "savestate/packed.h"
#include "savestate/vsv-internal.h"

#define PACKED_MAGIC "vmsnap packedmem"
#define PACKED_END_MAGIC "end of packedmem"
#define PACKED_MAGIC_LEN 16
#define PACKED_VERSION 1
#define PACKED_START_SIZE (32 + VSV_GUID_SIZE) /* magic, version, features, zeros, GUID */
#define PACKED_TRAILER_SIZE 56
#define PACKED_SUMMED 32 /* bytes of the trailer in the sum of the file */

#endif
