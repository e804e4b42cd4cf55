/* SPDX-License-Identifier: GPL-2.0-or-later */
/* savestate info, verify, extract, diff, pack, unpack. */
#include <stdio.h>
#include <string.h>

#include "client/jobcall.h"
#include "client/output.h"
#include "client/show.h"
#include "common/alloc.h"
#include "common/timefmt.h"

/* Says in reterr that either a snapshot or --saved must be there. Returns -EINVAL. */
static int refuse_words(const struct args *args, struct err *reterr)
{
	err_set(reterr, ERR_INVALID, -EINVAL, args_has(args, "saved") ? "a snapshot and --saved exclude each other" :
									"it is not said which save state is meant");
	err_hint(reterr, "Name a snapshot, or say --saved for the save state of the VM itself.");
	return -EINVAL;
}

/* VM and snapshot, the word at `at`, as `key`; with --saved the snapshot stays away.
 * *ret_params *owned*. Returns 0 or -EINVAL. */
_must_check_ static int savestate_params(const struct ctl *ctl, size_t at, const char *key, json_t **ret_params,
					 struct err *reterr)
{
	const char *snapshot = args_word(ctl->args, at);

	if (!snapshot == !args_has(ctl->args, "saved"))
		return refuse_words(ctl->args, reterr);
	*ret_params = json_object();
	param_text(*ret_params, "vm", args_word(ctl->args, 0));
	param_text(*ret_params, key, snapshot);
	return 0;
}

/* "snapshot 'x'" or "VM 'x'", whose save state was asked for. Returns it *owned*. */
static char *owner_text(const struct ctl *ctl)
{
	int saved = args_has(ctl->args, "saved");
	_cleanup_free_ char *name = text_clean(args_word(ctl->args, saved ? 0 : 1));

	return xasprintf("%s '%s'", saved ? "VM" : "snapshot", name);
}

/* "1234 pages (4.8 MiB)" of a member in pages, or NULL if it is absent. */
static char *pages_text(json_t *obj, const char *key)
{
	_cleanup_free_ char *size = NULL;

	if (!json_has(obj, key))
		return NULL;
	size = bytes_human(json_num(obj, key) * json_num(obj, "pageBytes"));
	return xasprintf("%lld pages (%s)", (long long)json_num(obj, key), size);
}

static void print_blocks(json_t *blocks)
{
	static const char *const heads[] = { "BLOCK", "SIZE", "OFFSET" };
	_cleanup_(table_freep) struct table *t = table_new(heads, ARRAY_SIZE(heads));
	json_t *block;
	size_t i;

	if (json_array_size(blocks) == 0)
		return;
	json_array_foreach(blocks, i, block) {
		table_add(t, json_str(block, "name"));
		table_take(t, show_bytes(block, "bytes"));
		table_take(t, xasprintf("%#llx", (unsigned long long)json_num(block, "offset")));
	}
	table_print(t, stdout);
}

/* "PATH (12 MiB)", with the size on disk where it is known. */
static char *file_text(json_t *state, const char *path, const char *bytes, const char *allocated)
{
	_cleanup_free_ char *size = show_bytes(state, bytes), *disk = allocated ? show_bytes(state, allocated) : NULL;

	if (!json_str(state, path))
		return NULL;
	return xasprintf("%s (%s%s%s)", json_str(state, path), size ? size : "missing", disk ? ", on disk " : "",
			 disk ? disk : "");
}

static char *parent_text(json_t *state)
{
	if (!json_has(state, "parent"))
		return NULL;
	if (!json_has(state, "parentName"))
		return xstrdup(json_str(state, "parent"));
	return xasprintf("'%s' (%s)", json_str(state, "parentName"), json_str(state, "parent"));
}

static void print_info(struct ctl *ctl _unused_, json_t *reply)
{
	json_t *state = json_member(reply, "saveState");

	print_pair("Form", json_str(state, "form"));
	print_pair_take("File", file_text(state, "path", "bytes", NULL));
	print_pair_take("Memory file", file_text(state, "memoryPath", "memoryBytes", "memoryAllocatedBytes"));
	print_pair("Packed", json_flag(state, "memoryPacked") ? "yes" : NULL);
	print_pair_take("Parent", parent_text(state));
	if (json_has(state, "chain"))
		print_pair_take("Put together", xasprintf("from %lld save state%s", (long long)json_num(state, "chain"),
							  json_num(state, "chain") == 1 ? "" : "s"));
	print_pair_take("Recorded", xasprintf("%lld bytes, checksum %s", (long long)json_num(state, "recordedBytes"),
					      json_str(state, "checksum") ? json_str(state, "checksum") : "?"));
	print_pair("Domain", json_str(state, "domain"));
	print_pair_take("Data", pages_text(state, "dataPages"));
	print_pair_take("Zero", pages_text(state, "zeroPages"));
	print_pair_take("As in parent", pages_text(state, "parentPages"));
	print_pair_take("Absent", pages_text(state, "absentPages"));
	show_problems(json_member(state, "problems"));
	print_blocks(json_member(state, "blocks"));
}

