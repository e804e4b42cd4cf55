/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rescue of a guest whose memory QEMU (before 8.1) left write-protected when its
 * background migration failed or was cancelled: nobody answers the faults any more, and
 * each vCPU hangs at its next write. */
#ifndef DAEMON_UNFREEZE_H
#define DAEMON_UNFREEZE_H

#include <sys/types.h>

#include "common/cleanup.h"
#include "common/err.h"

/* Tries whether we may take descriptors of the process: what unfreeze() will need. Returns
 * 0 or negative errno with the reason. */
_must_check_ int unfreeze_possible(pid_t pid, struct err *reterr);

/* Takes the write protection off all memory of the process, by its own userfaultfds. Only
 * while no migration is under way. Returns how many mappings were protected (0: nothing to
 * do), or negative errno. */
_must_check_ int unfreeze(pid_t pid, struct err *reterr);

#endif
