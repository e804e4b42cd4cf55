/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disk chain, usage; and what snapshot delete --dry-run prints. */
#include "client/cmd-disk.h"

#include <stdio.h>
#include <string.h>

#include "client/connection.h"
#include "client/jobcall.h"
#include "client/output.h"
#include "client/show.h"
#include "common/alloc.h"
#include "common/timefmt.h"

#define STROKE_BYTES 7 /* the longest: two box characters of 3 bytes and a space */

static json_t *vm_params(const struct ctl *ctl)
{
	json_t *params = json_object();

	param_text(params, "vm", args_word(ctl->args, 0));
	return params;
}

/* The part of a path that tells images of one VM apart: the file's name; all of what lies
 * elsewhere. Returns it *owned*. */
static char *short_name(const char *path, int outside)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return text_clean(!path ? "?" : outside || !slash ? path : slash + 1);
}

/* ---- disk chain */

/* An image as it is drawn. */
struct row {
	json_t *image;
	size_t depth; /* how many branches it is away from the first column */
	size_t over;  /* images over it */
	int last;     /* no other branch begins further down */
};

static size_t find_row(const struct row *rows, size_t n, const char *path)
{
	size_t i = 0;

	while (i < n && strcmp(json_str(rows[i].image, "path") ? json_str(rows[i].image, "path") : "", path) != 0)
		i++;
	return i;
}

/* A straight line stays in its column; where several are over one image each begins a
 * branch. Images come after the one below them. */
static struct row *make_rows(json_t *images)
{
	size_t n = json_array_size(images);
	struct row *rows = xcalloc(n + 1, sizeof(*rows));
	_cleanup_free_ size_t *below = xcalloc(n + 1, sizeof(*below));

	for (size_t i = 0; i < n; i++) {
		const char *backing;

		rows[i].image = json_array_get(images, i);
		backing = json_str(rows[i].image, "backing");
		below[i] = backing ? find_row(rows, i, backing) : i;
		if (below[i] < i)
			rows[below[i]].over++;
	}
	for (size_t i = 0; i < n; i++) {
		rows[i].last = 1;
		if (below[i] < i)
			rows[i].depth = rows[below[i]].depth + (rows[below[i]].over > 1);
		for (size_t k = i + 1; k < n && below[i] < i; k++)
			rows[i].last &= below[k] != below[i];
	}
	return rows;
}

/* Whether row i is the first of its branch. */
static int begins_branch(const struct row *rows, size_t i)
{
	return i > 0 && rows[i].depth > 0 && (rows[i].depth > rows[i - 1].depth || rows[i - 1].depth > rows[i].depth ||
					      rows[i - 1].over != 1);
}

/* The strokes before row i; open[d] says whether the branches of depth d go on. *Owned*. */
static char *strokes_of(const struct row *rows, size_t i, char *open, int ascii)
{
	size_t depth = rows[i].depth;
	char *text = xcalloc((depth + 1) * STROKE_BYTES + 1, 1);
	int begins = begins_branch(rows, i);

	if (begins)
		open[depth] = !rows[i].last;
	for (size_t d = 1; d + begins <= depth; d++)
		strcat(text, !open[d] ? "   " : ascii ? "|  " : "│  ");
	if (begins)
		strcat(text, rows[i].last ? ascii ? "`- " : "└─ " : ascii ? "|- " : "├─ ");
	return text;
}

/* "now", "snapshot 'x'", "hidden: ..." *Owned*. */
static char *what_for(json_t *image)
{
	json_t *names = json_member(image, "snapshotNames"), *name;
	_cleanup_free_ char *reason = json_str(image, "reason") ? text_clean(json_str(image, "reason")) : NULL;
	_cleanup_strv_ char **parts = NULL;
	size_t i;

	json_array_foreach(names, i, name) {
		_cleanup_free_ char *clean = text_clean(json_string_value(name) ? json_string_value(name) : "");

		strv_push(&parts, xasprintf("snapshot '%s'", clean));
	}
	if (json_flag(image, "now"))
		strv_push(&parts, xstrdup("now"));
	if (json_flag(image, "hidden"))
		strv_push(&parts, reason ? xasprintf("hidden: %s", reason) : xstrdup("hidden"));
	if (json_flag(image, "orphan"))
		strv_push(&parts, xstrdup("orphan: nothing needs it"));
	if (json_flag(image, "outside") && !json_flag(image, "hidden"))
		strv_push(&parts, xstrdup("outside the VM directory"));
	if (json_flag(image, "shared"))
		strv_push(&parts, xstrdup("shared with another VM"));
	return parts ? strv_join(parts, ", ") : xstrdup("");
}

