/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of save states that are the difference of another: splitting, joining
 * through a chain, folding, and what is wrong with a parent. */
#include "tests/unit/stream-util.h"

enum { DEPTH = 4 };

/* A chain of save states at different instants; [0] is the youngest. */
struct family {
	char *dir;
	struct state state[DEPTH];
	struct save_files files[DEPTH];
	struct bytes stream[DEPTH];
	struct split_result result[DEPTH];
};

static struct family make_family(const char *dir)
{
	struct family f = { .dir = xstrdup(dir) };

	for (int i = DEPTH - 1; i >= 0; i--) {
		_cleanup_free_ char *name = xasprintf("s%d", i);

		f.state[i] = state_in(dir, name);
		f.files[i] = f.state[i].files;
		f.stream[i] = make_stream(i % 2 ? PLAIN : BACKGROUND, (unsigned int)(DEPTH - i));
		f.result[i] = split_stream(&f.state[i], &f.stream[i], 5000, f.files + i + 1, (size_t)(DEPTH - 1 - i));
	}
	return f;
}

static void family_done(struct family *f)
{
	for (int i = 0; i < DEPTH; i++) {
		state_done(&f->state[i]);
		bytes_done(&f->stream[i]);
		split_result_done(&f->result[i]);
	}
	free(f->dir);
}
#define _cleanup_family_ _cleanup_(family_done)

/* Joined through these n files, it is the guest of that stream. */
static void check_joined(const char *dir, const struct save_files *files, size_t n, const struct bytes *stream)
{
	_cleanup_bytes_ struct bytes joined = join(dir, files, n);
	_cleanup_machine_ struct machine want = load(stream), got = load(&joined);

	assert_same_machine(&want, &got);
}

static void test_chain(void **state)
{
	_cleanup_family_ struct family f = make_family(*state);

	for (int i = 0; i < DEPTH; i++) {
		check_joined(f.dir, f.files + i, (size_t)(DEPTH - i), &f.stream[i]);
		assert_true(guid_eq(&f.result[i].parent, i + 1 < DEPTH ? &f.state[i + 1].guid : &(struct guid){ "" }));
	}
	/* of pc.ram the pages 5 and 300 change each time; PLAIN makes 3, 6, 7 and 9 others than BACKGROUND */
	assert_int_equal(f.result[2].pages[PAGE_DATA], 5);
	assert_int_equal(f.result[2].pages[PAGE_PARENT], f.result[3].pages[PAGE_DATA] - 5);
	assert_int_equal(f.result[1].pages[PAGE_DATA], 5);
	assert_int_equal(file_allocated(f.files[1].bin), 5 * PAGE);
}

/* The same guest again costs nothing, also if it was changed and changed back. */
static void test_same_again(void **state)
{
	_cleanup_state_ struct state a = state_in(*state, "a"), b = state_in(*state, "b");
	_cleanup_bytes_ struct bytes one = make_stream(BACKGROUND, 0), two = { 0 };
	_cleanup_(split_result_done) struct split_result first = split_stream(&a, &one, SIZE_MAX, NULL, 0);
	_cleanup_(split_result_done) struct split_result second = { 0 };

	add_start(&two, BACKGROUND);
	add_ram_start(&two, 1);
	add_section(&two, 2, RAM_ID);
	add_page(&two, 2, "pc.ram", 99); /* which goes back to what it was */
	add_zero(&two, 10, NULL);
	add_section_end(&two, 1);
	{
		const uint8_t *rest = (const uint8_t *)memmem(one.data, one.len, "\x7e\0\0\0\3\2\0\0\0\3", 10) + 5;

		add(&two, rest, one.len - (size_t)(rest - one.data));
	}
	second = split_stream(&b, &two, SIZE_MAX, &a.files, 1);
	assert_int_equal(second.pages[PAGE_DATA], 0);
	assert_int_equal(second.pages[PAGE_PARENT], first.pages[PAGE_DATA]);
	assert_int_equal(file_allocated(b.files.bin), 0);
	check_joined(*state, (struct save_files[]){ b.files, a.files }, 2, &two);
}

