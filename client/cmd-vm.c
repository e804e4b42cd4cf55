/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other vm verbs: what there is, its states, its name, its end. */
#include <stdio.h>
#include <string.h>

#include "client/ask.h"
#include "client/console.h"
#include "client/jobcall.h"
#include "client/output.h"
#include "client/show.h"
#include "common/alloc.h"

static json_t *vm_params(const struct ctl *ctl)
{
	json_t *params = json_object();

	param_text(params, "vm", args_word(ctl->args, 0));
	return params;
}

static void print_list(struct ctl *ctl _unused_, json_t *reply)
{
	static const char *const heads[] = { "NAME", "STATE", "SNAPSHOTS", "NOW", "JOB" };
	_cleanup_(table_freep) struct table *t = table_new(heads, ARRAY_SIZE(heads));
	json_t *vm;
	size_t i;

	json_array_foreach(json_member(reply, "vms"), i, vm) {
		table_add(t, json_str(vm, "name"));
		table_add(t, json_str(vm, "state"));
		table_take(t, xasprintf("%lld", (long long)json_num(vm, "snapshots")));
		table_add(t, json_str(vm, "nowName"));
		table_add(t, json_str(vm, "job"));
	}
	table_print(t, stdout);
}

static int vm_list(struct ctl *ctl)
{
	return query(ctl, "ListVMs", NULL, print_list);
}

static void print_vm(struct ctl *ctl _unused_, json_t *reply)
{
	json_t *vm = json_member(reply, "vm");
	const char *now = json_str(vm, "now"), *now_name = json_str(vm, "nowName");

	print_pair("Name", json_str(vm, "name"));
	print_pair("GUID", json_str(vm, "id"));
	print_pair("State", json_str(vm, "state"));
	print_pair("Job", json_str(vm, "job"));
	print_pair_take("Now", now ? xasprintf("after '%s' (%s)", now_name ? now_name : "?", now) :
				     xstrdup("after no snapshot"));
	print_pair_take("Snapshots", xasprintf("%lld", (long long)json_num(vm, "snapshots")));
	print_pair_take("Memory", show_bytes(vm, "memoryBytes"));
	if (json_has(vm, "vcpus"))
		print_pair_take("VCPUs", xasprintf("%lld", (long long)json_num(vm, "vcpus")));
	print_pair("Firmware", json_str(vm, "firmware"));
	if (json_has(vm, "tpm"))
		print_pair("TPM", json_flag(vm, "tpm") ? "yes" : "no");
	print_pair("Directory", json_str(vm, "directory"));
	print_pair_take("Created", show_time(vm, "createdUSec"));
	print_pair("Disk only", json_str(vm, "memoryBlocker"));
	print_pair("Notes", json_str(vm, "notes"));
	show_problems(json_member(vm, "problems"));
	show_disks(json_member(vm, "disks"));
}

static int vm_show(struct ctl *ctl)
{
	return query(ctl, "GetVM", vm_params(ctl), print_vm);
}

static void print_state(struct ctl *ctl _unused_, json_t *reply)
{
	json_t *vm = json_member(reply, "vm");
	_cleanup_free_ char *name = text_clean(json_str(vm, "name") ? json_str(vm, "name") : "");
	_cleanup_free_ char *state = text_clean(json_str(vm, "state") ? json_str(vm, "state") : "");

	if (vm)
		printf("VM '%s' is %s\n", name, state);
}

static int vm_start(struct ctl *ctl)
{
	json_t *params = vm_params(ctl);

	param_switch(params, "paused", ctl->args, "paused");
	param_switch(params, "discardSaved", ctl->args, "discard-saved");
	param_switch_off(params, "syncTime", ctl->args, "no-sync-time");
	return call_job(ctl, "StartVM", params, print_state);
}

static int vm_shutdown(struct ctl *ctl)
{
	json_t *params = vm_params(ctl);

	param_switch(params, "wait", ctl->args, "wait");
	return call_job(ctl, "ShutdownVM", params, print_state);
}

static int vm_stop(struct ctl *ctl)
{
	return call_job(ctl, "StopVM", vm_params(ctl), print_state);
}

static int vm_save(struct ctl *ctl)
{
	return call_job(ctl, "SaveVM", vm_params(ctl), print_state);
}

