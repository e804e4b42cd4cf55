/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Thresholds for free space. */
#include "daemon/space-level.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/timefmt.h"

static int parse_percent(const char *word, int *ret_percent)
{
	char *end;
	long n = strtol(word, &end, 10);

	if (end == word || strcmp(end, "%") != 0 || n < 1 || n > 99)
		return -EINVAL;
	*ret_percent = (int)n;
	return 0;
}

/* One word; each kind once. */
static int parse_word(const char *word, struct space_limit *limit)
{
	int64_t bytes = 0;

	if (strchr(word, '%'))
		return limit->percent ? -EINVAL : parse_percent(word, &limit->percent);
	if (limit->bytes || bytes_parse(word, &bytes) < 0 || bytes <= 0)
		return -EINVAL;
	limit->bytes = bytes;
	return 0;
}

int space_limit_parse(const char *text, struct space_limit *ret_limit)
{
	_cleanup_free_ char *copy = xstrdup(text);
	struct space_limit limit = { 0 };
	char *save = NULL;
	int r = 0, n = 0;

	if (strcmp(text, "0") == 0) {
		*ret_limit = limit;
		return 0;
	}
	for (char *word = strtok_r(copy, " \t", &save); !r && word; word = strtok_r(NULL, " \t", &save), n++)
		r = parse_word(word, &limit);
	if (r < 0 || n == 0)
		return -EINVAL;
	*ret_limit = limit;
	return 0;
}

int64_t space_limit_bytes(const struct space_limit *limit, int64_t total)
{
	int64_t part = total / 100 * limit->percent + total % 100 * limit->percent / 100;

	if (!limit->percent)
		return limit->bytes;
	return limit->bytes && limit->bytes < part ? limit->bytes : part;
}

/* 1 if the threshold holds: it is reached, or it was and is not left yet. */
static int holds(int64_t limit, int64_t free, int64_t total, int held)
{
	int64_t leave = limit <= total - total / 8 ? limit + limit / 8 : total;

	if (limit <= 0)
		return 0;
	return free < limit || (held && free < leave && free < total);
}

enum space_level space_level(int64_t warning, int64_t critical, int64_t free, int64_t total, enum space_level before)
{
	if (holds(critical, free, total, before == SPACE_CRITICAL))
		return SPACE_CRITICAL;
	return holds(warning, free, total, before >= SPACE_WARNING) ? SPACE_WARNING : SPACE_OK;
}

int space_is_near(int64_t warning, int64_t critical, int64_t free, enum space_level level)
{
	int64_t first = warning > critical ? warning : critical;

	return level != SPACE_OK || free / 2 < first;
}

const char *space_level_word(enum space_level level)
{
	static const char *const words[] = { "ok", "warning", "critical" };

	return words[level];
}
