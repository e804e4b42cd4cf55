/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmsnap-capture: reads the memory of one guest and writes its save state, or guards a pipe
 * of the daemon's. Started by vmsnapd alone; see capture.h and guard.h. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "savestate/capture.h"
#include "savestate/guard.h"

/* Ending at a signal would leave the guest waiting; a full disk or a size limit is told by
 * the failing call. It ends by itself with the stream. */
static void ignore_signals(void)
{
	static const int signals[] = { SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], SIG_IGN);
}

int main(int argc, char **argv)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int guard = argc == 2 && strcmp(argv[1], GUARD_ARGUMENT) == 0;
	struct capture_args args;
	int r = guard ? 0 : capture_parse_args(argc, argv, &args, &err);

	if (r < 0) {
		fprintf(stderr, "vmsnap-capture: %s\n", err.message);
		return 2;
	}
	ignore_signals();
	umask(077);
	r = guard ? guard_run(&err) : capture_run(&args.spec, &err);
	if (r < 0)
		fprintf(stderr, "vmsnap-capture: %s\n", err.message);
	return r < 0 ? 1 : 0;
}
