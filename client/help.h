/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Help texts, all made from the command tables. */
#ifndef CLIENT_HELP_H
#define CLIENT_HELP_H

#include <stdio.h>

#include "client/command.h"

/* "vmsnapctl vm start VM [options]" with required options spelled out. Returns it *owned*. */
char *help_usage(const struct command *cmd);

/* All commands and the global options. */
void help_all(FILE *out);

/* The commands of one noun. */
void help_noun(FILE *out, const char *noun);

/* One command with its options. */
void help_command(FILE *out, const struct command *cmd);

/* Everything for programs, one line each: "command NOUN VERB WORDS",
 * "option NOUN VERB --NAME VALUE" and "option --NAME VALUE" (global). */
void help_listing(FILE *out);

#endif
