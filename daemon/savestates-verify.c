/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads the files of a save state through: are they what they were. */
#include <inttypes.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/stamp.h"
#include "daemon/savestates.h"
#include "savestate/packed.h"

#define FROM_BACKUP "Restore the file from a backup of the VM directory"

static int tell_job(void *arg, uint64_t done, uint64_t total)
{
	job_progress(arg, (int64_t)done, (int64_t)total);
	return job_cancelled(arg);
}

/* A file that is missing is damage, too. */
static int require_file(const char *path, struct err *reterr)
{
	int there = path ? path_exists(path) : 1;

	if (there < 0)
		return err_file(reterr, there, path, "cannot look at '%s'", path);
	if (!there)
		return err_full(reterr, ERR_BAD_DATA, -ENOENT, NULL, path, FROM_BACKUP,
				"'%s' of the save state is missing", path);
	return 0;
}

/* A checksum under way; file_checksum() calls poll before each piece. */
struct reading {
	struct job *job;
	uint64_t done, total;
};

static int poll_job(void *arg)
{
	struct reading *reading = arg;
	uint64_t at = reading->done < reading->total ? reading->done : reading->total;

	reading->done += CHECKSUM_CHUNK;
	return tell_job(reading->job, at, reading->total);
}

/* Compares a .vsv with what a document recorded of it. */
static int check_recorded(const char *path, const struct config *cfg, struct job *job, struct err *reterr)
{
	_cleanup_free_ char *owner = savestate_owner(cfg);
	struct reading reading = { .job = job };
	struct stat st;
	uint64_t sum;
	int r;

	if (stat(path, &st) < 0)
		return err_file(reterr, errno, path, "cannot read the save state '%s'", path);
	if (st.st_size != cfg->state.vsv_size)
		return err_full(reterr, ERR_DRIFT, -ESTALE, NULL, path, FROM_BACKUP,
				"the save state '%s' of %s is not what it was: it has %" PRId64 " bytes and had %" PRId64,
				path, owner, (int64_t)st.st_size, cfg->state.vsv_size);
	reading.total = (uint64_t)st.st_size;
	r = file_checksum(path, &sum, poll_job, &reading, reterr);
	if (r < 0)
		return r;
	if (sum != cfg->state.vsv_sum)
		return err_full(reterr, ERR_DRIFT, -ESTALE, NULL, path, FROM_BACKUP,
				"the save state '%s' of %s is not what it was: its checksum is another", path, owner);
	return 0;
}

/* The same for a parent, by the document of its snapshot. */
static int check_parent(const struct vmdir *dir, const struct savestate_chain *chain, size_t level, struct job *job,
			struct err *reterr)
{
	_cleanup_config_ struct config *cfg = NULL;
	_cleanup_free_ char *recorded = NULL;
	int r = savestate_config(dir, &chain->guids[level], &cfg, reterr);

	if (r < 0) {
		err_prefix(reterr, "save state '%s' builds on that of snapshot %s", chain->files[level - 1].vsv,
			   chain->guids[level].s);
		return r;
	}
	recorded = vmdir_resolve(dir, cfg->state.vsv);
	return check_recorded(recorded, cfg, job, reterr);
}

static int verify_split(const struct vmdir *dir, const struct config *cfg, const char *path, struct job *job,
			struct err *reterr)
{
	_cleanup_savestate_chain_ struct savestate_chain chain = { 0 };
	int r = savestate_chain_open(dir, cfg->state.vsv, cfg->state.bin, &chain, reterr);

	for (size_t i = 0; r >= 0 && i < chain.n; i++) {
		_cleanup_free_ char *memory = chain.files[i].bin ? packed_or_flat(chain.files[i].bin) : NULL;

		r = require_file(memory, reterr);
	}
	if (r < 0)
		return r;
	job_phase(job, "reading memory and device state");
	r = join_verify(chain.files, chain.n, tell_job, job, reterr);
	if (r < 0)
		return r;
	job_phase(job, "comparing checksums");
	r = check_recorded(path, cfg, job, reterr);
	for (size_t i = 1; r >= 0 && i < chain.n; i++)
		r = check_parent(dir, &chain, i, job, reterr);
	return r;
}

int savestate_verify(const struct vmdir *dir, const struct config *cfg, struct job *job, struct err *reterr)
{
	_cleanup_free_ char *path = vmdir_resolve(dir, cfg->state.vsv);
	int r = require_file(path, reterr);

	if (r >= 0)
		r = vsv_is_ours(path, reterr);
	if (r < 0)
		return r;
	if (r > 0)
		return verify_split(dir, cfg, path, job, reterr);
	job_phase(job, "comparing checksums");
	return check_recorded(path, cfg, job, reterr);
}
