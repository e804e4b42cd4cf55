/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disk images made by qemu-img, and the seal of a sealed disk. A new image is
 * written under a temporary name and renamed when it is whole and durable. */
#include "layout/image.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/proc.h"
#include "layout/chain.h"
#include "layout/image-internal.h"
#include "layout/path.h"
#include "layout/vhd.h"
#include "layout/vmdir.h"

/* 4 KiB subclusters: a small guest write costs about itself, not a cluster. */
#define OVERLAY_OPTIONS "extended_l2=on,cluster_size=128k"

/* Path of a file that removes itself unless it became the image. */
struct temp {
	char *path;
	char *dir;
};

static void temp_done(struct temp *temp)
{
	if (temp->path)
		ignore_result(unlink(temp->path)); /* usually renamed away by now */
	free(temp->path);
	free(temp->dir);
}

static struct temp temp_for(const char *path)
{
	struct temp temp = {.dir = path_dirname(path)};

	temp.path = xasprintf("%s/.%s.tmp", temp.dir, path_basename(path));
	ignore_result(unlink(temp.path)); /* of an earlier try that died; qemu-img would keep its mode */
	return temp;
}

/* Makes the finished temporary file durable under its name. */
static int temp_commit(const struct temp *temp, const char *path, struct err *reterr)
{
	int r = path_fsync(temp->path, reterr);

	if (r < 0)
		return r;
	if (rename(temp->path, path) < 0)
		return err_file(reterr, -errno, path, "cannot rename the new image to '%s'", path);
	return path_fsync(temp->dir, reterr);
}

/* Refuses to write over something of somebody's. */
static int refuse_existing(const char *path, struct err *reterr)
{
	int r = path_exists(path);

	if (r < 0)
		return err_file(reterr, r, path, "cannot look at '%s'", path);
	if (r == 0)
		return 0;
	return err_full(reterr, ERR_REFUSED, -EEXIST, NULL, path, "move it away", "image '%s' exists already", path);
}

static int run(const char *const *argv, const char *cwd, const char *path, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct proc_opts opts = {.argv = argv, .cwd = cwd};
	int r = proc_run(&opts, NULL, &err);

	if (r == 0)
		return 0;
	err_prefix(&err, "cannot make image '%s'", path);
	err_set_file(&err, path);
	return err_move(reterr, &err);
}

/* The size an overlay gets, as text, if we can tell it without QEMU: then QEMU
 * need not open the whole chain below. NULL in *ret_size if not. */
static int overlay_size(const char *dir, const char *backing_name, const char *format, char **ret_size,
			struct err *reterr)
{
	_cleanup_free_ char *backing = NULL;
	int64_t size;
	int r;

	if (strcmp(format, "qcow2") != 0 && strcmp(format, "raw") != 0)
		return 0;
	backing = backing_name[0] == '/' ? xstrdup(backing_name) : path_join(dir, backing_name);
	r = disk_virtual_size(backing, format, &size, reterr);
	if (r < 0)
		return r;
	*ret_size = xasprintf("%" PRIi64, size);
	return 0;
}

int disk_make_overlay(const char *path, const char *backing_name, const char *backing_format, struct err *reterr)
{
	_cleanup_(temp_done) struct temp temp = temp_for(path);
	_cleanup_free_ char *size = NULL;
	const char *argv[16] = {"qemu-img", "create", "-q", "-f", "qcow2", "-o", OVERLAY_OPTIONS};
	size_t n = 7;
	int r;

	if (path_has_protocol(backing_name) || !*backing_format)
		return err_full(reterr, ERR_INVALID, -EINVAL, NULL, path, NULL,
				"'%s' in format '%s' cannot back image '%s'", backing_name, backing_format, path);
	r = overlay_size(temp.dir, backing_name, backing_format, &size, reterr);
	if (r < 0)
		return r;
	if (size)
		argv[n++] = "-u";
	argv[n++] = "-b";
	argv[n++] = backing_name;
	argv[n++] = "-F";
	argv[n++] = backing_format;
	argv[n++] = temp.path;
	argv[n++] = size;
	r = run(argv, temp.dir, path, reterr);
	if (r < 0)
		return r;
	return temp_commit(&temp, path, reterr);
}

int disk_make(const char *path, int64_t virtual_size, struct err *reterr)
{
	_cleanup_(temp_done) struct temp temp = temp_for(path);
	_cleanup_free_ char *size = xasprintf("%" PRIi64, virtual_size);
	const char *argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", temp.path, size, NULL};
	int r;

	if (virtual_size <= 0)
		return err_set(reterr, ERR_INVALID, -EINVAL, "a disk of %s bytes cannot be made", size);
	r = refuse_existing(path, reterr);
	if (r < 0)
		return r;
	r = run(argv, temp.dir, path, reterr);
	if (r < 0)
		return r;
	return temp_commit(&temp, path, reterr);
}

