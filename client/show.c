/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How values of the interface look to people. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/output.h"
#include "client/show.h"
#include "common/alloc.h"
#include "common/timefmt.h"

char *show_time(json_t *obj, const char *key)
{
	int64_t usec = json_num(obj, key);

	return usec > 0 ? time_short(usec) : NULL;
}

char *show_bytes(json_t *obj, const char *key)
{
	return json_has(obj, key) ? bytes_human(json_num(obj, key)) : NULL;
}

char *show_snapshot_size(json_t *snapshot)
{
	_cleanup_free_ char *disk = bytes_human(json_num(snapshot, "diskBytes"));
	_cleanup_free_ char *memory = NULL;

	if (json_num(snapshot, "memoryBytes") <= 0)
		return TAKE_PTR(disk);
	memory = bytes_human(json_num(snapshot, "memoryBytes"));
	return xasprintf("%s + %s", memory, disk);
}

char *show_operation(const char *method)
{
	char *text = xcalloc(strlen(method) * 2 + 1, 1), *to = text;

	for (const char *from = method; *from; from++) {
		int capital = isupper((unsigned char)*from);

		/* The second letter of "VM" begins no word. */
		if (capital && from > method && !isupper((unsigned char)from[-1]))
			*to++ = ' ';
		*to++ = capital && !isupper((unsigned char)from[1]) && from[1] ? (char)tolower(*from) : *from;
	}
	return text;
}

static void show_image(size_t level, json_t *image)
{
	_cleanup_free_ char *path = text_clean(json_str(image, "path") ? json_str(image, "path") : "?");
	_cleanup_free_ char *format = text_clean(json_str(image, "format") ? json_str(image, "format") : "?");
	_cleanup_free_ char *allocated = show_bytes(image, "allocatedBytes");
	_cleanup_free_ char *virtual = show_bytes(image, "virtualBytes");

	printf("  %*s%s  (%s", (int)(level * 2), "", path, format);
	if (allocated)
		printf(", %s on disk", allocated);
	if (virtual)
		printf(", %s for the guest", virtual);
	fputs(")\n", stdout);
}

static void show_disk(json_t *disk)
{
	_cleanup_free_ char *target = text_clean(json_str(disk, "target") ? json_str(disk, "target") : "?");
	_cleanup_free_ char *reason = text_clean(json_str(disk, "reason") ? json_str(disk, "reason") : "not managed");
	json_t *chain = json_member(disk, "chain"), *image;
	size_t i;

	if (json_flag(disk, "managed"))
		printf("Disk %s:\n", target);
	else
		printf("Disk %s, left alone: %s\n", target, reason);
	if (json_array_size(chain) == 0)
		show_image(0, disk);
	json_array_foreach(chain, i, image)
		show_image(i, image);
}

void show_disks(json_t *disks)
{
	json_t *disk;
	size_t i;

	json_array_foreach(disks, i, disk)
		show_disk(disk);
}

void show_problems(json_t *problems)
{
	json_t *problem;
	size_t i;

	json_array_foreach(problems, i, problem)
		print_pair("Problem", json_string_value(problem));
}
