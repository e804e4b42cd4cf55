/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules that look at the VM directory itself: what documents name beside disks,
 * what nobody names, modes and owners. */
#include "layout/check.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"

#define MAX_DEPTH 8 /* directories below the VM directory that are walked through */

void check_refs(const struct check_picture *pic, struct check_report *rep)
{
	for (size_t i = 0; i < pic->n_docs; i++) {
		const struct check_doc *doc = pic->doc[i];
		const char *owner = doc->vm ? "VM" : "snapshot";

		for (size_t k = 0; k < doc->n_refs; k++) {
			const struct check_file *ref = &doc->ref[k];
			struct stat st;

			if (stat(ref->path, &st) < 0)
				check_add(rep, ref->missing, ref->path, "'%s' of %s '%s' cannot be read: %s", ref->path, owner,
					  doc->name, strerror(errno));
			else if (ref->size >= 0 && st.st_size != ref->size)
				check_add(rep, ref->drift, ref->path,
					  "'%s' of %s '%s' has %" PRId64 " bytes and had %" PRId64, ref->path, owner, doc->name,
					  (int64_t)st.st_size, ref->size);
		}
	}
}

/* One walk through the VM directory. */
struct walk {
	const struct check_picture *pic;
	struct check_report *rep;
	char *vms, *state, *snaps, *avhds, *quarantine, *pause;
};

static void walk_done(struct walk *w)
{
	free(w->vms);
	free(w->state);
	free(w->snaps);
	free(w->avhds);
	free(w->quarantine);
	free(w->pause);
}

/* The snapshot whose directory path is, if its document is there. */
static int is_snapshot_dir(const struct walk *w, const char *path)
{
	_cleanup_free_ char *dir = path_dirname(path), *document = xasprintf("%s.xml", path);

	if (strcmp(dir, w->snaps) != 0 || !guid_valid(path_basename(path)))
		return 0;
	for (size_t i = 0; i < w->pic->n_docs; i++) /* also one whose document has another name */
		if (!w->pic->doc[i]->vm && strcmp(w->pic->doc[i]->guid.s, path_basename(path)) == 0)
			return 1;
	return path_exists(document) != 0;
}

/* A directory that vmsnap makes. */
static int is_standing(const struct walk *w, const char *path)
{
	return strcmp(path, w->pic->dir->root) == 0 || strcmp(path, w->vms) == 0 || strcmp(path, w->state) == 0 ||
	       strcmp(path, w->snaps) == 0 || strcmp(path, w->avhds) == 0 || is_snapshot_dir(w, path);
}

static void judge_owner(const struct walk *w, const char *path, const struct stat *st)
{
	if (st->st_uid != geteuid())
		check_add(w->rep, CHECK_OWNER, path, "'%s' belongs to user %u, the daemon is user %u", path,
			  (unsigned)st->st_uid, (unsigned)geteuid());
}

/* QEMU's user goes through the standing directories by name; a snapshot's own is the daemon's. */
static void judge_directory(const struct walk *w, const char *path, const struct stat *st)
{
	mode_t mode = st->st_mode & 07777;
	int private = is_snapshot_dir(w, path);

	judge_owner(w, path, st);
	if (mode & (private ? 077 : 022) || (mode & 0700) != 0700)
		check_add(w->rep, CHECK_DIRECTORY_MODE, path, "others may change or look into '%s' (mode %04o)", path,
			  (unsigned)mode);
	else if (!private && (mode & 011) != 011)
		check_add(w->rep, CHECK_DIRECTORY_MODE, path, "QEMU's user may not go through '%s' (mode %04o)", path,
			  (unsigned)mode);
}

static int is_document(const struct check_picture *pic, const char *path)
{
	for (size_t i = 0; i < pic->n_docs; i++)
		if (strcmp(pic->doc[i]->file, path) == 0)
			return 1;
	return 0;
}

