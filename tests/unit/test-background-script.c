/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The order of a background capture with a scripted QEMU, for the versions that are not
 * installed here: those that leave a guest paused that was suspended before, and what
 * fails at places where the real one does not. */
#include "tests/unit/stream-util.h"

#include <pthread.h>
#include <signal.h>

#include "daemon/background.h"
#include "daemon/hv-background.h"

#define DOMAIN "<domain type='qemu'><name>a</name><memory unit='KiB'>1024</memory></domain>"

static const struct guid vm = { "1D3C1E5A-7B1F-4E0C-8A55-0B7F3A2C9E01" };

/* A guest and its QEMU. */
static struct fake {
	struct hv hv; /* first */
	struct hv_bg bg;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int paused, switched, armed;
	int fails_to_begin, fails_midway;
	enum hv_bg_state state;
	int read_fd, write_fd;
	struct bytes stream;
	pthread_t writer;
	int writes;           /* the thread runs */
	int runs_before_end;  /* the guest went on before all of its memory had gone out */
} fake;

static void set(int *what, int value)
{
	pthread_mutex_lock(&fake.lock);
	*what = value;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
}

static int get(const int *what)
{
	int value;

	pthread_mutex_lock(&fake.lock);
	value = *what;
	pthread_mutex_unlock(&fake.lock);
	return value;
}

static void set_state(enum hv_bg_state state)
{
	pthread_mutex_lock(&fake.lock);
	fake.state = state;
	pthread_mutex_unlock(&fake.lock);
}

/* ---- the hypervisor */

static int fake_state(struct hv *hv _unused_, const struct guid *guid _unused_, enum hv_state *ret_state,
		      struct err *reterr _unused_)
{
	*ret_state = get(&fake.paused) ? HV_PAUSED : HV_RUNNING;
	return 0;
}

static int fake_xml(struct hv *hv _unused_, const struct guid *guid _unused_, enum hv_xml which _unused_,
		    char **ret_xml, struct err *reterr _unused_)
{
	*ret_xml = xstrdup(DOMAIN);
	return 0;
}

static int fake_suspend(struct hv *hv _unused_, const struct guid *guid _unused_, struct err *reterr _unused_)
{
	set(&fake.paused, 1);
	return 0;
}

static int fake_resume(struct hv *hv _unused_, const struct guid *guid _unused_, struct err *reterr _unused_)
{
	set(&fake.paused, 0);
	return 0;
}

static int fake_snapshot(struct hv *hv _unused_, const struct guid *guid _unused_,
			 const struct hv_snapshot *what _unused_, struct err *reterr _unused_)
{
	assert_true(get(&fake.paused));
	assert_false(fake.writes); /* the memory is of this instant, or a later one */
	fake.switched = 1;
	return 0;
}

/* ---- QEMU */

static int fake_open(struct hv *hv _unused_, const struct guid *guid _unused_, struct hv_bg **ret_bg,
		     struct err *reterr _unused_)
{
	*ret_bg = &fake.bg;
	return 0;
}

static int fake_check(struct hv_bg *bg _unused_, struct err *reterr _unused_)
{
	return 0;
}

static int fake_arm(struct hv_bg *bg _unused_, int read_fd, int write_fd, struct err *reterr _unused_)
{
	fake.armed = 1;
	fake.read_fd = fcntl(read_fd, F_DUPFD_CLOEXEC, 0);
	fake.write_fd = fcntl(write_fd, F_DUPFD_CLOEXEC, 0);
	return 0;
}

/* Writes its memory; the last byte not before the guest runs. From 8.2 on somebody else has to
 * see to that. */
static void *write_memory(void *arg _unused_)
{
	size_t most = fake.stream.len - 1;

	if (fake.fails_midway)
		most /= 2;
	set_state(HV_BG_ACTIVE);
	assert_int_equal(write_all(fake.write_fd, fake.stream.data, most), 0);
	if (fake.bg.version < HV_BG_VERSION(8, 2, 0))
		set(&fake.paused, 0);
	pthread_mutex_lock(&fake.lock);
	while (fake.paused && !fake.fails_midway)
		pthread_cond_wait(&fake.changed, &fake.lock);
	pthread_mutex_unlock(&fake.lock);
	fake.runs_before_end = !fake.fails_midway;
	if (!fake.fails_midway)
		assert_int_equal(write_all(fake.write_fd, fake.stream.data + most, 1), 0);
	cleanup_close(&fake.write_fd);
	set_state(fake.fails_midway ? HV_BG_FAILED : HV_BG_COMPLETED);
	return NULL;
}

static int fake_begin(struct hv_bg *bg _unused_, struct err *reterr)
{
	assert_true(fake.armed && fake.switched && get(&fake.paused)); /* the plain order */
	if (fake.fails_to_begin)
		return err_set(reterr, ERR_BACKEND, -EPROTO, "it does not want to");
	set_state(HV_BG_SETUP);
	fake.writes = 1;
	return pthread_create(&fake.writer, NULL, write_memory, NULL);
}

static int fake_status(struct hv_bg *bg _unused_, struct hv_bg_status *ret_status, struct err *reterr _unused_)
{
	pthread_mutex_lock(&fake.lock);
	*ret_status = (struct hv_bg_status){ .state = fake.state, .guest_runs = !fake.paused, .setup_msec = -1,
					     .downtime_msec = -1 };
	pthread_mutex_unlock(&fake.lock);
	if (fake.fails_midway && ret_status->state == HV_BG_FAILED)
		ret_status->problem = xstrdup("it broke");
	return 0;
}

