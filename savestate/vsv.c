/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opens a `.vsv` file: start, trailer, index, blocks and page states. */
#include "savestate/vsv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/cursor.h"
#include "common/fileio.h"
#include "savestate/vsv-internal.h"

#define MARK_EVERY 64 /* runs */

/* The first page of a run, and how many pages in .bin precede it. */
struct mark {
	uint64_t page, rank;
};

struct vsv {
	int fd;
	char *path;
	struct vsv_info info;
	uint8_t *runs;      /* the part STATES as it is */
	size_t n_runs;
	struct mark *marks; /* of every MARK_EVERYth run */
};

struct vsv *vsv_free(struct vsv *v)
{
	if (v) {
		cleanup_close(&v->fd);
		vsv_blocks_free(v->info.blocks, v->info.n_blocks);
		free(v->runs);
		free(v->marks);
		free(v->path);
	}
	free(v);
	return NULL;
}

const struct vsv_info *vsv_info(const struct vsv *v)
{
	return &v->info;
}

const char *vsv_path(const struct vsv *v)
{
	return v->path;
}

static int damaged(const struct vsv *v, struct err *reterr, const char *what)
{
	return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, v->path, NULL, "save state '%s' is damaged: %s", v->path,
			what);
}

int vsv_read_raw(const struct vsv *v, uint64_t offset, void *buf, size_t len, struct err *reterr)
{
	ssize_t n = pread_all(v->fd, buf, len, (off_t)offset);

	if (n < 0)
		return err_file(reterr, (int)n, v->path, "cannot read save state '%s'", v->path);
	if ((size_t)n != len)
		return damaged(v, reterr, "it is shorter than it says");
	return 0;
}

int vsv_is_ours(const char *path, struct err *reterr)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char magic[VSV_MAGIC_LEN];
	ssize_t n = fd < 0 ? -errno : pread_all(fd, magic, sizeof(magic), 0);

	if (n < 0)
		return err_file(reterr, (int)n, path, "cannot read save state '%s'", path);
	return n == VSV_MAGIC_LEN && memcmp(magic, VSV_MAGIC, VSV_MAGIC_LEN) == 0;
}

static int read_start(const struct vsv *v, struct err *reterr)
{
	uint8_t buf[VSV_START_SIZE];
	uint32_t version, features;
	struct cursor c;
	const void *magic;
	int r;

	if (v->info.size < VSV_START_SIZE + VSV_INDEX_SIZE + VSV_TRAILER_SIZE)
		return damaged(v, reterr, "it is too short");
	r = vsv_read_raw(v, 0, buf, sizeof(buf), reterr);
	if (r < 0)
		return r;
	cursor_init(&c, buf, sizeof(buf));
	magic = cursor_bytes(&c, VSV_MAGIC_LEN);
	version = cursor_le32(&c);
	features = cursor_le32(&c);
	if (memcmp(magic, VSV_MAGIC, VSV_MAGIC_LEN) != 0)
		return damaged(v, reterr, "it does not begin as one");
	if (version != VSV_VERSION || features != 0)
		return err_full(reterr, ERR_BAD_DATA, -ENOTSUP, NULL, v->path, NULL,
				"save state '%s' has version %u and features %#x, which are not known here", v->path,
				version, features);
	if (cursor_le64(&c) != 0)
		return damaged(v, reterr, "its start");
	return 0;
}

/* A GUID in its field; empty is all zeros. */
static void take_guid(struct cursor *c, int may_be_none, struct guid *ret_guid)
{
	char field[VSV_GUID_SIZE + 1] = { 0 };
	static const char zeros[VSV_GUID_SIZE];

	cursor_copy(c, field, VSV_GUID_SIZE);
	if (may_be_none && memcmp(field, zeros, VSV_GUID_SIZE) == 0)
		*ret_guid = (struct guid){ "" };
	else if (guid_parse(field, ret_guid) < 0 || memcmp(field, ret_guid->s, GUID_LEN) != 0 ||
		 memcmp(field + GUID_LEN, zeros, VSV_GUID_SIZE - GUID_LEN) != 0)
		cursor_fail(c);
}

