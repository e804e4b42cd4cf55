/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of packed memory files: there and back, joined, folded and built upon, what is
 * damaged, and what a crash leaves. */
#include "tests/unit/stream-util.h"

#include "savestate/packed.h"

enum { YOUNG, OLD, OLDEST, DEPTH };

/* Three save states, each a difference of the one behind it. */
struct family {
	char *dir;
	struct state state[DEPTH];
	struct save_files files[DEPTH];
	struct bytes stream[DEPTH], joined[DEPTH];
};

static struct family make_family(const char *dir)
{
	struct family f = { .dir = xstrdup(dir) };

	for (int i = DEPTH - 1; i >= 0; i--) {
		_cleanup_free_ char *name = xasprintf("s%d", i);
		struct split_result result;

		f.state[i] = state_in(dir, name);
		f.files[i] = f.state[i].files;
		f.stream[i] = make_stream(i % 2 ? PLAIN : BACKGROUND, (unsigned int)(DEPTH - i));
		result = split_stream(&f.state[i], &f.stream[i], 5000, f.files + i + 1, (size_t)(DEPTH - 1 - i));
		split_result_done(&result);
		f.joined[i] = join(dir, f.files + i, (size_t)(DEPTH - i));
	}
	return f;
}

static void family_done(struct family *f)
{
	for (int i = 0; i < DEPTH; i++) {
		state_done(&f->state[i]);
		bytes_done(&f->stream[i]);
		bytes_done(&f->joined[i]);
	}
	free(f->dir);
}
#define _cleanup_family_ _cleanup_(family_done)

/* Joined through these files, it is byte by byte what it was before anything was packed. */
static void check(const struct family *f, int i, const struct save_files *files, size_t n)
{
	_cleanup_bytes_ struct bytes now = join(f->dir, files, n);

	assert_int_equal(now.len, f->joined[i].len);
	assert_memory_equal(now.data, f->joined[i].data, now.len);
}

static void check_all(const struct family *f)
{
	for (int i = 0; i < DEPTH; i++)
		check(f, i, f->files + i, (size_t)(DEPTH - i));
}

static void pack(const struct save_files *files)
{
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(join_pack(files, NULL, NULL, &err), &err);
}

static void unpack(const struct save_files *files)
{
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(join_unpack(files, NULL, NULL, &err), &err);
}

/* Which of both files is there: 1 flat, 2 packed, 3 both. */
static int forms(const struct save_files *files)
{
	_cleanup_free_ char *packed = packed_name(files->bin);

	return path_exists(files->bin) + 2 * path_exists(packed);
}

static void assert_no_temps(const char *dir)
{
	_cleanup_strv_ char **names = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(dir_list(dir, &names, &err), &err);
	for (size_t i = 0; names[i]; i++)
		assert_null(strstr(names[i], ".tmp"));
}

static void test_there_and_back(void **state)
{
	_cleanup_family_ struct family f = make_family(*state);

	for (int i = 0; i < DEPTH; i++) {
		_cleanup_bytes_ struct bytes flat = slurp(f.files[i].bin), again = { 0 };
		int64_t allocated = file_allocated(f.files[i].bin);

		pack(&f.files[i]);
		assert_int_equal(forms(&f.files[i]), 2);
		pack(&f.files[i]); /* again: nothing to do */
		assert_int_equal(forms(&f.files[i]), 2);
		check_all(&f);
		unpack(&f.files[i]);
		assert_int_equal(forms(&f.files[i]), 1);
		unpack(&f.files[i]);
		again = slurp(f.files[i].bin);
		assert_int_equal(again.len, flat.len);
		assert_memory_equal(again.data, flat.data, flat.len);
		assert_int_equal(file_allocated(f.files[i].bin), allocated); /* holes are holes */
		pack(&f.files[i]);
	}
	check_all(&f);
	assert_no_temps(f.dir);
}

