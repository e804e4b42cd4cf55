/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The chain of images under one disk: read from the headers, and the pure rules
 * about who references whom. */
#ifndef LAYOUT_CHAIN_H
#define LAYOUT_CHAIN_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

#define CHAIN_MAX 200 /* libvirt's own limit (qemu_domain.c) */

/* One image; strings *owned* by the chain. */
struct chain_image {
	char *path;          /* absolute */
	char *format;
	int64_t virtual_size; /* bytes; -1 unknown */
	int64_t allocated;   /* bytes on disk */
	int64_t grain;       /* bytes it allocates at once; 0 unknown, or a matter of the file system */
};

struct chain {
	struct chain_image *image; /* [0] is the top (the disk itself) */
	size_t n;
};

/* Reads the chain from path down by the headers' backing names; a backing image
 * whose format is not named is an error, as are loops, more than CHAIN_MAX
 * images and a file that is missing (file named). ret_chain is emptied by
 * chain_done(). Returns 0 or negative errno. */
_must_check_ int chain_read(const char *path, const char *format, struct chain *ret_chain, struct err *reterr);

/* What is below the image at path, by its header: path and format (*owned*; NULL at the end of the chain).
 * Returns 0 or negative errno, as chain_read(). */
_must_check_ int chain_next(const char *path, const char *format, char **ret_next, char **ret_format,
			    struct err *reterr);

/* Empties it. Takes an empty one. */
void chain_done(struct chain *chain);

/* A pure view of images and what holds them, for "what becomes an orphan". */
struct refs;

/* New and empty, *owned*. */
struct refs *refs_new(void);

/* Frees it (*taken*, may be NULL). */
void refs_free(struct refs *refs);
DEFINE_CLEANUP(struct refs, refs_free);

/* Says that image path exists over backing (NULL: none); both copied. */
void refs_add_image(struct refs *refs, const char *path, const char *backing);

/* Says that a configuration (named by owner) references path; both copied. */
void refs_add_owner(struct refs *refs, const char *path, const char *owner);

/* Takes back all that owner references. */
void refs_drop_owner(struct refs *refs, const char *owner);

/* Images that no configuration reaches, neither directly nor as backing of one
 * that is reached, tops before their backing images; *owned* list (NULL: none). */
char **refs_orphans(const struct refs *refs);

/* Number of images that name path as their backing, plus configurations that
 * reference it directly. */
size_t refs_dependants(const struct refs *refs, const char *path);

#endif
