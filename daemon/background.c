/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The order of a background capture, and the way back from each place in it.
 *
 * QEMU 7.2 to 8.1 populates all memory page by page before it stops the guest. There
 * the migration begins first, into a pipe that is full: it populates, then waits in its
 * first write, while the guest runs. In the pause nothing is left but the disk switch and the
 * write protection. From 8.2 on that first write happens under QEMU's big lock, and waiting in it
 * would stop all: there the migration begins in the pause.
 *
 * Until the word (GO) nothing has been read of the pipe, and all can be taken back: QEMU is
 * let go with no descriptors to be had, so that it fails before it write-protects anything.
 * From the word on there is only forward. */
#include "daemon/background.h"

#include <string.h>
#include <sys/ioctl.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/background-priv.h"
#include "daemon/background-qemu.h"
#include "daemon/background-standby.h"
#include "daemon/background-switch.h"

#define HOLD_SINCE HV_BG_VERSION(7, 2, 0) /* populates before it stops the guest; older ones were not tried */
#define HOLD_UNTIL HV_BG_VERSION(8, 2, 0) /* writes its first bytes under its big lock */
#define STAYS_PAUSED HV_BG_VERSION(8, 2, 0) /* a guest that was suspended may have to be resumed by us */
#define HOLD_USEC (INT64_C(5) * 1000000)  /* not held by then: the pause will be longer, nothing else */
#define LATE_USEC (INT64_C(10) * 1000000) /* a guest that should have been resumed by QEMU */
#define STALL_MSEC 15000                  /* without a byte read; the guest waits for it meanwhile */
#define RESULT_ROOM (1 << 16)             /* bytes free below which a result may find no place */
#define FIRST_MSEC 20                     /* for the first memory to arrive */
#define QUICK_STEPS 50                    /* of a millisecond, then slower */

/* One capture. */
struct run {
	const struct background_opts *o;
	struct background_guest guest;
	struct capture_spec spec;
	struct background_pipe pipe;
	struct background_reader reader;
	struct background_switch *disks;
	struct background_result *result;
	int hold;                     /* the migration is to begin before the pause */
	int armed, begun, suspended;  /* what there is to take back */
	int unknown;                  /* what became of QEMU's migration cannot be asked */
	int touched;                  /* there may be something in the directory that is not needed */
	int64_t t_begin, t_pause, t_go, t_resumed; /* monotonic us; 0: not yet */
	int64_t done, t_done;         /* bytes written of the memory, and when that last changed */
};

static int64_t since(int64_t then)
{
	return then ? time_mono_usec() - then : -1;
}

static int cancelled(const struct run *run, struct err *reterr)
{
	if (!run->o->progress || run->o->progress(run->o->arg, 0, 0) == 0)
		return 0;
	return err_full(reterr, ERR_CANCELLED, -ECANCELED, run->guest.bg->name, NULL, NULL,
			"the capture of the domain \"%s\" was cancelled", run->guest.bg->name);
}

/* ---- up to the word */

/* The reader waits with its files open, and QEMU has both ends of the pipe. */
static int arm(struct run *run, struct err *reterr)
{
	int r = background_reader_start(run->o->program, &run->spec, run->pipe.read_fd, &run->reader, reterr);

	if (r < 0)
		return r;
	run->armed = 1;
	r = run->guest.ops->arm(run->guest.bg, run->pipe.read_fd, run->pipe.write_fd, reterr);
	cleanup_close(&run->pipe.write_fd); /* or the pipe would never end */
	return r;
}

static int begin(struct run *run, struct err *reterr)
{
	int r = run->guest.ops->begin(run->guest.bg, reterr);

	if (!r) {
		run->begun = 1;
		run->t_begin = time_mono_usec();
	}
	return r;
}