/* Pages that cannot be made smaller, and such that can. */
static void test_sizes(void **state)
{
	_cleanup_state_ struct state a = state_in(*state, "a");
	_cleanup_bytes_ struct bytes stream = { 0 }, joined = { 0 }, again = { 0 };
	_cleanup_free_ char *packed = packed_name(a.files.bin);
	struct split_result result;
	uint64_t random = 88172645463325252ULL;

	add_start(&stream, PLAIN);
	add_ram_start(&stream, 1);
	add_section(&stream, 2, RAM_ID);
	for (uint64_t page = 0; page < 50; page++) {
		uint64_t content[PAGE / 8];

		for (size_t i = 0; i < PAGE / 8; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			content[i] = page < 40 ? random : page; /* the last whole frame is mixed, one is not whole */
		}
		add_record(&stream, 8, page, page ? NULL : "pc.ram");
		add(&stream, content, PAGE);
	}
	add_section_end(&stream, 1);
	add_devices(&stream, 1, 100);
	result = split_stream(&a, &stream, SIZE_MAX, NULL, 0);
	assert_int_equal(result.pages[PAGE_DATA], 50);
	split_result_done(&result);
	joined = join(*state, &a.files, 1);
	pack(&a.files);
	{
		_cleanup_bytes_ struct bytes file = slurp(packed);

		assert_in_range(file.len, 40 * PAGE, 42 * PAGE);
	}
	again = join(*state, &a.files, 1);
	assert_int_equal(again.len, joined.len);
	assert_memory_equal(again.data, joined.data, again.len);
}

/* A bit that is turned over anywhere in the file is found, before anything comes of it, and
 * the file is named. */
static void test_flipped(void **state)
{
	_cleanup_family_ struct family f = make_family(*state);
	const struct save_files *files = &f.files[OLDEST];
	_cleanup_free_ char *packed = packed_name(files->bin);
	struct stat st;

	pack(files);
	assert_int_equal(stat(packed, &st), 0);
	for (off_t at = 0; at < st.st_size; at += at < 100 || st.st_size - at < 200 ? 1 : 37) {
		_cleanup_err_ struct err err = ERR_INIT, unpacking = ERR_INIT;

		flip(packed, at);
		assert_int_equal(join_verify(files, 1, NULL, NULL, &err) < 0, 1);
		assert_int_equal(err.kind, ERR_BAD_DATA);
		assert_string_equal(err.file, packed);
		assert_int_equal(join_unpack(files, NULL, NULL, &unpacking) < 0, 1);
		assert_string_equal(unpacking.file, packed);
		assert_int_equal(forms(files), 2);
		flip(packed, at);
	}
	assert_no_temps(f.dir);
	check_all(&f);
}

/* One that ends early, at any place, or has more behind it. */
static void test_cut(void **state)
{
	_cleanup_family_ struct family f = make_family(*state);
	const struct save_files *files = &f.files[OLDEST];
	_cleanup_free_ char *packed = packed_name(files->bin);
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_bytes_ struct bytes whole = { 0 };

	pack(files);
	whole = slurp(packed);
	for (size_t len = 0; len < whole.len; len += len < 200 ? 1 : 97) {
		_cleanup_err_ struct err cut = ERR_INIT;

		assert_ok(file_replace(packed, whole.data, len, 0600, &err), &err);
		assert_int_equal(join_verify(files, 1, NULL, NULL, &cut) < 0, 1);
		assert_string_equal(cut.file, packed);
	}
	add_number(&whole, 0, 8);
	assert_ok(file_replace(packed, whole.data, whole.len, 0600, &err), &err);
	assert_int_equal(join_verify(files, 1, NULL, NULL, &err), -EBADMSG);
}

/* Another save state's packed file is no good. */
static void test_of_another(void **state)
{
	_cleanup_family_ struct family f = make_family(*state);
	_cleanup_free_ char *one = packed_name(f.files[OLD].bin), *other = packed_name(f.files[OLDEST].bin);
	_cleanup_err_ struct err err = ERR_INIT;

	pack(&f.files[OLD]);
	pack(&f.files[OLDEST]);
	assert_int_equal(rename(one, other), 0);
	assert_int_equal(join_verify(&f.files[OLDEST], 1, NULL, NULL, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "another save state"));
}

static void test_missing(void **state)
{
	_cleanup_family_ struct family f = make_family(*state);
	_cleanup_err_ struct err err = ERR_INIT;

	assert_int_equal(unlink(f.files[OLDEST].bin), 0);
	assert_int_equal(join_verify(&f.files[OLDEST], 1, NULL, NULL, &err), -ENOENT);
	assert_string_equal(err.file, f.files[OLDEST].bin);
}

/* Damage in the flat file is found, and it stays. */
static void test_damaged_flat(void **state)
{
	_cleanup_family_ struct family f = make_family(*state);
	_cleanup_err_ struct err err = ERR_INIT;

	flip(f.files[OLDEST].bin, 2 * PAGE + 7);
	assert_int_equal(join_pack(&f.files[OLDEST], NULL, NULL, &err), -EBADMSG);
	assert_string_equal(err.file, f.files[OLDEST].bin);
	assert_int_equal(forms(&f.files[OLDEST]), 1);
	assert_no_temps(f.dir);
	flip(f.files[OLDEST].bin, 2 * PAGE + 7);
	check_all(&f);
}

