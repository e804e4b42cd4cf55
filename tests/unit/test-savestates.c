/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Save states of a VM directory: their chains, verifying, extracting, comparing,
 * and what is told of them. */
#include "tests/unit/stream-util.h"

#include <jansson.h>

#include "common/log.h"
#include "common/stamp.h"
#include "daemon/loop.h"
#include "daemon/rpc-view-savestate.h"
#include "daemon/savestates.h"

/* Snapshots of the VM: three of which each is a difference of the one before, one in
 * libvirt's form, one in ours that was not understood, one that was in part. */
enum { ALONE, SECOND, THIRD, OPAQUE, NOTHING, PARTLY, N_SNAPSHOTS };

static const char *const names[N_SNAPSHOTS] = { "alone", "second", "third", "opaque", "nothing", "partly" };

struct rig {
	struct vmdir *dir;
	struct jobs *jobs;
	struct guid guid[N_SNAPSHOTS];
	struct save_files files[N_SNAPSHOTS];
	struct config *cfg[N_SNAPSHOTS];
	struct bytes stream[N_SNAPSHOTS];
	char *target; /* of extracting */
};

static void put_config(struct rig *rig, int i, int has_bin)
{
	_cleanup_free_ char *path = vmdir_snapshot_config(rig->dir, &rig->guid[i]);
	struct config *cfg = config_new(CONFIG_SNAPSHOT);
	_cleanup_err_ struct err err = ERR_INIT;
	struct stat st;

	cfg->guid = rig->guid[i];
	cfg->vm_guid = rig->dir->guid;
	cfg->name = xstrdup(names[i]);
	cfg->created_usec = 1795250000000000;
	cfg->domain_xml = xstrdup("<domain type='qemu'><name>x</name><memory>65536</memory></domain>");
	cfg->capture.mode = xstrdup("paused");
	cfg->capture.pause_usec = -1;
	cfg->state.vsv = vmdir_store_path(rig->dir, rig->files[i].vsv);
	cfg->state.bin = has_bin ? vmdir_store_path(rig->dir, rig->files[i].bin) : NULL;
	assert_int_equal(stat(rig->files[i].vsv, &st), 0);
	cfg->state.vsv_size = st.st_size;
	assert_ok(file_checksum(rig->files[i].vsv, &cfg->state.vsv_sum, NULL, NULL, &err), &err);
	assert_ok(config_write(cfg, path, &err), &err);
	rig->cfg[i] = cfg;
}

static void put_snapshot(struct rig *rig, int i, enum kind kind, unsigned int generation)
{
	_cleanup_free_ char *dir = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	struct save_files parents[N_SNAPSHOTS];
	size_t n_parents = i == SECOND || i == THIRD ? (size_t)i : 0;
	struct split_result result;

	rig->guid[i] = guid_new();
	dir = vmdir_snapshot_dir(rig->dir, &rig->guid[i]);
	assert_ok(dir_make(dir, VMDIR_MODE, &err), &err);
	rig->files[i].vsv = vmdir_snapshot_file(rig->dir, &rig->guid[i], ".vsv");
	rig->files[i].bin = vmdir_snapshot_file(rig->dir, &rig->guid[i], ".bin");
	rig->stream[i] = make_stream(kind, generation);
	if (i == OPAQUE) {
		_cleanup_bytes_ struct bytes image = make_image(&rig->stream[i], 0);

		assert_ok(file_replace(rig->files[i].vsv, image.data, image.len, 0600, &err), &err);
		put_config(rig, i, 0);
		return;
	}
	for (size_t k = 0; k < n_parents; k++)
		parents[k] = rig->files[i - 1 - (int)k];
	result = split_stream(&(struct state){ rig->files[i], rig->guid[i] }, &rig->stream[i], SIZE_MAX, parents,
			      n_parents);
	put_config(rig, i, result.bin_size != 0);
	split_result_done(&result);
}

static int rig_setup(void **state)
{
	struct guid vm = guid_new();
	_cleanup_err_ struct err err = ERR_INIT;
	struct rig *rig = xcalloc(1, sizeof(*rig));
	_cleanup_free_ char *root = NULL;
	void *scratch;

	assert_int_equal(scratch_setup(&scratch), 0);
	root = path_join(scratch, "vm");
	rig->dir = vmdir_new(root, &vm);
	rig->target = path_join(scratch, "memory");
	assert_ok(vmdir_make(rig->dir, &err), &err);
	assert_ok(loop_init(&err), &err);
	assert_ok(jobs_new(1, 4, &rig->jobs, &err), &err);
	put_snapshot(rig, ALONE, PLAIN, 0);
	put_snapshot(rig, SECOND, PLAIN, 1);
	put_snapshot(rig, THIRD, PLAIN, 2);
	put_snapshot(rig, OPAQUE, PLAIN, 3);
	put_snapshot(rig, NOTHING, POSTCOPY, 4);
	put_snapshot(rig, PARTLY, XBZRLE_IN_PART, 5);
	free(scratch);
	*state = rig;
	return 0;
}

