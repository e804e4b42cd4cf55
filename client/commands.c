/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looking up commands and options in the tables, and what was probably meant. */
#include <string.h>

#include "client/command.h"
#include "common/alloc.h"

/* More distinct words than this are never compared at once. */
#define MAX_CANDIDATES 64
/* Longer words are not compared: they are no slips of the finger. */
#define MAX_WORD 32

const struct command *const command_lists[] = {
	vm_make_commands, vm_commands,        snapshot_commands, tree_commands,
	present_commands, disk_commands,      savestate_commands, job_commands,
	status_commands,  NULL,
};

const struct option_row global_options[] = {
	{ "socket", "PATH", 0, "talk to the daemon at this socket" },
	{ "json", NULL, 0, "print the reply as JSON" },
	{ "quiet", NULL, 0, "print no progress and no confirmation" },
	{ "help", NULL, 0, "explain the command" },
	{ "version", NULL, 0, "print the version" },
	{ NULL, NULL, 0, NULL },
};

const struct option_row job_options[] = {
	{ "no-wait", NULL, 0, "start the job and leave it running" },
	{ NULL, NULL, 0, NULL },
};

const struct option_row program_options[] = {
	{ "commands", NULL, 0, "list all commands and options, one per line" },
	{ "complete", "WORD...", 0, "list what the last word may become" },
	{ NULL, NULL, 0, NULL },
};

static const struct option_row no_options[] = { { NULL, NULL, 0, NULL } };

const struct command *command_at(size_t i)
{
	for (const struct command *const *list = command_lists; *list; list++)
		for (const struct command *cmd = *list; cmd->noun; cmd++)
			if (i-- == 0)
				return cmd;
	return NULL;
}

int command_is_noun(const char *noun)
{
	const struct command *cmd;

	for (size_t i = 0; (cmd = command_at(i)); i++)
		if (strcmp(cmd->noun, noun) == 0)
			return 1;
	return 0;
}

const struct option_row *command_option_at(const struct command *cmd, size_t i)
{
	const struct option_row *lists[3] = {
		cmd && cmd->options ? cmd->options : no_options,
		cmd && cmd->flags & COMMAND_JOB ? job_options : no_options,
		global_options,
	};

	for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
		for (const struct option_row *row = lists[l]; row->name; row++)
			if (i-- == 0)
				return row;
	return NULL;
}

const struct option_row *command_option(const struct command *cmd, const char *name, size_t len)
{
	const struct option_row *row;

	for (size_t i = 0; (row = command_option_at(cmd, i)); i++)
		if (strlen(row->name) == len && strncmp(row->name, name, len) == 0)
			return row;
	return NULL;
}

/* Number of insertions, removals and replacements between a and b, both at most
 * MAX_WORD long; two swapped neighbours count as two. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[MAX_WORD + 1];
	size_t la = strlen(a), lb = strlen(b);

	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

const char *nearest(const char *word, const char *const *candidates, size_t n)
{
	size_t len = strlen(word), best_distance = len / 3 + 2;
	const char *best = NULL;

	if (len == 0 || len > MAX_WORD)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t d;

		if (strlen(candidates[i]) > MAX_WORD)
			continue;
		d = strncmp(candidates[i], word, len) == 0 ? 0 : edit_distance(word, candidates[i]);
		if (d < best_distance && d < len) {
			best_distance = d;
			best = candidates[i];
		}
	}
	return best;
}

static int unknown_noun(const char *word, struct err *reterr)
{
	const char *nouns[MAX_CANDIDATES];
	const struct command *cmd;
	const char *near;
	size_t n = 0;

	for (size_t i = 0; (cmd = command_at(i)) && n < ARRAY_SIZE(nouns); i++)
		if (n == 0 || strcmp(nouns[n - 1], cmd->noun) != 0)
			nouns[n++] = cmd->noun;
	near = nearest(word, nouns, n);
	err_set(reterr, ERR_INVALID, -EINVAL, "there is no command '%s'", word);
	if (near)
		err_hint(reterr, "Did you mean '%s'?", near);
	else
		err_hint(reterr, "'vmsnapctl --help' lists the commands.");
	return -EINVAL;
}

static int unknown_verb(const char *noun, const char *word, struct err *reterr)
{
	const char *verbs[MAX_CANDIDATES];
	const struct command *cmd;
	const char *near;
	size_t n = 0;

	for (size_t i = 0; (cmd = command_at(i)) && n < ARRAY_SIZE(verbs); i++)
		if (strcmp(noun, cmd->noun) == 0 && cmd->verb)
			verbs[n++] = cmd->verb;
	near = nearest(word, verbs, n);
	err_set(reterr, ERR_INVALID, -EINVAL, "there is no command '%s %s'", noun, word);
	if (near)
		err_hint(reterr, "Did you mean '%s %s'?", noun, near);
	else
		err_hint(reterr, "'vmsnapctl %s --help' lists its commands.", noun);
	return -EINVAL;
}

int command_find(char *const *words, size_t n, const struct command **ret_cmd, size_t *ret_used, struct err *reterr)
{
	const struct command *cmd;

	if (n == 0) {
		err_set(reterr, ERR_INVALID, -EINVAL, "a command is missing");
		err_hint(reterr, "'vmsnapctl --help' lists the commands.");
		return -EINVAL;
	}
	for (size_t i = 0; (cmd = command_at(i)); i++) {
		if (strcmp(cmd->noun, words[0]) != 0)
			continue;
		if (cmd->verb && (n < 2 || strcmp(cmd->verb, words[1]) != 0))
			continue;
		*ret_cmd = cmd;
		*ret_used = cmd->verb ? 2 : 1;
		return 0;
	}
	if (!command_is_noun(words[0]))
		return unknown_noun(words[0], reterr);
	if (n >= 2)
		return unknown_verb(words[0], words[1], reterr);
	err_set(reterr, ERR_INVALID, -EINVAL, "'%s' needs to be told what to do", words[0]);
	err_hint(reterr, "'vmsnapctl %s --help' lists its commands.", words[0]);
	return -EINVAL;
}
