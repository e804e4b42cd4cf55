/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules that the schema cannot say (private to this folder). */
#ifndef XMLCFG_RULES_H
#define XMLCFG_RULES_H

#include "common/cleanup.h"
#include "common/err.h"
#include "xmlcfg/config.h"

/* Judges a document that was read or is to be written: names, GUIDs, pathnames,
 * and what belongs to which kind. file (*borrowed*, may be NULL) is for messages.
 * Returns 0 or -EINVAL with an error of that kind. */
_must_check_ int rules_check(const struct config *cfg, const char *file, enum err_kind kind, struct err *reterr);

#endif
