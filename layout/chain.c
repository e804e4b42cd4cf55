/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The chain of images under one disk, read from their headers. */
#include "layout/chain.h"

#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "layout/image.h"
#include "layout/path.h"
#include "layout/qcow2.h"
#include "layout/vhd.h"

/* A chain being read: which files it has seen, by device and inode. */
struct walk {
	struct chain chain;
	struct seen {
		dev_t dev;
		ino_t ino;
	} *seen;
};

static void walk_done(struct walk *walk)
{
	chain_done(&walk->chain);
	free(walk->seen);
}

static int broken(struct err *reterr, int code, const char *path, const char *why)
{
	return err_full(reterr, ERR_BAD_DATA, code, NULL, path, NULL, "the chain of image '%s' cannot be followed: %s",
			path, why);
}

/* Adds path to the chain if it is there and new. Takes nothing. */
static int walk_add(struct walk *walk, const char *path, const char *format, const char *above, struct err *reterr)
{
	struct chain *chain = &walk->chain;
	struct stat st;

	if (chain->n >= CHAIN_MAX)
		return broken(reterr, -ELOOP, path, "it has more than 200 images");
	if (stat(path, &st) < 0) {
		int r = -errno;

		if (!above)
			return err_file(reterr, r, path, "cannot open image '%s'", path);
		return err_file(reterr, r, path, "cannot open '%s', the backing image of '%s'", path, above);
	}
	for (size_t i = 0; i < chain->n; i++) {
		if (walk->seen[i].dev == st.st_dev && walk->seen[i].ino == st.st_ino)
			return broken(reterr, -ELOOP, path, "it comes back to itself");
	}
	walk->seen = xreallocarray(walk->seen, chain->n + 1, sizeof(*walk->seen));
	walk->seen[chain->n] = (struct seen){.dev = st.st_dev, .ino = st.st_ino};
	chain->image = xreallocarray(chain->image, chain->n + 1, sizeof(*chain->image));
	chain->image[chain->n++] = (struct chain_image){
		.path = xstrdup(path),
		.format = xstrdup(format),
		.virtual_size = -1,
		.allocated = (int64_t)st.st_blocks * 512,
	};
	return 0;
}

/* Takes a path; returns its clean form if that is the same file ("link/.." may
 * not be), else itself, *owned*. */
static char *clean_if_same(char *path)
{
	_cleanup_free_ char *given = path, *clean = path_clean(path);
	struct stat a, b;

	if (stat(given, &a) == 0 && (stat(clean, &b) < 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino))
		return TAKE_PTR(given);
	return TAKE_PTR(clean);
}

/* The file that a backing name in the header of path means, *owned*. */
static char *resolve_backing(const char *path, const char *name)
{
	_cleanup_free_ char *dir = path_dirname(path);

	return clean_if_same(name[0] == '/' ? xstrdup(name) : path_join(dir, name));
}

static int check_backing(const char *path, const struct qcow2_info *info, struct err *reterr)
{
	if (path_has_protocol(info->backing))
		return err_full(reterr, ERR_REFUSED, -ENOTSUP, NULL, path,
				"only images in files and on block devices are followed",
				"image '%s' has backing name '%s', which is not a file's name", path, info->backing);
	if (info->backing_format)
		return 0;
	return err_full(reterr, ERR_BAD_DATA, -EINVAL, NULL, path,
			"say which it is with 'qemu-img rebase -u -b NAME -F FORMAT'",
			"image '%s' does not name the format of its backing image '%s'", path, info->backing);
}

/* Reads the header of the qcow2 image that was added last. ret_next, ret_format
 * stay NULL at the end of the chain. */
static int read_qcow2(struct chain_image *image, char **ret_next, char **ret_format, struct err *reterr)
{
	_cleanup_(qcow2_info_done) struct qcow2_info info = {0};
	int r = qcow2_read(image->path, &info, reterr);

	if (r < 0)
		return r;
	image->virtual_size = (int64_t)info.virtual_size;
	image->grain = (INT64_C(1) << info.cluster_bits) / (info.extended_l2 ? 32 : 1);
	if (info.external_data)
		return err_full(reterr, ERR_REFUSED, -ENOTSUP, NULL, image->path,
				"convert it with 'qemu-img convert -O qcow2'",
				"image '%s' keeps its data in another file", image->path);
	if (!info.backing)
		return 0;
	r = check_backing(image->path, &info, reterr);
	if (r < 0)
		return r;
	*ret_next = resolve_backing(image->path, info.backing);
	*ret_format = TAKE_PTR(info.backing_format);
	return 0;
}

/* Reads what the last image says of itself. */
static int read_image(struct chain_image *image, char **ret_next, char **ret_format, struct err *reterr)
{
	if (strcmp(image->format, "qcow2") == 0)
		return read_qcow2(image, ret_next, ret_format, reterr);
	if (strcmp(image->format, "raw") == 0)
		return disk_virtual_size(image->path, "raw", &image->virtual_size, reterr);
	return vhd_refuse_differencing(image->path, image->format, reterr);
}

int chain_next(const char *path, const char *format, char **ret_next, char **ret_format, struct err *reterr)
{
	struct chain_image image = { .path = (char *)path, .format = (char *)format };
	char *next = NULL, *next_format = NULL;
	int r = read_image(&image, &next, &next_format, reterr);

	if (r < 0)
		return r;
	*ret_next = next;
	*ret_format = next_format;
	return 0;
}

int chain_read(const char *path, const char *format, struct chain *ret_chain, struct err *reterr)
{
	_cleanup_(walk_done) struct walk walk = {0};
	_cleanup_free_ char *at = clean_if_same(xstrdup(path)), *at_format = xstrdup(format), *above = NULL;

	while (at) {
		_cleanup_free_ char *next = NULL, *next_format = NULL;
		int r = walk_add(&walk, at, at_format, above, reterr);

		if (r < 0)
			return r;
		r = read_image(&walk.chain.image[walk.chain.n - 1], &next, &next_format, reterr);
		if (r < 0)
			return r;
		xstrset(&above, at);
		xstrset(&at, next);
		xstrset(&at_format, next_format);
	}
	*ret_chain = walk.chain;
	walk.chain = (struct chain){0};
	return 0;
}

void chain_done(struct chain *chain)
{
	for (size_t i = 0; i < chain->n; i++) {
		free(chain->image[i].path);
		free(chain->image[i].format);
	}
	free(chain->image);
	*chain = (struct chain){0};
}
