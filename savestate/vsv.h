/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reader of `.vsv` files: all of a save state but the guest's memory, and where
 * each page of the memory is. An opaque save state has libvirt's own image under
 * a name with the same ending (image.h); vsv_is_ours() tells them apart. The
 * format is described in vmsnap-format(5); it is checked before it is used. */
#ifndef SAVESTATE_VSV_H
#define SAVESTATE_VSV_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/guid.h"

#define VSV_PAGE 4096             /* bytes of a page */
#define VSV_MAX_RAM (16ULL << 40) /* bytes of all blocks together */
#define VSV_MAX_BLOCKS 1024
#define VSV_MAX_NAME 255
#define VSV_MAX_CHAIN 32          /* save states that one is put together from, itself included */
#define VSV_NO_BLOCK UINT32_MAX

/* The two files of a save state, both *borrowed*. bin may be NULL where the
 * pages themselves are not needed, or where there is none (no memory was split). */
struct save_files {
	const char *vsv;
	const char *bin;
};

/* Where a page is. The numbers are those of the file. */
enum page_state {
	PAGE_ABSENT, /* never sent; must not be sent to the reader either */
	PAGE_ZERO,   /* all zeros, not in .bin */
	PAGE_DATA,   /* in .bin */
	PAGE_PARENT, /* as in the parent */
	PAGE_N_STATES
};

/* The parts of a file, in this order. */
enum vsv_part {
	VSV_HEAD,     /* libvirt's header, domain XML and cookie, as in its save image */
	VSV_PREFIX,   /* QEMU's stream up to the start of the memory */
	VSV_TAIL,     /* QEMU's stream after the memory: the devices */
	VSV_COMMANDS, /* what stood between the sections of the memory */
	VSV_BLOCKS,   /* table of RAM blocks */
	VSV_STATES,   /* page states */
	VSV_HASHES,   /* hashes of the pages that are in .bin */
	VSV_N_PARTS
};

/* Flags of a save state. */
enum {
	VSV_F_RAM = 1,       /* memory was split: prefix, blocks and states are there */
	VSV_F_END = 2,       /* the memory ended with a section END */
	VSV_F_FOOTERS = 4,   /* sections have footers */
	VSV_F_OPEN_PART = 8, /* the tail begins within a section PART of the memory */
	VSV_F_OPEN_END = 16, /* ... within its section END */
	VSV_F_PARTIAL = 32,  /* more of the memory may be in the tail */
	VSV_F_ALL = 63
};

/* A RAM block. */
struct vsv_block {
	char *name;      /* *owned* by the table it is in */
	uint64_t pages;  /* its length in pages */
	uint64_t offset; /* where it begins in .bin, a multiple of 1 MiB */
	uint64_t first;  /* number of its first page among all pages */
};

/* 128-bit XXH3 of a page. */
struct page_hash {
	uint64_t low, high;
};

/* Where a part is in the file, and its 64-bit XXH3. */
struct vsv_extent {
	uint64_t offset, size, sum;
};

/* What a file says about itself. */
struct vsv_info {
	struct guid guid, parent; /* parent: none, or whose pages those of state PARENT are */
	uint32_t flags;           /* VSV_F_* */
	uint32_t section;         /* id of the memory's section in the stream */
	uint32_t last_block;      /* block of the last page in the stream, or VSV_NO_BLOCK */
	uint64_t bin_size;        /* bytes of .bin; 0: there is none */
	uint64_t pages[PAGE_N_STATES]; /* how many are in each state */
	uint64_t ram_sum;         /* checksum of the whole memory, whatever file it is in */
	uint64_t size;            /* bytes of the file */
	uint64_t sum;             /* 64-bit XXH3 of all of it but its last 24 bytes, as stored there */
	struct vsv_extent part[VSV_N_PARTS];
	struct vsv_block *blocks; /* in the order of the stream */
	uint32_t n_blocks;
};

struct vsv;

/* 1 if the file begins as one of ours, 0 if as something else, negative errno if
 * that cannot be told. */
_must_check_ int vsv_is_ours(const char *path, struct err *reterr);

/* Opens a file and reads all of it but HEAD, PREFIX, TAIL, COMMANDS and HASHES,
 * whose checksums are not looked at yet. Memory use is bounded by the size of the
 * part STATES. Gives ret_vsv *owned*. Returns 0 or negative errno (ERR_BAD_DATA
 * names file and part). */
_must_check_ int vsv_open(const char *path, struct vsv **ret_vsv, struct err *reterr);

/* Closes it (*taken*, may be NULL). Returns NULL. */
struct vsv *vsv_free(struct vsv *v);
DEFINE_CLEANUP(struct vsv, vsv_free);
#define _cleanup_vsv_ _cleanup_(vsv_freep)

/* What it says about itself, *borrowed* as long as it is open. */
const struct vsv_info *vsv_info(const struct vsv *v);

/* Its path, *borrowed* as long as it is open. */
const char *vsv_path(const struct vsv *v);

/* What a part holds, in words, for messages. Static text. */
const char *vsv_part_name(enum vsv_part part);

/* Reads a whole part of at most max bytes and checks it. ret_data *owned*, with a
 * NUL after it. Returns 0 or negative errno (-EFBIG; ERR_BAD_DATA: damaged). */
_must_check_ int vsv_read_part(const struct vsv *v, enum vsv_part part, size_t max, char **ret_data, size_t *ret_len,
			       struct err *reterr);

/* Reads up to len bytes of a part at offset pos in it, unchecked. Returns 0 or
 * negative errno (ERR_BAD_DATA: not so many bytes). */
_must_check_ int vsv_read_at(const struct vsv *v, enum vsv_part part, uint64_t pos, void *buf, size_t len,
			     struct err *reterr);

/* Reads a part through and compares its checksum. Returns 0 or negative errno
 * (ERR_BAD_DATA names file and part). */
_must_check_ int vsv_check_part(const struct vsv *v, enum vsv_part part, struct err *reterr);

/* Reads the file through and compares every checksum. Returns as vsv_check_part(). */
_must_check_ int vsv_check(const struct vsv *v, struct err *reterr);

/* States of the n pages from page on (numbered over all blocks; there must be so
 * many). Returns how many pages in state DATA precede them, which is the number
 * of the first hash of theirs. */
uint64_t vsv_states(const struct vsv *v, uint64_t page, size_t n, uint8_t *ret_states);

/* n hashes from number first on. Returns 0 or negative errno. */
_must_check_ int vsv_hashes(const struct vsv *v, uint64_t first, size_t n, struct page_hash *ret_hashes,
			    struct err *reterr);

/* Domain XML that was saved with it, checked; ret_xml *owned*. Returns 0 or negative errno. */
_must_check_ int vsv_xml(const struct vsv *v, char **ret_xml, struct err *reterr);

#endif
