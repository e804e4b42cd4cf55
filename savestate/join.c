/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Joins a save state to a save image. The stream that comes out is not the one
 * that came in, but means the same: each page once, in order, in one section. */
#include "savestate/join.h"

#include <string.h>

#include "common/alloc.h"
#include "savestate/chain.h"
#include "savestate/image-internal.h"
#include "savestate/pipe-out.h"
#include "savestate/pipe-ring.h"
#include "savestate/split-internal.h"

#define RECORD_MAX (8 + 1 + VSV_MAX_NAME + VSV_PAGE)

struct join {
	struct chain *chain;
	const struct vsv *vsv;
	const struct vsv_info *info;
	struct pipe_out out;
	uint32_t last_block; /* of the last page that was put, or VSV_NO_BLOCK */
	uint8_t *pages;      /* CHAIN_WINDOW pages */
	struct pipe_ring *ring;
	size_t len; /* of what is in the ring's buffer and not yet out */
};

static void join_done(struct join *j)
{
	chain_free(j->chain);
	free(j->pages);
	pipe_ring_free(j->ring);
}

static int flush(struct join *j, struct err *reterr)
{
	size_t len = j->len;

	j->len = 0;
	return len ? pipe_ring_put(j->ring, &j->out, len, reterr) : 0;
}

static int put(struct join *j, const void *data, size_t len, struct err *reterr)
{
	int r = 0;

	if (len > PIPE_RING_BUFFER - j->len)
		r = flush(j, reterr);
	if (r < 0)
		return r;
	if (len > PIPE_RING_BUFFER)
		return pipe_out_put(&j->out, data, len, reterr);
	memcpy(pipe_ring_buffer(j->ring) + j->len, data, len);
	j->len += len;
	return 0;
}

/* Record of a page: data of VSV_PAGE bytes, or NULL for zeros. */
static int put_page(struct join *j, uint32_t block, uint64_t page, const uint8_t *data, struct err *reterr)
{
	uint64_t record = page * VSV_PAGE | (data ? RAM_PAGE : RAM_ZERO);
	const char *name = j->info->blocks[block].name;
	uint8_t *buf, *p;
	int r = 0;

	if (RECORD_MAX > PIPE_RING_BUFFER - j->len)
		r = flush(j, reterr);
	if (r < 0)
		return r;
	buf = pipe_ring_buffer(j->ring);
	p = put_be64(buf + j->len, block == j->last_block ? record | RAM_CONTINUE : record);
	if (block != j->last_block) {
		*p++ = (uint8_t)strlen(name);
		memcpy(p, name, strlen(name));
		p += strlen(name);
	}
	j->last_block = block;
	if (data) {
		memcpy(p, data, VSV_PAGE);
		p += VSV_PAGE;
	} else {
		*p++ = 0;
	}
	j->len = (size_t)(p - buf);
	return 0;
}

/* Pages of a block, up to a window of them; only_one: stops after the first. Returns
 * how many were put, or negative errno. */
static int put_window(struct join *j, uint32_t block, uint64_t page, size_t n, int only_one, struct err *reterr)
{
	struct page_ref refs[CHAIN_WINDOW];
	int r = chain_resolve(j->chain, block, page, n, refs, reterr), done = 0;

	if (r >= 0)
		r = chain_read_pages(j->chain, refs, n, j->pages, reterr);
	for (size_t i = 0; r >= 0 && i < n && !(only_one && done); i++) {
		if (refs[i].state == PAGE_ABSENT)
			continue;
		r = put_page(j, block, page + i, refs[i].state == PAGE_DATA ? j->pages + i * VSV_PAGE : NULL, reterr);
		done++;
	}
	return r < 0 ? r : done;
}

static int put_block(struct join *j, uint32_t block, int only_one, struct err *reterr)
{
	uint64_t pages = j->info->blocks[block].pages;

	for (uint64_t page = 0; page < pages; page += CHAIN_WINDOW) {
		size_t n = pages - page < CHAIN_WINDOW ? (size_t)(pages - page) : CHAIN_WINDOW;
		int r = put_window(j, block, page, n, only_one, reterr);

		if (r < 0 || (only_one && r > 0))
			return r;
	}
	return 0;
}

static int put_section(struct join *j, uint8_t type, struct err *reterr)
{
	uint8_t head[5] = { type };

	put_be32(head + 1, j->info->section);
	return put(j, head, sizeof(head), reterr);
}

static int end_section(struct join *j, struct err *reterr)
{
	uint8_t end[13];

	put_be64(end, RAM_EOS);
	end[8] = QEMU_FOOTER;
	put_be32(end + 9, j->info->section);
	return put(j, end, j->info->flags & VSV_F_FOOTERS ? 13 : 8, reterr);
}

/* All pages in a section. What follows may refer to the block of the page before
 * it, so the last one is of the block that it was in the stream. */
static int put_pages(struct join *j, struct err *reterr)
{
	const uint64_t *pages = j->info->pages;
	int r;

	if (pages[PAGE_ZERO] + pages[PAGE_DATA] + pages[PAGE_PARENT] == 0)
		return 0;
	r = put_section(j, QEMU_PART, reterr);
	for (uint32_t i = 0; r >= 0 && i < j->info->n_blocks; i++)
		r = put_block(j, i, 0, reterr);
	if (r >= 0 && j->info->last_block != VSV_NO_BLOCK && j->info->last_block != j->last_block)
		r = put_block(j, j->info->last_block, 1, reterr);
	return r < 0 ? r : end_section(j, reterr);
}

