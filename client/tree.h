/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Drawing the snapshot tree. */
#ifndef CLIENT_TREE_H
#define CLIENT_TREE_H

#include <stddef.h>
#include <stdio.h>

/* One snapshot, in tree order; all text *borrowed*. */
struct tree_row {
	const char *name;
	const char *created; /* "2026-11-21 09:12" */
	const char *kind, *size;
	const char *problem; /* NULL: none */
	size_t depth;        /* 0: a root; at most one more than the row before */
	int current;         /* now derives from it */
};

/* Draws the rows below title (the VM's name, *borrowed*), with "(now)" as the
 * last child of the current one, or of the VM if there is none. Box characters,
 * or ASCII ones. */
void tree_draw(FILE *out, const char *title, const struct tree_row *rows, size_t n, int ascii);

#endif
