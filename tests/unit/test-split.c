/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of the splitter: every kind of stream, in every sort of pieces. */
#include "tests/unit/stream-util.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/stamp.h"

static struct split_opts opts_of(const struct state *state, int bare)
{
	return (struct split_opts){
		.vsv = state->files.vsv,
		.bin = state->files.bin,
		.guid = state->guid,
		.xml = bare ? XML : NULL,
		.cookie = bare ? COOKIE : NULL,
	};
}

/* Nothing of the save state is left. */
static void assert_no_files(const char *dir)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_strv_ char **names = NULL;

	assert_ok(dir_list(dir, &names, &err), &err);
	assert_int_equal(strv_count(names), 0);
}

/* Feeds it all and finishes. */
static int try_split(const struct split_opts *opts, const struct bytes *stream, struct split_result *ret_result,
		     struct err *reterr)
{
	_cleanup_split_ struct split *s = NULL;
	_cleanup_err_ struct err unused = ERR_INIT;
	int r = split_new(opts, &s, reterr);

	if (r >= 0)
		r = split_feed(s, stream->data, stream->len, reterr);
	if (r >= 0)
		r = split_finish(s, ret_result, reterr);
	if (r < 0 && s) /* and stays so */
		assert_int_equal(split_finish(s, ret_result, &unused), r);
	return r;
}

static void check_form(enum kind kind, const struct split_result *result)
{
	enum split_form want = kind < FIRST_PARTLY ? SPLIT_ALL : kind < FIRST_NOTHING ? SPLIT_PARTLY : SPLIT_NOTHING;

	assert_int_equal(result->form, want);
	assert_int_equal(result->why != NULL, want != SPLIT_ALL);
	assert_int_equal(result->bin_size == 0, want == SPLIT_NOTHING);
}

/* Split, verified and joined, each kind is what it was. */
static void test_round_trip(void **state)
{
	for (int kind = 0; kind < N_KINDS; kind++) {
		_cleanup_state_ struct state one = state_in(*state, "one");
		_cleanup_bytes_ struct bytes stream = make_stream((enum kind)kind, 0), joined = { 0 };
		struct split_result result = split_stream(&one, &stream, SIZE_MAX, NULL, 0);

		check_form((enum kind)kind, &result);
		assert_int_equal(exists(one.files.bin), result.bin_size != 0);
		joined = join(*state, &one.files, 1);
		if (kind < FIRST_NOTHING && kind != OUTSIDE && kind != NO_SUCH_BLOCK) {
			_cleanup_machine_ struct machine before = load(&stream), after = load(&joined);

			assert_same_machine(&before, &after);
		}
		if (kind >= FIRST_NOTHING || kind == UNKNOWN_START || kind == XBZRLE_FIRST) {
			assert_int_equal(joined.len, stream.len);
			assert_memory_equal(joined.data, stream.data, stream.len);
		}
		split_result_done(&result);
		ignore_result(unlink(one.files.bin)); /* may be none */
	}
}

/* libvirt's image, with and without its header at the end, comes out as it was. */
static void test_image(void **state)
{
	for (int through_fifo = 0; through_fifo < 2; through_fifo++) {
		_cleanup_state_ struct state one = state_in(*state, "one");
		_cleanup_bytes_ struct bytes stream = make_stream(POSTCOPY, 0);
		_cleanup_bytes_ struct bytes image = make_image(&stream, through_fifo);
		_cleanup_bytes_ struct bytes want = make_image(&stream, 0), joined = { 0 };
		_cleanup_(split_result_done) struct split_result result = { 0 };
		_cleanup_err_ struct err err = ERR_INIT;
		struct split_opts opts = opts_of(&one, 0);

		assert_ok(try_split(&opts, &image, &result, &err), &err);
		assert_ok(try_join(*state, &one.files, 1, JOIN_VERBATIM, NULL, &joined, &err), &err);
		assert_int_equal(joined.len, want.len);
		assert_memory_equal(joined.data, want.data, want.len);
	}
}