/* What a crash leaves between getting a name and losing the other: both; the flat one
 * counts, and either way goes on from there. */
static void test_both(void **state)
{
	_cleanup_family_ struct family f = make_family(*state);
	const struct save_files *files = &f.files[OLD];
	_cleanup_free_ char *packed = packed_name(files->bin), *kept = path_join(*state, "kept");
	_cleanup_err_ struct err err = ERR_INIT;

	for (int way = 0; way < 2; way++) {
		assert_ok(file_copy(files->bin, kept, 0600, (uid_t)-1, (gid_t)-1, &err), &err);
		pack(files);
		assert_int_equal(rename(kept, files->bin), 0);
		assert_int_equal(forms(files), 3);
		flip(packed, 100); /* whatever is in it */
		check_all(&f);
		if (way == 0)
			pack(files);
		else
			unpack(files);
		assert_int_equal(forms(files), way == 0 ? 2 : 1);
		check_all(&f);
		unpack(files);
	}
}

static int stop_half_way(void *arg _unused_, uint64_t done, uint64_t total)
{
	return done > total / 2;
}

static void test_cancel(void **state)
{
	_cleanup_family_ struct family f = make_family(*state);
	_cleanup_err_ struct err one = ERR_INIT, two = ERR_INIT;

	assert_int_equal(join_pack(&f.files[OLDEST], stop_half_way, NULL, &one), -ECANCELED);
	assert_int_equal(forms(&f.files[OLDEST]), 1);
	pack(&f.files[OLDEST]);
	assert_int_equal(join_unpack(&f.files[OLDEST], stop_half_way, NULL, &two), -ECANCELED);
	assert_int_equal(forms(&f.files[OLDEST]), 2);
	assert_no_temps(f.dir);
	check_all(&f);
}

/* Folding, extracting, comparing and new differences, with packed parents. */
static void test_used_packed(void **state)
{
	_cleanup_family_ struct family f = make_family(*state);
	_cleanup_free_ char *flat = path_join(*state, "flat"), *stale = packed_name(f.files[YOUNG].bin);
	_cleanup_close_ int fd = open(flat, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	_cleanup_state_ struct state next = state_in(*state, "next");
	_cleanup_err_ struct err err = ERR_INIT;
	struct split_result result;
	struct join_diff diff;

	for (int i = 0; i < DEPTH; i++)
		pack(&f.files[i]);
	assert_ok(join_compare(f.files, DEPTH, f.files + OLD, 2, &diff, &err), &err);
	assert_true(diff.changed > 0 && diff.same > 500);
	assert_ok(join_extract(f.files, DEPTH, fd, flat, NULL, NULL, &err), &err);
	result = split_stream(&next, &f.stream[YOUNG], SIZE_MAX, f.files, DEPTH);
	assert_int_equal(result.pages[PAGE_DATA], 0);
	split_result_done(&result);
	/* the one in the middle goes */
	assert_ok(join_fold(f.files, DEPTH, f.files, NULL, NULL, &err), &err);
	assert_int_equal(forms(&f.files[YOUNG]), 3);
	assert_int_equal(unlink(stale), 0);
	assert_int_equal(unlink(f.files[OLD].vsv), 0);
	check(&f, YOUNG, (struct save_files[]){ f.files[YOUNG], f.files[OLDEST] }, 2);
	pack(&f.files[YOUNG]);
	check(&f, YOUNG, (struct save_files[]){ f.files[YOUNG], f.files[OLDEST] }, 2);
}

/* A save state that holds no memory of its own in a file. */
static void test_nothing_to_pack(void **state)
{
	_cleanup_state_ struct state a = state_in(*state, "a");
	_cleanup_bytes_ struct bytes stream = make_stream(POSTCOPY, 0);
	struct split_result result = split_stream(&a, &stream, SIZE_MAX, NULL, 0);
	_cleanup_err_ struct err err = ERR_INIT;

	assert_true(result.form == SPLIT_NOTHING);
	split_result_done(&result);
	assert_int_equal(join_pack(&a.files, NULL, NULL, &err), -ENOTSUP);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_there_and_back), TEST(test_sizes),	   TEST(test_flipped),	   TEST(test_cut),
		TEST(test_of_another),	   TEST(test_missing),	   TEST(test_damaged_flat), TEST(test_both),
		TEST(test_cancel),	   TEST(test_used_packed), TEST(test_nothing_to_pack),
	};

	use_fast_directory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
