/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Buffers that a pipe takes without copying them. */
#ifndef SAVESTATE_PIPE_RING_H
#define SAVESTATE_PIPE_RING_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "savestate/pipe-out.h"

#define PIPE_RING_BUFFER (256 << 10)

/* Some buffers in turn. The pipe refers to the pages of those that were put until its
 * reader has copied them (vmsplice(2)), which must be a plain read(2); a buffer comes
 * again when that is sure. A descriptor that is no pipe is written to. */
struct pipe_ring;

/* ret_ring *owned*. Returns 0 or negative errno. */
_must_check_ int pipe_ring_new(struct pipe_ring **ret_ring, struct err *reterr);

/* The buffer to fill, PIPE_RING_BUFFER bytes, *borrowed* until the next put. */
uint8_t *pipe_ring_buffer(struct pipe_ring *ring);

/* Puts the first len bytes of the buffer into out, and reports progress. Returns 0 or
 * negative errno like pipe_out_put(). */
_must_check_ int pipe_ring_put(struct pipe_ring *ring, struct pipe_out *out, size_t len, struct err *reterr);

/* Ring *taken*, may be NULL; what the reader has not read yet stays readable. Returns NULL. */
struct pipe_ring *pipe_ring_free(struct pipe_ring *ring);

DEFINE_CLEANUP(struct pipe_ring, pipe_ring_free);

#endif
