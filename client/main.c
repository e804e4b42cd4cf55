/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmsnapctl: reads the command line, runs the command, ends with its code. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "client/args.h"
#include "client/complete.h"
#include "client/connection.h"
#include "client/help.h"

/* Whether all that was printed has arrived. Returns the exit code. */
static int flush_output(int code)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	err_errno(&err, errno, "cannot write to standard output");
	return report(&err, code == EXIT_DONE ? EXIT_FAILED : code);
}

static int show_help(const struct args *args)
{
	_cleanup_err_ struct err err = ERR_INIT;
	const struct command *cmd;
	char *noun = (char *)args->noun;
	size_t used;

	if (args->cmd) {
		help_command(stdout, args->cmd);
	} else if (!noun) {
		help_all(stdout);
	} else if (command_is_noun(noun)) {
		help_noun(stdout, noun);
	} else {
		ignore_result(command_find(&noun, 1, &cmd, &used, &err)); /* it is unknown: says so */
		return report_usage(&err);
	}
	return EXIT_DONE;
}

static int run(int argc, char **argv)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct args args;
	struct ctl ctl = { .args = &args };

	if (args_parse(argc, argv, &args, &err) < 0)
		return report_usage(&err);
	if (args_has(&args, "help"))
		return show_help(&args);
	if (args_has(&args, "version")) {
		puts(PACKAGE_STRING);
		return EXIT_DONE;
	}
	ctl.address = connection_address(&args);
	ctl.json = args_has(&args, "json");
	ctl.quiet = args_has(&args, "quiet");
	return args.cmd->run(&ctl);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--complete") == 0) {
		complete(argv + 2, (size_t)argc - 2);
		return flush_output(EXIT_DONE);
	}
	if (argc == 2 && strcmp(argv[1], "--commands") == 0) {
		help_listing(stdout);
		return flush_output(EXIT_DONE);
	}
	return flush_output(run(argc, argv));
}
