/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A background capture whose daemon is killed, at each place in it, and what the next daemon
 * makes of it. The embedded driver lives once in a process, so each daemon is one: this
 * program, started again with its part as arguments. */
#include "tests/unit/test-background-util.h"

#include <signal.h>
#include <sys/wait.h>

/* Where the first daemon dies. */
enum death { HELD, IN_PAUSE, SWITCHED, ANSWERED, FLOWING, FLOWING_ALONE, N_DEATHS };
static const char *const deaths[N_DEATHS] = { "held", "in-pause", "switched", "answered", "flowing", "flowing-alone" };

/* A part's arguments. */
static struct {
	enum death death;
	const char *root, *dir;
} part;

static struct rig rig;

static void open_driver(void)
{
	_cleanup_free_ char *uri = xasprintf("qemu:///embed?root=%s", part.root);

	MUST(rig_open(&rig, uri, &err));
	assert_true(rig_await(&rig, NULL, HV_EVENT_UP));
}

static void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* ---- the first daemon */

static int die_in_pause(void *arg, struct err *reterr)
{
	if (part.death == IN_PAUSE)
		die();
	return note_pause(arg, reterr);
}

static const struct hv_ops *real;

static struct shot shot;

/* Where the pause was is told to the next daemon by a file. */
static void leave_note(const struct shot *s)
{
	_cleanup_free_ char *text = xasprintf("%zu", s->paused_at);
	_cleanup_free_ _unused_ char *path = put_file(s->dir, "paused-at", text, strlen(text));
}

/* When libvirt has answered the memory flows already, or is about to; but not if nobody could
 * see that QEMU had switched. */
static int die_after_switch(struct hv *hv, const struct guid *vm, const struct hv_snapshot *what, struct err *reterr)
{
	int r = real->snapshot(hv, vm, what, reterr);

	assert_int_equal(r, 0);
	leave_note(&shot);
	if (part.death == SWITCHED || part.death == ANSWERED)
		die();
	return r;
}

static int die_in_progress(void *arg, int64_t done, int64_t total _unused_)
{
	const struct shot *s = arg;

	if (part.death == HELD && s->result.held)
		die();
	if (done < 8 << 20 || part.death < FLOWING)
		return 0;
	if (part.death == FLOWING_ALONE)
		kill(find_reader(s->dir), SIGKILL);
	die();
	return 0;
}

static void first_daemon(void **state _unused_)
{
	struct hv_ops ops;
	struct shot *s = &shot;

	open_driver();
	start_guest_of(rig.hv, part.dir, LARGE_MIB, LARGE_TOUCH, part.death >= FLOWING);
	make_overlays(part.dir, "one");
	real = rig.hv->ops;
	ops = *real;
	ops.snapshot = die_after_switch;
	rig.hv->ops = &ops;
	shot_init(s, rig.hv, part.dir);
	s->opts.in_pause = die_in_pause;
	s->opts.progress = die_in_progress;
	for (int i = 0; part.death == SWITCHED && i < N_DISKS; i++)
		s->disks[i].image = NULL;
	MUST(background_capture(&s->opts, &s->result, &err));
	fail_msg("nobody died");
}

/* ---- the next one */

static size_t read_note(void)
{
	_cleanup_free_ char *path = path_join(part.dir, "paused-at"), *text = NULL;

	MUST(file_read(path, 64, &text, NULL, &err));
	return strtoul(text, NULL, 10);
}

static void next_daemon(void **state _unused_)
{
	_cleanup_(background_found_done) struct background_found found = { 0 };
	_cleanup_shot_ struct shot again;
	int whole;

	open_driver();
	MUST(background_put_right(rig.hv, &guest, part.dir, 1, &found, &err));
	print_message("%s: under way %d, unfrozen %d, whole %d\n", deaths[part.death], found.under_way, found.unfrozen,
		      found.whole);
	if (part.death != ANSWERED)
		assert_int_equal(found.whole, part.death == FLOWING);
	whole = found.whole;
	assert_put_right(rig.hv, part.dir);
	MUST(background_put_right(rig.hv, &guest, part.dir, 1, &found, &err));
	shot_init(&again, rig.hv, part.dir);
	if (whole)
		come_back(rig.hv, part.dir, again.vsv, again.bin, read_note());
	MUST(background_forget(part.dir, &err));
	/* and all is well for the next capture */
	again.opts.n_disks = 0;
	MUST(background_capture(&again.opts, &again.result, &err));
	assert_put_right(rig.hv, part.dir);
	MUST(hv_destroy(rig.hv, &guest, &err));
	MUST(hv_undefine(rig.hv, &guest, 1, &err));
	rig_close(&rig);
}

/* ---- the test itself */

static const char *self;

/* Runs a part; gives its status as waitpid() has it. */
static int play(const char *role, enum death death, const char *root, const char *dir)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		execl(self, self, role, deaths[death], root, dir, (char *)NULL);
		_exit(126);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void killed_at(enum death death)
{
	char *root, *dir;
	int status;

	dir_setup((void **)&root);
	dir_setup((void **)&dir);
	status = play("first", death, root, dir);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	status = play("next", death, root, dir);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	dir_teardown((void **)&dir);
	dir_teardown((void **)&root);
}

static void killed_while_qemu_is_held(void **state _unused_)
{
	killed_at(HELD);
}

static void killed_in_the_pause(void **state _unused_)
{
	killed_at(IN_PAUSE);
}

static void killed_after_the_switch(void **state _unused_)
{
	killed_at(SWITCHED);
}

static void killed_when_libvirt_answers(void **state _unused_)
{
	killed_at(ANSWERED);
}

static void killed_while_memory_flows(void **state _unused_)
{
	killed_at(FLOWING);
}

static void killed_together_with_the_reader(void **state _unused_)
{
	killed_at(FLOWING_ALONE);
}

static int play_part(char **argv)
{
	const struct CMUnitTest first[] = { cmocka_unit_test(first_daemon) };
	const struct CMUnitTest next[] = { cmocka_unit_test(next_daemon) };

	part.root = argv[3];
	part.dir = argv[4];
	while (part.death < N_DEATHS && strcmp(deaths[part.death], argv[2]) != 0)
		part.death++;
	return strcmp(argv[1], "first") == 0 ? cmocka_run_group_tests(first, NULL, NULL)
					     : cmocka_run_group_tests(next, NULL, NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_while_qemu_is_held), cmocka_unit_test(killed_in_the_pause),
		cmocka_unit_test(killed_after_the_switch),   cmocka_unit_test(killed_when_libvirt_answers),
		cmocka_unit_test(killed_while_memory_flows), cmocka_unit_test(killed_together_with_the_reader),
	};

	if (argc == 5)
		return play_part(argv);
	if (getenv("VMSNAP_VALGRIND"))
		return 77; /* libvirt's driver forks children that leak as they please */
	if (geteuid() != 0)
		return skip_status("only root may use userfaultfd and rescue a guest");
	if (!kernel_has_userfaultfd())
		return 77;
	if (access("/usr/bin/qemu-system-x86_64", X_OK) != 0 || access("/usr/bin/qemu-img", X_OK) != 0)
		return skip_status("qemu-system-x86_64 and qemu-img are needed (Debian: qemu-system-x86, qemu-utils)");
	self = argv[0];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
