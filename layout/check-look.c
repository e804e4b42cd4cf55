/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The picture that the rules look at: documents that are handed in, images by their
 * files and headers. */
#define _GNU_SOURCE
#include "layout/check.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "layout/image.h"
#include "layout/path.h"
#include "layout/qcow2.h"

struct check_doc *check_picture_doc(struct check_picture *pic)
{
	pic->doc = xreallocarray(pic->doc, pic->n_docs + 1, sizeof(*pic->doc));
	pic->doc[pic->n_docs] = xcalloc(1, sizeof(**pic->doc));
	return pic->doc[pic->n_docs++];
}

struct check_disk *check_doc_disk(struct check_doc *doc)
{
	doc->disk = xreallocarray(doc->disk, doc->n_disks + 1, sizeof(*doc->disk));
	doc->disk[doc->n_disks] = (struct check_disk){ 0 };
	return &doc->disk[doc->n_disks++];
}

void check_doc_ref(struct check_doc *doc, char *path, enum check_id missing, int64_t size, enum check_id drift)
{
	doc->ref = xreallocarray(doc->ref, doc->n_refs + 1, sizeof(*doc->ref));
	doc->ref[doc->n_refs++] =
		(struct check_file){ .path = path, .missing = missing, .size = size, .drift = drift };
}

void check_picture_other(struct check_picture *pic, const char *path, const char *vm, int working)
{
	pic->other = xreallocarray(pic->other, pic->n_others + 1, sizeof(*pic->other));
	pic->other[pic->n_others++] =
		(struct check_other){ .path = path_clean(path), .vm = xstrdup(vm), .working = working };
}

static void doc_free(struct check_doc *doc)
{
	for (size_t i = 0; i < doc->n_disks; i++) {
		free(doc->disk[i].target);
		free(doc->disk[i].path);
		free(doc->disk[i].format);
	}
	for (size_t i = 0; i < doc->n_refs; i++)
		free(doc->ref[i].path);
	free(doc->disk);
	free(doc->ref);
	free(doc->file);
	free(doc->name);
	free(doc);
}

static void image_done(struct check_image *image)
{
	free(image->path);
	free(image->format);
	free(image->damage);
	free(image->backing);
	free(image->below);
	free(image->backing_format);
}

void check_picture_done(struct check_picture *pic)
{
	for (size_t i = 0; i < pic->n_docs; i++)
		doc_free(pic->doc[i]);
	for (size_t i = 0; i < pic->n_images; i++)
		image_done(&pic->image[i]);
	for (size_t i = 0; i < pic->n_others; i++) {
		free(pic->other[i].path);
		free(pic->other[i].vm);
	}
	free(pic->doc);
	free(pic->image);
	free(pic->other);
	strv_free(pic->held);
	strv_free(pic->texts);
	*pic = (struct check_picture){ 0 };
}

/* Place of path among the images; *ret_found says whether it is there. */
static size_t place_of(const struct check_picture *pic, const char *path, int *ret_found)
{
	return path_place(pic->image, pic->n_images, sizeof(*pic->image), path, ret_found);
}

struct check_image *check_find_image(const struct check_picture *pic, const char *path)
{
	int found;
	size_t at = place_of(pic, path, &found);

	return found ? &pic->image[at] : NULL;
}

/* Where a backing name leads; NULL for one that is not a file's. */
static char *follow(const char *path, const char *name)
{
	_cleanup_free_ char *dir = path_dirname(path), *joined = NULL;

	if (path_has_protocol(name))
		return NULL;
	joined = name[0] == '/' ? xstrdup(name) : path_join(dir, name);
	return path_clean(joined);
}

