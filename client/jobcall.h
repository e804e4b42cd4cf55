/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls that start a job: progress, warnings, Ctrl-C. */
#ifndef CLIENT_JOBCALL_H
#define CLIENT_JOBCALL_H

#include <jansson.h>

#include "client/connection.h"

/* Starts the job by a method (short name, *borrowed*) with params (*taken*) and
 * waits for its end, unless --no-wait is there. The first Ctrl-C cancels the
 * job and waits on, the second leaves it running. fn prints the result (may be
 * NULL). Returns the exit code. */
int call_job(struct ctl *ctl, const char *method, json_t *params, print_fn fn);

/* Same; judge tells the exit code of a good last reply. */
int call_job_judged(struct ctl *ctl, const char *method, json_t *params, print_fn fn,
		    enum exit_code (*judge)(json_t *reply));

/* Prints the warnings of a job (*borrowed*, may be NULL) to standard error. */
void print_warnings(json_t *job);

#endif
