/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store: opening, finding VM directories, and sweeping empty ones. */
#include "layout/store.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "layout/path.h"

#define INDEX_PREFIX "index.sqlite"
#define NAME_BYTES 200 /* leaves room for a suffix below NAME_MAX */
#define SKELETON_DEPTH 3

static int is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Makes path and whatever is missing above it. */
static int make_parents(const char *path, struct err *reterr)
{
	_cleanup_free_ char *parent = NULL;
	int r = path_exists(path);

	if (r < 0)
		return err_file(reterr, r, path, "cannot look at store directory '%s'", path);
	if (r > 0)
		return 0;
	parent = path_dirname(path);
	r = make_parents(parent, reterr);
	if (r < 0)
		return r;
	return dir_make(path, VMDIR_MODE, reterr);
}

static int lock_store(int fd, const char *path, struct err *reterr)
{
	int r = fd_lock(fd);

	if (r == 0)
		return 0;
	if (r != -EBUSY)
		return err_file(reterr, r, path, "cannot lock store '%s'", path);
	return err_full(reterr, ERR_REFUSED, -EBUSY, NULL, path,
			"stop the other vmsnapd, or give this one a store of its own with --store",
			"store '%s' is in use by another vmsnapd", path);
}

int store_open(const char *path, int *ret_lock_fd, struct err *reterr)
{
	_cleanup_free_ char *clean = path_clean(path);
	_cleanup_close_ int fd = -1;
	int r = make_parents(clean, reterr);

	if (r < 0)
		return r;
	fd = open(clean, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_file(reterr, -errno, clean, "cannot open store '%s'", clean);
	if (access(clean, R_OK | W_OK | X_OK) < 0) {
		r = err_file(reterr, -errno, clean, "cannot write to store '%s'", clean);
		err_hint(reterr, "check its owner and mode, and that its file system is mounted read-write");
		return r;
	}
	r = lock_store(fd, clean, reterr);
	if (r < 0)
		return r;
	*ret_lock_fd = TAKE_FD(fd);
	return 0;
}

/* What "Virtual Machines" of one directory holds. */
struct found {
	struct guid guid;
	size_t guids; /* different GUIDs seen */
	int has_config, has_intent;
};

static void found_name(struct found *found, const char *name)
{
	_cleanup_free_ char *text = xstrndup(name, GUID_LEN);
	struct guid guid;
	int config, intent;

	if (guid_parse(text, &guid) < 0 || strcmp(guid.s, text) != 0)
		return;
	config = strcmp(name + GUID_LEN, ".xml") == 0;
	intent = strcmp(name + GUID_LEN, ".op") == 0;
	if (!config && !intent)
		return;
	if (!guid_eq(&found->guid, &guid))
		found->guids++;
	found->guid = guid;
	found->has_config |= config;
	found->has_intent |= intent;
}

/* Looks into one directory of the store. Returns 1 if it is a VM directory. */
static int look_into(const char *root, struct found *ret_found, struct err *reterr)
{
	_cleanup_free_ char *vms = path_join(root, "Virtual Machines");
	_cleanup_strv_ char **names = NULL;
	struct found found = {0};
	int r;

	if (!is_dir(vms))
		return 0;
	r = dir_list(vms, &names, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; names && names[i]; i++)
		found_name(&found, names[i]);
	if (found.guids > 1)
		return err_full(reterr, ERR_BAD_DATA, -ENOTUNIQ, NULL, root, "move all but one of them out of it",
				"VM directory '%s' holds the configurations of %zu VMs", root, found.guids);
	*ret_found = found;
	return found.guids == 1;
}

static void list_add(struct store_list *list, const char *root, const struct found *found)
{
	struct store_entry *entry;

	list->entry = xreallocarray(list->entry, list->n + 1, sizeof(*list->entry));
	entry = &list->entry[list->n++];
	*entry = (struct store_entry){
		.dir = vmdir_new(root, &found->guid),
		.has_config = found->has_config,
		.has_intent = found->has_intent,
	};
	for (size_t i = 0; i + 1 < list->n; i++) {
		if (guid_eq(&list->entry[i].dir->guid, &found->guid))
			list->entry[i].duplicate = entry->duplicate = 1;
	}
}

/* Names in the store that may be VM directories, as absolute paths. */
static int candidates(const char *store, char ***ret_roots, struct err *reterr)
{
	_cleanup_strv_ char **names = NULL, **roots = NULL;
	int r = dir_list(store, &names, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; names && names[i]; i++) {
		_cleanup_free_ char *root = path_join(store, names[i]);

		if (names[i][0] != '.' && is_dir(root))
			strv_push(&roots, TAKE_PTR(root));
	}
	*ret_roots = TAKE_PTR(roots);
	return 0;
}

int store_scan(const char *path, struct store_list *ret_list, char ***ret_problems, struct err *reterr)
{
	_cleanup_strv_ char **roots = NULL, **problems = NULL;
	_cleanup_free_ char *store = path_clean(path);
	struct store_list list = {0};
	int r = candidates(store, &roots, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; roots && roots[i]; i++) {
		_cleanup_err_ struct err err = ERR_INIT;
		struct found found;

		r = look_into(roots[i], &found, &err);
		if (r < 0)
			strv_push(&problems, err_text(&err));
		else if (r > 0)
			list_add(&list, roots[i], &found);
	}
	*ret_list = list;
	if (ret_problems)
		*ret_problems = TAKE_PTR(problems);
	return 0;
}

void store_list_done(struct store_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		vmdir_free(list->entry[i].dir);
	free(list->entry);
	*list = (struct store_list){0};
}

/* The part of a VM's name that can be a directory's name. */
static char *name_for_dir(const char *name)
{
	char *out;
	size_t n = strlen(name);

	if (n > NAME_BYTES) {
		n = NAME_BYTES;
		while (n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80)
			n--; /* not within a UTF-8 character */
	}
	out = n > 0 ? xstrndup(name, n) : xstrdup("vm");
	for (char *p = out; *p; p++) {
		if (*p == '/' || (unsigned char)*p < 0x20 || *p == 0x7f || (p == out && *p == '.'))
			*p = '_';
	}
	return out;
}

char *store_new_vm_path(const char *store, const char *name, const struct guid *guid)
{
	_cleanup_free_ char *dir = name_for_dir(name), *path = path_join(store, dir);
	struct stat st;

	if (strncmp(dir, INDEX_PREFIX, strlen(INDEX_PREFIX)) == 0 || lstat(path, &st) == 0)
		return xasprintf("%s-%.8s", path, guid->s);
	return TAKE_PTR(path);
}

/* 1 if path holds nothing but directories, at most SKELETON_DEPTH deep, and files
 * that were being written. */
static int is_skeleton(const char *path, int depth, struct err *reterr)
{
	_cleanup_strv_ char **names = NULL;
	int r = dir_list(path, &names, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; names && names[i]; i++) {
		_cleanup_free_ char *child = path_join(path, names[i]);
		struct stat st;

		if (lstat(child, &st) < 0)
			return err_file(reterr, -errno, child, "cannot look at '%s'", child);
		if (S_ISREG(st.st_mode) && vmdir_is_temp(names[i]))
			continue;
		if (!S_ISDIR(st.st_mode) || depth == 0)
			return 0;
		r = is_skeleton(child, depth - 1, reterr);
		if (r <= 0)
			return r;
	}
	return 1;
}

/* 1 if a creation that died may have left root: only our names in it. */
static int is_ours(const char *root, struct err *reterr)
{
	_cleanup_strv_ char **names = NULL;
	int r = dir_list(root, &names, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; names && names[i]; i++) {
		if (strcmp(names[i], "Virtual Machines") != 0 && strcmp(names[i], "Snapshots") != 0 &&
		    !vmdir_is_temp(names[i]))
			return 0;
	}
	/* An empty directory may be anybody's. */
	return strv_has(names, "Virtual Machines");
}

static int remove_skeleton(const char *path, struct err *reterr)
{
	_cleanup_strv_ char **names = NULL;
	int r = dir_list(path, &names, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; names && names[i]; i++) {
		_cleanup_free_ char *child = path_join(path, names[i]);

		r = vmdir_is_temp(names[i]) ? file_remove(child, reterr) : remove_skeleton(child, reterr);
		if (r < 0)
			return r;
	}
	return dir_remove(path, reterr);
}

/* Removes root if it is a skeleton. Returns 1 if it was, else 0. */
static int sweep_one(const char *root, struct err *reterr)
{
	int r = is_ours(root, reterr);

	if (r <= 0)
		return r;
	r = is_skeleton(root, SKELETON_DEPTH, reterr);
	if (r <= 0)
		return r;
	r = remove_skeleton(root, reterr);
	return r < 0 ? r : 1;
}

int store_sweep_empty(const char *path, struct err *reterr)
{
	_cleanup_strv_ char **roots = NULL;
	_cleanup_free_ char *store = path_clean(path);
	int n = 0, r = candidates(store, &roots, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; roots && roots[i]; i++) {
		/* A directory that cannot be read or removed is store_scan()'s to report. */
		if (sweep_one(roots[i], NULL) > 0)
			n++;
	}
	return n;
}
