/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/smaps. Format: proc(5). */
#define _GNU_SOURCE
#include "daemon/smaps.h"

#include <inttypes.h>
#include <string.h>

#include "common/alloc.h"

/* "7f..-7f.. rw-p 00000000 00:00 0    [name]" begins a mapping; 0 if the line is none. */
static int parse_head(const char *line, struct mapping *ret)
{
	uint64_t start, end, inode;
	char perms[5];
	int name = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %" SCNu64 " %n", &start, &end, perms, &inode, &name) < 4)
		return 0;
	*ret = (struct mapping){
		.start = start,
		.end = end,
		.writable = perms[1] == 'w',
		.shared = perms[3] == 's',
		.anonymous = inode == 0 && (!line[name] || line[name] == '\n' ||
					    strncmp(line + name, "[anon", strlen("[anon")) == 0),
	};
	return 1;
}

/* What belongs to the mapping that began last. */
static void parse_rest(const char *line, struct mapping *m)
{
	uint64_t kib;

	if (sscanf(line, "Rss: %" SCNu64 " kB", &kib) == 1)
		m->resident = kib << 10;
	else if (strncmp(line, "VmFlags:", strlen("VmFlags:")) == 0 && strstr(line, " uw"))
		m->write_protected = 1;
}

int smaps_read(pid_t pid, struct mapping **ret_list, size_t *ret_n, struct err *reterr)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/smaps", (int)pid), *line = NULL;
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	_cleanup_free_ struct mapping *list = NULL;
	struct mapping next;
	size_t n = 0, room = 0;

	if (!f)
		return err_file(reterr, -errno, path, "cannot read '%s'", path);
	while (getline(&line, &room, f) >= 0) {
		if (parse_head(line, &next)) {
			list = xreallocarray(list, n + 1, sizeof(*list));
			list[n++] = next;
		} else if (n > 0) {
			parse_rest(line, &list[n - 1]);
		}
	}
	if (ferror(f))
		return err_file(reterr, -errno, path, "cannot read '%s'", path);
	*ret_list = TAKE_PTR(list);
	*ret_n = n;
	return 0;
}

int smaps_write_protected(pid_t pid, struct err *reterr)
{
	_cleanup_free_ struct mapping *list = NULL;
	size_t n = 0;
	int found = 0, r = smaps_read(pid, &list, &n, reterr);

	for (size_t i = 0; !r && i < n; i++)
		found += list[i].write_protected;
	return r < 0 ? r : found;
}
