/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interface description (IDL) of an interface's tables. */
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "varlink/iface.h"

#define COMMENT_WIDTH 76

/* Writes doc as comment lines, broken between words; its newlines stay. */
static void write_comment(FILE *out, const char *indent, const char *doc)
{
	while (doc && *doc) {
		size_t line = strcspn(doc, "\n"), n = line;

		if (n > COMMENT_WIDTH) {
			n = COMMENT_WIDTH;
			while (n > 0 && doc[n] != ' ')
				n--;
			if (n == 0)
				n = strcspn(doc, " \n"); /* a word that is longer than a line */
		}
		fprintf(out, "%s#%s%.*s\n", indent, n ? " " : "", (int)n, doc);
		doc += n;
		if (*doc)
			doc++;
	}
}

static const char *type_name(const struct vl_field *f)
{
	switch (f->type) {
	case VL_BOOL:
		return "bool";
	case VL_INT:
		return "int";
	case VL_STRING:
		return "string";
	case VL_OBJECT:
		return "object";
	case VL_STRUCT:
		return f->ref->name;
	}
	return "object";
}

/* Writes "(field: type, ...)", one field a line with its comment. */
static void write_fields(FILE *out, const struct vl_field *fields)
{
	if (!fields->name) {
		fputs("()", out);
		return;
	}
	fputs("(\n", out);
	for (const struct vl_field *f = fields; f->name; f++) {
		write_comment(out, "\t", f->doc);
		fprintf(out, "\t%s: %s%s%s%s\n", f->name, f->flags & VL_NULLABLE ? "?" : "",
			f->flags & VL_ARRAY ? "[]" : "", type_name(f), f[1].name ? "," : "");
	}
	fputc(')', out);
}

static void write_method(FILE *out, const struct vl_method *m)
{
	fputc('\n', out);
	write_comment(out, "", m->doc);
	if (m->more == VL_MORE_SUPPORTED)
		write_comment(out, "", "[Supports 'more' flag]");
	if (m->more == VL_MORE_REQUIRED)
		write_comment(out, "", "[Requires 'more' flag]");
	fprintf(out, "method %s", m->name);
	write_fields(out, m->in);
	fputs(" -> ", out);
	write_fields(out, m->out);
	fputc('\n', out);
}

char *vl_describe(const struct vl_interface *iface)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		abort(); /* out of memory, as in common/alloc.h */
	write_comment(out, "", iface->doc);
	fprintf(out, "interface %s\n", iface->name);
	for (const struct vl_struct *const *t = iface->types; *t; t++) {
		fputc('\n', out);
		write_comment(out, "", (*t)->doc);
		fprintf(out, "type %s ", (*t)->name);
		write_fields(out, (*t)->fields);
		fputc('\n', out);
	}
	for (const struct vl_method *m = iface->methods; m->name; m++)
		write_method(out, m);
	for (const struct vl_error *e = iface->errors; e->name; e++) {
		fputc('\n', out);
		write_comment(out, "", e->doc);
		fprintf(out, "error %s ", e->name);
		write_fields(out, e->fields);
		fputc('\n', out);
	}
	if (fclose(out) != 0)
		abort();
	return text;
}
