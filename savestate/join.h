/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Joins `.vsv` and `.bin` to a save image again, looks whether they are sound, and
 * makes a save state independent of its parent. All take the save state itself and
 * after it its parent, the parent of that, and so on to the one that stands alone
 * (`files`, n of them, *borrowed*); one that stands alone comes alone. A memory file
 * may be packed (packed.h) everywhere. */
#ifndef SAVESTATE_JOIN_H
#define SAVESTATE_JOIN_H

#include "savestate/image.h"
#include "savestate/vsv.h"

/* What precedes QEMU's stream. */
enum join_head {
	JOIN_RESUME,   /* libvirt's header made anew, with was_running 1 */
	JOIN_VERBATIM, /* as it was saved */
	JOIN_NONE,     /* nothing */
};

/* How to join. */
struct join_opts {
	enum join_head head;
	const char *xml;            /* JOIN_RESUME: in place of the domain's XML; *borrowed*, NULL keeps it */
	image_progress_fn progress; /* may be NULL; `total` is an estimate until the end */
	void *arg;
};

/* Writes the save image to fd (a FIFO or pipe). What is read is checked on the way,
 * and the end is held back until all is known to be sound, so that a reader never
 * gets a damaged stream whole. Blocks as long as the reader takes. Returns 0 or
 * negative errno (-EPIPE: the reader went away; ERR_BAD_DATA names file and place). */
_must_check_ int join_stream(const struct save_files *files, size_t n, const struct join_opts *opts, int fd,
			     struct err *reterr);

/* Reads all that join_stream() would read, and all else that is in the first save
 * state's two files, and writes nothing. Returns 0 or negative errno (ERR_BAD_DATA
 * names file and part). */
_must_check_ int join_verify(const struct save_files *files, size_t n, image_progress_fn progress, void *arg,
			     struct err *reterr);

/* Writes the memory to fd (a regular file, empty; path is its name for messages) as a
 * .bin that stands alone: flat, with holes. progress may be NULL. Returns 0 or negative
 * errno (-ENOTSUP: not all of the memory is apart from the rest; -ECANCELED). */
_must_check_ int join_extract(const struct save_files *files, size_t n, int fd, const char *path,
			      image_progress_fn progress, void *arg, struct err *reterr);

/* Takes into the first save state the pages that it has from the second, whose
 * parent becomes its parent. What is read is checked, and so is the result, before it
 * gets its names: those of `to` (*borrowed*), .bin first. They may be the first's own,
 * which is replaced then; after a crash in between it is as good as before, and folding may
 * be done again. progress may be NULL. A save state that does not build on the second
 * (any more) is success, and nothing is written. Returns 0 or negative errno
 * (ERR_BAD_DATA names file and place; -ECANCELED). */
_must_check_ int join_fold(const struct save_files *files, size_t n, const struct save_files *to,
			   image_progress_fn progress, void *arg, struct err *reterr);

/* How many bytes join_fold() would write at most, by the page tables, for the last of the n - 1
 * parents that are taken in one after the other. Returns 0 or negative errno. */
_must_check_ int join_fold_size(const struct save_files *files, size_t n, uint64_t *ret_bytes, struct err *reterr);

/* Packs the memory file of a save state (packed.h): the packed file is written whole, read
 * again and compared, then gets its name; the flat file going is what decides. A crash leaves
 * the flat file, both (the flat one counts), or the packed one. Of one that is packed already nothing
 * is done. progress may be NULL. Returns 0 or negative errno (-ENOTSUP, ERR_REFUSED: it has no
 * memory file; ERR_BAD_DATA: damaged; -ECANCELED). */
_must_check_ int join_pack(const struct save_files *files, image_progress_fn progress, void *arg,
			   struct err *reterr);

/* The other way round: the flat file getting its name decides; then the packed one goes, also
 * where both were there. Returns as join_pack(). */
_must_check_ int join_unpack(const struct save_files *files, image_progress_fn progress, void *arg,
			     struct err *reterr);

/* What two memories have in common, in pages. */
struct join_diff {
	uint64_t same, changed; /* of pages that both hold (absent in both is the same) */
	uint64_t only_first, only_second; /* in blocks or at places that the other does not have */
};

/* Compares two save states by their hashes; no .bin file is read. Each with its
 * parents. Returns 0 or negative errno. */
_must_check_ int join_compare(const struct save_files *first, size_t n_first, const struct save_files *second,
			      size_t n_second, struct join_diff *ret_diff, struct err *reterr);

#endif
