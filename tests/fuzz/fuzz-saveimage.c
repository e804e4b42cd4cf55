/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input is the head of a save image of libvirt's. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "savestate/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(image_info_done) struct image_info info = {0};
	_cleanup_err_ struct err err = ERR_INIT;
	int r = image_parse(data, size, &info, &err);

	if (r < 0) {
		if (err.kind != ERR_BAD_DATA || info.xml || info.cookie)
			abort();
		return 0;
	}
	if (info.stream_offset > size || info.stream_offset != IMAGE_HEADER_SIZE + (uint64_t)info.data_len)
		abort();
	if (!info.xml || strlen(info.xml) >= info.data_len || (info.cookie && strlen(info.cookie) >= info.data_len))
		abort();
	return 0;
}
