/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GUIDs as the store writes them: upper case, 36 characters, no braces. */
#ifndef COMMON_GUID_H
#define COMMON_GUID_H

#include "common/cleanup.h"

#define GUID_LEN 36

/* Text of a GUID. An empty string means "none". */
struct guid {
	char s[GUID_LEN + 1];
};

/* A new random GUID. */
struct guid guid_new(void);

/* Reads text (*borrowed*) in either case, whole string only. Fills ret_guid
 * (upper case). Returns 0, or -EINVAL. */
_must_check_ int guid_parse(const char *text, struct guid *ret_guid);

/* 1 if text (*borrowed*, may be NULL) is a GUID in either case, else 0. */
int guid_valid(const char *text);

/* 1 if both are the same (also both empty), else 0. */
int guid_eq(const struct guid *a, const struct guid *b);

/* 1 if it is "none", else 0. */
int guid_is_none(const struct guid *g);

/* Lower-case copy of the text in buf (at least 37 bytes), as libvirt writes
 * UUIDs. Returns buf. */
const char *guid_lower(const struct guid *g, char buf[GUID_LEN + 1]);

#endif
