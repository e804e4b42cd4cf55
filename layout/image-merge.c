/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images folded into one another by qemu-img. */
#include "layout/image-merge.h"

#include <inttypes.h>
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/proc.h"
#include "layout/image-internal.h"
#include "layout/path.h"
#include "layout/qcow2.h"

/* What qemu-img's -p says, as bytes for whoever wants to know. */
struct copying {
	disk_progress_fn progress;
	void *arg;
	int64_t total;
};

static int poll_copying(void *arg, const char *output)
{
	const struct copying *c = arg;
	int percent = output ? qemu_img_percent(output) : -1;

	return c->progress(c->arg, c->total / 10000 * (percent < 0 ? 0 : percent), c->total);
}

/* qemu-img says it in the words of the C library only. */
static int is_out_of_room(const struct err *err)
{
	return err->message && (strstr(err->message, strerror(ENOSPC)) || strstr(err->message, strerror(EDQUOT)));
}

static int run(const char *const *argv, const char *path, const struct copying *c, const char *attempt,
	       struct err *reterr)
{
	struct proc_opts opts = { .argv = argv, .poll = c && c->progress ? poll_copying : NULL, .poll_arg = (void *)c };
	_cleanup_err_ struct err err = ERR_INIT;
	int r = proc_run(&opts, NULL, &err);

	if (r == 0)
		return 0;
	if (is_out_of_room(&err))
		err.code = -ENOSPC;
	if (err.kind == ERR_FAILED && err.code == -ECANCELED)
		err.kind = ERR_CANCELLED;
	err_prefix(&err, "cannot %s image '%s'", attempt, path);
	err_set_file(&err, path);
	return err_move(reterr, &err);
}

int disk_commit(const char *path, const char *backing, int64_t bandwidth, disk_progress_fn progress, void *arg,
		struct err *reterr)
{
	const char *argv[12] = { "qemu-img", "commit", "-p", "-f", "qcow2", "-d" };
	_cleanup_free_ char *rate = xasprintf("%" PRIi64, bandwidth);
	size_t n = 6;
	struct copying c = { .progress = progress, .arg = arg, .total = file_allocated(path) };
	int r;

	if (bandwidth > 0) {
		argv[n++] = "-r";
		argv[n++] = rate;
	}
	argv[n++] = path;
	r = run(argv, path, &c, "merge into its backing image the", reterr);

	return r < 0 ? r : path_fsync(backing, reterr);
}

/* rebase with -u or without; a NULL name leaves the image without a backing. */
static int rebase(const char *path, const char *mode, const char *name, const char *format, const struct copying *c,
		  const char *attempt, struct err *reterr)
{
	const char *argv[12] = { "qemu-img", "rebase", mode, "-f", "qcow2", "-b", name ? name : "" };
	size_t n = 7;
	int r;

	if (name && (path_has_protocol(name) || !format || !*format))
		return err_full(reterr, ERR_INVALID, -EINVAL, NULL, path, NULL,
				"'%s' in format '%s' cannot back image '%s'", name, format ? format : "", path);
	if (name) {
		argv[n++] = "-F";
		argv[n++] = format;
	}
	argv[n++] = path;
	r = run(argv, path, c, attempt, reterr);
	return r < 0 ? r : path_fsync(path, reterr);
}

int disk_pull(const char *path, const char *backing_name, const char *backing_format, int64_t below,
	      disk_progress_fn progress, void *arg, struct err *reterr)
{
	struct copying c = { .progress = progress, .arg = arg, .total = below };

	return rebase(path, "-p", backing_name, backing_format, &c, "merge its backing image into the", reterr);
}

int disk_repoint(const char *path, const char *backing_name, const char *backing_format, struct err *reterr)
{
	return rebase(path, "-u", backing_name, backing_format, NULL, "name another backing image in the", reterr);
}

int disk_backing(const char *path, char **ret_backing, char **ret_format, struct err *reterr)
{
	_cleanup_(qcow2_info_done) struct qcow2_info info = { 0 };
	_cleanup_free_ char *dir = path_dirname(path), *joined = NULL;
	int r = qcow2_read(path, &info, reterr);

	if (r < 0)
		return r;
	if (info.backing) {
		joined = info.backing[0] == '/' ? xstrdup(info.backing) : path_join(dir, info.backing);
		*ret_backing = path_clean(joined);
	} else {
		*ret_backing = NULL;
	}
	*ret_format = TAKE_PTR(info.backing_format);
	return 0;
}
