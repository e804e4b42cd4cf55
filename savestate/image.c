/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt's save image: its head.
 *
 * The header is in the byte order of the host that wrote it: 16 bytes of magic,
 * then version, length of the data, was-running, compression and cookie offset
 * as 32-bit numbers, then zeros up to 92 bytes. The data are the XML and its
 * NUL, the cookie (at its offset, which counts from the start of the data) and
 * its NUL, and padding. The stream follows. */
#include "savestate/image.h"

#include <fcntl.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cursor.h"
#include "common/fileio.h"
#include "savestate/image-internal.h"

#define MAX_COMPRESSION 16
/* XML, cookie and libvirt's padding (64 KiB) together. */
#define MAX_DATA (IMAGE_MAX_XML * 2U)

/* The numbers of the header in this host's order. */
struct header {
	int complete;
	uint32_t version, data_len, was_running, compression, cookie;
};

static int bad(struct err *reterr, const char *why)
{
	return err_set(reterr, ERR_BAD_DATA, -EBADMSG, "not a sound save image: %s", why);
}

/* Reads a number in the order that the image has. */
static uint32_t number(struct cursor *c, int big)
{
	return big ? cursor_be32(c) : cursor_le32(c);
}

/* Reads the header. The version tells the byte order: it is small. */
static int read_header(struct cursor *c, struct header *ret, struct err *reterr)
{
	const char *magic = cursor_bytes(c, IMAGE_MAGIC_LEN);
	struct header h = {0};
	size_t at = c->pos;
	int big = 0;

	if (!magic || c->len < IMAGE_HEADER_SIZE)
		return bad(reterr, "it is too short");
	h.complete = memcmp(magic, IMAGE_MAGIC_COMPLETE, IMAGE_MAGIC_LEN) == 0;
	if (!h.complete && memcmp(magic, IMAGE_MAGIC_PARTIAL, IMAGE_MAGIC_LEN) != 0)
		return bad(reterr, "it does not begin as one");
	h.version = cursor_le32(c);
	if (h.version > 0xffff) {
		big = 1;
		cursor_seek(c, at);
		h.version = cursor_be32(c);
	}
	h.data_len = number(c, big);
	h.was_running = number(c, big);
	h.compression = number(c, big);
	h.cookie = number(c, big);
	if (h.version != IMAGE_VERSION)
		return err_set(reterr, ERR_BAD_DATA, -ENOTSUP, "save image version %u is not known here", h.version);
	if (h.compression > MAX_COMPRESSION)
		return bad(reterr, "its compression is not known");
	if (h.data_len == 0 || h.data_len > MAX_DATA)
		return bad(reterr, "the length of its XML is impossible");
	if (h.cookie && h.cookie >= h.data_len)
		return bad(reterr, "its cookie lies outside it");
	*ret = h;
	return 0;
}

/* Copy of the text of at most max bytes that begins at offset `at` of the data. */
static int take_text(struct cursor *c, size_t at, size_t max, char **ret_text, struct err *reterr)
{
	const char *bytes;
	size_t len;

	cursor_seek(c, IMAGE_HEADER_SIZE + at);
	bytes = cursor_bytes(c, max);
	if (!bytes)
		return bad(reterr, "it is too short");
	len = strnlen(bytes, max);
	if (len == max)
		return bad(reterr, "a text in it has no end");
	if (len == 0 || len > IMAGE_MAX_XML)
		return bad(reterr, "the length of a text in it is impossible");
	*ret_text = xstrndup(bytes, len);
	return 0;
}

static int read_texts(struct cursor *c, const struct header *h, struct image_info *info, struct err *reterr)
{
	int r = take_text(c, 0, h->cookie ? h->cookie : h->data_len, &info->xml, reterr);

	if (r < 0 || h->cookie == 0)
		return r;
	return take_text(c, h->cookie, h->data_len - h->cookie, &info->cookie, reterr);
}

int image_head_len(const void *header, size_t *ret_len, struct err *reterr)
{
	struct header h;
	struct cursor c;
	int r;

	cursor_init(&c, header, IMAGE_HEADER_SIZE);
	r = read_header(&c, &h, reterr);
	if (r < 0)
		return r;
	*ret_len = IMAGE_HEADER_SIZE + (size_t)h.data_len;
	return 0;
}

