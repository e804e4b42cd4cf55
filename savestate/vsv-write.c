/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes a `.vsv` file: append only, so that sums run along and a file that was
 * interrupted has no end. */
#include "savestate/vsv-write.h"

#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "savestate/out-file.h"
#include "savestate/vsv-internal.h"

#define BUFFER_SIZE 65536

struct vsv_writer {
	struct out_file out;
	XXH3_state_t *whole, *part_sum; /* of the file, of the present part */
	uint64_t pos;                   /* bytes put so far, with those in buf */
	int part;                       /* the present one; -1 before the first */
	struct vsv_extent extent[VSV_N_PARTS];
	uint32_t run_state, run;        /* of pages that are not yet written */
	uint64_t pages[PAGE_N_STATES];
	size_t len;
	uint8_t buf[BUFFER_SIZE];
};

struct vsv_writer *vsv_writer_free(struct vsv_writer *w)
{
	if (w) {
		out_file_done(&w->out);
		sum_free(w->whole);
		sum_free(w->part_sum);
	}
	free(w);
	return NULL;
}

static int flush(struct vsv_writer *w, struct err *reterr)
{
	size_t len = w->len;

	w->len = 0;
	return out_file_write(&w->out, w->buf, len, w->pos - len, reterr);
}

/* Appends bytes that belong to no part or to the present one. */
static int append(struct vsv_writer *w, const void *data, size_t len, struct err *reterr)
{
	int r = 0;

	XXH3_64bits_update(w->whole, data, len);
	if (len > sizeof(w->buf) - w->len)
		r = flush(w, reterr);
	if (r < 0)
		return r;
	w->pos += len;
	if (len > sizeof(w->buf))
		return out_file_write(&w->out, data, len, w->pos - len, reterr);
	memcpy(w->buf + w->len, data, len);
	w->len += len;
	return 0;
}

int vsv_writer_new(const char *path, struct vsv_writer **ret_writer, struct err *reterr)
{
	_cleanup_vsv_writer_ struct vsv_writer *w = xcalloc(1, sizeof(*w));
	uint8_t start[VSV_START_SIZE] = { 0 };
	int r;

	w->out = (struct out_file)OUT_FILE_INIT;
	w->part = -1;
	w->whole = sum_new();
	w->part_sum = sum_new();
	r = out_file_open(&w->out, path, reterr);
	if (r < 0)
		return r;
	memcpy(start, VSV_MAGIC, VSV_MAGIC_LEN);
	put_le32(start + VSV_MAGIC_LEN, VSV_VERSION);
	r = append(w, start, sizeof(start), reterr);
	if (r < 0)
		return r;
	*ret_writer = TAKE_PTR(w);
	return 0;
}

/* Ends the present part and all before `part`. */
static void go_to_part(struct vsv_writer *w, int part)
{
	while (w->part < part) {
		if (w->part >= 0) {
			struct vsv_extent *extent = &w->extent[w->part];

			extent->size = w->pos - extent->offset;
			extent->sum = XXH3_64bits_digest(w->part_sum);
			XXH3_64bits_reset(w->part_sum);
		}
		w->part++;
		if (w->part < VSV_N_PARTS)
			w->extent[w->part].offset = w->pos;
	}
}

static int flush_run(struct vsv_writer *w, struct err *reterr)
{
	uint8_t run[4];

	if (w->run == 0)
		return 0;
	put_le32(run, w->run_state << VSV_RUN_BITS | w->run);
	w->run = 0;
	XXH3_64bits_update(w->part_sum, run, sizeof(run));
	return append(w, run, sizeof(run), reterr);
}

int vsv_writer_put(struct vsv_writer *w, enum vsv_part part, const void *data, size_t len, struct err *reterr)
{
	int r = flush_run(w, reterr);

	if (r < 0)
		return r;
	go_to_part(w, (int)part);
	XXH3_64bits_update(w->part_sum, data, len);
	return append(w, data, len, reterr);
}

