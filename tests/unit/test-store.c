/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of the store: lock, scan, new names, sweep. */
#include "tests/unit/layout-util.h"

#include "layout/store.h"

#define VM1 "0A1B2C3D-0000-4000-8000-00000000000A"
#define VM2 "0A1B2C3D-0000-4000-8000-00000000000B"

/* A VM directory with one file in Virtual Machines (NULL: none). */
static void add_vm(const char *store, const char *name, const char *guid, const char *suffix)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct guid vm = guid_of(guid);
	_cleanup_free_ char *root = path_join(store, name), *vms = NULL, *file = NULL;
	_cleanup_vmdir_ struct vmdir *vd = vmdir_new(root, &vm);

	if (!exists(root))
		assert_ok(vmdir_make(vd, &err), &err);
	vms = vmdir_vms_dir(vd);
	file = xasprintf("%s%s", guid, suffix ? suffix : "");
	if (suffix)
		free(put_file(vms, file, "x", 1));
}

static void test_open_and_lock(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *parent = path_join(*state, "lib"), *store = path_join(parent, "vmsnap");
	_cleanup_close_ int fd = -1, second = -1;

	assert_ok(store_open(store, &fd, &err), &err);
	assert_int_equal(mode_of(store), VMDIR_MODE);
	assert_int_equal(mode_of(parent), VMDIR_MODE);
	assert_int_equal(store_open(store, &second, &err), -EBUSY);
	assert_int_equal(second, -1);
	assert_non_null(err.hint);
	assert_string_equal(err.file, store);
	err_done(&err);
	close(TAKE_FD(fd));
	assert_ok(store_open(store, &second, &err), &err);
}

static void test_scan(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_strv_ char **problems = NULL;
	struct store_list list = {0};

	add_vm(*state, "both", VM1, ".xml");
	add_vm(*state, "both", VM1, ".op");
	add_vm(*state, "creating", VM2, ".op");
	add_vm(*state, "empty", VM1, NULL);
	add_vm(*state, ".hidden", VM1, ".xml");
	free(put_file(*state, "index.sqlite", "x", 1));
	assert_ok(store_scan(*state, &list, &problems, &err), &err);
	assert_int_equal(list.n, 2);
	assert_int_equal(strv_count(problems), 0);
	assert_string_equal(list.entry[0].dir->guid.s, VM1);
	assert_string_equal(path_basename(list.entry[0].dir->root), "both");
	assert_true(list.entry[0].has_config && list.entry[0].has_intent && !list.entry[0].duplicate);
	assert_true(!list.entry[1].has_config && list.entry[1].has_intent);
	store_list_done(&list);
	assert_int_equal(list.n, 0);
}

static void test_scan_problems(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_strv_ char **problems = NULL;
	struct store_list list = {0};

	add_vm(*state, "a", VM1, ".xml");
	add_vm(*state, "b", VM1, ".xml");
	add_vm(*state, "c", VM2, ".xml");
	add_vm(*state, "two", VM1, ".xml");
	add_vm(*state, "two", VM2, ".xml");
	assert_ok(store_scan(*state, &list, &problems, &err), &err);
	assert_int_equal(list.n, 3);
	assert_true(list.entry[0].duplicate && list.entry[1].duplicate && !list.entry[2].duplicate);
	assert_int_equal(strv_count(problems), 1);
	assert_non_null(strstr(problems[0], "two"));
	store_list_done(&list);
	assert_ok(store_scan(*state, &list, NULL, &err), &err);
	store_list_done(&list);
}

static void test_new_path(void **state)
{
	struct guid vm = guid_of(VM1);
	static const char *const rows[][2] = {
		{"web", "web"}, {"taken", "taken-0A1B2C3D"}, {"a/b", "a_b"}, {"..", "_."}, {".x", "_x"},
		{"", "vm"}, {"index.sqlite-wal", "index.sqlite-wal-0A1B2C3D"}, {"Büro 1", "Büro 1"},
	};
	char longname[400];
	_cleanup_free_ char *longpath = NULL;

	add_vm(*state, "taken", VM2, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *path = store_new_vm_path(*state, rows[i][0], &vm);
		_cleanup_free_ char *want = path_join(*state, rows[i][1]);

		assert_string_equal(path, want);
	}
	for (size_t i = 0; i + 2 < sizeof(longname); i += 2)
		memcpy(longname + i, "ü", 3);
	longname[0] = 'x';
	longname[1] = 'y';
	longname[2] = 'z';
	memmove(longname + 3, longname + 4, strlen(longname + 4) + 1);
	longpath = store_new_vm_path(*state, longname, &vm);
	assert_true(strlen(path_basename(longpath)) <= 200);
	assert_true(strlen(path_basename(longpath)) >= 198);
	assert_int_equal((strlen(path_basename(longpath)) - 3) % 2, 0);
}

static void test_sweep(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *dead = path_join(*state, "dead"), *alive = path_join(*state, "alive");
	_cleanup_free_ char *lost = path_join(*state, "lost+found"), *foreign = path_join(*state, "foreign");
	_cleanup_free_ char *vms = path_join(foreign, "Virtual Machines"), *other = path_join(foreign, "empty");

	add_vm(*state, "dead", VM1, NULL);
	add_vm(*state, "alive", VM2, ".op");
	{
		_cleanup_free_ char *dead_vms = path_join(dead, "Virtual Machines");

		free(put_file(dead_vms, "." VM1 ".op.XXXXXX.tmp", "x", 1));
	}
	assert_ok(dir_make(lost, 0700, &err), &err);
	assert_ok(dir_make(foreign, 0700, &err), &err);
	assert_ok(dir_make(vms, 0700, &err), &err);
	assert_ok(dir_make(other, 0700, &err), &err);
	assert_int_equal(store_sweep_empty(*state, &err), 1);
	assert_false(exists(dead));
	assert_true(exists(alive) && exists(lost) && exists(other));
	assert_int_equal(store_sweep_empty(*state, &err), 0);
}

static void test_reserve(void **state)
{
	_cleanup_free_ char *path = path_join(*state, ".reserve");
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(store_reserve_drop(*state, &err), &err); /* there is none */
	assert_ok(store_reserve_make(*state, &err), &err);
	assert_true(file_allocated(path) >= STORE_RESERVE);
	assert_ok(store_reserve_make(*state, &err), &err);
	assert_ok(store_reserve_drop(*state, &err), &err);
	assert_false(exists(path));
	free(put_file(*state, ".reserve", "x", 1)); /* whoever made it died */
	assert_ok(store_reserve_make(*state, &err), &err);
	assert_true(file_allocated(path) >= STORE_RESERVE);
	assert_int_equal(store_reserve_make("/nonexistent", &err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open_and_lock, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_scan, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_scan_problems, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_new_path, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_sweep, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_reserve, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
