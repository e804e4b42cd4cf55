/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input is a `.vsv` file; it is read as it is, and with right checksums. */
#include <stdint.h>
#include <stdlib.h>

#include "tests/fuzz/savestate-util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Looks at each window of pages, and counts. */
static void read_pages(const struct vsv *v)
{
	const struct vsv_info *info = vsv_info(v);
	uint64_t pages = vsv_pages(info), count[PAGE_N_STATES] = { 0 };

	if (pages > FUZZ_MAX_PAGES)
		return;
	for (uint64_t page = 0; page < pages; page += 100) {
		struct page_hash hashes[100];
		uint8_t states[100];
		size_t n = pages - page < 100 ? (size_t)(pages - page) : 100, n_data = 0;

		if (vsv_states(v, page, n, states) != count[PAGE_DATA])
			abort();
		for (size_t i = 0; i < n; i++)
			count[states[i]]++;
		for (size_t i = 0; i < n; i++)
			n_data += states[i] == PAGE_DATA;
		if (vsv_hashes(v, count[PAGE_DATA] - n_data, n_data, hashes, NULL) < 0)
			abort();
	}
	if (memcmp(count, info->pages, sizeof(count)) != 0)
		abort();
}

static void read_it(const char *path)
{
	_cleanup_vsv_ struct vsv *v = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *xml = NULL;
	int r = vsv_is_ours(path, NULL);

	if (vsv_open(path, &v, &err) < 0) {
		if (err.kind != ERR_BAD_DATA || !err.file)
			abort();
		return;
	}
	if (r != 1)
		abort();
	for (int part = 0; part < VSV_N_PARTS; part++) {
		_cleanup_free_ char *bytes = NULL;
		size_t len;

		r = vsv_read_part(v, (enum vsv_part)part, 1 << 20, &bytes, &len, NULL);
		if (r >= 0 && len != vsv_info(v)->part[part].size)
			abort();
		if (r != -EFBIG && r != vsv_check_part(v, (enum vsv_part)part, NULL))
			abort();
	}
	ignore_result(vsv_check(v, NULL));
	ignore_result(vsv_xml(v, &xml, NULL));
	read_pages(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *path = fuzz_path("x.vsv");
	_cleanup_free_ uint8_t *copy = xreallocarray(NULL, size, 1);

	fuzz_write(path, data, size);
	read_it(path);
	if (size > 0)
		memcpy(copy, data, size);
	fuzz_resum(copy, size);
	fuzz_write(path, copy, size);
	read_it(path);
	fuzz_remove(path);
	return 0;
}
