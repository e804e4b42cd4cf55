/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes over all pages of a save state has in common. */
#ifndef SAVESTATE_JOIN_INTERNAL_H
#define SAVESTATE_JOIN_INTERNAL_H

#include "savestate/chain.h"
#include "savestate/join.h"
#include "savestate/out-file.h"

/* Is given a window of n pages (at most CHAIN_WINDOW) of a block from page on, and where
 * each is. Returns 0 or negative errno, which ends it. */
typedef int (*join_window_fn)(void *arg, const struct vsv_block *block, uint64_t page, const struct page_ref *refs,
			      size_t n, struct err *reterr);

/* Calls fn with each window of pages of the first file, in order. Returns 0 or negative errno. */
_must_check_ int join_each_window(const struct chain *chain, join_window_fn fn, void *arg, struct err *reterr);

/* Writes each page that is to be found to its place in out, and gives that the size of a
 * .bin. progress may be NULL. Returns 0 or negative errno (-ECANCELED). */
_must_check_ int join_copy_pages(const struct chain *chain, const struct out_file *out, image_progress_fn progress,
				 void *arg, struct err *reterr);

#endif
