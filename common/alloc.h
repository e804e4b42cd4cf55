/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Allocation that cannot fail: out of memory ends the process, which loses
 * nothing (every operation is recovered from its intent record at the next
 * start). Sizes that come from outside are bounded by the caller first. */
#ifndef COMMON_ALLOC_H
#define COMMON_ALLOC_H

#include <stdarg.h>
#include <stddef.h>

#include "common/cleanup.h"

/* Zeroed memory for n elements of size bytes. Returns it *owned*; never NULL. */
void *xcalloc(size_t n, size_t size);

/* Resizes p (*taken*, may be NULL) to n elements of size bytes, overflow checked.
 * New space is not zeroed. Returns it *owned*; never NULL (n 0 counts as 1). */
void *xreallocarray(void *p, size_t n, size_t size);

/* Copy of s (*borrowed*). Returns it *owned*, or NULL when s is NULL. */
char *xstrdup(const char *s);

/* Copy of at most n bytes of s (*borrowed*), NUL-terminated. Returns it *owned*. */
char *xstrndup(const char *s, size_t n);

/* Formatted string. Returns it *owned*; never NULL. */
char *xasprintf(const char *fmt, ...) _printf_(1, 2);

/* Same with a va_list. Returns it *owned*; never NULL. */
char *xvasprintf(const char *fmt, va_list ap) _printf_(1, 0);

/* Replaces the *owned* string at *p by a copy of s (*borrowed*, may be NULL). */
void xstrset(char **p, const char *s);

/* A list of strings, NULL-terminated, that frees itself with strv_free(). */

/* Appends s (*taken*) to the list at *v (may be NULL at first). */
void strv_push(char ***v, char *s);

/* Number of strings in v (*borrowed*, may be NULL). */
size_t strv_count(char *const *v);

/* 1 if s is in v (both *borrowed*, v may be NULL), else 0. */
int strv_has(char *const *v, const char *s);

/* All strings of v (*borrowed*, may be NULL) with sep between. Returns it *owned*. */
char *strv_join(char *const *v, const char *sep);

/* Frees the list and its strings (*taken*, may be NULL). Returns nothing. */
void strv_free(char **v);
DEFINE_CLEANUP(char *, strv_free);
#define _cleanup_strv_ _cleanup_(strv_freep)

#endif
