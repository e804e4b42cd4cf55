/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the last word of a command line may become, for the shell. All of it
 * comes from the command tables and the daemon. */
#include <stdio.h>
#include <string.h>

#include "client/complete.h"
#include "client/connection.h"
#include "client/output.h"
#include "common/alloc.h"

/* The user waits at the prompt for it. */
#define ASK_MS 2000

/* The words before the last one, sorted. All *borrowed*. */
struct line {
	const char *current;
	const struct command *cmd;
	const struct option_row *value_of; /* the last word is this option's value */
	const char *noun;
	struct args args; /* positional words and options so far */
};

static void offer(const struct line *line, const char *word)
{
	if (!word || strncmp(word, line->current, strlen(line->current)) != 0 || strpbrk(word, "\n\r"))
		return;
	puts(word);
}

/* Sorts one word. Returns the option that waits for its value in the next, or NULL. */
static const struct option_row *take_word(struct line *line, char *word)
{
	const struct option_row *row;
	char *pair[2] = { (char *)line->noun, word };
	size_t used;

	if (strncmp(word, "--", 2) == 0 && word[2]) {
		row = command_option(line->cmd, word + 2, strcspn(word + 2, "="));
		if (!row || line->args.n_options == ARGS_MAX_OPTIONS)
			return NULL;
		line->args.options[line->args.n_options].row = row;
		line->args.options[line->args.n_options++].value = strchr(word, '=') ? strchr(word, '=') + 1 : "";
		return row->value && !strchr(word, '=') ? row : NULL;
	}
	if (line->cmd) {
		if (line->args.n_words < ARGS_MAX_WORDS)
			line->args.words[line->args.n_words++] = word;
		return NULL;
	}
	if (line->noun) {
		ignore_result(command_find(pair, 2, &line->cmd, &used, NULL)); /* unknown: nothing to offer */
		return NULL;
	}
	line->noun = word;
	ignore_result(command_find(&word, 1, &line->cmd, &used, NULL)); /* most nouns need a verb */
	return NULL;
}

static void sort_words(struct line *line, char *const *words, size_t n)
{
	const struct option_row *waiting = NULL;

	for (size_t i = 0; i + 1 < n; i++) {
		if (waiting) {
			line->args.options[line->args.n_options - 1].value = words[i];
			waiting = NULL;
			continue;
		}
		waiting = take_word(line, words[i]);
	}
	line->value_of = waiting;
	line->current = n ? words[n - 1] : "";
}

static void offer_options(const struct line *line)
{
	const struct option_row *row;

	for (size_t i = 0; (row = command_option_at(line->cmd, i)); i++) {
		_cleanup_free_ char *word = xasprintf("--%s", row->name);

		if (!args_has(&line->args, row->name))
			offer(line, word);
	}
}

static void offer_commands(const struct line *line)
{
	const struct command *cmd;
	const char *before = NULL;

	for (size_t i = 0; (cmd = command_at(i)); i++) {
		if (!line->noun && (!before || strcmp(before, cmd->noun) != 0))
			offer(line, cmd->noun);
		if (line->noun && cmd->verb && strcmp(line->noun, cmd->noun) == 0)
			offer(line, cmd->verb);
		before = cmd->noun;
	}
}

/* Calls a List method and offers the members `key` of the objects in its list. */
static void offer_listed(const struct line *line, const char *method, const char *list, const char *key)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(vl_reply_done) struct vl_reply reply = { 0 };
	_cleanup_json_ json_t *params = json_object();
	struct ctl ctl = { .args = &line->args, .address = connection_address(&line->args) };
	json_t *item;
	size_t i;

	if (strcmp(method, "ListSnapshots") == 0)
		param_text(params, "vm", args_word(&line->args, 0));
	if (call_once(&ctl, method, params, ASK_MS, &reply, &err) != EXIT_DONE || reply.error)
		return;
	json_array_foreach(json_member(reply.parameters, list), i, item)
		offer(line, json_str(item, key));
}

/* The i-th word of a usage text ("VM SNAPSHOT", "[ID]") without brackets. Returns
 * it *owned*, or NULL. */
static char *usage_word(const char *usage, size_t i)
{
	size_t len;

	while (i--) {
		usage += strcspn(usage, " ");
		usage += strspn(usage, " ");
	}
	usage += strspn(usage, "[");
	len = strcspn(usage, " ]");
	return len ? xstrndup(usage, len) : NULL;
}

static void offer_words(const struct line *line)
{
	_cleanup_free_ char *what = usage_word(line->cmd->usage, line->args.n_words);

	if (!what)
		offer_options(line);
	else if (strcmp(what, "VM") == 0)
		offer_listed(line, "ListVMs", "vms", "name");
	else if (strcmp(what, "SNAPSHOT") == 0 || strcmp(what, "OTHER") == 0)
		offer_listed(line, "ListSnapshots", "snapshots", "name");
	else if (strcmp(what, "ID") == 0)
		offer_listed(line, "ListJobs", "jobs", "id");
}

void complete(char *const *words, size_t n)
{
	struct line line = { 0 };

	sort_words(&line, words, n);
	if (line.value_of) {
		if (strcmp(line.value_of->value, "FILE") == 0 || strcmp(line.value_of->value, "PATH") == 0)
			puts(":file");
		return;
	}
	if (line.current[0] == '-')
		offer_options(&line);
	else if (line.cmd)
		offer_words(&line);
	else
		offer_commands(&line);
}
