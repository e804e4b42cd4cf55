/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Huge pages for a guest's memory: a background capture leaves it in small ones, and to
 * write-protect those again is the longest part of the next one's pause. */
#ifndef DAEMON_COLLAPSE_H
#define DAEMON_COLLAPSE_H

#include <stdint.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "common/err.h"

#define COLLAPSE_WORTH (INT64_C(1) << 30) /* bytes of RAM from which on it pays */

/* Has the kernel make huge pages of the process's large anonymous mappings, as far as most
 * of a mapping is resident already (what is not would become so). The guest runs on.
 * Stops when poll(arg) is not 0 (may be NULL). Only while no migration is under way. Gives
 * the bytes that were collapsed. Returns 0 or negative errno (-EOPNOTSUPP: the kernel
 * cannot; -EPERM). */
_must_check_ int collapse_memory(pid_t pid, int (*poll)(void *arg), void *arg, int64_t *ret_bytes, struct err *reterr);

#endif
