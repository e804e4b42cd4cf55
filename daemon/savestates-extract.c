/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Takes the memory out of a save state, into a file that somebody asked for. */
#include <fcntl.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/savestates.h"
#include "savestate/split.h"

#define CHUNK (1 << 20)

static int tell_job(void *arg, uint64_t done, uint64_t total)
{
	job_progress(arg, (int64_t)done, (int64_t)total);
	return job_cancelled(arg);
}

/* The file that is made, until it is whole. */
struct target {
	int fd;
	const char *path; /* *borrowed* */
};

static void target_done(struct target *target)
{
	if (target->fd >= 0)
		unlink(target->path);
	cleanup_close(&target->fd);
}

static int target_open(struct target *target, const char *path, struct err *reterr)
{
	if (path[0] != '/')
		return err_set(reterr, ERR_INVALID, -EINVAL, "'%s' is no absolute path", path);
	target->path = path;
	target->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (target->fd >= 0)
		return 0;
	if (errno == EEXIST)
		return err_full(reterr, ERR_REFUSED, -EEXIST, NULL, path, "Name a file that is not there yet",
				"there is a file '%s' already", path);
	return err_file(reterr, errno, path, "cannot make '%s'", path);
}

/* It is whole: durable, and whose it is to be. */
static int target_finish(struct target *target, const struct savestate_target *want, struct err *reterr)
{
	if (fdatasync(target->fd) < 0)
		return err_file(reterr, errno, target->path, "cannot write '%s'", target->path);
	if (want->uid != (uid_t)-1 && fchown(target->fd, want->uid, want->gid) < 0)
		return err_file(reterr, errno, target->path, "cannot give '%s' to its user", target->path);
	cleanup_close(&target->fd);
	return 0;
}

static int write_memory(const struct savestate_chain *chain, struct target *target, struct job *job,
			struct vsv **ret_vsv, struct err *reterr)
{
	int r;

	job_phase(job, "writing memory");
	r = join_extract(chain->files, chain->n, target->fd, target->path, tell_job, job, reterr);
	return r < 0 ? r : vsv_open(chain->files[0].vsv, ret_vsv, reterr);
}

/* The files of an opaque save state that was split for the moment. Names that are swept
 * when a process died in between; *owned*. */
struct scratch {
	char *vsv, *bin;
};

static void scratch_done(struct scratch *scratch)
{
	if (scratch->vsv)
		unlink(scratch->vsv);
	if (scratch->bin)
		unlink(scratch->bin);
	cleanup_free(&scratch->vsv);
	cleanup_free(&scratch->bin);
}

static int feed_file(struct split *split, const char *path, struct job *job, struct err *reterr)
{
	_cleanup_free_ char *buf = xcalloc(CHUNK, 1);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	off_t at = 0;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_file(reterr, errno, path, "cannot read save state '%s'", path);
	do {
		int r = job_check(job, reterr);

		n = r < 0 ? 0 : pread_all(fd, buf, CHUNK, at);
		if (n < 0)
			return err_file(reterr, (int)n, path, "cannot read save state '%s'", path);
		if (r >= 0)
			r = split_feed(split, buf, (size_t)n, reterr);
		if (r < 0)
			return r;
		at += n;
		job_progress(job, at, st.st_size);
	} while (n == CHUNK);
	return 0;
}

/* Splits libvirt's image into scratch. */
static int split_image(const char *path, const struct scratch *scratch, const struct guid *guid, struct job *job,
		       struct err *reterr)
{
	struct split_opts opts = { .vsv = scratch->vsv, .bin = scratch->bin, .guid = *guid };
	_cleanup_(split_result_done) struct split_result result = { 0 };
	_cleanup_split_ struct split *split = NULL;
	int r = split_new(&opts, &split, reterr);

	if (r >= 0)
		r = feed_file(split, path, job, reterr);
	if (r >= 0)
		r = split_finish(split, &result, reterr);
	if (r < 0) {
		err_prefix(reterr, "cannot take the memory out of save state '%s'", path);
		return r;
	}
	if (result.form != SPLIT_ALL)
		return err_full(reterr, ERR_REFUSED, -ENOTSUP, NULL, path, NULL,
				"the memory in save state '%s' cannot be told from the rest: %s", path, result.why);
	return 0;
}

static int extract_opaque(const struct vmdir *dir, const char *path, struct target *target, struct job *job,
			  struct vsv **ret_vsv, struct err *reterr)
{
	_cleanup_free_ char *place = vmdir_state_dir(dir);
	_cleanup_(scratch_done) struct scratch scratch = { 0 };
	struct save_files files;
	struct savestate_chain chain = { .files = &files, .n = 1 };
	struct guid guid = guid_new();
	int r;

	scratch.vsv = xasprintf("%s/.%s.vsv.tmp", place, guid.s);
	scratch.bin = xasprintf("%s/.%s.bin.tmp", place, guid.s);
	files = (struct save_files){ scratch.vsv, scratch.bin };
	job_phase(job, "telling memory from device state");
	r = split_image(path, &scratch, &guid, job, reterr);
	return r < 0 ? r : write_memory(&chain, target, job, ret_vsv, reterr);
}

static int extract_split(const struct vmdir *dir, const struct config *cfg, struct target *target, struct job *job,
			 struct vsv **ret_vsv, struct err *reterr)
{
	_cleanup_savestate_chain_ struct savestate_chain chain = { 0 };
	int r = savestate_chain_open(dir, cfg->state.vsv, cfg->state.bin, &chain, reterr);

	return r < 0 ? r : write_memory(&chain, target, job, ret_vsv, reterr);
}

int savestate_extract(const struct vmdir *dir, const struct config *cfg, const struct savestate_target *want,
		      struct job *job, struct vsv **ret_vsv, struct err *reterr)
{
	_cleanup_free_ char *path = vmdir_resolve(dir, cfg->state.vsv);
	_cleanup_(target_done) struct target target = { .fd = -1 };
	_cleanup_vsv_ struct vsv *vsv = NULL;
	int ours = vsv_is_ours(path, reterr), r;

	if (ours < 0)
		return ours;
	r = target_open(&target, want->path, reterr);
	if (r >= 0 && ours)
		r = extract_split(dir, cfg, &target, job, &vsv, reterr);
	else if (r >= 0)
		r = extract_opaque(dir, path, &target, job, &vsv, reterr);
	if (r >= 0)
		r = target_finish(&target, want, reterr);
	if (r < 0)
		return r;
	*ret_vsv = TAKE_PTR(vsv);
	return 0;
}
