/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instants and sizes as text. */
#include "common/timefmt.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/alloc.h"

#define USEC_PER_SEC INT64_C(1000000)

static int64_t clock_usec(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

int64_t time_now_usec(void)
{
	return clock_usec(CLOCK_REALTIME);
}

int64_t time_mono_usec(void)
{
	return clock_usec(CLOCK_MONOTONIC);
}

/* Local time of usec; an instant before 1970 is rounded down, not towards 0. */
static struct tm local(int64_t usec)
{
	time_t sec = (time_t)(usec / USEC_PER_SEC);
	struct tm tm;

	if (usec % USEC_PER_SEC < 0)
		sec--;
	if (!localtime_r(&sec, &tm)) /* a year that int does not hold: nothing better to show */
		memset(&tm, 0, sizeof(tm));
	return tm;
}

char *time_short(int64_t usec)
{
	struct tm tm = local(usec);
	char buf[64];

	strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M", &tm);
	return xstrdup(buf);
}

char *time_iso(int64_t usec)
{
	struct tm tm = local(usec);
	long offset = tm.tm_gmtoff / 60;
	char buf[64];

	strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%S", &tm);
	return xasprintf("%s%c%02ld:%02ld", buf, offset < 0 ? '-' : '+', labs(offset) / 60, labs(offset) % 60);
}

char *bytes_human(int64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	const char *sign = bytes < 0 ? "-" : "";
	double value = bytes < 0 ? -(double)bytes : (double)bytes;
	size_t unit = 0;

	/* 999.5 would be shown as 1000 */
	while (value >= 999.5 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	return xasprintf("%s%.*f %s", sign, unit > 0 && value < 9.95 ? 1 : 0, value, units[unit]);
}

/* Reads digits at *text into *ret_value; returns their number, or -ERANGE. */
static int read_digits(const char **text, uint64_t *ret_value)
{
	uint64_t value = 0;
	int n = 0;

	for (; isdigit((unsigned char)**text); (*text)++, n++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(**text - '0'), &value))
			return -ERANGE;
	*ret_value = value;
	return n;
}

/* Power of 1024 that the suffix names, or -EINVAL. */
static int read_unit(const char *text)
{
	static const char letters[] = "KMGTPE";
	const char *at;
	int power = 0;

	if (*text && (at = strchr(letters, toupper((unsigned char)*text))) != NULL) {
		power = (int)(at - letters) + 1;
		text++;
		if (*text == 'i' && text[1] != 'B')
			return -EINVAL;
		if (*text == 'i')
			text++;
	}
	if (*text == 'B')
		text++;
	return *text ? -EINVAL : power;
}

int bytes_parse(const char *text, int64_t *ret_bytes)
{
	uint64_t whole, fraction = 0, scale = 1;
	int digits, power, fraction_digits = 0;
	unsigned __int128 bytes;

	digits = read_digits(&text, &whole);
	if (digits <= 0)
		return digits < 0 ? digits : -EINVAL;
	if (*text == '.') {
		text++;
		fraction_digits = read_digits(&text, &fraction);
		if (fraction_digits < 1 || fraction_digits > 9)
			return -EINVAL;
	}
	power = read_unit(text);
	if (power < 0 || (power == 0 && fraction_digits > 0))
		return -EINVAL;
	for (int i = 0; i < fraction_digits; i++)
		scale *= 10;
	bytes = ((unsigned __int128)whole << (10 * power)) + ((unsigned __int128)fraction << (10 * power)) / scale;
	if (bytes > INT64_MAX)
		return -ERANGE;
	*ret_bytes = (int64_t)bytes;
	return 0;
}
