/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reader of packed memory files. */
#include "savestate/packed.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>

#include "common/alloc.h"
#include "common/cursor.h"
#include "common/fileio.h"
#include "savestate/packed-internal.h"

#define CHUNK (1 << 20)
#define NO_FRAME UINT64_MAX

struct packed {
	int fd;
	char *path;
	uint64_t size, pages;
	uint64_t index_at;  /* end of the frames */
	uint64_t sum;       /* of the file, as stored */
	ZSTD_DCtx *context;
	uint64_t frame;     /* which one is in out, or NO_FRAME */
	uint8_t in[PACKED_FRAME_BYTES], out[PACKED_FRAME_BYTES];
};

char *packed_name(const char *bin)
{
	return xasprintf("%sz", bin);
}

char *packed_or_flat(const char *bin)
{
	_cleanup_free_ char *packed = packed_name(bin);

	if (path_exists(bin) == 0 && path_exists(packed) == 1)
		return TAKE_PTR(packed);
	return xstrdup(bin);
}

struct packed *packed_free(struct packed *packed)
{
	if (packed) {
		cleanup_close(&packed->fd);
		ZSTD_freeDCtx(packed->context);
		free(packed->path);
	}
	free(packed);
	return NULL;
}

static int damaged(const struct packed *p, struct err *reterr, const char *what)
{
	return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, p->path, NULL,
			"packed memory file '%s' is damaged: %s", p->path, what);
}

static int read_raw(const struct packed *p, uint64_t offset, void *buf, size_t len, struct err *reterr)
{
	ssize_t n = pread_all(p->fd, buf, len, (off_t)offset);

	if (n < 0)
		return err_file(reterr, (int)n, p->path, "cannot read packed memory file '%s'", p->path);
	return (size_t)n == len ? 0 : damaged(p, reterr, "it is shorter than it says");
}

static uint64_t n_frames(const struct packed *p)
{
	return p->pages / PACKED_FRAME_PAGES + (p->pages % PACKED_FRAME_PAGES != 0);
}

/* Bytes that a frame unpacks to. */
static size_t frame_bytes(const struct packed *p, uint64_t frame)
{
	uint64_t left = p->pages - frame * PACKED_FRAME_PAGES;

	return (left < PACKED_FRAME_PAGES ? (size_t)left : PACKED_FRAME_PAGES) * VSV_PAGE;
}

static int read_start(const struct packed *p, const struct vsv_info *info, struct err *reterr)
{
	uint8_t buf[PACKED_START_SIZE], guid[VSV_GUID_SIZE] = { 0 };
	uint32_t version, features;
	struct cursor c;
	int r = read_raw(p, 0, buf, sizeof(buf), reterr);

	if (r < 0)
		return r;
	cursor_init(&c, buf, sizeof(buf));
	if (memcmp(cursor_bytes(&c, PACKED_MAGIC_LEN), PACKED_MAGIC, PACKED_MAGIC_LEN) != 0)
		return damaged(p, reterr, "it does not begin as one");
	version = cursor_le32(&c);
	features = cursor_le32(&c);
	if (version != PACKED_VERSION || features != 0)
		return err_full(reterr, ERR_BAD_DATA, -ENOTSUP, NULL, p->path, NULL,
				"packed memory file '%s' has version %u and features %#x, which are not known here",
				p->path, version, features);
	if (cursor_le64(&c) != 0)
		return damaged(p, reterr, "its start");
	memcpy(guid, info->guid.s, GUID_LEN);
	if (memcmp(cursor_bytes(&c, VSV_GUID_SIZE), guid, VSV_GUID_SIZE) != 0)
		return damaged(p, reterr, "it is of another save state");
	return 0;
}

/* Reads the trailer; ret_sum: that of the index. */
static int read_trailer(struct packed *p, uint64_t pages, uint64_t *ret_sum, struct err *reterr)
{
	uint64_t trailer_at = p->size - PACKED_TRAILER_SIZE;
	uint8_t buf[PACKED_TRAILER_SIZE];
	uint32_t per_frame, zeros;
	struct cursor c;
	int r = read_raw(p, trailer_at, buf, sizeof(buf), reterr);

	if (r < 0)
		return r;
	cursor_init(&c, buf, sizeof(buf));
	p->index_at = cursor_le64(&c);
	p->pages = cursor_le64(&c);
	per_frame = cursor_le32(&c);
	zeros = cursor_le32(&c);
	*ret_sum = cursor_le64(&c);
	p->sum = cursor_le64(&c);
	if (memcmp(cursor_bytes(&c, PACKED_MAGIC_LEN), PACKED_END_MAGIC, PACKED_MAGIC_LEN) != 0)
		return damaged(p, reterr, "it has no end; its writing was interrupted");
	if (p->pages != pages)
		return damaged(p, reterr, "it does not hold the pages of its save state");
	if (per_frame != PACKED_FRAME_PAGES || zeros != 0 || p->index_at < PACKED_START_SIZE ||
	    p->index_at > trailer_at || trailer_at - p->index_at != n_frames(p) * 8)
		return damaged(p, reterr, "its trailer");
	return 0;
}

