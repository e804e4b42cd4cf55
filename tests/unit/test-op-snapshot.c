/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking, applying and deleting snapshots: killed and failing at every place. */
#include "tests/unit/test-op-rig.h"

/* ---- lives */

static struct snapshot_spec spec;
static int keep_time;
static struct guid target; /* of apply and delete; "" : the one that now derives from */

static int make_vm(struct rig *rig _unused_, struct daemon *daemon, struct job *job, struct guid *ret_guid,
		   struct err *reterr)
{
	struct vm_spec vm = { .name = "t", .memory = RIG_MEMORY, .vcpus = 1, .disk = 1 << 20 };

	return vm_create(daemon, &vm, job, ret_guid, reterr);
}

static int start(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		 struct err *reterr)
{
	return vm_start(daemon, rig->dir, &(struct start_spec){ 0 }, job, reterr);
}

static int stop(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		struct err *reterr)
{
	return vm_stop(daemon, rig->dir, job, reterr);
}

static int save(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		struct err *reterr)
{
	return vm_save(daemon, rig->dir, job, reterr);
}

static int take(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid, struct err *reterr)
{
	return snapshot_create(daemon, rig->dir, &spec, job, ret_guid, reterr);
}

static int apply(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		 struct err *reterr)
{
	struct apply_spec how = { .snapshot = guid_is_none(&target) ? NULL : &target, .keep_time = keep_time };

	return snapshot_apply(daemon, rig->dir, &how, job, NULL, reterr);
}

static int delete(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		  struct err *reterr)
{
	return snapshot_delete(daemon, rig->dir, &target, 0, job, reterr);
}

/* ---- preparations */

