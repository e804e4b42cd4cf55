/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input is an intent record, or (if its last line is no checksum) the lines
 * of one, which get their checksum here. A record has exactly one text: what is
 * accepted must come out as it went in. */
#include <inttypes.h>
#include <stdint.h>
#include <string.h>
#include <xxhash.h>

#include "common/alloc.h"
#include "layout/intent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, size_t len)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_intent_ struct intent *in = NULL;
	_cleanup_free_ char *back = NULL;
	size_t back_len;

	if (intent_parse(text, len, "fuzz.op", &in, &err) < 0) {
		if (err.kind != ERR_BAD_DATA || in)
			abort();
		return;
	}
	back = intent_format(in, &back_len);
	if (back_len != len || memcmp(back, text, len) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char magic[] = "vmsnap-intent 1\n";
	size_t head = sizeof(magic) - 1, len = head + size;
	_cleanup_free_ char *text = xcalloc(len + 32, 1);

	check((const char *)data, size);
	memcpy(text, magic, head);
	memcpy(text + head, data, size);
	len += (size_t)snprintf(text + len, 32, "end %016" PRIx64 "\n", (uint64_t)XXH3_64bits(text, len));
	check(text, len);
	return 0;
}
