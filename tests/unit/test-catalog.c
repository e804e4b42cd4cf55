/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The catalog over a store that others change: the index is a cache, the
 * directories are the truth. */
#include "tests/unit/layout-util.h"

#include "common/log.h"
#include "daemon/catalog.h"
#include "xmlcfg/config.h"

#define A "AAAAAAAA-0000-4000-8000-000000000001"
#define B "BBBBBBBB-0000-4000-8000-000000000002"
#define S1 "11111111-0000-4000-8000-000000000003"
#define S2 "22222222-0000-4000-8000-000000000004"
#define DOMAIN "<domain type='qemu'><name>x</name><memory>65536</memory></domain>"

static struct guid guid(const char *text)
{
	struct guid g;

	assert_int_equal(guid_parse(text, &g), 0);
	return g;
}

static struct vmdir *dir_of(const char *store, const char *dir, const char *vm)
{
	_cleanup_free_ char *root = path_join(store, dir);
	struct guid g = guid(vm);

	return vmdir_new(root, &g);
}

static struct config *new_config(enum config_kind kind, const char *vm, const char *name)
{
	struct config *cfg = config_new(kind);
	struct config_disk *disk = config_add_disk(cfg, "vda");

	cfg->vm_guid = guid(vm);
	cfg->guid = cfg->vm_guid;
	cfg->name = xstrdup(name);
	cfg->created_usec = 1795250000000000;
	cfg->domain_xml = xstrdup(DOMAIN);
	disk->pathname = xstrdup("x.qcow2");
	disk->format = xstrdup("qcow2");
	return cfg;
}

static void put_vm(const char *store, const char *dir, const char *vm, const char *name)
{
	_cleanup_vmdir_ struct vmdir *vd = dir_of(store, dir, vm);
	_cleanup_config_ struct config *cfg = new_config(CONFIG_VM, vm, name);
	_cleanup_free_ char *path = vmdir_config(vd);
	_cleanup_err_ struct err err = ERR_INIT;

	if (path_exists(vd->root) == 0)
		assert_ok(vmdir_make(vd, &err), &err);
	assert_ok(config_write(cfg, path, &err), &err);
}

static void put_snapshot(const char *store, const char *dir, const char *vm, const char *snap, const char *name)
{
	_cleanup_vmdir_ struct vmdir *vd = dir_of(store, dir, vm);
	_cleanup_config_ struct config *cfg = new_config(CONFIG_SNAPSHOT, vm, name);
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *path = NULL;

	cfg->guid = guid(snap);
	cfg->capture.mode = xstrdup("none");
	cfg->disks[0].sealed = 1;
	path = vmdir_snapshot_config(vd, &cfg->guid);
	assert_ok(config_write(cfg, path, &err), &err);
}

static struct catalog *open_catalog(const char *store)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct catalog *cat = NULL;

	assert_ok(catalog_open(store, &cat, &err), &err);
	return cat;
}

/* "name name", of all VMs. */
static void expect_vms(struct catalog *cat, const char *names)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *text = NULL;
	_cleanup_strv_ char **list = NULL;
	struct index_vm *vms;
	size_t n;

	assert_ok(catalog_vms(cat, &vms, &n, &err), &err);
	for (size_t i = 0; i < n; i++)
		strv_push(&list, xstrdup(vms[i].name));
	text = strv_join(list, " ");
	assert_string_equal(text, names);
	index_vms_free(vms, n);
}

/* Number of snapshots of the VM of that name. */
static size_t count_snapshots(struct catalog *cat, const char *name)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct index_snapshot *snaps;
	struct index_vm vm;
	size_t n;

	assert_ok(catalog_find_vm(cat, name, &vm, &err), &err);
	assert_ok(catalog_snapshots(cat, &vm, &snaps, &n, &err), &err);
	index_snapshots_free(snaps, n);
	index_vm_done(&vm);
	return n;
}

static void expect_found(struct catalog *cat, const char *name, const char *vm)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct index_vm row;

	assert_ok(catalog_find_vm(cat, name, &row, &err), &err);
	assert_string_equal(row.guid.s, vm);
	index_vm_done(&row);
}

static void expect_not_found(struct catalog *cat, const char *name, enum err_kind kind)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct index_vm row;

	assert_true(catalog_find_vm(cat, name, &row, &err) < 0);
	assert_int_equal(err.kind, kind);
	assert_non_null(strstr(err.message, name));
}

