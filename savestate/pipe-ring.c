/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Buffers that a pipe takes without copying them. */
#define _GNU_SOURCE /* vmsplice */
#include "savestate/pipe-ring.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "common/alloc.h"

#define N_BUFFERS 8 /* twice what the pipe holds: a buffer is rarely still referred to when its turn comes */
#define RING_SIZE ((size_t)N_BUFFERS * PIPE_RING_BUFFER)

struct pipe_ring {
	uint8_t *base;
	unsigned now;
	uint64_t end[N_BUFFERS]; /* where in the stream each buffer's last bytes are */
	int copies;              /* out takes no pages */
};

int pipe_ring_new(struct pipe_ring **ret_ring, struct err *reterr)
{
	/* not from the heap: once freed here, the pages are the pipe's alone and nobody writes to them */
	void *base = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pipe_ring *ring;

	if (base == MAP_FAILED)
		return err_errno(reterr, -errno, "cannot get %zu bytes for a pipe's buffers", RING_SIZE);
	ring = xcalloc(1, sizeof(*ring));
	ring->base = base;
	*ret_ring = ring;
	return 0;
}

uint8_t *pipe_ring_buffer(struct pipe_ring *ring)
{
	return ring->base + (size_t)ring->now * PIPE_RING_BUFFER;
}

/* 1 if the reader has copied all of the buffer, so that it may be written to. */
static int is_read(const struct pipe_ring *ring, const struct pipe_out *out, unsigned buffer)
{
	int unread;

	return ioctl(out->fd, FIONREAD, &unread) == 0 && ring->end[buffer] + (uint64_t)unread <= out->done;
}

static int lend(const struct pipe_out *out, uint8_t *data, size_t len, size_t *ret_lent)
{
	struct iovec iov = { .iov_base = data, .iov_len = len };

	while (iov.iov_len) {
		ssize_t n = vmsplice(out->fd, &iov, 1, 0);
		int r = n < 0 ? -errno : 0;

		if (r == -EAGAIN)
			r = pipe_out_wait(out);
		if (r < 0 && r != -EINTR)
			return r;
		if (n > 0) {
			iov.iov_base = (uint8_t *)iov.iov_base + n;
			iov.iov_len -= (size_t)n;
			*ret_lent += (size_t)n;
		}
	}
	return 0;
}

int pipe_ring_put(struct pipe_ring *ring, struct pipe_out *out, size_t len, struct err *reterr)
{
	unsigned next = (ring->now + 1) % N_BUFFERS;
	uint8_t *data = pipe_ring_buffer(ring);
	size_t lent = 0;
	int r;

	if (ring->copies || !is_read(ring, out, next))
		return pipe_out_put(out, data, len, reterr);
	r = lend(out, data, len, &lent);
	if (r < 0 && lent == 0 && r != -EPIPE) { /* no pipe, or one of a kernel that lends nothing */
		ring->copies = 1;
		return pipe_out_put(out, data, len, reterr);
	}
	if (r < 0)
		return pipe_out_failed(out, r, reterr);
	ring->end[ring->now] = out->done + len;
	ring->now = next;
	return pipe_out_advance(out, len, reterr);
}

struct pipe_ring *pipe_ring_free(struct pipe_ring *ring)
{
	if (ring)
		munmap(ring->base, RING_SIZE);
	free(ring);
	return NULL;
}
