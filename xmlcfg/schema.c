/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding, reading and applying the RELAX NG schema. It is parsed at its first
 * use and stays for the life of the process; validating only reads it. */
#include <config.h>

#include <pthread.h>
#include <string.h>

#include <libxml/relaxng.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "xmlcfg/config.h"
#include "xmlcfg/schema.h"
#include "xmlcfg/xml.h"

#define SCHEMA_MAX_BYTES (1 << 20)
#define SCHEMA_MAX_DEPTH 64

DEFINE_CLEANUP(xmlRelaxNGParserCtxt, xmlRelaxNGFreeParserCtxt);
DEFINE_CLEANUP(xmlRelaxNGValidCtxt, xmlRelaxNGFreeValidCtxt);

static pthread_mutex_t schema_lock = PTHREAD_MUTEX_INITIALIZER;
static xmlRelaxNGPtr schema; /* under schema_lock; never freed once set */
static const char *schema_dir;

void config_set_schema_dir(const char *dir)
{
	schema_dir = dir;
}

static char *schema_path(void)
{
	const char *dir = schema_dir;

	if (!dir || !*dir)
		dir = getenv("VMSNAP_SCHEMA_DIR");
	if (!dir || !*dir)
		dir = PKGDATADIR;
	return path_join(dir, SCHEMA_FILE);
}

static xmlRelaxNGPtr schema_compile(xmlDocPtr doc, struct xml_complaint *c)
{
	_cleanup_(xmlRelaxNGFreeParserCtxtp) xmlRelaxNGParserCtxtPtr ctxt = NULL;
	struct xml_handler old = xml_handler_set(c);
	xmlRelaxNGPtr compiled = NULL;

	ctxt = xmlRelaxNGNewDocParserCtxt(doc);
	if (ctxt) {
		xmlRelaxNGSetParserStructuredErrors(ctxt, XML_COMPLAIN, c);
		compiled = xmlRelaxNGParse(ctxt);
	}
	xml_handler_restore(&old);
	return compiled;
}

static int schema_load(xmlRelaxNGPtr *ret_schema, struct err *reterr)
{
	_cleanup_complaint_ struct xml_complaint c = XML_COMPLAINT_INIT;
	_cleanup_free_ char *path = schema_path(), *text = NULL;
	_cleanup_doc_ xmlDocPtr doc = NULL;
	xmlRelaxNGPtr compiled;
	size_t len;
	int r;

	r = file_read(path, SCHEMA_MAX_BYTES, &text, &len, reterr);
	if (r == 0)
		r = xml_parse(text, len, "schema of configurations", path, SCHEMA_MAX_DEPTH, &doc, reterr);
	if (r == 0) {
		compiled = schema_compile(doc, &c);
		if (!compiled)
			r = err_full(reterr, ERR_FAILED, -EINVAL, NULL, path, NULL,
				     "The schema of configurations cannot be used: %s",
				     c.text ? c.text : "unknown error");
	}
	if (r < 0) {
		/* A missing schema must not look like a missing configuration. */
		if (r == -ENOENT)
			r = -ENOTRECOVERABLE;
		if (reterr) {
			reterr->code = r;
			err_hint(reterr, "Install vmsnap completely, or name the folder of %s in VMSNAP_SCHEMA_DIR",
				 SCHEMA_FILE);
		}
		return r;
	}
	*ret_schema = compiled;
	return 0;
}

static int schema_get(xmlRelaxNGPtr *ret_schema, struct err *reterr)
{
	int r = 0;

	pthread_mutex_lock(&schema_lock);
	if (!schema)
		r = schema_load(&schema, reterr);
	if (r == 0)
		*ret_schema = schema;
	pthread_mutex_unlock(&schema_lock);
	return r;
}

static int invalid(const struct xml_complaint *c, const char *file, struct err *reterr)
{
	const char *text = c->text ? c->text : "it does not match the schema";

	/* libxml2's words for an element that is optional but wrong. */
	if (!strncmp(text, "Extra element ", 14))
		text = "it is not expected here, or stands here twice, or something in it is not allowed";
	return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, file, NULL,
			"The configuration is not valid, line %d, element %s: %s", c->line,
			c->element ? c->element : "configuration", text);
}

int schema_validate(xmlDocPtr doc, const char *file, struct err *reterr)
{
	_cleanup_complaint_ struct xml_complaint c = XML_COMPLAINT_INIT;
	_cleanup_(xmlRelaxNGFreeValidCtxtp) xmlRelaxNGValidCtxtPtr ctxt = NULL;
	xmlRelaxNGPtr compiled = NULL;
	struct xml_handler old;
	int r;

	r = schema_get(&compiled, reterr);
	if (r < 0)
		return r;
	old = xml_handler_set(&c);
	ctxt = xmlRelaxNGNewValidCtxt(compiled);
	if (!ctxt)
		abort();
	xmlRelaxNGSetValidStructuredErrors(ctxt, XML_COMPLAIN, &c);
	r = xmlRelaxNGValidateDoc(ctxt, doc);
	xml_handler_restore(&old);
	return r == 0 ? 0 : invalid(&c, file, reterr);
}
