/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The splitter on the memory in QEMU's stream: sections PART and END with records
 * of pages. The block of a record may be that of the record before, also across
 * sections. */
#include <string.h>

#include "common/cursor.h"
#include "savestate/split-internal.h"

/* A command between sections: one is known to mean nothing to the memory. */
static int take_command(struct split *s, struct cursor *c)
{
	static const char why[] = "a command within the memory is not known here";

	if (s->elem_len < 5)
		return 5;
	if (cursor_be16(c) != COMMAND_SWITCHOVER_START || cursor_be16(c) != 0)
		return split_not_understood(s, why);
	if (s->elem_len > sizeof(s->commands) - s->commands_len)
		return split_not_understood(s, "there are too many commands within the memory");
	memcpy(s->commands + s->commands_len, s->elem, s->elem_len);
	s->commands_len += s->elem_len;
	s->elem_len = 0;
	return 0;
}

static int step_section(struct split *s)
{
	struct cursor c;
	uint8_t type;

	if (s->elem_len < 1)
		return 1;
	cursor_init(&c, s->elem, s->elem_len);
	type = cursor_u8(&c);
	if (type == QEMU_COMMAND)
		return take_command(s, &c);
	if (type == QEMU_FULL)
		return NOT_UNDERSTOOD; /* the devices: the memory is over, without a section END */
	if (type != QEMU_PART && type != QEMU_END)
		return split_not_understood(s, "something else stands between the sections of the memory");
	if (s->elem_len < 5)
		return 5;
	if (cursor_be32(&c) != s->info.section)
		return split_not_understood(s, "a section of another device stands within the memory");
	s->in_end = type == QEMU_END;
	s->elem_len = 0;
	s->state = PARSE_RECORD;
	return 0;
}

/* End of a section's records, with the footer where there are footers. */
static int take_eos(struct split *s, struct cursor *c, uint64_t record)
{
	if (record != RAM_EOS)
		return split_not_understood(s, "a record of the memory is not known here");
	if (s->info.flags & VSV_F_FOOTERS) {
		if (s->elem_len < 13)
			return 13;
		if (cursor_u8(c) != QEMU_FOOTER || cursor_be32(c) != s->info.section)
			return split_not_understood(s, "a section of the memory has no footer");
	}
	s->elem_len = 0;
	s->state = s->in_end ? PARSE_TAIL : PARSE_SECTION;
	if (s->in_end)
		s->info.flags |= VSV_F_END;
	return 0;
}

/* Number of the block of that name, or VSV_NO_BLOCK. */
static uint32_t find_block(const struct vsv_info *info, const char *name, size_t len)
{
	for (uint32_t i = 0; i < info->n_blocks; i++) {
		if (strlen(info->blocks[i].name) == len && memcmp(info->blocks[i].name, name, len) == 0)
			return i;
	}
	return VSV_NO_BLOCK;
}

/* Finds the block of a record. Returns as a step; 0 when s->block is it. */
static int take_block(struct split *s, struct cursor *c, uint64_t record)
{
	size_t len;

	s->block = s->info.last_block;
	if (!(record & RAM_CONTINUE)) {
		if (s->elem_len < 9)
			return 9;
		len = cursor_u8(c);
		if (s->elem_len < 9 + len)
			return (int)(9 + len);
		s->block = find_block(&s->info, cursor_bytes(c, len), len);
	}
	if (s->block == VSV_NO_BLOCK)
		return split_not_understood(s, "a page is of a block that is not known");
	s->page = record / VSV_PAGE;
	if (s->page >= s->info.blocks[s->block].pages)
		return split_not_understood(s, "a page lies outside its block");
	return 0;
}

static int take_zero(struct split *s, struct cursor *c, struct err *reterr)
{
	if (cursor_left(c) < 1)
		return (int)s->elem_len + 1;
	if (cursor_u8(c) != 0)
		return split_not_understood(s, "a page is filled with something else than zeros");
	s->info.last_block = s->block;
	s->elem_len = 0;
	return sink_zero(s->sink, s->block, s->page, reterr);
}

static int step_record(struct split *s, struct err *reterr)
{
	uint64_t record;
	struct cursor c;
	int r;

	if (s->elem_len < 8)
		return 8;
	cursor_init(&c, s->elem, s->elem_len);
	record = cursor_be64(&c);
	switch (record & RAM_FLAGS & ~(uint64_t)RAM_CONTINUE) {
	case RAM_EOS:
		return take_eos(s, &c, record);
	case RAM_MULTIFD_FLUSH:
		return split_refuse(s, "multifd is on", reterr);
	case RAM_ZERO:
		r = take_block(s, &c, record);
		return r != 0 ? r : take_zero(s, &c, reterr);
	case RAM_PAGE:
		r = take_block(s, &c, record);
		if (r != 0)
			return r;
		s->info.last_block = s->block;
		s->elem_len = 0;
		s->place_len = 0;
		s->state = PARSE_PAGE;
		return sink_place(s->sink, s->block, s->page, &s->place, reterr);
	default:
		return split_not_understood(s, "a record of the memory is not known here");
	}
}

int split_step_ram(struct split *s, struct err *reterr)
{
	return s->state == PARSE_SECTION ? step_section(s) : step_record(s, reterr);
}
