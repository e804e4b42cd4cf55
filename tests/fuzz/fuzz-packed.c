/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input is a packed memory file; it is read as it is, and with right checksums. */
#include <stdint.h>
#include <stdlib.h>

#include "savestate/packed-internal.h"
#include "tests/fuzz/savestate-util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The save state that it says it is of. */
static struct vsv_info info_of(const uint8_t *data, size_t size)
{
	struct vsv_info info = { .guid = { "11111111-2222-3333-4444-555555555555" } };

	if (size >= PACKED_START_SIZE + PACKED_TRAILER_SIZE) {
		char text[GUID_LEN + 1] = { 0 };

		memcpy(text, data + 32, GUID_LEN);
		if (guid_parse(text, &info.guid) < 0)
			info.guid = (struct guid){ "11111111-2222-3333-4444-555555555555" };
		info.pages[PAGE_DATA] = get_le64(data + size - PACKED_TRAILER_SIZE + 8);
	}
	return info;
}

static void read_it(const char *path, const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *buf = xreallocarray(NULL, 100, VSV_PAGE);
	struct vsv_info info = info_of(data, size);
	_cleanup_packed_ struct packed *packed = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	uint64_t pages = info.pages[PAGE_DATA];

	if (packed_open(path, &info, &packed, &err) < 0) {
		if (err.kind != ERR_BAD_DATA || !err.file)
			abort();
		return;
	}
	ignore_result(packed_check(packed, NULL));
	for (uint64_t page = 0; page < pages && page < FUZZ_MAX_PAGES; page += 37) {
		size_t n = pages - page < 100 ? (size_t)(pages - page) : 100;
		_cleanup_err_ struct err bad = ERR_INIT;

		if (packed_read(packed, page, n, buf, &bad) < 0 && (bad.kind != ERR_BAD_DATA || !bad.file))
			abort();
	}
	if (packed_read(packed, pages, 1, buf, NULL) >= 0)
		abort();
}

static void resum(uint8_t *data, size_t size)
{
	uint8_t *trailer;
	uint64_t index_at;

	if (size < PACKED_START_SIZE + PACKED_TRAILER_SIZE)
		return;
	trailer = data + size - PACKED_TRAILER_SIZE;
	index_at = get_le64(trailer);
	if (index_at <= size - PACKED_TRAILER_SIZE)
		put_le64(trailer + 24, XXH3_64bits(data + index_at, size - PACKED_TRAILER_SIZE - (size_t)index_at));
	put_le64(trailer + 32, XXH3_64bits(data, size - PACKED_TRAILER_SIZE + PACKED_SUMMED));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *path = fuzz_path("x.binz");
	_cleanup_free_ uint8_t *copy = xreallocarray(NULL, size, 1);

	fuzz_write(path, data, size);
	read_it(path, data, size);
	if (size > 0)
		memcpy(copy, data, size);
	resum(copy, size);
	fuzz_write(path, copy, size);
	read_it(path, copy, size);
	fuzz_remove(path);
	return 0;
}
