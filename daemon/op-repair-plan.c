/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From what a check found to what a repair does: rows of the intent record,
 * "STEP.N" and, where it takes one, "STEP.N.mode". */
#define _GNU_SOURCE
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/timefmt.h"
#include "daemon/op-repair.h"

#define MAX_ROWS 1500 /* the rest is for the next repair: a record is bounded */

int repair_is_inside(const struct vmdir *dir, const char *path)
{
	_cleanup_free_ char *root = realpath(dir->root, NULL), *real = realpath(path, NULL);
	size_t n = root ? strlen(root) : 0;

	return root && real && strncmp(real, root, n) == 0 && (real[n] == '/' || real[n] == '\0');
}

struct planning {
	const struct vmdir *dir;
	const struct repair_options *opts;
	struct intent *in;
	struct check_report *done;
	long rows;
	int accepted;
};

/* The next row of a step. */
static void add_row(struct planning *p, const char *step, const char *file, int mode)
{
	_cleanup_free_ char *count = xasprintf("%s.count", step), *stored = vmdir_store_path(p->dir, file);
	const char *before = intent_get(p->in, count);
	long n = before ? strtol(before, NULL, 10) : 0;
	_cleanup_free_ char *key = xasprintf("%s.%ld", step, n), *mode_key = xasprintf("%s.%ld.mode", step, n);

	intent_set(p->in, key, "%s", stored);
	if (mode >= 0)
		intent_set(p->in, mode_key, "%d", mode);
	intent_set(p->in, count, "%ld", n + 1);
	p->rows++;
}

/* The directory of a snapshot is the daemon's own; through the others QEMU's user goes. */
static int directory_mode(const struct planning *p, const char *path)
{
	_cleanup_free_ char *snaps = vmdir_snapshots_dir(p->dir), *avhds = vmdir_avhd_dir(p->dir);
	_cleanup_free_ char *above = path_dirname(path);

	return strcmp(above, snaps) == 0 && strcmp(path, avhds) != 0 ? 0700 : VMDIR_MODE;
}

static int image_mode(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (int)(st.st_mode & 0770) : 0600;
}

static void plan_mode(struct planning *p, const struct check_finding *f, int mode)
{
	if (!repair_is_inside(p->dir, f->file))
		return;
	add_row(p, "modes", f->file, mode);
	check_add(p->done, f->id, f->file, "'%s' gets mode %04o", f->file, (unsigned)mode);
}

static void plan_file(struct planning *p, const struct check_finding *f, const char *step, int mode, const char *what)
{
	_cleanup_free_ char *above = path_dirname(f->file);

	if (!repair_is_inside(p->dir, above))
		return;
	add_row(p, step, f->file, mode);
	check_add(p->done, f->id, f->file, "'%s' %s", f->file, what);
}

static void plan_drift(struct planning *p, const struct check_finding *f)
{
	if (!p->opts->accept || strcmp(p->opts->accept, f->file) != 0)
		return;
	p->accepted = 1;
	add_row(p, "seals", f->file, -1);
	check_add(p->done, f->id, f->file, "the present content of '%s' is taken for right from now on", f->file);
}

static void plan_one(struct planning *p, const struct check_finding *f)
{
	switch (f->id) {
	case CHECK_SEAL_MODE:
		plan_mode(p, f, SEALED_MODE);
		break;
	case CHECK_DOCUMENT_MODE:
		plan_mode(p, f, 0600);
		break;
	case CHECK_DIRECTORY_MODE:
		plan_mode(p, f, directory_mode(p, f->file));
		break;
	case CHECK_IMAGE_MODE:
		plan_mode(p, f, image_mode(f->file));
		break;
	case CHECK_DIRECTORY_MISSING:
		plan_file(p, f, "directories", directory_mode(p, f->file), "is made");
		break;
	case CHECK_EMPTY_DIRECTORY:
		plan_file(p, f, "directories", -1, "is removed");
		break;
	case CHECK_TEMPORARY:
		plan_file(p, f, "temporaries", -1, "is removed");
		break;
	case CHECK_ORPHAN:
		plan_file(p, f, "quarantine", -1, "is moved into the directory " CHECK_QUARANTINE);
		break;
	case CHECK_SEAL_DRIFT:
		plan_drift(p, f);
		break;
	case CHECK_DOMAIN_MISSING:
		intent_set(p->in, "domain", "1");
		check_add(p->done, f->id, NULL, "the domain is defined from the configuration");
		break;
	case CHECK_INDEX:
		intent_set(p->in, "index", "1");
		check_add(p->done, f->id, NULL, "the index is read anew from the documents");
		break;
	case CHECK_UNFINISHED:
		check_add(p->done, f->id, f->file, "the interrupted operation is settled");
		break;
	default: /* is left alone */
		break;
	}
}

/* "Quarantine/2026-11-21T16:50:03+00:00", with a number where there is one of that second. */
static int plan_quarantine(struct planning *p, struct err *reterr)
{
	_cleanup_free_ char *above = path_join(p->dir->root, CHECK_QUARANTINE), *stamp = time_iso(time_now_usec());
	_cleanup_free_ char *path = path_join(above, stamp), *stored = NULL;
	struct stat st;

	if (!intent_get(p->in, "quarantine.count"))
		return 0;
	if (lstat(above, &st) == 0 && !S_ISDIR(st.st_mode))
		return err_full(reterr, ERR_REFUSED, -ENOTDIR, NULL, above, "Move it away",
				"orphans cannot be moved into '%s', which is no directory", above);
	for (int n = 2; path_exists(path) != 0 && n < 1000; n++) {
		cleanup_free(&path);
		path = xasprintf("%s/%s-%d", above, stamp, n);
	}
	stored = vmdir_store_path(p->dir, path);
	intent_set(p->in, "quarantine.into", "%s", stored);
	return 0;
}

int repair_plan(const struct vmdir *dir, const struct check_report *found, const struct repair_options *opts,
		struct intent *in, struct check_report *done, struct err *reterr)
{
	struct planning p = { .dir = dir, .opts = opts, .in = in, .done = done };

	for (size_t i = 0; i < found->n && p.rows < MAX_ROWS; i++)
		plan_one(&p, &found->finding[i]);
	if (opts->accept && !p.accepted)
		return err_full(reterr, ERR_INVALID, -EINVAL, NULL, opts->accept,
				"'vmsnapctl check' names the sealed disks that are not what they were",
				"'%s' is not a sealed disk that has changed since it was sealed", opts->accept);
	return plan_quarantine(&p, reterr);
}