static void expect_problem(struct catalog *cat, const char *vm, const char *text)
{
	struct guid g = vm ? guid(vm) : (struct guid){ "" };
	_cleanup_strv_ char **list = catalog_problems(cat, vm ? &g : NULL);
	int found = 0;

	for (size_t i = 0; list && list[i]; i++)
		found |= strstr(list[i], text) != NULL;
	if (!found)
		fail_msg("'%s' is not named in '%s'", text, list ? list[0] : "(no problem)");
}

static void expect_no_problem(struct catalog *cat, const char *vm)
{
	struct guid g = guid(vm);
	_cleanup_strv_ char **list = catalog_problems(cat, &g);

	assert_int_equal(strv_count(list), 0);
}

static void test_find(void **state)
{
	struct catalog *cat;

	put_vm(*state, "web", A, "web");
	put_vm(*state, "db", B, "db");
	cat = open_catalog(*state);
	assert_string_equal(catalog_store(cat), *state);
	expect_vms(cat, "db web");
	expect_found(cat, "web", A);
	expect_found(cat, B, B);
	expect_found(cat, "bbbbbbbb-0000-4000-8000-000000000002", B); /* as libvirt writes it */
	expect_not_found(cat, "mail", ERR_NO_VM);
	expect_not_found(cat, S1, ERR_NO_VM);
	expect_no_problem(cat, A);
	catalog_close(cat);
}

/* What others change behind our back is seen at the next look. */
static void test_changes_are_seen(void **state)
{
	struct catalog *cat;

	put_vm(*state, "web", A, "web");
	cat = open_catalog(*state);
	expect_vms(cat, "web");
	put_vm(*state, "db", B, "db");
	expect_found(cat, "db", B);
	put_vm(*state, "web", A, "shop"); /* renamed in its document */
	expect_not_found(cat, "web", ERR_NO_VM);
	expect_found(cat, "shop", A);
	assert_int_equal(count_snapshots(cat, "shop"), 0);
	put_snapshot(*state, "web", A, S1, "one");
	assert_int_equal(count_snapshots(cat, "shop"), 1);
	expect_vms(cat, "db shop");
	catalog_close(cat);
}

