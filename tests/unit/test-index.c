/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of the index: rows, history, damage, several threads. */
#include "tests/unit/layout-util.h"

#include <pthread.h>
#include <sqlite3.h>

#include "layout/index.h"

#define VM1 "0A1B2C3D-0000-4000-8000-00000000000A"
#define VM2 "0A1B2C3D-0000-4000-8000-00000000000B"
#define SNAP1 "11111111-0000-4000-8000-000000000001"
#define SNAP2 "22222222-0000-4000-8000-000000000002"

static struct index *open_index(const char *dir, int *ret_fresh)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *path = path_join(dir, "index.sqlite");
	struct index *ix = NULL;

	assert_ok(index_open(path, &ix, ret_fresh, &err), &err);
	return ix;
}

static struct index_vm vm_row(const char *guid, const char *name)
{
	return (struct index_vm){
		.guid = guid_of(guid),
		.name = (char *)name,
		.root = (char *)"/store/x",
		.now = guid_of(SNAP2),
		.stamp = -5,
		.saved = 1,
	};
}

/* Two snapshots, the later one first. */
static void put_two(struct index *ix, const char *guid)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct index_vm vm = vm_row(guid, "web");
	struct index_snapshot snaps[] = {
		{.guid = guid_of(SNAP2), .parent = guid_of(SNAP1), .name = (char *)"two", .created_usec = 20,
		 .mode = (char *)"live", .memory_bytes = INT64_MAX, .disk_bytes = 4096},
		{.guid = guid_of(SNAP1), .name = (char *)"one '\"%", .notes = (char *)"Büro\n", .created_usec = 10},
	};

	assert_ok(index_put_vm(ix, &vm, snaps, 2, &err), &err);
}

static void test_rows(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(index_closep) struct index *ix = NULL;
	_cleanup_(index_vm_done) struct index_vm got = {0};
	struct guid vm1 = guid_of(VM1), vm2 = guid_of(VM2);
	struct index_snapshot *snaps = NULL;
	struct index_vm other = vm_row(VM2, "Alpha"), *vms = NULL;
	int fresh = 0;
	size_t n;

	ix = open_index(*state, &fresh);
	assert_int_equal(fresh, 1);
	assert_ok(index_list_vms(ix, &vms, &n, &err), &err);
	assert_int_equal(n, 0);
	index_vms_free(vms, n);
	assert_int_equal(index_get_vm(ix, &vm1, &got, &err), -ENOENT);
	assert_int_equal(err.kind, ERR_NO_VM);
	err_done(&err);

	put_two(ix, VM1);
	put_two(ix, VM1);
	other.blocker = (char *)"usb";
	other.now = (struct guid){""};
	other.saved = 0;
	assert_ok(index_put_vm(ix, &other, NULL, 0, &err), &err);
	assert_ok(index_get_vm(ix, &vm1, &got, &err), &err);
	assert_string_equal(got.name, "web");
	assert_string_equal(got.root, "/store/x");
	assert_string_equal(got.now.s, SNAP2);
	assert_int_equal(got.stamp, -5);
	assert_int_equal(got.saved, 1);
	assert_null(got.blocker);
	assert_ok(index_list_vms(ix, &vms, &n, &err), &err);
	assert_int_equal(n, 2);
	assert_string_equal(vms[0].name, "Alpha");
	assert_string_equal(vms[0].blocker, "usb");
	assert_true(guid_is_none(&vms[0].now) && !vms[0].saved);
	index_vms_free(vms, n);

	assert_ok(index_list_snapshots(ix, &vm1, &snaps, &n, &err), &err);
	assert_int_equal(n, 2);
	assert_string_equal(snaps[0].name, "one '\"%");
	assert_string_equal(snaps[0].notes, "Büro\n");
	assert_null(snaps[0].mode);
	assert_true(guid_is_none(&snaps[0].parent));
	assert_string_equal(snaps[1].guid.s, SNAP2);
	assert_string_equal(snaps[1].vm.s, VM1);
	assert_string_equal(snaps[1].parent.s, SNAP1);
	assert_string_equal(snaps[1].mode, "live");
	assert_true(snaps[1].memory_bytes == INT64_MAX && snaps[1].disk_bytes == 4096);
	index_snapshots_free(snaps, n);

	assert_ok(index_drop_vm(ix, &vm1, &err), &err);
	assert_ok(index_drop_vm(ix, &vm1, &err), &err);
	assert_ok(index_list_snapshots(ix, &vm1, &snaps, &n, &err), &err);
	assert_int_equal(n, 0);
	index_snapshots_free(snaps, n);
	index_vm_done(&got);
	assert_ok(index_get_vm(ix, &vm2, &got, &err), &err);
}

/* All or nothing: a row that the schema refuses takes the whole VM back. */
static void test_one_transaction(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(index_closep) struct index *ix = open_index(*state, NULL);
	struct index_vm vm = vm_row(VM1, "renamed");
	struct index_snapshot bad = {.guid = guid_of(SNAP1), .name = NULL};
	struct index_snapshot *snaps = NULL;
	_cleanup_(index_vm_done) struct index_vm got = {0};
	size_t n;

	put_two(ix, VM1);
	assert_true(index_put_vm(ix, &vm, &bad, 1, &err) < 0);
	assert_non_null(strstr(err.message, "index.sqlite"));
	err_done(&err);
	assert_ok(index_get_vm(ix, &vm.guid, &got, &err), &err);
	assert_string_equal(got.name, "web");
	assert_ok(index_list_snapshots(ix, &vm.guid, &snaps, &n, &err), &err);
	assert_int_equal(n, 2);
	index_snapshots_free(snaps, n);
}

