/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slowness, for tests. */
#include "savestate/pace.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORD "slow:"
#define PIECES 50 /* a second */

/* Bytes a second, 0: as fast as can be. */
static size_t bytes_per_second(void)
{
	const char *fault = getenv("VMSNAPD_FAULT");
	char *file;
	size_t kib;

	if (!fault || strncmp(fault, WORD, strlen(WORD)) != 0)
		return 0;
	kib = strtoul(fault + strlen(WORD), &file, 10);
	return *file == ':' && access(file + 1, F_OK) == 0 ? kib << 10 : 0;
}

size_t pace_most(size_t len)
{
	size_t piece = bytes_per_second() / PIECES;

	return piece > 0 && piece < len ? piece : len;
}

void pace_wait(size_t n)
{
	size_t rate = bytes_per_second();

	if (rate > 0 && n > 0)
		nanosleep(&(struct timespec){ .tv_sec = (time_t)(n / rate),
					      .tv_nsec = (long)((double)(n % rate) / (double)rate * 1e9) },
			  NULL);
}
