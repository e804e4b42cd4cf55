/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writer of packed memory files: append only. */
#include <string.h>
#include <zstd.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "savestate/out-file.h"
#include "savestate/packed-internal.h"

#define LEVEL 3

struct packer {
	struct out_file out;
	XXH3_state_t *sum;   /* of the file */
	ZSTD_CCtx *context;
	uint64_t pos, pages;
	uint8_t *index;      /* 8 bytes for each frame that is out */
	size_t n_frames, room;
	size_t n;            /* pages in frame */
	uint8_t frame[PACKED_FRAME_BYTES];
	uint8_t packed[PACKED_FRAME_BYTES];
};

struct packer *packer_free(struct packer *packer)
{
	if (packer) {
		out_file_done(&packer->out);
		sum_free(packer->sum);
		ZSTD_freeCCtx(packer->context);
		free(packer->index);
	}
	free(packer);
	return NULL;
}

static int append(struct packer *p, const void *data, size_t len, struct err *reterr)
{
	int r = out_file_write(&p->out, data, len, p->pos, reterr);

	XXH3_64bits_update(p->sum, data, len);
	p->pos += len;
	return r;
}

int packer_new(const char *path, const struct guid *guid, struct packer **ret_packer, struct err *reterr)
{
	_cleanup_packer_ struct packer *p = xcalloc(1, sizeof(*p));
	uint8_t start[PACKED_START_SIZE] = { 0 };
	int r;

	p->out = (struct out_file)OUT_FILE_INIT;
	p->sum = sum_new();
	p->context = ZSTD_createCCtx();
	if (!p->context)
		abort(); /* as all that lacks memory */
	r = out_file_open_hidden(&p->out, path, reterr);
	if (r < 0)
		return r;
	memcpy(start, PACKED_MAGIC, PACKED_MAGIC_LEN);
	put_le32(start + PACKED_MAGIC_LEN, PACKED_VERSION);
	memcpy(start + 32, guid->s, GUID_LEN);
	r = append(p, start, sizeof(start), reterr);
	if (r < 0)
		return r;
	*ret_packer = TAKE_PTR(p);
	return 0;
}

/* Packs the frame, unless that makes it no smaller. */
static int flush(struct packer *p, struct err *reterr)
{
	size_t len = p->n * VSV_PAGE, size;
	int r;

	if (p->n == 0)
		return 0;
	size = ZSTD_compressCCtx(p->context, p->packed, len - 1, p->frame, len, LEVEL);
	r = ZSTD_isError(size) ? append(p, p->frame, len, reterr) : append(p, p->packed, size, reterr);
	if (r < 0)
		return r;
	if (p->n_frames == p->room) {
		p->room = 2 * p->room + 64;
		p->index = xreallocarray(p->index, p->room, 8);
	}
	put_le64(p->index + 8 * p->n_frames++, p->pos);
	p->n = 0;
	return 0;
}

int packer_put(struct packer *packer, const uint8_t *page, struct err *reterr)
{
	memcpy(packer->frame + packer->n * VSV_PAGE, page, VSV_PAGE);
	packer->n++;
	packer->pages++;
	return packer->n == PACKED_FRAME_PAGES ? flush(packer, reterr) : 0;
}

int packer_finish(struct packer *packer, const char **ret_tmp, struct err *reterr)
{
	uint8_t trailer[PACKED_TRAILER_SIZE], *p;
	uint64_t index_at;
	int r = flush(packer, reterr);

	index_at = packer->pos;
	if (r >= 0)
		r = append(packer, packer->index, packer->n_frames * 8, reterr);
	p = put_le64(put_le64(trailer, index_at), packer->pages);
	p = put_le32(put_le32(p, PACKED_FRAME_PAGES), 0);
	p = put_le64(p, XXH3_64bits(packer->index, packer->n_frames * 8));
	if (r >= 0)
		r = append(packer, trailer, PACKED_SUMMED, reterr);
	p = put_le64(p, XXH3_64bits_digest(packer->sum));
	memcpy(p, PACKED_END_MAGIC, PACKED_MAGIC_LEN);
	if (r >= 0)
		r = append(packer, trailer + PACKED_SUMMED, sizeof(trailer) - PACKED_SUMMED, reterr);
	if (r >= 0)
		r = out_file_sync(&packer->out, reterr);
	if (r < 0)
		return r;
	*ret_tmp = packer->out.tmp;
	return 0;
}

int packer_publish(struct packer *packer, struct err *reterr)
{
	_cleanup_free_ char *dir = path_dirname(packer->out.path);
	int r = out_file_publish(&packer->out, reterr);

	return r < 0 ? r : path_fsync(dir, reterr);
}
