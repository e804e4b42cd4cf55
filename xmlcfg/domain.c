/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A libvirt domain document: parse it, give it back, and its plain values. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/alloc.h"
#include "common/guid.h"
#include "xmlcfg/domain-priv.h"
#include "xmlcfg/xml.h"

#define VIDEO_KIB_MAX (INT64_C(1) << 30) /* what is more is no size of a video memory */
#define CARDS_MAX 64

xmlNodePtr domain_root(const struct domain *dom)
{
	return xmlDocGetRootElement(dom->doc);
}

xmlNodePtr domain_devices(const struct domain *dom)
{
	return xml_child(domain_root(dom), "devices");
}

int domain_parse(const char *xml, struct domain **ret_dom, struct err *reterr)
{
	_cleanup_domain_ struct domain *dom = xcalloc(1, sizeof(*dom));
	int r;

	r = xml_parse(xml, strlen(xml), "domain document", NULL, XML_MAX_DEPTH_DOMAIN, &dom->doc, reterr);
	if (r < 0)
		return r;
	if (!xml_is(domain_root(dom), "domain"))
		return err_set(
			reterr, ERR_BAD_DATA, -EBADMSG,
			"The domain document is not one of libvirt: its root element is \"%.100s\", not \"domain\"",
			(const char *)domain_root(dom)->name);
	*ret_dom = TAKE_PTR(dom);
	return 0;
}

void domain_free(struct domain *dom)
{
	if (!dom)
		return;
	xmlFreeDoc(dom->doc);
	free(dom);
}

char *domain_format(const struct domain *dom)
{
	return xml_format(dom->doc, 0, NULL);
}

char *domain_name(const struct domain *dom)
{
	return xml_text(xml_child(domain_root(dom), "name"));
}

char *domain_uuid(const struct domain *dom)
{
	return xml_text_trimmed(xml_child(domain_root(dom), "uuid"));
}

char *domain_emulator(const struct domain *dom)
{
	return xml_text_trimmed(xml_child(domain_devices(dom), "emulator"));
}

/* Path of a pty device that has one now, *owned*, else NULL. */
static char *pty_path(const xmlNode *device)
{
	char *path;

	if (!xml_attr_is(device, "type", "pty"))
		return NULL;
	path = xml_attr(xml_child(device, "source"), "path");
	return path ? path : xml_attr(device, "tty");
}

char *domain_console_pty(const struct domain *dom)
{
	const xmlNode *n;
	char *path = NULL;

	for (n = xml_child(domain_devices(dom), NULL); n && !path; n = xml_next(n, NULL))
		if (xml_is(n, "console") || xml_is(n, "serial"))
			path = pty_path(n);
	return path;
}

/* Factor of one of libvirt's units: b, bytes, then k, M, G, T, P, E, alone or
 * with "iB" for powers of 1024, with "B" for powers of 1000. 0: no such unit. */
static int64_t unit_factor(const char *unit)
{
	static const char letters[] = "kmgtpe";
	const char *letter;
	int64_t base, factor = 1;

	if (!strcasecmp(unit, "b") || !strcasecmp(unit, "byte") || !strcasecmp(unit, "bytes"))
		return 1;
	letter = *unit ? strchr(letters, tolower((unsigned char)*unit)) : NULL;
	if (!letter)
		return 0;
	if (!unit[1] || !strcasecmp(unit + 1, "iB"))
		base = 1024;
	else if (!strcasecmp(unit + 1, "B"))
		base = 1000;
	else
		return 0;
	for (; letter >= letters; letter--)
		factor *= base;
	return factor;
}

int64_t domain_memory(const struct domain *dom)
{
	const xmlNode *memory = xml_child(domain_root(dom), "memory");
	_cleanup_free_ char *text = xml_text_trimmed(memory), *unit = xml_attr(memory, "unit");
	int64_t factor = unit_factor(unit ? unit : "KiB"), bytes;
	char *end;
	long long n;

	if (!text || factor == 0)
		return 0;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || *end || n < 0 || __builtin_mul_overflow((int64_t)n, factor, &bytes))
		return 0;
	return bytes;
}

/* An attribute that is a number of KiB, in bytes; 0 if it is not one. */
static int64_t kib_of(const xmlNode *node, const char *name)
{
	_cleanup_free_ char *text = xml_attr(node, name);
	char *end;
	long long n;

	if (!text)
		return 0;
	errno = 0;
	n = strtoll(text, &end, 10);
	return errno || *end || n < 0 || n > VIDEO_KIB_MAX ? 0 : n * 1024;
}

int64_t domain_video_memory(const struct domain *dom)
{
	static const char *const kinds[] = { "ram", "vram", "vram64", "vgamem" };
	int64_t bytes = 0;
	int cards = 0;

	for (const xmlNode *n = xml_child(domain_devices(dom), "video"); n && cards < CARDS_MAX; n = xml_next(n, "video")) {
		cards++;
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
			bytes += kib_of(xml_child(n, "model"), kinds[i]);
	}
	return bytes;
}

int domain_vcpus(const struct domain *dom)
{
	const xmlNode *vcpu = xml_child(domain_root(dom), "vcpu");
	_cleanup_free_ char *most = xml_text_trimmed(vcpu), *now = xml_attr(vcpu, "current");
	const char *text = now ? now : most;
	char *end;
	long n;

	if (!text)
		return 0;
	errno = 0;
	n = strtol(text, &end, 10);
	return errno || *end || n < 0 || n > 1 << 20 ? 0 : (int)n;
}

/* The child of that name, made as the next one behind `after` (or as the first
 * child, if after is NULL). */
static xmlNodePtr need_child(xmlNodePtr parent, const char *name, xmlNodePtr after)
{
	xmlNodePtr node = xml_child(parent, name);

	if (node)
		return node;
	node = xml_add(parent, name, NULL);
	if (after && after != node && !xmlAddNextSibling(after, node))
		abort();
	if (!after && parent->children != node && !xmlAddPrevSibling(parent->children, node))
		abort();
	return node;
}

void domain_set_name(struct domain *dom, const char *name)
{
	xml_set_text(need_child(domain_root(dom), "name", NULL), name);
}

void domain_set_uuid(struct domain *dom, const char *uuid)
{
	xmlNodePtr root = domain_root(dom);

	xml_set_text(need_child(root, "uuid", xml_child(root, "name")), uuid);
}

int domain_renew_genid(struct domain *dom)
{
	xmlNodePtr genid = xml_child(domain_root(dom), "genid");
	struct guid guid;
	char text[GUID_LEN + 1];

	if (!genid)
		return 0;
	guid = guid_new();
	xml_set_text(genid, guid_lower(&guid, text));
	return 1;
}
