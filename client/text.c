/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UTF-8 text on a terminal: its width, and what must not reach it. The
 * locale is touched only when text beyond ASCII is there. */
#define _XOPEN_SOURCE 700 /* wcwidth() */
#include <langinfo.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "client/output.h"
#include "common/alloc.h"

int locale_is_utf8(void)
{
	static int known = -1;

	if (known < 0) {
		setlocale(LC_CTYPE, "");
		known = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	}
	return known;
}

/* Length of the well-formed UTF-8 character at s with its value in *ret, or 0. */
static size_t utf8_char(const char *s, uint32_t *ret)
{
	static const struct {
		unsigned char mask, lead;
		size_t len;
		uint32_t least;
	} forms[] = {
		{ 0x80, 0x00, 1, 0 },
		{ 0xe0, 0xc0, 2, 0x80 },
		{ 0xf0, 0xe0, 3, 0x800 },
		{ 0xf8, 0xf0, 4, 0x10000 },
	};
	const unsigned char *u = (const unsigned char *)s;

	for (size_t f = 0; f < ARRAY_SIZE(forms); f++) {
		uint32_t value;

		if ((u[0] & forms[f].mask) != forms[f].lead)
			continue;
		value = u[0] & (unsigned char)~forms[f].mask;
		for (size_t i = 1; i < forms[f].len; i++) {
			if ((u[i] & 0xc0) != 0x80)
				return 0;
			value = value << 6 | (u[i] & 0x3f);
		}
		if (value < forms[f].least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
			return 0;
		*ret = value;
		return forms[f].len;
	}
	return 0;
}

/* Control characters, and the marks that turn the direction of the text round. */
static int is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

char *text_clean(const char *text)
{
	char *clean = xstrdup(text), *to = clean;

	while (*text) {
		uint32_t c = 0;
		size_t len = utf8_char(text, &c);

		if (len == 0 || is_control(c)) {
			*to++ = len == 0 ? '?' : ' ';
			text += len ? len : 1;
			continue;
		}
		memcpy(to, text, len);
		to += len;
		text += len;
	}
	*to = '\0';
	return clean;
}

static size_t char_width(uint32_t c)
{
	int width;

	if (c < 0x80)
		return 1;
	locale_is_utf8(); /* wcwidth() knows nothing before */
	width = wcwidth((wchar_t)c);
	return width < 0 ? 1 : (size_t)width;
}

size_t text_width(const char *text)
{
	size_t width = 0;

	while (*text) {
		uint32_t c = 0;
		size_t len = utf8_char(text, &c);

		width += len ? char_width(c) : 1;
		text += len ? len : 1;
	}
	return width;
}

void text_pad(FILE *out, const char *text, size_t width)
{
	size_t used = text_width(text);

	fputs(text, out);
	fprintf(out, "%*s", used < width ? (int)(width - used) : 0, "");
}