/* The entries lie one after the other from the start to the index. */
static void take_parts(struct cursor *c, uint64_t index_offset, struct vsv_info *info)
{
	uint64_t at = VSV_START_SIZE;

	for (uint32_t i = 0; i < VSV_N_PARTS; i++) {
		struct vsv_extent *part = &info->part[i];
		uint32_t type = cursor_le32(c), reserved = cursor_le32(c);

		part->offset = cursor_le64(c);
		part->size = cursor_le64(c);
		part->sum = cursor_le64(c);
		if (type != i || reserved != 0 || part->offset != at || part->size > index_offset - at) {
			cursor_fail(c);
			return;
		}
		at += part->size;
	}
	if (at != index_offset)
		cursor_fail(c);
}

/* Flags and numbers fit together. */
static int info_is_sound(const struct vsv_info *info)
{
	uint32_t flags = info->flags, open = flags & (VSV_F_OPEN_PART | VSV_F_OPEN_END);

	if (flags & ~(uint32_t)VSV_F_ALL || open == (VSV_F_OPEN_PART | VSV_F_OPEN_END))
		return 0;
	if (open && !(flags & VSV_F_PARTIAL))
		return 0;
	if (flags & VSV_F_END && flags & VSV_F_PARTIAL)
		return 0;
	if (info->n_blocks > VSV_MAX_BLOCKS || !(flags & VSV_F_RAM) != (info->n_blocks == 0))
		return 0;
	if (!(flags & VSV_F_RAM) && (flags != 0 || info->bin_size != 0 || !guid_is_none(&info->parent) ||
				     info->part[VSV_PREFIX].size != 0 || info->part[VSV_COMMANDS].size != 0 ||
				     info->ram_sum != 0))
		return 0;
	if (guid_is_none(&info->parent) && info->pages[PAGE_PARENT] != 0)
		return 0;
	if (guid_eq(&info->guid, &info->parent) || info->bin_size > INT64_MAX)
		return 0;
	return info->last_block == VSV_NO_BLOCK || info->last_block < info->n_blocks;
}

static int parse_index(struct vsv *v, const uint8_t *buf, uint64_t index_offset, struct err *reterr)
{
	struct vsv_info *info = &v->info;
	uint32_t page_size, n_parts;
	uint64_t reserved;
	struct cursor c;

	cursor_init(&c, buf, VSV_INDEX_SIZE);
	take_guid(&c, 0, &info->guid);
	take_guid(&c, 1, &info->parent);
	info->flags = cursor_le32(&c);
	page_size = cursor_le32(&c);
	info->section = cursor_le32(&c);
	info->n_blocks = cursor_le32(&c);
	info->last_block = cursor_le32(&c);
	n_parts = cursor_le32(&c);
	info->bin_size = cursor_le64(&c);
	for (int i = 0; i < PAGE_N_STATES; i++)
		info->pages[i] = cursor_le64(&c);
	info->ram_sum = cursor_le64(&c);
	reserved = cursor_le64(&c);
	take_parts(&c, index_offset, info);
	if (cursor_failed(&c) || page_size != VSV_PAGE || n_parts != VSV_N_PARTS || reserved != 0 ||
	    !info_is_sound(info)) {
		info->n_blocks = 0; /* there is no table of them yet */
		return damaged(v, reterr, "its index");
	}
	return 0;
}

static int read_index(struct vsv *v, struct err *reterr)
{
	uint64_t trailer_at = v->info.size - VSV_TRAILER_SIZE, offset, size, sum;
	uint8_t trailer[VSV_TRAILER_SIZE], index[VSV_INDEX_SIZE];
	struct cursor c;
	int r = vsv_read_raw(v, trailer_at, trailer, sizeof(trailer), reterr);

	if (r < 0)
		return r;
	cursor_init(&c, trailer, sizeof(trailer));
	offset = cursor_le64(&c);
	size = cursor_le64(&c);
	sum = cursor_le64(&c);
	v->info.sum = cursor_le64(&c);
	if (memcmp(cursor_bytes(&c, VSV_MAGIC_LEN), VSV_END_MAGIC, VSV_MAGIC_LEN) != 0)
		return damaged(v, reterr, "it has no end; its writing was interrupted");
	if (size != VSV_INDEX_SIZE || offset != trailer_at - VSV_INDEX_SIZE)
		return damaged(v, reterr, "its trailer");
	r = vsv_read_raw(v, offset, index, sizeof(index), reterr);
	if (r < 0)
		return r;
	if (XXH3_64bits(index, sizeof(index)) != sum)
		return damaged(v, reterr, "its index does not fit its checksum");
	return parse_index(v, index, offset, reterr);
}

