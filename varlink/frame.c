/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Splits a byte stream into NUL-terminated messages, looking at each byte once
 * however small the pieces are in which it arrives. */
#define _GNU_SOURCE /* memrchr() */

#include "varlink/frame.h"

#include <errno.h>
#include <string.h>

#include "common/alloc.h"

/* A larger buffer is given back when nothing is left in it: an idle connection
 * does not keep the memory of its largest message. */
#define KEEP_BYTES (64 * 1024)

struct frame {
	size_t max;
	char *buf;
	size_t size;  /* allocated */
	size_t start; /* first byte not handed out yet */
	size_t scan;  /* no NUL between start and here */
	size_t tail;  /* behind the last NUL: where the unfinished message begins */
	size_t end;   /* behind the last byte */
	int failed;
};

struct frame *frame_new(size_t max)
{
	struct frame *f = xcalloc(1, sizeof(*f));

	f->max = max;
	return f;
}

void frame_free(struct frame *f)
{
	if (!f)
		return;
	free(f->buf);
	free(f);
}

/* Forgets what has been handed out. */
static void compact(struct frame *f)
{
	if (f->start == 0)
		return;
	memmove(f->buf, f->buf + f->start, f->end - f->start);
	f->scan -= f->start;
	f->tail -= f->start;
	f->end -= f->start;
	f->start = 0;
	if (f->end == 0 && f->size > KEEP_BYTES) {
		f->buf = xreallocarray(f->buf, KEEP_BYTES, 1);
		f->size = KEEP_BYTES;
	}
}

/* Makes room for len more bytes, doubling so that copying stays linear. */
static void reserve(struct frame *f, size_t len)
{
	size_t size = f->size ? f->size : 512;

	if (len <= f->size - f->end)
		return;
	while (size - f->end < len)
		size *= 2;
	f->buf = xreallocarray(f->buf, size, 1);
	f->size = size;
}

int frame_feed(struct frame *f, const void *data, size_t len)
{
	const char *last;

	if (f->failed)
		return -EMSGSIZE;
	if (len == 0)
		return 0;
	compact(f);
	reserve(f, len);
	memcpy(f->buf + f->end, data, len);
	last = memrchr(f->buf + f->end, '\0', len);
	f->end += len;
	if (last)
		f->tail = (size_t)(last - f->buf) + 1;
	if (f->end - f->tail > f->max) {
		f->failed = 1;
		return -EMSGSIZE;
	}
	return 0;
}

int frame_next(struct frame *f, const char **ret_msg, size_t *ret_len)
{
	const char *nul, *msg;
	size_t len;

	if (f->failed)
		return -EMSGSIZE;
	if (f->scan == f->end)
		return 0;
	nul = memchr(f->buf + f->scan, '\0', f->end - f->scan);
	if (!nul) {
		f->scan = f->end;
		return 0;
	}
	msg = f->buf + f->start;
	len = (size_t)(nul - msg);
	if (len > f->max) {
		f->failed = 1;
		return -EMSGSIZE;
	}
	f->start = f->scan = (size_t)(nul - f->buf) + 1;
	*ret_msg = msg;
	*ret_len = len;
	return 1;
}

size_t frame_pending(const struct frame *f)
{
	return f->end - f->tail;
}