char *image_make_head(const char *xml, const char *cookie, int was_running, uint32_t compression, size_t *ret_len)
{
	size_t xml_len = strlen(xml) + 1, cookie_len = cookie ? strlen(cookie) + 1 : 0;
	uint32_t numbers[5] = {
		IMAGE_VERSION,
		(uint32_t)(xml_len + cookie_len),
		was_running != 0,
		compression,
		cookie_len ? (uint32_t)xml_len : 0,
	};
	char *head = xcalloc(IMAGE_HEADER_SIZE + xml_len + cookie_len, 1);

	memcpy(head, IMAGE_MAGIC_COMPLETE, IMAGE_MAGIC_LEN);
	memcpy(head + IMAGE_MAGIC_LEN, numbers, sizeof(numbers));
	memcpy(head + IMAGE_HEADER_SIZE, xml, xml_len);
	if (cookie_len)
		memcpy(head + IMAGE_HEADER_SIZE + xml_len, cookie, cookie_len);
	*ret_len = IMAGE_HEADER_SIZE + xml_len + cookie_len;
	return head;
}

int image_parse(const void *data, uint64_t len, struct image_info *ret_info, struct err *reterr)
{
	_cleanup_(image_info_done) struct image_info info = {0};
	struct header h;
	struct cursor c;
	int r;

	cursor_init(&c, data, len < SIZE_MAX ? (size_t)len : SIZE_MAX);
	r = read_header(&c, &h, reterr);
	if (r < 0)
		return r;
	if (h.data_len > c.len - IMAGE_HEADER_SIZE)
		return bad(reterr, "it ends within its XML");
	r = read_texts(&c, &h, &info, reterr);
	if (r < 0)
		return r;
	info.complete = h.complete;
	info.was_running = h.was_running != 0;
	info.compression = h.compression;
	info.data_len = h.data_len;
	info.stream_offset = IMAGE_HEADER_SIZE + (uint64_t)h.data_len;
	*ret_info = info;
	info = (struct image_info){0};
	return 0;
}

/* Reads as much of the file as its head can be. */
static int read_head(int fd, const char *path, char **ret_head, size_t *ret_len, struct err *reterr)
{
	_cleanup_free_ char *head = xcalloc(IMAGE_HEADER_SIZE, 1);
	struct header h;
	struct cursor c;
	ssize_t n = pread_all(fd, head, IMAGE_HEADER_SIZE, 0);
	int r;

	if (n < 0)
		return err_file(reterr, (int)n, path, "cannot read save image '%s'", path);
	cursor_init(&c, head, (size_t)n);
	r = read_header(&c, &h, reterr);
	if (r < 0)
		return r;
	if (!h.complete)
		return err_set(reterr, ERR_BAD_DATA, -ENODATA, "it is not complete: its writing was interrupted");
	head = xreallocarray(head, IMAGE_HEADER_SIZE + (size_t)h.data_len, 1);
	n = pread_all(fd, head, IMAGE_HEADER_SIZE + (size_t)h.data_len, 0);
	if (n < 0)
		return err_file(reterr, (int)n, path, "cannot read save image '%s'", path);
	*ret_head = TAKE_PTR(head);
	*ret_len = (size_t)n;
	return 0;
}

/* QEMU's stream has to begin right after the head; a compressed one cannot be
 * told but must be there. */
static int check_stream(int fd, const char *path, const struct image_info *info, struct err *reterr)
{
	char magic[STREAM_MAGIC_LEN];
	ssize_t n = pread_all(fd, magic, sizeof(magic), (off_t)info->stream_offset);

	if (n < 0)
		return err_file(reterr, (int)n, path, "cannot read save image '%s'", path);
	if (n < STREAM_MAGIC_LEN || (info->compression == 0 && memcmp(magic, STREAM_MAGIC, STREAM_MAGIC_LEN) != 0))
		return bad(reterr, "no QEMU stream follows its XML");
	return 0;
}

int image_read_fd(int fd, const char *path, struct image_info *ret_info, struct err *reterr)
{
	_cleanup_(image_info_done) struct image_info info = {0};
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *head = NULL;
	size_t len = 0;
	int r = read_head(fd, path, &head, &len, &err);

	if (r >= 0)
		r = image_parse(head, len, &info, &err);
	if (r >= 0)
		r = check_stream(fd, path, &info, &err);
	if (r < 0) {
		if (err.kind == ERR_BAD_DATA)
			err_prefix(&err, "save image '%s'", path);
		err_set_file(&err, path);
		return err_move(reterr, &err);
	}
	*ret_info = info;
	info = (struct image_info){0};
	return 0;
}

int image_read(const char *path, struct image_info *ret_info, struct err *reterr)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_file(reterr, -errno, path, "cannot open save image '%s'", path);
	return image_read_fd(fd, path, ret_info, reterr);
}

void image_info_done(struct image_info *info)
{
	free(info->xml);
	free(info->cookie);
	*info = (struct image_info){0};
}
