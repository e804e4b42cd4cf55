/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of the VHD footer and the VHDX tables. */
#include "tests/unit/layout-util.h"

#include "layout/vhd.h"

#define MIB (1 << 20)

/* A footer of the given type over 64 MiB. */
static void make_footer(uint8_t footer[VHD_FOOTER_BYTES], uint8_t type)
{
	uint32_t sum = 0;

	memset(footer, 0, VHD_FOOTER_BYTES);
	memcpy(footer, "conectix", 8);
	footer[13] = 1;
	footer[52] = 4;
	footer[63] = type;
	for (size_t i = 0; i < VHD_FOOTER_BYTES; i++)
		sum += footer[i];
	sum = ~sum;
	for (int i = 67; i >= 64; i--, sum >>= 8)
		footer[i] = (uint8_t)sum;
}

static void test_footer(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	uint8_t footer[VHD_FOOTER_BYTES];
	struct vhd_info info;

	for (uint8_t type = 2; type <= 4; type++) {
		make_footer(footer, type);
		assert_ok(vhd_parse_footer(footer, VHD_FOOTER_BYTES, &info, &err), &err);
		assert_int_equal(info.type, type);
		assert_int_equal(info.virtual_size, 64 * MIB);
		assert_ok(vhd_parse_footer(footer, VHD_FOOTER_BYTES - 1, &info, &err), &err);
		assert_int_equal(vhd_parse_footer(footer, VHD_FOOTER_BYTES - 2, &info, NULL), -EBADMSG);
	}
	make_footer(footer, 5);
	assert_int_equal(vhd_parse_footer(footer, VHD_FOOTER_BYTES, &info, NULL), -EBADMSG);
	make_footer(footer, 4);
	for (size_t i = 0; i < VHD_FOOTER_BYTES; i++) {
		footer[i] ^= 0x40;
		assert_int_equal(vhd_parse_footer(footer, VHD_FOOTER_BYTES, &info, NULL), -EBADMSG);
		footer[i] ^= 0x40;
	}
}

/* A file of 2 MiB with one region table and a metadata region at 1 MiB. */
static uint8_t *make_vhdx(uint8_t flags)
{
	static const uint8_t region[16] = {0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
					   0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e};
	static const uint8_t params[16] = {0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
					   0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b};
	uint8_t *file = xcalloc(2 * MIB, 1), *table = file + VHDX_REGIONS_1, *meta = file + MIB;

	memcpy(file, "vhdxfile", 8);
	memcpy(table, "regi", 4);
	table[8] = 2;
	memcpy(table + 48, region, 16);
	table[48 + 18] = 0x10; /* 1 MiB */
	memcpy(meta, "metadata", 8);
	meta[10] = 2;
	memcpy(meta + 64, params, 16);
	meta[64 + 18] = 1; /* 64 KiB */
	meta[64 + 20] = 8;
	meta[65536 + 4] = flags;
	return file;
}

static void check_vhdx(const char *dir, const uint8_t *file, size_t len, int code)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *path = put_file(dir, "x.vhdx", file, len);

	assert_int_equal(vhd_refuse_differencing(path, "vhdx", &err), code);
	if (code < 0)
		assert_string_equal(err.file, path);
	if (code == -ENOTSUP)
		assert_int_equal(err.kind, ERR_REFUSED);
	if (code == -EBADMSG)
		assert_int_equal(err.kind, ERR_BAD_DATA);
}

static void test_vhdx(void **state)
{
	_cleanup_free_ uint8_t *alone = make_vhdx(1), *child = make_vhdx(2), *copy = make_vhdx(3);

	check_vhdx(*state, alone, 2 * MIB, 0);
	check_vhdx(*state, child, 2 * MIB, -ENOTSUP);
	memcpy(copy + VHDX_REGIONS_2, copy + VHDX_REGIONS_1, VHDX_TABLE_BYTES);
	memset(copy + VHDX_REGIONS_1, 0, VHDX_TABLE_BYTES);
	check_vhdx(*state, copy, 2 * MIB, -ENOTSUP);
	check_vhdx(*state, alone, MIB + 65536 + 4, -EBADMSG);
	check_vhdx(*state, alone, MIB, -EBADMSG);
	check_vhdx(*state, alone, 4, -EBADMSG);
	alone[MIB + 64 + 18] = 0x20; /* parameters beyond the region */
	check_vhdx(*state, alone, 2 * MIB, -EBADMSG);
	alone[VHDX_REGIONS_1 + 48 + 17] = 1; /* region not at a whole MiB */
	check_vhdx(*state, alone, 2 * MIB, -EBADMSG);
	alone[VHDX_REGIONS_1 + 11] = 1; /* too many entries */
	check_vhdx(*state, alone, 2 * MIB, -EBADMSG);
}

static void test_vhd_file(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ uint8_t *file = xcalloc(8192 + VHD_FOOTER_BYTES, 1);
	_cleanup_free_ char *path = NULL, *old = NULL, *bad = NULL;

	make_footer(file + 8192, 2);
	path = put_file(*state, "fixed.vhd", file, 8192 + VHD_FOOTER_BYTES);
	assert_ok(vhd_refuse_differencing(path, "vpc", &err), &err);
	make_footer(file + 8192, 4);
	old = put_file(*state, "old.vhd", file, 8192 + VHD_FOOTER_BYTES - 1);
	assert_int_equal(vhd_refuse_differencing(old, "vpc", &err), -ENOTSUP);
	assert_non_null(err.hint);
	err_done(&err);
	bad = put_file(*state, "bad.vhd", file, 8192);
	assert_int_equal(vhd_refuse_differencing(bad, "vpc", &err), -EBADMSG);
	assert_int_equal(vhd_refuse_differencing(bad, "raw", NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_footer),
		cmocka_unit_test_setup_teardown(test_vhdx, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_vhd_file, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