static int rig_teardown(void **state)
{
	struct rig *rig = *state;
	void *scratch = path_dirname(rig->dir->root);

	jobs_free(rig->jobs);
	loop_done();
	for (int i = 0; i < N_SNAPSHOTS; i++) {
		free((char *)rig->files[i].vsv);
		free((char *)rig->files[i].bin);
		config_free(rig->cfg[i]);
		bytes_done(&rig->stream[i]);
	}
	vmdir_free(rig->dir);
	free(rig->target);
	free(rig);
	return scratch_teardown(&scratch);
}

/* What a job is to do, and how it ended. */
struct task {
	struct rig *rig;
	const struct config *cfg;
	int extract; /* else verify */
	int cancel;
	uid_t uid;   /* whose the memory becomes */
	struct vsv *vsv;
};

static int task_body(struct job *job, void *arg, struct err *reterr)
{
	struct task *task = arg;
	struct savestate_target target = { .path = task->rig->target, .uid = task->uid, .gid = (gid_t)-1 };

	if (task->cancel)
		ignore_result(jobs_cancel(task->rig->jobs, job_id(job), NULL)); /* it exists */
	if (task->extract)
		return savestate_extract(task->rig->dir, task->cfg, &target, job, &task->vsv, reterr);
	return savestate_verify(task->rig->dir, task->cfg, job, reterr);
}

/* Does it in a job and waits for its end; reterr as the job has it. */
static void do_task(struct task *task, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_job_ struct job *job = NULL;
	struct job_view view;

	assert_ok(job_submit(task->rig->jobs, "look", task->rig->dir->guid.s, "vm", task_body, task, NULL, &job, &err),
		  &err);
	jobs_drain(task->rig->jobs);
	job_look(job, &view);
	*reterr = view.err;
	view.err = (struct err)ERR_INIT;
	job_view_done(&view);
}

static void verify(struct rig *rig, int i, struct err *reterr)
{
	struct task task = { .rig = rig, .cfg = rig->cfg[i] };

	do_task(&task, reterr);
}

static void check_sound(struct rig *rig, int i)
{
	_cleanup_err_ struct err err = ERR_INIT;

	verify(rig, i, &err);
	if (err_is_set(&err))
		fail_msg("%s: %s", names[i], err.message);
}

static void check_damaged(struct rig *rig, int i, enum err_kind kind, const char *path)
{
	_cleanup_err_ struct err err = ERR_INIT;

	verify(rig, i, &err);
	assert_int_equal(err.kind, kind);
	assert_string_equal(err.file, path);
	assert_non_null(strstr(err.message, path));
}

static void test_chain(void **state)
{
	struct rig *rig = *state;
	_cleanup_savestate_chain_ struct savestate_chain chain = { 0 }, alone = { 0 }, nothing = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	const struct config_state *third = &rig->cfg[THIRD]->state;

	assert_ok(savestate_chain_open(rig->dir, third->vsv, third->bin, &chain, &err), &err);
	assert_int_equal(chain.n, 3);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(chain.files[i].vsv, rig->files[THIRD - i].vsv);
		assert_string_equal(chain.files[i].bin, rig->files[THIRD - i].bin);
		assert_true(i == 0 || guid_eq(&chain.guids[i], &rig->guid[THIRD - i]));
	}
	assert_ok(join_verify(chain.files, chain.n, NULL, NULL, &err), &err);
	assert_ok(savestate_chain_open(rig->dir, rig->files[ALONE].vsv, NULL, &alone, &err), &err);
	assert_int_equal(alone.n, 1);
	assert_null(alone.files[0].bin);
	assert_ok(savestate_chain_open(rig->dir, rig->files[NOTHING].vsv, rig->files[NOTHING].bin, &nothing, &err),
		  &err);
	assert_null(nothing.files[0].bin);
}