static void write_over(const char *store, const char *name, const char *text)
{
	_cleanup_free_ char *path = path_join(store, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static void test_index_deleted_while_open(void **state)
{
	_cleanup_free_ char *path = path_join(*state, "index.sqlite");
	struct catalog *cat;

	put_vm(*state, "web", A, "web");
	put_snapshot(*state, "web", A, S1, "one");
	cat = open_catalog(*state);
	expect_vms(cat, "web");
	assert_int_equal(unlink(path), 0);
	expect_found(cat, "web", A);
	assert_int_equal(count_snapshots(cat, "web"), 1);
	expect_vms(cat, "web");
	assert_int_equal(path_exists(path), 1);
	catalog_close(cat);
}

/* At every offset of its first pages the index may be overwritten. */
static void test_index_corrupted(void **state)
{
	_cleanup_free_ char *path = path_join(*state, "index.sqlite");

	put_vm(*state, "web", A, "web");
	put_snapshot(*state, "web", A, S1, "one");
	for (int round = 0; round < 3; round++) {
		struct catalog *cat = open_catalog(*state);

		expect_vms(cat, "web");
		if (round == 2) /* while it is open, under a new name */
			write_over(*state, "index.new", "this is no database, not at all, and will never be one");
		catalog_close(cat);
		if (round < 2)
			write_over(*state, "index.sqlite", round ? "SQLite format 3" : "garbage garbage garbage");
		else {
			_cleanup_free_ char *other = path_join(*state, "index.new");

			cat = open_catalog(*state);
			assert_int_equal(rename(other, path), 0);
			expect_vms(cat, "web");
			assert_int_equal(count_snapshots(cat, "web"), 1);
			catalog_close(cat);
		}
	}
}

/* The pages go bad under an open index: garbage behind the header. */
static void test_index_damaged_while_open(void **state)
{
	_cleanup_free_ char *path = path_join(*state, "index.sqlite");
	_cleanup_free_ char *junk = xcalloc(1, 65536);
	struct catalog *cat;
	struct stat st;
	int fd;

	memset(junk, 0x5a, 65536);
	put_vm(*state, "web", A, "web");
	cat = open_catalog(*state);
	expect_vms(cat, "web");
	catalog_close(cat); /* so that all is in the file itself */
	cat = open_catalog(*state);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0 && st.st_size <= 65536);
	assert_int_equal(pwrite(fd, junk, (size_t)st.st_size - 100, 100), st.st_size - 100);
	close(fd);
	expect_vms(cat, "web");
	put_snapshot(*state, "web", A, S1, "one");
	assert_int_equal(count_snapshots(cat, "web"), 1);
	catalog_close(cat);
}

static void test_directory_moved(void **state)
{
	_cleanup_free_ char *from = path_join(*state, "web"), *to = path_join(*state, "elsewhere");
	_cleanup_err_ struct err err = ERR_INIT, gone_err = ERR_INIT;
	_cleanup_vmdir_ struct vmdir *dir = NULL;
	struct guid g = guid(A);
	struct vmdir *gone;
	struct catalog *cat;

	put_vm(*state, "web", A, "web");
	put_snapshot(*state, "web", A, S1, "one");
	cat = open_catalog(*state);
	assert_int_equal(count_snapshots(cat, "web"), 1);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(count_snapshots(cat, "web"), 1);
	assert_ok(catalog_dir(cat, &g, &dir, &err), &err);
	assert_string_equal(dir->root, to);
	g = guid(B);
	assert_int_equal(catalog_dir(cat, &g, &gone, &gone_err), -ENOENT);
	assert_int_equal(gone_err.kind, ERR_NO_VM);
	catalog_close(cat);
}

static void test_directory_gone(void **state)
{
	_cleanup_free_ char *from = path_join(*state, "web"), *away = path_join(*state, ".away");
	struct catalog *cat;

	put_vm(*state, "web", A, "web");
	put_vm(*state, "db", B, "db");
	cat = open_catalog(*state);
	expect_vms(cat, "db web");
	assert_int_equal(rename(from, away), 0);
	expect_vms(cat, "db");
	expect_not_found(cat, "web", ERR_NO_VM);
	catalog_rescan(cat);
	expect_vms(cat, "db");
	catalog_close(cat);
}

static void test_broken_snapshot(void **state)
{
	struct catalog *cat;

	put_vm(*state, "web", A, "web");
	put_snapshot(*state, "web", A, S1, "one");
	put_snapshot(*state, "web", A, S2, "two");
	cat = open_catalog(*state);
	assert_int_equal(count_snapshots(cat, "web"), 2);
	write_over(*state, "web/Snapshots/" S2 ".xml.new", "<configuration>");
	{
		_cleanup_free_ char *from = path_join(*state, "web/Snapshots/" S2 ".xml.new");
		_cleanup_free_ char *to = path_join(*state, "web/Snapshots/" S2 ".xml");

		assert_int_equal(rename(from, to), 0);
	}
	assert_int_equal(count_snapshots(cat, "web"), 1);
	expect_problem(cat, A, S2);
	put_snapshot(*state, "web", A, S2, "two"); /* restored from a backup */
	assert_int_equal(count_snapshots(cat, "web"), 2);
	expect_no_problem(cat, A);
	catalog_close(cat);
}

/* A VM whose own document is broken stays listed, under its directory's name. */
static void test_broken_vm(void **state)
{
	struct catalog *cat;

	put_vm(*state, "web", A, "shop");
	write_over(*state, "web/Virtual Machines/" A ".xml", "garbage");
	cat = open_catalog(*state);
	expect_vms(cat, "web");
	expect_problem(cat, A, A ".xml");
	put_vm(*state, "web", A, "shop");
	expect_vms(cat, "shop");
	expect_no_problem(cat, A);
	catalog_close(cat);
}

static void test_ambiguous_vms(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct catalog *cat;
	struct index_vm row;

	put_vm(*state, "one", A, "web");
	put_vm(*state, "two", B, "web");
	cat = open_catalog(*state);
	for (int i = 0; i < 2; i++) { /* the second time from the index */
		err_done(&err);
		assert_int_equal(catalog_find_vm(cat, "web", &row, &err), -ENOTUNIQ);
		assert_int_equal(err.kind, ERR_AMBIGUOUS);
		assert_non_null(strstr(err.message, A));
		assert_non_null(strstr(err.message, B));
	}
	expect_found(cat, A, A);
	expect_found(cat, B, B);
	catalog_close(cat);
}

static void test_ambiguous_snapshots(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT, none = ERR_INIT;
	struct catalog *cat;
	struct index_vm vm;
	struct guid got;

	put_vm(*state, "web", A, "web");
	put_snapshot(*state, "web", A, S1, "nightly");
	put_snapshot(*state, "web", A, S2, "nightly");
	cat = open_catalog(*state);
	assert_ok(catalog_find_vm(cat, "web", &vm, &err), &err);
	assert_int_equal(catalog_find_snapshot(cat, &vm, "nightly", &got, &err), -ENOTUNIQ);
	assert_int_equal(err.kind, ERR_AMBIGUOUS);
	assert_non_null(strstr(err.message, S1));
	assert_non_null(strstr(err.message, S2));
	assert_int_equal(catalog_find_snapshot(cat, &vm, S2, &got, NULL), 0);
	assert_string_equal(got.s, S2);
	assert_int_equal(catalog_find_snapshot(cat, &vm, "weekly", &got, &none), -ENOENT);
	assert_int_equal(none.kind, ERR_NO_SNAPSHOT);
	index_vm_done(&vm);
	catalog_close(cat);
}

/* A copy of a VM directory has the same GUID: one is used, both are named. */
static void test_duplicates(void **state)
{
	struct catalog *cat;

	put_vm(*state, "web", A, "web");
	put_vm(*state, "web-copy", A, "web");
	cat = open_catalog(*state);
	expect_vms(cat, "web");
	expect_found(cat, "web", A);
	expect_problem(cat, NULL, "web-copy");
	expect_problem(cat, NULL, A);
	catalog_close(cat);
}

static void test_unfinished(void **state)
{
	struct catalog *cat;
	struct vmdir **dirs;
	size_t n;

	put_vm(*state, "web", A, "web");
	put_vm(*state, "db", B, "db");
	write_over(*state, "db/Virtual Machines/" B ".op", "anything");
	cat = open_catalog(*state);
	catalog_unfinished(cat, &dirs, &n);
	assert_int_equal(n, 1);
	assert_string_equal(dirs[0]->guid.s, B);
	vmdir_free(dirs[0]);
	free(dirs);
	catalog_close(cat);
}

static void test_touch(void **state)
{
	_cleanup_vmdir_ struct vmdir *dir = dir_of(*state, "web", A);
	_cleanup_free_ char *path = vmdir_config(dir);
	struct guid g = guid(A), other = guid(B);
	struct catalog *cat;

	put_vm(*state, "web", A, "web");
	cat = open_catalog(*state);
	expect_vms(cat, "web");
	catalog_touch(cat, &g);
	expect_vms(cat, "web");
	put_vm(*state, "db", B, "db");
	catalog_touch(cat, &other); /* new */
	expect_found(cat, "db", B);
	assert_int_equal(unlink(path), 0);
	catalog_touch(cat, &g); /* gone */
	expect_not_found(cat, "web", ERR_NO_VM);
	expect_vms(cat, "db");
	catalog_close(cat);
}

/* The history is the one thing that only the index holds. */
static void test_jobs(void **state)
{
	struct index_job row = { .id = (char *)"17", .operation = (char *)"take a snapshot", .vm = (char *)"web",
				 .state = (char *)"failed", .message = (char *)"no room", .started_usec = 1,
				 .finished_usec = 2 };
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *path = path_join(*state, "index.sqlite");
	struct catalog *cat = open_catalog(*state);
	struct index_job *jobs;
	size_t n;

	catalog_add_job(cat, &row);
	catalog_close(cat);
	cat = open_catalog(*state);
	assert_ok(catalog_jobs(cat, 10, &jobs, &n, &err), &err);
	assert_int_equal(n, 1);
	assert_string_equal(jobs[0].message, "no room");
	index_jobs_free(jobs, n);
	assert_int_equal(unlink(path), 0);
	row.id = (char *)"18";
	catalog_add_job(cat, &row); /* into a new one */
	assert_ok(catalog_jobs(cat, 10, &jobs, &n, &err), &err);
	assert_int_equal(n, 1);
	assert_string_equal(jobs[0].id, "18");
	index_jobs_free(jobs, n);
	catalog_close(cat);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_find),
		TEST(test_changes_are_seen),
		TEST(test_index_deleted_while_open),
		TEST(test_index_corrupted),
		TEST(test_index_damaged_while_open),
		TEST(test_directory_moved),
		TEST(test_directory_gone),
		TEST(test_broken_snapshot),
		TEST(test_broken_vm),
		TEST(test_ambiguous_vms),
		TEST(test_ambiguous_snapshots),
		TEST(test_duplicates),
		TEST(test_unfinished),
		TEST(test_touch),
		TEST(test_jobs),
	};
	const char *top = getenv("top_srcdir");
	_cleanup_free_ char *dir = path_join(top ? top : ".", "xmlcfg");

	config_set_schema_dir(dir);
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("test-catalog", tests, NULL, NULL);
}
