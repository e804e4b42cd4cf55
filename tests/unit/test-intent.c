/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of the intent record: round trips, files, and every kind of damage. */
#include "tests/unit/layout-util.h"

#include <inttypes.h>
#include <xxhash.h>

#include "layout/intent.h"

static void test_round_trip(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_intent_ struct intent *in = intent_new("snapshot-create"), *back = NULL;
	_cleanup_free_ char *text = NULL, *again = NULL;
	size_t len;

	intent_set(in, "name", "%s", "before\nthe 100% update\t");
	intent_set(in, "disk.0.target", "vda");
	intent_set(in, "disk.1.target", "vd%c", 'b');
	intent_set(in, "empty", "%s", "");
	intent_set(in, "spaces", "%s", "  two  ");
	intent_set(in, "utf8", "%s", "Büro");
	intent_set(in, "disk.0.target", "sda");
	text = intent_format(in, &len);
	assert_int_equal(strlen(text), len);
	assert_ok(intent_parse(text, len, "x.op", &back, &err), &err);
	assert_string_equal(intent_operation(back), "snapshot-create");
	assert_string_equal(intent_get(back, "name"), "before\nthe 100% update\t");
	assert_string_equal(intent_getf(back, "disk.%d.target", 0), "sda");
	assert_string_equal(intent_getf(back, "disk.%d.target", 1), "vdb");
	assert_null(intent_getf(back, "disk.%d.target", 2));
	assert_string_equal(intent_get(back, "empty"), "");
	assert_string_equal(intent_get(back, "spaces"), "  two  ");
	assert_string_equal(intent_get(back, "utf8"), "Büro");
	again = intent_format(back, NULL);
	assert_string_equal(text, again);
}

static void test_every_damaged_byte(void **state _unused_)
{
	_cleanup_intent_ struct intent *in = intent_new("apply");
	_cleanup_free_ char *text = NULL;
	size_t len;

	intent_set(in, "disk.0.new", "%s", "A.avhd");
	text = intent_format(in, &len);
	for (size_t i = 0; i < len; i++) {
		_cleanup_err_ struct err err = ERR_INIT;
		struct intent *back = NULL;

		text[i] ^= 1;
		assert_int_equal(intent_parse(text, len, "x.op", &back, &err), -EBADMSG);
		assert_int_equal(err.kind, ERR_BAD_DATA);
		assert_null(back);
		text[i] ^= 1;
		assert_int_equal(intent_parse(text, i, "x.op", &back, NULL), -EBADMSG);
	}
}

/* Text with a right checksum that is wrong in itself. */
static void check_rejected(const char *body)
{
	_cleanup_err_ struct err err = ERR_INIT;
	uint64_t sum = XXH3_64bits(body, strlen(body));
	_cleanup_free_ char *text = xasprintf("%send %016" PRIx64 "\n", body, sum);
	struct intent *in = NULL;

	assert_int_equal(intent_parse(text, strlen(text), "x.op", &in, &err), -EBADMSG);
	assert_null(in);
	assert_string_equal(err.file, "x.op");
}

static void test_grammar(void **state _unused_)
{
	check_rejected("vmsnap-intent 1\n");
	check_rejected("vmsnap-intent 2\noperation x\n");
	check_rejected("vmsnap-intent 1\nname x\n");
	check_rejected("vmsnap-intent 1\noperation x y\n");
	check_rejected("vmsnap-intent 1\noperation \n");
	check_rejected("vmsnap-intent 1\noperation x\noperation y\n");
	check_rejected("vmsnap-intent 1\noperation x\na 1\na 2\n");
	check_rejected("vmsnap-intent 1\noperation x\nA 1\n");
	check_rejected("vmsnap-intent 1\noperation x\nkey\n");
	check_rejected("vmsnap-intent 1\noperation x\n\n");
	check_rejected("vmsnap-intent 1\noperation x\na %\n");
	check_rejected("vmsnap-intent 1\noperation x\na %0\n");
	check_rejected("vmsnap-intent 1\noperation x\na %00\n");
	check_rejected("vmsnap-intent 1\noperation x\na %0a\n");
	check_rejected("vmsnap-intent 1\noperation x\na %41\n");
	check_rejected("vmsnap-intent 1\noperation x\na \t\n");
	check_rejected("vmsnap-intent 1\noperation x\nend 1\n");
	check_rejected("vmsnap-intent 1\noperation x\na b");
}

static void test_file(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_intent_ struct intent *in = intent_new("delete"), *back = NULL;
	_cleanup_free_ char *path = path_join(*state, "x.op");

	assert_int_equal(intent_read(path, &back, &err), -ENOENT);
	err_done(&err);
	intent_set(in, "snapshot", "s");
	assert_ok(intent_write(in, path, &err), &err);
	assert_int_equal(mode_of(path), 0600);
	assert_ok(intent_read(path, &back, &err), &err);
	assert_string_equal(intent_get(back, "snapshot"), "s");
}

static void test_limits(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_intent_ struct intent *in = intent_new("delete");
	_cleanup_free_ char *path = path_join(*state, "x.op"), *big = xcalloc(INTENT_MAX_BYTES + 1, 1);

	memset(big, 'x', INTENT_MAX_BYTES);
	intent_set(in, "big", "%s", big);
	assert_int_equal(intent_write(in, path, &err), -EFBIG);
	assert_false(exists(path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_damaged_byte),
		cmocka_unit_test(test_grammar),
		cmocka_unit_test_setup_teardown(test_file, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_limits, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
