/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads qcow2 headers. Field order and limits follow QEMU's
 * docs/interop/qcow2.rst and the checks of block/qcow2.c. */
#include "layout/qcow2.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/cursor.h"
#include "common/fileio.h"

#define QCOW2_MAGIC 0x514649fbU
#define HEADER_V2 72
#define HEADER_V3 104
#define MAX_L1_BYTES (32U << 20)
#define MAX_REFTABLE_BYTES (8U << 20)
#define MAX_SNAPSHOTS 65536
#define MAX_NAME 1023
#define MAX_FORMAT 15 /* QEMU keeps 16 bytes with the NUL */

#define INCOMPAT_DIRTY (UINT64_C(1) << 0)
#define INCOMPAT_CORRUPT (UINT64_C(1) << 1)
#define INCOMPAT_DATA_FILE (UINT64_C(1) << 2)
#define INCOMPAT_COMPRESSION (UINT64_C(1) << 3)
#define INCOMPAT_EXTENDED_L2 (UINT64_C(1) << 4)
#define INCOMPAT_KNOWN \
	(INCOMPAT_DIRTY | INCOMPAT_CORRUPT | INCOMPAT_DATA_FILE | INCOMPAT_COMPRESSION | INCOMPAT_EXTENDED_L2)

#define EXT_END 0
#define EXT_BACKING_FORMAT 0xe2792acaU

/* The fields that are checked but not handed out. */
struct header {
	uint64_t backing_offset, l1_offset, reftable_offset, snapshots_offset;
	uint32_t backing_len, l1_size, reftable_clusters, refcount_order, length;
};

static int bad(struct err *reterr, const char *why)
{
	return err_set(reterr, ERR_BAD_DATA, -EBADMSG, "not a sound qcow2 image: %s", why);
}

static void read_header(struct cursor *c, struct qcow2_info *info, struct header *h)
{
	h->backing_offset = cursor_be64(c);
	h->backing_len = cursor_be32(c);
	info->cluster_bits = cursor_be32(c);
	info->virtual_size = cursor_be64(c);
	info->crypt_method = cursor_be32(c);
	h->l1_size = cursor_be32(c);
	h->l1_offset = cursor_be64(c);
	h->reftable_offset = cursor_be64(c);
	h->reftable_clusters = cursor_be32(c);
	info->snapshots = cursor_be32(c);
	h->snapshots_offset = cursor_be64(c);
	h->refcount_order = 4;
	h->length = HEADER_V2;
	if (info->version == 2)
		return;
	info->incompatible = cursor_be64(c);
	cursor_be64(c); /* compatible features: may be unknown */
	cursor_be64(c); /* autoclear features: may be unknown */
	h->refcount_order = cursor_be32(c);
	h->length = cursor_be32(c);
}

static int check_features(struct qcow2_info *info, struct err *reterr)
{
	uint64_t unknown = info->incompatible & ~INCOMPAT_KNOWN;

	if (unknown)
		return err_set(reterr, ERR_BAD_DATA, -ENOTSUP,
			       "qcow2 image has features that are not known here (bits 0x%llx)",
			       (unsigned long long)unknown);
	info->dirty = !!(info->incompatible & INCOMPAT_DIRTY);
	info->corrupt = !!(info->incompatible & INCOMPAT_CORRUPT);
	info->external_data = !!(info->incompatible & INCOMPAT_DATA_FILE);
	info->extended_l2 = !!(info->incompatible & INCOMPAT_EXTENDED_L2);
	return 0;
}

/* 1 if a table of bytes at offset is aligned and ends within the file. */
static int table_fits(uint64_t offset, uint64_t bytes, uint64_t cluster, uint64_t file_size)
{
	return offset % cluster == 0 && bytes <= file_size && offset <= file_size - bytes;
}

/* L1 entries that a disk of this size needs. */
static uint64_t l1_needed(const struct qcow2_info *info)
{
	unsigned int l2_bits = info->cluster_bits - (info->extended_l2 ? 4 : 3);
	unsigned int shift = info->cluster_bits + l2_bits;
	uint64_t mask = (UINT64_C(1) << shift) - 1;

	return (info->virtual_size >> shift) + !!(info->virtual_size & mask);
}

static int check_tables(const struct qcow2_info *info, const struct header *h, uint64_t file_size,
			struct err *reterr)
{
	uint64_t cluster = UINT64_C(1) << info->cluster_bits;

	if (h->l1_size > MAX_L1_BYTES / 8 || h->l1_size < l1_needed(info))
		return bad(reterr, "its L1 table does not fit its size");
	if (h->l1_size > 0 && !table_fits(h->l1_offset, (uint64_t)h->l1_size * 8, cluster, file_size))
		return bad(reterr, "its L1 table lies outside the file");
	if (h->reftable_clusters == 0 || h->reftable_clusters > MAX_REFTABLE_BYTES / cluster)
		return bad(reterr, "its refcount table has an impossible size");
	if (h->reftable_offset == 0 ||
	    !table_fits(h->reftable_offset, h->reftable_clusters * cluster, cluster, file_size))
		return bad(reterr, "its refcount table lies outside the file");
	if (info->snapshots > MAX_SNAPSHOTS)
		return bad(reterr, "it has too many internal snapshots");
	if (info->snapshots > 0 && !table_fits(h->snapshots_offset, 0, cluster, file_size))
		return bad(reterr, "its snapshot table lies outside the file");
	return 0;
}