/* Where each frame ends: one after the other, none larger than unpacked. */
static int check_index(const struct packed *p, uint64_t want, struct err *reterr)
{
	_cleanup_sum_ XXH3_state_t *sum = sum_new();
	uint64_t at = PACKED_START_SIZE;
	uint8_t buf[8 * 512];

	for (uint64_t frame = 0, n; frame < n_frames(p); frame += n) {
		int r;

		n = n_frames(p) - frame < 512 ? n_frames(p) - frame : 512;
		r = read_raw(p, p->index_at + 8 * frame, buf, (size_t)n * 8, reterr);
		if (r < 0)
			return r;
		XXH3_64bits_update(sum, buf, (size_t)n * 8);
		for (uint64_t i = 0; i < n; i++) {
			uint64_t end = get_le64(buf + 8 * i);

			if (end <= at || end - at > frame_bytes(p, frame + i))
				return damaged(p, reterr, "its index");
			at = end;
		}
	}
	if (at != p->index_at)
		return damaged(p, reterr, "its index");
	return XXH3_64bits_digest(sum) == want ? 0 : damaged(p, reterr, "its index does not fit its checksum");
}

int packed_open(const char *path, const struct vsv_info *info, struct packed **ret_packed, struct err *reterr)
{
	_cleanup_packed_ struct packed *p = xcalloc(1, sizeof(*p));
	uint64_t index_sum = 0;
	struct stat st;
	int r;

	p->path = xstrdup(path);
	p->frame = NO_FRAME;
	p->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (p->fd < 0 || fstat(p->fd, &st) < 0)
		return err_file(reterr, -errno, path, "cannot open packed memory file '%s'", path);
	p->size = (uint64_t)st.st_size;
	if (!S_ISREG(st.st_mode) || p->size < PACKED_START_SIZE + PACKED_TRAILER_SIZE)
		return damaged(p, reterr, "it is too short");
	r = read_start(p, info, reterr);
	if (r >= 0)
		r = read_trailer(p, info->pages[PAGE_DATA], &index_sum, reterr);
	if (r >= 0)
		r = check_index(p, index_sum, reterr);
	if (r < 0)
		return r;
	p->context = ZSTD_createDCtx();
	if (!p->context)
		abort(); /* as all that lacks memory */
	*ret_packed = TAKE_PTR(p);
	return 0;
}

/* Where a frame is. Checked again: the file may have changed since it was opened. */
static int find_frame(const struct packed *p, uint64_t frame, uint64_t *ret_offset, size_t *ret_size,
		      struct err *reterr)
{
	uint64_t start = PACKED_START_SIZE, end;
	uint8_t buf[16];
	int r = frame ? read_raw(p, p->index_at + 8 * (frame - 1), buf, 16, reterr) :
			read_raw(p, p->index_at, buf + 8, 8, reterr);

	if (r < 0)
		return r;
	if (frame)
		start = get_le64(buf);
	end = get_le64(buf + 8);
	if (start < PACKED_START_SIZE || end <= start || end > p->index_at || end - start > frame_bytes(p, frame))
		return damaged(p, reterr, "its index");
	*ret_offset = start;
	*ret_size = (size_t)(end - start);
	return 0;
}

/* Brings a frame into out. One that is as large as what it unpacks to is not compressed. */
static int load_frame(struct packed *p, uint64_t frame, struct err *reterr)
{
	size_t size = 0, want = frame_bytes(p, frame), got;
	uint64_t offset = 0;
	int r;

	if (p->frame == frame)
		return 0;
	p->frame = NO_FRAME;
	r = find_frame(p, frame, &offset, &size, reterr);
	if (r >= 0)
		r = read_raw(p, offset, size == want ? p->out : p->in, size, reterr);
	if (r < 0)
		return r;
	got = size == want ? want : ZSTD_decompressDCtx(p->context, p->out, want, p->in, size);
	if (got != want)
		return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, p->path, NULL,
				"packed memory file '%s' is damaged: the frame at offset %llu cannot be unpacked",
				p->path, (unsigned long long)offset);
	p->frame = frame;
	return 0;
}

int packed_read(struct packed *packed, uint64_t first, size_t n, uint8_t *buf, struct err *reterr)
{
	if (first > packed->pages || n > packed->pages - first)
		return damaged(packed, reterr, "it does not hold the pages of its save state");
	while (n > 0) {
		size_t at = (size_t)(first % PACKED_FRAME_PAGES);
		size_t here = PACKED_FRAME_PAGES - at < n ? PACKED_FRAME_PAGES - at : n;
		int r = load_frame(packed, first / PACKED_FRAME_PAGES, reterr);

		if (r < 0)
			return r;
		memcpy(buf, packed->out + at * VSV_PAGE, here * VSV_PAGE);
		buf += here * VSV_PAGE;
		first += here;
		n -= here;
	}
	return 0;
}

int packed_check(const struct packed *packed, struct err *reterr)
{
	uint64_t end = packed->size - PACKED_TRAILER_SIZE + PACKED_SUMMED;
	_cleanup_free_ uint8_t *buf = xreallocarray(NULL, CHUNK, 1);
	_cleanup_sum_ XXH3_state_t *sum = sum_new();

	for (uint64_t at = 0; at < end;) {
		size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
		int r = read_raw(packed, at, buf, n, reterr);

		if (r < 0)
			return r;
		XXH3_64bits_update(sum, buf, n);
		at += n;
	}
	return XXH3_64bits_digest(sum) == packed->sum ? 0 : damaged(packed, reterr, "it does not fit its checksum");
}
