/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Migration streams made by hand. */
#include "tests/unit/stream-util.h"

#define HEADER 92

const struct block_spec blocks[N_BLOCKS] = {
	[VGA] = { "vga.vram", 4 },
	[RAM] = { "pc.ram", 600 },
	[FLASH] = { "system.flash1", 3 },
};

void add(struct bytes *b, const void *data, size_t len)
{
	if (len > b->room - b->len) {
		b->room = 2 * b->room + len;
		b->data = xreallocarray(b->data, b->room, 1);
	}
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
}

void add_number(struct bytes *b, uint64_t value, int n_bytes)
{
	for (int i = n_bytes - 1; i >= 0; i--)
		add(b, (uint8_t[]){ (uint8_t)(value >> (8 * i)) }, 1);
}

void add_name(struct bytes *b, const char *name)
{
	add_number(b, strlen(name), 1);
	add(b, name, strlen(name));
}

static void add_subsection(struct bytes *b, const char *name, uint64_t value, int n_bytes)
{
	add_number(b, 5, 1);
	add_name(b, name);
	add_number(b, 1, 4);
	add_number(b, value, n_bytes);
}

void add_start(struct bytes *b, enum kind kind)
{
	add(b, "QEVM", 4);
	add_number(b, kind == VERSION_2 ? 2 : 3, 4);
	add_number(b, 7, 1);
	add_number(b, 9, 4);
	add(b, "pc-test-1", 9);
	add_subsection(b, "configuration/target-page-bits", kind == LARGE_PAGES ? 14 : 12, 4);
	if (kind == CAPABILITIES || kind == MAPPED_RAM) {
		add_subsection(b, "configuration/capabilities", 2, 4);
		add_name(b, "events");
		add_name(b, kind == MAPPED_RAM ? "mapped-ram" : "x-other");
		add_subsection(b, "configuration/uuid", 0x0102030405060708, 8);
		add_number(b, 0x1112131415161718, 8);
	}
	if (kind == UNKNOWN_SUBSECTION)
		add_subsection(b, "configuration/else", 7, 4);
	if (kind == POSTCOPY) {
		add_number(b, 8, 1);
		add_number(b, 1, 2);
		add_number(b, 0, 2);
	}
}

void add_ram_start(struct bytes *b, int footers)
{
	uint64_t total = 0;

	add_section(b, 1, RAM_ID);
	add_name(b, "ram");
	add_number(b, 0, 4);
	add_number(b, 4, 4);
	for (int i = 0; i < N_BLOCKS; i++)
		total += blocks[i].pages * PAGE;
	add_number(b, total | 4, 8);
	for (int i = 0; i < N_BLOCKS; i++) {
		add_name(b, blocks[i].name);
		add_number(b, blocks[i].pages * PAGE, 8);
	}
	add_section_end(b, footers);
}

void add_section(struct bytes *b, int type, uint32_t id)
{
	add_number(b, (uint64_t)type, 1);
	add_number(b, id, 4);
}

void add_record(struct bytes *b, uint64_t flags, uint64_t page, const char *block)
{
	add_number(b, page * PAGE | flags | (block ? 0 : 0x20), 8);
	if (block)
		add_name(b, block);
}

void fill_page(uint8_t *page, unsigned int seed)
{
	for (unsigned int i = 0; i < PAGE; i++)
		page[i] = (uint8_t)((i + 1) * 2654435761U * (seed + 1) >> 24);
	page[0] = (uint8_t)(seed | 1);
}

void add_page(struct bytes *b, uint64_t page, const char *block, unsigned int seed)
{
	uint8_t content[PAGE];

	fill_page(content, seed);
	add_record(b, 8, page, block);
	add(b, content, PAGE);
}

void add_zero(struct bytes *b, uint64_t page, const char *block)
{
	add_record(b, 2, page, block);
	add_number(b, 0, 1);
}

void add_section_end(struct bytes *b, int footers)
{
	add_number(b, 0x10, 8);
	if (footers)
		add_section(b, 0x7e, RAM_ID);
}

