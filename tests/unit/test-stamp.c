/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Seals of sealed disks. */
#include "tests/unit/common-util.h"

#include "common/stamp.h"

#define SIZE 10000

static char *put_disk(const char *dir)
{
	char data[SIZE];

	memset(data, 'd', sizeof(data));
	return put_file(dir, "disk.avhd", data, sizeof(data));
}

/* Writes one byte, and puts the time stamp back as a careless tool would. */
static void poke(const char *path, off_t at, char byte)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	struct timespec times[2];
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(futimens(fd, times), 0);
}

static void check_drift(const char *path, const struct stamp *stamp, const char *why)
{
	_cleanup_err_ struct err err = ERR_INIT;

	assert_int_equal(stamp_check(path, stamp, &err), -ESTALE);
	assert_int_equal(err.kind, ERR_DRIFT);
	assert_string_equal(err.file, path);
	assert_non_null(strstr(err.message, path));
	assert_non_null(strstr(err.message, why));
	assert_non_null(err.hint);
}

static void an_unchanged_disk_passes(void **state)
{
	_cleanup_free_ char *path = put_disk(*state), *moved = path_join(*state, "moved");
	struct stamp stamp;

	assert_int_equal(stamp_take(path, &stamp, NULL), 0);
	assert_int_equal(stamp.size, SIZE);
	assert_true(stamp.mtime_ns > INT64_C(1600000000000000000));
	assert_int_equal(stamp_check(path, &stamp, NULL), 0);
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(stamp_check(moved, &stamp, NULL), 0);
}

static void every_kind_of_drift_is_seen(void **state)
{
	_cleanup_free_ char *path = put_disk(*state);
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1700000000, .tv_nsec = 1 } };
	struct stamp stamp;

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_int_equal(stamp_take(path, &stamp, NULL), 0);
	poke(path, 4095, 'x');
	check_drift(path, &stamp, "first 4 KiB");
	poke(path, 4095, 'd');
	assert_int_equal(stamp_check(path, &stamp, NULL), 0);
	times[1].tv_nsec = 2;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	check_drift(path, &stamp, "later");
	times[1].tv_nsec = 0;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	check_drift(path, &stamp, "earlier");
	assert_int_equal(truncate(path, SIZE + 1), 0);
	check_drift(path, &stamp, "size");
}

static void small_missing_and_odd_files(void **state)
{
	_cleanup_free_ char *tiny = put_file(*state, "tiny", "x", 1), *fifo = path_join(*state, "fifo");
	_cleanup_err_ struct err err = ERR_INIT;
	struct stamp stamp = { .size = 5 };

	assert_int_equal(stamp_take(tiny, &stamp, NULL), 0);
	assert_int_equal(stamp.size, 1);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(stamp_take(fifo, &stamp, &err), -EINVAL);
	assert_int_equal(file_remove(tiny, NULL), 0);
	assert_int_equal(stamp_take(tiny, &stamp, NULL), -ENOENT);
	assert_int_equal(stamp_check(tiny, &stamp, NULL), -ENOENT);
	assert_int_equal(stamp.size, 1);
}

/* Vectors of the reference implementation (xxhsum -H3). */
static void checksums_are_xxh3(void **state)
{
	_cleanup_free_ char *empty = put_file(*state, "empty", "", 0), *big = NULL;
	_cleanup_free_ char *data = xcalloc(3 << 20, 1);
	uint64_t sum = 0, other = 0;

	assert_int_equal(file_checksum(empty, &sum, NULL, NULL, NULL), 0);
	assert_true(sum == UINT64_C(0x2d06800538d394c2));
	big = put_file(*state, "big", data, 3 << 20);
	assert_int_equal(file_checksum(big, &sum, NULL, NULL, NULL), 0);
	poke(big, (3 << 20) - 1, 'x');
	assert_int_equal(file_checksum(big, &other, NULL, NULL, NULL), 0);
	assert_true(sum != other);
	poke(big, (3 << 20) - 1, '\0');
	assert_int_equal(file_checksum(big, &other, NULL, NULL, NULL), 0);
	assert_true(sum == other);
}

static int stop_at_third(void *arg)
{
	return ++*(int *)arg == 3;
}

static void a_checksum_can_be_cancelled(void **state)
{
	_cleanup_free_ char *data = xcalloc(5 << 20, 1), *path = put_file(*state, "big", data, 5 << 20);
	_cleanup_err_ struct err err = ERR_INIT;
	uint64_t sum = 42;
	int calls = 0;

	assert_int_equal(file_checksum(path, &sum, stop_at_third, &calls, &err), -ECANCELED);
	assert_int_equal(err.kind, ERR_CANCELLED);
	assert_int_equal(calls, 3);
	assert_true(sum == 42);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, dir_setup, dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(an_unchanged_disk_passes),
		IN_DIR(every_kind_of_drift_is_seen),
		IN_DIR(small_missing_and_odd_files),
		IN_DIR(checksums_are_xxh3),
		IN_DIR(a_checksum_can_be_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
