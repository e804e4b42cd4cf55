/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the domain document share (private to this folder). */
#ifndef XMLCFG_DOMAIN_PRIV_H
#define XMLCFG_DOMAIN_PRIV_H

#include <libxml/tree.h>

#include "xmlcfg/domain.h"

/* A parsed domain document; its root is always <domain>. */
struct domain {
	xmlDocPtr doc;
};

/* The <domain> element (*borrowed*). */
xmlNodePtr domain_root(const struct domain *dom);

/* /domain/devices (*borrowed*), or NULL. */
xmlNodePtr domain_devices(const struct domain *dom);

#endif
