/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Feeds a save image to a restore: a new header, the XML that is wanted, then
 * cookie and stream as they were. */
#define _GNU_SOURCE /* splice() */
#include "savestate/image.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "savestate/image-internal.h"
#include "savestate/pipe-out.h"

#define CHUNK (1 << 20)

/* What goes on in one feed. */
struct feed {
	int in;
	const char *path;
	char *buf; /* where out is no pipe; else NULL */
	struct pipe_out out;
};

static void feed_done(struct feed *feed)
{
	cleanup_close(&feed->in);
	free(feed->buf);
}

/* Moves up to a chunk at *offset of the file into the pipe. Returns the number of
 * bytes (0: end of file) or negative errno (-EINVAL: out is no pipe). */
static ssize_t splice_chunk(const struct feed *feed, off_t *offset)
{
	for (;;) {
		ssize_t n = splice(feed->in, offset, feed->out.fd, NULL, CHUNK, SPLICE_F_MOVE | SPLICE_F_MORE);
		int r = n < 0 ? -errno : 0;

		if (n >= 0)
			return n;
		if (r == -EAGAIN)
			r = pipe_out_wait(&feed->out);
		if (r < 0 && r != -EINTR)
			return r;
	}
}

/* The stream through a buffer. */
static int copy_stream(struct feed *feed, off_t offset, struct err *reterr)
{
	feed->buf = xcalloc(CHUNK, 1);
	for (;;) {
		ssize_t n = pread_all(feed->in, feed->buf, CHUNK, offset);
		int r;

		if (n < 0)
			return err_file(reterr, (int)n, feed->path, "cannot read save image '%s'", feed->path);
		if (n == 0)
			return 0;
		r = pipe_out_put(&feed->out, feed->buf, (size_t)n, reterr);
		if (r < 0)
			return r;
		offset += n;
	}
}

/* The stream, by way of the page cache where out is a pipe. */
static int feed_stream(struct feed *feed, off_t offset, struct err *reterr)
{
	for (;;) {
		ssize_t n = splice_chunk(feed, &offset);
		int r;

		if (n == -EINVAL)
			return copy_stream(feed, offset, reterr);
		if (n < 0)
			return pipe_out_failed(&feed->out, (int)n, reterr);
		if (n == 0)
			return 0;
		r = pipe_out_advance(&feed->out, (size_t)n, reterr);
		if (r < 0)
			return r;
	}
}

/* Opens the image and reads its head; total: bytes that will go out. */
static int open_feed(struct feed *feed, struct image_info *ret_info, off_t *ret_size, struct err *reterr)
{
	struct stat st;

	feed->in = open(feed->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (feed->in < 0 || fstat(feed->in, &st) < 0)
		return err_file(reterr, -errno, feed->path, "cannot open save image '%s'", feed->path);
	*ret_size = st.st_size;
	ignore_result(posix_fadvise(feed->in, 0, 0, POSIX_FADV_SEQUENTIAL)); /* only a hint */
	pipe_out_enlarge(&feed->out);
	return image_read_fd(feed->in, feed->path, ret_info, reterr);
}

int image_feed(const char *path, const char *xml, int fd, image_progress_fn progress, void *arg, struct err *reterr)
{
	_cleanup_(image_info_done) struct image_info info = {0};
	_cleanup_(feed_done) struct feed feed = {
		.in = -1,
		.path = path,
		.out = {.fd = fd, .path = path, .progress = progress, .arg = arg},
	};
	_cleanup_free_ char *head = NULL;
	size_t head_len;
	off_t size = 0;
	int r = open_feed(&feed, &info, &size, reterr);

	if (r < 0)
		return r;
	if (xml && (!*xml || strlen(xml) > IMAGE_MAX_XML))
		return err_full(reterr, ERR_INVALID, -EINVAL, NULL, path, NULL,
				"the XML for save image '%s' is empty or too long", path);
	head = image_make_head(xml ? xml : info.xml, info.cookie, 1, info.compression, &head_len);
	feed.out.total = head_len + (uint64_t)size - info.stream_offset;
	r = pipe_out_put(&feed.out, head, head_len, reterr);
	if (r >= 0)
		r = feed_stream(&feed, (off_t)info.stream_offset, reterr);
	if (r < 0)
		return r;
	if (feed.out.done != feed.out.total)
		return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, path, NULL,
				"save image '%s' changed its size while it was read", path);
	return 0;
}
