/* SPDX-License-Identifier: GPL-2.0-or-later */
/* New working disks over a set of images. */
#define _GNU_SOURCE
#include "daemon/op-disks.h"

#include <fcntl.h>
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/daemon.h"
#include "layout/image.h"
#include "layout/qcow2.h"

static void set(struct intent *intent, size_t i, const char *what, const char *value)
{
	_cleanup_free_ char *key = xasprintf("disk.%zu.%s", i, what);

	intent_set(intent, key, "%s", value);
}

void op_disks_plan(struct intent *intent, const struct machine *m, const struct config *cfg)
{
	intent_set(intent, "disks", "%zu", cfg->n_disks);
	for (size_t i = 0; i < cfg->n_disks; i++) {
		struct guid image = guid_new();
		_cleanup_free_ char *path = vmdir_avhd(m->dir, &image);
		_cleanup_free_ char *pathname = vmdir_store_path(m->dir, path);

		set(intent, i, "target", cfg->disks[i].target);
		set(intent, i, "old", cfg->disks[i].pathname);
		set(intent, i, "format", cfg->disks[i].format);
		set(intent, i, "new", pathname);
	}
}

int op_disks_count(const struct op *op)
{
	return (int)op_int(op, "disks", 0);
}

char *op_disks_path(const struct op *op, int i, const char *which)
{
	_cleanup_free_ char *key = xasprintf("disk.%d.%s", i, which);

	return op_path(op, key);
}

int op_disks_make(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *dir = vmdir_avhd_dir(op->m->dir);
	int r = dir_make(dir, VMDIR_MODE, reterr);

	for (int i = 0; !r && i < op_disks_count(op); i++) {
		_cleanup_free_ char *old = op_disks_path(op, i, "old"), *new = op_disks_path(op, i, "new");
		_cleanup_free_ char *backing = vmdir_backing_name(op->m->dir, new, old);

		r = disk_make_overlay(new, backing, intent_getf(op->intent, "disk.%d.format", i), reterr);
	}
	return r;
}

int op_disks_remove(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *dir = vmdir_avhd_dir(op->m->dir);
	int r = 0;

	for (int i = 0; !r && i < op_disks_count(op); i++) {
		_cleanup_free_ char *new = op_disks_path(op, i, "new");

		r = file_remove(new, reterr);
	}
	if (!r)
		ignore_result(dir_remove(dir, NULL)); /* other disks live there, mostly; an empty one does no harm */
	return r;
}

void op_disks_point(const struct op *op, struct config *cfg)
{
	for (int i = 0; i < op_disks_count(op); i++) {
		struct config_disk *disk = config_find_disk(cfg, intent_getf(op->intent, "disk.%d.target", i));

		if (!disk)
			disk = config_add_disk(cfg, intent_getf(op->intent, "disk.%d.target", i));
		xstrset(&disk->pathname, intent_getf(op->intent, "disk.%d.new", i));
		xstrset(&disk->format, "qcow2");
		disk->sealed = 0;
	}
}

int op_disks_are_in(const struct op *op, const struct config *cfg)
{
	int n = op_disks_count(op);

	for (int i = 0; i < n; i++) {
		struct config_disk *disk =
			config_find_disk((struct config *)cfg, intent_getf(op->intent, "disk.%d.target", i));

		if (!disk || strcmp(disk->pathname, intent_getf(op->intent, "disk.%d.new", i)) != 0)
			return 0;
	}
	return n > 0;
}

int op_disks_in_use(struct op *op, struct err *reterr)
{
	_cleanup_config_ struct config *cfg = config_copy(op->m->cfg);

	op_disks_point(op, cfg);
	return machine_domain_uses(op->m, cfg, reterr);
}

int op_disks_written(const struct op *op, struct err *reterr)
{
	for (int i = 0; i < op_disks_count(op); i++) {
		_cleanup_free_ char *new = op_disks_path(op, i, "new");
		int r = qcow2_is_written(new, reterr);

		if (r != 0)
			return r;
	}
	return 0;
}

/* QEMU locks bytes of every image that it opens. */
static int held(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

int op_disks_held(const struct op *op)
{
	for (int i = 0; i < op_disks_count(op); i++) {
		_cleanup_free_ char *new = op_disks_path(op, i, "new");

		if (held(new))
			return 1;
	}
	return 0;
}

int op_disks_take_back(struct op *op, struct err *reterr)
{
	size_t n = (size_t)op_disks_count(op);
	_cleanup_free_ struct hv_back *disks = xcalloc(n + 1, sizeof(*disks));
	_cleanup_strv_ char **paths = NULL;

	for (size_t i = 0; i < n; i++) {
		disks[i].overlay = op_disks_path(op, (int)i, "new");
		strv_push(&paths, (char *)disks[i].overlay);
		disks[i].image = op_disks_path(op, (int)i, "old");
		strv_push(&paths, (char *)disks[i].image);
	}
	return hv_take_back(op->daemon->hv, &op->m->dir->guid, disks, n, reterr);
}

int op_disks_forget(struct op *op, struct err *reterr)
{
	int r = 0;

	for (int i = 0; !r && i < op_disks_count(op); i++) {
		_cleanup_free_ char *new = op_disks_path(op, i, "new");

		r = hv_forget_image(op->daemon->hv, &op->m->dir->guid, new, reterr);
	}
	return r;
}