/* Splits an image in pieces of chunk bytes, the first of `first`, and compares both
 * files; bin may be NULL: the hashes in .vsv say enough. */
static void check_pieces(const char *dir, const struct bytes *image, size_t first, size_t chunk,
			 const struct bytes *vsv, const struct bytes *bin)
{
	_cleanup_state_ struct state two = state_in(dir, "two");
	_cleanup_(split_result_done) struct split_result result = { 0 };
	_cleanup_bytes_ struct bytes got_vsv = { 0 }, got_bin = { 0 };
	_cleanup_split_ struct split *s = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	struct split_opts opts = opts_of(&two, 0);

	opts.guid = guid_of("11111111-2222-3333-4444-555555555555");
	assert_ok(split_new(&opts, &s, &err), &err);
	for (size_t at = 0, n = first; at < image->len; at += n, n = chunk) {
		n = image->len - at < n ? image->len - at : n;
		assert_ok(split_feed(s, image->data + at, n, &err), &err);
	}
	assert_ok(split_finish(s, &result, &err), &err);
	got_vsv = slurp(two.files.vsv);
	assert_int_equal(got_vsv.len, vsv->len);
	assert_memory_equal(got_vsv.data, vsv->data, vsv->len);
	if (!bin)
		return;
	got_bin = slurp(two.files.bin);
	assert_int_equal(got_bin.len, bin->len);
	assert_memory_equal(got_bin.data, bin->data, bin->len);
}

/* Marks the bytes that are within a page, but for a few at its ends. */
static uint8_t *mark_pages(const struct bytes *image)
{
	uint8_t *marks = xcalloc(image->len, 1);

	for (unsigned int seed = 1; seed < 110; seed++) {
		uint8_t page[PAGE], *at;

		fill_page(page, seed);
		at = memmem(image->data, image->len, page, PAGE);
		if (at)
			memset(marks + (at - image->data) + 3, 1, PAGE - 6);
	}
	return marks;
}

/* The files do not depend on how the stream was cut into pieces. */
static void test_pieces(void **state)
{
	static const enum kind kinds[] = { SWITCHOVER, NO_FOOTERS, XBZRLE_IN_END };
	static const size_t chunks[] = { 1, 2, 3, 7, 8, 9, 91, 92, 93, 4095, 4096, 4097, 5000 };

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		_cleanup_bytes_ struct bytes stream = make_stream(kinds[k], 0), image = make_image(&stream, 1);
		_cleanup_state_ struct state one = state_in(*state, "one");
		_cleanup_bytes_ struct bytes vsv = { 0 }, bin = { 0 };
		_cleanup_(split_result_done) struct split_result result = { 0 };
		_cleanup_err_ struct err err = ERR_INIT;
		struct split_opts opts = opts_of(&one, 0);
		_cleanup_free_ uint8_t *pages = mark_pages(&image);

		opts.guid = guid_of("11111111-2222-3333-4444-555555555555");
		assert_ok(try_split(&opts, &image, &result, &err), &err);
		vsv = slurp(one.files.vsv);
		bin = slurp(one.files.bin);
		for (size_t i = 0; i < ARRAY_SIZE(chunks); i++)
			check_pieces(*state, &image, chunks[i], chunks[i], &vsv, &bin);
		for (size_t at = 1; k == 0 && at < image.len; at++) {
			if (at < image.len - stream.len + 20 && at > 100 && at % 50)
				continue; /* the padding is long and all the same */
			if (!pages[at])
				check_pieces(*state, &image, at, SIZE_MAX, &vsv, NULL);
		}
	}
}

static void check_refused(const char *dir, const struct bytes *stream, int code, enum err_kind kind)
{
	_cleanup_state_ struct state one = state_in(dir, "one");
	_cleanup_err_ struct err err = ERR_INIT;
	struct split_result result;
	struct split_opts opts = opts_of(&one, 1);

	assert_int_equal(try_split(&opts, stream, &result, &err), code);
	assert_int_equal(err.kind, kind);
	assert_non_null(strstr(err.message, one.files.vsv));
	assert_no_files(dir);
}

