/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check, repair: is everything as it should be, and what can be mended. */
#include <stdio.h>
#include <string.h>

#include "client/jobcall.h"
#include "client/output.h"
#include "common/alloc.h"

static int is_info(json_t *finding)
{
	const char *severity = json_str(finding, "severity");

	return severity && strcmp(severity, "info") == 0;
}

/* "error seal-drift: text", then file, advice and why it is left alone, each in a line. */
static void print_finding(json_t *finding, int repairing)
{
	_cleanup_free_ char *text = text_clean(json_str(finding, "text") ? json_str(finding, "text") : "");
	_cleanup_free_ char *file = json_str(finding, "file") ? text_clean(json_str(finding, "file")) : NULL;
	const char *severity = json_str(finding, "severity"), *id = json_str(finding, "id");
	const char *hint = json_str(finding, "hint"), *reason = json_str(finding, "reason");

	printf("%s %s: %s\n", severity ? severity : "?", id ? id : "?", text);
	if (file && !strstr(text, file))
		printf("  %s\n", file);
	if (repairing && reason && !is_info(finding))
		printf("  Left alone: %s.\n", reason);
	if (hint)
		printf("  %s.\n", hint);
}

static size_t print_findings(json_t *findings, int repairing)
{
	json_t *finding;
	size_t i, n = 0;

	json_array_foreach(findings, i, finding) {
		print_finding(finding, repairing);
		n += !is_info(finding);
	}
	return n;
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void print_checked(struct ctl *ctl _unused_, json_t *reply)
{
	size_t n = print_findings(json_member(reply, "findings"), 0), vms = json_array_size(json_member(reply, "vms"));

	if (json_flag(reply, "truncated"))
		printf("There is more than can be told at once.\n");
	if (n == 0)
		printf("%zu VM%s checked, nothing found\n", vms, plural(vms));
	else
		printf("%zu VM%s checked, %zu finding%s\n", vms, plural(vms), n, plural(n));
}

/* Infos are no findings. */
static enum exit_code judge_findings(json_t *reply)
{
	json_t *findings = json_member(reply, "findings"), *finding;
	size_t i;

	json_array_foreach(findings, i, finding)
		if (!is_info(finding))
			return EXIT_FOUND;
	return EXIT_DONE;
}

static int check(struct ctl *ctl)
{
	json_t *params = json_object();

	param_text(params, "vm", args_word(ctl->args, 0));
	param_switch(params, "deep", ctl->args, "deep");
	return call_job_judged(ctl, "CheckVM", params, print_checked, judge_findings);
}

static void print_repaired(struct ctl *ctl, json_t *reply)
{
	const char *would = args_has(ctl->args, "dry-run") ? "would repair" : "repaired";
	json_t *repairs = json_member(reply, "repairs"), *repair;
	size_t i, left;

	json_array_foreach(repairs, i, repair) {
		_cleanup_free_ char *text = text_clean(json_str(repair, "text") ? json_str(repair, "text") : "");

		printf("%s %s: %s\n", would, json_str(repair, "id") ? json_str(repair, "id") : "?", text);
	}
	left = print_findings(json_member(reply, "findings"), 1);
	if (json_flag(reply, "truncated"))
		printf("There is more than can be told at once.\n");
	printf("%zu %s, %zu left\n", json_array_size(repairs), args_has(ctl->args, "dry-run") ? "to repair" : "repaired",
	       left);
}

static int repair(struct ctl *ctl)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *accept = NULL;
	json_t *params;

	if (args_has(ctl->args, "accept-drift") && !args_word(ctl->args, 0)) {
		err_set(&err, ERR_INVALID, -EINVAL, "--accept-drift needs the VM to be named");
		return report_usage(&err);
	}
	if (args_path(ctl->args, "accept-drift", &accept, &err) < 0)
		return report_usage(&err);
	params = json_object();
	param_text(params, "vm", args_word(ctl->args, 0));
	param_text(params, "acceptDrift", accept);
	param_switch(params, "dryRun", ctl->args, "dry-run");
	return call_job_judged(ctl, "RepairVM", params, print_repaired, judge_findings);
}

static const struct option_row repair_options[] = {
	{ "dry-run", NULL, 0, "only tell what would be done" },
	{ "accept-drift", "FILE", 0, "take the present content of this sealed disk for right" },
	{ NULL, NULL, 0, NULL },
};

static const struct option_row check_options[] = {
	{ "deep", NULL, 0, "read save states and images through" },
	{ NULL, NULL, 0, NULL },
};

const struct command check_commands[] = {
	{ "check", NULL, "[VM]", 0, 1, check_options, COMMAND_JOB, check, "tell whether all is as it should be" },
	{ "repair", NULL, "[VM]", 0, 1, repair_options, COMMAND_JOB, repair, "mend what is safe to mend" },
	{ NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL },
};
