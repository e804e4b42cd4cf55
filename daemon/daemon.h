/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every room of the daemon may use: one value, made by main.c. */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <stdint.h>

struct catalog;
struct hv;
struct jobs;
struct options;
struct worker_pool;

struct daemon {
	const struct options *options;
	struct hv *hv;
	struct catalog *catalog;
	struct jobs *jobs;
	struct worker_pool *quick; /* short blocking work: look-ups for methods */
	int64_t started_usec;
};

#endif
