/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making, adopting, deleting, renaming, saving and resuming a VM: killed and
 * failing at every place. */
#include "tests/unit/test-op-rig.h"

static uint64_t saved_memory; /* of the VM that was saved */

/* ---- lives */

static int make_vm(struct rig *rig _unused_, struct daemon *daemon, struct job *job, struct guid *ret_guid,
		   struct err *reterr)
{
	struct vm_spec vm = { .name = "t", .memory = RIG_MEMORY, .vcpus = 1, .disk = 1 << 20, .notes = "mine" };

	return vm_create(daemon, &vm, job, ret_guid, reterr);
}

static int import_vm(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid, struct err *reterr)
{
	_cleanup_free_ char *disk = path_join(rig->outside, "d.vpc");
	struct vm_spec vm = { .name = "t", .memory = RIG_MEMORY, .vcpus = 1, .import_disk = disk,
			      .import_format = "vpc" };

	return vm_create(daemon, &vm, job, ret_guid, reterr);
}

static int adopt(struct rig *rig _unused_, struct daemon *daemon, struct job *job, struct guid *ret_guid,
		 struct err *reterr)
{
	return vm_adopt(daemon, "t", 1, job, ret_guid, reterr);
}

static int start(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		 struct err *reterr)
{
	return vm_start(daemon, rig->dir, &(struct start_spec){ 0 }, job, reterr);
}

static int take(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid, struct err *reterr)
{
	struct snapshot_spec spec = { .name = "one" };

	return snapshot_create(daemon, rig->dir, &spec, job, ret_guid, reterr);
}

static int delete(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		  struct err *reterr)
{
	return vm_delete(daemon, rig->dir, 1, job, reterr);
}

static int rename_vm(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		     struct err *reterr)
{
	return vm_rename(daemon, rig->dir, "other", job, reterr);
}

static int save(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		struct err *reterr)
{
	return vm_save(daemon, rig->dir, job, reterr);
}

static int keep_time;

static int resume(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		  struct err *reterr)
{
	return vm_resume(daemon, rig->dir, keep_time, job, reterr);
}

static int discard(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		   struct err *reterr)
{
	struct machine *m;
	int r = machine_open(daemon, rig->dir, 0, &m, reterr);

	return r < 0 ? r : vm_discard_saved(daemon, m, job, reterr);
}

/* ---- preparations */

static void prepare_nothing(struct rig *rig)
{
	rig->gone = 1;
}

static void prepare_import(struct rig *rig)
{
	prepare_nothing(rig);
	rig_make_disk(rig, "d.vpc", "vpc");
}

static void prepare_adopt_off(struct rig *rig)
{
	rig->gone = 1;
	rig_define(rig, "qcow2", 0);
}

static void prepare_adopt_running(struct rig *rig)
{
	_cleanup_err_ struct err err = ERR_INIT;

	prepare_adopt_off(rig);
	assert_ok(hv_start(&rig->hvs->hv, &rig->dir->guid, 0, &err), &err);
}

static void prepare_adopt_convert(struct rig *rig)
{
	rig->gone = 1;
	rig_define(rig, "vpc", 0);
}

static void prepare_off(struct rig *rig)
{
	_cleanup_free_ char *root = path_join(rig->store, "t");

	rig_must(rig, make_vm);
	rig->dir = vmdir_new(root, &rig->out->guid);
}

static void prepare_running(struct rig *rig)
{
	prepare_off(rig);
	rig_must(rig, start);
}

static void prepare_paused(struct rig *rig)
{
	prepare_running(rig);
	rig_domain(rig)->state = HV_PAUSED;
}

static void prepare_delete(struct rig *rig)
{
	prepare_running(rig);
	rig_must(rig, take);
	rig_must(rig, take);
	rig->gone = 1;
}

static void prepare_delete_saved(struct rig *rig)
{
	prepare_running(rig);
	rig_must(rig, save);
	rig->gone = 1;
}

static void prepare_delete_adopted(struct rig *rig)
{
	rig_define(rig, "qcow2", 1);
	rig_must(rig, adopt);
	rig->gone = 1;
}

static void prepare_rename_uefi(struct rig *rig)
{
	rig_define(rig, "qcow2", 1);
	rig_must(rig, adopt);
}

