/* SPDX-License-Identifier: GPL-2.0-or-later */
/* snapshot create, list, show, rename, delete. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ask.h"
#include "client/cmd-disk.h"
#include "client/jobcall.h"
#include "client/output.h"
#include "client/show.h"
#include "common/alloc.h"

#define MAX_PAUSE_MSEC 3600000

static json_t *snapshot_params(const struct ctl *ctl)
{
	json_t *params = json_object();

	param_text(params, "vm", args_word(ctl->args, 0));
	param_text(params, "snapshot", args_word(ctl->args, 1));
	return params;
}

/* "34 ms", or NULL if the guest did not stand still. */
static char *pause_text(json_t *snapshot)
{
	int64_t usec = json_num(snapshot, "pauseUSec");

	if (!json_has(snapshot, "pauseUSec"))
		return NULL;
	if (usec >= 10 * 1000 * 1000)
		return xasprintf("%.0f s", (double)usec / 1e6);
	return xasprintf("%.*f ms", usec < 10 * 1000 ? 1 : 0, (double)usec / 1e3);
}

static void print_created(struct ctl *ctl _unused_, json_t *reply)
{
	json_t *snapshot = json_member(reply, "snapshot");
	_cleanup_free_ char *name = text_clean(json_str(snapshot, "name") ? json_str(snapshot, "name") : "");
	_cleanup_free_ char *kind = text_clean(json_str(snapshot, "kind") ? json_str(snapshot, "kind") : "");
	_cleanup_free_ char *size = show_snapshot_size(snapshot);
	_cleanup_free_ char *paused = pause_text(snapshot);

	printf("Snapshot '%s' taken (%s, %s%s%s)\n", name, kind, size, paused ? ", guest paused for " : "",
	       paused ? paused : "");
}

/* At most one way of taking memory. */
static int exclusive_modes(const struct args *args, struct err *reterr)
{
	static const char *const modes[] = { "mode", "live", "paused", "no-memory" };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		for (size_t k = i + 1; !r && k < ARRAY_SIZE(modes); k++)
			r = args_exclusive(args, modes[i], modes[k], reterr);
	return r;
}

static int snapshot_create(struct ctl *ctl)
{
	_cleanup_err_ struct err err = ERR_INIT;
	const struct args *args = ctl->args;
	int64_t max_pause = 0;
	json_t *params;

	if (exclusive_modes(args, &err) < 0 || args_number(args, "max-pause", 0, MAX_PAUSE_MSEC, &max_pause, &err) < 0)
		return report_usage(&err);
	params = snapshot_params(ctl);
	param_text(params, "name", args_option(args, "name"));
	param_text(params, "notes", args_option(args, "notes"));
	if (args_has(args, "no-memory"))
		ignore_result(json_object_set_new(params, "memory", json_false())); /* cannot fail: valid key */
	param_text(params, "mode", args_option(args, "mode"));
	if (args_has(args, "live") || args_has(args, "paused"))
		param_text(params, "mode", args_has(args, "live") ? "live" : "paused");
	param_switch(params, "quiesce", args, "quiesce");
	param_switch(params, "force", args, "force");
	if (args_has(args, "max-pause"))
		param_number(params, "maxPauseMSec", max_pause);
	return call_job(ctl, "CreateSnapshot", params, print_created);
}

static int by_age(const void *a, const void *b)
{
	int64_t first = json_num(*(json_t *const *)a, "createdUSec");
	int64_t second = json_num(*(json_t *const *)b, "createdUSec");

	return (first > second) - (first < second);
}

static void print_list(struct ctl *ctl _unused_, json_t *reply)
{
	static const char *const heads[] = { " ", "NAME", "CREATED", "KIND", "SIZE", "GUID" };
	_cleanup_(table_freep) struct table *t = table_new(heads, ARRAY_SIZE(heads));
	json_t *list = json_member(reply, "snapshots");
	size_t n = json_array_size(list);
	_cleanup_free_ json_t **sorted = xcalloc(n + 1, sizeof(*sorted));

	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(list, i);
	qsort(sorted, n, sizeof(*sorted), by_age);
	for (size_t i = 0; i < n; i++) {
		table_add(t, json_flag(sorted[i], "current") ? "*" : " ");
		table_add(t, json_str(sorted[i], "name"));
		table_take(t, show_time(sorted[i], "createdUSec"));
		table_add(t, json_str(sorted[i], "kind"));
		table_take(t, show_snapshot_size(sorted[i]));
		table_add(t, json_str(sorted[i], "id"));
	}
	table_print(t, stdout);
}

static int snapshot_list(struct ctl *ctl)
{
	return query(ctl, "ListSnapshots", snapshot_params(ctl), print_list);
}

static char *memory_text(json_t *snapshot)
{
	_cleanup_free_ char *size = show_bytes(snapshot, "memoryBytes");

	return xasprintf("%s%s", size ? size : "?", json_flag(snapshot, "packed") ? ", packed" : "");
}

static void print_snapshot(struct ctl *ctl _unused_, json_t *reply)
{
	json_t *snapshot = json_member(reply, "snapshot");

	print_pair("Name", json_str(snapshot, "name"));
	print_pair("GUID", json_str(snapshot, "id"));
	print_pair("VM", json_str(snapshot, "vm"));
	print_pair("Parent", json_has(snapshot, "parent") ? json_str(snapshot, "parent") : "none");
	print_pair_take("Children", xasprintf("%lld", (long long)json_num(snapshot, "children")));
	print_pair("Now", json_flag(snapshot, "current") ? "derives from it" : NULL);
	print_pair_take("Created", show_time(snapshot, "createdUSec"));
	print_pair("Kind", json_str(snapshot, "kind"));
	print_pair("Capture mode", json_str(snapshot, "mode"));
	print_pair("Reason", json_str(snapshot, "reason"));
	print_pair("Level", json_str(snapshot, "level"));
	print_pair_take("Guest paused", pause_text(snapshot));
	if (json_num(snapshot, "memoryBytes") > 0)
		print_pair_take("Memory", memory_text(snapshot));
	print_pair_take("Disks", show_bytes(snapshot, "diskBytes"));
	print_pair("Notes", json_str(snapshot, "notes"));
	show_problems(json_member(snapshot, "problems"));
	show_disks(json_member(snapshot, "disks"));
}

