/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way of a guest's memory from libvirt into the two files of a save state: a
 * pipe with a name, and a thread that reads and splits what libvirt writes into it.
 * The thread reads until it is told that libvirt is done, whatever goes wrong: a
 * libvirt that finds nobody at the pipe waits in open() and holds a lock that every
 * other caller needs. */
#ifndef DAEMON_MEMORY_SINK_H
#define DAEMON_MEMORY_SINK_H

#include "daemon/job.h"
#include "daemon/machine.h"
#include "daemon/savestates.h"

struct memory_sink;

/* What to make; *borrowed* during the call, but for arg. */
struct memory_sink_opts {
	const char *path;                      /* without its ending: ".vsv" and ".bin" are added */
	struct guid guid;                      /* the save state's */
	const struct savestate_chain *parents; /* what it may build on; may be NULL */
	/* May be NULL: called once, in another thread, while a guest that ran stands still at
	 * the end of the stream, and libvirt cannot go on. Returns 0 or negative errno. */
	int (*in_pause)(void *arg, struct err *reterr);
	void *arg;
};

/* Makes the pipe in the VM's state directory and begins to read. ret_sink *owned*. Returns 0
 * or negative errno. */
_must_check_ int memory_sink_open(const struct machine *m, const struct memory_sink_opts *opts,
				  struct memory_sink **ret_sink, struct err *reterr);

/* Where libvirt is to write; *borrowed* as long as the sink. */
const char *memory_sink_path(const struct memory_sink *sink);

/* 1 if something went wrong with the files: what comes is thrown away, and the one who
 * waits for libvirt should make it stop. */
int memory_sink_failed(struct memory_sink *sink);

/* The stream is not wanted any more: libvirt's writing fails from now on, whatever it is at.
 * (QEMU hears of nothing else while it sends the last of the memory, which for a guest that
 * stands still is all of it.) */
void memory_sink_break(struct memory_sink *sink);

/* libvirt's call has returned: takes what is still in the pipe, ends the thread and
 * removes the pipe. Returns 0, or what went wrong since memory_sink_open(). */
_must_check_ int memory_sink_drain(struct memory_sink *sink, struct err *reterr);

/* After memory_sink_drain(): as split_replace(). */
_must_check_ int memory_sink_replace(struct memory_sink *sink, const char *block, const char *path,
				     struct err *reterr);

/* After memory_sink_drain(): makes the files whole and durable under their names;
 * job hears of a stream that could not be split. Returns 0 or negative errno. */
_must_check_ int memory_sink_finish(struct memory_sink *sink, struct job *job, struct err *reterr);

/* Ends and frees it (*taken*, may be NULL); files that are not finished are removed. */
void memory_sink_free(struct memory_sink *sink);
DEFINE_CLEANUP(struct memory_sink, memory_sink_free);
#define _cleanup_memory_sink_ _cleanup_(memory_sink_freep)

/* Reads, until it is removed, from a pipe that a killed daemon left in the VM
 * directory: a libvirt that outlived it may wait there. Needs nothing of libvirt, and
 * comes before everything that does. */
void memory_sink_release(const struct vmdir *dir);

/* Removes such a pipe. Returns 0 or negative errno. */
_must_check_ int memory_sink_remove(const struct vmdir *dir, struct err *reterr);

#endif
