/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small moves in a libxml2 tree: find, read, set, add, remove, walk. */
#include <string.h>

#include "common/alloc.h"
#include "xmlcfg/xml.h"

#define BLANKS " \t\r\n"

static char *own(xmlChar *s)
{
	char *copy = xstrdup((const char *)s);

	xmlFree(s);
	return copy;
}

int xml_is(const xmlNode *node, const char *name)
{
	return node && node->type == XML_ELEMENT_NODE && !node->ns && !strcmp((const char *)node->name, name);
}

static xmlNodePtr first_element(xmlNodePtr n, const char *name)
{
	for (; n; n = n->next)
		if (n->type == XML_ELEMENT_NODE && (!name || xml_is(n, name)))
			return n;
	return NULL;
}

xmlNodePtr xml_child(const xmlNode *parent, const char *name)
{
	return parent ? first_element(parent->children, name) : NULL;
}

xmlNodePtr xml_next(const xmlNode *node, const char *name)
{
	return node ? first_element(node->next, name) : NULL;
}

xmlNodePtr xml_path(const xmlNode *parent, const char *path)
{
	_cleanup_free_ char *copy = xstrdup(path);
	const xmlNode *n = parent;
	char *save = NULL, *name;

	for (name = strtok_r(copy, "/", &save); n && name; name = strtok_r(NULL, "/", &save))
		n = xml_child(n, name);
	return (xmlNodePtr)n;
}

char *xml_attr(const xmlNode *node, const char *name)
{
	xmlChar *value = node ? xmlGetNoNsProp((xmlNodePtr)node, BAD_CAST name) : NULL;

	return value ? own(value) : NULL;
}

int xml_attr_is(const xmlNode *node, const char *name, const char *value)
{
	_cleanup_free_ char *have = xml_attr(node, name);

	return have && !strcmp(have, value);
}

char *xml_text(const xmlNode *node)
{
	xmlChar *text = node ? xmlNodeGetContent((xmlNodePtr)node) : NULL;

	if (text)
		return own(text);
	return node ? xstrdup("") : NULL;
}

char *xml_text_trimmed(const xmlNode *node)
{
	_cleanup_free_ char *text = xml_text(node);
	const char *start;
	size_t n;

	if (!text)
		return NULL;
	start = text + strspn(text, BLANKS);
	for (n = strlen(start); n > 0 && strchr(BLANKS, start[n - 1]); n--)
		;
	return n > 0 ? xstrndup(start, n) : NULL;
}

void xml_set_attr(xmlNodePtr node, const char *name, const char *value)
{
	xmlAttrPtr attr = xmlHasNsProp(node, BAD_CAST name, NULL);

	if (!value) {
		if (attr)
			xmlRemoveProp(attr);
		return;
	}
	if (!xmlSetNsProp(node, NULL, BAD_CAST name, BAD_CAST value))
		abort();
}

void xml_set_text(xmlNodePtr node, const char *text)
{
	xmlNodePtr t;

	while (node->children)
		xml_remove(node->children);
	if (!text || !*text)
		return;
	t = xmlNewDocText(node->doc, BAD_CAST text);
	if (!t || !xmlAddChild(node, t))
		abort();
}

xmlNodePtr xml_add(xmlNodePtr parent, const char *name, const char *text)
{
	xmlNodePtr n = xmlNewDocRawNode(parent->doc, NULL, BAD_CAST name, NULL);

	if (!n || !xmlAddChild(parent, n))
		abort();
	xml_set_text(n, text);
	return n;
}

void xml_remove(xmlNodePtr node)
{
	if (!node)
		return;
	xmlUnlinkNode(node);
	xmlFreeNode(node);
}

void xml_remove_children(xmlNodePtr parent, const char *name)
{
	xmlNodePtr n, next;

	for (n = xml_child(parent, name); n; n = next) {
		next = xml_next(n, name);
		xml_remove(n);
	}
}

xmlNodePtr xml_walk_skip(xmlNodePtr root, xmlNodePtr node)
{
	while (node != root && !node->next)
		node = node->parent;
	return node == root ? NULL : node->next;
}

xmlNodePtr xml_walk(xmlNodePtr root, xmlNodePtr node)
{
	if (node->type == XML_ELEMENT_NODE && node->children)
		return node->children;
	return xml_walk_skip(root, node);
}
