/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Help texts, all made from the command tables. */
#include <string.h>

#include "client/help.h"
#include "common/alloc.h"

/* Appends to the *owned* text at *to. */
static void append(char **to, const char *before, const char *text)
{
	char *whole = xasprintf("%s%s%s", *to ? *to : "", before, text);

	free(*to);
	*to = whole;
}

static char *command_name(const struct command *cmd)
{
	return cmd->verb ? xasprintf("%s %s", cmd->noun, cmd->verb) : xstrdup(cmd->noun);
}

/* "--name VALUE". */
static char *option_text(const struct option_row *row)
{
	return row->value ? xasprintf("--%s %s", row->name, row->value) : xasprintf("--%s", row->name);
}

/* The command with its words and required options. */
static char *command_text(const struct command *cmd)
{
	char *text = command_name(cmd);

	if (*cmd->usage)
		append(&text, " ", cmd->usage);
	for (const struct option_row *row = cmd->options; row && row->name; row++)
		if (row->flags & OPTION_REQUIRED) {
			_cleanup_free_ char *option = option_text(row);

			append(&text, " ", option);
		}
	return text;
}

char *help_usage(const struct command *cmd)
{
	_cleanup_free_ char *text = command_text(cmd);
	int optional = cmd->flags & COMMAND_JOB ? 1 : 0;

	for (const struct option_row *row = cmd->options; row && row->name; row++)
		optional |= !(row->flags & OPTION_REQUIRED);
	return xasprintf("vmsnapctl %s%s", text, optional ? " [OPTION...]" : "");
}

static void print_options(FILE *out, const struct option_row *rows)
{
	for (; rows && rows->name; rows++) {
		_cleanup_free_ char *text = option_text(rows);

		fprintf(out, "  %-24s %s%s\n", text, rows->help, rows->flags & OPTION_REQUIRED ? " (required)" : "");
	}
}

static void print_command(FILE *out, const struct command *cmd)
{
	_cleanup_free_ char *name = command_name(cmd);
	_cleanup_free_ char *text = xasprintf("%s%s%s", name, *cmd->usage ? " " : "", cmd->usage);

	fprintf(out, "  %-36s %s\n", text, cmd->help);
}

static void print_global(FILE *out)
{
	fputs("\nOptions of every command:\n", out);
	print_options(out, global_options);
}

void help_all(FILE *out)
{
	const struct command *cmd;
	const struct command *before = NULL;

	fputs("Usage: vmsnapctl [--socket PATH] [--json] [--quiet] NOUN VERB ...\n\n"
	      "Snapshots of virtual machines, with their memory.\n\n",
	      out);
	for (size_t i = 0; (cmd = command_at(i)); i++) {
		if (before && before->verb && strcmp(before->noun, cmd->noun) != 0)
			fputc('\n', out);
		before = cmd;
		print_command(out, cmd);
	}
	print_global(out);
	fputs("\n'vmsnapctl NOUN VERB --help' explains one command. The manual is vmsnapctl(1).\n", out);
}

void help_noun(FILE *out, const char *noun)
{
	const struct command *cmd;

	fprintf(out, "Usage: vmsnapctl %s VERB ...\n\n", noun);
	for (size_t i = 0; (cmd = command_at(i)); i++)
		if (strcmp(cmd->noun, noun) == 0)
			print_command(out, cmd);
	print_global(out);
	fprintf(out, "\n'vmsnapctl %s VERB --help' explains one of them.\n", noun);
}

void help_command(FILE *out, const struct command *cmd)
{
	_cleanup_free_ char *usage = help_usage(cmd);
	int own = cmd->options && cmd->options->name;

	fprintf(out, "Usage: %s\n\n  %s\n", usage, cmd->help);
	if (own || cmd->flags & COMMAND_JOB)
		fputs("\nOptions:\n", out);
	print_options(out, cmd->options);
	if (cmd->flags & COMMAND_JOB)
		print_options(out, job_options);
	print_global(out);
}

static void list_options(FILE *out, const char *name, const struct option_row *rows)
{
	for (; rows && rows->name; rows++) {
		_cleanup_free_ char *text = option_text(rows);

		fprintf(out, "option %s%s%s\n", name, *name ? " " : "", text);
	}
}

void help_listing(FILE *out)
{
	const struct command *cmd;

	list_options(out, "", global_options);
	list_options(out, "", program_options);
	for (size_t i = 0; (cmd = command_at(i)); i++) {
		_cleanup_free_ char *name = command_name(cmd);

		fprintf(out, "command %s%s%s\n", name, *cmd->usage ? " " : "", cmd->usage);
		list_options(out, name, cmd->options);
		if (cmd->flags & COMMAND_JOB)
			list_options(out, name, job_options);
	}
}
