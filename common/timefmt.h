/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instants: microseconds since 1970 UTC everywhere inside; text only at the edges. */
#ifndef COMMON_TIMEFMT_H
#define COMMON_TIMEFMT_H

#include <stdint.h>

#include "common/cleanup.h"

/* The present instant, us since 1970 UTC. */
int64_t time_now_usec(void);

/* Monotonic clock, us; for durations only. */
int64_t time_mono_usec(void);

/* "2026-11-21 09:12" in local time. Returns it *owned*. */
char *time_short(int64_t usec);

/* "2026-11-21T09:12:33+01:00" in local time. Returns it *owned*. */
char *time_iso(int64_t usec);

/* "412 MiB", "1.2 GiB", "0 B": at most three digits. Returns it *owned*. */
char *bytes_human(int64_t bytes);

/* "512M", "2G", "1.5T", "4096" (powers of 1024, optional iB or B). Returns 0
 * and fills ret_bytes, or -EINVAL / -ERANGE. */
_must_check_ int bytes_parse(const char *text, int64_t *ret_bytes);

#endif