/* What disk_convert() hands to proc_run()'s poll. */
struct convert {
	disk_progress_fn progress;
	void *arg;
	int64_t total;
};

int qemu_img_percent(const char *output)
{
	const char *p = strrchr(output, '(');
	int value = 0, decimals = 0;

	if (!p || !strchr(p, '/'))
		return -1;
	for (p++; *p >= '0' && *p <= '9' && value < 1000; p++)
		value = value * 10 + *p - '0';
	if (*p == '.')
		p++;
	for (; *p >= '0' && *p <= '9' && decimals < 2; p++, decimals++)
		value = value * 10 + *p - '0';
	for (; decimals < 2; decimals++)
		value *= 10;
	return value <= 10000 ? value : -1;
}

static int convert_poll(void *arg, const char *output)
{
	const struct convert *convert = arg;
	int percent = output ? qemu_img_percent(output) : -1;

	if (percent < 0)
		percent = 0;
	return convert->progress(convert->arg, convert->total / 10000 * percent, convert->total);
}

/* Virtual size of an image whose headers we do not read ourselves. */
static int ask_size(const char *path, const char *format, int64_t *ret_size, struct err *reterr)
{
	const char *argv[] = {"qemu-img", "info", "-f", format, path, NULL};
	struct proc_opts opts = {.argv = argv};
	_cleanup_free_ char *output = NULL;
	const char *line;
	int64_t size;
	int r = proc_run(&opts, &output, reterr);

	if (r < 0)
		return r;
	/* At the beginning of a line: those of the image's parts are indented. */
	line = output ? strstr(output, "\nvirtual size: ") : NULL;
	line = line ? strchr(line, '(') : NULL;
	if (!line || sscanf(line, "(%" SCNi64 " bytes)", &size) != 1 || size < 0)
		return err_full(reterr, ERR_BACKEND, -EPROTO, NULL, path, NULL,
				"cannot tell the size of image '%s': qemu-img said '%s'", path, output ? output : "");
	*ret_size = size;
	return 0;
}

/* Everything that must hold before QEMU may open src. */
static int check_source(const char *src, const char *format, int64_t *ret_size, struct err *reterr)
{
	_cleanup_(chain_done) struct chain chain = {0};
	int r = chain_read(src, format, &chain, reterr);

	if (r < 0)
		return r;
	if (chain.image[0].virtual_size >= 0) {
		*ret_size = chain.image[0].virtual_size;
		return 0;
	}
	return ask_size(src, format, ret_size, reterr);
}

static int run_convert(const char *src, const char *format, const struct temp *temp, struct convert *convert,
		       struct err *reterr)
{
	const char *argv[] = {"qemu-img", "convert", "-p", "-f", format, "-O", "qcow2", src, temp->path, NULL};
	struct proc_opts opts = {
		.argv = argv,
		.poll = convert->progress ? convert_poll : NULL,
		.poll_arg = convert,
	};
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	if (convert->progress && convert->progress(convert->arg, 0, convert->total) != 0)
		return err_full(reterr, ERR_CANCELLED, -ECANCELED, NULL, src, NULL,
				"the copy of image '%s' was cancelled", src);
	r = proc_run(&opts, NULL, &err);
	if (r == 0)
		return 0;
	err_prefix(&err, "cannot copy image '%s'", src);
	err_set_file(&err, src);
	return err_move(reterr, &err);
}

int disk_convert(const char *src, const char *format, const char *dst, disk_progress_fn progress, void *arg,
		 struct err *reterr)
{
	_cleanup_(temp_done) struct temp temp = temp_for(dst);
	struct convert convert = {.progress = progress, .arg = arg};
	int r = 0;

	if (!format)
		r = disk_detect_format(src, &format, reterr);
	if (r >= 0)
		r = check_source(src, format, &convert.total, reterr);
	if (r >= 0)
		r = refuse_existing(dst, reterr);
	if (r >= 0)
		r = run_convert(src, format, &temp, &convert, reterr);
	if (r >= 0)
		r = temp_commit(&temp, dst, reterr);
	if (r >= 0 && progress)
		ignore_result(progress(arg, convert.total, convert.total)); /* it is done: nothing to stop */
	return r;
}

int disk_seal(const char *path, int chmod_too, struct stamp *ret_stamp, struct err *reterr)
{
	int r;

	if (chmod_too && chmod(path, SEALED_MODE) < 0)
		return err_file(reterr, -errno, path, "cannot seal disk '%s'", path);
	/* What a snapshot names is durable before the snapshot is (law 3). */
	r = path_fsync(path, reterr);
	if (r < 0)
		return r;
	return stamp_take(path, ret_stamp, reterr);
}

int disk_unseal(const char *path, struct err *reterr)
{
	if (chmod(path, 0600) < 0)
		return err_file(reterr, -errno, path, "cannot unseal disk '%s'", path);
	return path_fsync(path, reterr);
}
