/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Varlink framing (UAPI.20): messages are JSON objects, each ended by one NUL
 * byte. Bytes in, messages out; no JSON and no sockets here. */
#ifndef VARLINK_FRAME_H
#define VARLINK_FRAME_H

#include <stddef.h>

#include "common/cleanup.h"

struct frame;

/* A splitter that accepts messages of at most max bytes (without NUL), *owned*. */
struct frame *frame_new(size_t max);

/* Frees it (*taken*, may be NULL). */
void frame_free(struct frame *f);
DEFINE_CLEANUP(struct frame, frame_free);

/* Adds bytes (*borrowed*, copied). Returns 0, or -EMSGSIZE when an unfinished
 * message exceeds the limit; the splitter is of no more use then. */
_must_check_ int frame_feed(struct frame *f, const void *data, size_t len);

/* Next whole message, NUL-terminated, *borrowed* until the next call on f;
 * *ret_len without the NUL. Returns 1, 0 (none yet) or -EMSGSIZE. */
_must_check_ int frame_next(struct frame *f, const char **ret_msg, size_t *ret_len);

/* Bytes of an unfinished message that are held; 0 between messages. */
size_t frame_pending(const struct frame *f);

#endif
