/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's options: defaults, configuration file, command line, in that order. */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include "common/cleanup.h"
#include "common/err.h"
#include "daemon/space-level.h"

#define OPTIONS_MAX_PAUSE 3600000 /* ms: nobody waits longer than an hour */

/* Strings *owned*. */
struct options {
	char *config_file; /* NULL: the default, which may be missing */
	char *uri, *store, *socket;
	int pack_after;    /* days after which the memory of a snapshot is packed; 0: never */
	int workers;       /* jobs that run at once */
	int max_pause;     /* ms that a live capture may have the guest stand still; 0: as long as it takes */
	int max_connections, max_connections_per_user, max_jobs;
	char *observer_group, *operator_group, *admin_group; /* NULL: none */
	int max_chain;       /* images of a disk before some are merged; 0: no limit of ours */
	int merge_bandwidth; /* KiB in a second for one merge; 0: no limit */
	struct space_limit space_warning, space_critical; /* free space that is little */
	int verbose;
	int show_help, show_version, list_steps;
};

/* Reads argv and the configuration file. Returns 0, -EINVAL (usage), or another
 * negative errno. ret_opts is emptied by options_done(). */
_must_check_ int options_load(int argc, char **argv, struct options *ret_opts, struct err *reterr);

/* Empties it. */
void options_done(struct options *opts);

/* Text of --help (static, *borrowed*). */
const char *options_help(void);

#endif
