/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much free space is little: two thresholds with hysteresis. Pure. */
#ifndef DAEMON_SPACE_LEVEL_H
#define DAEMON_SPACE_LEVEL_H

#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

enum space_level { SPACE_OK, SPACE_WARNING, SPACE_CRITICAL };

/* A threshold: part of a file system, bytes, or the less of both. 0: not given; both 0: never reached. */
struct space_limit {
	int percent;
	int64_t bytes;
};

#define SPACE_LIMIT_WARNING { .percent = 10, .bytes = INT64_C(50) << 30 }
#define SPACE_LIMIT_CRITICAL { .percent = 3, .bytes = INT64_C(10) << 30 }

/* Reads "10%", "50G", "10% 50G" (the less of both) or "0" (never). Returns 0 or -EINVAL, with
 * *ret_limit as it was. */
_must_check_ int space_limit_parse(const char *text, struct space_limit *ret_limit);

/* The threshold in a file system of so many bytes. */
int64_t space_limit_bytes(const struct space_limit *limit, int64_t total);

/* The level of a file system by its thresholds in bytes (0: never). It is worse at once when less is
 * free than a threshold, and better only when an eighth more than that is free, or everything
 * is: what goes up and down a little is told once. */
enum space_level space_level(int64_t warning, int64_t critical, int64_t free, int64_t total, enum space_level before);

/* 1 if it may not take long to the next threshold: it is worth looking more often. */
int space_is_near(int64_t warning, int64_t critical, int64_t free, enum space_level level);

/* "ok", "warning", "critical" (*borrowed*). */
const char *space_level_word(enum space_level level);

#endif
