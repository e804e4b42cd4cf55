/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input is a byte that says how, and a stream or a save image. What can be
 * split must verify and join, and the joined stream must split to the same. */
#include <stdint.h>
#include <stdlib.h>

#include "savestate/split.h"
#include "tests/fuzz/savestate-util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_RAM (FUZZ_MAX_PAGES * VSV_PAGE)

/* A save state's files in our directory. */
struct names {
	char *vsv, *bin;
};

static struct names names_of(const char *name)
{
	_cleanup_free_ char *vsv = xasprintf("%s.vsv", name), *bin = xasprintf("%s.bin", name);

	return (struct names){ fuzz_path(vsv), fuzz_path(bin) };
}

static void names_done(struct names *names)
{
	fuzz_remove(names->vsv);
	fuzz_remove(names->bin);
	free(names->vsv);
	free(names->bin);
}

static int split_it(const struct names *names, const uint8_t *data, size_t size, int bare, size_t chunk)
{
	struct split_opts opts = {
		.vsv = names->vsv,
		.bin = names->bin,
		.guid = { "11111111-2222-3333-4444-555555555555" },
		.xml = bare ? "<domain/>" : NULL,
		.max_ram = MAX_RAM,
	};
	_cleanup_split_ struct split *s = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	struct split_result result;
	int r = split_new(&opts, &s, &err);

	for (size_t at = 0; r >= 0 && at < size; at += chunk < size ? chunk : size)
		r = split_feed(s, data + at, size - at < chunk ? size - at : chunk, &err);
	if (r >= 0)
		r = split_finish(s, &result, &err);
	if (r >= 0)
		split_result_done(&result);
	if (r < 0 && err.kind != ERR_BAD_DATA && err.kind != ERR_REFUSED && err.kind != ERR_LIMIT)
		abort();
	return r;
}

static char *join_it(const struct names *names, size_t *ret_len)
{
	_cleanup_free_ char *path = fuzz_path("joined");
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct save_files files = { names->vsv, names->bin };
	struct join_opts opts = { .head = JOIN_NONE };
	char *data;

	if (join_verify(&files, 1, NULL, NULL, NULL) < 0 || join_stream(&files, 1, &opts, fd, NULL) < 0)
		abort();
	if (file_read(path, 64 << 20, &data, ret_len, NULL) < 0)
		abort();
	fuzz_remove(path);
	return data;
}

static struct vsv *open_it(const struct names *names)
{
	struct vsv *v;

	if (vsv_open(names->vsv, &v, NULL) < 0)
		abort();
	return v;
}

static void compare(const struct names *first, const struct names *second)
{
	_cleanup_vsv_ struct vsv *v1 = open_it(first), *v2 = open_it(second);
	const struct vsv_info *a = vsv_info(v1), *b = vsv_info(v2);

	for (int part = VSV_PREFIX; part < VSV_N_PARTS; part++) {
		if (a->part[part].size != b->part[part].size || a->part[part].sum != b->part[part].sum)
			abort();
	}
	if (a->flags != b->flags || a->ram_sum != b->ram_sum || a->bin_size != b->bin_size ||
	    a->last_block != b->last_block || memcmp(a->pages, b->pages, sizeof(a->pages)) != 0)
		abort();
}

static int is_compressed(const uint8_t *image, size_t size)
{
	_cleanup_(image_info_done) struct image_info info = { 0 };

	return image_parse(image, size, &info, NULL) >= 0 && info.compression != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t chunks[] = { SIZE_MAX, 1, 7, 93, 1000, 4096, 4105, 65536 };
	_cleanup_(names_done) struct names one = names_of("one"), two = names_of("two");
	_cleanup_free_ char *joined = NULL;
	size_t len;

	if (size < 1 || split_it(&one, data + 1, size - 1, data[0] & 1, chunks[data[0] >> 1 & 7]) < 0)
		return 0;
	joined = join_it(&one, &len);
	if (!(data[0] & 1) && is_compressed(data + 1, size - 1))
		return 0; /* any bytes will do there */
	if (split_it(&two, (const uint8_t *)joined, len, 1, SIZE_MAX) < 0)
		abort();
	compare(&one, &two);
	return 0;
}