static void print_rows(const struct row *rows, size_t n, int ascii)
{
	_cleanup_free_ char *open = xcalloc(n + 2, 1);
	_cleanup_strv_ char **texts = NULL;
	size_t width = 0;

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *strokes = strokes_of(rows, i, open, ascii);
		_cleanup_free_ char *name = short_name(json_str(rows[i].image, "path"),
						       json_flag(rows[i].image, "outside"));
		char *text = xasprintf("  %s%s", strokes, name);

		width = text_width(text) > width ? text_width(text) : width;
		strv_push(&texts, text);
	}
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *size = show_bytes(rows[i].image, "allocatedBytes"), *why = what_for(rows[i].image);

		text_pad(stdout, texts[i], width + 3);
		text_pad(stdout, size ? size : "?", 12);
		printf("%s\n", why);
	}
}

static void print_chains(struct ctl *ctl, json_t *reply)
{
	int ascii = args_has(ctl->args, "ascii") || !locale_is_utf8();
	json_t *disk;
	size_t i;

	json_array_foreach(json_member(reply, "disks"), i, disk) {
		json_t *images = json_member(disk, "images");
		_cleanup_free_ struct row *rows = make_rows(images);
		int64_t length = json_num(disk, "length");
		_cleanup_free_ char *target = text_clean(json_str(disk, "target") ? json_str(disk, "target") : "");

		if (i)
			putchar('\n');
		if (length)
			printf("%s: %lld image%s under the VM's disk\n", target, (long long)length,
			       length == 1 ? "" : "s");
		else
			printf("%s: not a disk of the VM now\n", *target ? target : "of no disk");
		print_rows(rows, json_array_size(images), ascii);
	}
}

static int disk_chain(struct ctl *ctl)
{
	return query(ctl, "GetDiskChains", vm_params(ctl), print_chains);
}

/* ---- disk usage */

/* "12 MiB", or "12 MiB to 40 MiB". *Owned*. */
static char *range_text(json_t *obj, const char *from, const char *to)
{
	_cleanup_free_ char *min = bytes_human(json_num(obj, from)), *max = bytes_human(json_num(obj, to));

	return strcmp(min, max) == 0 ? TAKE_PTR(min) : xasprintf("%s to %s", min, max);
}

static void print_usage(struct ctl *ctl _unused_, json_t *reply)
{
	static const char *const heads[] = { "SNAPSHOT", "DISKS", "MEMORY", "DELETING FREES", "AND COPIES" };
	_cleanup_(table_freep) struct table *t = table_new(heads, ARRAY_SIZE(heads));
	json_t *usage = json_member(reply, "usage"), *snapshots = json_member(usage, "snapshots"), *snapshot;
	size_t i;

	json_array_foreach(snapshots, i, snapshot) {
		table_add(t, json_str(snapshot, "name"));
		table_take(t, show_bytes(snapshot, "diskBytes"));
		table_take(t, show_bytes(snapshot, "memoryBytes"));
		table_take(t, range_text(snapshot, "freedMinBytes", "freedMaxBytes"));
		table_take(t, show_bytes(snapshot, "copiedBytes"));
	}
	if (json_array_size(snapshots)) {
		table_print(t, stdout);
		putchar('\n');
	}
	print_pair_take("Now", show_bytes(usage, "nowBytes"));
	print_pair_take("Snapshots", show_bytes(usage, "snapshotBytes"));
	print_pair_take("Hidden", show_bytes(usage, "hiddenBytes"));
	if (json_num(usage, "orphanBytes"))
		print_pair_take("Orphans", show_bytes(usage, "orphanBytes"));
	if (json_num(usage, "outsideBytes"))
		print_pair_take("Of these outside", show_bytes(usage, "outsideBytes"));
	print_pair_take("Memory", show_bytes(usage, "memoryBytes"));
}

static int disk_usage(struct ctl *ctl)
{
	return query(ctl, "GetDiskUsage", vm_params(ctl), print_usage);
}

/* ---- snapshot delete --dry-run */