/* Takes one row of the table; first: pages of the rows before. */
static int take_block(struct cursor *c, uint64_t bin_size, uint64_t first, struct vsv_block *block)
{
	uint8_t len = cursor_u8(c);
	const char *name = cursor_bytes(c, len);

	block->pages = cursor_le64(c);
	block->offset = cursor_le64(c);
	block->first = first;
	if (cursor_failed(c) || len == 0 || memchr(name, '\0', len))
		return 0;
	block->name = xstrndup(name, len);
	return block->pages > 0 && block->pages <= VSV_MAX_RAM / VSV_PAGE - first && block->offset % VSV_ALIGN == 0 &&
	       block->offset <= bin_size && block->pages <= (bin_size - block->offset) / VSV_PAGE;
}

/* No two have a name or a place in common. */
static int blocks_are_apart(const struct vsv_block *blocks, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t j = 0; j < i; j++) {
			const struct vsv_block *a = &blocks[i], *b = &blocks[j];

			if (strcmp(a->name, b->name) == 0)
				return 0;
			if (a->offset < b->offset + b->pages * VSV_PAGE && b->offset < a->offset + a->pages * VSV_PAGE)
				return 0;
		}
	}
	return 1;
}

static int read_blocks(struct vsv *v, struct err *reterr)
{
	_cleanup_free_ char *table = NULL;
	uint32_t n = v->info.n_blocks;
	uint64_t first = 0, end = 0;
	struct cursor c;
	size_t len;
	int r;

	v->info.n_blocks = 0; /* as many as there are in the table so far */
	r = vsv_read_part(v, VSV_BLOCKS, VSV_MAX_BLOCK_TABLE, &table, &len, reterr);
	if (r < 0)
		return r;
	v->info.blocks = xcalloc(n ? n : 1, sizeof(*v->info.blocks));
	cursor_init(&c, table, len);
	for (uint32_t i = 0; i < n; i++) {
		struct vsv_block *block = &v->info.blocks[i];
		int sound = take_block(&c, v->info.bin_size, first, block);

		v->info.n_blocks = i + 1;
		if (!sound)
			return damaged(v, reterr, "its table of RAM blocks");
		first += block->pages;
		end = end > block->offset + block->pages * VSV_PAGE ? end : block->offset + block->pages * VSV_PAGE;
	}
	if (cursor_left(&c) != 0 || end != v->info.bin_size || !blocks_are_apart(v->info.blocks, n))
		return damaged(v, reterr, "its table of RAM blocks");
	return 0;
}

static uint32_t run_at(const struct vsv *v, size_t i)
{
	return (uint32_t)v->runs[4 * i] | (uint32_t)v->runs[4 * i + 1] << 8 | (uint32_t)v->runs[4 * i + 2] << 16 |
	       (uint32_t)v->runs[4 * i + 3] << 24;
}

#define RUN_STATE(run) ((run) >> VSV_RUN_BITS)
#define RUN_PAGES(run) ((run) & VSV_MAX_RUN)

/* Counts the runs and notes where every MARK_EVERYth begins. */
static int index_runs(struct vsv *v, struct err *reterr)
{
	uint64_t page = 0, count[PAGE_N_STATES] = { 0 };

	v->marks = xcalloc(v->n_runs / MARK_EVERY + 1, sizeof(*v->marks));
	for (size_t i = 0; i < v->n_runs; i++) {
		uint32_t run = run_at(v, i);

		if (i % MARK_EVERY == 0)
			v->marks[i / MARK_EVERY] = (struct mark){ page, count[PAGE_DATA] };
		page += RUN_PAGES(run); /* cannot overflow: a file has less than 2^34 runs */
		count[RUN_STATE(run)] += RUN_PAGES(run);
		if (RUN_PAGES(run) == 0)
			return damaged(v, reterr, "its page states");
	}
	if (page != vsv_pages(&v->info) || memcmp(count, v->info.pages, sizeof(count)) != 0 ||
	    v->info.part[VSV_HASHES].size != count[PAGE_DATA] * sizeof(struct page_hash))
		return damaged(v, reterr, "its page states do not fit its index");
	return 0;
}

