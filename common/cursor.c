/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bounded reader with a sticky error. */
#include "common/cursor.h"

#include <string.h>

void cursor_init(struct cursor *c, const void *data, size_t len)
{
	/* nothing is still a place: NULL from cursor_bytes() means a failure only */
	*c = (struct cursor){ .data = data ? data : (const void *)"", .len = data ? len : 0 };
}

const void *cursor_bytes(struct cursor *c, size_t n)
{
	const uint8_t *view;

	if (c->failed || n > c->len - c->pos) {
		c->failed = 1;
		return NULL;
	}
	view = c->data + c->pos;
	c->pos += n;
	return view;
}

static uint64_t read_be(struct cursor *c, size_t n)
{
	const uint8_t *p = cursor_bytes(c, n);
	uint64_t value = 0;

	for (size_t i = 0; p && i < n; i++)
		value = value << 8 | p[i];
	return value;
}

static uint64_t read_le(struct cursor *c, size_t n)
{
	const uint8_t *p = cursor_bytes(c, n);
	uint64_t value = 0;

	for (size_t i = 0; p && i < n; i++)
		value |= (uint64_t)p[i] << (8 * i);
	return value;
}

uint8_t cursor_u8(struct cursor *c)
{
	return (uint8_t)read_be(c, 1);
}

uint16_t cursor_be16(struct cursor *c)
{
	return (uint16_t)read_be(c, 2);
}

uint32_t cursor_be32(struct cursor *c)
{
	return (uint32_t)read_be(c, 4);
}

uint64_t cursor_be64(struct cursor *c)
{
	return read_be(c, 8);
}

uint16_t cursor_le16(struct cursor *c)
{
	return (uint16_t)read_le(c, 2);
}

uint32_t cursor_le32(struct cursor *c)
{
	return (uint32_t)read_le(c, 4);
}

uint64_t cursor_le64(struct cursor *c)
{
	return read_le(c, 8);
}

void cursor_copy(struct cursor *c, void *dst, size_t n)
{
	const void *p = cursor_bytes(c, n);

	if (n == 0)
		return;
	if (p)
		memcpy(dst, p, n);
	else
		memset(dst, 0, n);
}

void cursor_seek(struct cursor *c, size_t pos)
{
	if (c->failed || pos > c->len) {
		c->failed = 1;
		return;
	}
	c->pos = pos;
}

size_t cursor_left(const struct cursor *c)
{
	return c->failed ? 0 : c->len - c->pos;
}

void cursor_fail(struct cursor *c)
{
	c->failed = 1;
}

int cursor_failed(const struct cursor *c)
{
	return c->failed;
}