static void prepare_saved(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = NULL;
	_cleanup_free_ char *vsv = NULL;

	prepare_running(rig);
	rig_must(rig, save);
	cfg = rig_config(rig);
	vsv = vmdir_resolve(rig->dir, cfg->state.vsv);
	saved_memory = hvs_image_memory(vsv);
	assert_true(saved_memory);
}

/* ---- what came about */

static void find_made(struct rig *rig)
{
	_cleanup_free_ char *root = path_join(rig->store, "t"), *vms = path_join(root, "Virtual Machines");
	_cleanup_strv_ char **names = NULL;
	struct guid guid;

	vmdir_free(rig->dir);
	rig->dir = NULL;
	if (dir_list(vms, &names, NULL) < 0)
		return;
	for (size_t i = 0; names && names[i]; i++) {
		_cleanup_free_ char *name = xstrdup(names[i]);

		name[strcspn(name, ".")] = '\0';
		if (guid_parse(name, &guid) == 0 && !rig->dir)
			rig->dir = vmdir_new(root, &guid);
	}
	rig_check(rig, rig->dir, "an empty directory is left");
}

static int look_made(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = rig->dir ? rig_config(rig) : NULL;

	if (cfg) {
		rig_check(rig, strcmp(cfg->name, "t") == 0 && cfg->n_disks == 1, "another VM was made");
		vmdir_free(rig->dir);
		rig->dir = NULL;
		return 1;
	}
	for (size_t i = 0; i < HVS_DOMAINS; i++)
		rig_check(rig, !rig->hvs->domain[i].used, "a domain is left");
	return 0;
}

static int look_adopted(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = rig_config(rig);
	_cleanup_free_ char *cmd = xasprintf("ls '%s'/d.* >/dev/null", rig->outside);
	struct hvs_domain *d = rig_domain(rig);

	rig_check_guest(rig);
	rig_check(rig, system(cmd) == 0, "the domain's disk is gone");
	rig_check(rig, cfg || strcmp(d->inactive, rig->kept_hvs->domain[0].inactive) == 0, "the domain was changed");
	return cfg != NULL;
}

static int look_deleted(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = rig_config(rig);
	_cleanup_free_ char *cmd = xasprintf("diff -r '%s' '%s/outside'", rig->outside, rig->kept);

	rig_check(rig, system(cmd) == 0, "files outside the VM directory were touched");
	if (!cfg) {
		rig_check(rig, !hvs_find(rig->hvs, &rig->dir->guid), "the domain is left");
		return 1;
	}
	rig_check(rig, rig_same_disks(cfg, rig->before), "the VM has other disks");
	if (rig_domain(rig)->state != HV_OFF) /* it may have been stopped */
		rig_check_guest(rig);
	return 0;
}

static int look_renamed(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = rig_config(rig);
	_cleanup_free_ char *nvram = cfg->nvram.live ? vmdir_resolve(rig->dir, cfg->nvram.live) : NULL;

	rig_check(rig, rig_same_disks(cfg, rig->before), "the VM has other disks");
	rig_check(rig, !nvram || path_exists(nvram) == 1, "the NVRAM file '%s' is gone", nvram);
	if (strcmp(cfg->name, "t") == 0)
		return 0;
	rig_check(rig, strcmp(cfg->name, "other") == 0, "it is named '%s'", cfg->name);
	return 1;
}

static int look_saved(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = rig_config(rig);
	_cleanup_free_ char *vsv = cfg->state.vsv ? vmdir_resolve(rig->dir, cfg->state.vsv) : NULL;

	rig_check(rig, rig_same_disks(cfg, rig->before), "the VM has other disks");
	if (!vsv) {
		rig_check_guest(rig);
		return 0;
	}
	rig_check(rig, hvs_image_memory(vsv) == rig->memory, "another guest was saved");
	return 1;
}

static int look_resumed(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = rig_config(rig);
	struct hvs_domain *d = rig_domain(rig);

	rig_check(rig, rig_same_disks(cfg, rig->before), "the VM has other disks");
	if (cfg->state.vsv)
		return 0;
	rig_check(rig, d->state == HV_RUNNING && d->memory == saved_memory, "the saved guest is lost");
	return 1;
}