static int fake_is_armed(struct hv_bg *bg _unused_, struct err *reterr _unused_)
{
	return fake.armed;
}

static int fake_disarm(struct hv_bg *bg _unused_, struct err *reterr _unused_)
{
	assert_true(fake.state != HV_BG_SETUP && fake.state != HV_BG_ACTIVE);
	if (fake.writes)
		pthread_join(fake.writer, NULL);
	fake.writes = fake.armed = 0;
	cleanup_close(&fake.read_fd);
	cleanup_close(&fake.write_fd);
	return 0;
}

static void fake_close(struct hv_bg *bg _unused_)
{
}

static const struct hv_bg_ops fake_background = {
	.open = fake_open, .check = fake_check, .arm = fake_arm, .begin = fake_begin, .status = fake_status,
	.is_armed = fake_is_armed, .disarm = fake_disarm, .close = fake_close,
};

static const struct hv_ops fake_ops = {
	.state = fake_state, .xml = fake_xml, .suspend = fake_suspend, .resume = fake_resume,
	.snapshot = fake_snapshot, .background = &fake_background,
};

/* ---- the tests */

static int setup(void **state)
{
	static char name[] = "a";

	fake = (struct fake){
		.hv = { &fake_ops }, .bg = { .version = HV_BG_VERSION(10, 0, 2), .name = name }, .read_fd = -1,
		.write_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER,
		.stream = make_stream(BACKGROUND, 0),
	};
	return scratch_setup(state);
}

static int teardown(void **state)
{
	bytes_done(&fake.stream);
	return scratch_teardown(state);
}

static int capture(const char *dir, struct background_result *ret_result, struct err *reterr)
{
	const char *top = getenv("top_builddir");
	_cleanup_free_ char *program = path_join(top && *top ? top : ".", "savestate/vmsnap-capture");
	_cleanup_state_ struct state image = state_in(dir, "one");
	const struct hv_switch disk = { .target = "vda", .path = "/nowhere" };
	const struct background_opts opts = {
		.hv = &fake.hv, .vm = &vm, .dir = dir, .program = program,
		.image = { .vsv = image.files.vsv, .bin = image.files.bin, .guid = image.guid },
		.disks = &disk, .n_disks = 1,
	};

	return background_capture(&opts, ret_result, reterr);
}

static void assert_quiet(void)
{
	assert_false(get(&fake.paused));
	assert_false(fake.armed || fake.writes);
	assert_true(fake.read_fd < 0 && fake.write_fd < 0);
}

static void assert_no_files(const char *dir)
{
	_cleanup_strv_ char **names = NULL;

	assert_int_equal(dir_list(dir, &names, NULL), 0);
	assert_int_equal(strv_count(names), 0);
}

/* From 8.2 on nobody but us resumes the guest, and not only when all is over. */
static void test_stays_paused(void **state)
{
	_cleanup_(background_result_done) struct background_result result = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(capture(*state, &result, &err), &err);
	assert_int_equal(result.image.outcome, CAPTURE_WHOLE);
	assert_int_equal(result.switched, 1);
	assert_int_equal(result.held, 0);
	assert_int_equal(fake.runs_before_end, 1);
	assert_quiet();
	assert_ok(background_forget(*state, &err), &err);
}

static void test_resumed_by_qemu(void **state)
{
	_cleanup_(background_result_done) struct background_result result = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	fake.bg.version = HV_BG_VERSION(8, 1, 0);
	assert_ok(capture(*state, &result, &err), &err);
	assert_int_equal(fake.runs_before_end, 1);
	assert_quiet();
}

/* The disks are switched by then; the guest must run on them. */
static void test_does_not_begin(void **state)
{
	_cleanup_(background_result_done) struct background_result result = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	fake.fails_to_begin = 1;
	assert_int_equal(capture(*state, &result, &err), -EPROTO);
	assert_string_equal(err.message, "it does not want to");
	assert_int_equal(result.switched, 1);
	assert_quiet();
	assert_no_files(*state);
}

/* The reader may find what it got whole or not: QEMU's word counts. */
static void test_fails_midway(void **state)
{
	_cleanup_(background_result_done) struct background_result result = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	fake.fails_midway = 1;
	assert_int_equal(capture(*state, &result, &err), -EIO);
	assert_non_null(strstr(err.message, "it broke"));
	assert_quiet();
	assert_no_files(*state);
}

static void test_too_old(void **state)
{
	_cleanup_free_ char *why = NULL;
	_cleanup_(background_result_done) struct background_result result = { 0 };

	fake.bg.version = HV_BG_VERSION(5, 2, 0);
	why = background_blocker(&fake.hv, &vm);
	assert_non_null(strstr(why, "older than 6.0"));
	assert_int_equal(capture(*state, &result, NULL), -EOPNOTSUPP);
	assert_int_equal(fake.switched, 0);
	fake.hv.ops = &(const struct hv_ops){ .state = fake_state };
	free(why);
	why = background_blocker(&fake.hv, &vm);
	assert_non_null(strstr(why, "has no background captures"));
}

/* A dead daemon's: armed, suspended, nothing begun. */
static void test_put_right(void **state)
{
	_cleanup_(background_found_done) struct background_found found = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	fake.armed = fake.paused = 1;
	assert_ok(background_put_right(&fake.hv, &vm, *state, 1, &found, &err), &err);
	assert_false(found.whole || found.under_way);
	assert_quiet();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stays_paused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resumed_by_qemu, setup, teardown),
		cmocka_unit_test_setup_teardown(test_does_not_begin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fails_midway, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_old, setup, teardown),
		cmocka_unit_test_setup_teardown(test_put_right, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	use_fast_directory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
