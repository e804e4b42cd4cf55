/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Splits a save image into `.bin` (the guest's memory, flat) and `.vsv` (all else)
 * while it arrives, in pieces of any size. Only the memory is understood; from the
 * first thing that is not, everything is kept as it came, so that the stream can be
 * joined again (join.h) whatever is in it.
 *
 *     split_new(), split_feed() ..., [split_replace()], split_finish(), split_free()
 *
 * Memory use does not depend on the length of the stream: three bits for each page
 * of the guest's RAM, its domain XML, the page states of the parents, and 2 MiB. */
#ifndef SAVESTATE_SPLIT_H
#define SAVESTATE_SPLIT_H

#include "savestate/vsv.h"

/* What to split; all *borrowed*, and only during split_new(). */
struct split_opts {
	const char *vsv, *bin; /* the files to make; until they are whole they end in .tmp */
	struct guid guid;      /* of the save state */
	/* NULL: libvirt's save image is fed, and its header at the end once more where
	 * it comes through a FIFO. Else QEMU's stream alone is fed, and this is the XML
	 * of the domain. */
	const char *xml;
	const char *cookie;    /* libvirt's private XML, with xml; may be NULL */
	int was_running;       /* with xml: the guest ran */
	/* The save state that this one is to be a difference of, then what that builds
	 * on, and so on; .bin files are not read. 0: it is to stand alone. Where the file
	 * system can, the .bin of one parent that stands alone is reflinked if it is named,
	 * and then this one stands alone, too. */
	const struct save_files *parents;
	size_t n_parents;
	/* 1: the disk begins early with .bin, so that less is left to wait for at the end;
	 * 0: reading the stream comes first (a guest may wait for that) */
	int write_behind;
	uint64_t max_ram;      /* refuse streams with more bytes of RAM; 0: VSV_MAX_RAM */
};

/* How far a stream was understood. */
enum split_form {
	SPLIT_ALL,     /* memory and devices are apart */
	SPLIT_PARTLY,  /* some of the memory is in the .vsv */
	SPLIT_NOTHING, /* all is in the .vsv; there is no .bin */
};

/* What became of it. Emptied by split_result_done(). */
struct split_result {
	enum split_form form;
	char *why;                     /* what was not understood, *owned*; NULL: all was */
	uint64_t stream_bytes;         /* fed */
	uint64_t pages[PAGE_N_STATES]; /* of the memory, by where they are */
	uint64_t bin_size;             /* bytes of .bin with its holes; 0: there is none */
	uint64_t vsv_size, vsv_sum;    /* bytes of .vsv and the 64-bit XXH3 of all of them */
	struct guid parent;            /* as asked for, or none if it stands alone */
};

struct split;

/* Starts. Gives ret_split *owned*. Returns 0 or negative errno. */
_must_check_ int split_new(const struct split_opts *opts, struct split **ret_split, struct err *reterr);

/* The next len bytes. After a failure all later calls fail alike and change
 * nothing. Returns 0 or negative errno: ERR_BAD_DATA: not a save image; ERR_REFUSED
 * with -ENOTSUP: the stream does not hold the memory (x-ignore-shared, multifd);
 * others as the disk gives them. */
_must_check_ int split_feed(struct split *s, const void *data, size_t len, struct err *reterr);

/* 1 if the last of the memory has begun to come in the way that QEMU sends it when the
 * guest has stopped for good (not in a background capture, nor in what is not understood). */
int split_guest_has_stopped(const struct split *s);

/* After the last split_feed(): the content of a RAM block (as system.flash1) is
 * taken from a file, because what the stream held of it is of another instant.
 * Returns 0 or negative errno: -ENOENT: no such block; -EINVAL: the file is not of
 * its size; ERR_BAD_DATA: the stream did not hold all of its pages; ERR_REFUSED: the
 * stream was not split, so that nothing in it can be replaced. */
_must_check_ int split_replace(struct split *s, const char *block, const char *path, struct err *reterr);

/* After the last of all: completes both files, makes them durable and gives them
 * their names, .vsv last. ret_result is to be emptied. Returns 0 or negative errno
 * (-ENODATA: the stream ended too early). */
_must_check_ int split_finish(struct split *s, struct split_result *ret_result, struct err *reterr);

/* Frees it (*taken*, may be NULL); files that are not finished are removed. Returns NULL. */
struct split *split_free(struct split *s);
DEFINE_CLEANUP(struct split, split_free);
#define _cleanup_split_ _cleanup_(split_freep)

/* Empties it. Takes an empty one. */
void split_result_done(struct split_result *result);

#endif
