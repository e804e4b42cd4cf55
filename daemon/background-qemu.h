/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QEMU's process as a background capture looks at it and holds it, beside its monitor. */
#ifndef DAEMON_BACKGROUND_QEMU_H
#define DAEMON_BACKGROUND_QEMU_H

#include <sys/types.h>

#include "common/cleanup.h"
#include "common/err.h"

/* 1 if its thread of a background migration waits in a write to a pipe, else 0 (also if
 * that cannot be told). */
int background_is_held(pid_t pid);

/* Lets the process open no more descriptors, so that a migration that is let go fails before
 * it write-protects anything; gives the limit that was. Returns 0 or negative errno. */
_must_check_ int background_forbid_files(pid_t pid, unsigned long *ret_limit, struct err *reterr);

/* The limit as it was; 0: as high as it may be, if a dead daemon left it forbidden. Returns 0 or negative errno. */
_must_check_ int background_allow_files(pid_t pid, unsigned long limit, struct err *reterr);

#endif
