/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Typed leaves: text to value and back. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cursor.h"
#include "xmlcfg/leaf.h"
#include "xmlcfg/xml.h"

#define BASE64_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
#define FILETIME_LEN 8
#define FILETIME_TEXT 12		     /* characters of base64 */
#define FILETIME_EPOCH 116444736000000000ull /* 1970 in 100 ns since 1601 */

static int sorts_after(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) > 0;
}

xmlNodePtr leaf_add_container(xmlNodePtr parent, const char *name)
{
	xmlNodePtr node = xmlNewDocRawNode(parent->doc, NULL, BAD_CAST name, NULL), before;

	for (before = parent->children; before; before = before->next)
		if (sorts_after(before, name))
			break;
	if (!node || !(before ? xmlAddPrevSibling(before, node) : xmlAddChild(parent, node)))
		abort();
	return node;
}

xmlNodePtr leaf_container(xmlNodePtr parent, const char *name)
{
	xmlNodePtr node = xml_child(parent, name);

	return node ? node : leaf_add_container(parent, name);
}

static void set(xmlNodePtr parent, const char *name, const char *type, const char *value)
{
	xmlNodePtr leaf = leaf_container(parent, name);

	xml_set_attr(leaf, "type", type);
	xml_set_text(leaf, value);
}

void leaf_set_string(xmlNodePtr parent, const char *name, const char *value)
{
	if (value)
		set(parent, name, "string", value);
	else
		xml_remove_children(parent, name);
}

void leaf_set_integer(xmlNodePtr parent, const char *name, int64_t value)
{
	_cleanup_free_ char *text = xasprintf("%" PRId64, value);

	set(parent, name, "integer", text);
}

void leaf_set_sum(xmlNodePtr parent, const char *name, uint64_t value)
{
	_cleanup_free_ char *text = xasprintf("%016" PRIx64, value);

	set(parent, name, "string", text);
}

static void base64_encode(const uint8_t *bytes, size_t len, char *text)
{
	uint32_t group;
	size_t i, k, have;

	for (i = 0; i < len; i += 3) {
		have = len - i < 3 ? len - i : 3;
		group = 0;
		for (k = 0; k < 3; k++)
			group = group << 8 | (k < have ? bytes[i + k] : 0);
		for (k = 0; k < 4; k++)
			*text++ = k <= have ? BASE64_DIGITS[group >> (18 - 6 * k) & 63] : '=';
	}
	*text = '\0';
}

/* Blanks in between are fine: Hyper-V puts a line end behind the digits. */
static int base64_decode(const char *text, uint8_t *bytes, size_t len)
{
	uint32_t group = 0, bits = 0;
	size_t n = 0;
	const char *digit;

	for (; *text && *text != '='; text++) {
		if (strchr(" \t\r\n", *text))
			continue;
		digit = strchr(BASE64_DIGITS, *text);
		if (!digit)
			return -EINVAL;
		group = group << 6 | (uint32_t)(digit - BASE64_DIGITS);
		bits += 6;
		if (bits < 8)
			continue;
		if (n == len)
			return -EINVAL;
		bits -= 8;
		bytes[n++] = (uint8_t)(group >> bits);
		group &= (1u << bits) - 1;
	}
	return n == len && text[strspn(text, "= \t\r\n")] == '\0' ? 0 : -EINVAL;
}

void leaf_set_time(xmlNodePtr parent, const char *name, int64_t usec)
{
	uint64_t filetime = FILETIME_EPOCH + (uint64_t)usec * 10;
	uint8_t bytes[FILETIME_LEN];
	char text[FILETIME_TEXT + 1];
	int64_t have;
	size_t i;

	/* The file may be finer than we are: what did not change is left as it is. */
	if (leaf_time(parent, name, &have) == 0 && have == usec)
		return;
	for (i = 0; i < FILETIME_LEN; i++)
		bytes[i] = (uint8_t)(filetime >> (8 * i));
	base64_encode(bytes, sizeof(bytes), text);
	set(parent, name, "bytes", text);
}

char *leaf_string(const xmlNode *parent, const char *name)
{
	return xml_text(xml_child(parent, name));
}

int leaf_integer(const xmlNode *parent, const char *name, int64_t *ret_value)
{
	const xmlNode *leaf = xml_child(parent, name);
	_cleanup_free_ char *text = NULL;
	char *end;
	long long value;

	if (!leaf)
		return -ENOENT;
	text = xml_text_trimmed(leaf);
	if (!text)
		return -EINVAL;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || *end)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

int leaf_sum(const xmlNode *parent, const char *name, uint64_t *ret_value)
{
	_cleanup_free_ char *text = leaf_string(parent, name);

	if (!text)
		return -ENOENT;
	if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
		return -EINVAL;
	*ret_value = strtoull(text, NULL, 16);
	return 0;
}

int leaf_time(const xmlNode *parent, const char *name, int64_t *ret_usec)
{
	_cleanup_free_ char *text = leaf_string(parent, name);
	uint8_t bytes[FILETIME_LEN];
	struct cursor cur;
	uint64_t filetime;
	int r;

	if (!text)
		return -ENOENT;
	r = base64_decode(text, bytes, sizeof(bytes));
	if (r < 0)
		return r;
	cursor_init(&cur, bytes, sizeof(bytes));
	filetime = cursor_le64(&cur);
	if (filetime < FILETIME_EPOCH || filetime > INT64_MAX)
		return -EINVAL;
	*ret_usec = (int64_t)((filetime - FILETIME_EPOCH) / 10);
	return 0;
}