static int begins_as_qcow2(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	unsigned char magic[4];

	return fd >= 0 && pread_all(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
	       memcmp(magic, "QFI\xfb", sizeof(magic)) == 0;
}

static void look_at_header(struct check_image *image)
{
	_cleanup_(qcow2_info_done) struct qcow2_info info = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	if (qcow2_read(image->path, &info, &err) < 0) {
		image->damage = xstrdup(err.message);
		return;
	}
	if (info.corrupt)
		image->damage = xasprintf("image '%s' is marked as corrupt by QEMU", image->path);
	if (info.external_data)
		image->damage = xasprintf("image '%s' keeps its data in another file", image->path);
	image->virtual_size = (int64_t)info.virtual_size;
	image->backing = TAKE_PTR(info.backing);
	image->backing_format = TAKE_PTR(info.backing_format);
	if (image->backing)
		image->below = follow(image->path, image->backing);
}

/* Fills in what the file says; a file that opens but cannot be read shows in error, too. */
static void look_at(struct check_image *image)
{
	struct stat st;
	int qcow2 = image->format && strcmp(image->format, "qcow2") == 0;

	image->virtual_size = -1;
	if (stat(image->path, &st) < 0) {
		image->error = -errno;
		return;
	}
	image->regular = S_ISREG(st.st_mode);
	image->mode = st.st_mode & 07777;
	image->dev = st.st_dev;
	image->ino = st.st_ino;
	if (!image->regular && !S_ISBLK(st.st_mode)) {
		image->error = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
		return;
	}
	image->error = stamp_take(image->path, &image->stamp, NULL);
	image->have_stamp = image->error == 0;
	if (image->error < 0)
		return;
	image->magic = begins_as_qcow2(image->path);
	if (qcow2 && image->magic)
		look_at_header(image);
	else if (image->format && strcmp(image->format, "raw") == 0 &&
		 disk_virtual_size(image->path, "raw", &image->virtual_size, NULL) < 0)
		image->virtual_size = -1;
}

/* Adds an image unless it is there. Returns 1 if it is new. */
static int add_image(struct check_picture *pic, const char *path, const char *format, const struct check_doc *named)
{
	int found;
	size_t at = place_of(pic, path, &found);

	if (found || pic->n_images >= CHECK_MAX_IMAGES) {
		pic->incomplete |= !found;
		return 0;
	}
	pic->image = xreallocarray(pic->image, pic->n_images + 1, sizeof(*pic->image));
	memmove(pic->image + at + 1, pic->image + at, (pic->n_images - at) * sizeof(*pic->image));
	pic->image[at] = (struct check_image){ .path = xstrdup(path), .format = xstrdup(format), .named = named };
	pic->n_images++;
	look_at(&pic->image[at]);
	return 1;
}

void check_look_images(struct check_picture *pic)
{
	for (size_t i = 0; i < pic->n_docs; i++)
		for (size_t k = 0; k < pic->doc[i]->n_disks; k++)
			add_image(pic, pic->doc[i]->disk[k].path, pic->doc[i]->disk[k].format, pic->doc[i]);
	for (size_t i = 0; i < pic->n_images;) {
		_cleanup_free_ char *below = xstrdup(pic->image[i].below);
		_cleanup_free_ char *format = xstrdup(pic->image[i].backing_format);

		/* A new one may have come before this one: begin again, all that was followed is known then. */
		i = below && add_image(pic, below, format, NULL) ? 0 : i + 1;
	}
}

static int lies_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* The path as it stands in an XML document, quotes as libxml2 and libvirt write them. */
static char *escaped(const char *path)
{
	char *out = xcalloc(strlen(path) + 1, 6), *p = out;

	for (; *path; path++) {
		switch (*path) {
		case '&': p = stpcpy(p, "&amp;"); break;
		case '<': p = stpcpy(p, "&lt;"); break;
		case '>': p = stpcpy(p, "&gt;"); break;
		case '\'': p = stpcpy(p, "&apos;"); break;
		case '"': p = stpcpy(p, "&quot;"); break;
		default: *p++ = *path;
		}
	}
	return out;
}

static int in_texts(const struct check_picture *pic, const char *path)
{
	_cleanup_free_ char *xml = escaped(path);
	/* Where the VM directory was moved the documents still have the former place. */
	_cleanup_free_ char *name = xasprintf("/%s'", path_basename(xml)), *quoted = xasprintf("/%s\"", path_basename(xml));

	for (size_t i = 0; pic->texts && pic->texts[i]; i++)
		if (strstr(pic->texts[i], path) || strstr(pic->texts[i], xml) || strstr(pic->texts[i], name) ||
		    strstr(pic->texts[i], quoted))
			return 1;
	return 0;
}

static int in_documents(const struct check_picture *pic, const char *path)
{
	for (size_t i = 0; i < pic->n_docs; i++) {
		const struct check_doc *doc = pic->doc[i];

		if (lies_below(doc->file, path))
			return 1;
		for (size_t k = 0; k < doc->n_disks; k++)
			if (lies_below(doc->disk[k].path, path))
				return 1;
		for (size_t k = 0; k < doc->n_refs; k++)
			if (lies_below(doc->ref[k].path, path))
				return 1;
	}
	return 0;
}

int check_is_used(const struct check_picture *pic, const char *path)
{
	if (in_documents(pic, path))
		return 1;
	for (size_t i = 0; i < pic->n_images; i++)
		if (lies_below(pic->image[i].path, path))
			return 1;
	for (size_t i = 0; i < pic->n_others; i++)
		if (lies_below(pic->other[i].path, path))
			return 1;
	for (size_t i = 0; pic->held && pic->held[i]; i++)
		if (lies_below(pic->held[i], path) || lies_below(path, pic->held[i]))
			return 1;
	return in_texts(pic, path);
}
