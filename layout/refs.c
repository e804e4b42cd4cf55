/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who holds which image: pure rules over names (law 2). */
#include "layout/chain.h"

#include <string.h>

#include "common/alloc.h"
#include "layout/path.h"

/* All names are clean paths, so that one file has one name. */
struct image {
	char *path; /* first, for path_place() */
	char *backing; /* NULL: none */
};

struct owner {
	char *name;
	char *path;
};

struct refs {
	struct image *image; /* sorted by path */
	size_t images;
	struct owner *owner;
	size_t owners;
};

struct refs *refs_new(void)
{
	return xcalloc(1, sizeof(struct refs));
}

static void owner_done(struct owner *owner)
{
	free(owner->name);
	free(owner->path);
}

void refs_free(struct refs *refs)
{
	if (!refs)
		return;
	for (size_t i = 0; i < refs->images; i++) {
		free(refs->image[i].path);
		free(refs->image[i].backing);
	}
	for (size_t i = 0; i < refs->owners; i++)
		owner_done(&refs->owner[i]);
	free(refs->image);
	free(refs->owner);
	free(refs);
}

/* Place of path among the images; *ret_found says whether it is there. */
static size_t place_of(const struct refs *refs, const char *path, int *ret_found)
{
	return path_place(refs->image, refs->images, sizeof(*refs->image), path, ret_found);
}

void refs_add_image(struct refs *refs, const char *path, const char *backing)
{
	_cleanup_free_ char *clean = path_clean(path), *clean_backing = backing ? path_clean(backing) : NULL;
	int found;
	size_t at = place_of(refs, clean, &found);

	if (!found) {
		refs->image = xreallocarray(refs->image, refs->images + 1, sizeof(*refs->image));
		memmove(refs->image + at + 1, refs->image + at, (refs->images - at) * sizeof(*refs->image));
		refs->image[at] = (struct image){.path = TAKE_PTR(clean)};
		refs->images++;
	}
	xstrset(&refs->image[at].backing, clean_backing);
}

void refs_add_owner(struct refs *refs, const char *path, const char *owner)
{
	_cleanup_free_ char *clean = path_clean(path);

	for (size_t i = 0; i < refs->owners; i++) {
		if (strcmp(refs->owner[i].name, owner) == 0 && strcmp(refs->owner[i].path, clean) == 0)
			return;
	}
	refs->owner = xreallocarray(refs->owner, refs->owners + 1, sizeof(*refs->owner));
	refs->owner[refs->owners++] = (struct owner){.name = xstrdup(owner), .path = TAKE_PTR(clean)};
}

void refs_drop_owner(struct refs *refs, const char *owner)
{
	size_t n = 0;

	for (size_t i = 0; i < refs->owners; i++) {
		if (strcmp(refs->owner[i].name, owner) == 0)
			owner_done(&refs->owner[i]);
		else
			refs->owner[n++] = refs->owner[i];
	}
	refs->owners = n;
}

/* Marks path and all below it. Stops at what is marked: cycles end there. */
static void mark_reached(const struct refs *refs, const char *path, unsigned char *reached)
{
	while (path) {
		int found;
		size_t at = place_of(refs, path, &found);

		if (!found || reached[at])
			return;
		reached[at] = 1;
		path = refs->image[at].backing;
	}
}

/* For every image how many others that are not done need it as their backing. */
static size_t *count_needs(const struct refs *refs, const unsigned char *done, size_t *backing)
{
	size_t *needs = xcalloc(refs->images + 1, sizeof(*needs));

	for (size_t i = 0; i < refs->images; i++) {
		int found = 0;

		backing[i] = refs->image[i].backing ? place_of(refs, refs->image[i].backing, &found) : 0;
		if (!found || backing[i] == i)
			backing[i] = refs->images; /* none that matters */
		if (!done[i])
			needs[backing[i]]++;
	}
	return needs;
}

/* The first orphan that nothing needs any more; in a cycle, which has none, the
 * first at all. Number of images: no orphan is left. */
static size_t next_orphan(const struct refs *refs, const unsigned char *done, const size_t *needs)
{
	size_t first = refs->images;

	for (size_t i = 0; i < refs->images; i++) {
		if (done[i])
			continue;
		if (needs[i] == 0)
			return i;
		if (first == refs->images)
			first = i;
	}
	return first;
}

char **refs_orphans(const struct refs *refs)
{
	_cleanup_free_ unsigned char *done = xcalloc(refs->images + 1, 1);
	_cleanup_free_ size_t *backing = xcalloc(refs->images + 1, sizeof(*backing)), *needs = NULL;
	char **orphans = NULL;

	for (size_t i = 0; i < refs->owners; i++)
		mark_reached(refs, refs->owner[i].path, done);
	needs = count_needs(refs, done, backing);
	for (;;) {
		size_t i = next_orphan(refs, done, needs);

		if (i == refs->images)
			return orphans;
		strv_push(&orphans, xstrdup(refs->image[i].path));
		done[i] = 1;
		needs[backing[i]]--;
	}
}

size_t refs_dependants(const struct refs *refs, const char *path)
{
	_cleanup_free_ char *clean = path_clean(path);
	size_t n = 0;

	for (size_t i = 0; i < refs->images; i++)
		n += refs->image[i].backing && strcmp(refs->image[i].backing, clean) == 0;
	for (size_t i = 0; i < refs->owners; i++)
		n += strcmp(refs->owner[i].path, clean) == 0;
	return n;
}
