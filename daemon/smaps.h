/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mappings of another process, as /proc/PID/smaps shows them. */
#ifndef DAEMON_SMAPS_H
#define DAEMON_SMAPS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "common/err.h"

struct mapping {
	uint64_t start, end;
	int writable, shared;
	int anonymous;       /* no file, nor one of the kernel's own by name ([heap], [stack]) */
	int write_protected; /* by a userfaultfd ("uw") */
	uint64_t resident;   /* bytes */
};

/* Gives all mappings as an *owned* array. Returns 0 or negative errno. */
_must_check_ int smaps_read(pid_t pid, struct mapping **ret_list, size_t *ret_n, struct err *reterr);

/* How many of them a userfaultfd write-protects, or negative errno. */
_must_check_ int smaps_write_protected(pid_t pid, struct err *reterr);

#endif
