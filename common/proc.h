/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs a program to its end in the calling (worker) thread. No shell. */
#ifndef COMMON_PROC_H
#define COMMON_PROC_H

#include "common/cleanup.h"
#include "common/err.h"

/* Called about ten times a second while a program runs, with the program's
 * standard output so far (*borrowed*). A return other than 0 ends the program
 * (SIGTERM) and becomes -ECANCELED. */
typedef int (*proc_poll_fn)(void *arg, const char *output);

/* How to run a program; all *borrowed*. */
struct proc_opts {
	const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
	const char *cwd;         /* NULL: the caller's */
	proc_poll_fn poll;       /* may be NULL */
	void *poll_arg;
	int *ret_status;         /* may be NULL; else gets the exit status, and one other than 0 is no error */
};

/* Runs it with standard input from /dev/null, umask 077, signals at their
 * defaults, only 0-2 open, and waits by pid. ret_output (*owned*, may be NULL)
 * gets its standard output (at most 1 MiB are kept). A program that exits other
 * than 0 is an error with the end of its standard error in the message. Returns
 * 0 or negative errno (-ENOENT: program missing, the hint names it; -ECANCELED).
 * The kernel kills the program if the calling thread dies. */
_must_check_ int proc_run(const struct proc_opts *opts, char **ret_output, struct err *reterr);

#endif
