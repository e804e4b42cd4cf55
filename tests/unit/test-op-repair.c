/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A check of a VM in a life of a daemon, and a repair that is killed before and after,
 * and fails in, each of its steps: the next one does the rest, and nothing is lost. */
#include "tests/unit/test-op-rig.h"

#include <unistd.h>

#include "daemon/catalog.h"
#include "daemon/op-repair.h"

#define ORPHAN "Snapshots/somebody.bin"
#define EMPTY "0F0F0F0F-1111-4222-8333-444444444444"

static const char *accept_path; /* of the drifted disk */

/* ---- lives */

static int adopt(struct rig *rig _unused_, struct daemon *daemon, struct job *job, struct guid *ret_guid,
		 struct err *reterr)
{
	return vm_adopt(daemon, "t", 0, job, ret_guid, reterr);
}

static int start(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		 struct err *reterr)
{
	return vm_start(daemon, rig->dir, &(struct start_spec){ 0 }, job, reterr);
}

static int take(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid, struct err *reterr)
{
	struct snapshot_spec spec = { .name = "new" };

	return snapshot_create(daemon, rig->dir, &spec, job, ret_guid, reterr);
}

/* Ends with -EUCLEAN and the words of what was found, infos too; 0: nothing. */
static int look(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		struct err *reterr)
{
	struct check_options opts = { .own_job = job_id(job) };
	_cleanup_check_report_ struct check_report rep = { 0 };
	_cleanup_strv_ char **words = NULL;
	_cleanup_free_ char *text = NULL;
	struct index_vm vm;
	int r = catalog_find_vm(daemon->catalog, rig->dir->guid.s, &vm, reterr);

	if (r < 0)
		return r;
	r = check_vm(daemon, &vm, &opts, job, &rep, reterr);
	index_vm_done(&vm);
	if (r < 0 || rep.n == 0)
		return r;
	for (size_t i = 0; i < rep.n; i++)
		strv_push(&words, xstrdup(check_rule(rep.finding[i].id)->word));
	text = strv_join(words, " ");
	return err_set(reterr, ERR_FAILED, -EUCLEAN, "%s", text);
}

static int mend(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		struct err *reterr)
{
	_cleanup_check_report_ struct check_report done = { 0 }, left = { 0 }, found = { 0 };
	struct check_options look_opts = { .own_job = job_id(job) };
	struct repair_options opts = { 0 };
	struct index_vm vm;
	int r = catalog_find_vm(daemon->catalog, rig->dir->guid.s, &vm, reterr);

	if (r < 0)
		return r;
	r = check_vm(daemon, &vm, &look_opts, job, &found, reterr);
	if (check_has(&found, CHECK_SEAL_DRIFT))
		opts.accept = accept_path;
	if (!r)
		r = vm_repair(daemon, &vm, &opts, job, &done, &left, reterr);
	index_vm_done(&vm);
	return r;
}

static void expect_found(struct rig *rig, const char *words)
{
	rig_life(rig, NULL, look);
	rig_check(rig, !rig->out->killed && strcmp(rig->out->message, words) == 0, "a check finds '%s' and not '%s'",
		  rig->out->message, words);
}

/* ---- preparations */

static void prepare(struct rig *rig, int snapshots)
{
	rig_define(rig, "qcow2", 0);
	rig_must(rig, adopt);
	for (int i = 0; i < snapshots; i++) {
		rig_must(rig, take);
		rig->snap[rig->n_snaps++] = rig->out->guid;
	}
}

/* One fault for each step of a repair but the index, which a life reads anew anyhow. */
static void plant(struct rig *rig)
{
	_cleanup_free_ char *orphan = path_join(rig->dir->root, ORPHAN), *snaps = vmdir_snapshots_dir(rig->dir);
	_cleanup_free_ char *empty = path_join(snaps, EMPTY), *missing = vmdir_snapshot_dir(rig->dir, &rig->snap[0]);
	_cleanup_config_ struct config *second = rig_snapshot(rig, &rig->snap[1]);
	_cleanup_free_ char *sealed = vmdir_resolve(rig->dir, second->disks[0].pathname);
	_cleanup_free_ char *document = vmdir_config(rig->dir);
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(file_replace(orphan, ORPHAN, strlen(ORPHAN), 0600, &err), &err);
	assert_int_equal(mkdir(empty, 0700), 0);
	assert_int_equal(rmdir(missing), 0);
	assert_int_equal(chmod(document, 0644), 0);
	assert_int_equal(chmod(sealed, 0600), 0);
	assert_int_equal(truncate(sealed, file_allocated(sealed) + (1 << 20)), 0);
	assert_int_equal(chmod(sealed, 0400), 0);
	rig_domain(rig)->used = 0;
	accept_path = xstrdup(sealed);
}