/* Waits until QEMU has populated the memory and is held. Not seen in time is no error. */
static int await_held(struct run *run, struct err *reterr)
{
	int64_t until = time_mono_usec() + HOLD_USEC;
	int r = 0;

	while (!r && time_mono_usec() < until) {
		_cleanup_(hv_bg_status_done) struct hv_bg_status status = { 0 };

		if (background_is_held(run->guest.bg->pid)) {
			run->result->held = 1;
			run->result->times.hold = since(run->t_begin);
			return 0;
		}
		r = run->guest.ops->status(run->guest.bg, &status, reterr);
		if (!r && status.state != HV_BG_SETUP)
			return err_set(reterr, ERR_BACKEND, -EIO, "QEMU did not wait to write the memory of \"%s\": %s",
				       run->guest.bg->name, status.problem ? status.problem : "it gave no reason");
		if (!r)
			r = cancelled(run, reterr);
		background_reader_listen(&run->reader, 1);
	}
	return r;
}

/* A QEMU that is held needs no word from libvirt to go on: the guest waits for the switch alone. */
static int switch_disks(struct run *run, struct err *reterr)
{
	int64_t start = time_mono_usec();
	int r = background_switch_run(run->disks, run->hold && run->result->held, reterr);

	run->result->times.disks = since(start);
	run->result->switched = r >= 0;
	return r < 0 ? r : 0;
}

/* All that happens while the guest stands still and all can still be taken back. */
static int pause_and_switch(struct run *run, struct err *reterr)
{
	int64_t start;
	int r;

	run->t_pause = time_mono_usec();
	run->suspended = 1; /* also if the call fails half-way */
	r = hv_suspend(run->o->hv, run->o->vm, reterr);
	run->result->times.suspend = since(run->t_pause);
	start = time_mono_usec();
	if (!r && run->o->in_pause)
		r = run->o->in_pause(run->o->arg, reterr);
	run->result->times.in_pause = since(start);
	return r < 0 ? r : switch_disks(run, reterr);
}

/* QEMU must still be held, or it stopped the guest (and took the memory) at another
 * instant than that of the disks. */
static int check_held(struct run *run, struct err *reterr)
{
	_cleanup_(hv_bg_status_done) struct hv_bg_status status = { 0 };
	int bytes = -1, r;

	if (ioctl(run->pipe.read_fd, FIONREAD, &bytes) < 0 || (uint64_t)bytes != run->pipe.prefill)
		return err_set(reterr, ERR_FAILED, -EBADMSG, "something of the pipe to QEMU was read before its time");
	if (run->result->held && background_is_held(run->guest.bg->pid))
		return 0; /* still in the same write; the monitor would take time of the pause */
	r = run->guest.ops->status(run->guest.bg, &status, reterr);
	if (!r && (status.state != HV_BG_SETUP || status.guest_runs))
		r = err_set(reterr, ERR_BACKEND, -EIO,
			    "QEMU did not wait for the disks of \"%s\" to be switched: its memory would be of another "
			    "instant", run->guest.bg->name);
	return r;
}

/* The word: from here on memory flows. */
static int go(struct run *run, struct err *reterr)
{
	int r = run->hold ? check_held(run, reterr) : begin(run, reterr);

	if (!r)
		r = background_reader_go(&run->reader, reterr);
	if (!r)
		run->t_go = time_mono_usec();
	cleanup_close(&run->pipe.read_fd);
	return r;
}

static int up_to_the_word(struct run *run, struct err *reterr)
{
	int r = background_switch_new(run->o->hv, run->o->vm, run->o->disks, run->o->n_disks, &run->disks, reterr);

	if (!r)
		r = arm(run, reterr);
	if (!r && run->hold) {
		r = begin(run, reterr);
		if (!r)
			r = await_held(run, reterr);
	}
	if (!r)
		r = cancelled(run, reterr);
	if (!r)
		r = pause_and_switch(run, reterr);
	return r < 0 ? r : go(run, reterr);
}

/* ---- the way back */

/* Lets QEMU fail before it protects anything: userfaultfd() finds no descriptor. Where that
 * cannot be done its whole stream is read and dropped. */
