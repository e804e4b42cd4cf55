/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Migration streams made by hand, and a reader of them that shares nothing with
 * the splitter: what a QEMU would have in its memory, and what else it was told. */
#ifndef TESTS_UNIT_STREAM_UTIL_H
#define TESTS_UNIT_STREAM_UTIL_H

#include "tests/unit/layout-util.h"

#include "savestate/join.h"
#include "savestate/split.h"

#define PAGE VSV_PAGE
#define XML "<domain type='qemu'><name>a</name></domain>"
#define COOKIE "<cookie/>"
#define RAM_ID 3

/* Bytes that grow. */
struct bytes {
	uint8_t *data;
	size_t len, room;
};

static inline void bytes_done(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){ 0 };
}
#define _cleanup_bytes_ _cleanup_(bytes_done)

/* The blocks of every stream here; pc.ram is not the first in them. */
enum { VGA, RAM, FLASH, N_BLOCKS };
struct block_spec {
	const char *name;
	size_t pages;
};
extern const struct block_spec blocks[N_BLOCKS];

/* Kinds of streams. */
enum kind {
	PLAIN,
	BACKGROUND,
	SWITCHOVER,
	NO_FOOTERS,
	CAPABILITIES,
	/* that are understood in part */
	XBZRLE_IN_PART,
	XBZRLE_IN_END,
	XBZRLE_FIRST,
	UNKNOWN_COMMAND,
	UNKNOWN_START,
	FOREIGN_PART,
	FILLED,
	OUTSIDE,
	NO_SUCH_BLOCK,
	/* not at all */
	POSTCOPY,
	MAPPED_RAM,
	BLOCK_FIRST,
	VERSION_2,
	LARGE_PAGES,
	UNKNOWN_SUBSECTION,
	ODD_TABLE,
	N_KINDS,
	FIRST_PARTLY = XBZRLE_IN_PART,
	FIRST_NOTHING = POSTCOPY,
};

/* QEMU's stream of that kind; generation changes some pages of the memory. */
struct bytes make_stream(enum kind kind, unsigned int generation);

/* libvirt's save image of the stream; through_fifo: with its header once more at the end. */
struct bytes make_image(const struct bytes *stream, int through_fifo);

/* Parts of streams. */
void add(struct bytes *b, const void *data, size_t len);
void add_number(struct bytes *b, uint64_t value, int n_bytes);
void add_name(struct bytes *b, const char *name);
void add_start(struct bytes *b, enum kind kind); /* up to the first section */
void add_ram_start(struct bytes *b, int footers);
void add_section(struct bytes *b, int type, uint32_t id);
void add_record(struct bytes *b, uint64_t flags, uint64_t page, const char *block);
void add_page(struct bytes *b, uint64_t page, const char *block, unsigned int seed);
void add_zero(struct bytes *b, uint64_t page, const char *block);
void add_section_end(struct bytes *b, int footers);
void add_devices(struct bytes *b, unsigned int seed, size_t len);

/* Content of a page with that seed. */
void fill_page(uint8_t *page, unsigned int seed);

/* What a reader has after a stream: content and presence of each page, and all that
 * is not memory, in order. */
struct machine {
	uint8_t *content[N_BLOCKS];
	uint8_t *present[N_BLOCKS];
	struct bytes other;
};

/* Reads a stream; one that makes no sense fails the test. */
struct machine load(const struct bytes *stream);
void machine_done(struct machine *m);
#define _cleanup_machine_ _cleanup_(machine_done)

/* Fails the test unless both are the same. */
void assert_same_machine(const struct machine *a, const struct machine *b);

/* A save state in a directory: DIR/NAME.vsv and .bin. */
struct state {
	struct save_files files;
	struct guid guid;
};
struct state state_in(const char *dir, const char *name);
void state_done(struct state *state);
#define _cleanup_state_ _cleanup_(state_done)

/* Splits QEMU's stream into it, which must succeed; pieces of chunk bytes. With parents it
 * is a difference, or, where stream_reflink is set and the file system can, a reflink. */
extern int stream_reflink;
struct split_result split_stream(const struct state *state, const struct bytes *stream, size_t chunk,
				 const struct save_files *parents, size_t n_parents);

/* Joins it without libvirt's head into DIR/joined; the result of join_stream(). */
int try_join(const char *dir, const struct save_files *files, size_t n, enum join_head head, const char *xml,
	     struct bytes *ret_joined, struct err *reterr);

/* The same, which must succeed, and so must join_verify(). */
struct bytes join(const char *dir, const struct save_files *files, size_t n);

/* Whole content of a file. */
struct bytes slurp(const char *path);

/* Turns over a bit of the byte at an offset of a file. */
void flip(const char *path, off_t offset);

/* Runs the tests where files cost little. */
void use_fast_directory(void);

#endif
