/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The result that vmsnap-capture leaves, and the lock that tells whether it runs. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "common/alloc.h"
#include "common/cursor.h"
#include "common/fileio.h"
#include "savestate/capture.h"
#include "savestate/vsv-internal.h"

#define MAGIC "VSCAPRES"
#define VERSION_1 1
#define MAX_TEXT 3000 /* bytes of one text; four of them fit */

enum { MAGIC_LEN = 8, FIXED_SIZE = MAGIC_LEN + 6 * 4 + (1 + PAGE_N_STATES + 3) * 8 + 2 * GUID_LEN, N_TEXTS = 4 };

void capture_result_done(struct capture_result *result)
{
	split_result_done(&result->split);
	err_done(&result->err);
	*result = (struct capture_result){ 0 };
}

/* ---- writing */

static uint8_t *put_guid(uint8_t *p, const struct guid *guid)
{
	memcpy(p, guid->s, GUID_LEN); /* the rest of an empty one is NULs */
	return p + GUID_LEN;
}

static uint8_t *put_text(uint8_t *p, const char *text)
{
	size_t len = text ? strnlen(text, MAX_TEXT) : 0;

	p[0] = (uint8_t)len;
	p[1] = (uint8_t)(len >> 8);
	if (len)
		memcpy(p + 2, text, len);
	return p + 2 + len;
}

int capture_result_write(const char *dir, const struct capture_result *result, struct err *reterr)
{
	_cleanup_free_ char *path = path_join(dir, CAPTURE_RESULT);
	const char *const texts[N_TEXTS] = { result->split.why, result->err.message, result->err.hint,
					     result->err.file };
	const struct split_result *split = &result->split;
	uint8_t buf[CAPTURE_RESULT_MAX] = MAGIC, *p = buf + MAGIC_LEN;

	p = put_le32(p, VERSION_1);
	p = put_le32(p, result->ended ? CAPTURE_F_ENDED : 0);
	p = put_le32(p, result->outcome);
	p = put_le32(p, split->form);
	p = put_le32(p, (uint32_t)result->err.code);
	p = put_le32(p, result->err.kind);
	p = put_le64(p, split->stream_bytes);
	for (int i = 0; i < PAGE_N_STATES; i++)
		p = put_le64(p, split->pages[i]);
	p = put_le64(p, split->bin_size);
	p = put_le64(p, split->vsv_size);
	p = put_le64(p, split->vsv_sum);
	p = put_guid(p, &result->guid);
	p = put_guid(p, &split->parent);
	for (int i = 0; i < N_TEXTS; i++)
		p = put_text(p, texts[i]);
	return file_replace(path, buf, (size_t)(p - buf), 0600, reterr);
}

/* ---- reading */

static void take_guid(struct cursor *c, int may_be_none, struct guid *ret_guid)
{
	static const char none[GUID_LEN];
	char text[GUID_LEN + 1] = "";

	cursor_copy(c, text, GUID_LEN);
	if (cursor_failed(c))
		return;
	if (may_be_none && memcmp(text, none, GUID_LEN) == 0)
		*ret_guid = (struct guid){ "" };
	else if (guid_parse(text, ret_guid) < 0)
		cursor_fail(c);
}

/* *owned*, NULL if it is empty. */
static char *take_text(struct cursor *c)
{
	size_t len = cursor_le16(c);
	const char *bytes = len <= MAX_TEXT ? cursor_bytes(c, len) : NULL;

	if (!bytes || memchr(bytes, '\0', len)) {
		cursor_fail(c);
		return NULL;
	}
	return len ? xstrndup(bytes, len) : NULL;
}

static void take_numbers(struct cursor *c, struct capture_result *result)
{
	struct split_result *split = &result->split;
	uint32_t flags = cursor_le32(c), outcome = cursor_le32(c), form = cursor_le32(c), kind;

	result->ended = (flags & CAPTURE_F_ENDED) != 0;
	result->err.code = (int)cursor_le32(c);
	kind = cursor_le32(c);
	split->stream_bytes = cursor_le64(c);
	for (int i = 0; i < PAGE_N_STATES; i++)
		split->pages[i] = cursor_le64(c);
	split->bin_size = cursor_le64(c);
	split->vsv_size = cursor_le64(c);
	split->vsv_sum = cursor_le64(c);
	if (flags & ~(uint32_t)CAPTURE_F_ALL || outcome >= CAPTURE_N_OUTCOMES || form > SPLIT_NOTHING ||
	    kind > ERR_PERMISSION || (outcome == CAPTURE_FAILED) != (kind != ERR_NONE) ||
	    (outcome == CAPTURE_FAILED) != (result->err.code < 0))
		cursor_fail(c);
	if (cursor_failed(c))
		return;
	result->outcome = (enum capture_outcome)outcome;
	split->form = (enum split_form)form;
	result->err.kind = (enum err_kind)kind;
}

static void take_texts(struct cursor *c, struct capture_result *result)
{
	result->split.why = take_text(c);
	result->err.message = take_text(c);
	result->err.hint = take_text(c);
	result->err.file = take_text(c);
	if (cursor_left(c) > 0 || (result->err.kind != ERR_NONE) != (result->err.message != NULL))
		cursor_fail(c);
}

int capture_result_decode(const void *data, size_t len, struct capture_result *ret_result, struct err *reterr)
{
	_cleanup_(capture_result_done) struct capture_result result = { 0 };
	const void *magic;
	struct cursor c;

	cursor_init(&c, data, len);
	magic = cursor_bytes(&c, MAGIC_LEN);
	if (len < FIXED_SIZE + N_TEXTS * 2 || len > CAPTURE_RESULT_MAX || !magic ||
	    memcmp(magic, MAGIC, MAGIC_LEN) != 0)
		return err_set(reterr, ERR_BAD_DATA, -EBADMSG, "the result of a capture is not one");
	if (cursor_le32(&c) != VERSION_1)
		return err_set(reterr, ERR_BAD_DATA, -EBADMSG, "the result of a capture is of an unknown version");
	take_numbers(&c, &result);
	take_guid(&c, 0, &result.guid);
	take_guid(&c, 1, &result.split.parent);
	take_texts(&c, &result);
	if (cursor_failed(&c))
		return err_set(reterr, ERR_BAD_DATA, -EBADMSG, "the result of a capture makes no sense");
	*ret_result = result;
	result = (struct capture_result){ 0 };
	return 0;
}

int capture_result_read(const char *dir, struct capture_result *ret_result, struct err *reterr)
{
	_cleanup_free_ char *path = path_join(dir, CAPTURE_RESULT), *data = NULL;
	size_t len;
	int r = file_read(path, CAPTURE_RESULT_MAX, &data, &len, reterr);

	if (!r)
		r = capture_result_decode(data, len, ret_result, reterr);
	if (r < 0)
		err_set_file(reterr, path);
	return r;
}

/* ---- the lock */

int capture_lock(const char *dir, int *ret_fd, struct err *reterr)
{
	_cleanup_free_ char *path = path_join(dir, CAPTURE_LOCK);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return err_file(reterr, -errno, path, "cannot make '%s'", path);
	r = fd_lock(fd);
	if (r == -EBUSY)
		return err_full(reterr, ERR_BUSY, r, NULL, path, "Wait until it has written what it holds",
				"a vmsnap-capture still works in '%s'", dir);
	if (r < 0)
		return err_file(reterr, r, path, "cannot lock '%s'", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int capture_is_running(const char *dir)
{
	_cleanup_free_ char *path = path_join(dir, CAPTURE_LOCK);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? 1 : -errno;
}
