/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bounded reader with a sticky error: decoders of foreign bytes are straight
 * lines that are checked once at the end. After the first read past the end
 * every later read gives zeros and cursor_failed() stays true. */
#ifndef COMMON_CURSOR_H
#define COMMON_CURSOR_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

/* A view of bytes that somebody else owns (*borrowed*). */
struct cursor {
	const uint8_t *data;
	size_t len;
	size_t pos;
	int failed;
};

/* Starts reading len bytes at data (*borrowed* for the cursor's life). */
void cursor_init(struct cursor *c, const void *data, size_t len);

/* Next value, big-endian or little-endian; 0 after a failure. */
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_be16(struct cursor *c); /* as cursor_u8() */
uint32_t cursor_be32(struct cursor *c); /* as cursor_u8() */
uint64_t cursor_be64(struct cursor *c); /* as cursor_u8() */
uint16_t cursor_le16(struct cursor *c); /* as cursor_u8() */
uint32_t cursor_le32(struct cursor *c); /* as cursor_u8() */
uint64_t cursor_le64(struct cursor *c); /* as cursor_u8() */

/* Next n bytes as a view into the data (*borrowed*), or NULL after a failure. */
const void *cursor_bytes(struct cursor *c, size_t n);

/* Copies the next n bytes to dst; zeros it after a failure. */
void cursor_copy(struct cursor *c, void *dst, size_t n);

/* Moves to an absolute offset; past the end is a failure. */
void cursor_seek(struct cursor *c, size_t pos);

/* Bytes left; 0 after a failure. */
size_t cursor_left(const struct cursor *c);

/* Marks the cursor as failed: what was read makes no sense. */
void cursor_fail(struct cursor *c);

/* 1 after a failure, else 0. */
int cursor_failed(const struct cursor *c);

#endif
