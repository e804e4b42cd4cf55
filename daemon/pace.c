/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How fast merging is here. */
#include "daemon/pace.h"

#include <pthread.h>

#define USEC 1000000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t sum_bytes, sum_usec;

void pace_add(int64_t bytes, int64_t usec)
{
	if (bytes < PACE_WORTH || usec <= 0)
		return;
	pthread_mutex_lock(&lock);
	if (sum_bytes > INT64_MAX / 2 - bytes || sum_usec > INT64_MAX / 2 - usec)
		sum_bytes = sum_usec = 0;
	sum_bytes += bytes;
	sum_usec += usec;
	pthread_mutex_unlock(&lock);
}

int64_t pace_rate(int *ret_measured)
{
	int64_t rate = PACE_ASSUMED;
	int measured;

	pthread_mutex_lock(&lock);
	measured = sum_usec > 0;
	if (measured)
		rate = (int64_t)((double)sum_bytes / (double)sum_usec * USEC);
	pthread_mutex_unlock(&lock);
	if (ret_measured)
		*ret_measured = measured;
	return rate > 0 ? rate : 1;
}

int64_t pace_seconds(int64_t bytes, int64_t rate)
{
	return bytes / rate + (bytes % rate != 0);
}