static int vm_resume(struct ctl *ctl)
{
	json_t *params = vm_params(ctl);

	param_switch_off(params, "syncTime", ctl->args, "no-sync-time");
	return call_job(ctl, "ResumeVM", params, print_state);
}

static int vm_rename(struct ctl *ctl)
{
	json_t *params = vm_params(ctl);

	param_text(params, "name", args_word(ctl->args, 1));
	return call_job(ctl, "RenameVM", params, print_state);
}

static void print_deleted(struct ctl *ctl, json_t *reply _unused_)
{
	_cleanup_free_ char *name = text_clean(args_word(ctl->args, 0));

	printf("VM '%s' deleted\n", name);
}

static int vm_delete(struct ctl *ctl)
{
	json_t *params;

	if (!args_has(ctl->args, "yes") && can_ask(ctl)) {
		_cleanup_free_ char *name = text_clean(args_word(ctl->args, 0));
		_cleanup_free_ char *question = xasprintf("Delete VM '%s' with its disks and all its snapshots? [y/N] ",
							  name);

		if (ask(question, 'n') != 'y')
			return report_cancelled();
	}
	params = vm_params(ctl);
	param_switch(params, "force", ctl->args, "force");
	return call_job(ctl, "DeleteVM", params, print_deleted);
}

static int vm_console(struct ctl *ctl)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_json_ json_t *params = vm_params(ctl);
	_cleanup_(vl_reply_done) struct vl_reply reply = { 0 };
	const char *path;
	int code;

	code = call_once(ctl, "GetConsole", params, -1, &reply, &err);
	if (code != EXIT_DONE)
		return report(&err, code);
	code = finish_reply(ctl, "GetConsole", &reply, NULL);
	path = json_str(reply.parameters, "path");
	if (code != EXIT_DONE || ctl->json || !path)
		return code;
	if (console_run(path, ctl->quiet, &err) < 0)
		return report(&err, err.kind == ERR_REFUSED ? EXIT_REFUSED : EXIT_FAILED);
	return EXIT_DONE;
}

static const struct option_row start_options[] = {
	{ "paused", NULL, 0, "leave the guest paused" },
	{ "discard-saved", NULL, 0, "start afresh and drop the saved memory" },
	{ "no-sync-time", NULL, 0, "leave the clock of a saved guest at the time of its save" },
	{ NULL, NULL, 0, NULL },
};

static const struct option_row resume_options[] = {
	{ "no-sync-time", NULL, 0, "leave the clock of a saved guest at the time of its save" },
	{ NULL, NULL, 0, NULL },
};

static const struct option_row shutdown_options[] = {
	{ "wait", NULL, 0, "wait until the guest is off" },
	{ NULL, NULL, 0, NULL },
};

static const struct option_row delete_options[] = {
	{ "force", NULL, 0, "even if it runs" },
	{ "yes", NULL, 0, "do not ask" },
	{ NULL, NULL, 0, NULL },
};

const struct command vm_commands[] = {
	{ "vm", "list", "", 0, 0, NULL, 0, vm_list, "list the VMs" },
	{ "vm", "show", "VM", 1, 1, NULL, 0, vm_show, "show one VM with its disks" },
	{ "vm", "start", "VM", 1, 1, start_options, COMMAND_JOB, vm_start, "start a VM, or continue a saved one" },
	{ "vm", "shutdown", "VM", 1, 1, shutdown_options, COMMAND_JOB, vm_shutdown, "ask the guest to shut down" },
	{ "vm", "stop", "VM", 1, 1, NULL, COMMAND_JOB, vm_stop, "end the guest at once, as by a power failure" },
	{ "vm", "save", "VM", 1, 1, NULL, COMMAND_JOB, vm_save, "write the memory to disk and end the guest" },
	{ "vm", "resume", "VM", 1, 1, resume_options, COMMAND_JOB, vm_resume, "let a paused or saved guest run on" },
	{ "vm", "rename", "VM NEWNAME", 2, 2, NULL, COMMAND_JOB, vm_rename, "rename a VM that is off" },
	{ "vm", "delete", "VM", 1, 1, delete_options, COMMAND_JOB, vm_delete, "delete a VM" },
	{ "vm", "console", "VM", 1, 1, NULL, 0, vm_console, "connect to the serial console; Ctrl-] leaves" },
	{ NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL },
};
