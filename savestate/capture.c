/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The work of vmsnap-capture. The guest waits for each page that we do not take, so
 * between the word and the end of the pipe there is nothing but reading and writing. */
#define _GNU_SOURCE
#include "savestate/capture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "savestate/image.h"
#include "savestate/pace.h"

#define BUFFER_SIZE (1 << 20)
#define PIPE_SIZE (1 << 20)
#define ENDING_SIZE (1 << 20) /* of the stream; the description of the devices lies in it */
/* What precedes the memory is some hundred bytes: with so many of the stream here, pages
 * are among them. */
#define FLOWING_BYTES 65536

/* QEMU's stream ends with these; source: QEMU migration/savevm.h. */
enum { QEMU_EOF = 0x00, QEMU_DESCRIPTION = 0x06 };

struct capture {
	const struct capture_spec *spec;
	struct split *split;  /* NULL: nothing is kept (any more) */
	uint64_t to_skip;     /* of the prefill */
	uint64_t stream_bytes;
	int flowing;
	uint8_t *buf;
	uint8_t *ending;      /* the last bytes of the stream, a ring */
	size_t ending_pos;
	struct capture_result result;
};

static void capture_free(struct capture *c)
{
	split_free(c->split);
	free(c->buf);
	free(c->ending);
	capture_result_done(&c->result);
}

/* The daemon may be gone; nobody else waits for it. */
static void say(char what)
{
	ignore_result((int)write(STDOUT_FILENO, &what, 1));
}

/* Ends the keeping; reading goes on. */
static void fail(struct capture *c)
{
	c->split = split_free(c->split);
	c->result.outcome = CAPTURE_FAILED;
}

/* Waits for the word. Returns 1 to keep what comes, 0 to drop it. */
static int await_word(void)
{
	char word;
	ssize_t n;

	do
		n = read(STDIN_FILENO, &word, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 && word == CAPTURE_GO;
}

/* Takes the prefill off the front of n bytes. Returns how many of them it was. */
static size_t skip(struct capture *c, const uint8_t *data, size_t n)
{
	size_t part = c->to_skip < n ? (size_t)c->to_skip : n;

	for (size_t i = 0; i < part; i++) {
		if (data[i] == CAPTURE_FILL || !c->split)
			continue;
		ignore_result(err_set(&c->result.err, ERR_BAD_DATA, -EBADMSG,
				      "the pipe from QEMU did not hold what it was filled with"));
		fail(c);
	}
	c->to_skip -= part;
	if (part > 0 && c->to_skip == 0) /* only now: it wakes the writer; a smaller pipe is only slower */
		ignore_result(fcntl(CAPTURE_PIPE_FD, F_SETPIPE_SZ, PIPE_SIZE));
	return part;
}

static void remember_ending(struct capture *c, const uint8_t *data, size_t n)
{
	if (n > ENDING_SIZE) {
		data += n - ENDING_SIZE;
		n = ENDING_SIZE;
	}
	for (size_t part; n > 0; data += part, n -= part) {
		part = ENDING_SIZE - c->ending_pos < n ? ENDING_SIZE - c->ending_pos : n;
		memcpy(c->ending + c->ending_pos, data, part);
		c->ending_pos = (c->ending_pos + part) % ENDING_SIZE;
	}
}

static void take(struct capture *c, const uint8_t *data, size_t n)
{
	size_t skipped = skip(c, data, n);

	data += skipped;
	n -= skipped;
	if (n == 0)
		return;
	c->stream_bytes += n;
	if (c->split && split_feed(c->split, data, n, &c->result.err) < 0)
		fail(c);
	remember_ending(c, data, n);
	if (!c->flowing && c->stream_bytes > FLOWING_BYTES) {
		c->flowing = 1;
		say(CAPTURE_SAY_FLOWING);
	}
}

/* Reads the pipe to its end. An error of the pipe itself is its end as well. */
static void drain(struct capture *c)
{
	for (;;) {
		ssize_t n = read(CAPTURE_PIPE_FD, c->buf, pace_most(BUFFER_SIZE));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		take(c, c->buf, (size_t)n);
		pace_wait((size_t)n);
	}
}

/* 1 if the stream's last element is a description of the devices that reaches to its end. */
static int has_ended(const struct capture *c)
{
	size_t len = c->stream_bytes < ENDING_SIZE ? (size_t)c->stream_bytes : ENDING_SIZE;
	_cleanup_free_ uint8_t *end = xcalloc(len + 1, 1);

	for (size_t i = 0; i < len; i++)
		end[i] = c->ending[(c->ending_pos + ENDING_SIZE - len + i) % ENDING_SIZE];
	for (size_t at = 0; at + 7 < len; at++) {
		const uint8_t *p = end + at;
		uint32_t size = (uint32_t)p[2] << 24 | (uint32_t)p[3] << 16 | (uint32_t)p[4] << 8 | p[5];

		if (p[0] == QEMU_EOF && p[1] == QEMU_DESCRIPTION && size == len - at - 6 && p[6] == '{' &&
		    end[len - 1] == '}')
			return 1;
	}
	return 0;
}

static void finish(struct capture *c)
{
	const struct capture_spec *spec = c->spec;
	int r = 0;

	if (!c->split)
		return;
	for (size_t i = 0; r >= 0 && i < spec->n_replace; i++)
		r = split_replace(c->split, spec->replace[i].block, spec->replace[i].file, &c->result.err);
	if (r >= 0)
		r = split_finish(c->split, &c->result.split, &c->result.err);
	if (r < 0)
		fail(c);
	else
		c->result.outcome = CAPTURE_WHOLE;
}

/* Opens the files: all that can be known to fail before the guest is touched. */
static int prepare(struct capture *c, struct err *reterr)
{
	const struct capture_spec *spec = c->spec;
	_cleanup_free_ char *xml = NULL;
	struct split_opts opts = {
		.vsv = spec->vsv,
		.bin = spec->bin,
		.guid = spec->guid,
		.was_running = spec->was_running,
		.parents = spec->parents,
		.n_parents = spec->n_parents,
		.max_ram = spec->max_ram,
	};
	struct stat st;
	int r;

	if (fstat(CAPTURE_PIPE_FD, &st) < 0 || !S_ISFIFO(st.st_mode))
		return err_set(reterr, ERR_INVALID, -EBADF, "vmsnap-capture was started without a pipe");
	r = file_read(spec->xml_file, IMAGE_MAX_XML, &xml, NULL, reterr);
	if (r < 0)
		return r;
	opts.xml = xml;
	return split_new(&opts, &c->split, reterr);
}

int capture_run(const struct capture_spec *spec, struct err *reterr)
{
	_cleanup_(capture_free) struct capture c = {
		.spec = spec,
		.to_skip = spec->prefill,
		.buf = xcalloc(BUFFER_SIZE, 1),
		.ending = xcalloc(ENDING_SIZE, 1),
		.result = { .outcome = CAPTURE_DROPPED, .guid = spec->guid },
	};

	if (prepare(&c, &c.result.err) < 0) {
		c.result.outcome = CAPTURE_FAILED; /* nobody writes to the pipe yet */
	} else {
		say(CAPTURE_SAY_READY);
		if (!await_word())
			c.split = split_free(c.split);
		drain(&c);
		say(CAPTURE_SAY_READ);
		c.result.ended = has_ended(&c);
		finish(&c);
	}
	return capture_result_write(spec->dir, &c.result, reterr);
}