static int look_discarded(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = rig_config(rig);

	rig_check(rig, rig_same_disks(cfg, rig->before), "the VM has other disks");
	rig_check_guest(rig);
	return !cfg->state.vsv;
}

/* ---- cases */

#define CASE(fn, k, prep, work, finding, looking)                                                     \
	static void fn(void **state _unused_)                                                         \
	{                                                                                             \
		rig_try(&(struct rig_case){ .name = #fn, .kind = k, .prepare = prep, .run = work,     \
					    .find = finding, .look = looking });                      \
	}

CASE(create, &op_vm_create, prepare_nothing, make_vm, find_made, look_made)
CASE(create_import, &op_vm_create, prepare_import, import_vm, find_made, look_made)
CASE(adopt_off, &op_vm_adopt, prepare_adopt_off, adopt, NULL, look_adopted)
CASE(adopt_running, &op_vm_adopt, prepare_adopt_running, adopt, NULL, look_adopted)
CASE(adopt_convert, &op_vm_adopt, prepare_adopt_convert, adopt, NULL, look_adopted)
CASE(delete_running, &op_vm_delete, prepare_delete, delete, NULL, look_deleted)
CASE(delete_saved, &op_vm_delete, prepare_delete_saved, delete, NULL, look_deleted)
CASE(delete_adopted, &op_vm_delete, prepare_delete_adopted, delete, NULL, look_deleted)
CASE(rename_off, &op_vm_rename, prepare_off, rename_vm, NULL, look_renamed)
CASE(rename_uefi, &op_vm_rename, prepare_rename_uefi, rename_vm, NULL, look_renamed)
CASE(save_running, &op_vm_save, prepare_running, save, NULL, look_saved)
CASE(save_paused, &op_vm_save, prepare_paused, save, NULL, look_saved)
CASE(resume_saved, &op_vm_resume, prepare_saved, resume, NULL, look_resumed)
CASE(discard_saved, &op_vm_resume, prepare_saved, discard, NULL, look_discarded)

/* A saved guest that goes on is told the time, also if the daemon dies in between, unless it is not to be; one
 * whose agent does not answer goes on all the same. */
static void resume_sets_the_clock(void **state _unused_)
{
	struct rig *rig = rig_new();

	rig->context = "resume_sets_the_clock";
	prepare_saved(rig);
	rig_must(rig, resume);
	assert_int_equal(rig->hvs->clocks_set, 1);
	assert_int_equal(rig->out->warnings, 0);
	rig_must(rig, save);
	rig_must(rig, start);
	assert_int_equal(rig->hvs->clocks_set, 2);
	rig_must(rig, save);
	rig_life(rig, "kill-after:vm-resume.restore", resume);
	assert_true(rig->out->killed);
	rig_recover(rig);
	assert_int_equal(rig->hvs->clocks_set, 3);
	rig_must(rig, save);
	keep_time = 1;
	rig_must(rig, resume);
	keep_time = 0;
	assert_int_equal(rig->hvs->clocks_set, 3);
	rig_must(rig, save);
	rig_must(rig, discard);
	assert_int_equal(rig->hvs->clocks_set, 3);
	rig_must(rig, start);
	rig_must(rig, save);
	rig->hvs->clock_fails = 1;
	rig_must(rig, resume);
	assert_int_equal(rig->out->warnings, 1);
	rig_check(rig, rig_domain(rig)->state == HV_RUNNING, "the guest does not run");
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create),	  cmocka_unit_test(create_import),
		cmocka_unit_test(adopt_off),	  cmocka_unit_test(adopt_running),
		cmocka_unit_test(adopt_convert),  cmocka_unit_test(delete_running),
		cmocka_unit_test(delete_saved),	  cmocka_unit_test(delete_adopted),
		cmocka_unit_test(rename_off),	  cmocka_unit_test(rename_uefi),
		cmocka_unit_test(save_running),	  cmocka_unit_test(save_paused),
		cmocka_unit_test(resume_saved),	  cmocka_unit_test(discard_saved),
		cmocka_unit_test(resume_sets_the_clock),
	};

	rig_need_tools();
	return cmocka_run_group_tests_name("test-op-vm", tests, NULL, NULL);
}
