/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Merging disks of a VM that is off: killed and failing at every place, everything
 * shows what it showed. */
#include "tests/unit/test-op-rig.h"

#include "common/proc.h"
#include "daemon/merges.h"
#include "daemon/op-merge.h"
#include "layout/image-merge.h"

static struct snapshot_spec spec;
static struct guid target;
static enum plan_kind wanted;

/* ---- lives */

static int make_vm(struct rig *rig _unused_, struct daemon *daemon, struct job *job, struct guid *ret_guid,
		   struct err *reterr)
{
	struct vm_spec vm = { .name = "t", .memory = RIG_MEMORY, .vcpus = 1, .disk = 1 << 20 };

	return vm_create(daemon, &vm, job, ret_guid, reterr);
}

static int take(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid, struct err *reterr)
{
	return snapshot_create(daemon, rig->dir, &spec, job, ret_guid, reterr);
}

static int apply(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		 struct err *reterr)
{
	struct apply_spec how = { .snapshot = &target };

	return snapshot_apply(daemon, rig->dir, &how, job, NULL, reterr);
}

static int delete(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		  struct err *reterr)
{
	return snapshot_delete(daemon, rig->dir, &target, 0, job, reterr);
}

/* The first merge that the planner wants; it must be of the sort that is tried. */
static int merge(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		 struct err *reterr)
{
	_cleanup_machine_ struct machine *m = NULL;
	struct merges_input input = { 0 };
	struct plan plan = { 0 };
	int r = machine_open(daemon, rig->dir, 0, &m, reterr);

	if (!r)
		r = merges_read(m, &input, reterr);
	if (!r)
		r = plan_make(&input.in, &plan, reterr);
	if (!r && plan.n && plan.action[0].kind == wanted)
		r = merge_run(daemon, TAKE_PTR(m), "vda", &plan.action[0], job, reterr);
	else if (!r)
		r = err_set(reterr, ERR_INVALID, -EINVAL, "another merge is planned");
	plan_done(&plan);
	merges_input_done(&input);
	return r;
}

static int flatten(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		   struct err *reterr)
{
	return merges_flatten(daemon, rig->dir, &(struct guid){ "" }, 0, job, reterr);
}

/* The daemon is to stop as soon as one merge is done. */
static struct jobs *stop_then;

void __wrap_pace_add(int64_t bytes, int64_t usec);

void __wrap_pace_add(int64_t bytes _unused_, int64_t usec _unused_)
{
	if (stop_then)
		jobs_stop(stop_then);
}

static int merge_until_stopped(struct rig *rig, struct daemon *daemon, struct job *job,
			       struct guid *ret_guid _unused_, struct err *reterr)
{
	stop_then = daemon->jobs;
	return merges_run(daemon, rig->dir, NULL, job, reterr);
}

/* ---- preparations */

/* Fills `size` bytes of the VM's disk. */
static void fill(struct rig *rig, int offset, int size, int byte)
{
	_cleanup_config_ struct config *cfg = rig_config(rig);
	_cleanup_free_ char *path = vmdir_resolve(rig->dir, cfg->disks[0].pathname);
	_cleanup_free_ char *command = xasprintf("write -P %d %d %d", byte, offset, size);
	const char *argv[] = { "qemu-io", "-f", cfg->disks[0].format, "-c", command, path, NULL };
	struct proc_opts opts = { .argv = argv };
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(proc_run(&opts, NULL, &err), &err);
}

static void snap(struct rig *rig, const char *name)
{
	spec = (struct snapshot_spec){ .name = name };
	rig_must(rig, take);
	rig->snap[rig->n_snaps++] = rig->out->guid;
}

/* one, two, three in a line, and now derives from the last or from "three" anew; "two" goes: its disk is hidden
 * below that of "three". The two write so much. */
static void prepare(struct rig *rig, int two, int three, int branch)
{
	_cleanup_free_ char *root = path_join(rig->store, "t");

	rig_must(rig, make_vm);
	rig->dir = vmdir_new(root, &rig->out->guid);
	fill(rig, 0, 65536, 1);
	snap(rig, "one");
	fill(rig, 4096, two, 2);
	snap(rig, "two");
	fill(rig, 8192, three, 3);
	snap(rig, "three");
	if (branch) {
		fill(rig, 12288, 4096, 4);
		snap(rig, "four");
		target = rig->snap[2];
		rig_must(rig, apply);
	}
	fill(rig, 16384, 4096, 5);
	target = rig->snap[1];
	rig_must(rig, delete);
	rig->may_differ = "<pathname|<format|<size|<mtime|<header"; /* what they show is compared */
}

static void prepare_pull(struct rig *rig)
{
	wanted = PLAN_PULL;
	prepare(rig, 4096, 262144, 0);
}

