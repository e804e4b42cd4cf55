/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of the qcow2 header reader on headers made by hand. */
#include "tests/unit/layout-util.h"

#include "layout/qcow2.h"

#define FILE_SIZE (1 << 20)
#define CLUSTER 65536

static void put32(uint8_t *p, uint32_t value)
{
	for (int i = 3; i >= 0; i--, value >>= 8)
		p[i] = (uint8_t)value;
}

static void put64(uint8_t *p, uint64_t value)
{
	put32(p, (uint32_t)(value >> 32));
	put32(p + 4, (uint32_t)value);
}

/* Where the fields are. */
enum {
	AT_VERSION = 4, AT_BACKING_OFFSET = 8, AT_BACKING_LEN = 16, AT_CLUSTER_BITS = 20, AT_SIZE = 24, AT_CRYPT = 32,
	AT_L1_SIZE = 36, AT_L1_OFFSET = 40, AT_REFTABLE_OFFSET = 48, AT_REFTABLE_CLUSTERS = 56, AT_SNAPSHOTS = 60,
	AT_SNAPSHOTS_OFFSET = 64, AT_INCOMPATIBLE = 72, AT_REFCOUNT_ORDER = 96, AT_HEADER_LENGTH = 100,
};

/* A sound version 3 header of a 1 GiB overlay over "base.raw". */
static uint8_t *sound(void)
{
	uint8_t *h = xcalloc(CLUSTER, 1);

	put32(h, 0x514649fb);
	put32(h + AT_VERSION, 3);
	put64(h + AT_BACKING_OFFSET, 144);
	put32(h + AT_BACKING_LEN, 8);
	put32(h + AT_CLUSTER_BITS, 16);
	put64(h + AT_SIZE, 1 << 30);
	put32(h + AT_L1_SIZE, 4);
	put64(h + AT_L1_OFFSET, 3 * CLUSTER);
	put64(h + AT_REFTABLE_OFFSET, CLUSTER);
	put32(h + AT_REFTABLE_CLUSTERS, 1);
	put32(h + AT_REFCOUNT_ORDER, 4);
	put32(h + AT_HEADER_LENGTH, 112);
	put32(h + 112, 0xe2792aca);
	put32(h + 116, 3);
	memcpy(h + 120, "raw", 3);
	memcpy(h + 144, "base.raw", 8);
	return h;
}

static void test_sound(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ uint8_t *h = sound();
	_cleanup_(qcow2_info_done) struct qcow2_info info = {0};

	put64(h + AT_INCOMPATIBLE, 1 | 16);
	put32(h + AT_SNAPSHOTS, 2);
	put64(h + AT_SNAPSHOTS_OFFSET, 4 * CLUSTER);
	assert_ok(qcow2_parse(h, CLUSTER, FILE_SIZE, &info, &err), &err);
	assert_int_equal(info.version, 3);
	assert_int_equal(info.virtual_size, 1 << 30);
	assert_int_equal(info.cluster_bits, 16);
	assert_int_equal(info.snapshots, 2);
	assert_true(info.dirty && info.extended_l2 && !info.corrupt && !info.external_data);
	assert_string_equal(info.backing, "base.raw");
	assert_string_equal(info.backing_format, "raw");
}

static void test_version_2(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ uint8_t *h = sound();
	_cleanup_(qcow2_info_done) struct qcow2_info info = {0};

	put32(h + AT_VERSION, 2);
	memset(h + 72, 0, 72);
	put64(h + AT_BACKING_OFFSET, 0);
	assert_ok(qcow2_parse(h, CLUSTER, FILE_SIZE, &info, &err), &err);
	assert_int_equal(info.version, 2);
	assert_null(info.backing);
	assert_null(info.backing_format);
}

static void check_bad32(size_t at, uint32_t value, int code)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ uint8_t *h = sound();
	struct qcow2_info info = {.version = 77};
	int r;

	put32(h + at, value);
	r = qcow2_parse(h, CLUSTER, FILE_SIZE, &info, &err);
	if (r != code)
		fail_msg("%u at %zu: %d", value, at, r);
	assert_int_equal(err.kind, ERR_BAD_DATA);
	assert_int_equal(info.version, 77);
}