int vsv_writer_blocks(struct vsv_writer *w, const struct vsv_info *info, struct err *reterr)
{
	for (uint32_t i = 0; i < info->n_blocks; i++) {
		const struct vsv_block *block = &info->blocks[i];
		uint8_t row[1 + VSV_MAX_NAME + 16];
		size_t len = strlen(block->name);
		int r;

		row[0] = (uint8_t)len;
		memcpy(row + 1, block->name, len);
		put_le64(put_le64(row + 1 + len, block->pages), block->offset);
		r = vsv_writer_put(w, VSV_BLOCKS, row, 1 + len + 16, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

int vsv_writer_state(struct vsv_writer *w, enum page_state state, struct err *reterr)
{
	if (w->part < VSV_STATES)
		go_to_part(w, VSV_STATES);
	if (w->run > 0 && (w->run_state != state || w->run == VSV_MAX_RUN)) {
		int r = flush_run(w, reterr);

		if (r < 0)
			return r;
	}
	w->run_state = state;
	w->run++;
	w->pages[state]++;
	return 0;
}

int vsv_writer_hash(struct vsv_writer *w, const struct page_hash *hash, struct err *reterr)
{
	uint8_t bytes[sizeof(*hash)];

	put_le64(put_le64(bytes, hash->low), hash->high);
	return vsv_writer_put(w, VSV_HASHES, bytes, sizeof(bytes), reterr);
}

static void put_guid(uint8_t *p, const struct guid *guid)
{
	memcpy(p, guid->s, strlen(guid->s));
}

static void make_index(const struct vsv_info *info, uint8_t *index)
{
	uint8_t *p = index + 2 * VSV_GUID_SIZE;

	put_guid(index, &info->guid);
	put_guid(index + VSV_GUID_SIZE, &info->parent);
	p = put_le32(p, info->flags);
	p = put_le32(p, VSV_PAGE);
	p = put_le32(p, info->section);
	p = put_le32(p, info->n_blocks);
	p = put_le32(p, info->last_block);
	p = put_le32(p, VSV_N_PARTS);
	p = put_le64(p, info->bin_size);
	for (int i = 0; i < PAGE_N_STATES; i++)
		p = put_le64(p, info->pages[i]);
	p = put_le64(p, info->ram_sum);
	p = put_le64(p, 0);
	for (uint32_t i = 0; i < VSV_N_PARTS; i++) {
		p = put_le32(p, i);
		p = put_le32(p, 0);
		p = put_le64(p, info->part[i].offset);
		p = put_le64(p, info->part[i].size);
		p = put_le64(p, info->part[i].sum);
	}
}

/* Index and trailer. */
static int put_end(struct vsv_writer *w, struct vsv_info *info, struct err *reterr)
{
	uint8_t index[VSV_INDEX_SIZE] = { 0 }, trailer[VSV_TRAILER_SIZE];
	uint64_t index_at = w->pos;
	uint8_t *p;
	int r;

	make_index(info, index);
	r = append(w, index, sizeof(index), reterr);
	p = put_le64(trailer, index_at);
	p = put_le64(p, sizeof(index));
	p = put_le64(p, XXH3_64bits(index, sizeof(index)));
	if (r >= 0)
		r = append(w, trailer, VSV_SUMMED, reterr);
	if (r < 0)
		return r;
	info->sum = XXH3_64bits_digest(w->whole);
	p = put_le64(p, info->sum);
	memcpy(p, VSV_END_MAGIC, VSV_MAGIC_LEN);
	return append(w, trailer + VSV_SUMMED, sizeof(trailer) - VSV_SUMMED, reterr);
}

int vsv_writer_finish(struct vsv_writer *w, struct vsv_info *info, uint64_t *ret_file_sum, struct err *reterr)
{
	int r = flush_run(w, reterr);

	if (r < 0)
		return r;
	go_to_part(w, VSV_N_PARTS);
	memcpy(info->part, w->extent, sizeof(info->part));
	memcpy(info->pages, w->pages, sizeof(info->pages));
	r = put_end(w, info, reterr);
	if (r >= 0)
		r = flush(w, reterr);
	if (r >= 0)
		r = out_file_sync(&w->out, reterr);
	if (r < 0)
		return r;
	info->size = w->pos;
	if (ret_file_sum)
		*ret_file_sum = XXH3_64bits_digest(w->whole);
	return 0;
}

int vsv_writer_publish(struct vsv_writer *w, struct err *reterr)
{
	_cleanup_free_ char *dir = path_dirname(w->out.path);
	int r = out_file_publish(&w->out, reterr);

	return r < 0 ? r : path_fsync(dir, reterr);
}
