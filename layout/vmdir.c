/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One VM directory: where everything in it is, and its standing directories. */
#include "layout/vmdir.h"

#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "layout/path.h"

#define VMS_NAME "Virtual Machines"
#define SNAPSHOTS_NAME "Snapshots"

struct vmdir *vmdir_new(const char *root, const struct guid *guid)
{
	struct vmdir *vd = xcalloc(1, sizeof(*vd));

	vd->root = path_clean(root);
	vd->guid = *guid;
	return vd;
}

struct vmdir *vmdir_copy(const struct vmdir *vd)
{
	return vmdir_new(vd->root, &vd->guid);
}

void vmdir_free(struct vmdir *vd)
{
	if (!vd)
		return;
	free(vd->root);
	free(vd);
}

char *vmdir_vms_dir(const struct vmdir *vd)
{
	return path_join(vd->root, VMS_NAME);
}

char *vmdir_config(const struct vmdir *vd)
{
	return xasprintf("%s/" VMS_NAME "/%s.xml", vd->root, vd->guid.s);
}

char *vmdir_intent(const struct vmdir *vd)
{
	return xasprintf("%s/" VMS_NAME "/%s.op", vd->root, vd->guid.s);
}

char *vmdir_pause(const struct vmdir *vd)
{
	return xasprintf("%s/" VMS_NAME "/%s.paused", vd->root, vd->guid.s);
}

char *vmdir_state_dir(const struct vmdir *vd)
{
	return xasprintf("%s/" VMS_NAME "/%s", vd->root, vd->guid.s);
}

char *vmdir_state_path(const struct vmdir *vd)
{
	return xasprintf("%s/" VMS_NAME "/%s/%s", vd->root, vd->guid.s, vd->guid.s);
}

char *vmdir_nvram(const struct vmdir *vd)
{
	return xasprintf("%s/" VMS_NAME "/%s/%s_VARS.fd", vd->root, vd->guid.s, vd->guid.s);
}

char *vmdir_snapshots_dir(const struct vmdir *vd)
{
	return path_join(vd->root, SNAPSHOTS_NAME);
}

char *vmdir_avhd_dir(const struct vmdir *vd)
{
	return xasprintf("%s/" SNAPSHOTS_NAME "/%s", vd->root, vd->guid.s);
}

char *vmdir_avhd(const struct vmdir *vd, const struct guid *image)
{
	return xasprintf("%s/" SNAPSHOTS_NAME "/%s/%s.avhd", vd->root, vd->guid.s, image->s);
}

char *vmdir_snapshot_config(const struct vmdir *vd, const struct guid *snap)
{
	return xasprintf("%s/" SNAPSHOTS_NAME "/%s.xml", vd->root, snap->s);
}

char *vmdir_snapshot_dir(const struct vmdir *vd, const struct guid *snap)
{
	return xasprintf("%s/" SNAPSHOTS_NAME "/%s", vd->root, snap->s);
}

char *vmdir_snapshot_file(const struct vmdir *vd, const struct guid *snap, const char *suffix)
{
	return xasprintf("%s/" SNAPSHOTS_NAME "/%s/%s%s", vd->root, snap->s, snap->s, suffix);
}

char *vmdir_store_path(const struct vmdir *vd, const char *absolute)
{
	_cleanup_free_ char *clean = path_clean(absolute);
	const char *below = path_below(clean, vd->root);

	return xstrdup(below ? below : absolute);
}

char *vmdir_resolve(const struct vmdir *vd, const char *pathname)
{
	_cleanup_free_ char *joined = NULL;

	if (pathname[0] == '/')
		return xstrdup(pathname);
	joined = path_join(vd->root, pathname);
	return path_clean(joined);
}

int vmdir_contains(const struct vmdir *vd, const char *absolute)
{
	_cleanup_free_ char *clean = path_clean(absolute);

	return path_below(clean, vd->root) != NULL;
}

char *vmdir_backing_name(const struct vmdir *vd, const char *overlay, const char *backing)
{
	_cleanup_free_ char *clean_overlay = path_clean(overlay), *clean_backing = path_clean(backing);
	_cleanup_free_ char *dir = NULL, *name = NULL;

	if (!path_below(clean_overlay, vd->root) || !path_below(clean_backing, vd->root))
		return xstrdup(backing);
	dir = path_dirname(clean_overlay);
	name = path_relative(dir, clean_backing);
	if (path_has_protocol(name))
		return xasprintf("./%s", name);
	return TAKE_PTR(name);
}

