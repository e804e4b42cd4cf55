/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Takes out of a running domain's document what belongs to this one run. */
#include <ctype.h>
#include <string.h>

#include "common/alloc.h"
#include "xmlcfg/domain-priv.h"
#include "xmlcfg/xml.h"

#define USER_ALIAS "ua-" /* libvirt keeps aliases of this prefix for users */

static int starts(const char *s, const char *prefix)
{
	return s && !strncmp(s, prefix, strlen(prefix));
}

static void strip_disk(xmlNodePtr disk)
{
	xmlNodePtr source = xml_child(disk, "source");

	xml_remove_children(disk, "backingStore");
	xml_remove_children(disk, "mirror");
	if (source)
		xml_set_attr(source, "index", NULL);
}

/* 1 for a socket path that libvirt made up: .../domain-ID-NAME/..., as it does for
 * channels that name none. */
static int made_up_socket(const char *path)
{
	const char *at = path ? strstr(path, "/domain-") : NULL;
	const char *p;

	for (; at; at = strstr(at + 1, "/domain-")) {
		p = at + strlen("/domain-");
		while (isdigit((unsigned char)*p))
			p++;
		if (p > at + strlen("/domain-") && *p == '-' && strchr(p, '/'))
			return 1;
	}
	return 0;
}

static void strip_chardev(xmlNodePtr dev)
{
	xmlNodePtr source = xml_child(dev, "source"), target = xml_child(dev, "target");
	_cleanup_free_ char *path = xml_attr(source, "path");

	xml_set_attr(dev, "tty", NULL);
	if (target)
		xml_set_attr(target, "state", NULL);
	if (!source)
		return;
	if (xml_attr_is(dev, "type", "pty"))
		xml_remove(source);
	else if (xml_is(dev, "channel") && xml_attr_is(dev, "type", "unix") && made_up_socket(path))
		xml_remove(source);
}

/* Names of host interfaces that libvirt makes up at each start. */
static void strip_interface(xmlNodePtr dev)
{
	static const char *const prefixes[] = { "vnet", "vif", "macvtap", "macvlan" };
	xmlNodePtr target = xml_child(dev, "target");
	_cleanup_free_ char *name = xml_attr(target, "dev");
	size_t i;

	for (i = 0; i < ARRAY_SIZE(prefixes) && name; i++) {
		const char *digits = name + strlen(prefixes[i]);

		if (!starts(name, prefixes[i]) || !*digits || digits[strspn(digits, "0123456789")])
			continue;
		xml_set_attr(target, "dev", NULL);
		if (!target->properties && !target->children)
			xml_remove(target);
		return;
	}
}

static void strip_alias(xmlNodePtr dev)
{
	xmlNodePtr alias = xml_child(dev, "alias");
	_cleanup_free_ char *name = xml_attr(alias, "name");

	if (alias && !starts(name, USER_ALIAS))
		xml_remove(alias);
}

static void strip_device(xmlNodePtr dev)
{
	static const char *const chardevs[] = { "console", "serial", "parallel", "channel", "redirdev", "smartcard" };
	size_t i;

	strip_alias(dev);
	if (xml_is(dev, "disk"))
		strip_disk(dev);
	else if (xml_is(dev, "interface"))
		strip_interface(dev);
	for (i = 0; i < ARRAY_SIZE(chardevs); i++)
		if (xml_is(dev, chardevs[i]))
			strip_chardev(dev);
}

/* The labels of a dynamic seclabel belong to this run; a base label is the
 * admin's, and its seclabel stays without them. */
static void strip_seclabels(xmlNodePtr root)
{
	xmlNodePtr n, next;

	for (n = xml_child(root, "seclabel"); n; n = next) {
		next = xml_next(n, "seclabel");
		if (!xml_attr_is(n, "type", "dynamic"))
			continue;
		xml_remove_children(n, "label");
		xml_remove_children(n, "imagelabel");
		if (!xml_child(n, "baselabel"))
			xml_remove(n);
	}
}

void domain_strip_runtime(struct domain *dom)
{
	xmlNodePtr root = domain_root(dom), n;

	xml_set_attr(root, "id", NULL);
	strip_seclabels(root);
	for (n = xml_child(domain_devices(dom), NULL); n; n = xml_next(n, NULL))
		strip_device(n);
}
