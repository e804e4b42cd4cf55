/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GUIDs by way of libuuid. */
#include "common/guid.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <uuid/uuid.h>

struct guid guid_new(void)
{
	struct guid g;
	uuid_t raw;

	uuid_generate_random(raw);
	uuid_unparse_upper(raw, g.s);
	return g;
}

int guid_parse(const char *text, struct guid *ret_guid)
{
	uuid_t raw;

	/* libuuid's own idea of the length differs between versions */
	if (strnlen(text, GUID_LEN + 1) != GUID_LEN || uuid_parse(text, raw) < 0)
		return -EINVAL;
	uuid_unparse_upper(raw, ret_guid->s);
	return 0;
}

int guid_valid(const char *text)
{
	struct guid g;

	return text && guid_parse(text, &g) == 0;
}

int guid_eq(const struct guid *a, const struct guid *b)
{
	return strcasecmp(a->s, b->s) == 0;
}

int guid_is_none(const struct guid *g)
{
	return g->s[0] == '\0';
}

const char *guid_lower(const struct guid *g, char buf[GUID_LEN + 1])
{
	size_t i = 0;

	for (; i < GUID_LEN && g->s[i]; i++)
		buf[i] = (char)tolower((unsigned char)g->s[i]);
	buf[i] = '\0';
	return buf;
}
