/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every room of the daemon may use: one value, made by main.c. */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <stdint.h>

struct catalog;
struct hv;
struct jobs;
struct options;
struct space_watch;
struct worker_pool;

struct daemon {
	const struct options *options;
	struct hv *hv;
	struct catalog *catalog;
	struct jobs *jobs;
	struct worker_pool *quick; /* short blocking work: look-ups for methods */
	struct space_watch *space; /* free space; NULL: nobody watches */
	int64_t started_usec;
};

#endif
