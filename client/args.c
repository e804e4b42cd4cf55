/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parsing the command line by the command tables. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/args.h"
#include "client/help.h"
#include "common/alloc.h"
#include "common/fileio.h"
#include "common/timefmt.h"

static void hint_usage(const struct command *cmd, struct err *reterr)
{
	_cleanup_free_ char *usage = NULL;

	if (!cmd) {
		err_hint(reterr, "'vmsnapctl --help' lists the commands and options.");
		return;
	}
	usage = help_usage(cmd);
	err_hint(reterr, "Usage: %s", usage);
}

static int unknown_option(const struct command *cmd, const char *word, size_t len, struct err *reterr)
{
	const char *names[ARGS_MAX_OPTIONS];
	_cleanup_free_ char *name = xstrndup(word, len);
	const struct option_row *row;
	const char *near;
	size_t n = 0;

	for (size_t i = 0; (row = command_option_at(cmd, i)) && n < ARRAY_SIZE(names); i++)
		names[n++] = row->name;
	near = nearest(name, names, n);
	err_set(reterr, ERR_INVALID, -EINVAL, "there is no option '--%s'%s", name, cmd ? " for this command" : "");
	if (near)
		err_hint(reterr, "Did you mean '--%s'?", near);
	hint_usage(cmd, reterr);
	return -EINVAL;
}

static int add_option(struct args *args, const struct option_row *row, const char *value, struct err *reterr)
{
	for (size_t i = 0; i < args->n_options; i++) {
		if (args->options[i].row != row)
			continue;
		if (!row->value)
			return 0;
		return err_set(reterr, ERR_INVALID, -EINVAL, "option '--%s' is given twice", row->name);
	}
	assert(args->n_options < ARGS_MAX_OPTIONS);
	args->options[args->n_options].row = row;
	args->options[args->n_options++].value = value;
	return 0;
}

/* Reads the option at argv[*i]; moves *i over a separate value. */
static int parse_option(struct args *args, int argc, char *const *argv, int *i, struct err *reterr)
{
	const char *word = argv[*i] + 2, *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) : strlen(word);
	const struct option_row *row;

	if (argv[*i][1] != '-') {
		err_set(reterr, ERR_INVALID, -EINVAL, "there is no option '%s'", argv[*i]);
		err_hint(reterr, "All options are long ones, as in '--help'; a name that begins with '-' "
				 "goes after '--'.");
		return -EINVAL;
	}
	row = command_option(args->cmd, word, len);
	if (!row)
		return unknown_option(args->cmd, word, len, reterr);
	if (!row->value) {
		if (equals)
			return err_set(reterr, ERR_INVALID, -EINVAL, "option '--%s' takes no value", row->name);
		return add_option(args, row, "", reterr);
	}
	if (equals)
		return add_option(args, row, equals + 1, reterr);
	if (*i + 1 >= argc) {
		err_set(reterr, ERR_INVALID, -EINVAL, "option '--%s' needs a value (%s)", row->name, row->value);
		hint_usage(args->cmd, reterr);
		return -EINVAL;
	}
	return add_option(args, row, argv[++*i], reterr);
}

static int add_word(struct args *args, char *word, struct err *reterr)
{
	if (args->n_words == ARRAY_SIZE(args->words)) {
		err_set(reterr, ERR_INVALID, -EINVAL, "there are too many words in the command, from '%s' on", word);
		hint_usage(args->cmd, reterr);
		return -EINVAL;
	}
	args->words[args->n_words++] = word;
	return 0;
}

/* Finds the row once enough words are there; then only its own words are left. */
static int settle_command(struct args *args, struct err *reterr)
{
	char *words[2] = { (char *)args->words[0], (char *)args->words[1] };
	size_t used;
	int r;

	r = command_find(words, args->n_words, &args->cmd, &used, reterr);
	if (r < 0)
		return r;
	args->n_words -= used;
	memmove(args->words, args->words + used, args->n_words * sizeof(args->words[0]));
	return 0;
}

static int wants_command(const struct args *args)
{
	const struct command *cmd;

	if (args->n_words == 0)
		return 0;
	if (args->n_words >= 2 || !command_is_noun(args->words[0]))
		return 1;
	for (size_t i = 0; (cmd = command_at(i)); i++)
		if (!cmd->verb && strcmp(cmd->noun, args->words[0]) == 0)
			return 1;
	return 0;
}

