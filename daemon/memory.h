/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Save states of a VM: watching one being taken, describing it in a document,
 * checking it, and feeding it back. One of ours is a pair of files, .vsv and .bin;
 * one that libvirt wrote as one file (the opaque form) is taken as well. */
#ifndef DAEMON_MEMORY_H
#define DAEMON_MEMORY_H

#include "daemon/converge.h"
#include "daemon/job.h"
#include "daemon/machine.h"
#include "daemon/memory-sink.h"

struct memory_watch;

/* Watches the domain's job from a thread of its own while the caller blocks in
 * libvirt: reports progress to job, aborts when job is cancelled or sink (*borrowed*,
 * may be NULL) has failed, and does what converge (*borrowed*; NULL: nothing) says about a
 * guest that changes its memory faster than it is written; one that it suspends is
 * resumed by libvirt at the end. *Owned*. */
struct memory_watch *memory_watch_start(struct machine *m, struct job *job, struct memory_sink *sink,
					struct converge *converge);

/* Ends watching (*taken*); what was done about the guest stands in converge. */
void memory_watch_stop(struct memory_watch *w);

/* What a new save state of the VM may be a difference of: the save state of the
 * snapshot that *now* derives from, where it has one and the chain does not get too
 * long by it, else nothing. ret_parents is emptied by savestate_chain_done(). */
void memory_parents(const struct machine *m, struct savestate_chain *ret_parents);

/* Writes into cfg's state what is at path (without ending): path.vsv and, if there is
 * one, path.bin, which are whole. Returns 0 or negative errno. */
_must_check_ int memory_describe(const struct machine *m, const char *path, struct config *cfg, struct err *reterr);

/* 1 if there is a whole save state at path (without ending), else 0. */
int memory_is_whole(const char *path);

/* Removes what is at path (without ending), half-written files too. Returns 0 or
 * negative errno. */
_must_check_ int memory_remove(const char *path, struct err *reterr);

/* Gives the save state of cfg a second name: to (without ending), for another document;
 * neither is ever written again. Returns 0 or negative errno. */
_must_check_ int memory_link(const struct machine *m, const struct config *cfg, const char *to, struct err *reterr);

/* Checks that cfg's .vsv is the one that was recorded, which is quick. Where the memory is
 * loaded into nothing but itself that is enough: what is damaged in the rest is found
 * on the way, before the guest gets the last of it. Returns 0 or negative errno
 * (ERR_DRIFT; file named). */
_must_check_ int memory_check(const struct machine *m, const struct config *cfg, struct job *job, struct err *reterr);

/* As memory_check(), and reads all of the save state, and of those it builds on, against
 * their own checksums: before something is given up for it. Returns 0 or negative errno (ERR_DRIFT, ERR_BAD_DATA;
 * file named). */
_must_check_ int memory_verify(const struct machine *m, const struct config *cfg, struct job *job, struct err *reterr);

/* Starts the domain from the save state of state (a snapshot's, or cfg itself) with
 * cfg's disks: through a FIFO in the VM's state directory. Returns 0 or negative errno. */
_must_check_ int memory_restore(struct machine *m, const struct config *cfg, const struct config *state,
				struct job *job, struct err *reterr);

/* Removes the pipes that a killed daemon leaves. Returns 0 or negative errno. */
_must_check_ int memory_drop_pipe(const struct machine *m, struct err *reterr);

/* Guest memory in bytes by the configuration's domain document; 0 unknown. */
int64_t memory_size(const struct config *cfg);

#endif