static void release(struct run *run)
{
	_cleanup_(hv_bg_status_done) struct hv_bg_status status = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	pid_t pid = run->guest.bg->pid;
	unsigned long limit = 0;
	int forbidden = pid > 0 && background_forbid_files(pid, &limit, &err) == 0;

	background_reader_drop(&run->reader);
	if (background_drain(&run->guest, run->spec.dir, &status, &err) < 0)
		log_err(LOG_LEVEL_WARNING, &err, "domain \"%s\"", run->guest.bg->name);
	err_done(&err);
	if (forbidden && background_allow_files(pid, limit, &err) < 0)
		log_err(LOG_LEVEL_WARNING, &err, "domain \"%s\"", run->guest.bg->name);
}

/* Takes all back that was done; the error that led here stays the one to be told. */
static void take_back(struct run *run)
{
	_cleanup_err_ struct err err = ERR_INIT;

	background_switch_free(TAKE_PTR(run->disks));
	if (run->begun)
		release(run);
	background_reader_drop(&run->reader);
	background_pipe_done(&run->pipe);
	if (run->armed && background_mend(&run->guest, run->suspended || run->begun, NULL, &err) < 0)
		log_err(LOG_LEVEL_WARNING, &err, "domain \"%s\"", run->guest.bg->name);
}

/* ---- after the word */

static void note_resumed(struct run *run)
{
	run->t_resumed = time_mono_usec();
	run->result->times.go_on = run->t_resumed - run->t_go;
	run->result->times.pause = run->t_resumed - run->t_pause;
}

/* The guest goes on by QEMU's doing, or by ours: once memory flows it is protected. */
static void see_to_guest(struct run *run, const struct hv_bg_status *status)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int ours = run->reader.flowing && run->guest.bg->version >= STAYS_PAUSED;

	if (run->t_resumed)
		return;
	if (status->guest_runs)
		note_resumed(run);
	else if ((ours || since(run->t_go) > LATE_USEC) && status->state != HV_BG_SETUP &&
		 hv_resume(run->o->hv, run->o->vm, &err) < 0)
		log_err(LOG_LEVEL_WARNING, &err, "domain \"%s\"", run->guest.bg->name);
}

static void note_figures(struct run *run, const struct hv_bg_status *status)
{
	struct background_times *t = &run->result->times;

	t->qemu_setup = status->setup_msec < 0 ? -1 : status->setup_msec * 1000;
	t->qemu_down = status->downtime_msec < 0 ? -1 : status->downtime_msec * 1000;
	if (status->stopped_usec && status->resumed_usec)
		t->stopped = status->resumed_usec - status->stopped_usec;
}

/* One look at QEMU. Returns 1 while its migration is under way, 0 after it, or negative errno. */
static int look(struct run *run, int *ret_completed, struct err *reterr)
{
	_cleanup_(hv_bg_status_done) struct hv_bg_status status = { 0 };
	int r = run->guest.ops->status(run->guest.bg, &status, reterr);

	run->unknown = r < 0;
	if (r < 0)
		return r;
	see_to_guest(run, &status);
	note_figures(run, &status);
	if (status.done != run->done || !run->t_done) {
		run->done = status.done;
		run->t_done = time_mono_usec();
	}
	if (background_is_under_way(&status)) {
		if (run->o->progress)
			ignore_result(run->o->progress(run->o->arg, status.done, status.total)); /* too late */
		return 1;
	}
	*ret_completed = status.state == HV_BG_COMPLETED;
	if (*ret_completed)
		return 0;
	return err_set(reterr, ERR_BACKEND, -EIO, "QEMU could not write the memory of \"%s\": %s",
		       run->guest.bg->name, status.problem ? status.problem : "it gave no reason");
}

static int stall_msec(const struct run *run)
{
	return run->o->stall_msec ? run->o->stall_msec : STALL_MSEC;
}

/* 1 if the reader is there and does not read: its disk hangs, or somebody stopped it. */
static int is_stalled(const struct run *run)
{
	return !run->reader.read && since(run->t_done) > stall_msec(run) * INT64_C(1000);
}

