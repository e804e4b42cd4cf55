/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Takes the pages of a stream in any order and as often as they come, and keeps
 * the last of each in `.bin`: what is zero leaves a hole, what is as in the parent
 * too. Memory use: three bits for each page of RAM (four for a reflink), and 1 MiB. */
#ifndef SAVESTATE_SINK_H
#define SAVESTATE_SINK_H

#include "savestate/chain.h"
#include "savestate/vsv-write.h"

struct sink;

/* Starts with path (a file of that name appears when it is published) and the
 * blocks of info; scratch space goes into the same directory, without a name.
 * parents (may be NULL) is bound to the blocks; all *borrowed*. write_behind: the
 * disk begins early, so that less is left to wait for at the end. Gives ret_sink
 * *owned*. Returns 0 or negative errno. */
_must_check_ int sink_new(const char *path, const struct vsv_info *info, const struct chain *parents,
			  int write_behind, struct sink **ret_sink, struct err *reterr);

/* Makes a new one begin as a reflink of whole_bin (*borrowed*), the flat memory file of the
 * first of the parents, where the file system can and that one stands alone: then no page is
 * left to parents. Returns 1 if it does, 0 if it begins empty as before. */
int sink_clone(struct sink *sink, const char *whole_bin);

/* Frees it (*taken*, may be NULL); what was not published is removed. Returns NULL. */
struct sink *sink_free(struct sink *sink);
DEFINE_CLEANUP(struct sink, sink_free);

/* Place (*borrowed* until the next call) for the content of a page that has
 * arrived; sink_take() follows when it is filled. Returns 0 or negative errno. */
_must_check_ int sink_place(struct sink *sink, uint32_t block, uint64_t page, uint8_t **ret_place,
			    struct err *reterr);

/* The page of the last sink_place() is complete. Returns nothing. */
void sink_take(struct sink *sink);

/* A page that is all zeros has arrived. Returns 0 or negative errno. */
_must_check_ int sink_zero(struct sink *sink, uint32_t block, uint64_t page, struct err *reterr);

/* Writes out what is still in memory. Returns 0 or negative errno. */
_must_check_ int sink_flush(struct sink *sink, struct err *reterr);

/* State of a page (numbered over all blocks) after sink_flush(). */
enum page_state sink_state(const struct sink *sink, uint64_t page);

/* After the last page: frees what became stale in the file, sets its size and
 * makes it durable. Returns 0 or negative errno. */
_must_check_ int sink_finish(struct sink *sink, struct err *reterr);

/* Writes states and hashes into the parts of that name, and the sum of the memory
 * into info. Returns 0 or negative errno. */
_must_check_ int sink_describe(struct sink *sink, struct vsv_writer *w, struct vsv_info *info, struct err *reterr);

/* Gives the finished file its name. Returns 0 or negative errno. */
_must_check_ int sink_publish(struct sink *sink, struct err *reterr);

#endif
