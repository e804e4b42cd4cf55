/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading and writing XML text under our rules: what libxml2 may do, what it may
 * not, and where its complaints go. */
#include <pthread.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/xmlsave.h>

#include "common/alloc.h"
#include "common/err.h"
#include "xmlcfg/xml.h"

#define COMPLAINT_MAX 300

DEFINE_CLEANUP(xmlParserCtxt, xmlFreeParserCtxt);
DEFINE_CLEANUP(xmlBuffer, xmlBufferFree);

void xml_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, xmlInitParser);
}

static char *one_line(const char *message)
{
	char *text = xstrndup(message ? message : "unknown error", COMPLAINT_MAX);
	size_t i, n = strlen(text);

	for (i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ')
			text[i] = ' ';
	while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '.'))
		text[--n] = '\0';
	/* What was cut inside a character is not UTF-8 any more. */
	while (n > 0 && !xml_text_ok(text))
		text[--n] = '\0';
	return text;
}

void xml_complain(void *arg, const void *error)
{
	struct xml_complaint *c = arg;
	const xmlError *e = error;
	const xmlNode *node;

	if (!c || !e || c->silent || e->level == XML_ERR_WARNING)
		return;
	if (!c->text)
		c->text = one_line(e->message);
	if (c->line > 0 || e->line <= 0)
		return;
	c->line = e->line;
	node = e->node;
	if (node && node->type == XML_ELEMENT_NODE)
		c->element = one_line((const char *)node->name);
}

void xml_complaint_done(struct xml_complaint *c)
{
	free(c->text);
	free(c->element);
	c->text = c->element = NULL;
}

struct xml_handler xml_handler_set(struct xml_complaint *c)
{
	const struct xml_handler old = { xmlStructuredErrorContext, xmlStructuredError };

	xmlSetStructuredErrorFunc(c, XML_COMPLAIN);
	return old;
}

void xml_handler_restore(const struct xml_handler *old)
{
	xmlSetStructuredErrorFunc(old->arg, old->fn);
}

/* A document type is where entities, defaults and external files come in: none
 * of our documents has one, so the parser stops at the first sight of it. */
static void refuse_doctype(void *arg, const xmlChar *name _unused_, const xmlChar *external _unused_,
			   const xmlChar *system _unused_)
{
	xmlParserCtxtPtr ctxt = arg;
	struct xml_complaint *c = ctxt->_private;

	if (!c->text) {
		c->text = xstrdup("a document type (<!DOCTYPE>) is not allowed");
		c->line = ctxt->input ? ctxt->input->line : 0;
	}
	xmlStopParser(ctxt);
}

static xmlDocPtr parse_bytes(const char *data, size_t len, struct xml_complaint *c)
{
	_cleanup_(xmlFreeParserCtxtp) xmlParserCtxtPtr ctxt = NULL;
	_cleanup_doc_ xmlDocPtr doc = NULL;
	struct xml_handler old = xml_handler_set(c);

	ctxt = xmlNewParserCtxt();
	if (!ctxt)
		abort();
	ctxt->_private = c;
	ctxt->sax->internalSubset = refuse_doctype;
	doc = xmlCtxtReadMemory(ctxt, data, (int)len, NULL, NULL, XML_PARSE_NONET | XML_PARSE_BIG_LINES);
	if (doc && !ctxt->wellFormed) {
		xmlFreeDoc(doc);
		doc = NULL;
	}
	xml_handler_restore(&old);
	return TAKE_PTR(doc);
}

static int is_blank(const xmlNode *node)
{
	return node->type == XML_TEXT_NODE && xmlIsBlankNode(node);
}

/* 1 if the element holds elements and otherwise nothing but blank text. */
static int only_elements(const xmlNode *parent)
{
	const xmlNode *n;
	int elements = 0;

	for (n = parent->children; n; n = n->next) {
		if (n->type == XML_ELEMENT_NODE)
			elements = 1;
		else if (n->type != XML_COMMENT_NODE && n->type != XML_PI_NODE && !is_blank(n))
			return 0;
	}
	return elements;
}

static void drop_blanks(xmlNodePtr parent)
{
	xmlNodePtr n, next;

	if (!only_elements(parent))
		return;
	for (n = parent->children; n; n = next) {
		next = n->next;
		if (is_blank(n))
			xml_remove(n);
	}
}

