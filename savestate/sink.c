/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages into `.bin`. They come mostly in order, so that those that follow each
 * other are written together, up to 1 MiB. */
#define _GNU_SOURCE /* fallocate(), O_TMPFILE */
#include "savestate/sink.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "savestate/out-file.h"
#include "savestate/vsv-internal.h"

#define BEHIND (8 << 20) /* bytes written before the disk is to begin with them */

struct sink {
	struct out_file bin;
	struct out_file scratch;    /* hash of each page, at its number; without a name */
	const struct vsv_info *info;
	const struct chain *parents;
	int write_behind;
	size_t fresh;               /* bytes since the disk was last told to begin */
	uint8_t *states;            /* two bits a page */
	uint8_t *written;           /* one bit a page: the file has something there */
	uint8_t *changed;           /* one bit a page: it is not the parent's any more; NULL: no reflink */
	uint32_t block;             /* of the run in buf */
	uint64_t page;              /* its first, in the block */
	size_t n;                   /* its complete pages; at most CHAIN_WINDOW */
	struct page_hash hash[CHAIN_WINDOW];
	uint8_t zero[CHAIN_WINDOW];
	uint8_t *buf;               /* CHAIN_WINDOW pages */
};

struct sink *sink_free(struct sink *sink)
{
	if (sink) {
		out_file_done(&sink->bin);
		out_file_done(&sink->scratch);
		free(sink->states);
		free(sink->written);
		free(sink->changed);
		free(sink->buf);
	}
	free(sink);
	return NULL;
}

/* Space that vanishes with us. */
static int open_scratch(struct sink *sink, const char *path, struct err *reterr)
{
	_cleanup_free_ char *dir = path_dirname(path), *name = NULL;
	int r;

	sink->scratch.fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (sink->scratch.fd >= 0) {
		sink->scratch.path = xstrdup(dir);
		return 0;
	}
	name = xasprintf("%s.hashes", path); /* the file system cannot: a name for a moment */
	r = out_file_open(&sink->scratch, name, reterr);
	if (r < 0)
		return r;
	if (unlink(sink->scratch.tmp) < 0)
		return err_file(reterr, -errno, name, "cannot remove '%s'", sink->scratch.tmp);
	free(TAKE_PTR(sink->scratch.tmp));
	return 0;
}

static int get_bit(const uint8_t *bits, uint64_t i)
{
	return bits[i / 8] >> (i % 8) & 1;
}

static void set_bit(uint8_t *bits, uint64_t i)
{
	bits[i / 8] |= (uint8_t)(1U << i % 8);
}

/* 1 if both memories have the same blocks at the same places. */
static int same_layout(const struct vsv_info *a, const struct vsv_info *b)
{
	if (a->n_blocks != b->n_blocks || a->bin_size != b->bin_size)
		return 0;
	for (uint32_t i = 0; i < a->n_blocks; i++) {
		const struct vsv_block *x = &a->blocks[i], *y = &b->blocks[i];

		if (strcmp(x->name, y->name) != 0 || x->pages != y->pages || x->offset != y->offset)
			return 0;
	}
	return 1;
}

/* All that is in the parent's file is there from the first moment on. Whatever stands in the
 * way, it begins empty. */
int sink_clone(struct sink *sink, const char *whole_bin)
{
	const struct vsv *parent = chain_vsv(sink->parents, 0);
	uint64_t pages = vsv_pages(sink->info);
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (!guid_is_none(&vsv_info(parent)->parent) || !same_layout(vsv_info(parent), sink->info))
		return 0;
	fd = open(whole_bin, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != sink->info->bin_size ||
	    !out_file_clone(&sink->bin, fd))
		return 0;
	sink->changed = xcalloc(pages / 8 + 1, 1);
	for (uint64_t page = 0; page < pages; page += CHAIN_WINDOW) {
		size_t n = pages - page < CHAIN_WINDOW ? (size_t)(pages - page) : CHAIN_WINDOW;
		uint8_t states[CHAIN_WINDOW];

		ignore_result(vsv_states(parent, page, n, states)); /* which number they have is of no interest */
		for (size_t i = 0; i < n; i++)
			if (states[i] == PAGE_DATA)
				set_bit(sink->written, page + i);
	}
	return 1;
}

int sink_new(const char *path, const struct vsv_info *info, const struct chain *parents, int write_behind,
	     struct sink **ret_sink, struct err *reterr)
{
	_cleanup_(sink_freep) struct sink *sink = xcalloc(1, sizeof(*sink));
	uint64_t pages = vsv_pages(info);
	int r;

