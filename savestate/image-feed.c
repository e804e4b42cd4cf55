/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Feeds a save image to a restore: a new header, the XML that is wanted, then
 * cookie and stream as they were. */
#define _GNU_SOURCE /* splice(), F_SETPIPE_SZ */
#include "savestate/image.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "savestate/image-internal.h"

#define CHUNK (1 << 20)

/* What goes on in one feed. */
struct feed {
	int in, out;
	const char *path;
	uint64_t done, total; /* bytes written to out, and in all */
	char *buf;            /* where out is no pipe; else NULL */
	image_progress_fn progress;
	void *arg;
};

static void feed_done(struct feed *feed)
{
	cleanup_close(&feed->in);
	free(feed->buf);
}

/* The head as it is fed, in this host's byte order, *owned*. */
static char *make_head(const struct image_info *info, const char *xml, size_t *ret_len)
{
	size_t xml_len = strlen(xml) + 1, cookie_len = info->cookie ? strlen(info->cookie) + 1 : 0;
	uint32_t numbers[5] = {
		IMAGE_VERSION,
		(uint32_t)(xml_len + cookie_len),
		1, /* was running */
		info->compression,
		cookie_len ? (uint32_t)xml_len : 0,
	};
	char *head = xcalloc(IMAGE_HEADER_SIZE + xml_len + cookie_len, 1);

	memcpy(head, IMAGE_MAGIC_COMPLETE, IMAGE_MAGIC_LEN);
	memcpy(head + IMAGE_MAGIC_LEN, numbers, sizeof(numbers));
	memcpy(head + IMAGE_HEADER_SIZE, xml, xml_len);
	if (cookie_len)
		memcpy(head + IMAGE_HEADER_SIZE + xml_len, info->cookie, cookie_len);
	*ret_len = IMAGE_HEADER_SIZE + xml_len + cookie_len;
	return head;
}

static int write_failed(const struct feed *feed, int code, struct err *reterr)
{
	if (code == -EPIPE)
		return err_full(reterr, ERR_BACKEND, code, NULL, feed->path, NULL,
				"feeding save image '%s' ended early: the reader went away", feed->path);
	return err_file(reterr, code, feed->path, "cannot feed save image '%s'", feed->path);
}

/* Waits until out takes bytes; it may be non-blocking. */
static int wait_writable(const struct feed *feed)
{
	struct pollfd pfd = {.fd = feed->out, .events = POLLOUT};

	while (poll(&pfd, 1, -1) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* Adds n bytes that are out and reports them. */
static int advance(struct feed *feed, size_t n, struct err *reterr)
{
	feed->done += n;
	if (feed->progress && feed->progress(feed->arg, feed->done, feed->total) != 0)
		return err_full(reterr, ERR_CANCELLED, -ECANCELED, NULL, feed->path, NULL,
				"feeding save image '%s' was cancelled", feed->path);
	return 0;
}

static int feed_bytes(struct feed *feed, const char *data, size_t len, struct err *reterr)
{
	size_t at = 0;

	while (at < len) {
		ssize_t n = write(feed->out, data + at, len - at);
		int r = n < 0 ? -errno : 0;

		if (r == -EAGAIN)
			r = wait_writable(feed);
		else if (n > 0)
			at += (size_t)n;
		if (r < 0 && r != -EINTR)
			return write_failed(feed, r, reterr);
	}
	return advance(feed, len, reterr);
}

/* Moves up to a chunk at *offset of the file into the pipe. Returns the number of
 * bytes (0: end of file) or negative errno (-EINVAL: out is no pipe). */
static ssize_t splice_chunk(const struct feed *feed, off_t *offset)
{
	for (;;) {
		ssize_t n = splice(feed->in, offset, feed->out, NULL, CHUNK, SPLICE_F_MOVE | SPLICE_F_MORE);
		int r = n < 0 ? -errno : 0;

		if (n >= 0)
			return n;
		if (r == -EAGAIN)
			r = wait_writable(feed);
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
		r = feed_bytes(feed, feed->buf, (size_t)n, reterr);
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
			return write_failed(feed, (int)n, reterr);
		if (n == 0)
			return 0;
		r = advance(feed, (size_t)n, reterr);
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
	ignore_result(fcntl(feed->out, F_SETPIPE_SZ, CHUNK));                 /* slower without, or no pipe */
	return image_read_fd(feed->in, feed->path, ret_info, reterr);
}

int image_feed(const char *path, const char *xml, int fd, image_progress_fn progress, void *arg, struct err *reterr)
{
	_cleanup_(image_info_done) struct image_info info = {0};
	_cleanup_(feed_done) struct feed feed = {.in = -1, .out = fd, .path = path, .progress = progress, .arg = arg};
	_cleanup_free_ char *head = NULL;
	size_t head_len;
	off_t size = 0;
	int r = open_feed(&feed, &info, &size, reterr);

	if (r < 0)
		return r;
	if (xml && (!*xml || strlen(xml) > IMAGE_MAX_XML))
		return err_full(reterr, ERR_INVALID, -EINVAL, NULL, path, NULL,
				"the XML for save image '%s' is empty or too long", path);
	head = make_head(&info, xml ? xml : info.xml, &head_len);
	feed.total = head_len + (uint64_t)size - info.stream_offset;
	r = feed_bytes(&feed, head, head_len, reterr);
	if (r >= 0)
		r = feed_stream(&feed, (off_t)info.stream_offset, reterr);
	if (r < 0)
		return r;
	if (feed.done != feed.total)
		return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, path, NULL,
				"save image '%s' changed its size while it was read", path);
	return 0;
}
