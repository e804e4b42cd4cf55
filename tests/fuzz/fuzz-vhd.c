/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The first byte says what the rest is: a VHD footer (whose checksum is put
 * right if the byte is odd), a VHDX region table or a VHDX metadata region. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "layout/vhd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_footer(const uint8_t *data, size_t size, int fix)
{
	_cleanup_free_ uint8_t *copy = xreallocarray(NULL, size, 1);
	struct vhd_info info;
	uint32_t sum = 0;

	if (size)
		memcpy(copy, data, size);
	for (size_t i = 0; fix && size >= 68 && i < size && i < VHD_FOOTER_BYTES; i++)
		sum += i < 64 || i >= 68 ? copy[i] : 0;
	sum = ~sum;
	for (int i = 67; fix && size >= 68 && i >= 64; i--, sum >>= 8)
		copy[i] = (uint8_t)sum;
	if (vhd_parse_footer(copy, size, &info, NULL) == 0 &&
	    (size < VHD_FOOTER_BYTES - 1 || info.type < VHD_FIXED || info.type > VHD_DIFFERENCING ||
	     info.virtual_size < 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t offset;
	uint32_t params;
	int parent;

	if (size == 0)
		return 0;
	if (data[0] < 128) {
		fuzz_footer(data + 1, size - 1, data[0] & 1);
	} else if (data[0] & 1) {
		if (vhdx_parse_regions(data + 1, size - 1, &offset, NULL) == 0 && (offset == 0 || offset > INT64_MAX))
			abort();
	} else if (vhdx_parse_metadata(data + 1, size - 1, &params, &parent, NULL) == 0) {
		if (params == 0 ? parent != 0 && parent != 1 : parent != -1 || params > (1U << 20))
			abort();
	}
	return 0;
}
