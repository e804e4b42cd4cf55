/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Background captures of a real guest: that it comes back at the very next tick, and that
 * it runs on whatever fails. */
#include "tests/unit/test-background-util.h"

#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>

static struct rig *rig;
static char *root, *uri;

static int small_guest(void **state)
{
	dir_setup(state);
	start_guest_of(rig->hv, *state, SMALL_MIB, 8, 0);
	return 0;
}

/* Its memory takes a while to go out, and it writes all of it at each tick. */
static int large_busy_guest(void **state)
{
	dir_setup(state);
	start_guest_of(rig->hv, *state, LARGE_MIB, LARGE_TOUCH, 1);
	return 0;
}

static int end_guest(void **state)
{
	MUST(hv_destroy(rig->hv, &guest, &err));
	MUST(hv_undefine(rig->hv, &guest, 1, &err));
	return dir_teardown(state);
}

static void capture_and_come_back(const char *dir, int plain)
{
	_cleanup_shot_ struct shot s;

	make_overlays(dir, "one");
	shot_init(&s, rig->hv, dir);
	s.opts.plain = plain;
	MUST(background_capture(&s.opts, &s.result, &err));
	print_times(plain ? "plain" : "held", &s);
	assert_int_equal(s.result.switched, 1);
	assert_true(!plain || !s.result.held);
	assert_int_equal(s.result.image.outcome, CAPTURE_WHOLE);
	assert_int_equal(s.result.image.ended, 1);
	assert_int_equal(s.result.image.split.form, SPLIT_ALL);
	assert_true(s.result.times.pause > 0 && s.result.times.stopped > 0);
	assert_put_right(rig->hv, dir);
	come_back(rig->hv, dir, s.vsv, s.bin, s.paused_at);
	assert_put_right(rig->hv, dir);
	MUST(background_forget(dir, &err));
}

static void a_guest_comes_back_at_the_next_tick(void **state)
{
	capture_and_come_back(*state, 0);
}

static void so_it_does_in_the_plain_order(void **state)
{
	capture_and_come_back(*state, 1);
}

/* A second one builds on the first, and nothing of the first one is in its way. */
static void one_capture_follows_another(void **state)
{
	const char *dir = *state;
	_cleanup_shot_ struct shot s, next;
	_cleanup_free_ char *vsv = path_join(dir, "next.vsv"), *bin = path_join(dir, "next.bin");
	struct save_files parent;

	shot_init(&s, rig->hv, dir);
	shot_init(&next, rig->hv, dir);
	s.opts.n_disks = next.opts.n_disks = 0;
	MUST(background_capture(&s.opts, &s.result, &err));
	await_ticks(dir, serial_size(dir), 3, NULL, NULL);
	parent = (struct save_files){ s.vsv, NULL }; /* a difference on every file system */
	next.opts.image.vsv = vsv;
	next.opts.image.bin = bin;
	next.opts.image.parents = &parent;
	next.opts.image.n_parents = 1;
	MUST(background_capture(&next.opts, &next.result, &err));
	print_times("2nd", &next);
	assert_true(guid_eq(&next.result.image.split.parent, &s.opts.image.guid));
	assert_true(next.result.image.split.pages[PAGE_PARENT] > next.result.image.split.pages[PAGE_DATA]);
	assert_put_right(rig->hv, dir);
}

static void a_busy_guest_comes_back(void **state)
{
	capture_and_come_back(*state, 0);
}

static void a_switch_that_fails_leaves_all_as_it_was(void **state)
{
	for (int plain = 0; plain < 2; plain++) {
		_cleanup_shot_ struct shot s;
		_cleanup_err_ struct err failed = ERR_INIT;
		_cleanup_free_ char *live = NULL;

		shot_init(&s, rig->hv, *state); /* no overlays were made */
		s.opts.plain = plain;
		assert_true(background_capture(&s.opts, &s.result, &failed) < 0);
		assert_int_equal(failed.kind, ERR_BACKEND);
		assert_string_equal(failed.vm, "tick");
		assert_int_equal(s.result.switched, 0);
		assert_put_right(rig->hv, *state);
		assert_no_image(*state);
		MUST(hv_xml(rig->hv, &guest, HV_XML_LIVE, &live, &err));
		assert_null(strstr(live, "vda.one"));
	}
	capture_and_come_back(*state, 0); /* and nothing stands in the way of the next */
}

static int fail_in_pause(void *arg _unused_, struct err *reterr)
{
	return err_set(reterr, ERR_FAILED, -EIO, "the firmware cannot be copied");
}