static void copy_file(const char *from, const char *to)
{
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(file_copy(from, to, 0600, (uid_t)-1, (gid_t)-1, &err), &err);
}

/* In place. */
static int fold(const struct save_files *files, size_t n, struct err *reterr)
{
	return join_fold(files, n, &files[0], NULL, NULL, reterr);
}

/* Folding takes one save state after the other out of the chain. */
static void test_fold(void **state)
{
	_cleanup_family_ struct family f = make_family(*state);
	_cleanup_err_ struct err err = ERR_INIT;

	/* the one in the middle goes, then the one before it */
	assert_ok(fold(f.files + 1, 3, &err), &err);
	assert_ok(fold(f.files + 1, 3, &err), &err); /* again: nothing to do */
	assert_int_equal(unlink(f.files[2].vsv) | unlink(f.files[2].bin), 0);
	check_joined(f.dir, (struct save_files[]){ f.files[1], f.files[3] }, 2, &f.stream[1]);
	check_joined(f.dir, (struct save_files[]){ f.files[0], f.files[1], f.files[3] }, 3, &f.stream[0]);
	assert_ok(fold((struct save_files[]){ f.files[1], f.files[3] }, 2, &err), &err);
	assert_int_equal(unlink(f.files[3].vsv) | unlink(f.files[3].bin), 0);
	check_joined(f.dir, &f.files[1], 1, &f.stream[1]);
	check_joined(f.dir, f.files, 2, &f.stream[0]);
	assert_ok(fold((struct save_files[]){ f.files[1], f.files[3] }, 2, &err), &err); /* stands alone: nothing to do */
	assert_ok(fold(f.files, 2, &err), &err);
	check_joined(f.dir, f.files, 1, &f.stream[0]);
}

/* A crash after .bin was replaced and before .vsv was. */
static void test_fold_interrupted(void **state)
{
	_cleanup_family_ struct family f = make_family(*state);
	_cleanup_free_ char *old = path_join(*state, "old");
	_cleanup_err_ struct err err = ERR_INIT;

	copy_file(f.files[0].vsv, old);
	assert_ok(fold(f.files, DEPTH, &err), &err);
	assert_int_equal(rename(old, f.files[0].vsv), 0);
	check_joined(f.dir, f.files, DEPTH, &f.stream[0]);
	flip(f.files[0].bin, 1 * PAGE + 5); /* what folding put there is not taken for good unseen */
	assert_int_equal(join_verify(f.files, DEPTH, NULL, NULL, &err), -EBADMSG);
	assert_string_equal(err.file, f.files[0].bin);
	err_done(&err);
	assert_ok(fold(f.files, DEPTH, &err), &err);
	check_joined(f.dir, (struct save_files[]){ f.files[0], f.files[2], f.files[3] }, 3, &f.stream[0]);
}

/* A damaged parent is found where the child needs it, and named. */
static void test_damaged_parent(void **state)
{
	_cleanup_family_ struct family f = make_family(*state);
	_cleanup_err_ struct err err = ERR_INIT, vsv = ERR_INIT, folding = ERR_INIT, split = ERR_INIT;
	_cleanup_bytes_ struct bytes joined = { 0 };
	_cleanup_vsv_ struct vsv *parent = NULL;
	struct split_opts opts = { .vsv = "/nowhere/x", .bin = "/nowhere/y", .parents = f.files, .n_parents = DEPTH };
	struct split *s;

	flip(f.files[3].bin, 2 * PAGE + 7);
	assert_int_equal(join_verify(f.files, DEPTH, NULL, NULL, &err), -EBADMSG);
	assert_string_equal(err.file, f.files[3].bin);
	assert_int_equal(try_join(f.dir, f.files, DEPTH, JOIN_NONE, NULL, &joined, NULL), -EBADMSG);
	assert_int_equal(fold(f.files + 2, 2, &folding), -EBADMSG);
	flip(f.files[3].bin, 2 * PAGE + 7);
	assert_ok(vsv_open(f.files[2].vsv, &parent, &vsv), &vsv);
	flip(f.files[2].vsv, (off_t)vsv_info(parent)->part[VSV_HASHES].offset + 3);
	assert_int_equal(join_verify(f.files, DEPTH, NULL, NULL, &vsv), -EBADMSG);
	assert_string_equal(vsv.file, f.files[2].vsv);
	assert_non_null(strstr(vsv.message, "page hashes"));
	assert_int_equal(split_new(&opts, &s, &split), -EBADMSG);
	assert_string_equal(split.file, f.files[2].vsv);
}