/* Streams that do not hold the memory, or are none. */
static void test_refused(void **state)
{
	_cleanup_bytes_ struct bytes shared = { 0 }, multifd = { 0 }, later = { 0 }, empty = { 0 }, text = { 0 };
	_cleanup_bytes_ struct bytes zeros = { 0 };

	add(&shared, "QEVM\0\0\0\3\7\0\0\0\1x", 14);
	add_number(&shared, 5, 1);
	add_name(&shared, "configuration/capabilities");
	add_number(&shared, 1, 4);
	add_number(&shared, 1, 4);
	add_name(&shared, "x-ignore-shared");
	check_refused(*state, &shared, -ENOTSUP, ERR_REFUSED);
	add_start(&multifd, PLAIN);
	add_ram_start(&multifd, 1);
	multifd.len -= 13;
	add_number(&multifd, 0x200, 8);
	add_section_end(&multifd, 1);
	check_refused(*state, &multifd, -ENOTSUP, ERR_REFUSED);
	add_start(&later, PLAIN);
	add_ram_start(&later, 1);
	add_section(&later, 2, RAM_ID);
	add_number(&later, 0x200, 8);
	check_refused(*state, &later, -ENOTSUP, ERR_REFUSED);
	add_start(&empty, PLAIN);
	add_ram_start(&empty, 1);
	add_section(&empty, 3, RAM_ID);
	add_section_end(&empty, 1);
	add_devices(&empty, 0, 10);
	check_refused(*state, &empty, -ENOTSUP, ERR_REFUSED);
	add_start(&zeros, PLAIN); /* multifd before QEMU 8.1: what is not zero goes elsewhere */
	add_ram_start(&zeros, 1);
	add_section(&zeros, 3, RAM_ID);
	add_zero(&zeros, 0, "vga.vram");
	add_zero(&zeros, 3, "pc.ram");
	add_section_end(&zeros, 1);
	add_devices(&zeros, 0, 10);
	check_refused(*state, &zeros, -ENOTSUP, ERR_REFUSED);
	add(&text, "QEVN\0\0\0\3 is no stream", 20);
	check_refused(*state, &text, -EBADMSG, ERR_BAD_DATA);
}

/* A stream that ends anywhere within the memory or before it is no save state. */
static void test_ended_early(void **state)
{
	_cleanup_bytes_ struct bytes stream = make_stream(PLAIN, 0), image = make_image(&stream, 1);
	size_t memory = 0;

	for (size_t at = 0; at + 4 < stream.len; at++) {
		if (memcmp(stream.data + at, "\4\0\0\0\7", 5) == 0)
			memory = at; /* where the devices begin */
	}
	for (size_t len = 0; len <= memory; len += len < 300 || len > memory - 40 ? 1 : 97) {
		struct bytes begin = { stream.data, len, len };

		check_refused(*state, &begin, -ENODATA, ERR_BAD_DATA);
	}
	for (size_t less = 1; less < image.len; less += less < 200 || less > image.len - 200 ? 1 : 371) {
		_cleanup_state_ struct state one = state_in(*state, "one");
		struct bytes begin = { image.data, image.len - less, 0 };
		_cleanup_err_ struct err err = ERR_INIT;
		struct split_opts opts = opts_of(&one, 0);
		struct split_result result;

		assert_int_equal(try_split(&opts, &begin, &result, &err), -ENODATA);
		assert_no_files(*state);
	}
	image.data[image.len - 60] ^= 1; /* another header comes at the end */
	{
		_cleanup_state_ struct state one = state_in(*state, "one");
		_cleanup_err_ struct err err = ERR_INIT;
		struct split_opts opts = opts_of(&one, 0);
		struct split_result result;

		assert_int_equal(try_split(&opts, &image, &result, &err), -ENODATA);
	}
}