static void firmware_that_cannot_be_copied_takes_all_back(void **state)
{
	_cleanup_shot_ struct shot s;
	_cleanup_err_ struct err failed = ERR_INIT;

	make_overlays(*state, "one");
	shot_init(&s, rig->hv, *state);
	s.opts.in_pause = fail_in_pause;
	assert_int_equal(background_capture(&s.opts, &s.result, &failed), -EIO);
	assert_string_equal(failed.message, "the firmware cannot be copied");
	assert_int_equal(s.result.switched, 0);
	assert_put_right(rig->hv, *state);
	assert_no_image(*state);
}

static int say_stop(void *arg _unused_, int64_t done _unused_, int64_t total _unused_)
{
	return 1;
}

static void one_that_is_cancelled_was_never_there(void **state)
{
	_cleanup_shot_ struct shot s;

	shot_init(&s, rig->hv, *state);
	s.opts.progress = say_stop;
	assert_int_equal(background_capture(&s.opts, &s.result, NULL), -ECANCELED);
	assert_int_equal(s.result.switched, 0);
	assert_put_right(rig->hv, *state);
	assert_no_image(*state);
}

/* A thread that ends the reader once it is in the middle of the memory. */
struct killer {
	const char *dir;
	int signal;
	int64_t killed, ticked; /* monotonic us; ticked: the guest wrote two lines after that */
};

static void *kill_reader(void *arg)
{
	struct killer *k = arg;
	_cleanup_free_ char *bin = path_join(k->dir, "image.bin.tmp");
	int64_t until = time_mono_usec() + PATIENCE_SECONDS * INT64_C(1000000);

	while (file_allocated(bin) < 8 << 20 && time_mono_usec() < until)
		sched_yield();
	kill(find_reader(k->dir), k->signal);
	k->killed = time_mono_usec();
	await_ticks(k->dir, serial_size(k->dir), 2, NULL, NULL);
	k->ticked = time_mono_usec();
	return NULL;
}

static void without_a_reader(const char *dir, int signal)
{
	_cleanup_shot_ struct shot s;
	_cleanup_err_ struct err failed = ERR_INIT;
	struct killer killer = { .dir = dir, .signal = signal };
	pthread_t thread;
	int64_t took;

	make_overlays(dir, "one");
	shot_init(&s, rig->hv, dir);
	s.opts.stall_msec = 2000;
	assert_int_equal(pthread_create(&thread, NULL, kill_reader, &killer), 0);
	assert_int_equal(background_capture(&s.opts, &s.result, &failed), -EPIPE);
	took = time_mono_usec() - killer.killed;
	pthread_join(thread, NULL);
	print_message("reader got signal %d: two ticks %lld us later, the call returned after %lld\n", signal,
		      (long long)(killer.ticked - killer.killed), (long long)took);
	assert_int_equal(s.result.switched, 1);
	assert_put_right(rig->hv, dir);
	assert_no_image(dir);
}

static void a_reader_that_is_killed_stops_nobody(void **state)
{
	without_a_reader(*state, SIGKILL);
}

static void a_reader_that_hangs_is_ended(void **state)
{
	without_a_reader(*state, SIGSTOP);
}

static void a_disk_that_is_full_stops_nobody(void **state)
{
	const char *dir = *state;
	_cleanup_shot_ struct shot s;
	_cleanup_err_ struct err failed = ERR_INIT;
	struct rlimit all, little;
	int r;

	shot_init(&s, rig->hv, dir);
	s.opts.n_disks = 0;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
	little = all;
	little.rlim_cur = 1 << 20; /* which the reader inherits */
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	r = background_capture(&s.opts, &s.result, &failed);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
	assert_int_equal(r, -EFBIG);
	assert_put_right(rig->hv, dir);
	assert_no_image(dir);
}

static void without_room_the_guest_is_not_touched(void **state)
{
	_cleanup_free_ char *dir = path_join(*state, "room"), *vsv = path_join(dir, "image.vsv");
	_cleanup_shot_ struct shot s;
	_cleanup_err_ struct err failed = ERR_INIT;
	int r;

	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(mount("none", dir, "tmpfs", 0, "size=32m"), 0);
	shot_init(&s, rig->hv, *state);
	s.opts.image.vsv = vsv;
	r = background_capture(&s.opts, &s.result, &failed);
	assert_int_equal(umount(dir), 0);
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(failed.kind, ERR_REFUSED);
	assert_non_null(strstr(failed.message, "48 MiB")); /* RAM, and what is not RAM */
	assert_non_null(strstr(failed.message, "32 MiB"));
	assert_put_right(rig->hv, *state);
}