/* The reader was killed, or is now: the pipe is read here, so that the guest goes on. */
static int read_on(struct run *run, struct err *reterr)
{
	_cleanup_(hv_bg_status_done) struct hv_bg_status status = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	if (!run->reader.ended) {
		log_warning("vmsnap-capture does not read the memory of the domain \"%s\"; it is ended",
			    run->guest.bg->name);
		background_reader_kill(run->spec.dir);
	}
	run->unknown = background_drain(&run->guest, run->spec.dir, &status, &err) < 0;
	if (run->unknown)
		log_err(LOG_LEVEL_WARNING, &err, "domain \"%s\"", run->guest.bg->name);
	return err_full(reterr, ERR_FAILED, -EPIPE, run->guest.bg->name, NULL, "Take the snapshot again",
			"vmsnap-capture was ended before it had read the memory of \"%s\"", run->guest.bg->name);
}

/* Until QEMU is done with it. */
static int follow(struct run *run, struct err *reterr)
{
	int completed = 0, r;

	/* The first answer comes when the guest is about to run; questions before it would only be in
	 * the way, QEMU answers them under the same lock. */
	background_reader_listen(&run->reader, FIRST_MSEC);
	for (int i = 0; (r = look(run, &completed, reterr)) > 0; i++) {
		/* that one that has come to the end is gone is no news; QEMU's word about it may follow */
		if ((run->reader.ended && !run->reader.read) || is_stalled(run))
			return read_on(run, reterr);
		background_reader_listen(&run->reader, i < QUICK_STEPS ? 1 : 10);
	}
	return r;
}

/* The reader could not even say what became of it: it was killed, or found no room for that. */
static int fail_without_result(const struct run *run, struct err *reterr)
{
	int64_t room = INT64_MAX;

	if (disk_free(run->spec.dir, &room, NULL) < 0 || room >= RESULT_ROOM)
		return err_full(reterr, ERR_FAILED, -EPIPE, run->guest.bg->name, run->spec.dir, "Take the snapshot again",
				"vmsnap-capture ended without a word about the memory of \"%s\"", run->guest.bg->name);
	return err_full(reterr, ERR_FAILED, -ENOSPC, run->guest.bg->name, run->spec.dir,
			"Make room and take the snapshot again", "there is no space left in '%s' for the memory of \"%s\"",
			run->spec.dir, run->guest.bg->name);
}

/* The reader's own end: it writes and syncs what it has. */
static int take_result(struct run *run, struct err *reterr)
{
	struct capture_result *image = &run->result->image;
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	while (!run->reader.ended)
		background_reader_listen(&run->reader, 1000);
	r = capture_result_read(run->spec.dir, image, &err);
	if (r < 0)
		return r == -ENOENT ? fail_without_result(run, reterr) : err_move(reterr, &err);
	if (image->outcome == CAPTURE_FAILED)
		return err_move(reterr, &image->err);
	return image->outcome == CAPTURE_WHOLE ? 0 : err_set(reterr, ERR_FAILED, -EIO,
							     "vmsnap-capture kept nothing of the memory");
}

/* libvirt is lost, QEMU goes on. Until it has closed the pipe somebody reads, and its write
 * protection is no leftover: lifted, the memory would be of many instants. */
static void await_end(struct run *run, const struct background_standby *standby)
{
	while (!run->reader.read && !(standby ? background_standby_saw_end(standby) : run->reader.ended))
		background_reader_listen(&run->reader, 10);
}

/* QEMU has switched the disks; if libvirt could not finish, the snapshot does not count. */
static int end_switch(struct run *run, int r, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int r2 = background_switch_end(run->disks, &err);

	if (r2 < 0) {
		run->result->switched = 0;
		err_done(reterr);
		r = err_move(reterr, &err);
	}
	background_switch_free(TAKE_PTR(run->disks));
	return r;
}

/* Returns 0 or why there is no save state; the guest runs in either case. */
static int after_the_word(struct run *run, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct background_standby *standby = background_standby_start(run->spec.dir, STANDBY_ALONE, stall_msec(run));
	int r = follow(run, reterr), r2;

	r = end_switch(run, r, reterr);

	if (run->unknown)
		await_end(run, standby);
	r2 = background_mend(&run->guest, 1, NULL, &err);
	background_standby_stop(standby);
	if (!run->t_resumed && r2 == 0)
		note_resumed(run);
	if (r2 < 0 && r >= 0)
		r = err_move(reterr, &err);
	else if (r2 < 0)
		log_err(LOG_LEVEL_WARNING, &err, "domain \"%s\"", run->guest.bg->name);
	return r < 0 ? r : take_result(run, reterr);
}

