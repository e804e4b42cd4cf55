/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line on the terminal that shows how far a job is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "client/output.h"
#include "client/progress.h"
#include "common/alloc.h"
#include "common/timefmt.h"

#define BAR_WIDTH 24
/* Before that a rate is noise. */
#define RATE_AFTER_USEC 500000

struct progress {
	int enabled, shown;
	char *phase;
	int64_t phase_began, phase_first;
	int64_t done, total;
};

/* "0:42" or "1:02:03". */
static char *duration(int64_t seconds)
{
	if (seconds >= 3600)
		return xasprintf("%d:%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60));
	return xasprintf("%d:%02d", (int)(seconds / 60), (int)(seconds % 60));
}

/* ", 120 MiB/s, 0:05 left", or less of it while it is not known. */
static char *rate_text(const struct progress_state *s)
{
	_cleanup_free_ char *rate = NULL, *left = NULL;
	int64_t per_second;

	if (s->elapsed_usec < RATE_AFTER_USEC || s->moved <= 0)
		return xstrdup("");
	per_second = (int64_t)((double)s->moved * 1e6 / (double)s->elapsed_usec);
	if (per_second < 1)
		return xstrdup("");
	rate = bytes_human(per_second);
	if (s->total <= s->done || (s->total - s->done) / per_second > 99 * 3600)
		return xasprintf(", %s/s", rate);
	left = duration((s->total - s->done + per_second - 1) / per_second);
	return xasprintf(", %s/s, %s left", rate, left);
}

static char *bar_text(int64_t done, int64_t total)
{
	double part = (double)done / (double)total;
	int full;

	if (part < 0)
		part = 0;
	if (part > 1)
		part = 1;
	full = (int)(part * BAR_WIDTH);
	return xasprintf("[%.*s%.*s] %3d%%", full, "########################", BAR_WIDTH - full,
			 "........................", (int)(part * 100));
}

/* Cuts text to at most columns columns, byte by byte from the end. */
static void cut(char *text, size_t columns)
{
	size_t len = strlen(text);

	while (len && text_width(text) > columns) {
		while (len > 1 && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
			len--;
		text[--len] = '\0';
	}
}

char *progress_line(const struct progress_state *s, size_t columns)
{
	_cleanup_free_ char *phase = text_clean(s->phase && *s->phase ? s->phase : "waiting");
	_cleanup_free_ char *done = bytes_human(s->done);
	_cleanup_free_ char *rate = rate_text(s);
	char *line;

	if (s->total > 0) {
		_cleanup_free_ char *total = bytes_human(s->total);
		_cleanup_free_ char *bar = bar_text(s->done, s->total);

		line = xasprintf("%s %s %s of %s%s", phase, bar, done, total, rate);
	} else if (s->done > 0) {
		line = xasprintf("%s: %s%s", phase, done, rate);
	} else {
		line = xasprintf("%s ...", phase);
	}
	cut(line, columns ? columns - 1 : 0);
	return line;
}

struct progress *progress_new(int enabled)
{
	struct progress *p = xcalloc(1, sizeof(*p));
	const char *term = getenv("TERM");

	p->enabled = enabled && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
	return p;
}

static size_t terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

void progress_tick(struct progress *p)
{
	_cleanup_free_ char *line = NULL;
	struct progress_state s = {
		.phase = p->phase,
		.done = p->done,
		.total = p->total,
		.elapsed_usec = time_mono_usec() - p->phase_began,
		.moved = p->done - p->phase_first,
	};

	if (!p->enabled || p->phase_began == 0)
		return;
	line = progress_line(&s, terminal_columns());
	fprintf(stderr, "\r%s\033[K", line);
	fflush(stderr);
	p->shown = 1;
}

void progress_update(struct progress *p, json_t *job)
{
	const char *phase = json_str(job, "phase");

	if (!phase)
		phase = json_str(job, "state");
	p->done = json_num(job, "bytesDone");
	p->total = json_num(job, "bytesTotal");
	if (p->phase_began == 0 || !p->phase || !phase || strcmp(p->phase, phase) != 0) {
		xstrset(&p->phase, phase);
		p->phase_began = time_mono_usec();
		p->phase_first = p->done;
	}
	progress_tick(p);
}

void progress_clear(struct progress *p)
{
	if (!p->shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	p->shown = 0;
}

void progress_free(struct progress *p)
{
	if (!p)
		return;
	progress_clear(p);
	free(p->phase);
	free(p);
}