static void print_action(json_t *action)
{
	const char *why = json_str(action, "reason");
	_cleanup_free_ char *kind = text_clean(json_str(action, "action") ? json_str(action, "action") : "?");
	_cleanup_free_ char *reason = text_clean(why ? why : "");
	_cleanup_free_ char *image = short_name(json_str(action, "image"), 0);
	_cleanup_free_ char *dependant = short_name(json_str(action, "dependant"), 0);
	_cleanup_free_ char *copied = show_bytes(action, "copiedBytes"), *freed = show_bytes(action, "freedBytes");
	int pull = strcmp(kind, "pull") == 0;

	if (pull || strcmp(kind, "commit") == 0)
		printf("  merge   %s into %s (%s, %s%s): %s\n", pull ? image : dependant, pull ? dependant : image, kind,
		       copied ? copied : "?", json_flag(action, "live") ? ", while it runs" : "", reason);
	else if (strcmp(kind, "remove") == 0)
		printf("  remove  %s (%s)\n", image, freed ? freed : "?");
	else
		printf("  %-7s %s: %s\n", kind, image, reason);
}

/* "about 12 s" at the pace that is known or assumed. *Owned*. */
static char *time_text(json_t *plan)
{
	_cleanup_free_ char *rate = show_bytes(plan, "bytesPerSecond");
	long long seconds = json_num(plan, "seconds");
	_cleanup_free_ char *time = seconds < 120  ? xasprintf("%lld s", seconds) :
				    seconds < 7200 ? xasprintf("%lld min", (seconds + 30) / 60) :
						     xasprintf("%.1f h", (double)seconds / 3600);

	return xasprintf("about %s at %s/s, as %s", time, rate ? rate : "?",
			 json_flag(plan, "measured") ? "measured" : "assumed");
}

void print_delete_plan(struct ctl *ctl _unused_, json_t *reply)
{
	json_t *plan = json_member(reply, "plan"), *item;
	_cleanup_free_ char *copied = show_bytes(plan, "copiedBytes"), *time = time_text(plan);
	_cleanup_free_ char *needed = show_bytes(plan, "neededBytes"), *free_now = show_bytes(plan, "availableBytes");
	size_t i;

	if (json_array_size(json_member(plan, "names")) == 0)
		printf("No snapshot would be deleted\n");
	json_array_foreach(json_member(plan, "names"), i, item) {
		_cleanup_free_ char *name = text_clean(json_string_value(item) ? json_string_value(item) : "");

		printf("Snapshot '%s' would be deleted\n", name);
	}
	json_array_foreach(json_member(plan, "actions"), i, item)
		print_action(item);
	print_pair_take("Save states", json_num(plan, "memoryBytes") ? show_bytes(plan, "memoryBytes") : NULL);
	print_pair_take("Taken over", json_num(plan, "foldedBytes") ? show_bytes(plan, "foldedBytes") : NULL);
	if (json_num(plan, "copiedBytes"))
		print_pair_take("Copied", xasprintf("%s at most, %s", copied, time));
	print_pair_take("Needed", xasprintf("%s at worst, %s free", needed ? needed : "?", free_now ? free_now : "?"));
	print_pair_take("Freed", range_text(plan, "freedMinBytes", "freedMaxBytes"));
}

static void print_flattened(struct ctl *ctl, json_t *reply _unused_)
{
	_cleanup_free_ char *vm = text_clean(args_word(ctl->args, 0));

	printf("Disks of VM '%s' flattened\n", vm);
}

static int disk_flatten(struct ctl *ctl)
{
	_cleanup_err_ struct err err = ERR_INIT;
	json_t *params;

	if (args_exclusive(ctl->args, "to", "all", &err) < 0)
		return report_usage(&err);
	params = json_object();
	param_text(params, "vm", args_word(ctl->args, 0));
	param_text(params, "snapshot", args_option(ctl->args, "to"));
	param_switch(params, "force", ctl->args, "force");
	return call_job(ctl, "FlattenDisks", params, print_flattened);
}

static const struct option_row flatten_options[] = {
	{ "to", "SNAPSHOT", 0, "down to the disks of this snapshot, which stay below" },
	{ "all", NULL, 0, "take all; the default" },
	{ "force", NULL, 0, "although there may be too little room" },
	{ NULL, NULL, 0, NULL },
};

static const struct option_row chain_options[] = {
	{ "ascii", NULL, 0, "draw with ASCII characters only" },
	{ NULL, NULL, 0, NULL },
};

const struct command disk_commands[] = {
	{ "disk", "chain", "VM", 1, 1, chain_options, 0, disk_chain, "draw the images of each disk and for whom they are" },
	{ "disk", "flatten", "VM", 1, 1, flatten_options, COMMAND_JOB, disk_flatten,
	  "let the VM's own disks take what is below them" },
	{ "disk", "usage", "VM", 1, 1, NULL, 0, disk_usage, "tell what each snapshot costs and what deleting it frees" },
	{ NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL },
};
