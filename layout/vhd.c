/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VHD footers (Microsoft's VHD specification 1.0) and the VHDX tables that name
 * a parent (MS-VHDX 2.2.3 and 2.6). */
#include "layout/vhd.h"

#include <fcntl.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cursor.h"
#include "common/fileio.h"

#define VHD_COOKIE "conectix"
#define VHD_VERSION 0x00010000U
#define VHD_CHECKSUM_AT 64
#define VHDX_SIGNATURE "vhdxfile"
#define VHDX_REGIONS "regi"
#define VHDX_METADATA "metadata"
#define VHDX_MAX_ENTRIES 2047
#define VHDX_FIRST_ITEM (64U << 10)
#define MIB (UINT64_C(1) << 20)

static const uint8_t guid_metadata_region[16] = {0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
						 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e};
static const uint8_t guid_file_parameters[16] = {0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
						 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b};

static int bad_vhd(struct err *reterr, const char *why)
{
	return err_set(reterr, ERR_BAD_DATA, -EBADMSG, "not a sound VHD: %s", why);
}

static int bad_vhdx(struct err *reterr, const char *why)
{
	return err_set(reterr, ERR_BAD_DATA, -EBADMSG, "not a sound VHDX: %s", why);
}

/* One's complement of the sum of all bytes but the checksum itself. */
static uint32_t footer_checksum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++) {
		if (i < VHD_CHECKSUM_AT || i >= VHD_CHECKSUM_AT + 4)
			sum += data[i];
	}
	return ~sum;
}

int vhd_parse_footer(const void *data, size_t len, struct vhd_info *ret_info, struct err *reterr)
{
	struct cursor c;
	const void *cookie;
	uint64_t size;
	uint32_t version, type, checksum;

	if (len > VHD_FOOTER_BYTES)
		len = VHD_FOOTER_BYTES;
	cursor_init(&c, data, len);
	cookie = cursor_bytes(&c, 8);
	cursor_seek(&c, 12);
	version = cursor_be32(&c);
	cursor_seek(&c, 48);
	size = cursor_be64(&c);
	cursor_seek(&c, 60);
	type = cursor_be32(&c);
	checksum = cursor_be32(&c);
	cursor_seek(&c, VHD_FOOTER_BYTES - 1); /* very old files lack the last byte */
	if (cursor_failed(&c))
		return bad_vhd(reterr, "its footer is too short");
	if (memcmp(cookie, VHD_COOKIE, 8) != 0)
		return bad_vhd(reterr, "it has no footer");
	if (version >> 16 != VHD_VERSION >> 16)
		return bad_vhd(reterr, "its version is not known");
	if (checksum != footer_checksum(data, len))
		return bad_vhd(reterr, "the checksum of its footer does not match");
	if (type != VHD_FIXED && type != VHD_DYNAMIC && type != VHD_DIFFERENCING)
		return bad_vhd(reterr, "its type is not known");
	if (size > INT64_MAX)
		return bad_vhd(reterr, "its size is impossible");
	*ret_info = (struct vhd_info){.type = (enum vhd_type)type, .virtual_size = (int64_t)size};
	return 0;
}

int vhdx_parse_regions(const void *data, size_t len, uint64_t *ret_offset, struct err *reterr)
{
	struct cursor c;
	const void *signature;
	uint32_t entries;

	cursor_init(&c, data, len);
	signature = cursor_bytes(&c, 4);
	cursor_le32(&c); /* CRC-32C: QEMU checks it when it opens the image */
	entries = cursor_le32(&c);
	cursor_le32(&c);
	if (cursor_failed(&c) || memcmp(signature, VHDX_REGIONS, 4) != 0)
		return bad_vhdx(reterr, "it has no region table");
	if (entries > VHDX_MAX_ENTRIES)
		return bad_vhdx(reterr, "its region table has too many entries");
	for (uint32_t i = 0; i < entries; i++) {
		const void *guid = cursor_bytes(&c, 16);
		uint64_t offset = cursor_le64(&c);

		cursor_le64(&c); /* length and flags */
		if (cursor_failed(&c))
			return bad_vhdx(reterr, "its region table is too short");
		if (memcmp(guid, guid_metadata_region, 16) != 0)
			continue;
		if (offset < MIB || offset % MIB || offset > INT64_MAX - MIB)
			return bad_vhdx(reterr, "its metadata region lies at an impossible place");
		*ret_offset = offset;
		return 0;
	}
	return bad_vhdx(reterr, "it has no metadata region");
}

/* The has-parent bit of the file parameters at the cursor. */
static int read_parameters(struct cursor *c, int *ret_parent, struct err *reterr)
{
	uint32_t flags;

	cursor_le32(c); /* block size */
	flags = cursor_le32(c);
	if (cursor_failed(c))
		return bad_vhdx(reterr, "its file parameters lie outside the file");
	*ret_parent = !!(flags & 2);
	return 0;
}

