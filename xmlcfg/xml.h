/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libxml2 behind a few rules of ours (private to this folder): no network, no
 * document type, no entities, bounded size and depth, errors into struct err and
 * never onto standard error. */
#ifndef XMLCFG_XML_H
#define XMLCFG_XML_H

#include <stddef.h>
#include <stdint.h>

#include <libxml/tree.h>
#include <libxml/xmlerror.h>

#include "common/cleanup.h"
#include "common/err.h"

#define XML_MAX_BYTES (4 << 20)
#define XML_MAX_DEPTH_DOMAIN 120 /* a domain is two levels deeper in a configuration */
#define XML_MAX_DEPTH_CONFIG (XML_MAX_DEPTH_DOMAIN + 2)
#define XML_MAX_ELEMENTS 20000 /* libxml2's validation takes the square of it: half a second */

DEFINE_CLEANUP(xmlDoc, xmlFreeDoc);
#define _cleanup_doc_ _cleanup_(xmlFreeDocp)

/* What libxml2 says while one of its calls runs: the first complaint is kept, with
 * the first place that is named by it or by a later one. */
struct xml_complaint {
	char *text;    /* *owned*, one line; NULL: none */
	char *element; /* *owned*, name of the element it is about; NULL unknown */
	int line;      /* 0 unknown */
	int silent;    /* 1: nothing is kept */
};
#define XML_COMPLAINT_INIT { NULL, NULL, 0, 0 }

/* The handler that libxml2 calls; arg is a struct xml_complaint. Its second
 * parameter is an xmlErrorPtr, const or not by the version of libxml2. */
void xml_complain(void *arg, const void *error);
#define XML_COMPLAIN ((xmlStructuredErrorFunc)(void (*)(void))xml_complain)

/* libxml2's handler is thread-local; whoever else uses libxml2 in this thread
 * (libvirt's embedded driver does) gets its own back after our calls. */
struct xml_handler {
	void *arg;
	xmlStructuredErrorFunc fn;
};

/* Sends this thread's complaints to c (*borrowed* until the restore); returns
 * who had them before. */
struct xml_handler xml_handler_set(struct xml_complaint *c);

/* Gives them back. */
void xml_handler_restore(const struct xml_handler *old);

/* Empties it. */
void xml_complaint_done(struct xml_complaint *c);
#define _cleanup_complaint_ _cleanup_(xml_complaint_done)

/* Parses len bytes. what ("configuration", "domain document") and file (*borrowed*,
 * may be NULL) are for messages; max_depth counts elements. Blank text between
 * elements is dropped. ret_doc *owned*. Returns 0 or -EBADMSG / -EFBIG with
 * ERR_BAD_DATA. */
_must_check_ int xml_parse(const char *data, size_t len, const char *what, const char *file, int max_depth,
			   xmlDocPtr *ret_doc, struct err *reterr);

/* The document as indented UTF-8 text, with or without the XML declaration,
 * *owned*, NUL-terminated; ret_len may be NULL. */
char *xml_format(xmlDocPtr doc, int declaration, size_t *ret_len);

/* 1 if s (*borrowed*) is UTF-8 that XML 1.0 can carry, else 0. */
int xml_text_ok(const char *s);

/* 1 if node is the element of that name in no namespace. */
int xml_is(const xmlNode *node, const char *name);

/* First child element, next sibling element, of that name (NULL: any name, any
 * namespace); *borrowed*, NULL if none. */
xmlNodePtr xml_child(const xmlNode *parent, const char *name);
xmlNodePtr xml_next(const xmlNode *node, const char *name); /* as xml_child() */

/* Child by a path of names such as "os/loader"; *borrowed*, NULL if absent. */
xmlNodePtr xml_path(const xmlNode *parent, const char *path);

/* Value of an attribute in no namespace, *owned*, NULL if absent. */
char *xml_attr(const xmlNode *node, const char *name);

/* 1 if the attribute is there and equals value, else 0. */
int xml_attr_is(const xmlNode *node, const char *name, const char *value);

/* Text content of the element, *owned*; NULL if node is NULL. */
char *xml_text(const xmlNode *node);

/* Text with blanks at both ends taken off, NULL if node is NULL or that is empty. */
char *xml_text_trimmed(const xmlNode *node);

/* Sets an attribute; value is text, not markup. NULL removes it. */
void xml_set_attr(xmlNodePtr node, const char *name, const char *value);

/* Replaces all content of the element by text (not markup; NULL: nothing). */
void xml_set_text(xmlNodePtr node, const char *text);

/* Appends a new element, with text content unless NULL; returns it (*borrowed*). */
xmlNodePtr xml_add(xmlNodePtr parent, const char *name, const char *text);

/* Takes the node out of its document and frees it; NULL is fine. */
void xml_remove(xmlNodePtr node);

/* Removes all child elements of that name. */
void xml_remove_children(xmlNodePtr parent, const char *name);

/* Next node in document order within the tree under root (root itself is not
 * given; start with node = root); *borrowed*, NULL at the end. */
xmlNodePtr xml_walk(xmlNodePtr root, xmlNodePtr node);

/* Walks as xml_walk() but does not enter the children of node. */
xmlNodePtr xml_walk_skip(xmlNodePtr root, xmlNodePtr node);

/* Loads libxml2's tables once; every entry point of this folder calls it. */
void xml_init(void);

#endif
