/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of the joiner, of verifying, and of the `.vsv` reader. */
#include "tests/unit/stream-util.h"

#include <signal.h>
#include <sys/wait.h>

#include "savestate/image.h"

/* A save state of a stream, in a directory. */
static void make_state(const struct state *one, enum kind kind)
{
	_cleanup_bytes_ struct bytes stream = make_stream(kind, 0);
	struct split_result result = split_stream(one, &stream, SIZE_MAX, NULL, 0);

	split_result_done(&result);
}

/* Neither verifying nor joining takes the damaged file for a sound one, and the
 * message names it. What was fed until then is not a whole stream. */
static void check_damaged(const char *dir, const struct state *one, const char *path, const struct bytes *sound,
			  const char *part)
{
	_cleanup_err_ struct err verify = ERR_INIT, err = ERR_INIT;
	_cleanup_bytes_ struct bytes joined = { 0 };
	int r = join_verify(&one->files, 1, NULL, NULL, &verify);

	assert_true(r < 0);
	assert_int_equal(verify.kind, ERR_BAD_DATA);
	assert_string_equal(verify.file, path);
	if (part && !strstr(verify.message, part))
		fail_msg("\"%s\" does not name the %s", verify.message, part);
	r = try_join(dir, &one->files, 1, JOIN_NONE, NULL, &joined, &err);
	if (r >= 0) { /* then it was in what the stream does not need */
		assert_int_equal(joined.len, sound->len);
		assert_memory_equal(joined.data, sound->data, sound->len);
	} else {
		assert_int_equal(err.kind, ERR_BAD_DATA);
		assert_true(joined.len < sound->len);
	}
}

/* Name of the part that the byte is in, or NULL. */
static const char *part_at(const struct vsv_info *info, uint64_t offset)
{
	for (int i = 0; i < VSV_N_PARTS; i++) {
		if (offset >= info->part[i].offset && offset < info->part[i].offset + info->part[i].size)
			return vsv_part_name((enum vsv_part)i);
	}
	return NULL;
}

/* A bit turned over anywhere in .vsv is found, and its part is named. */
static void test_flipped_vsv(void **state)
{
	static const enum kind kinds[] = { SWITCHOVER, BLOCK_FIRST };

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		_cleanup_state_ struct state one = state_in(*state, "one");
		_cleanup_bytes_ struct bytes sound = { 0 };
		_cleanup_err_ struct err err = ERR_INIT;
		_cleanup_vsv_ struct vsv *vsv = NULL;
		uint64_t size;

		make_state(&one, kinds[k]);
		sound = join(*state, &one.files, 1);
		assert_ok(vsv_open(one.files.vsv, &vsv, &err), &err);
		size = vsv_info(vsv)->size;
		for (uint64_t at = 0; at < size; at += k == 0 || at < 400 || at + 500 > size ? 1 : 997) {
			flip(one.files.vsv, (off_t)at);
			check_damaged(*state, &one, one.files.vsv, &sound, part_at(vsv_info(vsv), at));
			flip(one.files.vsv, (off_t)at);
		}
		assert_ok(join_verify(&one.files, 1, NULL, NULL, &err), &err);
	}
}

/* The same in .bin: in pages, in holes, between blocks. */
static void test_flipped_bin(void **state)
{
	_cleanup_state_ struct state one = state_in(*state, "one");
	_cleanup_bytes_ struct bytes sound = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	off_t size = (4 << 20) + 3 * PAGE;

	make_state(&one, PLAIN);
	sound = join(*state, &one.files, 1);
	for (off_t at = 0; at < size; at += at < 2 * PAGE ? 101 : 4093) {
		flip(one.files.bin, at);
		check_damaged(*state, &one, one.files.bin, &sound, "memory file");
		flip(one.files.bin, at);
	}
	assert_ok(join_verify(&one.files, 1, NULL, NULL, &err), &err);
	assert_int_equal(truncate(one.files.bin, size - 1), 0);
	check_damaged(*state, &one, one.files.bin, &sound, NULL);
	assert_int_equal(truncate(one.files.bin, size), 0);
	check_damaged(*state, &one, one.files.bin, &sound, "at offset"); /* the last byte is gone */
}

/* A file that ends too early, at any byte. */
static void test_short_vsv(void **state)
{
	_cleanup_state_ struct state one = state_in(*state, "one");
	_cleanup_bytes_ struct bytes vsv = { 0 };

	make_state(&one, PLAIN);
	vsv = slurp(one.files.vsv);
	for (size_t len = 0; len < vsv.len; len++) {
		_cleanup_free_ char *path = put_file(*state, "one.vsv", vsv.data, len);
		_cleanup_err_ struct err err = ERR_INIT;
		_cleanup_vsv_ struct vsv *v = NULL;

		assert_int_equal(vsv_open(path, &v, &err), -EBADMSG);
		assert_string_equal(err.file, path);
	}
}

