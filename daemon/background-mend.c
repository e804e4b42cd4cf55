/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a background capture ends, whatever became of it, and what is done about one whose
 * daemon died. */
#define _GNU_SOURCE
#include <string.h>
#include <time.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/background-priv.h"
#include "daemon/background-qemu.h"
#include "daemon/background-standby.h"
#include "daemon/smaps.h"
#include "daemon/unfreeze.h"

#define STEP_MSEC 5
#define RESUME_USEC (INT64_C(10) * 1000000)
#define READER_USEC (INT64_C(600) * 1000000) /* once QEMU has nothing to do with it any more */
#define STALL_MSEC 15000                     /* a reader that reads nothing; the guest waits for it */
#define DRAIN_MSEC 20                        /* between two looks at QEMU */

void background_wait(int msec)
{
	struct timespec ts = { .tv_sec = msec / 1000, .tv_nsec = msec % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

int background_is_under_way(const struct hv_bg_status *status)
{
	return status->state == HV_BG_SETUP || status->state == HV_BG_ACTIVE;
}

/* ---- reading it ourselves */

int background_drain(const struct background_guest *guest, const char *dir, struct hv_bg_status *ret_status,
		     struct err *reterr)
{
	struct background_standby *standby = background_standby_start(dir, STANDBY_ALWAYS, 0);
	struct hv_bg_status status = { 0 };
	int r;

	/* QEMU, asked too often, has no time to write */
	while ((r = guest->ops->status(guest->bg, &status, reterr)) == 0 && background_is_under_way(&status)) {
		hv_bg_status_done(&status);
		background_wait(DRAIN_MSEC);
	}
	background_standby_stop(standby);
	if (r == 0)
		*ret_status = status;
	return r;
}

/* ---- the guest */

int background_resume(const struct background_guest *guest, struct err *reterr)
{
	int64_t until = time_mono_usec() + RESUME_USEC;

	for (;;) {
		_cleanup_(hv_bg_status_done) struct hv_bg_status status = { 0 };
		_cleanup_err_ struct err err = ERR_INIT;
		int r = guest->ops->status(guest->bg, &status, reterr);

		if (r < 0 || status.guest_runs)
			return r;
		r = hv_resume(guest->hv, guest->vm, &err);
		if (time_mono_usec() > until)
			return r < 0 ? err_move(reterr, &err)
				     : err_set(reterr, ERR_BACKEND, -ETIMEDOUT,
					       "the guest of the domain \"%s\" does not go on", guest->bg->name);
		background_wait(STEP_MSEC); /* libvirt may not have heard of the stop yet */
	}
}

/* Keeps the first failure. */
static void keep(int r, int *first, struct err *err, struct err *reterr)
{
	if (r < 0 && *first == 0) {
		*first = r;
		ignore_result(err_move(reterr, err));
	}
	err_done(err);
}

int background_mend(const struct background_guest *guest, int resume, int *ret_unfrozen, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int unfrozen = guest->bg->pid > 0 ? unfreeze(guest->bg->pid, &err) : 0, first = 0;

	if (unfrozen > 0)
		log_warning("QEMU left memory of the domain \"%s\" write-protected; lifted", guest->bg->name);
	if (ret_unfrozen)
		*ret_unfrozen = unfrozen > 0 ? unfrozen : 0;
	keep(unfrozen, &first, &err, reterr);
	keep(guest->ops->disarm(guest->bg, &err), &first, &err, reterr);
	if (resume)
		keep(background_resume(guest, &err), &first, &err, reterr);
	return first;
}

/* ---- after a death */

void background_found_done(struct background_found *found)
{
	capture_result_done(&found->image);
}

/* Lets the migration come to its end, whoever reads it. One who does not is ended. */
static int outlast(const struct background_guest *guest, const char *dir, struct hv_bg_status *status,
		   struct err *reterr)
{
	int64_t done = -1, changed = 0;

	while (background_is_under_way(status)) {
		int r;

		if (status->done != done) {
			done = status->done;
			changed = time_mono_usec();
		}
		if (status->state == HV_BG_ACTIVE && time_mono_usec() - changed > STALL_MSEC * INT64_C(1000))
			background_reader_kill(dir);
		hv_bg_status_done(status);
		if (capture_is_running(dir) != 1)
			return background_drain(guest, dir, status, reterr);
		background_wait(STEP_MSEC);
		r = guest->ops->status(guest->bg, status, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

/* 1 if there is anything of a capture's to be taken back. A migration under way without
 * our capability is somebody else's. */
static int is_ours(const struct background_guest *guest, const char *dir, const struct hv_bg_status *status,
		   struct err *reterr)
{
	_cleanup_free_ char *path = path_join(dir, CAPTURE_PIPE);
	int r = guest->ops->is_armed(guest->bg, reterr);

	if (r != 0 || background_is_under_way(status))
		return r;
	if (path_exists(path) == 1)
		return 1;
	return guest->bg->pid > 0 ? smaps_write_protected(guest->bg->pid, reterr) > 0 : 0;
}

static int mend_guest(const struct background_guest *guest, const char *dir, int resume,
		      struct background_found *found, int *ret_completed, struct err *reterr)
{
	_cleanup_(hv_bg_status_done) struct hv_bg_status status = { 0 };
	int r = 0;

	if (guest->bg->pid > 0) /* first of all: QEMU cannot even be given a descriptor */
		r = background_allow_files(guest->bg->pid, 0, reterr);
	if (!r)
		r = guest->ops->status(guest->bg, &status, reterr);
	if (!r)
		r = is_ours(guest, dir, &status, reterr);
	if (r < 0)
		return r;
	if (r == 0)
		return resume && !background_is_under_way(&status) ? background_resume(guest, reterr) : 0;
	found->under_way = background_is_under_way(&status);
	r = outlast(guest, dir, &status, reterr);
	if (r < 0)
		return r;
	*ret_completed = status.state == HV_BG_COMPLETED;
	return background_mend(guest, resume, &found->unfrozen, reterr);
}

static int settle_guest(struct hv *hv, const struct guid *vm, const char *dir, int resume,
			struct background_found *found, int *ret_completed, struct err *reterr)
{
	_cleanup_(background_close) struct background_guest guest = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int r = background_open(hv, vm, &guest, &err);

	if (r == 0)
		return mend_guest(&guest, dir, resume, found, ret_completed, reterr);
	if (r == -ESRCH || r == -ENOENT || r == -EOPNOTSUPP)
		return 0; /* no guest, or none that was ever captured so */
	return err_move(reterr, &err);
}

/* Its pipe has ended; what it still does is writing and syncing. */
static int await_reader(const char *dir, struct err *reterr)
{
	int64_t until = time_mono_usec() + READER_USEC;
	int r;

	while ((r = capture_is_running(dir)) == 1) {
		if (time_mono_usec() > until)
			return err_full(reterr, ERR_BUSY, -ETIMEDOUT, NULL, dir, "Look what holds up that disk",
					"vmsnap-capture does not end its work in '%s'", dir);
		background_wait(STEP_MSEC);
	}
	return r < 0 ? err_file(reterr, r, dir, "cannot see whether a vmsnap-capture works in '%s'", dir) : 0;
}

/* What the reader left. One that was killed while it wrote left none. */
static int take_result(const char *dir, int completed, struct background_found *found, struct err *reterr)
{
	static const char *const done_with[] = { CAPTURE_PIPE, CAPTURE_XML };
	_cleanup_err_ struct err err = ERR_INIT;
	int r = capture_result_read(dir, &found->image, &err);

	if (r < 0 && r != -ENOENT)
		return err_move(reterr, &err);
	found->whole = r == 0 && found->image.outcome == CAPTURE_WHOLE && (found->image.ended || completed);
	r = 0;
	for (size_t i = 0; !r && i < ARRAY_SIZE(done_with); i++) {
		_cleanup_free_ char *path = path_join(dir, done_with[i]);

		if (path_exists(path) != 0)
			r = file_remove(path, reterr);
	}
	return r;
}

int background_put_right(struct hv *hv, const struct guid *vm, const char *dir, int resume,
			 struct background_found *ret_found, struct err *reterr)
{
	_cleanup_(background_found_done) struct background_found found = { 0 };
	/* before anything is asked of QEMU, which may not be able to answer */
	struct background_standby *standby = background_standby_start(dir, STANDBY_ALONE, STALL_MSEC);
	int completed = 0, r = settle_guest(hv, vm, dir, resume, &found, &completed, reterr);

	background_standby_stop(standby);
	if (!r)
		r = await_reader(dir, reterr);
	if (!r)
		r = take_result(dir, completed, &found, reterr);
	if (r < 0)
		return r;
	*ret_found = found;
	found = (struct background_found){ 0 };
	return 0;
}