static void test_history(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(index_closep) struct index *ix = open_index(*state, NULL);
	struct index_job *jobs = NULL;
	int fresh = 1;
	size_t n;

	for (int i = 0; i < 1010; i++) {
		_cleanup_free_ char *id = xasprintf("%d", i);
		struct index_job job = {.id = id, .operation = (char *)"snapshot", .vm = (char *)"web",
					.state = (char *)"done", .started_usec = i, .finished_usec = i + 1};

		assert_ok(index_add_job(ix, &job, &err), &err);
	}
	assert_ok(index_list_jobs(ix, 3, &jobs, &n, &err), &err);
	assert_int_equal(n, 3);
	assert_string_equal(jobs[0].id, "1009");
	assert_string_equal(jobs[2].id, "1007");
	assert_int_equal(jobs[0].finished_usec, 1010);
	assert_null(jobs[0].message);
	index_jobs_free(jobs, n);
	index_close(TAKE_PTR(ix));
	ix = open_index(*state, &fresh);
	assert_int_equal(fresh, 0);
	assert_ok(index_list_jobs(ix, SIZE_MAX, &jobs, &n, &err), &err);
	assert_int_equal(n, 1000);
	assert_string_equal(jobs[999].id, "10");
	index_jobs_free(jobs, n);
}

/* Opens it, and says whether it was found damaged and made anew. */
static int opens_fresh(const char *dir)
{
	_cleanup_(index_closep) struct index *ix = NULL;
	_cleanup_free_ char *path = path_join(dir, "index.sqlite");
	int fresh = 0;

	ix = open_index(dir, &fresh);
	put_two(ix, VM1);
	assert_int_equal(mode_of(path), 0600);
	return fresh;
}

static void test_damaged_files(void **state)
{
	_cleanup_free_ char *corrupt = path_join(*state, "index.sqlite.corrupt"), *path = NULL;
	_cleanup_free_ char *junk = xcalloc(20000, 1);

	memset(junk, 0xa5, 20000);
	path = put_file(*state, "index.sqlite", "", 0);
	assert_int_equal(opens_fresh(*state), 1);
	assert_int_equal(opens_fresh(*state), 0);
	assert_false(exists(corrupt));
	free(put_file(*state, "index.sqlite", "hello", 5));
	assert_int_equal(opens_fresh(*state), 1);
	assert_true(exists(corrupt));
	free(put_file(*state, "index.sqlite", junk, 20000));
	assert_int_equal(opens_fresh(*state), 1);
	{ /* a sound first page, nothing behind it */
		_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);

		assert_true(pwrite(fd, junk, 8192, 4096) == 8192);
	}
	assert_int_equal(opens_fresh(*state), 1);
	assert_int_equal(truncate(path, 4096), 0);
	assert_int_equal(opens_fresh(*state), 1);
	assert_int_equal(opens_fresh(*state), 0);
}

/* Lets somebody else write into the database. */
static void meddle(const char *dir, const char *sql)
{
	_cleanup_free_ char *path = path_join(dir, "index.sqlite");
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void test_other_schemas(void **state)
{
	assert_int_equal(opens_fresh(*state), 1);
	meddle(*state, "PRAGMA user_version = 2");
	assert_int_equal(opens_fresh(*state), 1);
	meddle(*state, "ALTER TABLE vm RENAME COLUMN blocker TO other");
	assert_int_equal(opens_fresh(*state), 1);
	meddle(*state, "DROP TABLE job");
	assert_int_equal(opens_fresh(*state), 1);
	meddle(*state, "PRAGMA user_version = 0");
	assert_int_equal(opens_fresh(*state), 1);
	assert_int_equal(opens_fresh(*state), 0);
}

static void test_damage_in_use(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct index *ix = open_index(*state, NULL);
	_cleanup_free_ char *path = path_join(*state, "index.sqlite");
	struct index_vm *vms = NULL;
	size_t n;
	int fresh = 0;

	put_two(ix, VM1);
	meddle(*state, "UPDATE vm SET guid = 'junk'");
	assert_int_equal(index_list_vms(ix, &vms, &n, &err), -EBADMSG);
	assert_int_equal(err.kind, ERR_BAD_DATA);
	assert_string_equal(err.file, path);
	assert_null(vms);
	err_done(&err);
	assert_false(index_is_stale(ix));
	index_close(ix);
	ix = open_index(*state, &fresh);
	assert_int_equal(fresh, 1);
	assert_false(index_is_stale(ix));
	assert_int_equal(unlink(path), 0);
	assert_true(index_is_stale(ix));
	free(put_file(*state, "index.sqlite", "", 0));
	assert_true(index_is_stale(ix));
	index_close(ix);
}

static void *hammer(void *arg)
{
	static const char *const guids[] = {VM1, VM2};
	struct index *ix = arg;

	for (int i = 0; i < 100; i++) {
		struct index_vm vm = {0}, row = {.name = (char *)"n", .root = (char *)"r"};
		struct index_snapshot *snaps = NULL;
		size_t n = 0;

		if (guid_parse(guids[i % 2], &row.guid) < 0 || index_put_vm(ix, &row, NULL, 0, NULL) < 0 ||
		    index_get_vm(ix, &row.guid, &vm, NULL) < 0 ||
		    index_list_snapshots(ix, &row.guid, &snaps, &n, NULL) < 0 || n != 0)
			return ix; /* any value but NULL: it failed */
		index_snapshots_free(snaps, n);
		index_vm_done(&vm);
	}
	return NULL;
}

static void test_threads(void **state)
{
	_cleanup_(index_closep) struct index *ix = open_index(*state, NULL);
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, ix), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *failed = ix;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_one_transaction, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_history, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_damaged_files, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_other_schemas, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_damage_in_use, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_threads, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