/* The orphan's only copy, at its place or put away. */
static void expect_orphan(struct rig *rig)
{
	_cleanup_free_ char *away = path_join(rig->dir->root, CHECK_QUARANTINE), *text = NULL;
	_cleanup_free_ char *path = path_join(rig->dir->root, ORPHAN);
	_cleanup_strv_ char **times = NULL;
	int copies = path_exists(path) == 1;

	if (path_exists(away) == 1)
		rig_check(rig, dir_list(away, &times, NULL) == 0, "'%s' cannot be read", away);
	for (size_t i = 0; times && times[i]; i++) {
		_cleanup_free_ char *dir = path_join(away, times[i]), *moved = path_join(dir, ORPHAN);

		if (path_exists(moved) != 1)
			continue;
		copies++;
		xstrset(&path, moved);
	}
	rig_check(rig, copies == 1, "there are %d of the orphan", copies);
	rig_check(rig, file_read(path, 100, &text, NULL, NULL) == 0 && strcmp(text, ORPHAN) == 0, "the orphan is damaged");
}

/* ---- tests */

static void test_sound(void **state _unused_)
{
	struct rig *rig = rig_new();

	prepare(rig, 2);
	expect_found(rig, "");
	rig_must(rig, start);
	expect_found(rig, "");
	rig_must(rig, mend);
	rig_free(rig);
}

static void test_foreign(void **state _unused_)
{
	struct rig *rig = rig_new();

	prepare(rig, 1);
	rig_domain(rig)->managed_save = 1;
	expect_found(rig, "managed-save");
	rig_domain(rig)->managed_save = 0;
	rig_must(rig, start);
	rig_domain(rig)->job = 1000;
	expect_found(rig, "foreign-job");
	rig_must(rig, mend); /* it is not ours to end */
	expect_found(rig, "foreign-job");
	rig_free(rig);
}

/* A hypervisor that does not answer: the files are checked all the same, and nothing is called an orphan. */
static void test_silent_hypervisor(void **state _unused_)
{
	struct rig *rig = rig_new();
	_cleanup_free_ char *orphan = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	prepare(rig, 1);
	orphan = path_join(rig->dir->root, ORPHAN);
	assert_ok(file_replace(orphan, "x", 1, 0600, &err), &err);
	expect_found(rig, "orphan");
	hvs_reset(rig->hvs);
	rig->hvs->fault.call = HVS_LIST;
	rig->hvs->fault.nth = 1;
	rig->hvs->fault.when = HVS_FAIL_BEFORE;
	expect_found(rig, "");
	hvs_reset(rig->hvs);
	rig_free(rig);
}

static void test_killed(void **state _unused_)
{
	static const char *const ways[] = { "kill-before", "kill-after", "fail" };
	struct rig *rig = rig_new();

	prepare(rig, 2);
	plant(rig);
	rig_keep(rig);
	for (size_t i = 0; i <= op_repair.n_steps; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(ways); k++) {
			const char *step = i < op_repair.n_steps ? op_repair.steps[i].name : "intent";
			_cleanup_free_ char *fault = xasprintf("%s:repair.%s", ways[k], step);

			rig->context = fault;
			rig_put_back(rig);
			rig_life(rig, fault, mend);
			rig_check(rig, k < 2 ? rig->out->killed : rig->out->r < 0, "the fault was not met");
			expect_orphan(rig);
			rig_recover(rig);
			expect_orphan(rig);
			rig_must(rig, mend);
			expect_orphan(rig);
			expect_found(rig, "quarantined");
		}
	}
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_silent_hypervisor),
		cmocka_unit_test(test_killed),
	};

	rig_need_tools();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