static void prepare_off(struct rig *rig)
{
	_cleanup_free_ char *root = path_join(rig->store, "t");

	spec = (struct snapshot_spec){ .name = "new" };
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

static void prepare_saved(struct rig *rig)
{
	prepare_running(rig);
	rig_must(rig, save);
}

static void prepare_disk_only(struct rig *rig)
{
	prepare_running(rig);
	spec.no_memory = 1;
}

static void prepare_paused_mode(struct rig *rig)
{
	prepare_running(rig);
	spec.mode = "paused";
}

static void snap(struct rig *rig, const char *name)
{
	spec.name = name;
	rig_must(rig, take);
	rig->snap[rig->n_snaps++] = rig->out->guid;
	spec.name = "new";
}

/* Two with memory in a row, the guest runs on. */
static void prepare_tree(struct rig *rig)
{
	prepare_running(rig);
	snap(rig, "one");
	snap(rig, "two");
}

/* As prepare_tree(); now derives from "one", "two" is a leaf of its own. */
static void prepare_branch(struct rig *rig)
{
	prepare_tree(rig);
	target = rig->snap[0];
	rig_must(rig, apply);
}

static void prepare_apply_one(struct rig *rig)
{
	prepare_tree(rig);
	target = rig->snap[0];
}

static void prepare_revert(struct rig *rig)
{
	prepare_tree(rig);
	target.s[0] = '\0';
}

static void prepare_apply_to_off(struct rig *rig)
{
	prepare_off(rig);
	snap(rig, "off");
	rig_must(rig, start);
	target = rig->snap[0];
}

static void prepare_apply_from_off(struct rig *rig)
{
	prepare_tree(rig);
	rig_must(rig, stop);
	target = rig->snap[0];
}

static void prepare_apply_from_saved(struct rig *rig)
{
	prepare_tree(rig);
	rig_must(rig, save);
	target = rig->snap[1];
}

static void prepare_delete(struct rig *rig)
{
	prepare_branch(rig);
	target = rig->snap[1];
	rig->victim = &target;
}

/* One with a child goes; now derives from the child. */
static void prepare_delete_parent(struct rig *rig)
{
	prepare_tree(rig);
	target = rig->snap[0];
	rig->victim = &target;
	rig->may_differ = "<parent_id";
}

/* ---- what came about */

static const struct config_disk *disk_of(const struct config *cfg)
{
	return &cfg->disks[0];
}

/* A snapshot that was not taken: as before, but perhaps on a new overlay whose
 * memory was lost: the disks below it are all there (laws). */
static int look_not_taken(struct rig *rig, const struct config *cfg, size_t n)
{
	rig_check(rig, n == (size_t)rig->n_snaps, "there are %zu snapshots", n);
	rig_check(rig, guid_eq(&cfg->parent, &rig->before->parent), "the VM derives from something else");
	if (rig->state == HV_OFF)
		rig_check(rig, rig_same_disks(cfg, rig->before), "the disks were switched");
	return 0;
}

static int look_taken(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = rig_config(rig), *got = NULL;
	size_t n = 0;
	int with_memory = rig->before->state.vsv || (rig->state != HV_OFF && !spec.no_memory);

	free(rig_snapshots(rig, &n));
	rig_check_guest(rig);
	if (rig->before->state.vsv)
		rig_check(rig, cfg->state.vsv, "the save state is gone");
	if (n == (size_t)rig->n_snaps)
		return look_not_taken(rig, cfg, n);
	got = rig_snapshot(rig, &cfg->parent);
	rig_check(rig, n == (size_t)rig->n_snaps + 1, "there are %zu snapshots", n);
	rig_check(rig, got && strcmp(got->name, "new") == 0, "the VM derives from something else");
	rig_check(rig, guid_eq(&got->parent, &rig->before->parent), "the snapshot derives from something else");
	rig_check(rig, rig_same_disks(got, rig->before), "the snapshot has other disks");
	rig_check(rig, !rig_same_disks(cfg, rig->before), "the VM writes to the snapshot's disks");
	rig_check(rig, !got->state.vsv == !with_memory, "the snapshot %s memory", with_memory ? "lacks" : "has");
	if (rig->memory && with_memory) {
		_cleanup_free_ char *vsv = vmdir_resolve(rig->dir, got->state.vsv);

		rig_check(rig, hvs_image_memory(vsv) == rig->memory, "the snapshot has another guest's memory");
	}
	return 1;
}

static void check_applied(struct rig *rig, const struct config *cfg, const struct config *wanted)
{
	struct hvs_domain *d = rig_domain(rig);
	_cleanup_free_ char *vsv = wanted->state.vsv ? vmdir_resolve(rig->dir, wanted->state.vsv) : NULL;

	rig_check(rig, !rig_same_disks(cfg, wanted), "the VM writes to the snapshot's disks");
	rig_check(rig, !cfg->state.vsv, "the VM is still saved");
	if (!vsv) {
		rig_check(rig, d->state == HV_OFF, "the VM runs");
		return;
	}
	rig_check(rig, d->state == HV_RUNNING, "the VM does not run");
	rig_check(rig, d->memory == hvs_image_memory(vsv), "the VM has another guest's memory");
}

static int look_applied(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = rig_config(rig), *wanted = NULL;
	struct guid goal = guid_is_none(&target) ? rig->before->parent : target;
	size_t n = 0;

	free(rig_snapshots(rig, &n));
	rig_check(rig, n == (size_t)rig->n_snaps, "there are %zu snapshots", n);
	rig_check(rig, strcmp(cfg->name, rig->before->name) == 0, "the VM was renamed");
	if (rig_same_disks(cfg, rig->before)) {
		rig_check(rig, guid_eq(&cfg->parent, &rig->before->parent), "the VM derives from something else");
		rig_check(rig, !cfg->state.vsv == !rig->before->state.vsv, "the VM's save state is gone");
		if (rig_domain(rig)->state != HV_OFF) /* it is off if memory could not be loaded */
			rig_check_guest(rig);
		return 0;
	}
	wanted = rig_snapshot(rig, &goal);
	rig_check(rig, guid_eq(&cfg->parent, &goal), "the VM derives from something else");
	rig_check(rig, strcmp(disk_of(cfg)->pathname, disk_of(rig->before)->pathname) != 0,
		  "the disks are the old ones");
	check_applied(rig, cfg, wanted);
	return 1;
}

static int look_deleted(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = rig_config(rig), *got = rig_snapshot(rig, &target);

	rig_check(rig, rig_same_disks(cfg, rig->before), "the VM has other disks");
	rig_check(rig, guid_eq(&cfg->parent, &rig->before->parent), "the VM derives from something else");
	rig_check_guest(rig);
	return !got;
}

/* Its child has its parent, which is none. */
static int look_deleted_parent(struct rig *rig)
{
	_cleanup_config_ struct config *child = rig_snapshot(rig, &rig->snap[1]);
	int gone = look_deleted(rig);

	rig_check(rig, child, "the child is gone");
	rig_check(rig, guid_eq(&child->parent, &target) == !gone, "the child derives from something else");
	rig_check(rig, !gone || guid_is_none(&child->parent), "the child has no right parent");
	return gone;
}

/* ---- cases */

#define CASE(fn, k, prep, work, looking)                                                              \
	static void fn(void **state _unused_)                                                         \
	{                                                                                             \
		rig_try(&(struct rig_case){ .name = #fn, .kind = k, .prepare = prep, .run = work,     \
					    .look = looking });                                       \
	}

CASE(create_off, &op_snapshot_create, prepare_off, take, look_taken)
CASE(create_running, &op_snapshot_create, prepare_running, take, look_taken)
CASE(create_second, &op_snapshot_create, prepare_tree, take, look_taken)
CASE(create_paused_guest, &op_snapshot_create, prepare_paused, take, look_taken)
CASE(create_paused_mode, &op_snapshot_create, prepare_paused_mode, take, look_taken)
CASE(create_saved, &op_snapshot_create, prepare_saved, take, look_taken)
CASE(create_disk_only, &op_snapshot_create, prepare_disk_only, take, look_taken)
CASE(apply_memory, &op_snapshot_apply, prepare_apply_one, apply, look_applied)
CASE(apply_revert, &op_snapshot_apply, prepare_revert, apply, look_applied)
CASE(apply_to_off, &op_snapshot_apply, prepare_apply_to_off, apply, look_applied)
CASE(apply_from_off, &op_snapshot_apply, prepare_apply_from_off, apply, look_applied)
CASE(apply_from_saved, &op_snapshot_apply, prepare_apply_from_saved, apply, look_applied)
CASE(delete_leaf, &op_snapshot_delete, prepare_delete, delete, look_deleted)
CASE(delete_parent, &op_snapshot_delete, prepare_delete_parent, delete, look_deleted_parent)

/* A guest that comes back with memory is told the time, unless it is not to be; one whose
 * agent does not answer comes back all the same. */
static void apply_sets_the_clock(void **state _unused_)
{
	struct rig *rig = rig_new();

	rig->context = "apply_sets_the_clock";
	prepare_apply_one(rig);
	rig_must(rig, apply);
	assert_int_equal(rig->hvs->clocks_set, 1);
	assert_int_equal(rig->out->warnings, 0);
	keep_time = 1;
	rig_must(rig, apply);
	assert_int_equal(rig->hvs->clocks_set, 1);
	keep_time = 0;
	rig->hvs->clock_fails = 1;
	rig_must(rig, apply);
	assert_int_equal(rig->out->warnings, 1);
	rig_check(rig, rig_domain(rig)->state == HV_RUNNING, "the guest does not run");
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_off),	       cmocka_unit_test(create_running),
		cmocka_unit_test(create_second),       cmocka_unit_test(create_paused_guest),
		cmocka_unit_test(create_paused_mode),  cmocka_unit_test(create_saved),
		cmocka_unit_test(create_disk_only),    cmocka_unit_test(apply_memory),
		cmocka_unit_test(apply_revert),	       cmocka_unit_test(apply_to_off),
		cmocka_unit_test(apply_from_off),      cmocka_unit_test(apply_from_saved),
		cmocka_unit_test(delete_leaf),	       cmocka_unit_test(delete_parent),
		cmocka_unit_test(apply_sets_the_clock),
	};

	rig_need_tools();
	return cmocka_run_group_tests_name("test-op-snapshot", tests, NULL, NULL);
}
