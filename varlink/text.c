/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text of any bytes as a JSON string: JSON is UTF-8, file names need not be. */
#include <stdint.h>
#include <string.h>

#include "common/alloc.h"
#include "varlink/message.h"

/* Length of the valid UTF-8 sequence at s (NUL-terminated), or 0: overlong
 * forms, surrogates and values above U+10FFFF are not valid. */
static size_t sequence_length(const unsigned char *s)
{
	static const struct {
		unsigned char first_min, first_max, second_min, second_max, len;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	if (s[0] < 0x80)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (s[0] < forms[i].first_min || s[0] > forms[i].first_max)
			continue;
		if (s[1] < forms[i].second_min || s[1] > forms[i].second_max)
			return 0;
		for (size_t k = 2; k < forms[i].len; k++)
			if (s[k] < 0x80 || s[k] > 0xbf)
				return 0;
		return forms[i].len;
	}
	return 0;
}

/* Copy of s with U+FFFD for each byte that is not part of a valid sequence. */
static char *to_utf8(const char *s)
{
	static const char replacement[] = "\xef\xbf\xbd";
	const unsigned char *in = (const unsigned char *)s;
	char *text = xcalloc(strlen(s) + 1, sizeof(replacement) - 1);
	char *out = text;

	while (*in) {
		size_t n = sequence_length(in);

		if (n == 0) {
			memcpy(out, replacement, sizeof(replacement) - 1);
			out += sizeof(replacement) - 1;
			in++;
			continue;
		}
		memcpy(out, in, n);
		out += n;
		in += n;
	}
	*out = '\0';
	return text;
}

json_t *vl_string(const char *s)
{
	_cleanup_free_ char *text = NULL;
	json_t *value;

	if (!s)
		return json_null();
	value = json_string(s);
	if (value)
		return value;
	text = to_utf8(s);
	value = json_string(text);
	if (!value)
		abort(); /* out of memory, as in common/alloc.h */
	return value;
}
