/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of background captures share: the guest of test-hv.c in sizes, one
 * capture of it, what must be so after each, and the way back to it. */
#ifndef TESTS_UNIT_TEST_BACKGROUND_UTIL_H
#define TESTS_UNIT_TEST_BACKGROUND_UTIL_H

#include "tests/unit/test-hv-guest.h"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "daemon/background.h"
#include "daemon/hv-background.h"
#include "daemon/smaps.h"
#include "savestate/join.h"

/* 1 if the kernel has what QEMU needs; not a matter of what is installed. */
static inline _unused_ int kernel_has_userfaultfd(void)
{
	_cleanup_close_ int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		fprintf(stderr, "skipped: this kernel lets root have no userfaultfd: %m\n");
	return fd >= 0;
}

enum { SMALL_MIB = 16, LARGE_MIB = 256, LARGE_TOUCH = 200 };

/* A guest of so many MiB that writes touch MiB of them at boot, or at each tick. */
static inline _unused_ void start_guest_of(struct hv *hv, const char *dir, int mib, int touch, int busy)
{
	const char *src = getenv("top_srcdir"), *python = getenv("PYTHON");
	_cleanup_free_ char *script = path_join(src ? src : ".", "tests/functional/guest/build.py");
	_cleanup_free_ char *first = path_join(dir, "vda.base"), *second = path_join(dir, "vdb.base");
	_cleanup_free_ char *small = guest_xml(dir), *xml = NULL, *touched = xasprintf("%d", touch);
	const char *size = strstr(small, "16</memory>");

	if (!python || !*python)
		python = "/usr/bin/python3";
	run((const char *const[]){ python, script, "boot", first, "--touch", touched, busy ? "--busy" : NULL, NULL });
	run((const char *const[]){ python, script, "empty", second, NULL });
	xml = xasprintf("%.*s%d%s", (int)(size - small), small, mib, size + 2);
	MUST(hv_define(hv, xml, &err));
	MUST(hv_start(hv, &guest, 0, &err));
	await_ticks(dir, 0, 3, NULL, NULL);
}

/* One capture into DIR/image.vsv and .bin, the disks onto DIR/vda.one and vdb.one. */
struct shot {
	const char *dir;
	char *program, *vsv, *bin, *disk[N_DISKS], *base[N_DISKS];
	struct hv_switch disks[N_DISKS];
	struct background_opts opts;
	struct background_result result;
	size_t paused_at; /* bytes on the serial line in the pause */
};

static inline int note_pause(void *arg, struct err *reterr _unused_)
{
	struct shot *shot = arg;

	shot->paused_at = serial_size(shot->dir);
	return 0;
}

static inline _unused_ void shot_init(struct shot *s, struct hv *hv, const char *dir)
{
	const char *top = getenv("top_builddir");

	*s = (struct shot){ .dir = dir, .vsv = path_join(dir, "image.vsv"), .bin = path_join(dir, "image.bin"),
			    .program = path_join(top && *top ? top : ".", "savestate/vmsnap-capture") };
	for (int i = 0; i < N_DISKS; i++) {
		s->disk[i] = xasprintf("%s/%s.one", dir, targets[i]);
		s->base[i] = xasprintf("%s/%s.base", dir, targets[i]);
		s->disks[i] = (struct hv_switch){ targets[i], s->disk[i], s->base[i] };
	}
	s->opts = (struct background_opts){
		.hv = hv, .vm = &guest, .dir = dir, .program = s->program,
		.image = { .vsv = s->vsv, .bin = s->bin, .guid = guid_new() },
		.disks = s->disks, .n_disks = N_DISKS, .in_pause = note_pause, .arg = s,
	};
}

static inline _unused_ void shot_done(struct shot *s)
{
	background_result_done(&s->result);
	free(s->program);
	free(s->vsv);
	free(s->bin);
	for (int i = 0; i < N_DISKS; i++) {
		free(s->disk[i]);
		free(s->base[i]);
	}
}
#define _cleanup_shot_ _cleanup_(shot_done)

