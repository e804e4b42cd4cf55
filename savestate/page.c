/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages and their sums. */
#include <string.h>

#include "common/alloc.h"
#include "savestate/vsv-internal.h"

#define SUM_BUFFER 65536
#define SUM_ENTRY 17 /* state and hash */

uint64_t vsv_pages(const struct vsv_info *info)
{
	const struct vsv_block *last;

	if (info->n_blocks == 0)
		return 0;
	last = &info->blocks[info->n_blocks - 1];
	return last->first + last->pages;
}

int page_is_zero(const uint8_t *p)
{
	/* the first bytes tell most pages apart; then each byte equals the one 16 before it */
	static const uint8_t zeros[16];

	return memcmp(p, zeros, sizeof(zeros)) == 0 && memcmp(p, p + sizeof(zeros), VSV_PAGE - sizeof(zeros)) == 0;
}

struct page_hash page_hash(const uint8_t *p)
{
	XXH128_hash_t hash = XXH3_128bits(p, VSV_PAGE);

	return (struct page_hash){ .low = hash.low64, .high = hash.high64 };
}

void vsv_blocks_free(struct vsv_block *blocks, uint32_t n)
{
	for (uint32_t i = 0; blocks && i < n; i++)
		free(blocks[i].name);
	free(blocks);
}

XXH3_state_t *sum_new(void)
{
	XXH3_state_t *sum = XXH3_createState();

	if (!sum)
		abort();
	XXH3_64bits_reset(sum);
	return sum;
}

XXH3_state_t *sum_free(XXH3_state_t *sum)
{
	if (sum)
		XXH3_freeState(sum);
	return NULL;
}

struct ram_sum {
	XXH3_state_t *state;
	size_t len;
	uint8_t buf[SUM_BUFFER];
};

static void add_bytes(struct ram_sum *sum, const void *data, size_t len)
{
	if (sum->len + len > sizeof(sum->buf)) {
		XXH3_64bits_update(sum->state, sum->buf, sum->len);
		sum->len = 0;
	}
	memcpy(sum->buf + sum->len, data, len);
	sum->len += len;
}

struct ram_sum *ram_sum_new(const struct vsv_info *info)
{
	struct ram_sum *sum = xcalloc(1, sizeof(*sum));

	sum->state = sum_new();
	for (uint32_t i = 0; i < info->n_blocks; i++) {
		const struct vsv_block *block = &info->blocks[i];
		uint8_t pages[8];

		put_le64(pages, block->pages);
		add_bytes(sum, block->name, strlen(block->name) + 1);
		add_bytes(sum, pages, sizeof(pages));
	}
	return sum;
}

void ram_sum_add(struct ram_sum *sum, enum page_state state, const struct page_hash *hash)
{
	uint8_t entry[SUM_ENTRY] = { (uint8_t)state };

	if (hash)
		put_le64(put_le64(entry + 1, hash->low), hash->high);
	add_bytes(sum, entry, hash ? sizeof(entry) : 1);
}

uint64_t ram_sum_value(struct ram_sum *sum)
{
	XXH3_64bits_update(sum->state, sum->buf, sum->len);
	sum->len = 0;
	return XXH3_64bits_digest(sum->state);
}

struct ram_sum *ram_sum_free(struct ram_sum *sum)
{
	if (sum)
		sum_free(sum->state);
	free(sum);
	return NULL;
}