static void judge_document(const struct walk *w, const char *path, const struct stat *st)
{
	judge_owner(w, path, st);
	if (st->st_mode & 077)
		check_add(w->rep, CHECK_DOCUMENT_MODE, path, "others may reach into '%s' (mode %04o)", path,
			  (unsigned)st->st_mode & 07777);
}

static int is_empty(const char *path)
{
	_cleanup_strv_ char **names = NULL;

	return dir_list(path, &names, NULL) == 0 && strv_count(names) == 0;
}

static void judge_unused(const struct walk *w, const char *path, const struct stat *st)
{
	_cleanup_free_ char *dir = path_dirname(path);

	if (S_ISREG(st->st_mode) && vmdir_is_temp(path_basename(path)))
		check_add(w->rep, CHECK_TEMPORARY, path, "'%s' was left by a vmsnapd that died while it wrote it", path);
	else if (w->pic->incomplete)
		return;
	else if (S_ISDIR(st->st_mode) && strcmp(dir, w->snaps) == 0 && is_empty(path))
		check_add(w->rep, CHECK_EMPTY_DIRECTORY, path, "'%s' is an empty directory of a snapshot that is gone", path);
	else
		check_add(w->rep, CHECK_ORPHAN, path, "nothing refers to '%s'", path);
}

static void walk_dir(const struct walk *w, const char *dir, int depth)
{
	_cleanup_strv_ char **names = NULL;

	if (dir_list(dir, &names, NULL) < 0)
		return; /* gone, or its mode was told of above */
	for (size_t i = 0; names && names[i]; i++) {
		_cleanup_free_ char *path = path_join(dir, names[i]);
		struct stat st;

		if (lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && is_standing(w, path))
			judge_directory(w, path, &st);
		if (strcmp(path, w->quarantine) == 0)
			check_add(w->rep, CHECK_QUARANTINED, path, "'%s' holds what an earlier repair found unused", path);
		else if (is_document(w->pic, path) || strcmp(path, w->pause) == 0)
			judge_document(w, path, &st);
		else if (!is_standing(w, path) && !check_is_used(w->pic, path))
			judge_unused(w, path, &st);
		else if (S_ISDIR(st.st_mode) && depth < MAX_DEPTH && !strv_has(w->pic->held, path))
			walk_dir(w, path, depth + 1);
	}
}

static void require_directory(const struct walk *w, const char *path, const char *what)
{
	if (path_exists(path) == 0 && !check_has_file(w->rep, path))
		check_add(w->rep, CHECK_DIRECTORY_MISSING, path, "the directory %s is not there", what);
}

/* A directory that should have held a file is not missed for itself. */
static void require_directories(const struct walk *w)
{
	require_directory(w, w->snaps, "of the snapshots");
	for (size_t i = 0; i < w->pic->n_docs; i++) {
		const struct check_doc *doc = w->pic->doc[i];
		_cleanup_free_ char *dir = doc->vm ? xstrdup(w->state) : vmdir_snapshot_dir(w->pic->dir, &doc->guid);
		_cleanup_free_ char *what = xasprintf("of %s '%s'", doc->vm ? "VM" : "snapshot", doc->name);

		if (doc->n_refs == 0)
			require_directory(w, dir, what);
	}
}

void check_files(const struct check_picture *pic, struct check_report *rep)
{
	_cleanup_(walk_done) struct walk w = {
		.pic = pic, .rep = rep, .vms = vmdir_vms_dir(pic->dir), .state = vmdir_state_dir(pic->dir),
		.snaps = vmdir_snapshots_dir(pic->dir), .avhds = vmdir_avhd_dir(pic->dir),
		.quarantine = path_join(pic->dir->root, CHECK_QUARANTINE), .pause = vmdir_pause(pic->dir),
	};
	struct stat st;

	if (lstat(pic->dir->root, &st) == 0)
		judge_directory(&w, pic->dir->root, &st);
	require_directories(&w);
	walk_dir(&w, pic->dir->root, 0);
}
