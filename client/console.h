/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's serial console on the user's terminal. */
#ifndef CLIENT_CONSOLE_H
#define CLIENT_CONSOLE_H

#include "common/cleanup.h"
#include "common/err.h"

/* Joins standard input and output with the terminal device at path until
 * Ctrl-], the end of input, or the end of the guest. A terminal is raw
 * meanwhile and restored on every way out. quiet leaves the greeting away.
 * Returns 0 or negative errno (ERR_REFUSED: path is no terminal device). */
_must_check_ int console_run(const char *path, int quiet, struct err *reterr);

#endif
