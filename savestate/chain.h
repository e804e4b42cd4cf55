/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A save state with those it takes pages from: resolves where each page is, and
 * reads it. */
#ifndef SAVESTATE_CHAIN_H
#define SAVESTATE_CHAIN_H

#include "savestate/packed.h"
#include "savestate/vsv.h"

#define CHAIN_WINDOW 256 /* pages that are looked at together: 1 MiB */

/* Where a page is after all parents were asked. */
struct page_ref {
	uint8_t state;         /* never PAGE_PARENT */
	uint8_t level;         /* 0: the first file; 1: its parent; ... */
	uint64_t offset;       /* in the .bin of that level; of PAGE_DATA */
	uint64_t rank;         /* how many pages of state DATA precede it there; of PAGE_DATA */
	struct page_hash hash; /* of PAGE_DATA */
};

struct chain;

/* Opens n files, each the parent of the one before, and checks that they belong
 * together and that the last needs no other (unless open_end: then pages of the
 * last may be PARENT and chain_resolve() leaves them so). with_bins: the .bin files
 * too, packed (packed.h) where there is no flat one. Their hashes are checked. Gives ret_chain *owned*. Returns 0 or negative
 * errno. */
_must_check_ int chain_open(const struct save_files *files, size_t n, int with_bins, int open_end,
			    struct chain **ret_chain, struct err *reterr);

/* Closes it (*taken*, may be NULL). Returns NULL. */
struct chain *chain_free(struct chain *chain);
DEFINE_CLEANUP(struct chain, chain_free);
#define _cleanup_chain_ _cleanup_(chain_freep)

/* A level's `.vsv`, *borrowed*. */
const struct vsv *chain_vsv(const struct chain *chain, size_t level);

/* A level's open `.bin`, *borrowed*; -1 if it has none, or it is packed. */
int chain_bin(const struct chain *chain, size_t level);

/* A level's packed memory file, *borrowed*; NULL if it has none, or it is flat. */
struct packed *chain_packed(const struct chain *chain, size_t level);

/* Says in whose blocks (*borrowed* during the call) chain_resolve() counts: those
 * of the first file, unless it was called. */
void chain_bind(struct chain *chain, const struct vsv_block *blocks, uint32_t n);

/* Where n pages (at most CHAIN_WINDOW) of a block are. Pages that the block does
 * not have in any level are PAGE_ABSENT if the first level does not have them.
 * Returns 0 or negative errno (ERR_BAD_DATA: a parent lacks a page). */
_must_check_ int chain_resolve(const struct chain *chain, uint32_t block, uint64_t page, size_t n,
			       struct page_ref *ret_refs, struct err *reterr);

/* Reads those of the n pages that are PAGE_DATA, each to its place in buf, and
 * compares their hashes. Returns 0 or negative errno (ERR_BAD_DATA names the file
 * and the place). */
_must_check_ int chain_read_pages(const struct chain *chain, const struct page_ref *refs, size_t n, uint8_t *buf,
			    struct err *reterr);

/* Adds up the memory as chain_resolve() gives it and compares the sum with the one
 * that the first file holds. Returns 0 or negative errno (ERR_BAD_DATA). */
_must_check_ int chain_check_ram_sum(const struct chain *chain, struct err *reterr);

#endif
