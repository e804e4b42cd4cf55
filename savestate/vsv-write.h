/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writer of `.vsv` files: from the front to the end, one part after the other. */
#ifndef SAVESTATE_VSV_WRITE_H
#define SAVESTATE_VSV_WRITE_H

#include "savestate/vsv.h"

struct vsv_writer;

/* Starts a file that becomes path when it is whole; PATH.tmp until then. Gives
 * ret_writer *owned*. Returns 0 or negative errno. */
_must_check_ int vsv_writer_new(const char *path, struct vsv_writer **ret_writer, struct err *reterr);

/* Frees it (*taken*, may be NULL); an unfinished file is removed. Returns NULL. */
struct vsv_writer *vsv_writer_free(struct vsv_writer *w);
DEFINE_CLEANUP(struct vsv_writer, vsv_writer_free);
#define _cleanup_vsv_writer_ _cleanup_(vsv_writer_freep)

/* Adds len bytes to the part. Parts come in their order; those that are left out
 * are empty. Returns 0 or negative errno. */
_must_check_ int vsv_writer_put(struct vsv_writer *w, enum vsv_part part, const void *data, size_t len,
				struct err *reterr);

/* Writes the part BLOCKS from info (*borrowed*). Returns 0 or negative errno. */
_must_check_ int vsv_writer_blocks(struct vsv_writer *w, const struct vsv_info *info, struct err *reterr);

/* Adds a page to the part STATES, and counts it. Returns 0 or negative errno. */
_must_check_ int vsv_writer_state(struct vsv_writer *w, enum page_state state, struct err *reterr);

/* Adds a hash to the part HASHES. Returns 0 or negative errno. */
_must_check_ int vsv_writer_hash(struct vsv_writer *w, const struct page_hash *hash, struct err *reterr);

/* Writes the index from info, whose counts of pages, parts, size and sum are filled
 * in, and makes the file durable. ret_file_sum (may be NULL) gets the 64-bit XXH3
 * of the whole file. Returns 0 or negative errno. */
_must_check_ int vsv_writer_finish(struct vsv_writer *w, struct vsv_info *info, uint64_t *ret_file_sum,
				   struct err *reterr);

/* Gives the finished file its name and makes that durable. Returns 0 or negative errno. */
_must_check_ int vsv_writer_publish(struct vsv_writer *w, struct err *reterr);

#endif
