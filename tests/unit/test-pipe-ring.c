/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Buffers lent to a pipe: what the reader gets is what was put, however late it reads. */
#include "tests/unit/common-util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "savestate/pipe-ring.h"

#define PUTS 100

struct reader {
	int fd;
	size_t at_once, got;
	int wrong;
};

/* Bytes of the stream: none of them is where it is by luck. */
static uint8_t byte_at(uint64_t pos)
{
	return (uint8_t)((pos * 2654435761U) >> 13 ^ pos >> 20);
}

static void *read_main(void *arg)
{
	struct reader *reader = arg;
	uint8_t *buf = malloc(reader->at_once);
	ssize_t n;

	while ((n = read(reader->fd, buf, reader->at_once)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			reader->wrong += buf[i] != byte_at(reader->got + (uint64_t)i);
		reader->got += (size_t)n;
	}
	free(buf);
	return NULL;
}

/* Lengths of all kinds: full ones, odd ones, ones that do not fill a page. */
static size_t length_of(int put)
{
	static const size_t len[] = { PIPE_RING_BUFFER, PIPE_RING_BUFFER - 4100, 1, 4096, PIPE_RING_BUFFER, 777 };

	return len[put % (int)ARRAY_SIZE(len)];
}

static size_t put_all(struct pipe_ring *ring, struct pipe_out *out, int puts)
{
	size_t pos = 0;

	for (int put = 0; put < puts; put++) {
		uint8_t *buf = pipe_ring_buffer(ring);
		size_t len = length_of(put);

		for (size_t i = 0; i < len; i++)
			buf[i] = byte_at(pos + i);
		assert_int_equal(pipe_ring_put(ring, out, len, NULL), 0);
		pos += len;
	}
	assert_int_equal(out->done, pos);
	return pos;
}

static void through_pipe(size_t at_once, int nonblocking)
{
	struct reader reader = { .at_once = at_once };
	struct pipe_out out = { .path = "state" };
	struct pipe_ring *ring;
	pthread_t thread;
	size_t put;
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	if (nonblocking)
		assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
	reader.fd = fd[0];
	out.fd = fd[1];
	pipe_out_enlarge(&out);
	assert_int_equal(pipe_ring_new(&ring, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, read_main, &reader), 0);
	put = put_all(ring, &out, PUTS);
	pipe_ring_free(ring); /* the last of it is still in the pipe */
	close(fd[1]);
	pthread_join(thread, NULL);
	close(fd[0]);
	assert_int_equal(reader.got, put);
	assert_int_equal(reader.wrong, 0);
}

static void test_readers(void **state)
{
	(void)state;
	through_pipe(32768, 0);
	through_pipe(1 << 20, 1);
	through_pipe(511, 0);
}

/* Nobody reads before all is put and the ring is gone: many small puts, all referred to. */
static void test_late_reader(void **state)
{
	struct reader reader = { .at_once = 4096 };
	struct pipe_out out = { .path = "state" };
	struct pipe_ring *ring;
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	reader.fd = fd[0];
	out.fd = fd[1];
	pipe_out_enlarge(&out);
	assert_int_equal(pipe_ring_new(&ring, NULL), 0);
	for (int put = 0; put < 60; put++) {
		uint8_t *buf = pipe_ring_buffer(ring);

		for (size_t i = 0; i < 100; i++)
			buf[i] = byte_at(out.done + i);
		assert_int_equal(pipe_ring_put(ring, &out, 100, NULL), 0);
	}
	pipe_ring_free(ring);
	close(fd[1]);
	read_main(&reader);
	close(fd[0]);
	assert_int_equal(reader.got, 6000);
	assert_int_equal(reader.wrong, 0);
}

static void test_file(void **state)
{
	char path[] = "/tmp/pipe-ring.XXXXXX";
	struct pipe_out out = { .path = "state", .fd = mkstemp(path) };
	struct reader reader = { .at_once = 65536, .fd = out.fd };
	struct pipe_ring *ring;
	size_t put;

	(void)state;
	assert_true(out.fd >= 0);
	unlink(path);
	assert_int_equal(pipe_ring_new(&ring, NULL), 0);
	put = put_all(ring, &out, 20);
	pipe_ring_free(ring);
	assert_int_equal(lseek(out.fd, 0, SEEK_SET), 0);
	read_main(&reader);
	close(out.fd);
	assert_int_equal(reader.got, put);
	assert_int_equal(reader.wrong, 0);
}

static void test_reader_gone(void **state)
{
	struct pipe_out out = { .path = "state" };
	struct pipe_ring *ring;
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	close(fd[0]);
	out.fd = fd[1];
	assert_int_equal(pipe_ring_new(&ring, NULL), 0);
	assert_int_equal(pipe_ring_put(ring, &out, 4096, NULL), -EPIPE);
	pipe_ring_free(ring);
	close(fd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers),
		cmocka_unit_test(test_late_reader),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_reader_gone),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
