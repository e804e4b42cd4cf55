/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Deleting a snapshot whose memory others need: killed and failing at every place,
 * also between the renames. */
#include "tests/unit/test-op-rig.h"

#include "daemon/memory-fold.h"
#include "daemon/memory.h"
#include "daemon/savestates.h"
#include "tests/unit/fold-states.h"

/* Four snapshots, each a difference of the one before in its memory. Now derives from
 * the first, and so do the disks of the last two, so that nothing but memory depends on
 * the second: it goes. */
enum { ONE, TWO, THREE, FOUR, N_SNAPS };

static const char *const names[N_SNAPS] = { "one", "two", "three", "four" };
static uint64_t sums[N_SNAPS];
static int two_is_whole;        /* the second has no parent */
static struct guid target;

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

static int take(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid, struct err *reterr)
{
	struct snapshot_spec spec = { .name = names[rig->n_snaps] };

	return snapshot_create(daemon, rig->dir, &spec, job, ret_guid, reterr);
}

static int apply_one(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		     struct err *reterr)
{
	struct apply_spec how = { .snapshot = &rig->snap[ONE] };

	return snapshot_apply(daemon, rig->dir, &how, job, NULL, reterr);
}

static int delete(struct rig *rig, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		  struct err *reterr)
{
	return snapshot_delete(daemon, rig->dir, &target, 0, job, reterr);
}

/* ---- the situation */

static void chain_of(struct rig *rig, int i, struct savestate_chain *ret_chain)
{
	_cleanup_config_ struct config *cfg = rig_snapshot(rig, &rig->snap[i]);
	_cleanup_err_ struct err err = ERR_INIT;

	rig_check(rig, savestate_chain_open(rig->dir, cfg->state.vsv, cfg->state.bin, ret_chain, &err) == 0, "%s",
		  err.message);
}

/* Checks the whole of a snapshot's memory. */
static uint64_t sum_of(struct rig *rig, int i, size_t *ret_n)
{
	_cleanup_savestate_chain_ struct savestate_chain chain = { 0 };

	chain_of(rig, i, &chain);
	*ret_n = chain.n;
	return fold_state_sum(rig->top, chain.files, chain.n);
}

static void write_document(struct rig *rig, const struct config *cfg)
{
	_cleanup_free_ char *path = vmdir_snapshot_config(rig->dir, &cfg->guid);
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(config_write(cfg, path, &err), &err);
}

/* Gives a snapshot other memory: a difference of that of the one before. */
static void put_memory(struct rig *rig, int i)
{
	_cleanup_free_ char *path = vmdir_snapshot_file(rig->dir, &rig->snap[i], "");
	_cleanup_free_ char *vsv = xasprintf("%s.vsv", path), *bin = xasprintf("%s.bin", path);
	_cleanup_config_ struct config *cfg = rig_snapshot(rig, &rig->snap[i]);
	_cleanup_savestate_chain_ struct savestate_chain parents = { 0 };
	struct machine m = { .dir = rig->dir };
	_cleanup_err_ struct err err = ERR_INIT;

	if (i > ONE && !(i == TWO && two_is_whole))
		chain_of(rig, i - 1, &parents);
	fold_state_make(&(struct save_files){ vsv, bin }, &rig->snap[i], (unsigned)i, parents.files, parents.n);
	assert_ok(memory_describe(&m, path, cfg, &err), &err);
	write_document(rig, cfg);
}

/* Gives it the disks of the first snapshot, and the place of one that has them. */
static void move_disks(struct rig *rig, int i)
{
	_cleanup_config_ struct config *cfg = rig_snapshot(rig, &rig->snap[i]);
	_cleanup_config_ struct config *one = rig_snapshot(rig, &rig->snap[ONE]);
	_cleanup_free_ char *image = vmdir_resolve(rig->dir, cfg->disks[0].pathname);

	assert_int_equal(unlink(image), 0);
	xstrset(&cfg->disks[0].pathname, one->disks[0].pathname);
	xstrset(&cfg->disks[0].format, one->disks[0].format);
	cfg->disks[0].seal = one->disks[0].seal;
	cfg->parent = one->parent;
	write_document(rig, cfg);
}

static void prepare(struct rig *rig)
{
	_cleanup_free_ char *root = path_join(rig->store, "t");
	size_t n;

	rig_must(rig, make_vm);
	rig->dir = vmdir_new(root, &rig->out->guid);
	rig_must(rig, start);
	while (rig->n_snaps < N_SNAPS) {
		rig_must(rig, take);
		rig->snap[rig->n_snaps++] = rig->out->guid;
	}
	rig_must(rig, apply_one);
	for (int i = FOUR; i >= THREE; i--)
		move_disks(rig, i);
	for (int i = ONE; i < N_SNAPS; i++)
		put_memory(rig, i);
	for (int i = ONE; i < N_SNAPS; i++)
		sums[i] = sum_of(rig, i, &n);
	rig_check(rig, n == (two_is_whole ? 3 : 4), "the memory of the last builds on %zu", n - 1);
	target = rig->snap[TWO];
	rig->victim = &target;
	rig->refolded = &rig->snap[THREE];
}

static void prepare_whole(struct rig *rig)
{
	two_is_whole = 1;
	prepare(rig);
}

static void prepare_difference(struct rig *rig)
{
	two_is_whole = 0;
	prepare(rig);
}

