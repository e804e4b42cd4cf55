/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Allocation that cannot fail, and lists of strings on top of it. */
#define _GNU_SOURCE
#include "common/alloc.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory is gone: nothing that allocates may run any more. */
static _Noreturn void out_of_memory(void)
{
	static const char text[] = "out of memory, ending\n";

	ignore_result((int)write(STDERR_FILENO, text, sizeof(text) - 1)); /* nobody left to tell */
	abort();
}

static void *check(void *p)
{
	if (!p)
		out_of_memory();
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	return check(calloc(n ? n : 1, size ? size : 1));
}

void *xreallocarray(void *p, size_t n, size_t size)
{
	return check(reallocarray(p, n ? n : 1, size ? size : 1));
}

char *xstrdup(const char *s)
{
	return s ? check(strdup(s)) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
	return check(strndup(s, n));
}

char *xvasprintf(const char *fmt, va_list ap)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		out_of_memory();
	return text;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	return text;
}

void xstrset(char **p, const char *s)
{
	char *copy = xstrdup(s); /* first: s may point into *p */

	free(*p);
	*p = copy;
}

void strv_push(char ***v, char *s)
{
	size_t n = strv_count(*v);

	*v = xreallocarray(*v, n + 2, sizeof(**v));
	(*v)[n] = s;
	(*v)[n + 1] = NULL;
}

size_t strv_count(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

int strv_has(char *const *v, const char *s)
{
	for (size_t i = 0; v && v[i]; i++)
		if (strcmp(v[i], s) == 0)
			return 1;
	return 0;
}

char *strv_join(char *const *v, const char *sep)
{
	size_t len = 1, sep_len = strlen(sep);
	char *text, *end;

	for (size_t i = 0; v && v[i]; i++)
		len += strlen(v[i]) + sep_len;
	text = end = xcalloc(len, 1);
	for (size_t i = 0; v && v[i]; i++) {
		if (i > 0)
			end = stpcpy(end, sep);
		end = stpcpy(end, v[i]);
	}
	return text;
}

void strv_free(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		free(v[i]);
	free(v);
}
