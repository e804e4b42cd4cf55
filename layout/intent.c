/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The intent record: an ordered list of keys and values, and its text. */
#include "layout/intent.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "common/alloc.h"
#include "common/fileio.h"

#define INTENT_MAGIC "vmsnap-intent 1\n"
#define KEY_CHARS "abcdefghijklmnopqrstuvwxyz0123456789-."
#define KEY_MAX_BYTES 255
#define SUM_LINE_LEN 21 /* "end " + 16 digits + newline */

struct entry {
	char *key, *value;
};

struct intent {
	char *operation;
	struct entry *entry; /* in the order they were set */
	size_t n;
};

static int key_valid(const char *key)
{
	size_t n = strspn(key, KEY_CHARS);

	return n > 0 && n <= KEY_MAX_BYTES && !key[n] && strcmp(key, "operation") != 0 && strcmp(key, "end") != 0;
}

static int operation_valid(const char *operation)
{
	size_t n = strspn(operation, KEY_CHARS);

	return n > 0 && n <= KEY_MAX_BYTES && !operation[n];
}

struct intent *intent_new(const char *operation)
{
	struct intent *in = xcalloc(1, sizeof(*in));

	assert(operation_valid(operation));
	in->operation = xstrdup(operation);
	return in;
}

void intent_free(struct intent *in)
{
	if (!in)
		return;
	for (size_t i = 0; i < in->n; i++) {
		free(in->entry[i].key);
		free(in->entry[i].value);
	}
	free(in->entry);
	free(in->operation);
	free(in);
}

const char *intent_operation(const struct intent *in)
{
	return in->operation;
}

static struct entry *find(const struct intent *in, const char *key)
{
	for (size_t i = 0; i < in->n; i++) {
		if (strcmp(in->entry[i].key, key) == 0)
			return &in->entry[i];
	}
	return NULL;
}

/* Takes value. */
static void put(struct intent *in, const char *key, char *value)
{
	struct entry *entry = find(in, key);

	if (!entry) {
		in->entry = xreallocarray(in->entry, in->n + 1, sizeof(*in->entry));
		entry = &in->entry[in->n++];
		*entry = (struct entry){.key = xstrdup(key)};
	}
	free(entry->value);
	entry->value = value;
}

void intent_set(struct intent *in, const char *key, const char *fmt, ...)
{
	va_list ap;

	assert(key_valid(key));
	va_start(ap, fmt);
	put(in, key, xvasprintf(fmt, ap));
	va_end(ap);
}

const char *intent_get(const struct intent *in, const char *key)
{
	struct entry *entry = find(in, key);

	return entry ? entry->value : NULL;
}

const char *intent_getf(const struct intent *in, const char *fmt, ...)
{
	_cleanup_free_ char *key = NULL;
	va_list ap;

	va_start(ap, fmt);
	key = xvasprintf(fmt, ap);
	va_end(ap);
	return intent_get(in, key);
}

/* Bytes that may not stand as themselves: they would break the lines. */
static int must_escape(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f || c == '%';
}

/* Writes value escaped to p, which has the room. Returns the end. */
static char *put_escaped(char *p, const char *value)
{
	for (; *value; value++) {
		if (must_escape(*value))
			p += sprintf(p, "%%%02X", (unsigned char)*value);
		else
			*p++ = *value;
	}
	return p;
}

/* Length of value when it is escaped. */
static size_t escaped_len(const char *value)
{
	size_t n = 0;

	for (; *value; value++)
		n += must_escape(*value) ? 3 : 1;
	return n;
}

static size_t text_len(const struct intent *in)
{
	size_t n = strlen(INTENT_MAGIC) + strlen("operation ") + strlen(in->operation) + 1 + SUM_LINE_LEN;

	for (size_t i = 0; i < in->n; i++)
		n += strlen(in->entry[i].key) + 1 + escaped_len(in->entry[i].value) + 1;
	return n;
}

char *intent_format(const struct intent *in, size_t *ret_len)
{
	size_t len = text_len(in);
	char *text = xcalloc(len + 1, 1), *p = text;

	p += sprintf(p, INTENT_MAGIC "operation %s\n", in->operation);
	for (size_t i = 0; i < in->n; i++) {
		p += sprintf(p, "%s ", in->entry[i].key);
		p = put_escaped(p, in->entry[i].value);
		*p++ = '\n';
	}
	sprintf(p, "end %016" PRIx64 "\n", (uint64_t)XXH3_64bits(text, (size_t)(p - text)));
	if (ret_len)
		*ret_len = len;
	return text;
}

static int bad_record(struct err *reterr, const char *file, const char *why)
{
	return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, file, NULL, "intent record '%s' is damaged: %s", file,
			why);
}

