/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Printing for people: widths as the terminal counts them, tables, blocks of
 * keys; and reading what a reply holds. */
#ifndef CLIENT_OUTPUT_H
#define CLIENT_OUTPUT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/cleanup.h"

/* Copy of text (*borrowed*) without control characters: what a name or message
 * from elsewhere holds must not steer the terminal. Returns it *owned*. */
char *text_clean(const char *text);

/* Columns that text (UTF-8) takes on a terminal. */
size_t text_width(const char *text);

/* Prints text and spaces up to width columns. */
void text_pad(FILE *out, const char *text, size_t width);

/* 1 if the user's locale writes UTF-8, else 0. Sets LC_CTYPE on first use. */
int locale_is_utf8(void);

/* Rows of cells; columns are as wide as their widest cell. */
struct table;

/* A table with n heads (*borrowed* for its life). Returns it *owned*. */
struct table *table_new(const char *const *heads, size_t n);

/* Adds the next cell, row by row; text *borrowed*, NULL is shown as "-". */
void table_add(struct table *t, const char *text);

/* Same, text *taken*. */
void table_take(struct table *t, char *text);

/* Prints head and rows, two spaces between columns, none at line ends. */
void table_print(const struct table *t, FILE *out);

/* Frees it (*taken*, may be NULL). */
void table_free(struct table *t);
DEFINE_CLEANUP(struct table, table_free);

/* Prints "Key:       value" of a block; a NULL value prints nothing. */
void print_pair(const char *key, const char *value);

/* Same, value *taken*. */
void print_pair_take(const char *key, char *value);

/* Prints one JSON document and a newline to standard output: the parameters,
 * or for an error {"error": ..., "parameters": ...}. */
void print_json(const char *error, json_t *parameters);

/* Member of an object: text (*borrowed*) or NULL, number or 0, switch or 0,
 * object or list (*borrowed*) or NULL. obj may be NULL. */
const char *json_str(json_t *obj, const char *key);
int64_t json_num(json_t *obj, const char *key);    /* as json_str() */
int json_flag(json_t *obj, const char *key);       /* as json_str() */
json_t *json_member(json_t *obj, const char *key); /* as json_str() */

/* 1 if the member is there and not null, else 0. */
int json_has(json_t *obj, const char *key);

#endif
