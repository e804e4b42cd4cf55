/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input is a save state and, maybe, its parent: for each the length of its
 * `.vsv` and of its pages (32 bits, little-endian each), then those. The pages
 * come to their places in .bin. What verifies must join, fold, pack and compare. */
#include <stdint.h>
#include <stdlib.h>

#include "common/cursor.h"
#include "savestate/chain.h"
#include "savestate/packed.h"
#include "tests/fuzz/savestate-util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Puts the pages where the page states say. Returns 0, or -1 if there are too many. */
static int put_pages(const struct vsv *v, const char *bin, const uint8_t *data, size_t len)
{
	const struct vsv_info *info = vsv_info(v);
	_cleanup_close_ int fd = open(bin, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (vsv_pages(info) > FUZZ_MAX_PAGES || info->bin_size > (1 << 30))
		return -1;
	for (uint32_t i = 0; i < info->n_blocks; i++) {
		for (uint64_t page = 0; page < info->blocks[i].pages; page++) {
			size_t n = len < VSV_PAGE ? len : VSV_PAGE;
			uint8_t state;

			vsv_states(v, info->blocks[i].first + page, 1, &state);
			if (state != PAGE_DATA)
				continue;
			if (pwrite(fd, data, n, (off_t)(info->blocks[i].offset + page * VSV_PAGE)) != (ssize_t)n)
				abort();
			data += n;
			len -= n;
		}
	}
	if (ftruncate(fd, (off_t)info->bin_size) < 0)
		abort();
	return 0;
}

/* Reads a save state from the input. Returns 0, or -1 if there is none. */
static int take_state(struct cursor *c, const struct save_files *files)
{
	uint32_t vsv_len = cursor_le32(c), bin_len = cursor_le32(c);
	const uint8_t *vsv = cursor_bytes(c, vsv_len), *bin = cursor_bytes(c, bin_len);
	_cleanup_free_ uint8_t *copy = NULL;
	_cleanup_vsv_ struct vsv *v = NULL;

	if (cursor_failed(c) || vsv_len == 0)
		return -1;
	copy = xreallocarray(NULL, vsv_len, 1);
	memcpy(copy, vsv, vsv_len);
	fuzz_resum(copy, vsv_len);
	fuzz_write(files->vsv, copy, vsv_len);
	if (vsv_open(files->vsv, &v, NULL) < 0)
		return -1;
	return put_pages(v, files->bin, bin, bin_len);
}

static void use(const struct save_files *files, size_t n)
{
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	_cleanup_free_ char *flat = fuzz_path("flat");
	_cleanup_close_ int fd = open(flat, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct join_opts opts = { .head = JOIN_RESUME };
	int sound = join_verify(files, n, NULL, NULL, NULL), r = join_stream(files, n, &opts, null, NULL);
	struct join_diff diff;

	if (sound >= 0 && (r < 0 || join_compare(files, n, files, n, &diff, NULL) < 0 || diff.changed != 0))
		abort();
	r = join_extract(files, n, fd, flat, NULL, NULL, NULL);
	if (sound >= 0 && r < 0 && r != -ENOTSUP)
		abort();
	for (size_t i = 0; i < n; i++) {
		r = join_pack(&files[i], NULL, NULL, NULL);
		if (sound >= 0 && i == 0 && r < 0 && r != -ENOTSUP)
			abort();
	}
	if (sound >= 0 && join_verify(files, n, NULL, NULL, NULL) < 0)
		abort();
	if (n == 2) {
		r = join_fold(files, n, &files[0], NULL, NULL, NULL);
		if (sound >= 0 && (r < 0 || join_verify(files, 1, NULL, NULL, NULL) < 0))
			abort();
	}
	fuzz_remove(flat);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *vsv = fuzz_path("c.vsv"), *bin = fuzz_path("c.bin");
	_cleanup_free_ char *parent_vsv = fuzz_path("p.vsv"), *parent_bin = fuzz_path("p.bin");
	const struct save_files files[] = { { vsv, bin }, { parent_vsv, parent_bin } };
	struct cursor c;

	cursor_init(&c, data, size);
	if (take_state(&c, &files[0]) == 0)
		use(files, cursor_left(&c) > 0 && take_state(&c, &files[1]) == 0 ? 2 : 1);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *packed = packed_name(files[i].bin);

		fuzz_remove(files[i].vsv);
		fuzz_remove(files[i].bin);
		fuzz_remove(packed);
	}
	return 0;
}