static void it_is_said_why_not(void **state)
{
	_cleanup_free_ char *running = background_blocker(rig->hv, &guest), *paused = NULL, *off = NULL;
	_cleanup_shot_ struct shot s;

	if (running)
		fail_msg("%s", running);
	MUST(hv_suspend(rig->hv, &guest, &err));
	paused = background_blocker(rig->hv, &guest);
	assert_non_null(strstr(paused, "paused"));
	shot_init(&s, rig->hv, *state);
	assert_int_equal(background_capture(&s.opts, &s.result, NULL), -EOPNOTSUPP);
	MUST(hv_resume(rig->hv, &guest, &err));
	assert_put_right(rig->hv, *state);
	MUST(hv_destroy(rig->hv, &guest, &err));
	off = background_blocker(rig->hv, &guest);
	assert_non_null(strstr(off, "does not run"));
}

static void nothing_to_put_right_is_fine(void **state)
{
	for (int twice = 0; twice < 2; twice++) {
		_cleanup_(background_found_done) struct background_found found = { 0 };

		MUST(background_put_right(rig->hv, &guest, *state, 0, &found, &err));
		assert_false(found.whole || found.under_way || found.unfrozen);
	}
	assert_put_right(rig->hv, *state);
}

#define OVMF_CODE "/usr/share/OVMF/OVMF_CODE_4M.fd"
#define OVMF_VARS "/usr/share/OVMF/OVMF_VARS_4M.fd"

/* In the pause the variables are copied; the copy is marked, so that it can be told from what
 * QEMU has in the stream. */
static int copy_variables(void *arg, struct err *reterr)
{
	struct shot *s = arg;
	_cleanup_free_ char *live = path_join(s->dir, "vars.fd");
	_cleanup_close_ int fd = -1;
	int r = file_copy(live, s->opts.image.replace->file, 0600, (uid_t)-1, (gid_t)-1, reterr);

	fd = open(s->opts.image.replace->file, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "copied in the pause", 19, 4096), 19);
	return r;
}

static void start_firmware(const char *dir)
{
	_cleanup_free_ char *small = guest_xml(dir), *xml = NULL;
	const char *os = strstr(small, "hvm</type>") + strlen("hvm</type>");

	make_base_disks(dir);
	xml = xasprintf("%.*s<loader readonly='yes' type='pflash'>" OVMF_CODE "</loader><nvram template='" OVMF_VARS
			"'>%s/vars.fd</nvram>%s", (int)(os - small), small, dir, os);
	memcpy(strstr(xml, "16</memory>"), "64", 2);
	MUST(hv_define(rig->hv, xml, &err));
	MUST(hv_start(rig->hv, &guest, 0, &err));
}

/* The firmware's variables in the save state are those of the pause. */
static void variables_are_those_of_the_pause(void **state)
{
	const char *dir = *state;
	_cleanup_free_ char *file = path_join(dir, "vars.copy"), *copy = NULL, *in_bin = NULL;
	const struct capture_replace replace = { "system.flash1", file };
	_cleanup_shot_ struct shot s;
	_cleanup_close_ int bin = -1;
	const struct vsv_block *block;
	struct vsv *v;
	size_t len;

	if (access(OVMF_CODE, R_OK) != 0 || access(OVMF_VARS, R_OK) != 0)
		skip();
	start_firmware(dir);
	shot_init(&s, rig->hv, dir);
	s.opts.n_disks = 0;
	s.opts.image.replace = &replace;
	s.opts.image.n_replace = 1;
	s.opts.in_pause = copy_variables;
	MUST(background_capture(&s.opts, &s.result, &err));
	MUST(vsv_open(s.vsv, &v, &err));
	block = vsv_info(v)->blocks;
	while (strcmp(block->name, "system.flash1") != 0)
		block++;
	MUST(file_read(file, 64 << 20, &copy, &len, &err));
	assert_int_equal(block->pages * VSV_PAGE, len);
	in_bin = xcalloc(len, 1);
	bin = open(s.bin, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread_all(bin, in_bin, len, (off_t)block->offset), len);
	assert_memory_equal(in_bin, copy, len);
	vsv_free(v);
}

/* What somebody with virsh could do, and what a QEMU that runs out of something does itself:
 * the migration ends in the middle of the memory. */
static int cancel_by_monitor(void *arg, int64_t done, int64_t total _unused_)
{
	static const char command[] = "{\"execute\":\"migrate_cancel\"}";
	struct shot *s = arg;
	virConnectPtr conn;
	virDomainPtr dom;
	char *reply = NULL;

	if (done < 8 << 20 || s->paused_at == SIZE_MAX)
		return 0;
	s->paused_at = SIZE_MAX; /* once */
	conn = virConnectOpen(uri);
	dom = virDomainLookupByUUIDString(conn, GUEST_GUID);
	assert_int_equal(virDomainQemuMonitorCommand(dom, command, &reply, 0), 0);
	free(reply);
	virDomainFree(dom);
	virConnectClose(conn);
	return 0;
}

