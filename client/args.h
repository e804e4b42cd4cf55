/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line as values: global options, the command's row, its words and
 * its options. */
#ifndef CLIENT_ARGS_H
#define CLIENT_ARGS_H

#include <stddef.h>
#include <stdint.h>

#include "client/command.h"
#include "common/cleanup.h"
#include "common/err.h"

#define ARGS_MAX_WORDS 8
#define ARGS_MAX_OPTIONS 32

/* Starts zeroed. Strings are *borrowed* from argv; nothing needs freeing. */
struct args {
	const struct command *cmd; /* NULL with --help or --version before a command */
	const char *noun;          /* with --help: the noun asked about, or NULL */
	const char *words[ARGS_MAX_WORDS + 2];
	size_t n_words;
	struct {
		const struct option_row *row;
		const char *value; /* "" for a switch */
	} options[ARGS_MAX_OPTIONS];
	size_t n_options;
};

/* Reads argv[1..argc-1] by the tables: global options may stand anywhere, a
 * command's own ones anywhere after its verb, "--" ends options. Counts of words
 * and required options are checked unless --help or --version is there. Returns
 * 0, or -EINVAL with the usage in the hint. */
_must_check_ int args_parse(int argc, char *const *argv, struct args *ret_args, struct err *reterr);

/* Value of an option, "" for a switch, NULL if it is not there (*borrowed*). */
const char *args_option(const struct args *args, const char *name);

/* 1 if the option is there, else 0. */
int args_has(const struct args *args, const char *name);

/* The i-th positional word, or NULL (*borrowed*). */
const char *args_word(const struct args *args, size_t i);

/* A size option in bytes; absent leaves *ret_bytes. Returns 0, or negative
 * errno that names the option. */
_must_check_ int args_size(const struct args *args, const char *name, int64_t *ret_bytes, struct err *reterr);

/* A whole number option of min to max; absent leaves *ret. Returns 0, or
 * negative errno that names the option. */
_must_check_ int args_number(const struct args *args, const char *name, int64_t min, int64_t max, int64_t *ret,
			     struct err *reterr);

/* A file option, made absolute by the present directory (the daemon has
 * another); absent leaves *ret_path. *ret_path is *owned*. Returns 0 or negative errno. */
_must_check_ int args_path(const struct args *args, const char *name, char **ret_path, struct err *reterr);

/* -EINVAL if both options are there, else 0. */
_must_check_ int args_exclusive(const struct args *args, const char *a, const char *b, struct err *reterr);

#endif
