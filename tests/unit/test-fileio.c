/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files and directories. What fsync is for cannot be seen here: the fault tests
 * do that. */
#include "tests/unit/common-util.h"

#include <sched.h>

#include "common/err.h"
#include "common/remove.h"

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void check_path(char *got, const char *want)
{
	_cleanup_free_ char *owned = got;

	assert_string_equal(owned, want);
}

/* Nothing but these names is in the directory: no temporary file stayed. */
static void check_names(const char *dir, const char *want)
{
	_cleanup_strv_ char **names = NULL;

	assert_int_equal(dir_list(dir, &names, NULL), 0);
	check_path(strv_join(names, " "), want);
}

static void paths(void **state _unused_)
{
	check_path(path_join("/a", "b"), "/a/b");
	check_path(path_join("/a/", "b"), "/a/b");
	check_path(path_join("/", "b"), "/b");
	check_path(path_join("", "b"), "b");
	check_path(path_dirname("/a/b"), "/a");
	check_path(path_dirname("/a"), "/");
	check_path(path_dirname("a"), ".");
	assert_string_equal(path_basename("/a/b"), "b");
	assert_string_equal(path_basename("b"), "b");
}

static void a_file_is_read_up_to_its_limit(void **state)
{
	_cleanup_free_ char *big = xcalloc(20000, 1), *path = NULL, *data = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	size_t len = 0;

	memset(big, 'x', 20000);
	path = put_file(*state, "f", big, 20000);
	assert_int_equal(file_read(path, 20000, &data, &len, &err), 0);
	assert_int_equal(len, 20000);
	assert_memory_equal(data, big, 20000);
	assert_int_equal(data[20000], '\0');
	xstrset(&data, NULL);
	assert_int_equal(file_read(path, 19999, &data, &len, &err), -EFBIG);
	assert_null(data);
	assert_string_equal(err.file, path);
}

static void empty_and_missing_files(void **state)
{
	_cleanup_free_ char *path = put_file(*state, "empty", "", 0), *none = path_join(*state, "none"), *data = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	size_t len = 7;

	assert_int_equal(file_read(path, 0, &data, &len, &err), 0);
	assert_int_equal(len, 0);
	assert_string_equal(data, "");
	assert_int_equal(file_read(none, 10, &data, NULL, &err), -ENOENT);
	assert_string_equal(err.file, none);
	assert_non_null(strstr(err.message, "No such file"));
}

/* A FIFO or a directory where a document should be is an error, not a hang. */
static void only_regular_files_are_read(void **state)
{
	_cleanup_free_ char *fifo = path_join(*state, "fifo"), *data = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(file_read(fifo, 10, &data, NULL, &err), -EINVAL);
	assert_int_equal(err.kind, ERR_BAD_DATA);
	assert_int_equal(file_read(*state, 10, &data, NULL, NULL), -EINVAL);
	assert_null(data);
}

static void replace_is_whole_and_has_its_mode(void **state)
{
	_cleanup_free_ char *path = put_file(*state, "vm.xml", "old", 3), *data = NULL;
	mode_t old = umask(077);

	assert_int_equal(file_replace(path, "newer", 5, 0644, NULL), 0);
	umask(old);
	assert_int_equal(file_read(path, 100, &data, NULL, NULL), 0);
	assert_string_equal(data, "newer");
	assert_int_equal(mode_of(path), 0644);
	check_names(*state, "vm.xml");
}

/* The rename cannot work (a directory is in the way): nothing else changes. */
static void a_failed_replace_leaves_nothing(void **state)
{
	_cleanup_free_ char *path = path_join(*state, "d"), *missing = path_join(*state, "no/f");
	_cleanup_err_ struct err err = ERR_INIT;

	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(file_replace(path, "x", 1, 0600, &err) < 0);
	assert_string_equal(err.file, path);
	check_names(*state, "d");
	assert_int_equal(file_replace(missing, "x", 1, 0600, NULL), -ENOENT);
}

