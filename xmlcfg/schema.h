/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The RELAX NG schema of configuration documents (private to this folder). */
#ifndef XMLCFG_SCHEMA_H
#define XMLCFG_SCHEMA_H

#include <libxml/tree.h>

#include "common/cleanup.h"
#include "common/err.h"

#define SCHEMA_FILE "configuration.rng"

/* Validates doc (*borrowed*). file (*borrowed*, may be NULL) is for messages. The
 * schema is read once per process; any thread may call this. Returns 0, -EBADMSG
 * with ERR_BAD_DATA, or another negative errno if the schema cannot be read. */
_must_check_ int schema_validate(xmlDocPtr doc, const char *file, struct err *reterr);

#endif
