/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes to the pipe that a restore reads from. */
#define _GNU_SOURCE /* F_SETPIPE_SZ */
#include "savestate/pipe-out.h"

#include <fcntl.h>
#include <poll.h>

#define PIPE_SIZE (1 << 20)

void pipe_out_enlarge(const struct pipe_out *out)
{
	ignore_result(fcntl(out->fd, F_SETPIPE_SZ, PIPE_SIZE)); /* slower without, or no pipe */
}

int pipe_out_failed(const struct pipe_out *out, int code, struct err *reterr)
{
	if (code == -EPIPE)
		return err_full(reterr, ERR_BACKEND, code, NULL, out->path, NULL,
				"feeding save image '%s' ended early: the reader went away", out->path);
	return err_file(reterr, code, out->path, "cannot feed save image '%s'", out->path);
}

int pipe_out_wait(const struct pipe_out *out)
{
	struct pollfd pfd = { .fd = out->fd, .events = POLLOUT };

	while (poll(&pfd, 1, -1) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int pipe_out_advance(struct pipe_out *out, size_t len, struct err *reterr)
{
	out->done += len;
	if (out->progress && out->progress(out->arg, out->done, out->total) != 0)
		return err_full(reterr, ERR_CANCELLED, -ECANCELED, NULL, out->path, NULL,
				"feeding save image '%s' was cancelled", out->path);
	return 0;
}

int pipe_out_put(struct pipe_out *out, const void *data, size_t len, struct err *reterr)
{
	const char *p = data;
	size_t at = 0;

	while (at < len) {
		ssize_t n = write(out->fd, p + at, len - at);
		int r = n < 0 ? -errno : 0;

		if (r == -EAGAIN)
			r = pipe_out_wait(out);
		else if (n > 0)
			at += (size_t)n;
		if (r < 0 && r != -EINTR)
			return pipe_out_failed(out, r, reterr);
	}
	return pipe_out_advance(out, len, reterr);
}