static int snapshot_show(struct ctl *ctl)
{
	return query(ctl, "GetSnapshot", snapshot_params(ctl), print_snapshot);
}

static void print_renamed(struct ctl *ctl, json_t *reply)
{
	json_t *snapshot = json_member(reply, "snapshot");
	_cleanup_free_ char *name = text_clean(json_str(snapshot, "name") ? json_str(snapshot, "name") : "");

	if (!ctl->quiet)
		printf("Snapshot is now called '%s'\n", name);
}

static int snapshot_rename(struct ctl *ctl)
{
	json_t *params = snapshot_params(ctl);

	param_text(params, "name", args_word(ctl->args, 2));
	param_text(params, "notes", args_option(ctl->args, "notes"));
	return query(ctl, "RenameSnapshot", params, print_renamed);
}

static void print_deleted(struct ctl *ctl, json_t *reply _unused_)
{
	_cleanup_free_ char *name = text_clean(args_word(ctl->args, 1));

	if (args_has(ctl->args, "children"))
		printf("All that derived from snapshot '%s' deleted\n", name);
	else
		printf("Snapshot '%s'%s deleted\n", name,
		       args_has(ctl->args, "subtree") ? " and all that derived from it" : "");
}

/* 1 if the user agrees. */
static int ask_delete(const struct ctl *ctl)
{
	_cleanup_free_ char *vm = text_clean(args_word(ctl->args, 0)), *name = text_clean(args_word(ctl->args, 1));
	const char *what = args_has(ctl->args, "children") ? "all that derives from snapshot" : "snapshot";
	const char *more = args_has(ctl->args, "subtree") ? " and all that derives from it" : "";
	_cleanup_free_ char *question = xasprintf("Delete %s '%s'%s of VM '%s'? [y/N] ", what, name, more, vm);

	return ask(question, 'n') == 'y';
}

static int snapshot_delete(struct ctl *ctl)
{
	_cleanup_err_ struct err err = ERR_INIT;
	const struct args *args = ctl->args;
	json_t *params;

	if (args_exclusive(args, "subtree", "children", &err) < 0 ||
	    args_exclusive(args, "dry-run", "no-wait", &err) < 0)
		return report_usage(&err);
	if (!args_has(args, "yes") && !args_has(args, "dry-run") && can_ask(ctl) && !ask_delete(ctl))
		return report_cancelled();
	params = snapshot_params(ctl);
	if (args_has(args, "subtree") || args_has(args, "children"))
		param_text(params, "scope", args_has(args, "subtree") ? "subtree" : "children");
	if (args_has(args, "into-base"))
		json_object_set_new(params, "intoBase", json_true());
	if (args_has(args, "dry-run"))
		return query(ctl, "PlanDelete", params, print_delete_plan);
	param_switch(params, "force", args, "force");
	return call_job(ctl, "DeleteSnapshot", params, print_deleted);
}

static const struct option_row create_options[] = {
	{ "name", "NAME", 0, "its name; else made from the VM's name and the time" },
	{ "notes", "TEXT", 0, "free text" },
	{ "no-memory", NULL, 0, "take the disks only" },
	{ "mode", "MODE", 0, "how memory is taken: background, live or paused; else the best there is" },
	{ "live", NULL, 0, "the same as --mode live" },
	{ "paused", NULL, 0, "the same as --mode paused" },
	{ "max-pause", "MS", 0, "how long a busy guest may stand still in a live capture; 0: no limit" },
	{ "quiesce", NULL, 0, "have the guest agent freeze the file systems" },
	{ "force", NULL, 0, "although there may be too little room" },
	{ NULL, NULL, 0, NULL },
};

static const struct option_row rename_options[] = {
	{ "notes", "TEXT", 0, "replace the notes; an empty text removes them" },
	{ NULL, NULL, 0, NULL },
};

static const struct option_row delete_options[] = {
	{ "subtree", NULL, 0, "delete all that derives from it, too" },
	{ "children", NULL, 0, "delete all that derives from it, but not itself" },
	{ "into-base", NULL, 0, "merge into base disks outside the VM directory as well" },
	{ "dry-run", NULL, 0, "only tell what would be done" },
	{ "force", NULL, 0, "although there may be too little room for merging, which waits then" },
	{ "yes", NULL, 0, "do not ask" },
	{ NULL, NULL, 0, NULL },
};

const struct command snapshot_commands[] = {
	{ "snapshot", "create", "VM", 1, 1, create_options, COMMAND_JOB, snapshot_create, "take a snapshot" },
	{ "snapshot", "list", "VM", 1, 1, NULL, 0, snapshot_list, "list the snapshots, newest last" },
	{ "snapshot", "show", "VM SNAPSHOT", 2, 2, NULL, 0, snapshot_show, "show one snapshot with its disks" },
	{ "snapshot", "rename", "VM SNAPSHOT NEWNAME", 3, 3, rename_options, 0, snapshot_rename, "rename a snapshot" },
	{ "snapshot", "delete", "VM SNAPSHOT", 2, 2, delete_options, COMMAND_JOB, snapshot_delete,
	  "delete a snapshot" },
	{ NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL },
};