static void names_of_any_length_can_be_replaced(void **state)
{
	char name[256];
	_cleanup_free_ char *path = NULL;

	memset(name, 'n', 255);
	name[255] = '\0';
	path = path_join(*state, name);
	assert_int_equal(file_replace(path, "x", 1, 0600, NULL), 0);
	check_names(*state, name);
}

#define SPARSE_SIZE (INT64_C(64) << 20)

/* 64 MiB with 8 bytes in the middle, and a hole at the end. */
static char *put_sparse(const char *dir)
{
	char *path = put_file(dir, "sparse", "", 0);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, "midpoint", 8, SPARSE_SIZE / 2), 8);
	assert_int_equal(ftruncate(fd, SPARSE_SIZE), 0);
	close(fd);
	return path;
}

static void a_copy_keeps_holes_and_content(void **state)
{
	_cleanup_free_ char *src = put_sparse(*state), *dst = path_join(*state, "copy"), *a = NULL, *b = NULL;
	size_t len = 0;

	assert_int_equal(file_copy(src, dst, 0440, (uid_t)-1, (gid_t)-1, NULL), 0);
	assert_int_equal(mode_of(dst), 0440);
	assert_int_equal(file_read(src, (size_t)SPARSE_SIZE, &a, NULL, NULL), 0);
	assert_int_equal(file_read(dst, (size_t)SPARSE_SIZE, &b, &len, NULL), 0);
	assert_true(len == (size_t)SPARSE_SIZE);
	assert_true(memcmp(a, b, len) == 0); /* assert_memory_equal would print every difference */
	if (file_allocated(src) < SPARSE_SIZE / 2) /* else this file system has no holes to keep */
		assert_true(file_allocated(dst) < SPARSE_SIZE / 2);
	check_names(*state, "copy sparse");
}

static void a_copy_may_have_another_owner(void **state)
{
	_cleanup_free_ char *src = put_file(*state, "a", "data", 4), *dst = path_join(*state, "b"), *data = NULL;
	struct stat st;

	if (geteuid() != 0)
		skip();
	assert_int_equal(file_copy(src, dst, 04640, 12345, (gid_t)-1, NULL), 0);
	assert_int_equal(stat(dst, &st), 0);
	assert_int_equal(st.st_uid, 12345);
	assert_int_equal(st.st_gid, getegid());
	assert_int_equal(st.st_mode & 07777, 04640);
	assert_int_equal(file_read(dst, 10, &data, NULL, NULL), 0);
	assert_string_equal(data, "data");
}

static void a_copy_of_nothing_fails(void **state)
{
	_cleanup_free_ char *src = path_join(*state, "a"), *dst = path_join(*state, "b");
	_cleanup_err_ struct err err = ERR_INIT;

	assert_int_equal(file_copy(src, dst, 0600, (uid_t)-1, (gid_t)-1, &err), -ENOENT);
	assert_string_equal(err.file, src);
	check_names(*state, "");
}

static void removing_twice_is_success(void **state)
{
	_cleanup_free_ char *path = put_file(*state, "f", "x", 1), *inside = path_join(path, "g");

	assert_int_equal(path_exists(path), 1);
	assert_int_equal(file_remove(path, NULL), 0);
	assert_int_equal(path_exists(path), 0);
	assert_int_equal(file_remove(path, NULL), 0);
	assert_int_equal(path_exists(inside), 0);
}

/* How many descriptors of this process refer to path, also if that is removed. */
static int n_open(const char *path)
{
	_cleanup_strv_ char **names = NULL;
	int n = 0;

	assert_int_equal(dir_list("/proc/self/fd", &names, NULL), 0);
	for (size_t i = 0; names && names[i]; i++) {
		_cleanup_free_ char *link = path_join("/proc/self/fd", names[i]);
		char target[4096];
		ssize_t len = readlink(link, target, sizeof(target));

		n += len > 0 && (size_t)len >= strlen(path) && memcmp(target, path, strlen(path)) == 0;
	}
	return n;
}