int vhdx_parse_metadata(const void *data, size_t len, uint32_t *ret_params, int *ret_parent, struct err *reterr)
{
	struct cursor c;
	const void *signature;
	uint16_t entries;

	cursor_init(&c, data, len);
	signature = cursor_bytes(&c, 8);
	cursor_le16(&c);
	entries = cursor_le16(&c);
	cursor_bytes(&c, 20);
	if (cursor_failed(&c) || memcmp(signature, VHDX_METADATA, 8) != 0)
		return bad_vhdx(reterr, "it has no metadata table");
	if (entries > VHDX_MAX_ENTRIES)
		return bad_vhdx(reterr, "its metadata table has too many entries");
	for (uint16_t i = 0; i < entries; i++) {
		const void *guid = cursor_bytes(&c, 16);
		uint32_t offset = cursor_le32(&c), length = cursor_le32(&c);
		int r = 0;

		cursor_le64(&c); /* flags, reserved */
		if (cursor_failed(&c))
			return bad_vhdx(reterr, "its metadata table is too short");
		if (memcmp(guid, guid_file_parameters, 16) != 0)
			continue;
		if (offset < VHDX_FIRST_ITEM || length < 8 || length > MIB || offset > MIB - length)
			return bad_vhdx(reterr, "its file parameters lie at an impossible place");
		*ret_params = 0;
		*ret_parent = -1;
		if (offset + 8 <= len) {
			cursor_seek(&c, offset);
			r = read_parameters(&c, ret_parent, reterr);
		} else {
			*ret_params = offset;
		}
		return r;
	}
	return bad_vhdx(reterr, "it has no file parameters");
}

/* Reads exactly len bytes at offset into buf. */
static int read_part(int fd, const char *path, void *buf, size_t len, uint64_t offset, struct err *reterr)
{
	ssize_t n = pread_all(fd, buf, len, (off_t)offset);

	if (n < 0)
		return err_file(reterr, (int)n, path, "cannot read image '%s'", path);
	if ((size_t)n < len)
		return bad_vhdx(reterr, "it is too short");
	return 0;
}

static int vhdx_metadata_offset(int fd, const char *path, uint8_t *buf, uint64_t *ret_offset, struct err *reterr)
{
	int r = read_part(fd, path, buf, VHDX_TABLE_BYTES, VHDX_REGIONS_1, reterr);

	if (r < 0)
		return r;
	r = vhdx_parse_regions(buf, VHDX_TABLE_BYTES, ret_offset, NULL);
	if (r == 0)
		return 0;
	r = read_part(fd, path, buf, VHDX_TABLE_BYTES, VHDX_REGIONS_2, reterr);
	if (r < 0)
		return r;
	return vhdx_parse_regions(buf, VHDX_TABLE_BYTES, ret_offset, reterr);
}

static int vhdx_has_parent(int fd, const char *path, struct err *reterr)
{
	_cleanup_free_ uint8_t *buf = xcalloc(VHDX_TABLE_BYTES, 1);
	uint64_t offset = 0;
	uint32_t params = 0;
	int parent = -1, r;
	struct cursor c;

	r = read_part(fd, path, buf, 8, 0, reterr);
	if (r < 0)
		return r;
	if (memcmp(buf, VHDX_SIGNATURE, 8) != 0)
		return bad_vhdx(reterr, "it does not begin as one");
	r = vhdx_metadata_offset(fd, path, buf, &offset, reterr);
	if (r < 0)
		return r;
	r = read_part(fd, path, buf, VHDX_TABLE_BYTES, offset, reterr);
	if (r < 0)
		return r;
	r = vhdx_parse_metadata(buf, VHDX_TABLE_BYTES, &params, &parent, reterr);
	if (r < 0 || params == 0)
		return r < 0 ? r : parent;
	r = read_part(fd, path, buf, 8, offset + params, reterr);
	if (r < 0)
		return r;
	cursor_init(&c, buf, 8);
	r = read_parameters(&c, &parent, reterr);
	return r < 0 ? r : parent;
}

static int vhd_has_parent(int fd, const char *path, struct err *reterr)
{
	uint8_t footer[VHD_FOOTER_BYTES];
	struct vhd_info info;
	off_t size = lseek(fd, 0, SEEK_END);
	int r = -EBADMSG;

	if (size < 0)
		return err_file(reterr, -errno, path, "cannot tell the size of image '%s'", path);
	/* Very old files end with 511 bytes of it. */
	for (off_t len = VHD_FOOTER_BYTES; r < 0 && len >= VHD_FOOTER_BYTES - 1; len--) {
		if (size < len)
			return bad_vhd(reterr, "it is too short");
		if (pread_all(fd, footer, (size_t)len, size - len) != len)
			return err_file(reterr, -EIO, path, "cannot read the footer of image '%s'", path);
		r = vhd_parse_footer(footer, (size_t)len, &info, len == VHD_FOOTER_BYTES - 1 ? reterr : NULL);
	}
	return r < 0 ? r : info.type == VHD_DIFFERENCING;
}

int vhd_refuse_differencing(const char *path, const char *format, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_close_ int fd = -1;
	int vhd = strcmp(format, "vpc") == 0, r;

	if (!vhd && strcmp(format, "vhdx") != 0)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_file(reterr, -errno, path, "cannot open image '%s'", path);
	r = vhd ? vhd_has_parent(fd, path, &err) : vhdx_has_parent(fd, path, &err);
	if (r == 0)
		return 0;
	if (r > 0)
		return err_full(reterr, ERR_REFUSED, -ENOTSUP, NULL, path,
				"merge it into its parent on the Hyper-V host and hand in the result",
				"image '%s' is a differencing %s: without its parent it is not a disk", path,
				vhd ? "VHD" : "VHDX");
	if (err.kind == ERR_BAD_DATA)
		err_prefix(&err, "image '%s'", path);
	err_set_file(&err, path);
	return err_move(reterr, &err);
}
