/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmsnap-capture with streams made by hand: what it keeps, that it reads on whatever
 * happens, and its result. */
#include "tests/unit/stream-util.h"

#include <signal.h>
#include <sys/wait.h>

#include "savestate/capture.h"

/* A program that runs. */
struct reader {
	pid_t pid;
	int control, answers, pipe; /* our ends */
};

static char *program(void)
{
	const char *top = getenv("top_builddir");

	return path_join(top && *top ? top : ".", "savestate/vmsnap-capture");
}

static void child(char **argv, int control, int answers, int data, int lock)
{
	int fds[] = { fcntl(control, F_DUPFD, 10), fcntl(answers, F_DUPFD, 10), fcntl(data, F_DUPFD, 10),
		      fcntl(lock, F_DUPFD, 10) };

	dup2(fds[0], 0);
	dup2(fds[1], 1);
	dup2(fds[2], CAPTURE_PIPE_FD);
	dup2(fds[3], CAPTURE_LOCK_FD);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	execv(argv[0], argv);
	_exit(126);
}

static struct reader start(const struct capture_spec *spec)
{
	_cleanup_free_ char *path = program();
	_cleanup_strv_ char **argv = capture_argv(path, spec);
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_close_ int lock = -1;
	int control[2], answers[2], data[2];
	struct reader reader;

	signal(SIGPIPE, SIG_IGN);
	assert_ok(capture_lock(spec->dir, &lock, &err), &err);
	assert_int_equal(pipe2(control, O_CLOEXEC) | pipe2(answers, O_CLOEXEC) | pipe2(data, O_CLOEXEC), 0);
	reader = (struct reader){ .control = control[1], .answers = answers[0], .pipe = data[1] };
	reader.pid = fork();
	if (reader.pid == 0)
		child(argv, control[0], answers[1], data[0], lock);
	assert_true(reader.pid > 0);
	close(control[0]);
	close(answers[1]);
	close(data[0]);
	return reader;
}

/* The next answer; 0 at the end. */
static char answer(const struct reader *reader)
{
	char c = 0;

	assert_true(read(reader->answers, &c, 1) >= 0);
	return c;
}

