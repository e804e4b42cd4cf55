/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads save states through: are they sound, and how do two differ. */
#define _GNU_SOURCE /* SEEK_DATA */
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "savestate/chain.h"
#include "savestate/join.h"
#include "savestate/vsv-internal.h"

struct verify {
	struct chain *chain;
	const struct vsv_info *info;
	const char *bin_path;
	uint64_t done, total; /* bytes */
	image_progress_fn progress;
	void *arg;
	uint8_t *buf;         /* CHAIN_WINDOW pages */
};

static void verify_done(struct verify *v)
{
	chain_free(v->chain);
	free(v->buf);
}

static int advance(struct verify *v, uint64_t len, struct err *reterr)
{
	v->done += len;
	if (v->progress && v->progress(v->arg, v->done, v->total) != 0)
		return err_set(reterr, ERR_CANCELLED, -ECANCELED, "verifying a save state was cancelled");
	return 0;
}

/* 1 if there is nothing in the file from offset to offset + len. */
static int is_hole(int fd, uint64_t offset, uint64_t len)
{
	off_t data = lseek(fd, (off_t)offset, SEEK_DATA);

	return data < 0 ? errno == ENXIO : (uint64_t)data >= offset + len;
}

static int stray(const struct verify *v, uint64_t offset, struct err *reterr)
{
	return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, v->bin_path, NULL,
			"memory file '%s' is damaged: there is something at offset %llu, where nothing belongs",
			v->bin_path, (unsigned long long)offset);
}

/* What the first .bin holds where the pages are not its own: nothing, or what
 * folding had put there when it was interrupted. */
static int check_others(const struct verify *v, const struct page_ref *refs, uint64_t offset, size_t n,
			struct err *reterr)
{
	ssize_t got;

	if (chain_packed(v->chain, 0) || is_hole(chain_bin(v->chain, 0), offset, n * VSV_PAGE))
		return 0; /* a packed one has no place for others */
	got = pread_all(chain_bin(v->chain, 0), v->buf, n * VSV_PAGE, (off_t)offset);
	if (got < 0)
		return err_file(reterr, (int)got, v->bin_path, "cannot read memory file '%s'", v->bin_path);
	for (size_t i = 0; i < n && (i + 1) * VSV_PAGE <= (size_t)got; i++) {
		const uint8_t *page = v->buf + i * VSV_PAGE;
		struct page_hash hash;

		if ((refs[i].state == PAGE_DATA && refs[i].level == 0) || page_is_zero(page))
			continue;
		hash = page_hash(page);
		if (refs[i].state != PAGE_DATA || !page_hash_eq(&hash, &refs[i].hash))
			return stray(v, offset + i * VSV_PAGE, reterr);
	}
	return 0;
}

static int check_window(struct verify *v, uint32_t block, uint64_t page, size_t n, struct err *reterr)
{
	uint64_t offset = v->info->blocks[block].offset + page * VSV_PAGE;
	struct page_ref refs[CHAIN_WINDOW];
	int r = chain_resolve(v->chain, block, page, n, refs, reterr);

	if (r >= 0)
		r = chain_read_pages(v->chain, refs, n, v->buf, reterr);
	if (r >= 0)
		r = check_others(v, refs, offset, n, reterr);
	return r < 0 ? r : advance(v, n * VSV_PAGE, reterr);
}

/* The space behind a block up to the next that begins. */
static int check_gap(struct verify *v, const struct vsv_block *block, struct err *reterr)
{
	uint64_t at = block->offset + block->pages * VSV_PAGE, end = v->info->bin_size;

	for (uint32_t i = 0; i < v->info->n_blocks; i++) {
		uint64_t next = v->info->blocks[i].offset;

		if (next >= at && next < end)
			end = next;
	}
	if (chain_packed(v->chain, 0))
		return 0;
	while (at < end && !is_hole(chain_bin(v->chain, 0), at, end - at)) {
		ssize_t got = pread_all(chain_bin(v->chain, 0), v->buf, VSV_PAGE, (off_t)at);

		if (got != VSV_PAGE || !page_is_zero(v->buf))
			return stray(v, at, reterr);
		at += VSV_PAGE;
	}
	return 0;
}

