/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps of a repair. Each row of a step is whole in itself: a mode, a directory,
 * a rename, a document that is replaced. What a dead repair did stays, what it did not
 * is found by the next check. */
#define _GNU_SOURCE
#include "daemon/op-repair.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/timefmt.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "layout/image.h"
#include "layout/path.h"

/* Path of a row, *owned*, or NULL after the last. */
static char *row(const struct op *op, const char *step, int64_t i)
{
	_cleanup_free_ char *count = xasprintf("%s.count", step);
	_cleanup_free_ char *key = xasprintf("%s.%lld", step, (long long)i);

	return i < op_int(op, count, 0) ? op_path(op, key) : NULL;
}

static mode_t row_mode(const struct op *op, const char *step, int64_t i, int *ret_named)
{
	_cleanup_free_ char *key = xasprintf("%s.%lld.mode", step, (long long)i);
	int64_t mode = op_int(op, key, -1);

	*ret_named = mode >= 0;
	return (mode_t)(mode & 07777);
}

/* Through a descriptor that follows no link: the file is the one that was looked at. */
static int set_mode(const char *path, mode_t mode, struct err *reterr)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT || errno == ELOOP ? 0 : err_file(reterr, errno, path, "cannot open '%s'", path);
	if (fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		return 0;
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return err_file(reterr, errno, path, "cannot set the mode of '%s'", path);
	return 0;
}

static int modes_run(struct op *op, struct err *reterr)
{
	int r = 0;

	for (int64_t i = 0; !r; i++) {
		_cleanup_free_ char *path = row(op, "modes", i);
		int named;
		mode_t mode = row_mode(op, "modes", i, &named);

		if (!path)
			break;
		if (named && repair_is_inside(op->m->dir, path))
			r = set_mode(path, mode, reterr);
	}
	return r;
}

static int directories_run(struct op *op, struct err *reterr)
{
	int r = 0;

	for (int64_t i = 0; !r; i++) {
		_cleanup_free_ char *path = row(op, "directories", i), *above = path ? path_dirname(path) : NULL;
		_cleanup_err_ struct err err = ERR_INIT;
		int named;
		mode_t mode = row_mode(op, "directories", i, &named);

		if (!path)
			break;
		if (!repair_is_inside(op->m->dir, above))
			continue;
		r = named ? dir_make(path, mode, &err) : dir_remove(path, &err);
		if (r == -ENOTEMPTY || r == -EEXIST)
			r = 0; /* somebody put something there: the next check tells */
		if (r < 0)
			return err_move(reterr, &err);
	}
	return r;
}

static int temporaries_run(struct op *op, struct err *reterr)
{
	int r = 0;

	for (int64_t i = 0; !r; i++) {
		_cleanup_free_ char *path = row(op, "temporaries", i), *above = path ? path_dirname(path) : NULL;
		struct stat st;

		if (!path)
			break;
		if (repair_is_inside(op->m->dir, above) && vmdir_is_temp(path_basename(path)) && lstat(path, &st) == 0 &&
		    S_ISREG(st.st_mode))
			r = file_remove(path, reterr);
	}
	return r;
}

/* dir and what it lies in, below the VM directory. */
static int make_directories(const char *root, const char *dir, struct err *reterr)
{
	_cleanup_free_ char *above = path_dirname(dir);
	int r = strcmp(above, root) == 0 || path_exists(above) == 1 ? 0 : make_directories(root, above, reterr);

	return r < 0 ? r : dir_make(dir, 0700, reterr);
}

/* Whence all of it came: before the first is moved. */
static int write_note(const struct op *op, const char *into, struct err *reterr)
{
	_cleanup_free_ char *path = path_join(into, "WHENCE.txt"), *when = time_iso(time_now_usec());
	_cleanup_free_ char *text = xasprintf("A repair moved these files here on %s, because nothing of the VM refers "
					      "to them.\nEach lies here under the path that it had in the VM directory "
					      "'%s'.\nAn image finds its backing image only there: move it back before "
					      "you look into it.\n\n", when, op->m->dir->root);

	for (int64_t i = 0;; i++) {
		_cleanup_free_ char *from = row(op, "quarantine", i), *stored = NULL;
		char *longer;

		if (!from)
			break;
		stored = vmdir_store_path(op->m->dir, from);
		longer = xasprintf("%s%s\n", text, stored);
		cleanup_free(&text);
		text = longer;
	}
	return file_replace(path, text, strlen(text), 0600, reterr);
}

