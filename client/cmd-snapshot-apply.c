/* SPDX-License-Identifier: GPL-2.0-or-later */
/* snapshot apply and revert: going back, which replaces the present state. */
#include <stdio.h>

#include "client/ask.h"
#include "client/jobcall.h"
#include "client/output.h"
#include "common/alloc.h"

/* What becomes of the present state: "save", "discard" or NULL, which means
 * that *ret_code is the exit code. */
static const char *choose_present(struct ctl *ctl, int *ret_code)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *vm = text_clean(args_word(ctl->args, 0));
	_cleanup_free_ char *question = NULL;

	*ret_code = EXIT_DONE;
	if (args_exclusive(ctl->args, "discard", "save-current", &err) < 0) {
		*ret_code = report_usage(&err);
		return NULL;
	}
	if (args_has(ctl->args, "discard"))
		return "discard";
	if (args_has(ctl->args, "save-current"))
		return "save";
	if (!can_ask(ctl)) {
		err_set(&err, ERR_INVALID, -EINVAL, "the present state of VM '%s' would be replaced", vm);
		err_hint(&err, "Say --save-current to keep it as a snapshot, or --discard to lose it.");
		*ret_code = report_usage(&err);
		return NULL;
	}
	question = xasprintf("This replaces the present state of VM '%s'.\n"
			     "[s]ave it as a snapshot first, [d]iscard it, or [c]ancel? [s] ",
			     vm);
	switch (ask(question, 's')) {
	case 's':
		return "save";
	case 'd':
		return "discard";
	default:
		*ret_code = report_cancelled();
		return NULL;
	}
}

static void print_applied(struct ctl *ctl _unused_, json_t *reply)
{
	json_t *vm = json_member(reply, "vm"), *saved = json_member(reply, "saved");
	_cleanup_free_ char *name = text_clean(json_str(vm, "name") ? json_str(vm, "name") : "");
	_cleanup_free_ char *now = text_clean(json_str(vm, "nowName") ? json_str(vm, "nowName") : "");
	_cleanup_free_ char *state = text_clean(json_str(vm, "state") ? json_str(vm, "state") : "");

	if (json_str(saved, "name")) {
		_cleanup_free_ char *saved_name = text_clean(json_str(saved, "name"));

		printf("Former state saved as snapshot '%s'\n", saved_name);
	}
	printf("VM '%s' is back at '%s' and %s\n", name, now, state);
}

static int snapshot_apply(struct ctl *ctl)
{
	int code;
	const char *present = choose_present(ctl, &code);
	json_t *params;

	if (!present)
		return code;
	params = json_object();
	param_text(params, "vm", args_word(ctl->args, 0));
	param_text(params, "snapshot", args_word(ctl->args, 1));
	param_text(params, "present", present);
	param_switch_off(params, "syncTime", ctl->args, "no-sync-time");
	param_switch(params, "force", ctl->args, "force");
	return call_job(ctl, "ApplySnapshot", params, print_applied);
}

static int snapshot_revert(struct ctl *ctl)
{
	int code;
	const char *present = choose_present(ctl, &code);
	json_t *params;

	if (!present)
		return code;
	params = json_object();
	param_text(params, "vm", args_word(ctl->args, 0));
	param_text(params, "present", present);
	param_switch_off(params, "syncTime", ctl->args, "no-sync-time");
	param_switch(params, "force", ctl->args, "force");
	return call_job(ctl, "RevertVM", params, print_applied);
}

static const struct option_row present_options[] = {
	{ "discard", NULL, 0, "lose the present state" },
	{ "save-current", NULL, 0, "save the present state as a snapshot first" },
	{ "no-sync-time", NULL, 0, "leave the guest's clock at the time of the snapshot" },
	{ "force", NULL, 0, "although there may be too little room" },
	{ NULL, NULL, 0, NULL },
};

const struct command present_commands[] = {
	{ "snapshot", "apply", "VM SNAPSHOT", 2, 2, present_options, COMMAND_JOB, snapshot_apply,
	  "make a snapshot the present state" },
	{ "snapshot", "revert", "VM", 1, 1, present_options, COMMAND_JOB, snapshot_revert,
	  "apply the snapshot that now derives from" },
	{ NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL },
};