static int savestate_info(struct ctl *ctl)
{
	_cleanup_err_ struct err err = ERR_INIT;
	json_t *params;

	if (savestate_params(ctl, 1, "snapshot", &params, &err) < 0)
		return report_usage(&err);
	return query(ctl, "GetSaveState", params, print_info);
}

static void print_verified(struct ctl *ctl, json_t *reply _unused_)
{
	_cleanup_free_ char *owner = owner_text(ctl);

	printf("Save state of %s is sound\n", owner);
}

static int savestate_verify(struct ctl *ctl)
{
	_cleanup_err_ struct err err = ERR_INIT;
	json_t *params;

	if (savestate_params(ctl, 1, "snapshot", &params, &err) < 0)
		return report_usage(&err);
	return call_job(ctl, "VerifySaveState", params, print_verified);
}

static void print_extracted(struct ctl *ctl, json_t *reply)
{
	_cleanup_free_ char *owner = owner_text(ctl), *file = text_clean(args_option(ctl->args, "ram"));
	_cleanup_free_ char *size = show_bytes(reply, "bytes"), *disk = show_bytes(reply, "allocatedBytes");

	printf("Memory of %s is in '%s' (%s, on disk %s)\n", owner, file, size ? size : "?", disk ? disk : "?");
	print_blocks(json_member(reply, "blocks"));
}

static int savestate_extract(struct ctl *ctl)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *path = NULL;
	json_t *params;

	if (args_path(ctl->args, "ram", &path, &err) < 0 || savestate_params(ctl, 1, "snapshot", &params, &err) < 0)
		return report_usage(&err);
	param_text(params, "path", path);
	return call_job(ctl, "ExtractMemory", params, print_extracted);
}

static void print_difference(struct ctl *ctl _unused_, json_t *reply)
{
	json_t *difference = json_member(reply, "difference");

	print_pair_take("Same", pages_text(difference, "samePages"));
	print_pair_take("Changed", pages_text(difference, "changedPages"));
	print_pair_take("Only first", pages_text(difference, "onlyFirstPages"));
	print_pair_take("Only second", pages_text(difference, "onlySecondPages"));
}

static int savestate_diff(struct ctl *ctl)
{
	_cleanup_err_ struct err err = ERR_INIT;
	json_t *params;

	if (savestate_params(ctl, 2, "second", &params, &err) < 0)
		return report_usage(&err);
	param_text(params, "first", args_word(ctl->args, 1));
	return call_job(ctl, "CompareSaveStates", params, print_difference);
}

static void print_packed(struct ctl *ctl, json_t *reply)
{
	_cleanup_free_ char *owner = owner_text(ctl);
	json_t *state = json_member(reply, "saveState");
	_cleanup_free_ char *disk = show_bytes(state, "memoryAllocatedBytes");

	printf("Memory of %s is %s: %s on disk\n", owner, json_flag(state, "memoryPacked") ? "packed" : "flat",
	       disk ? disk : "?");
}

static json_t *snapshot_params(const struct ctl *ctl)
{
	json_t *params = json_object();

	param_text(params, "vm", args_word(ctl->args, 0));
	param_text(params, "snapshot", args_word(ctl->args, 1));
	return params;
}

static int savestate_pack(struct ctl *ctl)
{
	return call_job(ctl, "PackSaveState", snapshot_params(ctl), print_packed);
}

static int savestate_unpack(struct ctl *ctl)
{
	return call_job(ctl, "UnpackSaveState", snapshot_params(ctl), print_packed);
}

#define SAVED { "saved", NULL, 0, "the save state of the VM itself, which is saved" }

static const struct option_row saved_options[] = {
	SAVED,
	{ NULL, NULL, 0, NULL },
};

static const struct option_row extract_options[] = {
	{ "ram", "FILE", OPTION_REQUIRED, "the file to make; it must not be there yet" },
	SAVED,
	{ NULL, NULL, 0, NULL },
};

const struct command savestate_commands[] = {
	{ "savestate", "info", "VM [SNAPSHOT]", 1, 2, saved_options, 0, savestate_info,
	  "tell what a save state consists of" },
	{ "savestate", "verify", "VM [SNAPSHOT]", 1, 2, saved_options, COMMAND_JOB, savestate_verify,
	  "read a save state through and compare checksums" },
	{ "savestate", "extract", "VM [SNAPSHOT]", 1, 2, extract_options, COMMAND_JOB, savestate_extract,
	  "write the memory of a save state to a file" },
	{ "savestate", "diff", "VM SNAPSHOT [OTHER]", 2, 3, saved_options, COMMAND_JOB, savestate_diff,
	  "compare the memory of two save states" },
	{ "savestate", "pack", "VM SNAPSHOT", 2, 2, NULL, COMMAND_JOB, savestate_pack,
	  "compress the memory of a save state on disk" },
	{ "savestate", "unpack", "VM SNAPSHOT", 2, 2, NULL, COMMAND_JOB, savestate_unpack,
	  "make the memory of a save state flat again" },
	{ NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL },
};
