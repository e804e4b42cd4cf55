/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Questions on the terminal. */
#include <ctype.h>
#include <stdio.h>

#include "client/ask.h"

int can_ask(const struct ctl *ctl)
{
	return !ctl->json && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

int ask(const char *question, char fallback)
{
	char line[64];

	fputs(question, stderr);
	fflush(stderr);
	if (!fgets(line, sizeof(line), stdin)) {
		fputc('\n', stderr);
		return 0;
	}
	if (line[0] == '\n')
		return fallback;
	return tolower((unsigned char)line[0]);
}
