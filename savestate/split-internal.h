/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the splitter share. */
#ifndef SAVESTATE_SPLIT_INTERNAL_H
#define SAVESTATE_SPLIT_INTERNAL_H

#include "savestate/image-internal.h"
#include "savestate/sink.h"
#include "savestate/split.h"
#include "savestate/vsv-internal.h"
#include "savestate/vsv-write.h"

/* Types of sections in QEMU's stream. */
enum {
	QEMU_START = 1,
	QEMU_PART = 2,
	QEMU_END = 3,
	QEMU_FULL = 4,
	QEMU_SUBSECTION = 5,
	QEMU_CONFIGURATION = 7,
	QEMU_COMMAND = 8,
	QEMU_FOOTER = 0x7e,
};

/* Flags in the low bits of a record of the memory, and commands between them. */
enum {
	RAM_ZERO = 0x02,
	RAM_MEM_SIZE = 0x04,
	RAM_PAGE = 0x08,
	RAM_EOS = 0x10,
	RAM_CONTINUE = 0x20,
	RAM_MULTIFD_FLUSH = 0x200,
	RAM_FLAGS = VSV_PAGE - 1,
	COMMAND_SWITCHOVER_START = 11,
};

#define QEMU_VERSION 3
#define RAM_VERSION 4
#define RAM_NAME "ram"

/* What the next element of the stream is. */
enum parse_state {
	/* what precedes the memory */
	PARSE_MAGIC,
	PARSE_TYPE,
	PARSE_MACHINE,
	PARSE_SUBSECTION,
	PARSE_CAPABILITY,
	PARSE_START,
	PARSE_MEM_SIZE,
	PARSE_BLOCK,
	PARSE_START_END,
	/* the memory */
	PARSE_SECTION,
	PARSE_RECORD,
	PARSE_PAGE,
	/* the rest */
	PARSE_TAIL,
	PARSE_N_STATES
};

/* The longest: the name of the machine, or of a block with all that stands before and after it. */
#define ELEM_MAX 1088
/* What a step returns that does not understand its element. */
#define NOT_UNDERSTOOD INT32_MIN

struct split {
	int failed;                /* 0 or the negative errno of the first failure */
	char *vsv_path, *bin_path;
	uint64_t max_ram, stream_bytes;
	int write_behind;
	struct vsv_info info;
	struct vsv_writer *vsv;
	struct sink *sink;         /* NULL until the memory begins */
	struct chain *parents;     /* may be NULL */
	char *parent_bin;          /* memory file of the first; may be NULL */

	/* libvirt's head, until it is complete; then its first header */
	int bare, partial;         /* partial: the header comes again at the end */
	char *head;
	size_t head_len, head_need;
	uint8_t held[IMAGE_HEADER_SIZE]; /* the last bytes, which may be that header */
	size_t held_len;

	/* QEMU's stream */
	enum parse_state state;
	uint8_t elem[ELEM_MAX];    /* the present element, as far as it is here */
	size_t elem_len;
	uint8_t *prefix;           /* the elements before the memory */
	size_t prefix_len;
	int configured;            /* the machine was named; its subsections may follow */
	uint32_t capabilities;     /* that are still to come in the list */
	uint64_t ram_total, ram_seen; /* bytes that the table of blocks is to have, and has */
	uint32_t n_blocks_room;
	int in_end;                /* the present section is the last */
	uint32_t block;            /* of the present record */
	uint64_t page;
	uint8_t *place;            /* where the page goes, and how much of it is there */
	size_t place_len;
	uint8_t commands[VSV_MAX_COMMANDS];
	size_t commands_len;
	const char *why;           /* static text: what was not understood */
};

/* Takes len bytes of QEMU's stream. Returns 0 or negative errno. */
_must_check_ int split_parse(struct split *s, const uint8_t *data, size_t len, struct err *reterr);

/* Judges what has arrived of an element that may be complete already; returns the
 * number of bytes that it needs (more than there are), 0 when it was taken,
 * NOT_UNDERSTOOD, or negative errno. */
_must_check_ int split_step_prefix(struct split *s, struct err *reterr);
_must_check_ int split_step_ram(struct split *s, struct err *reterr); /* the same, within the memory */

/* Says what is not understood (static text). Returns NOT_UNDERSTOOD. */
int split_not_understood(struct split *s, const char *why);

/* The stream does not hold the memory. Returns -ENOTSUP. */
int split_refuse(const struct split *s, const char *why, struct err *reterr);

/* The table of blocks is complete: places them in .bin and starts it. Returns 0 or
 * negative errno. */
_must_check_ int split_start_ram(struct split *s, struct err *reterr);

#endif