void add_devices(struct bytes *b, unsigned int seed, size_t len)
{
	add_section(b, 4, 7);
	add_name(b, "timer");
	add_number(b, 0, 4);
	add_number(b, 2, 4);
	for (size_t i = 0; i < len; i++)
		add_number(b, i * 7 + seed, 1);
	add_section(b, 0x7e, 7);
	add_number(b, 0, 1);
	add_number(b, 6, 1);
	add_number(b, 2, 4);
	add(b, "{}", 2);
}

/* A page of the memory that the page before may have told the reader about. */
static void add_xbzrle(struct bytes *b, uint64_t page, const char *block)
{
	add_record(b, 0x40, page, block);
	add_number(b, 1, 1);
	add_number(b, 5, 2);
	add(b, "delta", 5);
}

/* The first pass over the memory: a section with all blocks. */
static void add_first_pass(struct bytes *b, unsigned int generation, int footers)
{
	add_section(b, 2, RAM_ID);
	add_page(b, 0, "vga.vram", 1);
	add_zero(b, 1, NULL);
	add_zero(b, 2, NULL);
	add_page(b, 0, "pc.ram", 10);
	for (unsigned int i = 1; i < 8; i++)
		add_page(b, i, NULL, i == 5 ? 100 + generation : 10 + i);
	add_zero(b, 9, NULL);
	add_page(b, 10, NULL, 30);
	add_page(b, 599, NULL, 31);
	add_section_end(b, footers);
	add_section(b, 2, RAM_ID);
	add_page(b, 300, NULL, 40 + generation); /* the block is that of the section before */
	add_page(b, 301, NULL, 41);
	for (unsigned int i = 0; i < blocks[FLASH].pages; i++)
		add_page(b, i, i ? NULL : "system.flash1", 50 + i);
	add_section_end(b, footers);
}

/* What does not stand in a stream that is understood. */
static void add_oddity(struct bytes *b, enum kind kind, int footers)
{
	switch (kind) {
	case XBZRLE_IN_PART:
		add_section(b, 2, RAM_ID);
		add_page(b, 2, "vga.vram", 5);
		add_xbzrle(b, 2, NULL);
		add_section_end(b, footers);
		break;
	case UNKNOWN_COMMAND:
		add_number(b, 8, 1);
		add_number(b, 5, 2);
		add_number(b, 3, 2);
		add(b, "abc", 3);
		add_section(b, 2, RAM_ID);
		add_page(b, 1, NULL, 60);
		add_section_end(b, footers);
		break;
	case FOREIGN_PART:
		add_section(b, 2, RAM_ID + 1);
		add(b, "nobody knows what this is", 25);
		break;
	case FILLED:
		add_section(b, 2, RAM_ID);
		add_record(b, 2, 11, "pc.ram");
		add_number(b, 0xff, 1);
		add_section_end(b, footers);
		break;
	case OUTSIDE:
		add_section(b, 2, RAM_ID);
		add_record(b, 8, 600, "pc.ram");
		break;
	case NO_SUCH_BLOCK:
		add_section(b, 2, RAM_ID);
		add_record(b, 8, 0, "pc.rom");
		break;
	case SWITCHOVER:
		add_number(b, 8, 1);
		add_number(b, 11, 2);
		add_number(b, 0, 2);
		break;
	default:
		break;
	}
}

static void add_last_pass(struct bytes *b, enum kind kind, unsigned int generation, int footers)
{
	add_section(b, 3, RAM_ID);
	add_page(b, 3, "pc.ram", 70 + generation); /* again */
	add_zero(b, 6, NULL);                      /* had content before */
	add_zero(b, 7, NULL);
	add_page(b, 7, NULL, 71);
	add_page(b, 9, NULL, 72);                  /* was zero before */
	if (kind == XBZRLE_IN_END)
		add_xbzrle(b, 9, NULL);
	add_section_end(b, footers);
}

struct bytes make_stream(enum kind kind, unsigned int generation)
{
	int footers = kind != NO_FOOTERS;
	struct bytes b = { 0 };