/* Parents that are not named, are others, or were replaced under the same GUID. */
static void test_wrong_parent(void **state)
{
	_cleanup_family_ struct family f = make_family(*state);
	_cleanup_err_ struct err none = ERR_INIT, other = ERR_INIT, many = ERR_INIT, replaced = ERR_INIT;
	_cleanup_bytes_ struct bytes stream = make_stream(PLAIN, 1);
	struct split_result result;
	uint8_t page[PAGE];

	assert_int_equal(join_verify(f.files, 2, NULL, NULL, &none), -EINVAL);
	assert_non_null(strstr(none.message, f.state[2].guid.s));
	assert_int_equal(join_verify((struct save_files[]){ f.files[0], f.files[2], f.files[3] }, 3, NULL, NULL,
				     &other), -EBADMSG);
	assert_string_equal(other.file, f.files[2].vsv);
	assert_int_equal(join_verify((struct save_files[]){ f.files[3], f.files[2] }, 2, NULL, NULL, &many), -EBADMSG);
	fill_page(page, 30);
	((uint8_t *)memmem(stream.data, stream.len, page, PAGE))[77]++;
	result = split_stream(&f.state[3], &stream, SIZE_MAX, NULL, 0);
	assert_int_equal(join_verify(f.files + 2, 2, NULL, NULL, &replaced), -EBADMSG);
	assert_non_null(strstr(replaced.message, "replaced"));
	split_result_done(&result);
}

/* What is not split has no parent. */
static void test_not_split(void **state)
{
	_cleanup_state_ struct state a = state_in(*state, "a"), b = state_in(*state, "b");
	_cleanup_bytes_ struct bytes one = make_stream(PLAIN, 0), two = make_stream(POSTCOPY, 0), joined = { 0 };
	_cleanup_(split_result_done) struct split_result first = split_stream(&a, &one, SIZE_MAX, NULL, 0);
	_cleanup_(split_result_done) struct split_result second = split_stream(&b, &two, SIZE_MAX, &a.files, 1);

	assert_true(first.form == SPLIT_ALL && second.form == SPLIT_NOTHING);
	assert_true(guid_is_none(&second.parent));
	joined = join(*state, &b.files, 1);
	assert_int_equal(joined.len, two.len);
}

static void test_compare(void **state)
{
	_cleanup_family_ struct family f = make_family(*state);
	_cleanup_err_ struct err err = ERR_INIT;
	struct join_diff diff;

	assert_ok(join_compare(f.files, DEPTH, f.files + 2, 2, &diff, &err), &err);
	assert_int_equal(diff.changed, 2); /* pages 5 and 300 */
	assert_int_equal(diff.same, 607 - 2);
	assert_ok(join_compare(f.files, DEPTH, f.files + 1, 3, &diff, &err), &err);
	assert_int_equal(diff.changed, 6);
	assert_int_equal(diff.only_first + diff.only_second, 0);
	assert_ok(join_compare(f.files, DEPTH, f.files, DEPTH, &diff, &err), &err);
	assert_int_equal(diff.changed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_chain, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_same_again, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_fold, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_fold_interrupted, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_damaged_parent, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_wrong_parent, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_not_split, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_compare, scratch_setup, scratch_teardown),
	};

	use_fast_directory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
