/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of memory files that are reflinks of the one before. test-reflink.sh runs them in
 * TMPDIR, a file system that can. */
#define _GNU_SOURCE /* SEEK_DATA */
#include "tests/unit/stream-util.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

/* Extents of a file that it shares with another, and that it does not. */
static void count_extents(const char *path, unsigned int *ret_shared, unsigned int *ret_own)
{
	enum { MAX = 200 };
	_cleanup_free_ struct fiemap *map = xcalloc(1, sizeof(*map) + MAX * sizeof(struct fiemap_extent));
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	map->fm_length = FIEMAP_MAX_OFFSET;
	map->fm_flags = FIEMAP_FLAG_SYNC;
	map->fm_extent_count = MAX;
	assert_int_equal(ioctl(fd, FS_IOC_FIEMAP, map), 0);
	*ret_shared = *ret_own = 0;
	for (unsigned int i = 0; i < map->fm_mapped_extents; i++) {
		if (map->fm_extents[i].fe_flags & FIEMAP_EXTENT_SHARED)
			++*ret_shared;
		else
			++*ret_own;
	}
}

/* Bytes that are no holes. (What is allocated is more: XFS keeps some room.) */
static int64_t data_bytes(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int64_t sum = 0;

	for (off_t at = 0, end; (at = lseek(fd, at, SEEK_DATA)) >= 0; at = end) {
		end = lseek(fd, at, SEEK_HOLE);
		assert_true(end > at);
		sum += end - at;
	}
	return sum;
}

/* It is the same to the byte, in both files, as one that was made without a parent. */
static void assert_same_as_alone(const char *dir, const struct state *state, const struct bytes *stream)
{
	struct state alone = state_in(dir, "alone");
	_cleanup_bytes_ struct bytes bin = { 0 }, want_bin = { 0 }, vsv = { 0 }, want_vsv = { 0 };
	struct split_result result;

	alone.guid = state->guid;
	result = split_stream(&alone, stream, SIZE_MAX, NULL, 0);
	split_result_done(&result);
	/* before they are read: what XFS keeps for writing counts as data once it is cached */
	assert_int_equal(data_bytes(state->files.bin), data_bytes(alone.files.bin)); /* holes where the parent had pages */
	bin = slurp(state->files.bin);
	want_bin = slurp(alone.files.bin);
	assert_int_equal(bin.len, want_bin.len);
	assert_memory_equal(bin.data, want_bin.data, bin.len);
	vsv = slurp(state->files.vsv);
	want_vsv = slurp(alone.files.vsv);
	assert_int_equal(vsv.len, want_vsv.len);
	assert_memory_equal(vsv.data, want_vsv.data, vsv.len);
	state_done(&alone);
}

/* Each stands alone, shares what is the same, and outlives those before it. */
static void test_generations(void **state)
{
	struct state states[4];
	struct bytes streams[4];

	for (unsigned int i = 0; i < 4; i++) {
		_cleanup_free_ char *name = xasprintf("s%u", i);
		struct split_result result;
		unsigned int shared, own;

		states[i] = state_in(*state, name);
		/* PLAIN has pages as zeros and elsewhere that BACKGROUND has as data, and the other way round */
		streams[i] = make_stream(i % 2 ? PLAIN : BACKGROUND, i);
		result = split_stream(&states[i], &streams[i], 5000, i ? &states[i - 1].files : NULL, i ? 1 : 0);
		assert_true(guid_is_none(&result.parent));
		assert_int_equal(result.pages[PAGE_PARENT], 0);
		split_result_done(&result);
		count_extents(states[i].files.bin, &shared, &own);
		assert_true(i == 0 ? shared == 0 : shared > 0 && own > 0);
		assert_same_as_alone(*state, &states[i], &streams[i]);
	}
	for (int i = 0; i < 4; i++) {
		_cleanup_bytes_ struct bytes joined = join(*state, &states[i].files, 1);
		_cleanup_machine_ struct machine want = load(&streams[i]), got = load(&joined);

		assert_same_machine(&want, &got);
		assert_int_equal(unlink(states[i].files.vsv) | unlink(states[i].files.bin), 0);
		state_done(&states[i]);
		bytes_done(&streams[i]);
	}
}

/* Pages that change and change back, or become zero and come back, while it is written. */
static void test_back_and_forth(void **state)
{
	_cleanup_state_ struct state a = state_in(*state, "a"), b = state_in(*state, "b");
	_cleanup_bytes_ struct bytes one = { 0 }, two = { 0 };
	struct split_result result;

	for (int i = 0; i < 2; i++) {
		struct bytes *s = i ? &two : &one;

		add_start(s, PLAIN);
		add_ram_start(s, 1);
		add_section(s, 2, RAM_ID);
		for (unsigned int page = 0; i && page < 6; page++)
			add_page(s, page, page ? NULL : "pc.ram", 70 + page); /* other than before */
		for (unsigned int page = 6; i && page < 8; page++)
			add_zero(s, page, NULL);
		for (unsigned int page = 0; page < 8; page++)
			add_page(s, page, i || page ? NULL : "pc.ram", 50 + page); /* as in both */
		add_page(s, 20, NULL, i ? 1 : 2);
		for (unsigned int page = 30; !i && page < 40; page++)
			add_page(s, page, NULL, 3); /* of which the second knows nothing */
		add_section_end(s, 1);
		add_devices(s, 1, 100);
	}
	result = split_stream(&a, &one, SIZE_MAX, NULL, 0);
	split_result_done(&result);
	result = split_stream(&b, &two, 777, &a.files, 1);
	assert_true(guid_is_none(&result.parent));
	split_result_done(&result);
	assert_same_as_alone(*state, &b, &two);
}

/* What has a parent itself, or is packed, cannot be reflinked: it is a difference then. */
static void test_difference(void **state)
{
	_cleanup_state_ struct state a = state_in(*state, "a"), b = state_in(*state, "b"), c = state_in(*state, "c");
	_cleanup_bytes_ struct bytes first = make_stream(PLAIN, 0), second = make_stream(PLAIN, 1), joined = { 0 };
	_cleanup_machine_ struct machine want = load(&second), got = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	struct split_result result = split_stream(&a, &first, SIZE_MAX, NULL, 0);

	split_result_done(&result);
	assert_ok(join_pack(&a.files, NULL, NULL, &err), &err);
	result = split_stream(&b, &second, SIZE_MAX, &a.files, 1);
	assert_true(guid_eq(&result.parent, &a.guid) && result.pages[PAGE_PARENT] > 0);
	split_result_done(&result);
	result = split_stream(&c, &second, SIZE_MAX, (struct save_files[]){ b.files, a.files }, 2);
	assert_true(guid_eq(&result.parent, &b.guid) && result.pages[PAGE_DATA] == 0);
	split_result_done(&result);
	assert_ok(join_fold((struct save_files[]){ b.files, a.files }, 2, &b.files, NULL, NULL, &err), &err);
	joined = join(*state, (struct save_files[]){ c.files, b.files }, 2);
	got = load(&joined);
	assert_same_machine(&want, &got);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_generations), TEST(test_back_and_forth), TEST(test_difference) };

	stream_reflink = 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
