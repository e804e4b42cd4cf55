/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input is the head of a qcow2 file, which may be longer than it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "layout/qcow2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a header that was accepted must keep to. */
static void check(const struct qcow2_info *info)
{
	if (info->version != 2 && info->version != 3)
		abort();
	if (info->virtual_size > INT64_MAX || info->cluster_bits < 9 || info->cluster_bits > 21)
		abort();
	if (info->backing && (!*info->backing || strlen(info->backing) > 1023))
		abort();
	if (info->backing_format && strlen(info->backing_format) > 15)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint64_t file_sizes[] = {size, 1 << 20, UINT64_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(file_sizes); i++) {
		_cleanup_(qcow2_info_done) struct qcow2_info info = {0};
		_cleanup_err_ struct err err = ERR_INIT;

		if (qcow2_parse(data, size, file_sizes[i], &info, &err) == 0)
			check(&info);
		else if (err.kind != ERR_BAD_DATA)
			abort();
	}
	return 0;
}