/* The domain's XML is another, and the guest ran; the cookie stays. */
static void test_xml(void **state)
{
	_cleanup_state_ struct state one = state_in(*state, "one");
	_cleanup_bytes_ struct bytes stream = make_stream(PLAIN, 0), joined = { 0 }, empty = { 0 };
	_cleanup_(image_info_done) struct image_info image = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_vsv_ struct vsv *vsv = NULL;
	_cleanup_free_ char *xml = NULL;

	make_state(&one, PLAIN);
	assert_ok(try_join(*state, &one.files, 1, JOIN_RESUME, "<domain>new</domain>", &joined, &err), &err);
	assert_ok(image_parse(joined.data, joined.len, &image, &err), &err);
	assert_string_equal(image.xml, "<domain>new</domain>");
	assert_string_equal(image.cookie, COOKIE);
	assert_true(image.complete && image.was_running);
	{
		struct bytes rest = { joined.data + image.stream_offset, joined.len - image.stream_offset, 0 };
		_cleanup_machine_ struct machine want = load(&stream), got = load(&rest);

		assert_same_machine(&want, &got);
	}
	assert_ok(vsv_open(one.files.vsv, &vsv, &err), &err);
	assert_ok(vsv_xml(vsv, &xml, &err), &err);
	assert_string_equal(xml, XML);
	assert_int_equal(try_join(*state, &one.files, 1, JOIN_RESUME, "", &empty, &err), -EINVAL);
}

static int stop_now(void *arg _unused_, uint64_t done, uint64_t total)
{
	return done <= total;
}

/* The pages as a file of their own. */
static void test_extract(void **state)
{
	_cleanup_state_ struct state one = state_in(*state, "one"), none = state_in(*state, "none");
	_cleanup_bytes_ struct bytes want = { 0 }, got = { 0 };
	_cleanup_free_ char *path = path_join(*state, "flat");
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	_cleanup_err_ struct err err = ERR_INIT;

	make_state(&one, PLAIN);
	make_state(&none, POSTCOPY);
	want = slurp(one.files.bin);
	assert_int_equal(join_extract(&one.files, 1, fd, path, stop_now, NULL, &err), -ECANCELED);
	assert_non_null(strstr(err.message, path));
	err_done(&err);
	assert_ok(join_extract(&one.files, 1, fd, path, NULL, NULL, &err), &err);
	got = slurp(path);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.data, want.data, want.len);
	assert_int_equal(file_allocated(path), file_allocated(one.files.bin));
	assert_int_equal(join_extract(&none.files, 1, fd, path, NULL, NULL, &err), -ENOTSUP);
}

static void test_missing(void **state)
{
	_cleanup_state_ struct state one = state_in(*state, "one"), none = state_in(*state, "none");
	_cleanup_err_ struct err a = ERR_INIT, b = ERR_INIT, c = ERR_INIT, d = ERR_INIT;
	struct save_files no_bin = { one.files.vsv, NULL };
	struct vsv *vsv;

	make_state(&one, PLAIN);
	assert_int_equal(vsv_open(none.files.vsv, &vsv, &a), -ENOENT);
	assert_string_equal(a.file, none.files.vsv);
	assert_int_equal(vsv_open(*state, &vsv, &d), -EBADMSG);
	assert_int_equal(join_verify(&no_bin, 1, NULL, NULL, &b), -EINVAL);
	assert_int_equal(unlink(one.files.bin), 0);
	assert_int_equal(join_verify(&one.files, 1, NULL, NULL, &c), -ENOENT);
	assert_string_equal(c.file, one.files.bin);
	assert_int_equal(vsv_is_ours(one.files.vsv, &c), 1);
	assert_int_equal(vsv_is_ours("/dev/null", &c), 0);
}

/* The reader goes away, or somebody cancels. */
static int stop(void *arg, uint64_t done, uint64_t total)
{
	assert_true(done <= total);
	return --*(int *)arg == 0;
}

static void test_stopped(void **state)
{
	_cleanup_state_ struct state one = state_in(*state, "one");
	_cleanup_err_ struct err gone = ERR_INIT, cancelled = ERR_INIT, verify = ERR_INIT;
	int fds[2], calls = 1;
	struct join_opts opts = { .progress = stop, .arg = &calls };

	make_state(&one, PLAIN);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(join_stream(&one.files, 1, &opts, fds[1], &cancelled), -ECANCELED);
	assert_int_equal(cancelled.kind, ERR_CANCELLED);
	calls = 3;
	assert_int_equal(join_verify(&one.files, 1, stop, &calls, &verify), -ECANCELED);
	close(fds[0]);
	calls = -1;
	assert_int_equal(join_stream(&one.files, 1, &opts, fds[1], &gone), -EPIPE);
	assert_int_equal(gone.kind, ERR_BACKEND);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_flipped_vsv, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_flipped_bin, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_short_vsv, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_xml, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_extract, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_missing, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_stopped, scratch_setup, scratch_teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	use_fast_directory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