/* ---- what came about */

static int look(struct rig *rig)
{
	_cleanup_config_ struct config *cfg = rig_config(rig), *got = rig_snapshot(rig, &target);
	_cleanup_free_ char *left = xasprintf("find '%s' -name '*fold*' -o -name '*.tmp' | grep -q .", rig->store);
	size_t n = 0, full = two_is_whole ? 0 : 1;

	rig_check(rig, rig_same_disks(cfg, rig->before), "the VM has other disks");
	rig_check_guest(rig);
	for (int i = ONE; i < N_SNAPS; i++)
		if (i != TWO || got)
			rig_check(rig, sum_of(rig, i, &n) == sums[i], "the memory of '%s' is another", names[i]);
	rig_check(rig, n == full + (got ? 3 : 2), "the memory of the last builds on %zu", n - 1);
	rig_check(rig, system(left) != 0, "files of folding are left");
	return !got;
}

static void delete_whole(void **state _unused_)
{
	rig_try(&(struct rig_case){ .name = "delete_whole", .kind = &op_snapshot_delete, .prepare = prepare_whole,
				    .run = delete, .look = look });
}

static void delete_difference(void **state _unused_)
{
	rig_try(&(struct rig_case){ .name = "delete_difference", .kind = &op_snapshot_delete,
				    .prepare = prepare_difference, .run = delete, .look = look });
}

/* Within a step: after one file has its place, and after both, before the document does. */
static void die_between(void **state _unused_)
{
	static const char *const faults[] = { "kill-after:snapshot-delete.fold-bin", "kill-after:snapshot-delete.fold-vsv",
					      "fail:snapshot-delete.fold-bin" };
	struct rig *rig = rig_new();

	prepare_difference(rig);
	rig_keep(rig);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		rig->context = faults[i];
		rig_put_back(rig);
		rig_life(rig, faults[i], delete);
		rig_check(rig, rig->out->killed || i == 2, "the fault was not met");
		if (rig->out->killed)
			rig_recover(rig);
		rig_check_laws(rig);
		rig_check(rig, look(rig), "the snapshot is still there");
	}
	rig_free(rig);
}

#define END_OF_HASHES (384 + 48 + 5) /* before the end of a .vsv: index and trailer */

/* Memory that others need and that is damaged is not thrown away with the snapshot: nothing
 * goes, and the file is named. */
static void refuse_damaged(void **state _unused_)
{
	static const char *const suffix[] = { ".bin", ".vsv" };
	struct rig *rig = rig_new();

	prepare_whole(rig);
	rig_keep(rig);
	for (size_t i = 0; i < ARRAY_SIZE(suffix); i++) {
		_cleanup_free_ char *path = vmdir_snapshot_file(rig->dir, &target, suffix[i]);

		rig->context = suffix[i];
		rig_put_back(rig);
		fold_state_flip(path, i == 0 ? 2 * VSV_PAGE + 7 : -END_OF_HASHES);
		rig_life(rig, NULL, delete);
		rig_check(rig, rig->out->r < 0 && rig->out->kind == ERR_BAD_DATA, "it was %s", rig->out->message);
		rig_check(rig, strstr(rig->out->message, path), "the file is not named: %s", rig->out->message);
		rig_check(rig, !rig_has_record(rig), "a record is left");
		fold_state_flip(path, i == 0 ? 2 * VSV_PAGE + 7 : -END_OF_HASHES);
		rig_check_laws(rig);
		rig_check(rig, !look(rig), "the snapshot is gone");
	}
	rig_free(rig);
}

/* What it will take is known before, and is not less than what is written. */
static void know_size(void **state _unused_)
{
	_cleanup_intent_ struct intent *in = intent_new("x");
	_cleanup_err_ struct err err = ERR_INIT;
	struct rig *rig = rig_new();
	struct machine m = { 0 };
	int64_t bytes = -1;

	prepare_whole(rig);
	m.dir = rig->dir;
	m.cfg = rig_config(rig);
	rig_check(rig, memory_fold_plan(&m, &target, in, &bytes, &err) == 0, "%s", err.message);
	assert_string_equal(intent_get(in, "folds"), "1");
	assert_string_equal(intent_get(in, "fold.0"), rig->snap[THREE].s);
	rig_must(rig, delete);
	{
		_cleanup_free_ char *vsv = vmdir_snapshot_file(rig->dir, &rig->snap[THREE], ".vsv");
		_cleanup_free_ char *bin = vmdir_snapshot_file(rig->dir, &rig->snap[THREE], ".bin");
		int64_t written = file_allocated(bin) + file_allocated(vsv);

		assert_true(bytes + 8192 >= written && bytes <= written + 65536); /* blocks of the file system */
	}
	config_free(m.cfg);
	m.cfg = rig_config(rig);
	assert_ok(memory_fold_plan(&m, &rig->snap[FOUR], in, &bytes, &err), &err);
	assert_int_equal(bytes, 0);
	config_free(m.cfg);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delete_whole),	  cmocka_unit_test(delete_difference),
		cmocka_unit_test(die_between),	  cmocka_unit_test(refuse_damaged),
		cmocka_unit_test(know_size),
	};

	rig_need_tools();
	return cmocka_run_group_tests_name("test-op-fold", tests, NULL, NULL);
}