/* Checks size, magic and checksum: what stands around the lines. */
static int check_frame(const char *data, size_t len, const char *file, struct err *reterr)
{
	char sum[SUM_LINE_LEN + 1];
	size_t magic = strlen(INTENT_MAGIC), body_end;

	if (len > INTENT_MAX_BYTES)
		return bad_record(reterr, file, "it is too large");
	if (len < magic + SUM_LINE_LEN)
		return bad_record(reterr, file, "it is too short");
	if (memcmp(data, INTENT_MAGIC, magic) != 0)
		return bad_record(reterr, file, "it does not begin with \"vmsnap-intent 1\"");
	body_end = len - SUM_LINE_LEN;
	snprintf(sum, sizeof(sum), "end %016" PRIx64 "\n", (uint64_t)XXH3_64bits(data, body_end));
	if (memcmp(data + body_end, sum, SUM_LINE_LEN) != 0)
		return bad_record(reterr, file, "its checksum does not match");
	if (memchr(data, '\0', len))
		return bad_record(reterr, file, "it holds a zero byte");
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The value that text of len bytes stands for, *owned*, or NULL. */
static char *unescape(const char *text, size_t len)
{
	_cleanup_free_ char *out = xcalloc(len + 1, 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int high, low;

		if (text[i] != '%') {
			if (must_escape(text[i]))
				return NULL;
			out[n++] = text[i];
			continue;
		}
		if (len - i < 3)
			return NULL;
		high = hex_digit(text[i + 1]);
		low = hex_digit(text[i + 2]);
		if (high < 0 || low < 0 || !must_escape((char)(high * 16 + low)) || high + low == 0)
			return NULL; /* only what must be escaped is: one text per record */
		out[n++] = (char)(high * 16 + low);
		i += 2;
	}
	return TAKE_PTR(out);
}

static int parse_line(struct intent *in, const char *line, size_t len, const char *file, struct err *reterr)
{
	_cleanup_free_ char *key = NULL, *value = NULL;
	const char *space = memchr(line, ' ', len);

	if (!space)
		return bad_record(reterr, file, "a line has no value");
	key = xstrndup(line, (size_t)(space - line));
	value = unescape(space + 1, len - (size_t)(space + 1 - line));
	if (!value)
		return bad_record(reterr, file, "a value is not escaped as it must be");
	if (!in->operation) {
		if (strcmp(key, "operation") != 0 || !operation_valid(value))
			return bad_record(reterr, file, "it names no operation");
		in->operation = TAKE_PTR(value);
		return 0;
	}
	if (!key_valid(key) || find(in, key))
		return bad_record(reterr, file, "a key is not valid or stands there twice");
	if (in->n >= INTENT_MAX_KEYS)
		return bad_record(reterr, file, "it has too many keys");
	put(in, key, TAKE_PTR(value));
	return 0;
}

int intent_parse(const char *data, size_t len, const char *file, struct intent **ret_in, struct err *reterr)
{
	_cleanup_intent_ struct intent *in = xcalloc(1, sizeof(*in));
	const char *body = data + strlen(INTENT_MAGIC);
	size_t left;
	int r = check_frame(data, len, file, reterr);

	if (r < 0)
		return r;
	left = len - strlen(INTENT_MAGIC) - SUM_LINE_LEN;
	while (left > 0) {
		const char *end = memchr(body, '\n', left);
		size_t n = end ? (size_t)(end - body) : left;

		if (!end)
			return bad_record(reterr, file, "its last line has no end");
		r = parse_line(in, body, n, file, reterr);
		if (r < 0)
			return r;
		body += n + 1;
		left -= n + 1;
	}
	if (!in->operation)
		return bad_record(reterr, file, "it names no operation");
	*ret_in = TAKE_PTR(in);
	return 0;
}

int intent_write(const struct intent *in, const char *path, struct err *reterr)
{
	size_t len;
	_cleanup_free_ char *text = intent_format(in, &len);

	if (len > INTENT_MAX_BYTES || in->n > INTENT_MAX_KEYS)
		return err_full(reterr, ERR_LIMIT, -EFBIG, NULL, path, NULL,
				"cannot write intent record '%s': it would be too large (%zu bytes)", path, len);
	return file_replace(path, text, len, 0600, reterr);
}

int intent_read(const char *path, struct intent **ret_in, struct err *reterr)
{
	_cleanup_free_ char *data = NULL;
	size_t len;
	int r = file_read(path, INTENT_MAX_BYTES, &data, &len, reterr);

	if (r < 0)
		return r;
	return intent_parse(data, len, path, ret_in, reterr);
}
