/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A check of what takes time to read: save states, and images by QEMU's own check. */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/proc.h"
#include "daemon/check-priv.h"
#include "daemon/savestates.h"
#include "savestate/image.h"

/* What is wrong with a save state at first sight. Returns 0 or negative errno with reterr. */
static int look_at_state(const struct checking *c, const struct config *cfg, const char *path, struct err *reterr)
{
	_cleanup_free_ char *bin = cfg->state.bin ? vmdir_resolve(c->dir, cfg->state.bin) : NULL;
	_cleanup_savestate_chain_ struct savestate_chain chain = { 0 };
	_cleanup_(image_info_done) struct image_info image = { 0 };
	_cleanup_vsv_ struct vsv *vsv = NULL;
	struct stat st;
	int r = vsv_is_ours(path, reterr);

	if (r <= 0)
		return r < 0 ? r : image_read(path, &image, reterr);
	r = vsv_open(path, &vsv, reterr);
	if (r >= 0 && vsv_info(vsv)->flags & VSV_F_RAM)
		r = savestate_chain_open(c->dir, cfg->state.vsv, cfg->state.bin, &chain, reterr);
	if (r < 0)
		return r;
	if (!bin && vsv_info(vsv)->bin_size > 0)
		return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, path, NULL,
				"the memory file of '%s' is not named in its document", path);
	if (bin && stat(bin, &st) == 0 && (uint64_t)st.st_size != vsv_info(vsv)->bin_size)
		return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, bin, NULL,
				"the memory file '%s' has %" PRId64 " bytes instead of %" PRIu64, bin, (int64_t)st.st_size,
				vsv_info(vsv)->bin_size);
	return 0;
}

/* Of a file that was told of already nothing more is said. */
static int judge_state(struct checking *c, const struct config *cfg, struct err *reterr)
{
	_cleanup_free_ char *path = vmdir_resolve(c->dir, cfg->state.vsv);
	_cleanup_free_ char *bin = cfg->state.bin ? vmdir_resolve(c->dir, cfg->state.bin) : NULL;
	_cleanup_free_ char *owner = savestate_owner(cfg);
	_cleanup_err_ struct err err = ERR_INIT;
	const char *file;
	int r;

	if (check_has_file(c->rep, path) || (bin && check_has_file(c->rep, bin)))
		return 0;
	r = look_at_state(c, cfg, path, &err);
	if (r >= 0 && c->opts->deep)
		r = savestate_verify(c->dir, cfg, c->job, &err);
	if (r >= 0)
		return 0;
	if (r == -ECANCELED)
		return err_move(reterr, &err);
	file = err.file ? err.file : path;
	if (!check_has_file(c->rep, file))
		check_add(c->rep, CHECK_STATE_DAMAGED, file, "the save state of %s: %s", owner, err.message);
	return 0;
}

int check_states(struct checking *c, struct err *reterr)
{
	int r = 0;

	job_phase(c->job, c->opts->deep ? "reading save states" : "looking at save states");
	if (c->cfg && c->cfg->state.vsv)
		r = judge_state(c, c->cfg, reterr);
	for (size_t i = 0; r >= 0 && i < c->n_snaps; i++)
		if (c->snaps[i]->state.vsv)
			r = judge_state(c, c->snaps[i], reterr);
	return r;
}

static int is_written(const struct checking *c, const char *path)
{
	int active = c->state == HV_RUNNING || c->state == HV_PAUSED || c->state == HV_STOPPING;

	for (size_t i = 0; active && c->cfg && i < c->cfg->n_disks; i++) {
		_cleanup_free_ char *disk = vmdir_resolve(c->dir, c->cfg->disks[i].pathname);

		if (strcmp(disk, path) == 0)
			return 1;
	}
	return 0;
}

/* 1 if all that QEMU would open with the image can be opened. */
static int is_whole(const struct checking *c, const struct check_image *image)
{
	for (size_t n = 0; image && n <= c->pic.n_images; n++) {
		if (image->error || image->damage || (image->backing && (!image->below || !image->backing_format)) ||
		    check_has_file(c->rep, image->path))
			return 0;
		if (!image->below)
			return 1;
		image = check_find_image(&c->pic, image->below);
	}
	return 0;
}

static int poll_job(void *arg, const char *output _unused_)
{
	return job_cancelled(arg);
}

/* Without image locks (-U): a guest that is started now is not in our way, nor are we in its. */
static int ask_qemu(struct checking *c, const struct check_image *image, struct err *reterr)
{
	const char *argv[] = { "qemu-img", "check", "-q", "-U", "-f", "qcow2", image->path, NULL };
	int status = 0;
	struct proc_opts opts = { .argv = argv, .poll = poll_job, .poll_arg = c->job, .ret_status = &status };
	_cleanup_err_ struct err err = ERR_INIT;
	int r = proc_run(&opts, NULL, &err);

	if (r == -ECANCELED)
		return err_move(reterr, &err);
	if (r < 0)
		check_add(c->rep, CHECK_IMAGE_UNCHECKED, image->path, "'%s' was not checked: %s", image->path, err.message);
	else if (status == 3)
		check_add(c->rep, CHECK_IMAGE_LEAKS, image->path, "'qemu-img check' finds clusters of '%s' that nothing uses",
			  image->path);
	else if (status == 2)
		check_add(c->rep, CHECK_IMAGE_DAMAGED, image->path, "'qemu-img check' finds errors in '%s'", image->path);
	else if (status != 0)
		check_add(c->rep, CHECK_IMAGE_DAMAGED, image->path, "'qemu-img check' cannot read '%s' (exit status %d)",
			  image->path, status);
	return 0;
}

int check_images_deep(struct checking *c, struct err *reterr)
{
	int64_t done = 0, total = 0;
	int r = 0;

	job_phase(c->job, "checking images");
	for (size_t i = 0; i < c->pic.n_images; i++)
		total += file_allocated(c->pic.image[i].path);
	for (size_t i = 0; r >= 0 && i < c->pic.n_images; i++) {
		const struct check_image *image = &c->pic.image[i];

		job_progress(c->job, done, total);
		done += file_allocated(image->path);
		if (!image->magic || !image->format || strcmp(image->format, "qcow2") != 0 || !is_whole(c, image))
			continue;
		if (is_written(c, image->path))
			check_add(c->rep, CHECK_IMAGE_UNCHECKED, image->path, "'%s' was not read through: the guest writes it",
				  image->path);
		else
			r = ask_qemu(c, image, reterr);
	}
	return r;
}
