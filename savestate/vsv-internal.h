/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What reader and writer of `.vsv` files share: the numbers of the format. */
#ifndef SAVESTATE_VSV_INTERNAL_H
#define SAVESTATE_VSV_INTERNAL_H

#include <xxhash.h>

#include "savestate/vsv.h"

#define VSV_MAGIC "vmsnap savestate"
#define VSV_END_MAGIC "end of savestate"
#define VSV_MAGIC_LEN 16
#define VSV_VERSION 1
#define VSV_START_SIZE 32   /* magic, version, features, reserved */
#define VSV_GUID_SIZE 40    /* text and zeros */
#define VSV_ENTRY_SIZE 32   /* of a part in the index */
#define VSV_INDEX_SIZE (160 + VSV_N_PARTS * VSV_ENTRY_SIZE)
#define VSV_TRAILER_SIZE 48 /* offset, size and sum of the index, sum of the file, magic */
#define VSV_SUMMED (VSV_TRAILER_SIZE - VSV_MAGIC_LEN - 8) /* bytes of the trailer in the sum of the file */

#define VSV_ALIGN (1ULL << 20) /* of a block in .bin */
#define VSV_MAX_BLOCK_TABLE (VSV_MAX_BLOCKS * (1 + VSV_MAX_NAME + 16))
#define VSV_MAX_HEAD (40 << 20)
#define VSV_MAX_PREFIX (1 << 20)
#define VSV_MAX_COMMANDS 4096
#define VSV_RUN_BITS 30 /* of a run's length */
#define VSV_MAX_RUN ((1U << VSV_RUN_BITS) - 1)

/* Little-endian numbers. */
static inline uint8_t *put_le32(uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> (8 * i));
	return p + 4;
}

static inline uint8_t *put_le64(uint8_t *p, uint64_t value)
{
	put_le32(p, (uint32_t)value);
	return put_le32(p + 4, (uint32_t)(value >> 32));
}

static inline uint64_t get_le64(const uint8_t *p)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value |= (uint64_t)p[i] << (8 * i);
	return value;
}

/* Big-endian numbers, as QEMU's stream has them. */
static inline uint8_t *put_be32(uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> (24 - 8 * i));
	return p + 4;
}

static inline uint8_t *put_be64(uint8_t *p, uint64_t value)
{
	put_be32(p, (uint32_t)(value >> 32));
	return put_be32(p + 4, (uint32_t)value);
}

/* State of a running 64-bit XXH3, reset. Returns it *owned*. */
XXH3_state_t *sum_new(void);

/* Frees it (*taken*, may be NULL). Returns NULL. */
XXH3_state_t *sum_free(XXH3_state_t *sum);
DEFINE_CLEANUP(XXH3_state_t, sum_free);
#define _cleanup_sum_ _cleanup_(sum_freep)

/* Reads exactly len bytes at an offset of the file. Returns 0 or negative errno
 * (ERR_BAD_DATA: not so many bytes). */
_must_check_ int vsv_read_raw(const struct vsv *v, uint64_t offset, void *buf, size_t len, struct err *reterr);

/* Pages of all blocks together. */
uint64_t vsv_pages(const struct vsv_info *info);

/* 1 if the page at p (VSV_PAGE bytes, *borrowed*) holds zeros only. */
int page_is_zero(const uint8_t *p);

/* Hash of the page at p (VSV_PAGE bytes, *borrowed*). */
struct page_hash page_hash(const uint8_t *p);

/* 1 if both are the same. */
static inline int page_hash_eq(const struct page_hash *a, const struct page_hash *b)
{
	return a->low == b->low && a->high == b->high;
}

/* Frees a table of n blocks (*taken*, may be NULL). Returns nothing. */
void vsv_blocks_free(struct vsv_block *blocks, uint32_t n);

/* Sum of the memory as the guest sees it, whatever files its pages are in: starts
 * with the table of blocks, then takes each page in order. */
struct ram_sum;

/* Starts one for the blocks (*borrowed*). Returns it *owned*. */
struct ram_sum *ram_sum_new(const struct vsv_info *info);

/* Adds the next page: absent, zero, or data with its hash (else NULL). */
void ram_sum_add(struct ram_sum *sum, enum page_state state, const struct page_hash *hash);

/* The sum of all that was added. */
uint64_t ram_sum_value(struct ram_sum *sum);

/* Frees it (*taken*, may be NULL). Returns NULL. */
struct ram_sum *ram_sum_free(struct ram_sum *sum);
DEFINE_CLEANUP(struct ram_sum, ram_sum_free);

#endif
