/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of libvirt's save image on images made by hand. */
#include "tests/unit/layout-util.h"

#include <signal.h>
#include <sys/wait.h>

#include "savestate/image.h"

#define STREAM_BYTES (5 * 1000 * 1000)
#define XML "<domain type='qemu'><name>a</name></domain>"
#define COOKIE "<qemusave/>"

static void put(uint8_t *p, uint32_t value, int big)
{
	for (int i = 0; i < 4; i++)
		p[big ? 3 - i : i] = (uint8_t)(value >> (8 * i));
}

/* The head of an image with libvirt's padding. cookie may be NULL. */
static uint8_t *make_head(const char *cookie, uint32_t pad, int big, size_t *ret_len)
{
	size_t xml_len = sizeof(XML), cookie_len = cookie ? strlen(cookie) + 1 : 0;
	size_t data_len = xml_len + cookie_len + pad;
	uint8_t *head = xcalloc(IMAGE_HEADER_SIZE + data_len, 1);

	memcpy(head, "LibvirtQemudSave", 16);
	put(head + 16, 2, big);
	put(head + 20, (uint32_t)data_len, big);
	put(head + 24, 0, big);
	put(head + 28, 0, big);
	put(head + 32, cookie ? (uint32_t)xml_len : 0, big);
	memcpy(head + IMAGE_HEADER_SIZE, XML, xml_len);
	if (cookie)
		memcpy(head + IMAGE_HEADER_SIZE + xml_len, cookie, cookie_len);
	*ret_len = IMAGE_HEADER_SIZE + data_len;
	return head;
}

/* A whole image with a stream of bytes that differ. */
static char *make_image(const char *dir, const char *cookie, uint8_t **ret_stream)
{
	size_t head_len;
	_cleanup_free_ uint8_t *head = make_head(cookie, 65536, 0, &head_len), *whole = NULL;
	uint8_t *stream = xcalloc(STREAM_BYTES, 1);

	memcpy(stream, "QEVM", 4);
	for (size_t i = 4; i < STREAM_BYTES; i++)
		stream[i] = (uint8_t)(i * 2654435761U >> 13);
	whole = xcalloc(head_len + STREAM_BYTES, 1);
	memcpy(whole, head, head_len);
	memcpy(whole + head_len, stream, STREAM_BYTES);
	*ret_stream = stream;
	return put_file(dir, "x.vsv", whole, head_len + STREAM_BYTES);
}

static void test_parse(void **state _unused_)
{
	for (int big = 0; big < 2; big++) {
		_cleanup_err_ struct err err = ERR_INIT;
		_cleanup_(image_info_done) struct image_info info = {0}, plain = {0};
		size_t len;
		_cleanup_free_ uint8_t *head = make_head(COOKIE, 100, big, &len), *none = NULL;

		put(head + 24, 1, big);
		put(head + 28, 3, big);
		assert_ok(image_parse(head, len, &info, &err), &err);
		assert_true(info.complete && info.was_running);
		assert_int_equal(info.compression, 3);
		assert_int_equal(info.data_len, len - IMAGE_HEADER_SIZE);
		assert_int_equal(info.stream_offset, len);
		assert_string_equal(info.xml, XML);
		assert_string_equal(info.cookie, COOKIE);
		none = make_head(NULL, 0, big, &len);
		memcpy(none, "LibvirtQemudPart", 16);
		assert_ok(image_parse(none, len, &plain, &err), &err);
		assert_true(!plain.complete && !plain.was_running);
		assert_null(plain.cookie);
	}
}

/* A number at an offset of a sound head that makes it a bad one. */
static void check_bad(size_t at, uint32_t value, int code)
{
	_cleanup_err_ struct err err = ERR_INIT;
	size_t len;
	_cleanup_free_ uint8_t *head = make_head(COOKIE, 10, 0, &len);
	struct image_info info = {.data_len = 7};

	put(head + at, value, 0);
	assert_int_equal(image_parse(head, len, &info, &err), code);
	assert_int_equal(err.kind, ERR_BAD_DATA);
	assert_int_equal(info.data_len, 7);
}

