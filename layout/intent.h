/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The intent record <VMGUID>.op: what an operation is about to do, so that
 * whoever comes after a crash can finish it or take it back (law 4). Text:
 * "vmsnap-intent 1", then "key value" lines (values percent-escaped), then
 * "end <xxh3-64 of all before>". */
#ifndef LAYOUT_INTENT_H
#define LAYOUT_INTENT_H

#include <stddef.h>

#include "common/cleanup.h"
#include "common/err.h"

#define INTENT_MAX_BYTES (1 << 20)
#define INTENT_MAX_KEYS 4096

struct intent;

/* A new record of the operation (word such as "snapshot-create"), *owned*. */
struct intent *intent_new(const char *operation);

/* Frees it (*taken*, may be NULL). The file is not touched. */
void intent_free(struct intent *in);
DEFINE_CLEANUP(struct intent, intent_free);
#define _cleanup_intent_ _cleanup_(intent_freep)

/* The operation (*borrowed*). */
const char *intent_operation(const struct intent *in);

/* Sets key (lower-case letters, digits, "-", ".") to a formatted value, replacing. */
void intent_set(struct intent *in, const char *key, const char *fmt, ...) _printf_(3, 4);

/* Value of key (*borrowed* until the next set), or NULL. */
const char *intent_get(const struct intent *in, const char *key);

/* Numbered keys "disk.0.target": key formatted, value as intent_get(). */
const char *intent_getf(const struct intent *in, const char *fmt, ...) _printf_(2, 3);

/* Text of the record, *owned*; len may be NULL. */
char *intent_format(const struct intent *in, size_t *ret_len);

/* Parses a record. Bounded; checks version, grammar and checksum. ret_in *owned*.
 * Returns 0 or negative errno with ERR_BAD_DATA. */
_must_check_ int intent_parse(const char *data, size_t len, const char *file, struct intent **ret_in,
			      struct err *reterr);

/* Writes it durably (file_replace()). Returns 0 or negative errno. */
_must_check_ int intent_write(const struct intent *in, const char *path, struct err *reterr);

/* Reads it. Returns 0 or negative errno (-ENOENT: none). */
_must_check_ int intent_read(const char *path, struct intent **ret_in, struct err *reterr);

#endif
