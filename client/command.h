/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands as table rows. Parsing, help, completion, the manual's check and
 * "unknown command" all derive from them. */
#ifndef CLIENT_COMMAND_H
#define CLIENT_COMMAND_H

#include <stddef.h>

#include "common/cleanup.h"
#include "common/err.h"

struct ctl;

enum option_flags { OPTION_REQUIRED = 1 };

/* One option. Static, like everything in the tables. */
struct option_row {
	const char *name;  /* without "--"; ends a list with NULL */
	const char *value; /* word for its value ("SIZE"), NULL for a switch */
	unsigned flags;
	const char *help;  /* one line, no full stop */
};

enum command_flags {
	COMMAND_JOB = 1, /* starts a job: has --no-wait */
};

/* One command. run() returns an exit code and has told the user why. */
struct command {
	const char *noun; /* ends a list with NULL */
	const char *verb; /* NULL: the noun stands alone */
	const char *usage; /* positional words: "VM SNAPSHOT", "[VM]" */
	size_t min, max;   /* how many of them */
	const struct option_row *options; /* NULL: none of its own */
	unsigned flags;
	int (*run)(struct ctl *ctl);
	const char *help;  /* one line, no full stop */
};

/* The lists of all command files, in the order of the help; NULL-terminated. */
extern const struct command *const command_lists[];

extern const struct command vm_commands[];       /* cmd-vm.c */
extern const struct command vm_make_commands[];  /* cmd-vm-create.c */
extern const struct command snapshot_commands[]; /* cmd-snapshot.c */
extern const struct command present_commands[];  /* cmd-snapshot-apply.c */
extern const struct command tree_commands[];     /* cmd-snapshot-tree.c */
extern const struct command savestate_commands[]; /* cmd-savestate.c */
extern const struct command disk_commands[];     /* cmd-disk.c */
extern const struct command job_commands[];      /* cmd-job.c */
extern const struct command status_commands[];   /* cmd-status.c */

/* Options that every command takes, and the one that COMMAND_JOB adds. */
extern const struct option_row global_options[];
extern const struct option_row job_options[];

/* What programs may ask instead of a command, as the first word only. */
extern const struct option_row program_options[];

/* The i-th row of all lists, or NULL after the last (static, *borrowed*). */
const struct command *command_at(size_t i);

/* The row of noun and verb. words[0] is the noun, words[1] the verb if there
 * is one. *ret_used gets how many words named it. Returns 0, or -EINVAL with
 * the nearest name in the hint. */
_must_check_ int command_find(char *const *words, size_t n, const struct command **ret_cmd, size_t *ret_used,
			      struct err *reterr);

/* 1 if noun is the noun of a command, else 0. */
int command_is_noun(const char *noun);

/* The option of that name (length len, without "--") that cmd (NULL: none yet)
 * takes, or NULL (static, *borrowed*). */
const struct option_row *command_option(const struct command *cmd, const char *name, size_t len);

/* Walks all options of cmd: its own, the job's, the global ones. Returns the
 * i-th or NULL (static, *borrowed*). */
const struct option_row *command_option_at(const struct command *cmd, size_t i);

/* The candidate (*borrowed*) that is nearest to word, or NULL if none is near
 * enough to be meant. */
const char *nearest(const char *word, const char *const *candidates, size_t n);

#endif
