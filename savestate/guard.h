/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmsnap-capture as the guard of a pipe between libvirt and the daemon. It is started in
 * a session of its own, with GUARD_ARGUMENT alone and these descriptors:
 *
 *   0  control: GUARD_DONE ends it; the end of file without it says that the daemon died.
 *   3  the pipe, held by O_PATH only: as long as the daemon lives it neither reads nor
 *      writes nor counts as an end of it.
 *
 * When the daemon has died nobody is at the other end any more. A libvirt that writes or
 * reads notices by itself (EPIPE, end of file); one that is about to open the pipe would
 * wait for ever, with locks held. The guard lets every such open() return, and is gone from
 * the pipe at once, so that libvirt's next write fails and its next read finds the end: it
 * gives up and lets the guest go on. That is done again and again until the pipe has lost
 * its name, by the daemon's next start: libvirt opens it more than once. */
#ifndef SAVESTATE_GUARD_H
#define SAVESTATE_GUARD_H

#include "common/err.h"

#define GUARD_ARGUMENT "--guard"
#define GUARD_PIPE_FD 3
#define GUARD_DONE 'd'

/* Runs it with the descriptors above. Returns 0 or negative errno. */
_must_check_ int guard_run(struct err *reterr);

#endif
