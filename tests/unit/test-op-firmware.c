/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots of a UEFI guest: its NVRAM is copied in a pause of ours, and put back
 * with an apply. Killed and failing at every place. */
#include "tests/unit/test-op-rig.h"

static struct guid target;

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
	struct snapshot_spec spec = { .name = "new", .mode = "paused" };

	return snapshot_create(daemon, rig->dir, &spec, job, ret_guid, reterr);
}

static int apply(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		 struct err *reterr)
{
	struct apply_spec how = { .snapshot = &target };

	return snapshot_apply(daemon, rig->dir, &how, job, NULL, reterr);
}

/* ---- NVRAM */

static void put_nvram(struct rig *rig, const char *text)
{
	_cleanup_free_ char *path = path_join(rig->outside, "t_VARS.fd");
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(file_replace(path, text, strlen(text), 0600, &err), &err);
}

static void expect_nvram(struct rig *rig, const char *path, const char *text)
{
	_cleanup_free_ char *got = NULL;

	rig_check(rig, file_read(path, 100, &got, NULL, NULL) == 0, "the NVRAM file '%s' is gone", path);
	rig_check(rig, strcmp(got, text) == 0, "the variables in '%s' are '%s', not '%s'", path, got, text);
}

static void expect_live(struct rig *rig, const char *text)
{
	_cleanup_free_ char *path = path_join(rig->outside, "t_VARS.fd");

	expect_nvram(rig, path, text);
}

/* ---- preparations */

static void prepare_off(struct rig *rig)
{
	rig_define(rig, "qcow2", 1);
	rig_must(rig, adopt);
	put_nvram(rig, "one");
}

static void prepare_running(struct rig *rig)
{
	prepare_off(rig);
	rig_must(rig, start);
}

static void snap(struct rig *rig)
{
	rig_must(rig, take);
	rig->snap[rig->n_snaps++] = target = rig->out->guid;
	put_nvram(rig, "two");
}

static void prepare_apply_running(struct rig *rig)
{
	prepare_running(rig);
	snap(rig);
}

static void prepare_apply_off(struct rig *rig)
{
	prepare_off(rig);
	snap(rig);
	rig_must(rig, start);
}

/* ---- what came about */

static int look_taken(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = rig_config(rig), *got = NULL;
	_cleanup_free_ char *copy = NULL;
	size_t n = 0;

	free(rig_snapshots(rig, &n));
	rig_check_guest(rig);
	expect_live(rig, "one");
	if (n == 0) {
		rig_check(rig, guid_is_none(&cfg->parent), "the VM derives from what is not there");
		return 0;
	}
	got = rig_snapshot(rig, &cfg->parent);
	rig_check(rig, n == 1 && got, "the VM derives from something else");
	rig_check(rig, got->nvram.copy, "the snapshot has no NVRAM");
	copy = vmdir_resolve(rig->dir, got->nvram.copy);
	expect_nvram(rig, copy, "one");
	rig_check(rig, !got->state.vsv == (rig->state == HV_OFF), "the snapshot's memory");
	return 1;
}

static int look_applied(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = rig_config(rig), *wanted = rig_snapshot(rig, &target);
	struct hvs_domain *d = rig_domain(rig);

	rig_check(rig, wanted, "the snapshot is gone");
	if (rig_same_disks(cfg, rig->before)) {
		expect_live(rig, "two");
		if (d->state != HV_OFF)
			rig_check_guest(rig);
		return 0;
	}
	expect_live(rig, "one");
	rig_check(rig, d->state == (wanted->state.vsv ? HV_RUNNING : HV_OFF), "the guest's state is %d", (int)d->state);
	return 1;
}

#define CASE(fn, k, prep, work, looking)                                                              \
	static void fn(void **state _unused_)                                                         \
	{                                                                                             \
		rig_try(&(struct rig_case){ .name = #fn, .kind = k, .prepare = prep, .run = work,     \
					    .look = looking });                                       \
	}

CASE(create_off, &op_snapshot_create, prepare_off, take, look_taken)
CASE(create_running, &op_snapshot_create, prepare_running, take, look_taken)
CASE(apply_running, &op_snapshot_apply, prepare_apply_running, apply, look_applied)
CASE(apply_off, &op_snapshot_apply, prepare_apply_off, apply, look_applied)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_off),
		cmocka_unit_test(create_running),
		cmocka_unit_test(apply_running),
		cmocka_unit_test(apply_off),
	};

	rig_need_tools();
	return cmocka_run_group_tests_name("test-op-firmware", tests, NULL, NULL);
}
