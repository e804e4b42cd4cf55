/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of the VM directory and of path names. */
#include "tests/unit/layout-util.h"

#include "layout/path.h"
#include "layout/vmdir.h"

#define VM "0A1B2C3D-0000-4000-8000-00000000000A"
#define SNAP1 "11111111-0000-4000-8000-000000000001"
#define SNAP2 "22222222-0000-4000-8000-000000000002"

static void test_clean(void **state _unused_)
{
	static const char *const pairs[][2] = {
		{"/", "/"}, {"//", "/"}, {"/a/b", "/a/b"}, {"/a//b/", "/a/b"}, {"/a/./b/.", "/a/b"},
		{"/a/../b", "/b"}, {"/a/b/../..", "/"}, {"/../../x", "/x"}, {"a/..", "."}, {"../a", "../a"},
		{"../../a/../b", "../../b"}, {"./a/b/../c", "a/c"}, {".", "."}, {"", "."}, {"/...", "/..."},
		{"/a/..b/.c", "/a/..b/.c"}, {"a/../..", ".."},
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		_cleanup_free_ char *clean = path_clean(pairs[i][0]);

		assert_string_equal(clean, pairs[i][1]);
	}
}

static void test_relative(void **state _unused_)
{
	static const char *const rows[][3] = {
		{"/a/b", "/a/b/c", "c"}, {"/a/b", "/a/c", "../c"}, {"/a/b", "/a/bc", "../bc"},
		{"/", "/x/y", "x/y"}, {"/a/b/c", "/d", "../../../d"}, {"/a/bc", "/a/b/c", "../b/c"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *rel = path_relative(rows[i][0], rows[i][1]);
		_cleanup_free_ char *joined = path_join(rows[i][0], rel), *back = path_clean(joined);

		assert_string_equal(rel, rows[i][2]);
		assert_string_equal(back, rows[i][1]);
	}
	assert_null(path_below("/a/b", "/a/b"));
	assert_null(path_below("/a/bc", "/a/b"));
	assert_string_equal(path_below("/a/b/c", "/a/b"), "c");
	assert_string_equal(path_below("/x", "/"), "x");
	assert_true(path_has_protocol("json:{}"));
	assert_true(path_has_protocol("nbd://host/x"));
	assert_false(path_has_protocol("../a:b"));
	assert_false(path_has_protocol("/dev/disk/by-path/pci-0000:00"));
}

static void test_names(void **state _unused_)
{
	struct guid vm = guid_of(VM), snap = guid_of(SNAP1);
	_cleanup_vmdir_ struct vmdir *vd = vmdir_new("/store/./TestVM/", &vm), *copy = vmdir_copy(vd);
	_cleanup_free_ char *config = vmdir_config(vd), *op = vmdir_intent(copy), *vsv = vmdir_state_path(vd);
	_cleanup_free_ char *nvram = vmdir_nvram(vd), *avhd = vmdir_avhd(vd, &snap);
	_cleanup_free_ char *snap_config = vmdir_snapshot_config(vd, &snap);
	_cleanup_free_ char *file = vmdir_snapshot_file(vd, &snap, "_VARS.fd"), *dir = vmdir_snapshot_dir(vd, &snap);

	assert_string_equal(config, "/store/TestVM/Virtual Machines/" VM ".xml");
	assert_string_equal(op, "/store/TestVM/Virtual Machines/" VM ".op");
	assert_string_equal(vsv, "/store/TestVM/Virtual Machines/" VM "/" VM);
	assert_string_equal(nvram, "/store/TestVM/Virtual Machines/" VM "/" VM "_VARS.fd");
	assert_string_equal(avhd, "/store/TestVM/Snapshots/" VM "/" SNAP1 ".avhd");
	assert_string_equal(snap_config, "/store/TestVM/Snapshots/" SNAP1 ".xml");
	assert_string_equal(dir, "/store/TestVM/Snapshots/" SNAP1);
	assert_string_equal(file, "/store/TestVM/Snapshots/" SNAP1 "/" SNAP1 "_VARS.fd");
}

static void check_stored(const struct vmdir *vd, const char *absolute, const char *stored)
{
	_cleanup_free_ char *got = vmdir_store_path(vd, absolute), *back = vmdir_resolve(vd, got);

	assert_string_equal(got, stored);
	assert_string_equal(back, absolute);
	assert_int_equal(vmdir_contains(vd, absolute), stored[0] != '/');
}

static void test_stored_paths(void **state _unused_)
{
	struct guid vm = guid_of(VM);
	_cleanup_vmdir_ struct vmdir *vd = vmdir_new("/store/TestVM", &vm);
	_cleanup_free_ char *escape = vmdir_resolve(vd, "../Other/x.qcow2");

	check_stored(vd, "/store/TestVM/TestVM.qcow2", "TestVM.qcow2");
	check_stored(vd, "/store/TestVM/Snapshots/" VM "/x.avhd", "Snapshots/" VM "/x.avhd");
	check_stored(vd, "/store/TestVM2/x.qcow2", "/store/TestVM2/x.qcow2");
	check_stored(vd, "/dev/vg/lv", "/dev/vg/lv");
	assert_string_equal(escape, "/store/Other/x.qcow2");
	assert_false(vmdir_contains(vd, escape));
	assert_false(vmdir_contains(vd, "/store/TestVM/../Other/x"));
	assert_false(vmdir_contains(vd, "/store/TestVM"));
	assert_true(vmdir_contains(vd, "/store//TestVM/./a/../b"));
}

static void test_backing_names(void **state _unused_)
{
	struct guid vm = guid_of(VM);
	_cleanup_vmdir_ struct vmdir *vd = vmdir_new("/s/VM", &vm);
	static const char *const rows[][3] = {
		{"/s/VM/Snapshots/G/b.avhd", "/s/VM/base.qcow2", "../../base.qcow2"},
		{"/s/VM/Snapshots/G/b.avhd", "/s/VM/Snapshots/G/a.avhd", "a.avhd"},
		{"/s/VM/Snapshots/G/b.avhd", "/images/base.raw", "/images/base.raw"},
		{"/elsewhere/b.avhd", "/s/VM/base.qcow2", "/s/VM/base.qcow2"},
		{"/s/VM/b.avhd", "/s/VM/10:30.qcow2", "./10:30.qcow2"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *name = vmdir_backing_name(vd, rows[i][0], rows[i][1]);

		assert_string_equal(name, rows[i][2]);
		assert_false(path_has_protocol(name));
	}
}

static void test_make_and_remove(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct guid vm = guid_of(VM);
	_cleanup_free_ char *root = path_join(*state, "TestVM");
	_cleanup_vmdir_ struct vmdir *vd = vmdir_new(root, &vm);
	_cleanup_free_ char *state_dir = vmdir_state_dir(vd), *snaps = vmdir_snapshots_dir(vd), *left = NULL;

	assert_ok(vmdir_make(vd, &err), &err);
	assert_int_equal(mode_of(root), VMDIR_MODE);
	assert_int_equal(mode_of(state_dir), VMDIR_MODE);
	assert_int_equal(mode_of(snaps), VMDIR_MODE);
	assert_int_equal(vmdir_make(vd, &err), -EEXIST);
	assert_non_null(err.hint);
	err_done(&err);

	left = put_file(snaps, "somebody.txt", "x", 1);
	assert_int_equal(vmdir_remove_empty(vd, &err), -ENOTEMPTY);
	assert_string_equal(err.file, left);
	assert_false(exists(state_dir));
	assert_true(exists(left));
	err_done(&err);
	assert_int_equal(unlink(left), 0);
	assert_ok(vmdir_remove_empty(vd, &err), &err);
	assert_false(exists(root));
	assert_ok(vmdir_remove_empty(vd, &err), &err);
}

static void test_lists(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct guid vm = guid_of(VM);
	_cleanup_free_ char *root = path_join(*state, "TestVM");
	_cleanup_vmdir_ struct vmdir *vd = vmdir_new(root, &vm);
	_cleanup_free_ char *snaps = vmdir_snapshots_dir(vd), *avhds = vmdir_avhd_dir(vd);
	_cleanup_free_ struct guid *guids = NULL, *none = NULL;
	_cleanup_strv_ char **images = NULL;
	static const char *const names[] = {SNAP2 ".xml", SNAP1 ".xml", ".x.xml", "not-a-guid.xml", SNAP1 ".xml.bak",
					    "aaaaaaaa-0000-4000-8000-000000000001.xml", "x"};
	static const char *const avhd[] = {"b.avhd", "a.avhd", ".a.avhd", ".avhd", "c.avhd.tmp"};
	size_t n = 9;

	assert_ok(vmdir_make(vd, &err), &err);
	assert_ok(vmdir_list_images(vd, &images, &err), &err);
	assert_int_equal(strv_count(images), 0);
	assert_ok(vmdir_list_snapshots(vd, &none, &n, &err), &err);
	assert_int_equal(n, 0);
	assert_ok(dir_make(avhds, VMDIR_MODE, &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		free(put_file(snaps, names[i], "x", 1));
	for (size_t i = 0; i < ARRAY_SIZE(avhd); i++)
		free(put_file(avhds, avhd[i], "x", 1));
	assert_ok(vmdir_list_snapshots(vd, &guids, &n, &err), &err);
	assert_int_equal(n, 2);
	assert_string_equal(guids[0].s, SNAP1);
	assert_string_equal(guids[1].s, SNAP2);
	assert_ok(vmdir_list_images(vd, &images, &err), &err);
	assert_int_equal(strv_count(images), 2);
	assert_string_equal(path_basename(images[0]), "a.avhd");
	assert_string_equal(path_basename(images[1]), "b.avhd");
}

static void test_temps(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct guid vm = guid_of(VM), snap = guid_of(SNAP1);
	_cleanup_free_ char *root = path_join(*state, "TestVM");
	_cleanup_vmdir_ struct vmdir *vd = vmdir_new(root, &vm);
	_cleanup_free_ char *vms = vmdir_vms_dir(vd), *avhds = vmdir_avhd_dir(vd), *dir = vmdir_snapshot_dir(vd, &snap);
	_cleanup_free_ char *kept = NULL;

	assert_true(vmdir_is_temp("." VM ".xml.a1B2c3.tmp"));
	assert_true(vmdir_is_temp(".TestVM.qcow2.tmp"));
	assert_false(vmdir_is_temp(VM ".xml.a1B2c3.tmp"));
	assert_false(vmdir_is_temp(".vimrc.tmp"));
	assert_false(vmdir_is_temp("." VM ".xml"));
	assert_false(vmdir_is_temp(".tmp"));
	assert_ok(vmdir_sweep_temps(vd, &err), &err);
	assert_ok(vmdir_make(vd, &err), &err);
	assert_ok(dir_make(avhds, VMDIR_MODE, &err), &err);
	assert_ok(dir_make(dir, VMDIR_MODE, &err), &err);
	free(put_file(root, ".TestVM.qcow2.tmp", "x", 1));
	free(put_file(vms, "." VM ".op.XXXXXX.tmp", "x", 1));
	free(put_file(avhds, "." SNAP2 ".avhd.tmp", "x", 1));
	free(put_file(dir, "." SNAP1 "_VARS.fd.XXXXXX.tmp", "x", 1));
	kept = put_file(avhds, SNAP2 ".avhd", "x", 1);
	assert_int_equal(vmdir_sweep_temps(vd, &err), 4);
	assert_true(exists(kept));
	assert_int_equal(unlink(kept), 0);
	assert_int_equal(rmdir(dir), 0);
	free(put_file(avhds, "." SNAP2 ".avhd.tmp", "x", 1));
	assert_ok(vmdir_remove_empty(vd, &err), &err);
	assert_false(exists(root));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_relative),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_stored_paths),
		cmocka_unit_test(test_backing_names),
		cmocka_unit_test_setup_teardown(test_make_and_remove, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_lists, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_temps, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