static int finish(struct reader *reader)
{
	int status;

	cleanup_close(&reader->control);
	cleanup_close(&reader->pipe);
	assert_int_equal(waitpid(reader->pid, &status, 0), reader->pid);
	cleanup_close(&reader->answers);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void go(const struct reader *reader)
{
	const char word = CAPTURE_GO;

	assert_int_equal(write(reader->control, &word, 1), 1);
}

/* A save state in a directory, the domain's document beside it. */
struct place {
	struct state state;
	char *xml;
	struct capture_spec spec;
};

static struct place place_in(const char *dir)
{
	struct place p = { .state = state_in(dir, "one") };

	p.xml = put_file(dir, "xml", XML, strlen(XML));
	p.spec = (struct capture_spec){ .dir = dir, .vsv = p.state.files.vsv, .bin = p.state.files.bin,
					.guid = p.state.guid, .xml_file = p.xml, .was_running = 1 };
	return p;
}

static void place_done(struct place *p)
{
	state_done(&p->state);
	free(p->xml);
}
#define _cleanup_place_ _cleanup_(place_done)

static struct capture_result result_in(const char *dir)
{
	struct capture_result result = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(capture_result_read(dir, &result, &err), &err);
	return result;
}
#define _cleanup_result_ _cleanup_(capture_result_done)

static void feed(const struct reader *reader, const struct bytes *stream)
{
	assert_int_equal(write_all(reader->pipe, stream->data, stream->len), 0);
}

/* The prefill is skipped, the rest becomes a save state, and the process is seen at work. */
static void test_whole(void **state)
{
	_cleanup_place_ struct place p = place_in(*state);
	_cleanup_bytes_ struct bytes stream = make_stream(BACKGROUND, 0), joined = { 0 };
	_cleanup_result_ struct capture_result result = { 0 };
	_cleanup_machine_ struct machine before = { 0 }, after = { 0 };
	struct reader reader;
	char fill[4096];

	memset(fill, CAPTURE_FILL, sizeof(fill));
	p.spec.prefill = sizeof(fill);
	reader = start(&p.spec);
	assert_int_equal(capture_is_running(*state), 1);
	assert_int_equal(answer(&reader), CAPTURE_SAY_READY);
	assert_int_equal(write(reader.pipe, fill, sizeof(fill)), sizeof(fill));
	go(&reader);
	feed(&reader, &stream);
	assert_true(stream.len > 1 << 16);
	assert_int_equal(answer(&reader), CAPTURE_SAY_FLOWING);
	cleanup_close(&reader.pipe);
	assert_int_equal(answer(&reader), CAPTURE_SAY_READ);
	assert_int_equal(answer(&reader), 0);
	assert_int_equal(finish(&reader), 0);
	assert_int_equal(capture_is_running(*state), 0);
	result = result_in(*state);
	assert_int_equal(result.outcome, CAPTURE_WHOLE);
	assert_int_equal(result.ended, 1);
	assert_int_equal(result.split.form, SPLIT_ALL);
	assert_int_equal(result.split.stream_bytes, stream.len);
	assert_true(guid_eq(&result.guid, &p.state.guid));
	joined = join(*state, &p.state.files, 1);
	before = load(&stream);
	after = load(&joined);
	assert_same_machine(&before, &after);
}

/* One that builds on another is a difference of it. */
static void test_parent(void **state)
{
	_cleanup_place_ struct place p = place_in(*state);
	_cleanup_state_ struct state parent = state_in(*state, "parent");
	_cleanup_bytes_ struct bytes first = make_stream(BACKGROUND, 0), stream = make_stream(BACKGROUND, 1);
	_cleanup_(split_result_done) _unused_ struct split_result alone = split_stream(&parent, &first, SIZE_MAX, NULL,
										      0);
	_cleanup_result_ struct capture_result result = { 0 };
	struct reader reader;

	p.spec.parents = &parent.files;
	p.spec.n_parents = 1;
	stream.len--; /* of the description of the devices */
	reader = start(&p.spec);
	assert_int_equal(answer(&reader), CAPTURE_SAY_READY);
	go(&reader);
	feed(&reader, &stream);
	assert_int_equal(finish(&reader), 0);
	result = result_in(*state);
	assert_int_equal(result.outcome, CAPTURE_WHOLE);
	assert_int_equal(result.ended, 0);
	assert_true(guid_eq(&result.split.parent, &parent.guid));
	assert_true(result.split.pages[PAGE_PARENT] > 0);
}

/* Without the word all is read and nothing kept, but not before the daemon is gone. */
static void test_no_word(void **state)
{
	_cleanup_place_ struct place p = place_in(*state);
	_cleanup_bytes_ struct bytes stream = make_stream(BACKGROUND, 0);
	_cleanup_result_ struct capture_result result = { 0 };
	struct reader reader = start(&p.spec);
	size_t room;

	assert_int_equal(answer(&reader), CAPTURE_SAY_READY);
	room = (size_t)fcntl(reader.pipe, F_GETPIPE_SZ);
	assert_true(stream.len > room);
	assert_int_equal(fcntl(reader.pipe, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(write(reader.pipe, stream.data, stream.len), room); /* no byte more */
	assert_int_equal(fcntl(reader.pipe, F_SETFL, 0), 0);
	cleanup_close(&reader.control);
	assert_int_equal(write_all(reader.pipe, stream.data + room, stream.len - room), 0);
	assert_int_equal(finish(&reader), 0);
	result = result_in(*state);
	assert_int_equal(result.outcome, CAPTURE_DROPPED);
	assert_false(exists(p.state.files.vsv) || exists(p.state.files.bin));
}

/* A stream that cannot be kept: whoever writes it notices nothing. */
static void check_drained(const char *dir, const struct place *p, const struct bytes *stream, int code)
{
	_cleanup_result_ struct capture_result result = { 0 };
	_cleanup_strv_ char **names = NULL;
	struct reader reader = start(&p->spec);
	char tail[1 << 17] = "";

	assert_int_equal(answer(&reader), CAPTURE_SAY_READY);
	go(&reader);
	feed(&reader, stream);
	for (int i = 0; i < 16; i++)
		assert_int_equal(write_all(reader.pipe, tail, sizeof(tail)), 0);
	assert_int_equal(finish(&reader), 0);
	result = result_in(dir);
	assert_int_equal(result.outcome, CAPTURE_FAILED);
	assert_int_equal(result.err.code, code);
	assert_non_null(result.err.message);
	assert_int_equal(dir_list(dir, &names, NULL), 0);
	assert_int_equal(strv_count(names), 3); /* lock, result, xml */
}

static void test_bad_stream(void **state)
{
	_cleanup_place_ struct place p = place_in(*state);
	_cleanup_bytes_ struct bytes stream = { 0 };

	add_number(&stream, 0x1234567812345678, 8);
	check_drained(*state, &p, &stream, -EBADMSG);
}

static void test_bad_prefill(void **state)
{
	_cleanup_place_ struct place p = place_in(*state);
	_cleanup_bytes_ struct bytes stream = make_stream(BACKGROUND, 0);

	p.spec.prefill = 16;
	check_drained(*state, &p, &stream, -EBADMSG);
}

static void test_too_large(void **state)
{
	_cleanup_place_ struct place p = place_in(*state);
	_cleanup_bytes_ struct bytes stream = make_stream(BACKGROUND, 0);

	p.spec.max_ram = 4096;
	check_drained(*state, &p, &stream, -E2BIG);
}

/* What can be known beforehand is told before anybody could write to the pipe. */
static void test_no_place(void **state)
{
	_cleanup_place_ struct place p = place_in(*state);
	_cleanup_free_ char *nowhere = xasprintf("%s/nowhere/one.vsv", (const char *)*state);
	_cleanup_result_ struct capture_result result = { 0 };
	struct reader reader;

	p.spec.vsv = nowhere;
	reader = start(&p.spec);
	assert_int_equal(answer(&reader), 0);
	assert_int_equal(finish(&reader), 0);
	result = result_in(*state);
	assert_int_equal(result.err.code, -ENOENT);
	assert_non_null(strstr(result.err.file, "/nowhere/"));
}

/* A block is taken from a file, and a file that does not fit fails it all. */
static void test_replace(void **state)
{
	_cleanup_place_ struct place p = place_in(*state);
	_cleanup_bytes_ struct bytes stream = make_stream(BACKGROUND, 0);
	size_t len = blocks[FLASH].pages * PAGE;
	_cleanup_bytes_ struct bytes joined = { 0 }, flash = { .data = xcalloc(len, 1), .len = len };
	_cleanup_free_ char *file = NULL;
	_cleanup_machine_ struct machine m = { 0 };
	_cleanup_result_ struct capture_result result = { 0 };
	struct capture_replace replace = { .block = blocks[FLASH].name };
	struct reader reader;

	memset(flash.data, 0x77, len);
	replace.file = file = put_file(*state, "flash=1", flash.data, len);
	p.spec.replace = &replace;
	p.spec.n_replace = 1;
	reader = start(&p.spec);
	go(&reader);
	feed(&reader, &stream);
	assert_int_equal(finish(&reader), 0);
	joined = join(*state, &p.state.files, 1);
	m = load(&joined);
	assert_memory_equal(m.content[FLASH], flash.data, len);

	assert_int_equal(truncate(file, (off_t)len - 1), 0);
	reader = start(&p.spec);
	go(&reader);
	feed(&reader, &stream);
	assert_int_equal(finish(&reader), 0);
	result = result_in(*state);
	assert_int_equal(result.err.code, -EINVAL);
}

static void test_only_one(void **state)
{
	_cleanup_place_ struct place p = place_in(*state);
	_cleanup_err_ struct err err = ERR_INIT;
	struct reader reader = start(&p.spec);
	int fd;

	assert_int_equal(answer(&reader), CAPTURE_SAY_READY);
	assert_int_equal(capture_lock(*state, &fd, &err), -EBUSY);
	assert_int_equal(err.kind, ERR_BUSY);
	assert_int_equal(finish(&reader), 0);
	assert_int_equal(capture_is_running(*state), 0);
}

/* ---- the result file */

static struct capture_result a_failure(void)
{
	struct capture_result result = { .outcome = CAPTURE_FAILED, .ended = 1, .guid = guid_new() };

	ignore_result(err_full(&result.err, ERR_BAD_DATA, -ENOSPC, NULL, "/a/file", "Do something", "it did not work"));
	result.split.why = xstrdup("a reason");
	result.split.form = SPLIT_PARTLY;
	result.split.stream_bytes = 1ULL << 40;
	result.split.pages[PAGE_PARENT] = 77;
	result.split.vsv_sum = 0x8877665544332211;
	result.split.parent = guid_new();
	return result;
}

static struct bytes encoded(const char *dir, const struct capture_result *result)
{
	_cleanup_free_ char *path = path_join(dir, CAPTURE_RESULT);
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(capture_result_write(dir, result, &err), &err);
	return slurp(path);
}

static void test_result_round_trip(void **state)
{
	_cleanup_result_ struct capture_result in = a_failure(), out = { 0 };
	_cleanup_bytes_ _unused_ struct bytes bytes = encoded(*state, &in);

	out = result_in(*state);
	assert_int_equal(out.outcome, CAPTURE_FAILED);
	assert_int_equal(out.ended, 1);
	assert_true(guid_eq(&out.guid, &in.guid));
	assert_int_equal(out.err.kind, ERR_BAD_DATA);
	assert_int_equal(out.err.code, -ENOSPC);
	assert_string_equal(out.err.message, in.err.message);
	assert_string_equal(out.err.hint, in.err.hint);
	assert_string_equal(out.err.file, in.err.file);
	assert_string_equal(out.split.why, in.split.why);
	assert_int_equal(out.split.form, SPLIT_PARTLY);
	assert_int_equal(out.split.stream_bytes, in.split.stream_bytes);
	assert_int_equal(out.split.pages[PAGE_PARENT], 77);
	assert_true(out.split.vsv_sum == in.split.vsv_sum);
	assert_true(guid_eq(&out.split.parent, &in.split.parent));
}

/* Cut anywhere, longer, or with any one byte of the head turned over: refused or read,
 * never beyond its end; what is not a number is refused. */
static void test_result_damaged(void **state)
{
	_cleanup_result_ struct capture_result in = a_failure();
	_cleanup_bytes_ struct bytes bytes = encoded(*state, &in);
	struct capture_result out = { 0 };

	for (size_t len = 0; len < bytes.len; len++) {
		_cleanup_free_ uint8_t *cut = xcalloc(len + 1, 1);

		memcpy(cut, bytes.data, len);
		assert_int_equal(capture_result_decode(cut, len, &out, NULL), -EBADMSG);
	}
	for (size_t at = 0; at < bytes.len; at++) {
		_cleanup_free_ uint8_t *bad = xcalloc(bytes.len, 1);
		int r;

		memcpy(bad, bytes.data, bytes.len);
		bad[at] ^= 0x80;
		r = capture_result_decode(bad, bytes.len, &out, NULL);
		assert_true(r == 0 || r == -EBADMSG);
		if (at < 20 || (at >= 8 + 24 + 64 && at < 8 + 24 + 64 + 36)) /* magic .. outcome; the GUID */
			assert_int_equal(r, -EBADMSG);
		if (r == 0)
			capture_result_done(&out);
	}
	add_number(&bytes, 0, 1);
	assert_int_equal(capture_result_decode(bytes.data, bytes.len, &out, NULL), -EBADMSG);
}

static void test_result_missing(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct capture_result out;

	assert_int_equal(capture_result_read(*state, &out, &err), -ENOENT);
}

/* ---- the arguments */

static void test_args(void **state _unused_)
{
	const struct save_files parents[] = { { "/p.vsv", "/p.bin" }, { "/q.vsv", NULL } };
	const struct capture_replace replace[] = { { "system.flash1", "/a=b" } };
	const struct capture_spec spec = { .dir = "/d", .vsv = "/v", .bin = "/b", .guid = guid_new(), .xml_file = "/x",
					   .was_running = 1, .parents = parents, .n_parents = 2, .prefill = 4096,
					   .max_ram = UINT64_MAX, .replace = replace, .n_replace = 1 };
	_cleanup_strv_ char **argv = capture_argv("prog", &spec);
	_cleanup_err_ struct err err = ERR_INIT;
	struct capture_args args;

	assert_ok(capture_parse_args((int)strv_count(argv), argv, &args, &err), &err);
	assert_string_equal(args.spec.dir, "/d");
	assert_string_equal(args.spec.xml_file, "/x");
	assert_true(guid_eq(&args.spec.guid, &spec.guid));
	assert_int_equal(args.spec.was_running, 1);
	assert_int_equal(args.spec.n_parents, 2);
	assert_string_equal(args.spec.parents[0].bin, "/p.bin");
	assert_string_equal(args.spec.parents[1].vsv, "/q.vsv");
	assert_null(args.spec.parents[1].bin);
	assert_int_equal(args.spec.prefill, 4096);
	assert_true(args.spec.max_ram == UINT64_MAX);
	assert_string_equal(args.spec.replace[0].block, "system.flash1");
	assert_string_equal(args.spec.replace[0].file, "/a=b");
}

static void test_bad_args(void **state _unused_)
{
	static const char *const bad[] = { "--prefill=-1", "--guid=x", "--parent-bin=/b", "--replace=x", "--what", "x",
					   "--max-ram=99999999999999999999" };
	struct capture_args args;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_free_ char *arg = xstrdup(bad[i]);
		char *argv[] = { (char *)"prog", arg, NULL };

		assert_int_equal(capture_parse_args(2, argv, &args, NULL), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_parent, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_no_word, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_bad_stream, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_bad_prefill, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_too_large, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_no_place, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_replace, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_only_one, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_result_round_trip, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_result_damaged, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_result_missing, scratch_setup, scratch_teardown),
		cmocka_unit_test(test_args),
		cmocka_unit_test(test_bad_args),
	};

	use_fast_directory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