static void test_broken_chain(void **state)
{
	struct rig *rig = *state;
	_cleanup_err_ struct err opaque = ERR_INIT, missing = ERR_INIT, endless = ERR_INIT, err = ERR_INIT;
	_cleanup_bytes_ struct bytes second = slurp(rig->files[SECOND].vsv);
	struct savestate_chain chain;

	assert_int_equal(savestate_chain_open(rig->dir, rig->files[OPAQUE].vsv, NULL, &chain, &opaque), -ENOTSUP);
	assert_int_equal(opaque.kind, ERR_REFUSED);
	assert_int_equal(unlink(rig->files[ALONE].vsv), 0);
	assert_int_equal(savestate_chain_open(rig->dir, rig->files[THIRD].vsv, NULL, &chain, &missing), -ENOENT);
	assert_int_equal(missing.kind, ERR_BAD_DATA);
	assert_string_equal(missing.file, rig->files[ALONE].vsv);
	assert_non_null(strstr(missing.message, rig->files[SECOND].vsv));
	/* one that builds on itself */
	assert_ok(file_replace(rig->files[ALONE].vsv, second.data, second.len, 0600, &err), &err);
	assert_int_equal(savestate_chain_open(rig->dir, rig->files[THIRD].vsv, NULL, &chain, &endless), -E2BIG);
	assert_int_equal(endless.kind, ERR_LIMIT);
}

static void test_verify(void **state)
{
	struct rig *rig = *state;
	off_t page = 599 * PAGE + 7; /* of all three the first alone has it */

	for (int i = 0; i < N_SNAPSHOTS; i++)
		check_sound(rig, i);
	flip(rig->files[ALONE].bin, page);
	for (int i = ALONE; i <= THIRD; i++)
		check_damaged(rig, i, ERR_BAD_DATA, rig->files[ALONE].bin);
	flip(rig->files[ALONE].bin, page);
	for (int i = 0; i < N_SNAPSHOTS; i++) {
		struct stat st;

		assert_int_equal(stat(rig->files[i].vsv, &st), 0);
		flip(rig->files[i].vsv, st.st_size / 2);
		check_damaged(rig, i, i == OPAQUE ? ERR_DRIFT : ERR_BAD_DATA, rig->files[i].vsv);
		flip(rig->files[i].vsv, st.st_size / 2);
		check_sound(rig, i);
	}
	assert_int_equal(unlink(rig->files[SECOND].bin), 0);
	check_damaged(rig, THIRD, ERR_BAD_DATA, rig->files[SECOND].bin);
	assert_int_equal(truncate(rig->files[OPAQUE].vsv, 100), 0);
	check_damaged(rig, OPAQUE, ERR_DRIFT, rig->files[OPAQUE].vsv);
	assert_int_equal(unlink(rig->files[OPAQUE].vsv), 0);
	check_damaged(rig, OPAQUE, ERR_BAD_DATA, rig->files[OPAQUE].vsv);
}

/* A file that is sound in itself is not the one that was taken: of the save state, or
 * of one that it builds on. */
static void test_recorded(void **state)
{
	struct rig *rig = *state;
	_cleanup_free_ char *path = vmdir_snapshot_config(rig->dir, &rig->guid[ALONE]);
	_cleanup_err_ struct err err = ERR_INIT;

	rig->cfg[PARTLY]->state.vsv_sum ^= 1;
	check_damaged(rig, PARTLY, ERR_DRIFT, rig->files[PARTLY].vsv);
	rig->cfg[ALONE]->state.vsv_size++;
	assert_ok(config_write(rig->cfg[ALONE], path, &err), &err);
	check_damaged(rig, THIRD, ERR_DRIFT, rig->files[ALONE].vsv);
}

static int extract(struct rig *rig, int i, int cancel, struct vsv **ret_vsv, struct err *reterr)
{
	struct task task = { .rig = rig, .cfg = rig->cfg[i], .extract = 1, .cancel = cancel, .uid = geteuid() };

	do_task(&task, reterr);
	*ret_vsv = task.vsv;
	return reterr->code;
}

/* The extracted file has the pages that the stream brought, each at its place. */
static void check_memory(const struct rig *rig, const struct vsv_info *info, const struct bytes *stream)
{
	_cleanup_machine_ struct machine want = load(stream);
	_cleanup_bytes_ struct bytes got = slurp(rig->target);

	assert_int_equal(got.len, info->bin_size);
	assert_int_equal(info->n_blocks, N_BLOCKS);
	for (int b = 0; b < N_BLOCKS; b++) {
		uint32_t at = 0;

		while (strcmp(info->blocks[at].name, blocks[b].name) != 0)
			at++;
		assert_memory_equal(got.data + info->blocks[at].offset, want.content[b], blocks[b].pages * PAGE);
	}
	assert_int_equal(mode_of(rig->target), 0600);
	assert_true((size_t)file_allocated(rig->target) < got.len);
}