static int read_states(struct vsv *v, struct err *reterr)
{
	uint64_t max = vsv_pages(&v->info) * 4;
	char *runs;
	size_t len;
	int r;

	if (v->info.part[VSV_STATES].size > max || v->info.part[VSV_STATES].size % 4 != 0)
		return damaged(v, reterr, "the size of its page states");
	r = vsv_read_part(v, VSV_STATES, (size_t)max, &runs, &len, reterr);
	if (r < 0)
		return r;
	v->runs = (uint8_t *)runs;
	v->n_runs = len / 4;
	return index_runs(v, reterr);
}

int vsv_open(const char *path, struct vsv **ret_vsv, struct err *reterr)
{
	_cleanup_vsv_ struct vsv *v = xcalloc(1, sizeof(*v));
	struct stat st;
	int r;

	v->path = xstrdup(path);
	v->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (v->fd < 0 || fstat(v->fd, &st) < 0)
		return err_file(reterr, -errno, path, "cannot open save state '%s'", path);
	if (!S_ISREG(st.st_mode))
		return damaged(v, reterr, "it is not a file");
	v->info.size = (uint64_t)st.st_size;
	r = read_start(v, reterr);
	if (r >= 0)
		r = read_index(v, reterr);
	if (r >= 0)
		r = read_blocks(v, reterr);
	if (r >= 0)
		r = read_states(v, reterr);
	if (r < 0)
		return r;
	*ret_vsv = TAKE_PTR(v);
	return 0;
}

int vsv_read_at(const struct vsv *v, enum vsv_part part, uint64_t pos, void *buf, size_t len, struct err *reterr)
{
	const struct vsv_extent *where = &v->info.part[part];

	if (pos > where->size || len > where->size - pos)
		return damaged(v, reterr, "a part is shorter than it should be");
	return vsv_read_raw(v, where->offset + pos, buf, len, reterr);
}

/* Index of the last mark at or before page. */
static size_t find_mark(const struct vsv *v, uint64_t page)
{
	size_t low = 0, high = v->n_runs / MARK_EVERY;

	if (high * MARK_EVERY == v->n_runs && high > 0)
		high--; /* no run is there to mark */
	while (low < high) {
		size_t middle = (low + high + 1) / 2;

		if (v->marks[middle].page <= page)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

uint64_t vsv_states(const struct vsv *v, uint64_t page, size_t n, uint8_t *ret_states)
{
	size_t mark = find_mark(v, page), done = 0;
	uint64_t at = v->marks[mark].page, rank = v->marks[mark].rank, first = 0;

	for (size_t i = mark * MARK_EVERY; done < n; i++) {
		uint32_t run = run_at(v, i);
		uint64_t len = RUN_PAGES(run), skip = done == 0 && page > at ? page - at : 0;

		if (skip < len) {
			size_t take = len - skip < n - done ? (size_t)(len - skip) : n - done;

			if (done == 0)
				first = rank + (RUN_STATE(run) == PAGE_DATA ? skip : 0);
			memset(ret_states + done, (int)RUN_STATE(run), take);
			done += take;
		}
		at += len;
		rank += RUN_STATE(run) == PAGE_DATA ? len : 0;
	}
	return first;
}

int vsv_hashes(const struct vsv *v, uint64_t first, size_t n, struct page_hash *ret_hashes, struct err *reterr)
{
	uint8_t buf[256 * sizeof(struct page_hash)];

	for (size_t done = 0; done < n;) {
		size_t k = n - done < 256 ? n - done : 256;
		int r = vsv_read_at(v, VSV_HASHES, (first + done) * sizeof(struct page_hash), buf,
				    k * sizeof(struct page_hash), reterr);

		if (r < 0)
			return r;
		for (size_t i = 0; i < k; i++)
			ret_hashes[done + i] = (struct page_hash){ get_le64(buf + 16 * i), get_le64(buf + 16 * i + 8) };
		done += k;
	}
	return 0;
}