/* Moves one file or directory; what is gone is no matter, nothing is ever written over. */
static int quarantine_one(const struct op *op, const char *from, const char *into, struct err *reterr)
{
	const char *below = path_below(from, op->m->dir->root);
	_cleanup_free_ char *to = below ? path_join(into, below) : NULL;
	_cleanup_free_ char *from_dir = path_dirname(from), *to_dir = to ? path_dirname(to) : NULL;
	int r;

	if (!to || !repair_is_inside(op->m->dir, from_dir))
		return 0;
	r = make_directories(op->m->dir->root, to_dir, reterr);
	if (r < 0)
		return r;
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0) {
		if (errno == ENOENT)
			return 0;
		return err_file(reterr, errno, from, "cannot move '%s' to '%s'", from, to);
	}
	r = path_fsync(to_dir, reterr);
	return r < 0 ? r : path_fsync(from_dir, reterr);
}

static int quarantine_run(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *into = op_path(op, "quarantine.into"), *above = into ? path_dirname(into) : NULL;
	int r;

	if (!into)
		return 0;
	r = dir_make(above, 0700, reterr);
	if (!r && !repair_is_inside(op->m->dir, above))
		return err_full(reterr, ERR_FAILED, -EXDEV, NULL, above, "Make it a directory of its own",
				"'%s' leads out of the VM directory", above);
	if (!r)
		r = dir_make(into, 0700, reterr);
	if (!r)
		r = write_note(op, into, reterr);
	for (int64_t i = 0; !r; i++) {
		_cleanup_free_ char *from = row(op, "quarantine", i);

		if (!from)
			break;
		r = quarantine_one(op, from, into, reterr);
	}
	return r;
}

/* Records a sealed disk anew in each snapshot that names it, one document after the other. */
static int reseal(struct op *op, const char *path, struct err *reterr)
{
	struct config **snaps = NULL;
	struct stamp stamp;
	size_t n = 0, unreadable;
	int r = disk_seal(path, repair_is_inside(op->m->dir, path), &stamp, reterr);

	if (!r)
		r = machine_snapshots(op->m, &snaps, &n, &unreadable, reterr);
	for (size_t i = 0; !r && i < n; i++) {
		_cleanup_free_ char *file = vmdir_snapshot_config(op->m->dir, &snaps[i]->guid);
		int found = 0;

		for (size_t k = 0; k < snaps[i]->n_disks; k++) {
			_cleanup_free_ char *disk = machine_disk_path(op->m, &snaps[i]->disks[k]);

			if (strcmp(disk, path) != 0)
				continue;
			snaps[i]->disks[k].seal = stamp;
			found = 1;
		}
		if (found)
			r = config_write(snaps[i], file, reterr);
	}
	machine_snapshots_free(snaps, n);
	return r;
}

static int seals_run(struct op *op, struct err *reterr)
{
	int r = 0;

	for (int64_t i = 0; !r; i++) {
		_cleanup_free_ char *path = row(op, "seals", i);

		if (!path)
			break;
		r = reseal(op, path, reterr);
		if (!r)
			job_warn(op->job, "'%s' changed after it was sealed and is taken for right all the same: the "
				 "snapshots and the VM that derive from it may see files that do not fit together", path);
	}
	return r;
}

/* Only where there is none: one that is there is the admin's to change. */
static int domain_run(struct op *op, struct err *reterr)
{
	int r = op_flag(op, "domain") ? machine_refresh(op->m, reterr) : 0;

	if (r < 0 || !op_flag(op, "domain") || op->m->state != HV_ABSENT)
		return r;
	return machine_define(op->m, 0, reterr);
}