/* Only what makes a VM saved or a snapshot is in the VM directory. */
static void check_no_scratch(const struct rig *rig)
{
	_cleanup_free_ char *place = vmdir_state_dir(rig->dir);
	_cleanup_strv_ char **found = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(dir_list(place, &found, &err), &err);
	assert_int_equal(strv_count(found), 0);
}

static void test_extract(void **state)
{
	struct rig *rig = *state;

	for (int i = ALONE; i <= OPAQUE; i++) {
		_cleanup_vsv_ struct vsv *vsv = NULL;
		_cleanup_err_ struct err err = ERR_INIT;

		assert_ok(extract(rig, i, 0, &vsv, &err), &err);
		check_memory(rig, vsv_info(vsv), &rig->stream[i]);
		check_no_scratch(rig);
		assert_int_equal(unlink(rig->target), 0);
	}
}

/* The file belongs to who asked for it. */
static void test_owner(void **state)
{
	struct rig *rig = *state;
	struct task task = { .rig = rig, .cfg = rig->cfg[ALONE], .extract = 1, .uid = 65534 };
	_cleanup_err_ struct err err = ERR_INIT;
	struct stat st;

	do_task(&task, &err);
	task.vsv = vsv_free(task.vsv);
	if (geteuid() != 0) { /* nobody else may give files away */
		assert_int_equal(err.code, -EPERM);
		assert_false(exists(rig->target));
		return;
	}
	assert_false(err_is_set(&err));
	assert_int_equal(stat(rig->target, &st), 0);
	assert_int_equal(st.st_uid, 65534);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* What does not come to its end leaves nothing, and what is there already stays. */
static void test_no_extract(void **state)
{
	static const int refused[] = { NOTHING, PARTLY };
	struct rig *rig = *state;
	_cleanup_err_ struct err damaged = ERR_INIT, there = ERR_INIT, err = ERR_INIT;
	_cleanup_bytes_ struct bytes mine = { 0 };
	struct vsv *vsv;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		_cleanup_err_ struct err no = ERR_INIT;

		assert_int_equal(extract(rig, refused[i], 0, &vsv, &no), -ENOTSUP);
		assert_int_equal(no.kind, ERR_REFUSED);
		assert_false(exists(rig->target));
	}
	for (int i = ALONE; i <= OPAQUE; i++) {
		_cleanup_err_ struct err no = ERR_INIT;

		assert_int_equal(extract(rig, i, 1, &vsv, &no), -ECANCELED);
		assert_int_equal(no.kind, ERR_CANCELLED);
		assert_false(exists(rig->target));
		check_no_scratch(rig);
	}
	flip(rig->files[ALONE].bin, 599 * PAGE + 7);
	assert_int_equal(extract(rig, THIRD, 0, &vsv, &damaged), -EBADMSG);
	assert_string_equal(damaged.file, rig->files[ALONE].bin);
	assert_false(exists(rig->target));
	assert_ok(file_replace(rig->target, "mine", 4, 0600, &err), &err);
	assert_int_equal(extract(rig, SECOND, 0, &vsv, &there), -EEXIST);
	assert_int_equal(there.kind, ERR_REFUSED);
	mine = slurp(rig->target);
	assert_int_equal(mine.len, 4);
}

static void test_compare(void **state)
{
	struct rig *rig = *state;
	_cleanup_err_ struct err err = ERR_INIT;
	struct join_diff diff, same;

	assert_ok(savestate_compare(rig->dir, rig->cfg[ALONE], rig->cfg[THIRD], &diff, &err), &err);
	assert_int_equal(diff.changed, 3); /* make_stream(): pages 3, 5 and 300 of pc.ram */
	assert_int_equal(diff.same, 607 - 3);
	assert_int_equal(diff.only_first + diff.only_second, 0);
	assert_ok(savestate_compare(rig->dir, rig->cfg[THIRD], rig->cfg[THIRD], &same, &err), &err);
	assert_int_equal(same.same, 607);
	for (int i = OPAQUE; i < N_SNAPSHOTS; i++) {
		_cleanup_err_ struct err no = ERR_INIT;

		assert_int_equal(savestate_compare(rig->dir, rig->cfg[ALONE], rig->cfg[i], &diff, &no), -ENOTSUP);
		assert_int_equal(no.kind, ERR_REFUSED);
		assert_string_equal(no.file, rig->files[i].vsv);
	}
}