/* .bin is flat: pc.ram first, each page at its place, nothing where it is zero. */
static void test_layout(void **state)
{
	_cleanup_state_ struct state one = state_in(*state, "one");
	_cleanup_bytes_ struct bytes stream = make_stream(PLAIN, 0), bin = { 0 };
	_cleanup_machine_ struct machine want = load(&stream);
	_cleanup_(split_result_done) struct split_result result = split_stream(&one, &stream, 4096, NULL, 0);
	_cleanup_(bytes_done) struct bytes vsv = slurp(one.files.vsv);
	size_t vga = 3 << 20, flash = 4 << 20;

	bin = slurp(one.files.bin);
	assert_int_equal(bin.len, flash + 3 * PAGE);
	assert_memory_equal(bin.data, want.content[RAM], 600 * PAGE);
	assert_memory_equal(bin.data + vga, want.content[VGA], 4 * PAGE);
	assert_memory_equal(bin.data + flash, want.content[FLASH], 3 * PAGE);
	/* vga: 1 + 2 zero; pc.ram: 0-5, 7, 9, 10, 599, 300, 301 and one zero (6); flash: 3 */
	assert_int_equal(result.pages[PAGE_DATA], 1 + 12 + 3);
	assert_int_equal(result.pages[PAGE_ZERO], 2 + 1);
	assert_int_equal(result.pages[PAGE_ABSENT], 607 - 16 - 3);
	assert_int_equal(file_allocated(one.files.bin), 16 * PAGE);
	assert_int_equal(result.vsv_size, vsv.len);
	assert_int_equal(mode_of(one.files.bin), 0600);
	assert_int_equal(mode_of(one.files.vsv), 0600);
	{
		_cleanup_err_ struct err err = ERR_INIT;
		uint64_t sum;

		assert_ok(file_checksum(one.files.vsv, &sum, NULL, NULL, &err), &err);
		assert_int_equal(sum, result.vsv_sum);
	}
}

/* Splits a stream with the flash block taken from a file of that size. */
static int try_replace(const char *dir, const struct bytes *stream, const char *block, size_t size,
		       struct split_result *ret_result, struct err *reterr)
{
	_cleanup_free_ uint8_t *content = xcalloc(size + 1, 1);
	_cleanup_state_ struct state one = state_in(dir, "one");
	_cleanup_split_ struct split *s = NULL;
	_cleanup_free_ char *path = NULL;
	struct split_opts opts = opts_of(&one, 1);
	int r;

	memset(content, 0x5a, size < PAGE ? size : PAGE);
	path = put_file(dir, "flash", content, size);
	assert_ok(split_new(&opts, &s, reterr), reterr);
	assert_ok(split_feed(s, stream->data, stream->len, reterr), reterr);
	r = split_replace(s, block, path, reterr);
	return r < 0 ? r : split_finish(s, ret_result, reterr);
}

static void check_no_replace(const char *dir, const struct bytes *stream, const char *block, size_t size, int code)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct split_result result;

	assert_int_equal(try_replace(dir, stream, block, size, &result, &err), code);
	assert_non_null(err.file);
}