/* The root itself, which must be new. */
static int make_root(const char *root, struct err *reterr)
{
	_cleanup_free_ char *parent = path_dirname(root);
	int r;

	if (mkdir(root, 0700) < 0) {
		r = -errno;
		err_file(reterr, r, root, "cannot make VM directory '%s'", root);
		if (r == -EEXIST)
			err_hint(reterr, "choose another name, or move the directory away");
		return r;
	}
	if (chmod(root, VMDIR_MODE) < 0) {
		r = err_file(reterr, -errno, root, "cannot set the mode of VM directory '%s'", root);
		ignore_result(rmdir(root)); /* the error above is the one to report */
		return r;
	}
	return path_fsync(parent, reterr);
}

int vmdir_make(const struct vmdir *vd, struct err *reterr)
{
	_cleanup_free_ char *vms = vmdir_vms_dir(vd), *state = vmdir_state_dir(vd), *snaps = vmdir_snapshots_dir(vd);
	int r = make_root(vd->root, reterr);

	if (r < 0)
		return r;
	r = dir_make(vms, VMDIR_MODE, reterr);
	if (r >= 0)
		r = dir_make(state, VMDIR_MODE, reterr);
	if (r >= 0)
		r = dir_make(snaps, VMDIR_MODE, reterr);
	if (r < 0) {
		ignore_result(vmdir_remove_empty(vd, NULL)); /* the error above is the one to report */
		return r;
	}
	return 0;
}

/* -ENOTEMPTY with the first entry of dir that is in the way. */
static int refuse_rest(const struct vmdir *vd, const char *dir, struct err *reterr)
{
	_cleanup_strv_ char **names = NULL;
	_cleanup_free_ char *first = NULL;
	int r = dir_list(dir, &names, reterr);

	if (r < 0)
		return r;
	first = names && names[0] ? path_join(dir, names[0]) : xstrdup(dir);
	return err_full(reterr, ERR_REFUSED, -ENOTEMPTY, NULL, first,
			"look at what remains and remove it by hand if it is not needed",
			"VM directory '%s' was not removed: '%s' is still in it", vd->root, first);
}

int vmdir_remove_empty(const struct vmdir *vd, struct err *reterr)
{
	_cleanup_free_ char *vms = vmdir_vms_dir(vd), *state = vmdir_state_dir(vd);
	_cleanup_free_ char *avhds = vmdir_avhd_dir(vd), *snaps = vmdir_snapshots_dir(vd);
	const char *dirs[] = {state, vms, avhds, snaps, vd->root};
	const char *kept = NULL;
	int swept = vmdir_sweep_temps(vd, reterr);

	if (swept < 0)
		return swept;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		_cleanup_err_ struct err err = ERR_INIT;
		int r = dir_remove(dirs[i], &err);

		if (r == -ENOTEMPTY || r == -EEXIST)
			kept = kept ? kept : dirs[i];
		else if (r < 0)
			return err_move(reterr, &err);
	}
	return kept ? refuse_rest(vd, kept, reterr) : 0;
}

/* dir_list() where a missing directory is an empty one. */
static int list_or_nothing(const char *dir, char ***ret_names, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int r = dir_list(dir, ret_names, &err);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_move(reterr, &err);
	return 0;
}

/* 1 if name is "<GUID in upper case><suffix>". */
static int is_guid_file(const char *name, const char *suffix, struct guid *ret_guid)
{
	_cleanup_free_ char *text = xstrndup(name, GUID_LEN);
	struct guid guid;

	if (guid_parse(text, &guid) < 0 || strcmp(guid.s, text) != 0 || strcmp(name + GUID_LEN, suffix) != 0)
		return 0;
	*ret_guid = guid;
	return 1;
}

int vmdir_list_snapshots(const struct vmdir *vd, struct guid **ret_guids, size_t *ret_n, struct err *reterr)
{
	_cleanup_free_ char *dir = vmdir_snapshots_dir(vd);
	_cleanup_strv_ char **names = NULL;
	_cleanup_free_ struct guid *guids = NULL;
	size_t n = 0;
	int r = list_or_nothing(dir, &names, reterr);

	if (r < 0)
		return r;
	guids = xcalloc(strv_count(names) + 1, sizeof(*guids));
	for (size_t i = 0; names && names[i]; i++)
		n += (size_t)is_guid_file(names[i], ".xml", &guids[n]);
	*ret_guids = TAKE_PTR(guids);
	*ret_n = n;
	return 0;
}

int vmdir_list_images(const struct vmdir *vd, char ***ret_paths, struct err *reterr)
{
	_cleanup_free_ char *dir = vmdir_avhd_dir(vd);
	_cleanup_strv_ char **names = NULL, **paths = NULL;
	int r = list_or_nothing(dir, &names, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; names && names[i]; i++) {
		size_t len = strlen(names[i]);

		if (names[i][0] != '.' && len > 5 && strcmp(names[i] + len - 5, ".avhd") == 0)
			strv_push(&paths, path_join(dir, names[i]));
	}
	*ret_paths = TAKE_PTR(paths);
	return 0;
}