static inline _unused_ void print_times(const char *what, const struct shot *s)
{
	const struct background_times *t = &s->result.times;

	print_message("%s: held %d; us: hold %lld, suspend %lld, in_pause %lld, disks %lld, go on %lld, pause %lld; "
		      "QEMU: stopped %lld, setup %lld, down %lld; total %lld; stream %llu bytes\n", what, s->result.held,
		      (long long)t->hold, (long long)t->suspend, (long long)t->in_pause, (long long)t->disks,
		      (long long)t->go_on, (long long)t->pause, (long long)t->stopped, (long long)t->qemu_setup,
		      (long long)t->qemu_down, (long long)t->total,
		      (unsigned long long)s->result.image.split.stream_bytes);
}

/* What must be so whatever happened: the guest runs, QEMU is as it was, nobody works on. */
static inline _unused_ void assert_put_right(struct hv *hv, const char *dir)
{
	struct rlimit files;
	enum hv_state state;
	struct hv_bg *bg;

	MUST(hv_state(hv, &guest, &state, &err));
	assert_int_equal(state, HV_RUNNING);
	MUST(hv->ops->background->open(hv, &guest, &bg, &err));
	MUST(hv->ops->background->is_armed(bg, &err));
	MUST(smaps_write_protected(bg->pid, &err));
	assert_int_equal(prlimit(bg->pid, RLIMIT_NOFILE, NULL, &files), 0);
	assert_true(files.rlim_cur > 100);
	hv->ops->background->close(bg);
	assert_int_equal(capture_is_running(dir), 0);
	await_ticks(dir, serial_size(dir), 5, NULL, NULL);
}

/* Nothing of a save state, finished or not. */
static inline _unused_ void assert_no_image(const char *dir)
{
	_cleanup_strv_ char **names = NULL;

	assert_int_equal(dir_list(dir, &names, NULL), 0);
	for (char **name = names; *name; name++)
		assert_true(strncmp(*name, "image.", 6) != 0 && strncmp(*name, "capture.", 8) != 0);
}

/* The process that reads, which must be there. */
static inline _unused_ pid_t find_reader(const char *dir)
{
	_cleanup_free_ char *lock = path_join(dir, CAPTURE_LOCK), *text = NULL;

	assert_int_equal(capture_is_running(dir), 1);
	MUST(file_read(lock, 64, &text, NULL, &err));
	assert_true(atoi(text) > 1);
	return (pid_t)atoi(text);
}

struct feed {
	const struct save_files *files;
	const char *fifo, *xml;
	struct err err;
	int r;
};

static inline void *feed_main(void *arg)
{
	struct feed *feed = arg;
	const struct join_opts opts = { .head = JOIN_RESUME, .xml = feed->xml };
	_cleanup_close_ int fd = open(feed->fifo, O_WRONLY | O_CLOEXEC);

	feed->r = join_stream(feed->files, 1, &opts, fd, &feed->err);
	return NULL;
}

/* Ends the guest and goes back to the save state on new overlays of the base disks. Its
 * serial line is cut to what was there in the pause: the lines go on without a gap, or the
 * test fails. */
static inline _unused_ void come_back(struct hv *hv, const char *dir, const char *vsv, const char *bin,
				      size_t paused_at)
{
	const struct save_files files = { vsv, bin };
	_cleanup_free_ char *fifo = path_join(dir, "restore.fifo"), *serial = path_join(dir, "serial");
	_cleanup_free_ char *old = NULL, *xml = NULL;
	struct feed feed = { .files = &files, .fifo = fifo };
	struct vsv *v;
	pthread_t thread;

	MUST(join_verify(&files, 1, NULL, NULL, &err));
	MUST(vsv_open(vsv, &v, &err));
	MUST(vsv_xml(v, &old, &err));
	vsv_free(v);
	MUST(hv_destroy(hv, &guest, &err));
	make_overlays(dir, "two");
	feed.xml = xml = on_overlays(old, dir, "two");
	assert_int_equal(truncate(serial, (off_t)paused_at), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(pthread_create(&thread, NULL, feed_main, &feed), 0);
	MUST(hv_restore(hv, fifo, xml, &err));
	pthread_join(thread, NULL);
	must(feed.r, &feed.err, "join_stream");
	await_ticks(dir, paused_at, 5, NULL, NULL);
	await_ticks(dir, 0, 8, NULL, NULL); /* from the boot on, without a gap */
}

#endif