/* ---- the whole */

static void remove_file(const char *path, const char *suffix)
{
	_cleanup_free_ char *name = xasprintf("%s%s", path, suffix);
	_cleanup_err_ struct err err = ERR_INIT;

	if (file_remove(name, &err) < 0)
		log_err(LOG_LEVEL_WARNING, &err, "after a capture");
}

/* Nothing of it stays. */
static void remove_image(struct run *run)
{
	static const char *const suffixes[] = { "", ".tmp" };

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		remove_file(run->spec.vsv, suffixes[i]);
		remove_file(run->spec.bin, suffixes[i]);
	}
}

static int prepare(struct run *run, char **ret_xml, struct err *reterr)
{
	int r = background_check(&run->guest, reterr);

	run->touched = r == 0;
	run->hold = !run->o->plain && run->guest.bg->pid > 0 && run->guest.bg->version >= HOLD_SINCE &&
		    run->guest.bg->version < HOLD_UNTIL;
	if (!r)
		r = background_prepare_files(run->o->hv, run->o->vm, run->o->dir, &run->o->image, run->o->force,
					     ret_xml, reterr);
	if (!r)
		r = background_pipe_make(run->o->dir, run->hold, &run->pipe, reterr);
	return r;
}

static int capture(struct run *run, struct err *reterr)
{
	_cleanup_free_ char *xml = NULL;
	int r = prepare(run, &xml, reterr);

	if (r < 0)
		return r;
	run->spec = run->o->image;
	run->spec.dir = run->o->dir;
	run->spec.xml_file = xml;
	run->spec.was_running = 1;
	run->spec.prefill = run->pipe.prefill;
	r = up_to_the_word(run, reterr);
	if (r < 0)
		take_back(run);
	else
		r = after_the_word(run, reterr);
	background_reader_done(&run->reader);
	if (r < 0)
		remove_image(run);
	return r;
}

/* The result stays after a success: a daemon that dies now finds it. */
static void tidy(const struct run *run, int failed)
{
	_cleanup_free_ char *pipe = path_join(run->o->dir, CAPTURE_PIPE), *xml = path_join(run->o->dir, CAPTURE_XML);
	_cleanup_err_ struct err err = ERR_INIT;

	if (failed) {
		if (background_forget(run->o->dir, &err) < 0)
			log_err(LOG_LEVEL_WARNING, &err, "after a capture");
		return;
	}
	remove_file(pipe, "");
	remove_file(xml, "");
}

int background_capture(const struct background_opts *opts, struct background_result *ret_result, struct err *reterr)
{
	_cleanup_(background_close) struct background_guest guest = { 0 };
	struct run run = { .o = opts, .pipe = BACKGROUND_PIPE_INIT, .reader = BACKGROUND_READER_INIT,
			   .result = ret_result };
	int64_t start = time_mono_usec();
	int r;

	*ret_result = (struct background_result){
		.times = { -1, -1, -1, -1, -1, -1, -1, -1, -1, -1 },
	};
	r = background_open(opts->hv, opts->vm, &guest, reterr);
	if (r < 0)
		return r;
	r = capture_is_running(opts->dir);
	if (r != 0)
		return r < 0 ? err_file(reterr, r, opts->dir, "cannot look into '%s'", opts->dir)
			     : err_full(reterr, ERR_BUSY, -EBUSY, guest.bg->name, opts->dir, NULL,
					"a vmsnap-capture still works in '%s'", opts->dir);
	run.guest = guest;
	r = capture(&run, reterr);
	background_pipe_done(&run.pipe);
	if (run.touched)
		tidy(&run, r < 0);
	ret_result->times.total = since(start);
	if (r < 0 && reterr)
		err_set_vm(reterr, guest.bg->name);
	return r;
}

void background_result_done(struct background_result *result)
{
	capture_result_done(&result->image);
}
