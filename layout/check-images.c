/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules about images: that they are there, what their links and formats say, how
 * long the chains are, seals. Pure: over the picture. */
#include "layout/check.h"

#include <inttypes.h>
#include <string.h>

#include "common/alloc.h"
#include "layout/chain.h"
#include "layout/path.h"

static int is_inside(const struct check_picture *pic, const char *path)
{
	return path_below(path, pic->dir->root) != NULL;
}

/* The directory is that of another VM of the store. */
static int is_foreign(const struct check_picture *pic, const char *path)
{
	return pic->store && path_below(path, pic->store) && !is_inside(pic, path);
}

static const char *owner_word(const struct check_doc *doc)
{
	return doc->vm ? "VM" : "snapshot";
}

/* What a document says of an image against what is there. */
static void judge_disk(const struct check_picture *pic, const struct check_doc *doc, const struct check_disk *disk,
		       struct check_report *rep)
{
	const struct check_image *image = check_find_image(pic, disk->path);

	if (!image)
		return;
	if (is_foreign(pic, disk->path))
		check_add(rep, CHECK_FOREIGN_DIRECTORY, disk->path, "disk '%s' of %s '%s' is in the directory of another VM",
			  disk->target, owner_word(doc), doc->name);
	if (image->error == -ENOENT || image->error == -ENOTDIR)
		check_add(rep, CHECK_IMAGE_MISSING, disk->path, "disk '%s' of %s '%s' is not there", disk->target,
			  owner_word(doc), doc->name);
	else if (image->error < 0)
		check_add(rep, CHECK_IMAGE_UNREADABLE, disk->path, "disk '%s' of %s '%s' cannot be read: %s", disk->target,
			  owner_word(doc), doc->name, strerror(-image->error));
	else if (strcmp(disk->format, "qcow2") == 0 && !image->magic)
		check_add(rep, CHECK_FORMAT, disk->path,
			  "disk '%s' of %s '%s' is qcow2 by its document, but does not begin as such an image",
			  disk->target, owner_word(doc), doc->name);
	else if (image->format && strcmp(disk->format, image->format) != 0)
		check_add(rep, CHECK_FORMAT, disk->path, "disk '%s' is '%s' by the document of %s '%s' and '%s' by another",
			  disk->target, disk->format, owner_word(doc), doc->name, image->format);
}

/* A link to an image that is not there or is not what it says; documents come first. */
static void judge_link(const struct check_picture *pic, const struct check_image *image,
		       const struct check_image *below, struct check_report *rep)
{
	if (below->error == -ENOENT || below->error == -ENOTDIR) {
		if (!below->named)
			check_add(rep, CHECK_BACKING_MISSING, below->path, "the backing image of '%s' is not there",
				  image->path);
	} else if (below->error < 0) {
		if (!below->named)
			check_add(rep, CHECK_IMAGE_UNREADABLE, below->path, "the backing image of '%s' cannot be read: %s",
				  image->path, strerror(-below->error));
	} else if (below->named && below->format && image->backing_format &&
		   strcmp(below->format, image->backing_format) != 0) {
		check_add(rep, CHECK_BACKING_FORMAT, image->path,
			  "image '%s' takes its backing image '%s' for '%s', which is '%s' by the document of %s '%s'",
			  image->path, below->path, image->backing_format, below->format, owner_word(below->named),
			  below->named->name);
	} else if (!below->named && image->backing_format &&
		   (strcmp(image->backing_format, "qcow2") == 0) != (below->magic != 0) &&
		   (below->magic == 0 || is_inside(pic, below->path))) {
		check_add(rep, CHECK_BACKING_FORMAT, image->path,
			  "image '%s' takes its backing image '%s' for '%s', which it is not", image->path, below->path,
			  image->backing_format);
	}
}

/* How the link is written. */
static void judge_name(const struct check_picture *pic, const struct check_image *image, struct check_report *rep)
{
	int inside = is_inside(pic, image->path);

	if (!image->below) {
		check_add(rep, CHECK_BACKING_PROTOCOL, image->path, "image '%s' has backing name '%s', which is no file's",
			  image->path, image->backing);
		return;
	}
	if (!image->backing_format)
		check_add(rep, CHECK_BACKING_UNNAMED, image->path,
			  "image '%s' does not name the format of its backing image '%s'", image->path, image->backing);
	if (is_foreign(pic, image->below) && !is_foreign(pic, image->path))
		check_add(rep, CHECK_FOREIGN_DIRECTORY, image->path,
			  "the backing image '%s' of '%s' is in the directory of another VM", image->below, image->path);
	else if (inside && image->backing[0] != '/' && !is_inside(pic, image->below))
		check_add(rep, CHECK_BACKING_OUTSIDE, image->path,
			  "the backing name '%s' of '%s' leads out of the VM directory", image->backing, image->path);
	else if (inside && image->backing[0] == '/' && is_inside(pic, image->below))
		check_add(rep, CHECK_BACKING_ABSOLUTE, image->path,
			  "the backing name '%s' of '%s' is absolute although both are in the VM directory", image->backing,
			  image->path);
}

static void judge_sizes(const struct check_image *image, const struct check_image *below, struct check_report *rep)
{
	if (image->virtual_size < 0 || below->virtual_size < 0 || image->virtual_size == below->virtual_size)
		return;
	check_add(rep, image->virtual_size < below->virtual_size ? CHECK_OVERLAY_SMALLER : CHECK_OVERLAY_LARGER,
		  image->path, "image '%s' has %" PRId64 " bytes, its backing image '%s' has %" PRId64, image->path,
		  image->virtual_size, below->path, below->virtual_size);
}

