/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The splitter on what precedes the memory in QEMU's stream: magic, configuration,
 * START of the memory with the table of its blocks. Each element is kept as it
 * is; one that is not known here ends the splitting before it began, because its
 * length cannot be known. */
#include <string.h>

#include "common/alloc.h"
#include "common/cursor.h"
#include "savestate/split-internal.h"

#define MAX_MACHINE 1024 /* bytes of a machine's name */
#define MAX_CAPABILITIES 64

/* The element is understood: keeps its bytes, and the next is of that kind. */
static int taken(struct split *s, enum parse_state next)
{
	if (s->elem_len > VSV_MAX_PREFIX - s->prefix_len)
		return split_not_understood(s, "the start of the stream is too long");
	s->prefix = xreallocarray(s->prefix, s->prefix_len + s->elem_len, 1);
	memcpy(s->prefix + s->prefix_len, s->elem, s->elem_len);
	s->prefix_len += s->elem_len;
	s->elem_len = 0;
	s->state = next;
	return 0;
}

/* 1 if the text at the cursor, which has len bytes, is that one. */
static int text_is(struct cursor *c, size_t len, const char *text)
{
	const void *bytes = cursor_bytes(c, len);

	return bytes && len == strlen(text) && memcmp(bytes, text, len) == 0;
}

static int step_magic(struct split *s, struct cursor *c, struct err *reterr)
{
	if (s->elem_len < 8)
		return 8;
	if (!text_is(c, STREAM_MAGIC_LEN, STREAM_MAGIC))
		return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, s->vsv_path, NULL,
				"no QEMU stream comes for save state '%s'", s->vsv_path);
	if (cursor_be32(c) != QEMU_VERSION)
		return split_not_understood(s, "the stream is of another version");
	return taken(s, PARSE_TYPE);
}

static int step_type(struct split *s, struct cursor *c, struct err *reterr _unused_)
{
	if (s->elem_len < 1)
		return 1;
	switch (cursor_u8(c)) {
	case QEMU_CONFIGURATION:
		if (s->configured)
			return split_not_understood(s, "the machine is named twice");
		s->configured = 1;
		return taken(s, PARSE_MACHINE);
	case QEMU_SUBSECTION:
		if (!s->configured)
			return split_not_understood(s, "there is a subsection of nothing");
		return taken(s, PARSE_SUBSECTION);
	case QEMU_START:
		return taken(s, PARSE_START);
	case QEMU_COMMAND:
		return split_not_understood(s, "a command precedes the memory");
	default:
		return split_not_understood(s, "something else precedes the memory");
	}
}

static int step_machine(struct split *s, struct cursor *c, struct err *reterr _unused_)
{
	uint32_t len;

	if (s->elem_len < 4)
		return 4;
	len = cursor_be32(c);
	if (len > MAX_MACHINE)
		return split_not_understood(s, "the name of the machine is too long");
	return s->elem_len < 4 + len ? (int)(4 + len) : taken(s, PARSE_TYPE);
}

/* Number and name, then the version; the data depend on the name. */
static int step_subsection(struct split *s, struct cursor *c, struct err *reterr _unused_)
{
	size_t len, data;
	struct cursor again;

	if (s->elem_len < 1)
		return 1;
	len = cursor_u8(c);
	if (s->elem_len < 1 + len)
		return (int)(1 + len);
	again = *c;
	if (text_is(&again, len, "configuration/uuid"))
		data = 16;
	else if (again = *c, text_is(&again, len, "configuration/target-page-bits") ||
				     (again = *c, text_is(&again, len, "configuration/capabilities")))
		data = 4;
	else
		return split_not_understood(s, "a subsection of the configuration is not known here");
	if (s->elem_len < 1 + len + 4 + data)
		return (int)(1 + len + 4 + data);
	cursor_seek(c, 1 + len + 4);
	s->capabilities = 0;
	if (s->elem[1 + strlen("configuration/")] == 't' && cursor_be32(c) != 12)
		return split_not_understood(s, "pages have another size");
	if (s->elem[1 + strlen("configuration/")] == 'c')
		s->capabilities = cursor_be32(c);
	if (s->capabilities > MAX_CAPABILITIES)
		return split_not_understood(s, "there are too many capabilities");
	return taken(s, s->capabilities ? PARSE_CAPABILITY : PARSE_TYPE);
}

static int step_capability(struct split *s, struct cursor *c, struct err *reterr)
{
	struct cursor again;
	size_t len;

	if (s->elem_len < 1)
		return 1;
	len = cursor_u8(c);
	if (s->elem_len < 1 + len)
		return (int)(1 + len);
	again = *c;
	if (text_is(&again, len, "x-ignore-shared"))
		return split_refuse(s, "x-ignore-shared is on", reterr);
	if (text_is(c, len, "mapped-ram"))
		return split_not_understood(s, "the memory is laid out by mapped-ram");
	s->capabilities--;
	return taken(s, s->capabilities ? PARSE_CAPABILITY : PARSE_TYPE);
}