	sink->bin = (struct out_file)OUT_FILE_INIT;
	sink->scratch = (struct out_file)OUT_FILE_INIT;
	sink->info = info;
	sink->parents = parents;
	sink->write_behind = write_behind;
	sink->states = xcalloc(pages / 4 + 1, 1);
	sink->written = xcalloc(pages / 8 + 1, 1);
	sink->buf = xreallocarray(NULL, CHAIN_WINDOW, VSV_PAGE);
	r = out_file_open(&sink->bin, path, reterr);
	if (r >= 0)
		r = open_scratch(sink, path, reterr);
	if (r < 0)
		return r;
	*ret_sink = TAKE_PTR(sink);
	return 0;
}

enum page_state sink_state(const struct sink *sink, uint64_t page)
{
	return (enum page_state)(sink->states[page / 4] >> (page % 4 * 2) & 3);
}

static void set_state(struct sink *sink, uint64_t page, enum page_state state)
{
	uint8_t *byte = &sink->states[page / 4];
	unsigned int shift = (unsigned int)(page % 4 * 2);

	*byte = (uint8_t)((*byte & ~(3U << shift)) | (unsigned int)state << shift);
}

/* What becomes of each page of the run. */
static int judge_run(struct sink *sink, uint8_t *ret_states, struct err *reterr)
{
	struct page_ref refs[CHAIN_WINDOW];
	int r = 0;

	if (sink->parents)
		r = chain_resolve(sink->parents, sink->block, sink->page, sink->n, refs, reterr);
	for (size_t i = 0; r >= 0 && i < sink->n; i++) {
		ret_states[i] = PAGE_DATA;
		if (sink->zero[i])
			ret_states[i] = PAGE_ZERO;
		else if (sink->parents && refs[i].state == PAGE_DATA && page_hash_eq(&refs[i].hash, &sink->hash[i]))
			ret_states[i] = PAGE_PARENT;
	}
	return r;
}

/* Writes the n pages from the i-th of the run on. */
static int write_pages(struct sink *sink, size_t i, size_t n, struct err *reterr)
{
	const struct vsv_block *block = &sink->info->blocks[sink->block];
	uint64_t page = sink->page + i;
	int r;

	for (size_t k = 0; k < n; k++) {
		set_bit(sink->written, block->first + page + k);
		if (sink->changed)
			set_bit(sink->changed, block->first + page + k);
	}
	r = out_file_write(&sink->bin, sink->buf + i * VSV_PAGE, n * VSV_PAGE, block->offset + page * VSV_PAGE,
			   reterr);
	sink->fresh += n * VSV_PAGE;
	if (sink->write_behind && sink->fresh >= BEHIND) {
		out_file_hurry(&sink->bin);
		sink->fresh = 0;
	}
	return r;
}

/* As in the parent, of whose file ours is a reflink: there already, unless overwritten since.
 * first: number of the run's first page. */
static int keep_pages(struct sink *sink, uint64_t first, size_t i, size_t n, struct err *reterr)
{
	int r = 0;

	for (size_t k = i; r >= 0 && k < i + n; k++) {
		set_state(sink, first + k, PAGE_DATA);
		if (get_bit(sink->changed, first + k))
			r = write_pages(sink, k, 1, reterr);
	}
	return r;
}

static int write_hashes(struct sink *sink, uint64_t first, struct err *reterr)
{
	uint8_t bytes[CHAIN_WINDOW * sizeof(struct page_hash)];
	uint8_t *p = bytes;

	for (size_t i = 0; i < sink->n; i++)
		p = put_le64(put_le64(p, sink->hash[i].low), sink->hash[i].high);
	return out_file_write(&sink->scratch, bytes, (size_t)(p - bytes), first * sizeof(struct page_hash), reterr);
}

int sink_flush(struct sink *sink, struct err *reterr)
{
	uint8_t states[CHAIN_WINDOW];
	uint64_t first;
	int r;

	if (sink->n == 0)
		return 0;
	first = sink->info->blocks[sink->block].first + sink->page;
	r = judge_run(sink, states, reterr);
	for (size_t i = 0, end; r >= 0 && i < sink->n; i = end) {
		for (end = i; end < sink->n && states[end] == states[i]; end++)
			set_state(sink, first + end, states[i]);
		if (states[i] == PAGE_DATA)
			r = write_pages(sink, i, end - i, reterr);
		else if (states[i] == PAGE_PARENT && sink->changed)
			r = keep_pages(sink, first, i, end - i, reterr);
	}
	if (r >= 0)
		r = write_hashes(sink, first, reterr);
	sink->n = 0;
	return r;
}

int sink_place(struct sink *sink, uint32_t block, uint64_t page, uint8_t **ret_place, struct err *reterr)
{
	if (sink->n > 0 && (sink->block != block || sink->page + sink->n != page || sink->n == CHAIN_WINDOW)) {
		int r = sink_flush(sink, reterr);

		if (r < 0)
			return r;
	}
	if (sink->n == 0) {
		sink->block = block;
		sink->page = page;
	}
	*ret_place = sink->buf + sink->n * VSV_PAGE;
	return 0;
}

