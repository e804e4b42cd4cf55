/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes to the pipe that a restore reads from. */
#ifndef SAVESTATE_PIPE_OUT_H
#define SAVESTATE_PIPE_OUT_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "savestate/image.h"

/* What goes on; fd, path and arg are *borrowed*. */
struct pipe_out {
	int fd;               /* may be non-blocking, and need not be a pipe */
	const char *path;     /* of what is fed, for messages */
	uint64_t done, total; /* bytes written, and in all */
	image_progress_fn progress;
	void *arg;
};

/* Makes the pipe as large as it may be, if it is one. Returns nothing. */
void pipe_out_enlarge(const struct pipe_out *out);

/* Waits until bytes can be written. Returns 0 or negative errno. */
_must_check_ int pipe_out_wait(const struct pipe_out *out);

/* Writes all len bytes and reports progress. Returns 0 or negative errno (-EPIPE:
 * the reader went away; -ECANCELED). */
_must_check_ int pipe_out_put(struct pipe_out *out, const void *data, size_t len, struct err *reterr);

/* Adds len bytes that were written otherwise and reports progress. Returns 0 or -ECANCELED. */
_must_check_ int pipe_out_advance(struct pipe_out *out, size_t len, struct err *reterr);

/* Fills reterr for a write that failed with code, which is returned. */
int pipe_out_failed(const struct pipe_out *out, int code, struct err *reterr);

#endif
