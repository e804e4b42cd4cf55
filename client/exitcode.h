/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The exit codes of vmsnapctl and which error gives which. */
#ifndef CLIENT_EXITCODE_H
#define CLIENT_EXITCODE_H

#include "common/err.h"

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,     /* attempted and failed */
	EXIT_USAGE = 2,      /* the command line makes no sense; nothing was sent */
	EXIT_CONNECT = 3,    /* no daemon, or it went away */
	EXIT_PERMISSION = 4, /* the caller may not do this */
	EXIT_BUSY = 5,       /* trying again later makes sense */
	EXIT_CANCELLED = 6,  /* by the user */
	EXIT_REFUSED = 7,    /* nothing was changed */
	EXIT_FOUND = 8,      /* a check found something */
	EXIT_LITTLE_SPACE = 9,    /* a file system is below space-warning */
	EXIT_NO_SPACE_SOON = 10,  /* a file system is below space-critical */
};

/* The kind of error of that name ("io.vmsnap.Manager.VMBusy"); ERR_FAILED for
 * an unknown one. */
enum err_kind error_kind(const char *name);

/* The exit code for a kind of error that the daemon answered with. */
enum exit_code exit_code_of(enum err_kind kind);

#endif
