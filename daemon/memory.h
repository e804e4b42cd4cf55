/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Save states in the opaque form: libvirt's image as one .vsv. Watching it being
 * written, making it durable, checking it, and feeding it back. */
#ifndef DAEMON_MEMORY_H
#define DAEMON_MEMORY_H

#include "daemon/job.h"
#include "daemon/machine.h"

struct memory_watch;

/* Watches the domain's job from a thread of its own while the caller blocks in
 * libvirt: reports progress to job, aborts when job is cancelled, and, with
 * limit > 0, suspends a guest that dirties its memory faster than it is written
 * once that many bytes went out (libvirt resumes it at the end). *Owned*. */
struct memory_watch *memory_watch_start(struct machine *m, struct job *job, int64_t limit);

/* Ends watching (*taken*). Returns 1 if the guest was suspended to get to an end, else 0. */
int memory_watch_stop(struct memory_watch *w);

/* Makes a finished image durable under its final name: checks that it is whole,
 * fsyncs, checksums, renames tmp to vsv (a vsv that is there already stands), and
 * fills cfg's state. Returns 0 or negative errno (-ENODATA: not whole). */
_must_check_ int memory_keep(const struct machine *m, struct job *job, const char *tmp, const char *vsv,
			     struct config *cfg, struct err *reterr);

/* 1 if tmp or vsv is a whole image, else 0. */
int memory_is_whole(const char *tmp, const char *vsv);

/* Checks cfg's save state against its recorded size and checksum. Returns 0 or
 * negative errno (ERR_DRIFT, file named). */
_must_check_ int memory_verify(const struct machine *m, const struct config *cfg, struct job *job, struct err *reterr);

/* Starts the domain from the .vsv at path with cfg's disks: through a FIFO in the
 * VM's state directory. Returns 0 or negative errno. */
_must_check_ int memory_restore(struct machine *m, const struct config *cfg, const char *path, struct job *job,
				struct err *reterr);

/* Removes that FIFO, which a killed daemon leaves. Returns 0 or negative errno. */
_must_check_ int memory_drop_pipe(const struct machine *m, struct err *reterr);

/* Guest memory in bytes by the configuration's domain document; 0 unknown. */
int64_t memory_size(const struct config *cfg);

#endif