/* Images on the way down from image, itself included; 0: it comes back to itself. */
static size_t chain_length(const struct check_picture *pic, const struct check_image *image)
{
	size_t n = 0;

	while (image) {
		if (++n > pic->n_images)
			return 0;
		image = image->below ? check_find_image(pic, image->below) : NULL;
	}
	return n;
}

/* 1 if the first in name of the images on a loop is image: a loop is told of once. */
static int leads_loop(const struct check_picture *pic, const struct check_image *image)
{
	const struct check_image *at = image;

	for (size_t n = 0; n <= pic->n_images; n++) {
		at = at->below ? check_find_image(pic, at->below) : NULL;
		if (!at || at < image)
			return 0;
		if (at == image)
			return 1;
	}
	return 0;
}

static void judge_length(const struct check_picture *pic, const struct check_disk *disk, struct check_report *rep)
{
	const struct check_image *image = check_find_image(pic, disk->path);
	size_t n = image ? chain_length(pic, image) : 0;

	if (n > CHAIN_MAX)
		check_add(rep, CHECK_CHAIN_LONG, disk->path, "disk '%s' stands on %zu images, libvirt takes no more than %d",
			  disk->target, n, CHAIN_MAX);
	else if (n > CHECK_DEEP_CHAIN)
		check_add(rep, CHECK_CHAIN_DEEP, disk->path, "disk '%s' stands on %zu images", disk->target, n);
}

static void judge_image(struct check_picture *pic, struct check_image *image, struct check_report *rep)
{
	const struct check_image *below = image->below ? check_find_image(pic, image->below) : NULL;

	if (image->damage)
		check_add(rep, CHECK_IMAGE_DAMAGED, image->path, "%s", image->damage);
	if (image->error < 0 || image->damage || (image->format && strcmp(image->format, "qcow2") == 0 && !image->magic))
		pic->incomplete = 1; /* what it needs is not known */
	if (!image->named && !image->error && is_inside(pic, image->path))
		check_add(rep, CHECK_HIDDEN, image->path, "image '%s' belongs to no snapshot any more, but others need it",
			  image->path);
	if (image->backing)
		judge_name(pic, image, rep);
	if (!below)
		return;
	judge_link(pic, image, below, rep);
	judge_sizes(image, below, rep);
	if (leads_loop(pic, image))
		check_add(rep, CHECK_BACKING_LOOP, image->path, "image '%s' is, in the end, its own backing image",
			  image->path);
}

static int is_working(const struct check_picture *pic, const char *path)
{
	for (size_t i = 0; i < pic->n_docs; i++)
		for (size_t k = 0; pic->doc[i]->vm && k < pic->doc[i]->n_disks; k++)
			if (strcmp(pic->doc[i]->disk[k].path, path) == 0)
				return 1;
	return 0;
}

void check_images(struct check_picture *pic, struct check_report *rep)
{
	for (size_t i = 0; i < pic->n_docs; i++)
		for (size_t k = 0; k < pic->doc[i]->n_disks; k++)
			judge_disk(pic, pic->doc[i], &pic->doc[i]->disk[k], rep);
	for (size_t i = 0; i < pic->n_images; i++) {
		struct check_image *image = &pic->image[i];

		judge_image(pic, image, rep);
		if (image->below && strcmp(image->below, image->path) != 0 && is_working(pic, image->below))
			check_add(rep, CHECK_WORKING_BELOW, image->below,
				  "'%s', which the guest writes, is the backing image of '%s'", image->below, image->path);
		if (!image->error && image->regular && is_inside(pic, image->path) && image->mode & 07 &&
		    is_working(pic, image->path))
			check_add(rep, CHECK_IMAGE_MODE, image->path, "everybody may reach into '%s' (mode %04o)",
				  image->path, (unsigned)image->mode);
	}
	for (size_t i = 0; i < pic->n_docs; i++)
		for (size_t k = 0; pic->doc[i]->vm && k < pic->doc[i]->n_disks; k++)
			judge_length(pic, &pic->doc[i]->disk[k], rep);
}

/* What differs, as an *owned* text; NULL: nothing. */
static char *drift(const struct stamp *was, const struct stamp *is)
{
	if (was->size != is->size)
		return xasprintf("it has %" PRId64 " bytes and had %" PRId64, is->size, was->size);
	if (was->header != is->header)
		return xstrdup("its first 4 KiB are not what they were");
	if (was->mtime_ns != is->mtime_ns)
		return xasprintf("it was written %s than it was sealed", is->mtime_ns > was->mtime_ns ? "later" : "earlier");
	return NULL;
}

void check_seals(const struct check_picture *pic, struct check_report *rep)
{
	for (size_t i = 0; i < pic->n_docs; i++) {
		const struct check_doc *doc = pic->doc[i];

		for (size_t k = 0; k < doc->n_disks; k++) {
			const struct check_disk *disk = &doc->disk[k];
			const struct check_image *image = check_find_image(pic, disk->path);
			_cleanup_free_ char *what = NULL;

			if (!disk->sealed || !image || image->error)
				continue;
			what = image->have_stamp ? drift(&disk->seal, &image->stamp) : NULL;
			if (what)
				check_add(rep, doc->vm ? CHECK_SAVED_DRIFT : CHECK_SEAL_DRIFT, disk->path,
					  "disk '%s' of %s '%s' is not what it was: %s", disk->target, owner_word(doc),
					  doc->name, what);
			if (!doc->vm && image->regular && is_inside(pic, disk->path) && image->mode != SEALED_MODE)
				check_add(rep, CHECK_SEAL_MODE, disk->path,
					  "the sealed disk '%s' has mode %04o instead of %04o", disk->path,
					  (unsigned)image->mode, (unsigned)SEALED_MODE);
		}
	}
}