/* Id of the section, name, instance and version. */
static int step_start(struct split *s, struct cursor *c, struct err *reterr _unused_)
{
	size_t len;

	if (s->elem_len < 5)
		return 5;
	s->info.section = cursor_be32(c);
	len = cursor_u8(c);
	if (s->elem_len < 5 + len + 8)
		return (int)(5 + len + 8);
	if (!text_is(c, len, RAM_NAME) || cursor_be32(c) != 0)
		return split_not_understood(s, "another device comes before the memory");
	if (cursor_be32(c) != RAM_VERSION)
		return split_not_understood(s, "the memory is of another version");
	return taken(s, PARSE_MEM_SIZE);
}

static int step_mem_size(struct split *s, struct cursor *c, struct err *reterr)
{
	uint64_t record;

	if (s->elem_len < 8)
		return 8;
	record = cursor_be64(c);
	s->ram_total = record & ~(uint64_t)RAM_FLAGS;
	if ((record & RAM_FLAGS) != RAM_MEM_SIZE || s->ram_total == 0)
		return split_not_understood(s, "the memory begins with something else than its size");
	if (s->ram_total > s->max_ram)
		return err_full(reterr, ERR_LIMIT, -E2BIG, NULL, s->vsv_path, NULL,
				"the stream for save state '%s' claims %llu bytes of memory, at most %llu can be",
				s->vsv_path, (unsigned long long)s->ram_total, (unsigned long long)s->max_ram);
	return taken(s, PARSE_BLOCK);
}

/* Adds a block to the table, unless it is one that cannot be. */
static int add_block(struct split *s, const char *name, size_t len, uint64_t bytes)
{
	struct vsv_info *info = &s->info;
	struct vsv_block *block;

	if (len == 0 || memchr(name, '\0', len) || bytes == 0 || bytes % VSV_PAGE != 0 ||
	    bytes > s->ram_total - s->ram_seen || info->n_blocks == VSV_MAX_BLOCKS)
		return 0;
	for (uint32_t i = 0; i < info->n_blocks; i++) {
		if (strlen(info->blocks[i].name) == len && memcmp(info->blocks[i].name, name, len) == 0)
			return 0;
	}
	if (info->n_blocks == s->n_blocks_room) {
		s->n_blocks_room = s->n_blocks_room ? 2 * s->n_blocks_room : 16;
		info->blocks = xreallocarray(info->blocks, s->n_blocks_room, sizeof(*info->blocks));
	}
	block = &info->blocks[info->n_blocks++];
	*block = (struct vsv_block){
		.name = xstrndup(name, len),
		.pages = bytes / VSV_PAGE,
		.first = s->ram_seen / VSV_PAGE,
	};
	s->ram_seen += bytes;
	return 1;
}

static int step_block(struct split *s, struct cursor *c, struct err *reterr _unused_)
{
	const char *name;
	size_t len;

	if (s->elem_len < 1)
		return 1;
	len = cursor_u8(c);
	if (s->elem_len < 1 + len + 8)
		return (int)(1 + len + 8);
	name = cursor_bytes(c, len);
	if (!add_block(s, name, len, cursor_be64(c)))
		return split_not_understood(s, "the table of RAM blocks is not one that is known here");
	return taken(s, s->ram_seen == s->ram_total ? PARSE_START_END : PARSE_BLOCK);
}

/* End of the records, and the footer where there are footers. */
static int step_start_end(struct split *s, struct cursor *c, struct err *reterr)
{
	uint64_t record;
	int r;

	if (s->elem_len < 9)
		return 9;
	record = cursor_be64(c);
	if ((record & RAM_FLAGS) == RAM_MULTIFD_FLUSH)
		return split_refuse(s, "multifd is on", reterr);
	if (record != RAM_EOS)
		return split_not_understood(s, "more than a table stands where the memory begins");
	if (s->elem[8] != QEMU_FOOTER) {
		s->elem_len = 8;
		r = taken(s, PARSE_SECTION);
		if (r >= 0)
			s->elem[0] = s->elem[8]; /* is of what follows */
		s->elem_len = r < 0 ? 9 : 1;
	} else {
		if (s->elem_len < 13)
			return 13;
		cursor_seek(c, 9);
		if (cursor_be32(c) != s->info.section)
			return split_not_understood(s, "the footer of the memory's start is of another section");
		s->info.flags |= VSV_F_FOOTERS;
		r = taken(s, PARSE_SECTION);
	}
	return r < 0 ? r : split_start_ram(s, reterr);
}

int split_step_prefix(struct split *s, struct err *reterr)
{
	static int (*const steps[PARSE_N_STATES])(struct split *, struct cursor *, struct err *) = {
		[PARSE_MAGIC] = step_magic,
		[PARSE_TYPE] = step_type,
		[PARSE_MACHINE] = step_machine,
		[PARSE_SUBSECTION] = step_subsection,
		[PARSE_CAPABILITY] = step_capability,
		[PARSE_START] = step_start,
		[PARSE_MEM_SIZE] = step_mem_size,
		[PARSE_BLOCK] = step_block,
		[PARSE_START_END] = step_start_end,
	};
	struct cursor c;

	cursor_init(&c, s->elem, s->elem_len);
	return steps[s->state](s, &c, reterr);
}