static void test_bad_heads(void **state _unused_)
{
	size_t len;
	_cleanup_free_ uint8_t *head = make_head(COOKIE, 0, 0, &len);
	uint32_t data_len = (uint32_t)(len - IMAGE_HEADER_SIZE) + 10;

	check_bad(0, 0x7262694c, -EBADMSG); /* "Libr" */
	check_bad(16, 1, -ENOTSUP);
	check_bad(16, 3, -ENOTSUP);
	check_bad(16, 0x03000000, -ENOTSUP);
	check_bad(20, 0, -EBADMSG);
	check_bad(20, data_len + 1, -EBADMSG);
	check_bad(20, 0xffffffff, -EBADMSG);
	check_bad(28, 17, -EBADMSG);
	check_bad(32, data_len, -EBADMSG);
	check_bad(32, data_len - 1, -EBADMSG); /* an empty cookie */
	check_bad(32, 5, -EBADMSG);            /* the XML has no end before it */
	check_bad(32, 0xffffffff, -EBADMSG);
	check_bad(IMAGE_HEADER_SIZE, 0, -EBADMSG);
	for (size_t n = 0; n < len; n++) {
		_cleanup_free_ uint8_t *copy = xreallocarray(NULL, n, 1);
		struct image_info info;

		memcpy(copy, head, n);
		assert_int_equal(image_parse(copy, n, &info, NULL), -EBADMSG);
	}
	head[len - 1] = 'x'; /* the cookie has no end */
	{
		struct image_info info;

		assert_int_equal(image_parse(head, len, &info, NULL), -EBADMSG);
	}
}

static void check_read(const char *path, int code)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct image_info info;

	assert_int_equal(image_read(path, &info, &err), code);
	assert_string_equal(err.file, path);
	assert_non_null(strstr(err.message, path));
}

static void test_read(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ uint8_t *stream = NULL;
	_cleanup_free_ char *path = make_image(*state, COOKIE, &stream), *none = path_join(*state, "none");
	_cleanup_(image_info_done) struct image_info info = {0};
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	off_t at;

	assert_ok(image_read(path, &info, &err), &err);
	assert_string_equal(info.xml, XML);
	at = (off_t)info.stream_offset;
	check_read(none, -ENOENT);
	assert_int_equal(pwrite(fd, "XXXX", 4, at), 4);
	check_read(path, -EBADMSG);
	assert_int_equal(pwrite(fd, "\1", 1, 28), 1); /* compressed: any bytes will do */
	image_info_done(&info);
	assert_ok(image_read(path, &info, &err), &err);
	assert_int_equal(pwrite(fd, "LibvirtQemudPart", 16, 0), 16);
	check_read(path, -ENODATA);
	assert_int_equal(pwrite(fd, "LibvirtQemudSave", 16, 0), 16);
	assert_int_equal(ftruncate(fd, at + 3), 0);
	check_read(path, -EBADMSG);
	assert_int_equal(ftruncate(fd, at - 1), 0);
	check_read(path, -EBADMSG);
	assert_int_equal(ftruncate(fd, 91), 0);
	check_read(path, -EBADMSG);
}

struct seen {
	uint64_t done, total, stop_at;
};

static int see(void *arg, uint64_t done, uint64_t total)
{
	struct seen *seen = arg;

	assert_true(done >= seen->done && done <= total);
	seen->done = done;
	seen->total = total;
	return seen->stop_at && done >= seen->stop_at;
}

/* A child that copies a FIFO to a file, at most max bytes. */
static pid_t start_reader(const char *fifo, const char *out, size_t max)
{
	pid_t pid = fork();
	size_t all = 0;

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	{
		static char buf[30000];
		int from = open(fifo, O_RDONLY), to = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		ssize_t n;

		while (all < max && (n = read(from, buf, sizeof(buf))) > 0) {
			if (write_all(to, buf, (size_t)n) < 0)
				_exit(1);
			all += (size_t)n;
		}
		_exit(0);
	}
}

