/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of background captures share. Private to background*.c. */
#ifndef DAEMON_BACKGROUND_PRIV_H
#define DAEMON_BACKGROUND_PRIV_H

#include "daemon/background.h"
#include "daemon/hv-background.h"

/* A running guest and its hypervisor's functions. */
struct background_guest {
	struct hv *hv;
	const struct guid *vm;
	const struct hv_bg_ops *ops;
	struct hv_bg *bg; /* *owned* */
};

/* Opens it. Returns 0 or negative errno (ERR_REFUSED with the reason). */
_must_check_ int background_open(struct hv *hv, const struct guid *vm, struct background_guest *ret_guest,
				 struct err *reterr);

/* Closes it; also one that was never opened. */
void background_close(struct background_guest *guest);

/* Refuses, with the reason, a guest that cannot be captured. Returns 0 or negative errno. */
_must_check_ int background_check(const struct background_guest *guest, struct err *reterr);

/* 1 while QEMU's migration is under way. */
int background_is_under_way(const struct hv_bg_status *status);

/* Reads the pipe in dir and drops what comes, until the migration is over. Gives its last
 * status. Returns 0 or negative errno (QEMU cannot be asked). */
_must_check_ int background_drain(const struct background_guest *guest, const char *dir,
				  struct hv_bg_status *ret_status, struct err *reterr);

/* After a migration: lifts what it left write-protected (ret_unfrozen, may be NULL: how many
 * ranges), takes back what QEMU was given, and resumes the guest if asked to. All is tried;
 * returns 0 or the first negative errno. */
_must_check_ int background_mend(const struct background_guest *guest, int resume, int *ret_unfrozen,
				 struct err *reterr);

/* Resumes the guest until QEMU itself says that it runs. Returns 0 or negative errno. */
_must_check_ int background_resume(const struct background_guest *guest, struct err *reterr);

/* Waits some milliseconds. */
void background_wait(int msec);

/* ---- the reader, vmsnap-capture */

struct background_reader {
	pid_t pid;            /* 0: none, or it has been collected */
	int control, answers; /* our ends */
	int flowing, read;    /* what it has said */
	int ended;            /* it is gone */
};

#define BACKGROUND_READER_INIT { .control = -1, .answers = -1 }

/* Starts it on the pipe (*borrowed*) and waits until it is ready. Returns 0, or its own error. */
_must_check_ int background_reader_start(const char *program, const struct capture_spec *spec, int pipe_fd,
					 struct background_reader *ret_reader, struct err *reterr);

/* Tells it to keep what comes. Returns 0 or negative errno (it is gone). */
_must_check_ int background_reader_go(struct background_reader *reader, struct err *reterr);

/* Tells it to read all and keep nothing. */
void background_reader_drop(struct background_reader *reader);

/* Takes in what it says, waiting up to msec for it. */
void background_reader_listen(struct background_reader *reader, int msec);

/* The process that works in dir, whoever started it; 0: none, or it cannot be told. */
pid_t background_reader_pid(const char *dir);

/* Ends the one that works in dir, whoever started it, if there is one. Whatever it had is lost. */
void background_reader_kill(const char *dir);

/* Lets go of it; one that still runs is waited for, so the pipe must have ended. */
void background_reader_done(struct background_reader *reader);

/* ---- files */

/* The two ends of the pipe. */
struct background_pipe {
	int read_fd, write_fd;
	uint64_t prefill; /* bytes in it */
};

#define BACKGROUND_PIPE_INIT { .read_fd = -1, .write_fd = -1 }

/* Makes the pipe in dir; to hold QEMU back it is full. Returns 0 or negative errno. */
_must_check_ int background_pipe_make(const char *dir, int hold, struct background_pipe *ret_pipe, struct err *reterr);

/* Closes it. */
void background_pipe_done(struct background_pipe *pipe);

/* Writes the domain's document into dir (ret_path *owned*) and, unless `force`, sees that its
 * memory has room where the save state goes. Returns 0 or negative errno (-ENOSPC: the message has both
 * numbers). */
_must_check_ int background_prepare_files(struct hv *hv, const struct guid *vm, const char *dir,
					  const struct capture_spec *image, int force, char **ret_path,
					  struct err *reterr);

/* Bytes of the guest's memory by its document; 0 if it cannot be told. */
int64_t background_memory(struct hv *hv, const struct guid *vm);

#endif
