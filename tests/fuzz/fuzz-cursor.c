/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input is a program for the cursor: each byte picks an operation on the
 * whole input; no order of operations may read outside it. */
#include <stdint.h>
#include <stdlib.h>

#include "common/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One operation; arg is small and often too large. */
static uint64_t step(struct cursor *c, unsigned op, size_t arg)
{
	uint8_t buf[255] = { 0 };
	const uint8_t *view;

	switch (op) {
	case 0:
		return cursor_u8(c);
	case 1:
		return cursor_be16(c) + cursor_le16(c);
	case 2:
		return cursor_be32(c) + cursor_le32(c);
	case 3:
		return cursor_be64(c) + cursor_le64(c);
	case 4:
		view = cursor_bytes(c, arg);
		return view && arg ? (uint64_t)view[0] + view[arg - 1] : 0;
	case 5:
		cursor_copy(c, buf, arg);
		return buf[0];
	case 6:
		cursor_seek(c, arg);
		return cursor_left(c);
	default:
		return cursor_left(c);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c;

	cursor_init(&c, data, size);
	for (size_t i = 0; i < size; i++) {
		int failed = cursor_failed(&c);
		uint64_t value = step(&c, data[i] & 7, data[i] >> 3);

		__asm__ volatile("" : : "m"(value)); /* what is read is used */
		if (failed && (!cursor_failed(&c) || cursor_left(&c) != 0))
			abort(); /* a failure must stick */
		if (c.pos > size)
			abort();
	}
	return 0;
}