void sink_take(struct sink *sink)
{
	const uint8_t *page = sink->buf + sink->n * VSV_PAGE;

	sink->zero[sink->n] = (uint8_t)page_is_zero(page);
	sink->hash[sink->n] = page_hash(page);
	sink->n++;
}

int sink_zero(struct sink *sink, uint32_t block, uint64_t page, struct err *reterr)
{
	if (sink->n > 0 && sink->block == block && page >= sink->page && page < sink->page + sink->n) {
		int r = sink_flush(sink, reterr);

		if (r < 0)
			return r;
	}
	set_state(sink, sink->info->blocks[block].first + page, PAGE_ZERO);
	return 0;
}

/* Makes a hole, or zeros where the file system has no holes. */
static int clear_range(const struct sink *sink, uint64_t offset, uint64_t len, struct err *reterr)
{
	static const uint8_t zeros[65536];
	int r = 0;

	if (fallocate(sink->bin.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return err_file(reterr, -errno, sink->bin.path, "cannot free space in '%s'", sink->bin.path);
	while (r >= 0 && len > 0) {
		size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		r = out_file_write(&sink->bin, zeros, n, offset, reterr);
		offset += n;
		len -= n;
	}
	return r;
}

/* Frees what was written for pages that then turned out otherwise. */
static int clear_stale(const struct sink *sink, const struct vsv_block *block, struct err *reterr)
{
	uint64_t from = 0, len = 0;

	for (uint64_t page = 0; page <= block->pages; page++) {
		uint64_t number = block->first + page;
		int stale = page < block->pages && get_bit(sink->written, number) && sink_state(sink, number) != PAGE_DATA;

		if (stale) {
			from = len ? from : page;
			len++;
		} else if (len > 0) {
			int r = clear_range(sink, block->offset + from * VSV_PAGE, len * VSV_PAGE, reterr);

			if (r < 0)
				return r;
			len = 0;
		}
	}
	return 0;
}

int sink_finish(struct sink *sink, struct err *reterr)
{
	int r = sink_flush(sink, reterr);

	for (uint32_t i = 0; r >= 0 && i < sink->info->n_blocks; i++)
		r = clear_stale(sink, &sink->info->blocks[i], reterr);
	if (r < 0)
		return r;
	if (ftruncate(sink->bin.fd, (off_t)sink->info->bin_size) < 0)
		return err_file(reterr, -errno, sink->bin.path, "cannot set the size of '%s'", sink->bin.path);
	return out_file_sync(&sink->bin, reterr);
}

/* Reads the hashes of n pages from the scratch space; zeros where none were written. */
static int read_hashes(const struct sink *sink, uint64_t page, size_t n, struct page_hash *hashes, struct err *reterr)
{
	uint8_t bytes[CHAIN_WINDOW * sizeof(*hashes)] = { 0 };
	ssize_t got = pread_all(sink->scratch.fd, bytes, n * sizeof(*hashes), (off_t)(page * sizeof(*hashes)));

	if (got < 0)
		return err_file(reterr, (int)got, sink->scratch.path, "cannot read page hashes back");
	for (size_t i = 0; i < n; i++)
		hashes[i] = (struct page_hash){ get_le64(bytes + 16 * i), get_le64(bytes + 16 * i + 8) };
	return 0;
}

/* Goes over the hashes of a window of pages. */
static int describe_window(struct sink *sink, uint64_t page, size_t n, struct vsv_writer *w, struct ram_sum *sum,
			   struct err *reterr)
{
	struct page_hash hashes[CHAIN_WINDOW];
	int r = read_hashes(sink, page, n, hashes, reterr);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		enum page_state state = sink_state(sink, page + i);
		int has_hash = state == PAGE_DATA || state == PAGE_PARENT;

		ram_sum_add(sum, has_hash ? PAGE_DATA : state, has_hash ? &hashes[i] : NULL);
		if (state == PAGE_DATA)
			r = vsv_writer_hash(w, &hashes[i], reterr);
	}
	return r;
}

int sink_describe(struct sink *sink, struct vsv_writer *w, struct vsv_info *info, struct err *reterr)
{
	_cleanup_(ram_sum_freep) struct ram_sum *sum = ram_sum_new(info);
	uint64_t pages = vsv_pages(info);
	int r = 0;

	for (uint64_t page = 0; r >= 0 && page < pages; page++)
		r = vsv_writer_state(w, sink_state(sink, page), reterr);
	for (uint64_t page = 0; r >= 0 && page < pages; page += CHAIN_WINDOW)
		r = describe_window(sink, page, pages - page < CHAIN_WINDOW ? (size_t)(pages - page) : CHAIN_WINDOW, w,
				    sum, reterr);
	if (r < 0)
		return r;
	info->ram_sum = ram_sum_value(sum);
	return 0;
}

int sink_publish(struct sink *sink, struct err *reterr)
{
	return out_file_publish(&sink->bin, reterr);
}