static void test_replace(void **state)
{
	_cleanup_bytes_ struct bytes stream = make_stream(BACKGROUND, 0), some = { 0 }, partly = make_stream(FILLED, 0);
	_cleanup_bytes_ struct bytes nothing = make_stream(POSTCOPY, 0), joined = { 0 };
	_cleanup_(split_result_done) struct split_result result = { 0 };
	_cleanup_state_ struct state one = state_in(*state, "one");
	_cleanup_err_ struct err err = ERR_INIT;
	uint8_t page[PAGE];

	assert_ok(try_replace(*state, &stream, "system.flash1", 3 * PAGE, &result, &err), &err);
	joined = join(*state, &one.files, 1);
	{
		_cleanup_machine_ struct machine want = load(&stream), got = load(&joined);

		memset(page, 0x5a, PAGE);
		memset(want.content[FLASH], 0, 3 * PAGE);
		memcpy(want.content[FLASH], page, PAGE);
		assert_same_machine(&want, &got);
	}
	assert_int_equal(result.pages[PAGE_ZERO], 2 + 1 + 2);
	check_no_replace(*state, &stream, "system.flash1", 3 * PAGE - 1, -EINVAL);
	check_no_replace(*state, &stream, "system.flash1", 4 * PAGE, -EINVAL);
	check_no_replace(*state, &stream, "system.flash0", 3 * PAGE, -ENOENT);
	check_no_replace(*state, &partly, "system.flash1", 3 * PAGE, -ENOTSUP);
	check_no_replace(*state, &nothing, "system.flash1", 3 * PAGE, -ENOTSUP);
	add_start(&some, PLAIN);
	add_ram_start(&some, 1);
	add_section(&some, 3, RAM_ID);
	add_page(&some, 0, "system.flash1", 1);
	add_zero(&some, 2, NULL);
	add_section_end(&some, 1);
	add_devices(&some, 0, 10);
	check_no_replace(*state, &some, "system.flash1", 3 * PAGE, -EBADMSG);
}

/* No room: an error, and nothing is left. */
static void test_no_room(void **state)
{
	_cleanup_bytes_ struct bytes stream = make_stream(PLAIN, 0);
	struct rlimit old, limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	for (rlim_t max = 0; max < 6 << 20; max += max < PAGE ? 100 : 1 << 18) {
		_cleanup_state_ struct state one = state_in(*state, "one");
		_cleanup_err_ struct err err = ERR_INIT;
		_cleanup_(split_result_done) struct split_result result = { 0 };
		struct split_opts opts = opts_of(&one, 1);
		int r;

		limit = (struct rlimit){ max, old.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		r = try_split(&opts, &stream, &result, &err);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		if (r >= 0)
			break;
		assert_int_equal(r, -EFBIG);
		assert_no_files(*state);
	}
}

/* Feeds a stream that goes on with the same page over and over. Returns by how many
 * KiB this process grew meanwhile, or -1. All is freed when it returns: valgrind looks. */
static long growth(const char *dir, int understood)
{
	enum { ROUNDS = 16000 };
	_cleanup_state_ struct state one = state_in(dir, understood ? "a" : "b");
	_cleanup_bytes_ struct bytes start = { 0 }, page = { 0 };
	_cleanup_split_ struct split *s = NULL;
	struct split_opts opts = opts_of(&one, 1);
	struct rusage before, after;
	int r = split_new(&opts, &s, NULL);

	getrusage(RUSAGE_SELF, &before);
	add_start(&start, understood ? PLAIN : POSTCOPY);
	add_ram_start(&start, 1);
	add_section(&start, 2, RAM_ID);
	add_page(&page, 7, "pc.ram", 1);
	if (r >= 0)
		r = split_feed(s, start.data, start.len, NULL);
	for (int i = 0; r >= 0 && i < ROUNDS; i++)
		r = split_feed(s, page.data, page.len, NULL);
	getrusage(RUSAGE_SELF, &after);
	return r < 0 ? -1 : after.ru_maxrss - before.ru_maxrss;
}

/* Memory use does not grow with the stream: neither with pages nor with what is not understood. */
static void test_constant_memory(void **state)
{
	enum { LIMIT_KIB = 16384 };

	for (int understood = 0; understood < 2; understood++) {
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (pid == 0) {
			long kib = growth(*state, understood);

			_exit(kib < 0 || kib > LIMIT_KIB);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_image, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_pieces, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_refused, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_ended_early, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_layout, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_replace, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_no_room, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_constant_memory, scratch_setup, scratch_teardown),
	};

	signal(SIGXFSZ, SIG_IGN);
	use_fast_directory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
