/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmsnap-capture: the process that reads QEMU's stream of a background capture, splits
 * it and writes the save state, and nothing else, so that neither a killed nor a slow
 * daemon can keep the guest's memory waiting. What it is told, what it answers, and
 * what it leaves behind.
 *
 * It is started in a session of its own with these descriptors:
 *
 *   0  control: CAPTURE_GO lets it read the pipe; the end of file without it (the daemon
 *      died, or gives up) makes it read all and keep nothing. It does not read the pipe
 *      before one of both.
 *   1  answers: a CAPTURE_SAY_* byte each; the end of file comes when it has ended.
 *   3  the pipe. The first `prefill` bytes are skipped (they must be CAPTURE_FILL); it is
 *      read to its end whatever happens: an error only ends the keeping.
 *   4  the lock file in its directory, locked (flock) by who started it; the lock goes
 *      with the process, so that a restarted daemon can tell whether it still runs.
 *
 * At its end it puts its result into the directory, whole or not at all. A result file,
 * little-endian: "VSCAPRES", u32 version (1), u32 flags (CAPTURE_F_*), u32 outcome, u32
 * form, i32 error code, u32 error kind, u64 bytes of the stream, u64 pages by state (4), u64
 * size of .bin, u64 size and u64 checksum of .vsv, GUID and GUID of the parent (36
 * characters each; NULs: none), then four texts (u16 length, bytes): what was not understood,
 * error message, hint, file; and nothing after them. */
#ifndef SAVESTATE_CAPTURE_H
#define SAVESTATE_CAPTURE_H

#include "savestate/split.h"

/* Names in its directory. */
#define CAPTURE_PIPE "capture.fifo"
#define CAPTURE_LOCK "capture.lock"
#define CAPTURE_RESULT "capture.result"
#define CAPTURE_XML "capture.xml"

#define CAPTURE_PIPE_FD 3
#define CAPTURE_LOCK_FD 4

#define CAPTURE_FILL 0xa5 /* what the pipe is filled with before QEMU may write */
#define CAPTURE_GO 'g'

#define CAPTURE_SAY_READY 'r'   /* it has opened its files and waits for the word */
#define CAPTURE_SAY_FLOWING 'f' /* memory is arriving: QEMU has write-protected all of it */
#define CAPTURE_SAY_READ 'e'    /* the stream has ended; what follows is our disk's affair */

#define CAPTURE_MAX_REPLACE 8
#define CAPTURE_RESULT_MAX 16384 /* bytes of a result file */

/* A RAM block whose content is to come from a file (split_replace()). */
struct capture_replace {
	const char *block, *file;
};

/* What to do; all *borrowed*. */
struct capture_spec {
	const char *dir;      /* for the result */
	const char *vsv, *bin;
	struct guid guid;
	const char *xml_file; /* the domain's document */
	int was_running;
	const struct save_files *parents; /* as in split_opts */
	size_t n_parents;
	uint64_t prefill;     /* bytes to skip */
	uint64_t max_ram;     /* as in split_opts */
	const struct capture_replace *replace; /* after the stream */
	size_t n_replace;
};

/* The program's arguments for spec, an *owned* list. */
char **capture_argv(const char *program, const struct capture_spec *spec);

/* A spec as it was read from arguments; ->spec is *borrowed* from it and from them. */
struct capture_args {
	struct capture_spec spec;
	struct save_files parents[VSV_MAX_CHAIN];
	struct capture_replace replace[CAPTURE_MAX_REPLACE];
};

/* Reads them (cutting some of them up). Returns 0, or -EINVAL. */
_must_check_ int capture_parse_args(int argc, char **argv, struct capture_args *ret_args, struct err *reterr);

enum capture_outcome {
	CAPTURE_WHOLE,   /* both files have their names and are durable */
	CAPTURE_DROPPED, /* it was not to keep anything */
	CAPTURE_FAILED,  /* nothing was kept; `err` says why */
	CAPTURE_N_OUTCOMES
};

/* What became of it; emptied by capture_result_done(). */
struct capture_result {
	enum capture_outcome outcome;
	int ended; /* the stream ended as QEMU ends one, with its own description of the devices */
	struct guid guid;
	struct split_result split; /* if it is whole */
	struct err err;
};

/* Flags of a result file. */
enum { CAPTURE_F_ENDED = 1, CAPTURE_F_ALL = 1 };

/* Runs the process's work with the descriptors above. The result is in the directory when
 * it returns. Returns 0, or negative errno if even that could not be written. */
_must_check_ int capture_run(const struct capture_spec *spec, struct err *reterr);

/* Puts a result into dir. Returns 0 or negative errno. */
_must_check_ int capture_result_write(const char *dir, const struct capture_result *result, struct err *reterr);

/* Reads a result from the bytes of a file. Returns 0 or negative errno (ERR_BAD_DATA). */
_must_check_ int capture_result_decode(const void *data, size_t len, struct capture_result *ret_result,
				       struct err *reterr);

/* Reads the result in dir. Returns 0 or negative errno (-ENOENT: there is none). */
_must_check_ int capture_result_read(const char *dir, struct capture_result *ret_result, struct err *reterr);

/* Empties it. */
void capture_result_done(struct capture_result *result);

/* Takes the lock for a process to be started; ret_fd *owned*, to be handed to it. Returns
 * 0 or negative errno (-EBUSY: one runs in that directory). */
_must_check_ int capture_lock(const char *dir, int *ret_fd, struct err *reterr);

/* 1 while a process (or who is about to start one) holds the lock in dir, 0 if none does,
 * negative errno if that cannot be told. */
_must_check_ int capture_is_running(const char *dir);

#endif
