/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables and blocks for people. */
#include <stdlib.h>
#include <string.h>

#include "client/output.h"
#include "common/alloc.h"
#include "varlink/message.h"

struct table {
	const char *const *heads;
	size_t columns;
	char **cells;
	size_t n_cells;
};

struct table *table_new(const char *const *heads, size_t n)
{
	struct table *t = xcalloc(1, sizeof(*t));

	t->heads = heads;
	t->columns = n;
	return t;
}

void table_take(struct table *t, char *text)
{
	_cleanup_free_ char *owned = text;

	t->cells = xreallocarray(t->cells, t->n_cells + 1, sizeof(*t->cells));
	t->cells[t->n_cells++] = text_clean(owned && *owned ? owned : "-");
}

void table_add(struct table *t, const char *text)
{
	table_take(t, xstrdup(text));
}

static void print_row(FILE *out, const char *const *row, const size_t *widths, size_t columns)
{
	for (size_t c = 0; c + 1 < columns; c++)
		text_pad(out, row[c], widths[c] + 2);
	fputs(row[columns - 1], out);
	fputc('\n', out);
}

void table_print(const struct table *t, FILE *out)
{
	_cleanup_free_ size_t *widths = xcalloc(t->columns, sizeof(*widths));

	for (size_t c = 0; c < t->columns; c++)
		widths[c] = text_width(t->heads[c]);
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t width = text_width(t->cells[i]);

		if (width > widths[i % t->columns])
			widths[i % t->columns] = width;
	}
	print_row(out, t->heads, widths, t->columns);
	for (size_t i = 0; i + t->columns <= t->n_cells; i += t->columns)
		print_row(out, (const char *const *)t->cells + i, widths, t->columns);
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

void print_pair(const char *key, const char *value)
{
	_cleanup_free_ char *clean = NULL;
	_cleanup_free_ char *label = NULL;

	if (!value || !*value)
		return;
	clean = text_clean(value);
	label = xasprintf("%s:", key);
	printf("%-14s %s\n", label, clean);
}

void print_pair_take(const char *key, char *value)
{
	_cleanup_free_ char *owned = value;

	print_pair(key, owned);
}

static int write_stdout(const char *buffer, size_t size, void *data _unused_)
{
	return fwrite(buffer, 1, size, stdout) == size ? 0 : -1;
}

static void dump(json_t *value)
{
	/* A failed write is seen by main(), which looks at the stream's state. */
	ignore_result(json_dump_callback(value, write_stdout, NULL, JSON_COMPACT));
	fputc('\n', stdout);
}

void print_json(const char *error, json_t *parameters)
{
	_cleanup_json_ json_t *params = parameters ? json_incref(parameters) : json_object();
	_cleanup_json_ json_t *whole = NULL;

	if (!error) {
		dump(params);
		return;
	}
	whole = json_pack("{s:s, s:O}", "error", error, "parameters", params);
	dump(whole);
}

const char *json_str(json_t *obj, const char *key)
{
	return json_string_value(json_object_get(obj, key));
}

int64_t json_num(json_t *obj, const char *key)
{
	return json_integer_value(json_object_get(obj, key));
}

int json_flag(json_t *obj, const char *key)
{
	return json_is_true(json_object_get(obj, key));
}

json_t *json_member(json_t *obj, const char *key)
{
	return json_object_get(obj, key);
}

int json_has(json_t *obj, const char *key)
{
	json_t *value = json_object_get(obj, key);

	return value && !json_is_null(value);
}