/* A part that is small, checked before it goes out. */
static int put_part(struct join *j, enum vsv_part part, size_t max, struct err *reterr)
{
	_cleanup_free_ char *data = NULL;
	size_t len;
	int r = vsv_read_part(j->vsv, part, max, &data, &len, reterr);

	return r < 0 ? r : put(j, data, len, reterr);
}

/* The tail. Its last bytes go out when its checksum is right. */
static int put_tail(struct join *j, struct err *reterr)
{
	const struct vsv_extent *tail = &j->info->part[VSV_TAIL];
	_cleanup_sum_ XXH3_state_t *sum = sum_new();
	uint64_t pos = 0;

	do {
		uint64_t left = tail->size - pos;
		size_t n = left < PIPE_RING_BUFFER ? (size_t)left : PIPE_RING_BUFFER;
		int r = vsv_read_at(j->vsv, VSV_TAIL, pos, j->pages, n, reterr);

		if (r < 0)
			return r;
		XXH3_64bits_update(sum, j->pages, n);
		pos += n;
		if (pos == tail->size && XXH3_64bits_digest(sum) != tail->sum)
			return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, vsv_path(j->vsv), NULL,
					"save state '%s' is damaged: the %s does not fit its checksum",
					vsv_path(j->vsv), vsv_part_name(VSV_TAIL));
		r = put(j, j->pages, n, reterr);
		if (r < 0)
			return r;
	} while (pos < tail->size);
	return flush(j, reterr);
}

static int put_stream(struct join *j, struct err *reterr)
{
	uint32_t flags = j->info->flags;
	int r = put_part(j, VSV_PREFIX, VSV_MAX_PREFIX, reterr);

	if (r >= 0)
		r = put_pages(j, reterr);
	if (r >= 0)
		r = put_part(j, VSV_COMMANDS, VSV_MAX_COMMANDS, reterr);
	if (r >= 0 && flags & (VSV_F_END | VSV_F_OPEN_END))
		r = put_section(j, QEMU_END, reterr);
	if (r >= 0 && flags & VSV_F_END)
		r = end_section(j, reterr);
	if (r >= 0 && flags & VSV_F_OPEN_PART)
		r = put_section(j, QEMU_PART, reterr);
	return r < 0 ? r : put_tail(j, reterr);
}

static int put_new_head(struct join *j, const char *xml, struct err *reterr)
{
	_cleanup_(image_info_done) struct image_info image = { 0 };
	_cleanup_free_ char *old = NULL, *head = NULL;
	size_t len;
	int r = vsv_read_part(j->vsv, VSV_HEAD, VSV_MAX_HEAD, &old, &len, reterr);

	if (r < 0)
		return r;
	if (xml && (!*xml || strlen(xml) > IMAGE_MAX_XML))
		return err_full(reterr, ERR_INVALID, -EINVAL, NULL, vsv_path(j->vsv), NULL,
				"the XML for save state '%s' is empty or too long", vsv_path(j->vsv));
	r = image_parse(old, len, &image, reterr);
	if (r < 0)
		return r;
	head = image_make_head(xml ? xml : image.xml, image.cookie, 1, image.compression, &len);
	return put(j, head, len, reterr);
}

static int put_head(struct join *j, const struct join_opts *opts, struct err *reterr)
{
	switch (opts->head) {
	case JOIN_RESUME:
		return put_new_head(j, opts->xml, reterr);
	case JOIN_VERBATIM:
		return put_part(j, VSV_HEAD, VSV_MAX_HEAD, reterr);
	case JOIN_NONE:
		break;
	}
	return 0;
}

/* Nearly how many bytes there will be; never less. */
static uint64_t estimate(const struct vsv_info *info)
{
	return VSV_MAX_PREFIX + info->part[VSV_HEAD].size + info->part[VSV_TAIL].size +
	       (info->pages[PAGE_DATA] + info->pages[PAGE_PARENT]) * (VSV_PAGE + 8) + info->pages[PAGE_ZERO] * 9 +
	       (uint64_t)info->n_blocks * (VSV_MAX_NAME + 1) + IMAGE_MAX_XML;
}

int join_stream(const struct save_files *files, size_t n, const struct join_opts *opts, int fd, struct err *reterr)
{
	_cleanup_(join_done) struct join j = { .last_block = VSV_NO_BLOCK };
	int r = chain_open(files, n, 1, 0, &j.chain, reterr);

	if (r < 0)
		return r;
	j.vsv = chain_vsv(j.chain, 0);
	j.info = vsv_info(j.vsv);
	j.pages = xreallocarray(NULL, CHAIN_WINDOW, VSV_PAGE);
	j.out = (struct pipe_out){
		.fd = fd,
		.path = files[0].vsv,
		.total = estimate(j.info),
		.progress = opts->progress,
		.arg = opts->arg,
	};
	pipe_out_enlarge(&j.out);
	r = pipe_ring_new(&j.ring, reterr);
	if (r >= 0)
		r = chain_check_ram_sum(j.chain, reterr);
	if (r >= 0)
		r = put_head(&j, opts, reterr);
	return r < 0 ? r : put_stream(&j, reterr);
}
