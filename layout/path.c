/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Path names as text. */
#include "layout/path.h"

#include <string.h>

#include "common/alloc.h"

/* Length of out without its last component; base is the length that must stay. */
static size_t drop_last(const char *out, size_t len, size_t base)
{
	while (len > base && out[len - 1] != '/')
		len--;
	return len > base ? len - 1 : len;
}

static int last_is_dotdot(const char *out, size_t len)
{
	return len >= 2 && out[len - 1] == '.' && out[len - 2] == '.' && (len == 2 || out[len - 3] == '/');
}

char *path_clean(const char *path)
{
	size_t base = path[0] == '/' ? 1 : 0;
	char *out = xcalloc(strlen(path) + 2, 1);
	size_t len = base;

	if (base)
		out[0] = '/';
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && path[0] == '.' && path[1] == '.' && (base || (len > 0 && !last_is_dotdot(out, len)))) {
			len = drop_last(out, len, base);
		} else if (n > 0 && !(n == 1 && path[0] == '.')) {
			if (len > base)
				out[len++] = '/';
			memcpy(out + len, path, n);
			len += n;
		}
		path += n;
		path += strspn(path, "/");
	}
	if (len == 0)
		out[len++] = '.';
	out[len] = '\0';
	return out;
}

const char *path_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (n == 1 && dir[0] == '/')
		return path[0] == '/' && path[1] ? path + 1 : NULL;
	if (strncmp(path, dir, n) != 0 || path[n] != '/' || !path[n + 1])
		return NULL;
	return path + n + 1;
}

/* Length of the directories that both have in common, up to and with the slash. */
static size_t common_prefix(const char *dir, const char *path)
{
	size_t i = 0, common = 0;

	for (; dir[i] && dir[i] == path[i]; i++) {
		if (dir[i] == '/')
			common = i + 1;
	}
	if (!dir[i] && path[i] == '/')
		common = i + 1;
	return common;
}

char *path_relative(const char *dir, const char *path)
{
	size_t common = common_prefix(dir, path);
	size_t ups = 0, dir_len = strlen(dir), rest = strlen(path + common), len = 0;
	char *out;

	for (size_t i = common; i < dir_len; i++) {
		if (dir[i] == '/' || i + 1 == dir_len)
			ups++;
	}
	out = xcalloc(ups * 3 + rest + 2, 1);
	for (size_t i = 0; i < ups; i++, len += 3)
		memcpy(out + len, "../", 3);
	memcpy(out + len, path + common, rest);
	if (ups == 0 && rest == 0)
		out[0] = '.';
	return out;
}

int path_has_protocol(const char *name)
{
	return name[strcspn(name, ":/")] == ':';
}

size_t path_place(const void *items, size_t n, size_t size, const char *path, int *ret_found)
{
	size_t low = 0, high = n;

	*ret_found = 0;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		char *const *name = (const void *)((const char *)items + mid * size);
		int order = strcmp(*name, path);

		if (order == 0) {
			*ret_found = 1;
			return mid;
		}
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}