static int check_block(struct verify *v, uint32_t number, struct err *reterr)
{
	const struct vsv_block *block = &v->info->blocks[number];

	for (uint64_t page = 0; page < block->pages; page += CHAIN_WINDOW) {
		uint64_t left = block->pages - page;
		int r = check_window(v, number, page, left < CHAIN_WINDOW ? (size_t)left : CHAIN_WINDOW, reterr);

		if (r < 0)
			return r;
	}
	return check_gap(v, block, reterr);
}

int join_verify(const struct save_files *files, size_t n, image_progress_fn progress, void *arg, struct err *reterr)
{
	_cleanup_(verify_done) struct verify v = { .progress = progress, .arg = arg };
	_cleanup_free_ char *xml = NULL;
	int r = chain_open(files, n, 1, 0, &v.chain, reterr);

	if (r < 0)
		return r;
	v.bin_path = files[0].bin;
	v.info = vsv_info(chain_vsv(v.chain, 0));
	v.total = v.info->size + vsv_pages(v.info) * VSV_PAGE;
	v.buf = xreallocarray(NULL, CHAIN_WINDOW, VSV_PAGE);
	r = vsv_check(chain_vsv(v.chain, 0), reterr);
	if (r >= 0 && chain_packed(v.chain, 0))
		r = packed_check(chain_packed(v.chain, 0), reterr);
	if (r >= 0)
		r = vsv_xml(chain_vsv(v.chain, 0), &xml, reterr);
	if (r >= 0)
		r = chain_check_ram_sum(v.chain, reterr);
	if (r >= 0)
		r = advance(&v, v.info->size, reterr);
	for (uint32_t i = 0; r >= 0 && i < v.info->n_blocks; i++)
		r = check_block(&v, i, reterr);
	return r;
}

static int same_page(const struct page_ref *a, const struct page_ref *b)
{
	return a->state == b->state && (a->state != PAGE_DATA || page_hash_eq(&a->hash, &b->hash));
}

/* The pages of a block of the first, in the second too where it has them. */
static int compare_block(const struct chain *first, const struct chain *second, const struct vsv_block *block,
			 uint32_t number, uint64_t in_second, struct join_diff *diff, struct err *reterr)
{
	struct page_ref a[CHAIN_WINDOW], b[CHAIN_WINDOW];
	uint64_t both = in_second < block->pages ? in_second : block->pages;

	for (uint64_t page = 0; page < both; page += CHAIN_WINDOW) {
		size_t n = both - page < CHAIN_WINDOW ? (size_t)(both - page) : CHAIN_WINDOW;
		int r = chain_resolve(first, number, page, n, a, reterr);

		if (r >= 0)
			r = chain_resolve(second, number, page, n, b, reterr);
		if (r < 0)
			return r;
		for (size_t i = 0; i < n; i++) {
			if (same_page(&a[i], &b[i]))
				diff->same++;
			else
				diff->changed++;
		}
	}
	diff->only_first += block->pages - both;
	diff->only_second += in_second - both;
	return 0;
}

int join_compare(const struct save_files *first, size_t n_first, const struct save_files *second, size_t n_second,
		 struct join_diff *ret_diff, struct err *reterr)
{
	_cleanup_chain_ struct chain *a = NULL, *b = NULL;
	const struct vsv_info *info_a, *info_b;
	struct join_diff diff = { 0 };
	uint64_t seen = 0;
	int r = chain_open(first, n_first, 0, 0, &a, reterr);

	if (r >= 0)
		r = chain_open(second, n_second, 0, 0, &b, reterr);
	if (r < 0)
		return r;
	info_a = vsv_info(chain_vsv(a, 0));
	info_b = vsv_info(chain_vsv(b, 0));
	chain_bind(b, info_a->blocks, info_a->n_blocks);
	for (uint32_t i = 0; r >= 0 && i < info_a->n_blocks; i++) {
		uint64_t in_second = 0;

		for (uint32_t k = 0; k < info_b->n_blocks; k++) {
			if (strcmp(info_a->blocks[i].name, info_b->blocks[k].name) == 0)
				in_second = info_b->blocks[k].pages;
		}
		seen += in_second;
		r = compare_block(a, b, &info_a->blocks[i], i, in_second, &diff, reterr);
	}
	if (r < 0)
		return r;
	diff.only_second += vsv_pages(info_b) - seen;
	*ret_diff = diff;
	return 0;
}