static void test_bad_fields(void **state _unused_)
{
	check_bad32(0, 0x514649fa, -EBADMSG);
	check_bad32(AT_VERSION, 1, -ENOTSUP);
	check_bad32(AT_VERSION, 4, -ENOTSUP);
	check_bad32(AT_CLUSTER_BITS, 8, -EBADMSG);
	check_bad32(AT_CLUSTER_BITS, 22, -EBADMSG);
	check_bad32(AT_CLUSTER_BITS, 0xffffffff, -EBADMSG);
	check_bad32(AT_SIZE, 0x80000000, -EBADMSG);
	check_bad32(AT_SIZE, 0x7fffffff, -EBADMSG);
	check_bad32(AT_CRYPT, 3, -EBADMSG);
	check_bad32(AT_L1_SIZE, 1, -EBADMSG);
	check_bad32(AT_L1_SIZE, 0xffffffff, -EBADMSG);
	check_bad32(AT_L1_OFFSET, 1, -EBADMSG);
	check_bad32(AT_L1_OFFSET + 4, 3 * CLUSTER + 512, -EBADMSG);
	check_bad32(AT_L1_OFFSET + 4, FILE_SIZE, -EBADMSG);
	check_bad32(AT_REFTABLE_OFFSET + 4, 0, -EBADMSG);
	check_bad32(AT_REFTABLE_CLUSTERS, 0, -EBADMSG);
	check_bad32(AT_REFTABLE_CLUSTERS, 16, -EBADMSG);
	check_bad32(AT_REFTABLE_CLUSTERS, 0xffffffff, -EBADMSG);
	check_bad32(AT_SNAPSHOTS, 65537, -EBADMSG);
	check_bad32(AT_REFCOUNT_ORDER, 7, -EBADMSG);
	check_bad32(AT_HEADER_LENGTH, 103, -EBADMSG);
	check_bad32(AT_HEADER_LENGTH, 72, -EBADMSG);
	check_bad32(AT_HEADER_LENGTH, 106, -EBADMSG);
	check_bad32(AT_HEADER_LENGTH, CLUSTER + 8, -EBADMSG);
	check_bad32(AT_INCOMPATIBLE + 4, 32, -ENOTSUP);
	check_bad32(AT_INCOMPATIBLE, 1, -ENOTSUP);
	check_bad32(AT_BACKING_OFFSET, 1, -EBADMSG);
	check_bad32(AT_BACKING_OFFSET + 4, 100, -EBADMSG);
	check_bad32(AT_BACKING_OFFSET + 4, CLUSTER - 7, -EBADMSG);
	check_bad32(AT_BACKING_OFFSET + 4, 140, -EBADMSG); /* a zero byte in the name */
	check_bad32(AT_BACKING_LEN, 0, -EBADMSG);
	check_bad32(AT_BACKING_LEN, 1024, -EBADMSG);
	check_bad32(116, 16, -EBADMSG);
	check_bad32(116, 0xffffffff, -EBADMSG);
	check_bad32(116, 4, -EBADMSG);
}

static void test_truncated(void **state _unused_)
{
	_cleanup_free_ uint8_t *h = sound();

	for (size_t len = 0; len < 152; len++) {
		_cleanup_free_ uint8_t *copy = xcalloc(len + 1, 1); /* so that a sanitizer sees every byte past it */
		struct qcow2_info info;

		memcpy(copy, h, len);
		copy = xreallocarray(copy, len, 1);
		assert_int_equal(qcow2_parse(copy, len, FILE_SIZE, &info, NULL), -EBADMSG);
	}
}

static void test_read(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ uint8_t *h = sound(), *whole = xcalloc(FILE_SIZE, 1);
	_cleanup_free_ char *path = NULL, *none = path_join(*state, "none"), *small = NULL;
	_cleanup_(qcow2_info_done) struct qcow2_info info = {0};

	memcpy(whole, h, CLUSTER);
	path = put_file(*state, "good", whole, FILE_SIZE);
	assert_ok(qcow2_read(path, &info, &err), &err);
	assert_string_equal(info.backing, "base.raw");
	small = put_file(*state, "small", h, 40);
	assert_int_equal(qcow2_read(small, &info, &err), -EBADMSG);
	assert_string_equal(err.file, small);
	assert_non_null(strstr(err.message, small));
	err_done(&err);
	assert_int_equal(qcow2_read(none, &info, &err), -ENOENT);
	assert_string_equal(err.file, none);
}

/* An image as qemu-img makes it, and with one mapping in its L1 table. */
static void test_is_written(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ uint8_t *h = sound(), *image = xcalloc(FILE_SIZE, 1);
	char path[] = "/tmp/vmsnap-qcow2-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	memcpy(image, h, CLUSTER);
	assert_int_equal(write_all(fd, image, FILE_SIZE), 0);
	assert_int_equal(qcow2_is_written(path, &err), 0);
	assert_int_equal(pwrite(fd, "\x80", 1, 3 * CLUSTER + 24), 1);
	assert_int_equal(qcow2_is_written(path, &err), 1);
	assert_int_equal(pwrite(fd, "X", 1, 0), 1);
	assert_true(qcow2_is_written(path, &err) < 0);
	close(fd);
	unlink(path);
	assert_int_equal(qcow2_is_written(path, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_version_2),
		cmocka_unit_test(test_bad_fields),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test_setup_teardown(test_read, scratch_setup, scratch_teardown),
		cmocka_unit_test(test_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
