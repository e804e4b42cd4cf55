/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Places where tests let the daemon die, fail or wait: VMSNAPD_FAULT. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "daemon/op.h"

#define HOLD_NSEC 10000000 /* between two looks at whether a test lets us go on */

/* The fault that a test asked for: WHAT:STEP, WHAT:STEP@TURN (only the so-manieth time) or WHAT:STEP:FILE. */
struct fault {
	char *what, *step, *file; /* file NULL: none */
	int turn;                 /* 0: each time */
};

static void fault_done(struct fault *fault)
{
	free(fault->what);
	free(fault->step);
	free(fault->file);
}

static int fault_read(struct fault *ret_fault)
{
	const char *text = getenv("VMSNAPD_FAULT"), *colon = text ? strchr(text, ':') : NULL;
	char *at;

	if (!colon)
		return 0;
	ret_fault->what = xstrndup(text, (size_t)(colon - text));
	ret_fault->step = xstrndup(colon + 1, strcspn(colon + 1, ":"));
	colon = strchr(colon + 1, ':');
	ret_fault->file = colon ? xstrdup(colon + 1) : NULL;
	at = strchr(ret_fault->step, '@');
	if (at) {
		ret_fault->turn = atoi(at + 1);
		*at = '\0';
	}
	return 1;
}

/* 1 if it is the step's turn; called only where all else fits. */
static int is_turn(const struct fault *fault)
{
	static int turns;

	return __atomic_add_fetch(&turns, 1, __ATOMIC_RELAXED) == fault->turn || !fault->turn;
}

/* Stands still while the file is there. */
static void hold(const char *file, const char *where, const char *step)
{
	log_info("held %s %s", where, step);
	while (file && path_exists(file) == 1)
		nanosleep(&(struct timespec){ .tv_nsec = HOLD_NSEC }, NULL);
}

int op_fault(const struct op_kind *kind, const char *step, const char *where, struct err *reterr)
{
	_cleanup_free_ char *full = xasprintf("%s.%s", kind->name, step), *kill_here = xasprintf("kill-%s", where);
	_cleanup_free_ char *hold_here = xasprintf("hold-%s", where);
	_cleanup_(fault_done) struct fault fault = { 0 };
	int fails;

	if (!fault_read(&fault) || (strcmp(fault.step, step) != 0 && strcmp(fault.step, full) != 0))
		return 0;
	fails = strcmp(fault.what, "fail") == 0 && strcmp(where, "before") == 0;
	if (!fails && strcmp(fault.what, kill_here) != 0 && strcmp(fault.what, hold_here) != 0)
		return 0;
	if (!is_turn(&fault))
		return 0;
	if (fails)
		return err_set(reterr, ERR_FAILED, -EIO, "step '%s' was made to fail (VMSNAPD_FAULT)", full);
	if (strcmp(fault.what, kill_here) == 0)
		kill(getpid(), SIGKILL);
	hold(fault.file, where, full);
	return 0;
}