static void reap(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* What came out is an image with that XML and the stream as it was. */
static void check_fed(const char *path, const char *xml, const char *cookie, const uint8_t *stream)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(image_info_done) struct image_info info = {0};
	_cleanup_free_ char *whole = NULL;
	size_t len;

	assert_ok(image_read(path, &info, &err), &err);
	assert_int_equal(info.was_running, 1);
	assert_string_equal(info.xml, xml);
	if (cookie)
		assert_string_equal(info.cookie, cookie);
	else
		assert_null(info.cookie);
	assert_ok(file_read(path, 64 << 20, &whole, &len, &err), &err);
	assert_int_equal(len - info.stream_offset, STREAM_BYTES);
	assert_memory_equal(whole + info.stream_offset, stream, STREAM_BYTES);
}

/* xml NULL keeps it; nonblock: the descriptor is a non-blocking one. */
static void check_feed(const char *dir, const char *xml, const char *cookie, int nonblock)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ uint8_t *stream = NULL;
	_cleanup_free_ char *path = make_image(dir, cookie, &stream), *fifo = path_join(dir, "fifo");
	_cleanup_free_ char *out = path_join(dir, "out");
	struct seen seen = {0};
	int fd;
	pid_t pid;

	assert_int_equal(mkfifo(fifo, 0600), 0);
	pid = start_reader(fifo, out, SIZE_MAX);
	fd = open(fifo, O_WRONLY | O_CLOEXEC);
	if (nonblock)
		assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_ok(image_feed(path, xml, fd, see, &seen, &err), &err);
	close(fd);
	reap(pid);
	assert_int_equal(seen.done, seen.total);
	check_fed(out, xml ? xml : XML, cookie, stream);
	assert_int_equal(unlink(fifo), 0);
}

static void test_feed(void **state)
{
	_cleanup_free_ char *longer = xcalloc(200001, 1);

	memset(longer, 'x', 200000);
	check_feed(*state, NULL, COOKIE, 0);
	check_feed(*state, "<domain/>", COOKIE, 0);
	check_feed(*state, longer, COOKIE, 0);
	check_feed(*state, longer, NULL, 1);
}

static void test_feed_to_file(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ uint8_t *stream = NULL;
	_cleanup_free_ char *path = make_image(*state, COOKIE, &stream), *out = path_join(*state, "out");
	_cleanup_close_ int fd = open(out, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(image_feed(path, "", fd, NULL, NULL, &err), -EINVAL);
	err_done(&err);
	assert_ok(image_feed(path, "<domain/>", fd, NULL, NULL, &err), &err);
	check_fed(out, "<domain/>", COOKIE, stream);
}

static void test_reader_goes_away(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ uint8_t *stream = NULL;
	_cleanup_free_ char *path = make_image(*state, COOKIE, &stream), *fifo = path_join(*state, "fifo");
	_cleanup_free_ char *out = path_join(*state, "out");
	_cleanup_close_ int fd = -1;
	pid_t pid;

	assert_int_equal(mkfifo(fifo, 0600), 0);
	pid = start_reader(fifo, out, 100000);
	fd = open(fifo, O_WRONLY | O_CLOEXEC);
	assert_int_equal(image_feed(path, NULL, fd, NULL, NULL, &err), -EPIPE);
	assert_string_equal(err.file, path);
	reap(pid);
}

static void test_cancelled(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ uint8_t *stream = NULL;
	_cleanup_free_ char *path = make_image(*state, COOKIE, &stream), *out = path_join(*state, "out");
	_cleanup_close_ int fd = open(out, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct seen seen = {.stop_at = 2000000};

	assert_int_equal(image_feed(path, NULL, fd, see, &seen, &err), -ECANCELED);
	assert_int_equal(err.kind, ERR_CANCELLED);
	assert_true(seen.done < seen.total);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_bad_heads),
		cmocka_unit_test_setup_teardown(test_read, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_feed, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_feed_to_file, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_reader_goes_away, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_cancelled, scratch_setup, scratch_teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