static void prepare_commit(struct rig *rig)
{
	wanted = PLAN_COMMIT;
	prepare(rig, 262144, 4096, 1);
}

/* "three" goes as well: the working disk is what is merged. */
static void prepare_commit_working(struct rig *rig)
{
	wanted = PLAN_COMMIT;
	prepare(rig, 262144, 4096, 0);
	rig_must(rig, merge);
	target = rig->snap[2];
	rig_must(rig, delete);
}

/* ---- what came about */

/* A disk shows what it showed when the world was kept; its file may be another one. */
static void check_content(struct rig *rig, const struct vmdir *before_dir, const struct config *before,
			  const struct config *now)
{
	_cleanup_free_ char *was = vmdir_resolve(before_dir, before->disks[0].pathname);
	_cleanup_free_ char *is = vmdir_resolve(rig->dir, now->disks[0].pathname);
	const char *argv[] = { "qemu-img", "compare", "-q", "-f", before->disks[0].format, "-F", now->disks[0].format,
			       was, is, NULL };
	struct proc_opts opts = { .argv = argv };
	_cleanup_err_ struct err err = ERR_INIT;

	rig_check(rig, proc_run(&opts, NULL, &err) == 0, "'%s' shows something else than '%s' did", is, was);
}

/* Everybody sees what he saw. Returns the number of images that are gone. */
static size_t check_all(struct rig *rig)
{
	_cleanup_free_ char *kept = xasprintf("%s%s", rig->kept, rig->dir->root + strlen(rig->world));
	_cleanup_vmdir_ struct vmdir *before_dir = vmdir_new(kept, &rig->dir->guid);
	_cleanup_config_ struct config *cfg = rig_config(rig);
	_cleanup_strv_ char **was = NULL, **is = NULL;
	_cleanup_free_ struct guid *snaps = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	size_t n = 0;

	snaps = rig_snapshots(rig, &n);
	check_content(rig, before_dir, rig->before, cfg);
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *path = vmdir_snapshot_config(before_dir, &snaps[i]);
		_cleanup_config_ struct config *now = rig_snapshot(rig, &snaps[i]), *before = NULL;

		assert_ok(config_read(path, &before, &err), &err);
		check_content(rig, before_dir, before, now);
	}
	assert_ok(vmdir_list_images(before_dir, &was, &err), &err);
	assert_ok(vmdir_list_images(rig->dir, &is, &err), &err);
	rig_check(rig, strv_count(is) <= strv_count(was), "%zu images became %zu", strv_count(was), strv_count(is));
	return strv_count(was) - strv_count(is);
}

static int look(struct rig *rig)
{
	size_t gone = check_all(rig);

	rig_check(rig, gone <= 1, "%zu images are gone", gone);
	return gone == 1;
}

/* The one that was hidden below the VM's disk is gone, and nothing is below that. */
static int look_flattened(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = rig_config(rig);
	_cleanup_free_ char *path = vmdir_resolve(rig->dir, cfg->disks[0].pathname), *backing = NULL, *format = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	size_t gone = check_all(rig);

	assert_ok(disk_backing(path, &backing, &format, &err), &err);
	rig_check(rig, gone == !backing, "%zu images are gone, '%s' is below", gone, backing ? backing : "nothing");
	return !backing;
}

#define CASE(fn, prep, work, looking)                                                                  \
	static void fn(void **state _unused_)                                                          \
	{                                                                                              \
		rig_try(&(struct rig_case){ .name = #fn, .kind = &op_merge, .prepare = prep, .run = work, \
					    .look = looking });                                         \
	}

CASE(pull_off, prepare_pull, merge, look)
CASE(commit_off, prepare_commit, merge, look)
CASE(commit_working_off, prepare_commit_working, merge, look)
CASE(flatten_off, prepare_commit_working, flatten, look_flattened)

/* Two merges are to be made, one of which is done when the daemon stops: that is told, and that the next goes on. The
 * last is done, not cancelled. */
static void stopped_between(void **state _unused_)
{
	struct rig *rig = rig_new();

	prepare(rig, 4096, 262144, 0);
	target = rig->snap[0];
	rig_must(rig, delete);
	rig_life(rig, NULL, merge_until_stopped);
	rig_check(rig, rig->out->r == -ECANCELED && rig->out->kind == ERR_CANCELLED, "it ended with %d", rig->out->r);
	rig_check(rig, strstr(rig->out->message, "goes on when it starts again"), "it says '%s'", rig->out->message);
	rig_must(rig, merge_until_stopped);
	rig_check_laws(rig);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pull_off),
		cmocka_unit_test(commit_off),
		cmocka_unit_test(commit_working_off),
		cmocka_unit_test(flatten_off),
		cmocka_unit_test(stopped_between),
	};

	rig_need_tools();
	return cmocka_run_group_tests_name("test-op-merge", tests, NULL, NULL);
}
