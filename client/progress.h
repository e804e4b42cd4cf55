/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line on the terminal that shows how far a job is. */
#ifndef CLIENT_PROGRESS_H
#define CLIENT_PROGRESS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

/* What one line shows; text *borrowed*. */
struct progress_state {
	const char *phase;    /* NULL: none told yet */
	int64_t done, total;  /* bytes; total 0: not known */
	int64_t elapsed_usec; /* since the phase began */
	int64_t moved;        /* bytes done in that time */
};

/* The line for a terminal of that many columns, at most columns - 1 wide.
 * Returns it *owned*. */
char *progress_line(const struct progress_state *s, size_t columns);

struct progress;

/* A line on standard error; shows nothing unless enabled and standard error is
 * a terminal. Returns it *owned*. */
struct progress *progress_new(int enabled);

/* Takes in the present state of a job (*borrowed*) and draws. */
void progress_update(struct progress *p, json_t *job);

/* Draws again: time has passed. */
void progress_tick(struct progress *p);

/* Removes the line, so that something else can be printed. */
void progress_clear(struct progress *p);

/* Removes the line and frees (*taken*, may be NULL). */
void progress_free(struct progress *p);
DEFINE_CLEANUP(struct progress, progress_free);

#endif