	add_start(&b, kind);
	if (kind == BLOCK_FIRST) {
		add_section(&b, 1, 2);
		add_name(&b, "block");
		add(&b, "\0\0\0\0\0\0\0\1whatever", 16);
	}
	add_ram_start(&b, footers);
	if (kind == ODD_TABLE) /* one byte of the table is another: lengths do not fit the total */
		b.data[b.len - 20]++;
	if (kind == UNKNOWN_START) {
		add_section(&b, 1, 9);
		add_name(&b, "dirty-bitmap");
	}
	if (kind == XBZRLE_FIRST) {
		add_section(&b, 2, RAM_ID);
		add_xbzrle(&b, 3, "pc.ram");
		add_section_end(&b, footers);
	}
	add_first_pass(&b, generation, footers);
	add_oddity(&b, kind, footers);
	if (kind != BACKGROUND)
		add_last_pass(&b, kind, generation, footers);
	add_devices(&b, generation, 300);
	return b;
}

static void add_header(struct bytes *b, const char *magic, uint32_t data_len, uint32_t cookie)
{
	uint32_t numbers[19] = { 2, data_len, 1, 0, cookie };

	add(b, magic, 16);
	add(b, numbers, sizeof(numbers));
}

struct bytes make_image(const struct bytes *stream, int through_fifo)
{
	uint32_t data_len = sizeof(XML) + sizeof(COOKIE) + 1000;
	struct bytes b = { 0 };

	add_header(&b, through_fifo ? "LibvirtQemudPart" : "LibvirtQemudSave", data_len, sizeof(XML));
	add(&b, XML, sizeof(XML));
	add(&b, COOKIE, sizeof(COOKIE));
	for (int i = 0; i < 1000; i++)
		add_number(&b, 0, 1);
	add(&b, stream->data, stream->len);
	if (through_fifo)
		add_header(&b, "LibvirtQemudSave", data_len, sizeof(XML));
	return b;
}

void machine_done(struct machine *m)
{
	for (int i = 0; i < N_BLOCKS; i++) {
		free(m->content[i]);
		free(m->present[i]);
	}
	bytes_done(&m->other);
}

/* Reads n bytes as a number. */
static uint64_t number(const uint8_t **p, int n_bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < n_bytes; i++)
		value = value << 8 | *(*p)++;
	return value;
}

static int block_number(const uint8_t **p)
{
	size_t len = number(p, 1);

	*p += len;
	for (int i = 0; i < N_BLOCKS; i++) {
		if (strlen(blocks[i].name) == len && memcmp(blocks[i].name, *p - len, len) == 0)
			return i;
	}
	return -1;
}

/* Reads the records of a section. Returns 0 where something stands that has no
 * place there (and p before it). */
static int load_records(struct machine *m, const uint8_t **p, int *block)
{
	for (;;) {
		const uint8_t *start = *p;
		uint64_t record = number(p, 8), page = record / PAGE;
		uint8_t *content;

		if (record == 0x10)
			return 1;
		if (!(record & 0x20))
			*block = block_number(p);
		if (*block < 0 || page >= blocks[*block].pages) {
			*p = start;
			return 0;
		}
		content = m->content[*block] + page * PAGE;
		m->present[*block][page] = 1;
		switch (record & (PAGE - 1) & ~0x20U) {
		case 2:
			memset(content, (int)number(p, 1), PAGE);
			break;
		case 8:
			memcpy(content, *p, PAGE);
			*p += PAGE;
			break;
		case 0x40:
			memcpy(content, *p + 3, 5);
			*p += 8;
			break;
		default:
			fail_msg("a record of the joined stream has flags %#x", (unsigned int)(record & (PAGE - 1)));
		}
	}
}

/* Where the table of blocks ends: behind the end of the first section. */
static const uint8_t *find_ram(const struct bytes *stream, int *ret_footers)
{
	static const uint8_t end[] = { 0, 0, 0, 0, 0, 0, 0, 0x10 };
	const uint8_t *p = memmem(stream->data, stream->len, end, sizeof(end));

	assert_non_null(p);
	p += sizeof(end);
	*ret_footers = *p == 0x7e;
	return p + (*ret_footers ? 5 : 0);
}