/* Small or large, the name is gone on return, and soon nothing holds the blocks. */
static void removing_behind(void **state)
{
	static const size_t sizes[] = { 0, 4096, 20 << 20 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_free_ char *data = xcalloc(sizes[i] + 1, 1), *path = NULL;

		memset(data, 'x', sizes[i]);
		path = put_file(*state, "f", data, sizes[i]);
		assert_int_equal(file_remove_behind(path, NULL), 0);
		assert_int_equal(path_exists(path), 0);
		while (n_open(path))
			sched_yield();
		assert_int_equal(file_remove_behind(path, NULL), 0);
	}
	assert_true(file_remove_behind(*state, NULL) < 0);
	assert_int_equal(path_exists(*state), 1);
}

static void directories(void **state)
{
	_cleanup_free_ char *dir = path_join(*state, "d/"), *file = NULL, *below = path_join(*state, "x/y");
	mode_t old = umask(0777);

	assert_int_equal(dir_make(dir, 0751, NULL), 0);
	umask(old);
	assert_int_equal(mode_of(dir), 0751);
	assert_int_equal(dir_make(dir, 0700, NULL), 0);
	assert_int_equal(mode_of(dir), 0751);
	file = put_file(dir, "f", "x", 1);
	assert_int_equal(dir_make(file, 0700, NULL), -ENOTDIR);
	assert_int_equal(dir_remove(dir, NULL), -ENOTEMPTY);
	assert_int_equal(path_exists(file), 1);
	assert_int_equal(file_remove(file, NULL), 0);
	assert_int_equal(dir_remove(dir, NULL), 0);
	assert_int_equal(dir_remove(dir, NULL), 0);
	assert_int_equal(dir_make(below, 0700, NULL), -ENOENT);
}

static void lists_are_sorted(void **state)
{
	static const char *const names[] = { "b", "a", ".hidden", "B", "aa" };
	_cleanup_strv_ char **none = NULL;

	check_names(*state, "");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		free(put_file(*state, names[i], "", 0));
	check_names(*state, ".hidden B a aa b");
	assert_int_equal(dir_list("/nonexistent", &none, NULL), -ENOENT);
	assert_null(none);
}

static void sizes_on_disk(void **state)
{
	int64_t bytes = -1;

	assert_int_equal(disk_free(*state, &bytes, NULL), 0);
	assert_true(bytes >= 0);
	assert_true(disk_free("/nonexistent", &bytes, NULL) < 0);
	assert_int_equal(file_allocated("/nonexistent"), 0);
}

static void writing_reports_failures(void **state _unused_)
{
	_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	char buf[4];

	if (full < 0)
		skip();
	assert_int_equal(write_all(full, "x", 1), -ENOSPC);
	assert_int_equal(write_all(-1, "x", 1), -EBADF);
	assert_int_equal(pread_all(-1, buf, 4, 0), -EBADF);
}

static void reading_stops_at_the_end(void **state)
{
	_cleanup_free_ char *path = put_file(*state, "f", "0123456789", 10);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buf[8];

	assert_int_equal(pread_all(fd, buf, 4, 2), 4);
	assert_memory_equal(buf, "2345", 4);
	assert_int_equal(pread_all(fd, buf, 8, 7), 3);
	assert_int_equal(pread_all(fd, buf, 8, 100), 0);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, dir_setup, dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		IN_DIR(a_file_is_read_up_to_its_limit),
		IN_DIR(empty_and_missing_files),
		IN_DIR(only_regular_files_are_read),
		IN_DIR(replace_is_whole_and_has_its_mode),
		IN_DIR(a_failed_replace_leaves_nothing),
		IN_DIR(names_of_any_length_can_be_replaced),
		IN_DIR(a_copy_keeps_holes_and_content),
		IN_DIR(a_copy_may_have_another_owner),
		IN_DIR(a_copy_of_nothing_fails),
		IN_DIR(removing_twice_is_success),
		IN_DIR(removing_behind),
		IN_DIR(directories),
		IN_DIR(lists_are_sorted),
		IN_DIR(sizes_on_disk),
		cmocka_unit_test(writing_reports_failures),
		IN_DIR(reading_stops_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