static int check_counts(const struct args *args, struct err *reterr)
{
	const struct command *cmd = args->cmd;
	const struct option_row *row;

	if (args->n_words < cmd->min || args->n_words > cmd->max) {
		if (args->n_words > cmd->max)
			err_set(reterr, ERR_INVALID, -EINVAL, "'%s' is one word too many", args->words[cmd->max]);
		else
			err_set(reterr, ERR_INVALID, -EINVAL, "the command is not complete");
		hint_usage(cmd, reterr);
		return -EINVAL;
	}
	for (size_t i = 0; (row = command_option_at(cmd, i)); i++)
		if (row->flags & OPTION_REQUIRED && !args_has(args, row->name)) {
			err_set(reterr, ERR_INVALID, -EINVAL, "option '--%s' is missing", row->name);
			hint_usage(cmd, reterr);
			return -EINVAL;
		}
	return 0;
}

/* Takes in argv[*i], whatever it is. */
static int parse_one(struct args *args, int argc, char *const *argv, int *i, int *only_words, struct err *reterr)
{
	int r;

	if (!*only_words && strcmp(argv[*i], "--") == 0) {
		*only_words = 1;
		return 0;
	}
	if (!*only_words && argv[*i][0] == '-' && argv[*i][1])
		return parse_option(args, argc, argv, i, reterr);
	r = add_word(args, argv[*i], reterr);
	if (r == 0 && !args->cmd && wants_command(args))
		r = settle_command(args, reterr);
	return r;
}

int args_parse(int argc, char *const *argv, struct args *ret_args, struct err *reterr)
{
	struct args args = { 0 };
	int only_words = 0, r = 0;

	for (int i = 1; i < argc; i++) {
		r = parse_one(&args, argc, argv, &i, &only_words, reterr);
		if (r < 0)
			return r;
	}
	if (!args_has(&args, "help") && !args_has(&args, "version")) {
		if (!args.cmd)
			r = settle_command(&args, reterr);
		if (r == 0)
			r = check_counts(&args, reterr);
		if (r < 0)
			return r;
	}
	args.noun = args.cmd ? args.cmd->noun : args.words[0];
	*ret_args = args;
	return 0;
}

const char *args_option(const struct args *args, const char *name)
{
	for (size_t i = 0; i < args->n_options; i++)
		if (strcmp(args->options[i].row->name, name) == 0)
			return args->options[i].value;
	return NULL;
}

int args_has(const struct args *args, const char *name)
{
	return args_option(args, name) != NULL;
}

const char *args_word(const struct args *args, size_t i)
{
	return i < args->n_words ? args->words[i] : NULL;
}

int args_size(const struct args *args, const char *name, int64_t *ret_bytes, struct err *reterr)
{
	const char *text = args_option(args, name);
	int r;

	if (!text)
		return 0;
	r = bytes_parse(text, ret_bytes);
	if (r < 0) {
		err_set(reterr, ERR_INVALID, r, "'%s' is not a size (option '--%s')", text, name);
		err_hint(reterr, "Write a number with a unit, for example 512M or 20G.");
	}
	return r;
}

int args_number(const struct args *args, const char *name, int64_t min, int64_t max, int64_t *ret, struct err *reterr)
{
	const char *text = args_option(args, name);
	long long value;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || *end || end == text || value < min || value > max)
		return err_set(reterr, ERR_INVALID, -EINVAL,
			       "'%s' is not a whole number from %lld to %lld (option '--%s')", text, (long long)min,
			       (long long)max, name);
	*ret = value;
	return 0;
}

int args_path(const struct args *args, const char *name, char **ret_path, struct err *reterr)
{
	const char *text = args_option(args, name);
	_cleanup_free_ char *cwd = NULL;

	if (!text)
		return 0;
	if (!*text)
		return err_set(reterr, ERR_INVALID, -EINVAL, "option '--%s' needs a path", name);
	if (*text == '/') {
		*ret_path = xstrdup(text);
		return 0;
	}
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return err_errno(reterr, errno, "cannot tell where '%s' is: the present directory has no path", text);
	*ret_path = path_join(cwd, text);
	return 0;
}

int args_exclusive(const struct args *args, const char *a, const char *b, struct err *reterr)
{
	if (!args_has(args, a) || !args_has(args, b))
		return 0;
	return err_set(reterr, ERR_INVALID, -EINVAL, "options '--%s' and '--%s' exclude each other", a, b);
}