struct machine load(const struct bytes *stream)
{
	struct machine m = { 0 };
	int footers, block = -1;
	const uint8_t *p = find_ram(stream, &footers), *start = stream->data, *end = stream->data + stream->len;

	for (int i = 0; i < N_BLOCKS; i++) {
		m.content[i] = xcalloc(blocks[i].pages, PAGE);
		m.present[i] = xcalloc(blocks[i].pages, 1);
	}
	add(&m.other, start, (size_t)(p - start));
	for (;;) {
		start = p;
		if (*p == 8) {
			p += 3;
			p += number(&p, 2);
			add(&m.other, start, (size_t)(p - start));
			continue;
		}
		if ((*p != 2 && *p != 3) || p[4] != RAM_ID)
			break;
		p += 5;
		if (!load_records(&m, &p, &block)) {
			start = p;
			break;
		}
		p += footers ? 5 : 0;
		if (*start == 3) {
			start = p;
			break;
		}
	}
	add(&m.other, start, (size_t)(end - start));
	return m;
}

void assert_same_machine(const struct machine *a, const struct machine *b)
{
	for (int i = 0; i < N_BLOCKS; i++) {
		assert_memory_equal(a->present[i], b->present[i], blocks[i].pages);
		assert_memory_equal(a->content[i], b->content[i], blocks[i].pages * PAGE);
	}
	assert_int_equal(a->other.len, b->other.len);
	assert_memory_equal(a->other.data, b->other.data, a->other.len);
}

struct state state_in(const char *dir, const char *name)
{
	return (struct state){
		.files = { xasprintf("%s/%s.vsv", dir, name), xasprintf("%s/%s.bin", dir, name) },
		.guid = guid_new(),
	};
}

void state_done(struct state *state)
{
	free((char *)state->files.vsv);
	free((char *)state->files.bin);
}

int stream_reflink;

struct split_result split_stream(const struct state *state, const struct bytes *stream, size_t chunk,
				 const struct save_files *parents, size_t n_parents)
{
	struct save_files named[VSV_MAX_CHAIN];
	struct split_opts opts = {
		.vsv = state->files.vsv,
		.bin = state->files.bin,
		.guid = state->guid,
		.xml = XML,
		.cookie = COOKIE,
		.parents = named,
		.n_parents = n_parents,
	};
	_cleanup_split_ struct split *s = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	struct split_result result;

	for (size_t i = 0; i < n_parents; i++)
		named[i] = (struct save_files){ parents[i].vsv, stream_reflink ? parents[i].bin : NULL };
	assert_ok(split_new(&opts, &s, &err), &err);
	for (size_t at = 0; at < stream->len; at += chunk) {
		size_t n = stream->len - at < chunk ? stream->len - at : chunk;

		assert_ok(split_feed(s, stream->data + at, n, &err), &err);
	}
	assert_ok(split_finish(s, &result, &err), &err);
	assert_int_equal(result.stream_bytes, stream->len);
	return result;
}

int try_join(const char *dir, const struct save_files *files, size_t n, enum join_head head, const char *xml,
	     struct bytes *ret_joined, struct err *reterr)
{
	_cleanup_free_ char *path = path_join(dir, "joined");
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct join_opts opts = { .head = head, .xml = xml };
	int r = join_stream(files, n, &opts, fd, reterr);

	*ret_joined = slurp(path);
	return r;
}

struct bytes join(const char *dir, const struct save_files *files, size_t n)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct bytes joined;

	assert_ok(join_verify(files, n, NULL, NULL, &err), &err);
	assert_ok(try_join(dir, files, n, JOIN_NONE, NULL, &joined, &err), &err);
	return joined;
}

struct bytes slurp(const char *path)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct bytes b = { 0 };
	char *data;

	assert_ok(file_read(path, 64 << 20, &data, &b.len, &err), &err);
	b.data = (uint8_t *)data;
	return b;
}

void flip(const char *path, off_t offset)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
	close(fd);
}

void use_fast_directory(void)
{
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
}