static void a_guest_that_is_frozen_by_a_failure_is_rescued(void **state)
{
	_cleanup_shot_ struct shot s;
	_cleanup_err_ struct err failed = ERR_INIT;

	make_overlays(*state, "one");
	shot_init(&s, rig->hv, *state);
	s.opts.progress = cancel_by_monitor;
	assert_int_equal(background_capture(&s.opts, &s.result, &failed), -EIO);
	assert_int_equal(failed.kind, ERR_BACKEND);
	assert_true(s.paused_at == SIZE_MAX);
	assert_put_right(rig->hv, *state);
	assert_no_image(*state);
}

/* A daemon that died while QEMU was let go without descriptors. */
static void a_limit_that_was_left_is_lifted(void **state)
{
	_cleanup_(background_found_done) struct background_found found = { 0 };
	struct rlimit none = { .rlim_cur = 3 }, former;
	struct hv_bg *bg;

	MUST(rig->hv->ops->background->open(rig->hv, &guest, &bg, &err));
	assert_int_equal(prlimit(bg->pid, RLIMIT_NOFILE, NULL, &former), 0);
	none.rlim_max = former.rlim_max;
	assert_int_equal(prlimit(bg->pid, RLIMIT_NOFILE, &none, NULL), 0);
	rig->hv->ops->background->close(bg);
	MUST(background_put_right(rig->hv, &guest, *state, 0, &found, &err));
	assert_put_right(rig->hv, *state);
}

static int open_embedded(void **state)
{
	rig = xcalloc(1, sizeof(*rig));
	dir_setup((void **)&root);
	uri = xasprintf("qemu:///embed?root=%s", root);
	*state = NULL;
	MUST(rig_open(rig, uri, &err));
	return rig_await(rig, NULL, HV_EVENT_UP) ? 0 : -1;
}

static int close_embedded(void **state _unused_)
{
	rig_close(rig);
	free(rig);
	free(uri);
	return dir_teardown((void **)&root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_said_why_not, small_guest, end_guest),
		cmocka_unit_test_setup_teardown(a_guest_comes_back_at_the_next_tick, small_guest, end_guest),
		cmocka_unit_test_setup_teardown(so_it_does_in_the_plain_order, small_guest, end_guest),
		cmocka_unit_test_setup_teardown(one_capture_follows_another, small_guest, end_guest),
		cmocka_unit_test_setup_teardown(a_busy_guest_comes_back, large_busy_guest, end_guest),
		cmocka_unit_test_setup_teardown(variables_are_those_of_the_pause, dir_setup, end_guest),
		cmocka_unit_test_setup_teardown(a_switch_that_fails_leaves_all_as_it_was, small_guest, end_guest),
		cmocka_unit_test_setup_teardown(firmware_that_cannot_be_copied_takes_all_back, small_guest, end_guest),
		cmocka_unit_test_setup_teardown(one_that_is_cancelled_was_never_there, small_guest, end_guest),
		cmocka_unit_test_setup_teardown(a_reader_that_is_killed_stops_nobody, large_busy_guest, end_guest),
		cmocka_unit_test_setup_teardown(a_reader_that_hangs_is_ended, large_busy_guest, end_guest),
		cmocka_unit_test_setup_teardown(a_guest_that_is_frozen_by_a_failure_is_rescued, large_busy_guest,
						end_guest),
		cmocka_unit_test_setup_teardown(a_disk_that_is_full_stops_nobody, small_guest, end_guest),
		cmocka_unit_test_setup_teardown(without_room_the_guest_is_not_touched, small_guest, end_guest),
		cmocka_unit_test_setup_teardown(a_limit_that_was_left_is_lifted, small_guest, end_guest),
		cmocka_unit_test_setup_teardown(nothing_to_put_right_is_fine, small_guest, end_guest),
	};

	if (getenv("VMSNAP_VALGRIND"))
		return 77; /* libvirt's driver forks children that leak as they please */
	if (geteuid() != 0)
		return skip_status("only root may use userfaultfd and rescue a guest");
	if (!kernel_has_userfaultfd())
		return 77;
	if (access("/usr/bin/qemu-system-x86_64", X_OK) != 0 || access("/usr/bin/qemu-img", X_OK) != 0)
		return skip_status("qemu-system-x86_64 and qemu-img are needed (Debian: qemu-system-x86, qemu-utils)");
	return cmocka_run_group_tests(tests, open_embedded, close_embedded);
}
