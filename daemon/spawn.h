/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting a program of ours that is to outlive us: in a session of its own, with
 * signals as for a new program, and with the descriptors named and no others. */
#ifndef DAEMON_SPAWN_H
#define DAEMON_SPAWN_H

#include <sys/types.h>

#include "common/err.h"

/* A descriptor of ours and the number that the program has it under. Ours is from
 * spawn_raise_fd(), so that it can neither be one of those numbers nor be left open. */
struct spawn_fd {
	int from, to;
};

/* A second descriptor (*owned*) for what fd is, above all numbers that programs of ours
 * are given theirs under; -1 with errno. */
int spawn_raise_fd(int fd);

/* vmsnap-capture: what VMSNAP_CAPTURE names, else the installed one (*borrowed*). */
const char *spawn_capture_program(void);

/* Starts argv[0]; the n descriptors stay ours as well. When it returns the program has
 * begun. ret_pid is to be waited for. Returns 0 or negative errno. */
_must_check_ int spawn_session(char **argv, const struct spawn_fd *fds, size_t n, pid_t *ret_pid, struct err *reterr);

#endif