/* Drops the blanks that only indent, all through the tree, within the limits on
 * depth and number. Returns NULL, or the element that is too deep or too many,
 * with *ret_why saying which. */
static const xmlNode *tidy(xmlDocPtr doc, int max_depth, const char **ret_why)
{
	xmlNodePtr root = xmlDocGetRootElement(doc), n = root;
	int depth = 1, elements = 0;

	for (;;) {
		if (n->type == XML_ELEMENT_NODE) {
			*ret_why = depth > max_depth ? "elements are nested too deep" : "there are too many elements";
			if (depth > max_depth || ++elements > XML_MAX_ELEMENTS)
				return n;
			if (xmlNodeGetSpacePreserve(n) != 1)
				drop_blanks(n);
			if (n->children) {
				n = n->children;
				depth++;
				continue;
			}
		}
		while (n != root && !n->next) {
			n = n->parent;
			depth--;
		}
		if (n == root)
			return NULL;
		n = n->next;
	}
}

static int refuse(struct err *reterr, const char *what, const char *file, const struct xml_complaint *c)
{
	const char *text = c->text ? c->text : "it is empty or stops early";

	if (c->line > 0)
		return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, file, NULL,
				"The %s is not well-formed XML, line %d: %s", what, c->line, text);
	return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, file, NULL, "The %s is not well-formed XML: %s", what,
			text);
}

int xml_parse(const char *data, size_t len, const char *what, const char *file, int max_depth, xmlDocPtr *ret_doc,
	      struct err *reterr)
{
	_cleanup_complaint_ struct xml_complaint c = XML_COMPLAINT_INIT;
	_cleanup_doc_ xmlDocPtr doc = NULL;
	const xmlNode *excess;
	const char *why = NULL;

	xml_init();
	if (len > XML_MAX_BYTES)
		return err_full(reterr, ERR_BAD_DATA, -EFBIG, NULL, file, NULL,
				"The %s has %zu bytes; at most %d are read", what, len, XML_MAX_BYTES);
	doc = parse_bytes(data, len, &c);
	if (!doc || !xmlDocGetRootElement(doc) || c.text)
		return refuse(reterr, what, file, &c);
	excess = tidy(doc, max_depth, &why);
	if (excess)
		return err_full(reterr, ERR_BAD_DATA, -EFBIG, NULL, file, NULL,
				"The %s cannot be read, line %ld: %s (limits: %d deep, %d in all)", what,
				xmlGetLineNo((xmlNodePtr)excess), why, max_depth, XML_MAX_ELEMENTS);
	*ret_doc = TAKE_PTR(doc);
	return 0;
}

char *xml_format(xmlDocPtr doc, int declaration, size_t *ret_len)
{
	_cleanup_complaint_ struct xml_complaint c = XML_COMPLAINT_INIT;
	_cleanup_(xmlBufferFreep) xmlBufferPtr buf = NULL;
	struct xml_handler old;
	xmlSaveCtxtPtr save;

	xml_init();
	c.silent = 1;
	old = xml_handler_set(&c);
	buf = xmlBufferCreate();
	save = buf ? xmlSaveToBuffer(buf, "UTF-8", XML_SAVE_FORMAT | (declaration ? 0 : XML_SAVE_NO_DECL)) : NULL;
	/* A document in memory, of checked text, into memory: only want of memory is left. */
	if (!save || xmlSaveDoc(save, doc) < 0 || xmlSaveClose(save) < 0)
		abort();
	xml_handler_restore(&old);
	if (ret_len)
		*ret_len = (size_t)xmlBufferLength(buf);
	return xstrndup((const char *)xmlBufferContent(buf), (size_t)xmlBufferLength(buf));
}

/* Length of the UTF-8 character at s that XML 1.0 allows, 0 if it is none. */
static size_t xml_char(const unsigned char *s)
{
	unsigned long c;
	size_t i, n;

	if (s[0] < 0x80)
		return s[0] >= ' ' || s[0] == '\t' || s[0] == '\n' || s[0] == '\r';
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	c = s[0] & (0xffu >> (n + 1));
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	return (c >= 0xd800 && c <= 0xdfff) || c == 0xfffe || c == 0xffff ? 0 : n;
}

int xml_text_ok(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n;

	for (; *p; p += n) {
		n = xml_char(p);
		if (n == 0)
			return 0;
	}
	return 1;
}