static void test_config(void **state)
{
	struct rig *rig = *state;
	_cleanup_free_ char *path = vmdir_snapshot_config(rig->dir, &rig->guid[ALONE]);
	_cleanup_config_ struct config *cfg = NULL;
	_cleanup_err_ struct err err = ERR_INIT, no = ERR_INIT;

	assert_ok(savestate_config(rig->dir, &rig->guid[ALONE], &cfg, &err), &err);
	assert_string_equal(cfg->name, "alone");
	config_clear_state(rig->cfg[ALONE]);
	assert_ok(config_write(rig->cfg[ALONE], path, &err), &err);
	assert_int_equal(savestate_config(rig->dir, &rig->guid[ALONE], &cfg, &no), -ENODATA);
	assert_int_equal(no.kind, ERR_REFUSED);
}

static const char *text_of(json_t *view, const char *key)
{
	const char *text = json_string_value(json_object_get(view, key));

	return text ? text : "";
}

static json_int_t number_of(json_t *view, const char *key)
{
	return json_integer_value(json_object_get(view, key));
}

static void test_view(void **state)
{
	static const char *const forms[N_SNAPSHOTS] = { "split", "split", "split", "opaque", "opaque", "partly" };
	struct rig *rig = *state;

	for (int i = 0; i < N_SNAPSHOTS; i++) {
		json_t *view = view_savestate(rig->dir, rig->cfg[i]);

		assert_string_equal(text_of(view, "form"), forms[i]);
		assert_string_equal(text_of(view, "path"), rig->files[i].vsv);
		assert_string_equal(text_of(view, "snapshot"), rig->guid[i].s);
		assert_string_equal(text_of(view, "domain"), "a");
		assert_string_equal(text_of(view, "parentName"), i == THIRD ? "second" : i == SECOND ? "alone" : "");
		assert_int_equal(number_of(view, "chain"), i <= THIRD ? i + 1 : 1);
		assert_int_equal(number_of(view, "bytes"), number_of(view, "recordedBytes"));
		assert_null(json_object_get(view, "problems"));
		if (i <= THIRD) {
			assert_int_equal(json_array_size(json_object_get(view, "blocks")), N_BLOCKS);
			assert_int_equal(number_of(view, "dataPages") + number_of(view, "zeroPages") +
						 number_of(view, "parentPages") + number_of(view, "absentPages"),
					 607);
			assert_true(number_of(view, "memoryAllocatedBytes") < number_of(view, "memoryBytes"));
		}
		json_decref(view);
	}
}

/* What is wrong is told, and the rest too. */
static void test_view_of_damage(void **state)
{
	struct rig *rig = *state;
	json_t *third, *second, *opaque;

	assert_int_equal(unlink(rig->files[ALONE].vsv), 0);
	assert_int_equal(unlink(rig->files[SECOND].bin), 0);
	assert_int_equal(truncate(rig->files[OPAQUE].vsv, 100), 0);
	third = view_savestate(rig->dir, rig->cfg[THIRD]);
	assert_string_equal(text_of(third, "form"), "split");
	assert_string_equal(text_of(third, "parent"), rig->guid[SECOND].s);
	assert_null(json_object_get(third, "chain"));
	assert_int_equal(json_array_size(json_object_get(third, "problems")), 1);
	second = view_savestate(rig->dir, rig->cfg[SECOND]);
	assert_int_equal(json_array_size(json_object_get(second, "problems")), 2);
	opaque = view_savestate(rig->dir, rig->cfg[OPAQUE]);
	assert_string_equal(text_of(opaque, "form"), "unknown");
	assert_int_equal(number_of(opaque, "bytes"), 100);
	assert_int_equal(json_array_size(json_object_get(opaque, "problems")), 2);
	json_decref(third);
	json_decref(second);
	json_decref(opaque);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_chain),   TEST(test_broken_chain), TEST(test_verify), TEST(test_recorded),
		TEST(test_extract), TEST(test_owner),	     TEST(test_no_extract), TEST(test_compare),
		TEST(test_config),  TEST(test_view),	     TEST(test_view_of_damage),
	};

	log_set_level(LOG_LEVEL_ERROR);
	use_fast_directory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
