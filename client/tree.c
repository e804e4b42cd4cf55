/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Drawing the snapshot tree. "(now)" is one more row, so that it gets its
 * branch like the others. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/output.h"
#include "client/tree.h"
#include "common/alloc.h"

#define NAME_WIDTH_MIN 24
#define NAME_GAP 3
/* The longest stroke: two box characters of 3 bytes and a space. */
#define STROKE_BYTES 7

/* A row as it is drawn. */
struct line {
	const struct tree_row *row; /* NULL: now */
	size_t depth;
	int last; /* no sibling follows */
	char *text; /* branches and name, *owned* */
};

struct strokes {
	const char *through, *blank, *branch, *end;
};

static const struct strokes box = { "│  ", "   ", "├─ ", "└─ " };
static const struct strokes plain = { "|  ", "   ", "|- ", "`- " };

/* Index before which now stands: after the current row and all below it. */
static size_t place_of_now(const struct tree_row *rows, size_t n, size_t *ret_depth)
{
	for (size_t i = 0; i < n; i++) {
		size_t end = i + 1;

		if (!rows[i].current)
			continue;
		while (end < n && rows[end].depth > rows[i].depth)
			end++;
		*ret_depth = rows[i].depth + 1;
		return end;
	}
	*ret_depth = 0;
	return n;
}

/* The rows with now among them. Returns n + 1 lines, *owned*. */
static struct line *make_lines(const struct tree_row *rows, size_t n)
{
	struct line *lines = xcalloc(n + 1, sizeof(*lines));
	size_t now_depth, now = place_of_now(rows, n, &now_depth);

	for (size_t i = 0; i < n; i++) {
		struct line *line = &lines[i < now ? i : i + 1];

		line->row = &rows[i];
		line->depth = rows[i].depth;
	}
	lines[now].depth = now_depth;
	for (size_t i = 0; i <= n; i++) {
		size_t next = i + 1;

		while (next <= n && lines[next].depth > lines[i].depth)
			next++;
		lines[i].last = next > n || lines[next].depth < lines[i].depth;
	}
	return lines;
}

/* Puts the branches before the names; open[d] says whether depth d goes on. */
static void draw_branches(struct line *lines, size_t n, const struct strokes *strokes)
{
	_cleanup_free_ char *open = xcalloc(n + 1, 1);

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *name = text_clean(lines[i].row ? lines[i].row->name : "(now)");
		_cleanup_free_ char *text = NULL;
		size_t depth = lines[i].depth <= i ? lines[i].depth : i;

		text = xcalloc((depth + 1) * STROKE_BYTES + strlen(name) + 1, 1);
		for (size_t d = 0; d < depth; d++)
			strcat(text, open[d] ? strokes->through : strokes->blank);
		strcat(text, lines[i].last ? strokes->end : strokes->branch);
		strcat(text, name);
		open[depth] = !lines[i].last;
		lines[i].text = TAKE_PTR(text);
	}
}

static size_t widest(const struct line *lines, size_t n)
{
	size_t width = NAME_WIDTH_MIN;

	for (size_t i = 0; i < n; i++) {
		size_t w = lines[i].row ? text_width(lines[i].text) : 0;

		if (w > width)
			width = w;
	}
	return width;
}

static void print_line(FILE *out, const struct line *line, size_t width)
{
	if (!line->row) {
		fprintf(out, "%s\n", line->text);
		return;
	}
	text_pad(out, line->text, width + NAME_GAP);
	text_pad(out, line->row->created, 16 + 3);
	text_pad(out, line->row->kind, 9 + 2);
	fputs(line->row->size, out);
	if (line->row->problem) {
		_cleanup_free_ char *problem = text_clean(line->row->problem);

		fprintf(out, "   ! %s", problem);
	}
	fputc('\n', out);
}

void tree_draw(FILE *out, const char *title, const struct tree_row *rows, size_t n, int ascii)
{
	_cleanup_free_ struct line *lines = make_lines(rows, n);
	_cleanup_free_ char *clean = text_clean(title);
	size_t width;

	draw_branches(lines, n + 1, ascii ? &plain : &box);
	width = widest(lines, n + 1);
	fprintf(out, "%s\n", clean);
	for (size_t i = 0; i <= n; i++) {
		print_line(out, &lines[i], width);
		cleanup_free(&lines[i].text);
	}
}