static int index_run(struct op *op, struct err *reterr _unused_)
{
	if (op_flag(op, "index"))
		catalog_touch(op->daemon->catalog, &op->m->dir->guid);
	return 0;
}

static const struct op_step steps[] = {
	{ "modes", "setting modes", modes_run, NULL, "some files have their mode, others not yet; it stays so", 1 },
	{ "directories", "making and removing directories", directories_run, NULL,
	  "some directories are made or gone; they stay so", 1 },
	{ "temporaries", "removing temporary files", temporaries_run, NULL, "some are gone; it stays so", 1 },
	{ "quarantine", "moving orphans away", quarantine_run, NULL,
	  "the note is written, some orphans are in the quarantine, whole; they stay there", 1 },
	{ "seals", "recording seals", seals_run, NULL, "some snapshots have the new seal, others the old one; it stays so", 1 },
	{ "domain", "defining the domain", domain_run, NULL, "the domain is there or not; it stays so", 1 },
	{ "index", "reading the index anew", index_run, NULL, "nothing: the index is a cache", 1 },
};

/* There is nothing to take back, and what is left to do the next check finds. */
static int decide(struct op *op _unused_, struct op_way *ret_way, struct err *reterr _unused_)
{
	ret_way->forward = 0;
	return 0;
}

const struct op_kind op_repair = {
	.name = "repair",
	.steps = steps,
	.n_steps = ARRAY_SIZE(steps),
	.decide = decide,
};

/* What is not mended: all of found but what done holds. */
static void find_left(const struct check_report *found, const struct check_report *done, struct check_report *left)
{
	for (size_t i = 0; i < found->n; i++) {
		const struct check_finding *f = &found->finding[i];
		int mended = 0;

		for (size_t k = 0; k < done->n; k++)
			mended |= done->finding[k].id == f->id && (!f->file || strcmp(done->finding[k].file, f->file) == 0);
		if (!mended)
			check_add(left, f->id, f->file, "%s", f->text);
	}
	left->cut |= found->cut;
}

/* 1 if the VM's own document cannot be used: without it nothing is safe. */
static int lacks_document(const struct vmdir *dir, const struct check_report *found)
{
	_cleanup_free_ char *file = vmdir_config(dir);

	for (size_t i = 0; i < found->n; i++) {
		const struct check_finding *f = &found->finding[i];

		if (f->file && strcmp(f->file, file) == 0 &&
		    (f->id == CHECK_XML_UNREADABLE || f->id == CHECK_XML_INVALID || f->id == CHECK_XML_GUID ||
		     f->id == CHECK_XML_TYPE))
			return 1;
	}
	return 0;
}

static int run(struct daemon *daemon, const struct vmdir *dir, struct intent *in, struct job *job, struct err *reterr)
{
	_cleanup_intent_ struct intent *owned = in;
	_cleanup_machine_ struct machine *m = NULL;
	int r = machine_open(daemon, dir, 0, &m, reterr);

	return r < 0 ? r : op_run(daemon, &op_repair, TAKE_PTR(m), TAKE_PTR(owned), job, reterr);
}

int vm_repair(struct daemon *daemon, const struct index_vm *vm, const struct repair_options *opts, struct job *job,
	      struct check_report *done, struct check_report *left, struct err *reterr)
{
	_cleanup_vmdir_ struct vmdir *dir = vmdir_new(vm->root, &vm->guid);
	struct check_options look = { .own_job = opts->dry_run ? NULL : job_id(job) };
	_cleanup_check_report_ struct check_report found = { 0 };
	_cleanup_intent_ struct intent *in = intent_new(op_repair.name);
	int r = check_vm(daemon, vm, &look, job, &found, reterr);

	if (r >= 0 && !lacks_document(dir, &found))
		r = repair_plan(dir, &found, opts, in, done, reterr);
	if (r < 0)
		return r;
	if (opts->dry_run || done->n == 0) {
		find_left(&found, done, left);
		return 0;
	}
	r = run(daemon, dir, TAKE_PTR(in), job, reterr);
	return r < 0 ? r : check_vm(daemon, vm, &look, job, left, reterr);
}