static int check_header(struct qcow2_info *info, const struct header *h, uint64_t file_size, struct err *reterr)
{
	int r = check_features(info, reterr);

	if (r < 0)
		return r;
	if (info->cluster_bits < 9 || info->cluster_bits > 21 || (info->extended_l2 && info->cluster_bits < 14))
		return bad(reterr, "its cluster size is impossible");
	if (info->version == 3 && (h->length < HEADER_V3 || h->length % 8 || h->length > (1U << info->cluster_bits)))
		return bad(reterr, "its header length is impossible");
	if (h->refcount_order > 6)
		return bad(reterr, "its refcount width is impossible");
	if (info->virtual_size > INT64_MAX)
		return bad(reterr, "its size is impossible");
	if (info->crypt_method > 2)
		return bad(reterr, "its encryption method is not known");
	return check_tables(info, h, file_size, reterr);
}

/* Copy of a name within the head; printable text without NUL. */
static int take_text(struct cursor *c, size_t len, char **ret_text, struct err *reterr)
{
	const char *bytes = cursor_bytes(c, len);

	if (!bytes)
		return bad(reterr, "a name lies outside its header");
	if (memchr(bytes, '\0', len))
		return bad(reterr, "a name holds a zero byte");
	free(*ret_text);
	*ret_text = xstrndup(bytes, len);
	return 0;
}

/* Walks the header extensions in [header length, end). */
static int read_extensions(struct cursor *c, size_t end, struct qcow2_info *info, struct err *reterr)
{
	while (c->pos + 8 <= end) {
		uint32_t type = cursor_be32(c), len = cursor_be32(c);
		size_t at = c->pos;
		int r;

		if (type == EXT_END)
			return 0;
		if (len > end - at)
			return bad(reterr, "a header extension is too long");
		if (type == EXT_BACKING_FORMAT) {
			if (len > MAX_FORMAT || info->backing_format)
				return bad(reterr, "its backing format is impossible");
			r = take_text(c, len, &info->backing_format, reterr);
			if (r < 0)
				return r;
		}
		at += ((size_t)len + 7) & ~(size_t)7;
		cursor_seek(c, at < end ? at : end);
	}
	return 0;
}

static int read_backing(struct cursor *c, const struct header *h, uint64_t cluster, struct qcow2_info *info,
			struct err *reterr)
{
	if (h->backing_offset == 0)
		return 0;
	if (h->backing_len == 0 || h->backing_len > MAX_NAME)
		return bad(reterr, "its backing name has an impossible length");
	if (h->backing_offset < h->length || h->backing_offset > cluster - h->backing_len)
		return bad(reterr, "its backing name lies outside its header");
	if (h->backing_offset > c->len)
		return bad(reterr, "its backing name lies too far from the beginning");
	cursor_seek(c, (size_t)h->backing_offset);
	return take_text(c, h->backing_len, &info->backing, reterr);
}

static int parse(struct cursor *c, uint64_t file_size, struct qcow2_info *info, struct err *reterr)
{
	struct header h;
	uint64_t cluster, end;
	int r;

	if (cursor_be32(c) != QCOW2_MAGIC)
		return bad(reterr, "it does not begin as one");
	info->version = cursor_be32(c);
	if (!cursor_failed(c) && info->version != 2 && info->version != 3)
		return err_set(reterr, ERR_BAD_DATA, -ENOTSUP, "qcow2 version %u is not known here", info->version);
	read_header(c, info, &h);
	if (cursor_failed(c))
		return bad(reterr, "it is too short");
	r = check_header(info, &h, file_size, reterr);
	if (r < 0)
		return r;
	info->l1_entries = h.l1_size;
	info->l1_offset = h.l1_offset;
	cluster = UINT64_C(1) << info->cluster_bits;
	end = h.backing_offset && h.backing_offset < cluster ? h.backing_offset : cluster;
	if (end > c->len)
		end = c->len;
	cursor_seek(c, h.length);
	if (cursor_failed(c))
		return bad(reterr, "it is too short");
	r = read_extensions(c, (size_t)end, info, reterr);
	if (r < 0)
		return r;
	return read_backing(c, &h, cluster, info, reterr);
}

int qcow2_parse(const void *data, size_t len, uint64_t file_size, struct qcow2_info *ret_info, struct err *reterr)
{
	_cleanup_(qcow2_info_done) struct qcow2_info info = {0};
	struct cursor c;
	int r;

	cursor_init(&c, data, len);
	r = parse(&c, file_size, &info, reterr);
	if (r < 0)
		return r;
	*ret_info = info;
	info = (struct qcow2_info){0};
	return 0;
}

int qcow2_read(const char *path, struct qcow2_info *ret_info, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *head = xcalloc(QCOW2_HEAD_BYTES, 1);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	off_t size;
	ssize_t n;
	int r;

	if (fd < 0)
		return err_file(reterr, -errno, path, "cannot open image '%s'", path);
	size = lseek(fd, 0, SEEK_END);
	if (size < 0)
		return err_file(reterr, -errno, path, "cannot tell the size of image '%s'", path);
	n = pread_all(fd, head, QCOW2_HEAD_BYTES, 0);
	if (n < 0)
		return err_file(reterr, (int)n, path, "cannot read image '%s'", path);
	r = qcow2_parse(head, (size_t)n, (uint64_t)size, ret_info, &err);
	if (r == 0)
		return 0;
	err_prefix(&err, "image '%s'", path);
	err_set_file(&err, path);
	return err_move(reterr, &err);
}

void qcow2_info_done(struct qcow2_info *info)
{
	free(info->backing);
	free(info->backing_format);
	*info = (struct qcow2_info){0};
}
