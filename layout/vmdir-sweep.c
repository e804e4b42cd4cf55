/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Temporary files that a killed process left in a VM directory. */
#include "layout/vmdir.h"

#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"

static int ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

int vmdir_is_temp(const char *name)
{
	_cleanup_free_ char *guid = NULL;

	if (name[0] != '.' || !ends_with(name, ".tmp"))
		return 0;
	guid = xstrndup(name + 1, GUID_LEN);
	return guid_valid(guid) || ends_with(name, ".qcow2.tmp");
}

/* Removes the temporary files in dir, which may be missing; adds to *n. */
static int sweep_dir(const char *dir, int *n, struct err *reterr)
{
	_cleanup_strv_ char **names = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	int r = dir_list(dir, &names, &err);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_move(reterr, &err);
	for (size_t i = 0; names && names[i]; i++) {
		_cleanup_free_ char *path = path_join(dir, names[i]);
		struct stat st;

		if (!vmdir_is_temp(names[i]) || lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		r = file_remove(path, reterr);
		if (r < 0)
			return r;
		++*n;
	}
	return 0;
}

/* The directories named by a GUID in Snapshots: the images and each save state. */
static int sweep_snapshots(const char *snaps, int *n, struct err *reterr)
{
	_cleanup_strv_ char **names = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	int r = dir_list(snaps, &names, &err);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_move(reterr, &err);
	for (size_t i = 0; names && names[i]; i++) {
		_cleanup_free_ char *dir = path_join(snaps, names[i]);
		struct stat st;

		if (!guid_valid(names[i]) || lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		r = sweep_dir(dir, n, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

int vmdir_sweep_temps(const struct vmdir *vd, struct err *reterr)
{
	_cleanup_free_ char *vms = vmdir_vms_dir(vd), *state = vmdir_state_dir(vd), *snaps = vmdir_snapshots_dir(vd);
	const char *dirs[] = {vd->root, vms, state, snaps};
	int n = 0, r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(dirs); i++)
		r = sweep_dir(dirs[i], &n, reterr);
	if (r >= 0)
		r = sweep_snapshots(snaps, &n, reterr);
	return r < 0 ? r : n;
}
