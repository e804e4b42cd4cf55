/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The typed leaves of a configuration document, as Hyper-V writes them (private to
 * this folder). Children stand in the ordinal order of their names. */
#ifndef XMLCFG_LEAF_H
#define XMLCFG_LEAF_H

#include <stdint.h>

#include <libxml/tree.h>

#include "common/cleanup.h"

/* Child container of that name, made in its place if missing (*borrowed*). */
xmlNodePtr leaf_container(xmlNodePtr parent, const char *name);

/* Adds an empty container behind all children that do not sort after it. */
xmlNodePtr leaf_add_container(xmlNodePtr parent, const char *name);

/* Sets a leaf type="string"; NULL removes it. */
void leaf_set_string(xmlNodePtr parent, const char *name, const char *value);

/* Sets a leaf type="integer". */
void leaf_set_integer(xmlNodePtr parent, const char *name, int64_t value);

/* Sets a leaf type="string" of 16 hexadecimal digits. */
void leaf_set_sum(xmlNodePtr parent, const char *name, uint64_t value);

/* Sets a leaf type="bytes": base64 of the 8-byte little-endian FILETIME of an
 * instant in us since 1970 UTC. */
void leaf_set_time(xmlNodePtr parent, const char *name, int64_t usec);

/* Text of a leaf, *owned*, exactly as it stands; NULL if the leaf is missing. */
char *leaf_string(const xmlNode *parent, const char *name);

/* Value of a leaf; 0, -ENOENT if it is missing, -EINVAL if it is none. The
 * output is untouched on failure. */
_must_check_ int leaf_integer(const xmlNode *parent, const char *name, int64_t *ret_value);
_must_check_ int leaf_sum(const xmlNode *parent, const char *name, uint64_t *ret_value); /* as leaf_integer() */
_must_check_ int leaf_time(const xmlNode *parent, const char *name, int64_t *ret_usec);  /* as leaf_integer() */

#endif
