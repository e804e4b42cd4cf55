/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A save state with its parents. */
#include "savestate/chain.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "savestate/vsv-internal.h"

struct level {
	struct vsv *vsv;
	int bin;               /* flat, or -1 */
	struct packed *packed; /* or NULL */
	char *bin_path;        /* of either */
	uint32_t *map; /* its number of each block that is counted in, or VSV_NO_BLOCK */
};

struct chain {
	size_t n;
	int open_end;
	struct level level[VSV_MAX_CHAIN];
};

struct chain *chain_free(struct chain *chain)
{
	for (size_t i = 0; chain && i < chain->n; i++) {
		struct level *level = &chain->level[i];

		vsv_free(level->vsv);
		cleanup_close(&level->bin);
		packed_free(level->packed);
		free(level->bin_path);
		free(level->map);
	}
	free(chain);
	return NULL;
}

const struct vsv *chain_vsv(const struct chain *chain, size_t level)
{
	return chain->level[level].vsv;
}

int chain_bin(const struct chain *chain, size_t level)
{
	return chain->level[level].bin;
}

struct packed *chain_packed(const struct chain *chain, size_t level)
{
	return chain->level[level].packed;
}

/* Where there is no flat file: the packed one. What is missing then is the flat one. */
static int open_packed(struct level *level, struct err *reterr)
{
	_cleanup_free_ char *path = packed_name(level->bin_path);
	_cleanup_err_ struct err err = ERR_INIT;
	int r = packed_open(path, vsv_info(level->vsv), &level->packed, &err);

	if (r == -ENOENT)
		return err_file(reterr, -ENOENT, level->bin_path, "cannot open memory file '%s'", level->bin_path);
	if (r < 0)
		return err_move(reterr, &err);
	free(level->bin_path);
	level->bin_path = TAKE_PTR(path);
	return 0;
}

/* Opens the .bin file and compares its size. */
static int open_bin(struct level *level, const char *path, struct err *reterr)
{
	const struct vsv_info *info = vsv_info(level->vsv);
	struct stat st;

	if (info->bin_size == 0)
		return 0;
	if (!path)
		return err_full(reterr, ERR_INVALID, -EINVAL, NULL, vsv_path(level->vsv), NULL,
				"save state '%s' needs a .bin file and none is named", vsv_path(level->vsv));
	level->bin_path = xstrdup(path);
	level->bin = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (level->bin < 0 && errno == ENOENT)
		return open_packed(level, reterr);
	if (level->bin < 0 || fstat(level->bin, &st) < 0)
		return err_file(reterr, -errno, path, "cannot open memory file '%s'", path);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != info->bin_size)
		return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, path, NULL,
				"memory file '%s' is damaged: it is not a file of %llu bytes", path,
				(unsigned long long)info->bin_size);
	return 0;
}

/* child's parent is what level holds. */
static int check_link(const struct vsv *child, const struct vsv *parent, struct err *reterr)
{
	if (guid_eq(&vsv_info(child)->parent, &vsv_info(parent)->guid))
		return 0;
	return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, vsv_path(parent), NULL,
			"save state '%s' is not the one that '%s' builds on", vsv_path(parent), vsv_path(child));
}

static int check_last(const struct chain *chain, struct err *reterr)
{
	const struct vsv *last = chain->level[chain->n - 1].vsv;

	if (chain->open_end || guid_is_none(&vsv_info(last)->parent))
		return 0;
	return err_full(reterr, ERR_INVALID, -EINVAL, NULL, vsv_path(last), NULL,
			"save state '%s' builds on %s, which is not named", vsv_path(last), vsv_info(last)->parent.s);
}

static int open_level(struct chain *chain, const struct save_files *files, int with_bin, struct err *reterr)
{
	struct level *level = &chain->level[chain->n];
	int r = vsv_open(files->vsv, &level->vsv, reterr);

	if (r < 0)
		return r;
	level->bin = -1;
	chain->n++;
	if (chain->n > 1)
		r = check_link(chain->level[chain->n - 2].vsv, level->vsv, reterr);
	if (r >= 0)
		r = vsv_check_part(level->vsv, VSV_HASHES, reterr);
	if (r >= 0 && with_bin)
		r = open_bin(level, files->bin, reterr);
	return r;
}

int chain_open(const struct save_files *files, size_t n, int with_bins, int open_end, struct chain **ret_chain,
	       struct err *reterr)
{
	_cleanup_chain_ struct chain *chain = xcalloc(1, sizeof(*chain));
	int r = 0;

	if (n == 0 || n > VSV_MAX_CHAIN)
		return err_set(reterr, ERR_LIMIT, -E2BIG, "%zu save states build on each other, at most %d can", n,
			       VSV_MAX_CHAIN);
	chain->open_end = open_end;
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = open_level(chain, &files[i], with_bins, reterr);
	if (r >= 0)
		r = check_last(chain, reterr);
	if (r < 0)
		return r;
	chain_bind(chain, vsv_info(chain->level[0].vsv)->blocks, vsv_info(chain->level[0].vsv)->n_blocks);
	*ret_chain = TAKE_PTR(chain);
	return 0;
}

static uint32_t find_block(const struct vsv_info *info, const char *name)
{
	for (uint32_t i = 0; i < info->n_blocks; i++) {
		if (strcmp(info->blocks[i].name, name) == 0)
			return i;
	}
	return VSV_NO_BLOCK;
}

void chain_bind(struct chain *chain, const struct vsv_block *blocks, uint32_t n)
{
	for (size_t l = 0; l < chain->n; l++) {
		struct level *level = &chain->level[l];

		level->map = xreallocarray(level->map, n, sizeof(*level->map));
		for (uint32_t i = 0; i < n; i++)
			level->map[i] = find_block(vsv_info(level->vsv), blocks[i].name);
	}
}

/* What one level says of the pages that are still PARENT. Returns how many it
 * answered, or negative errno. */
static int ask_level(const struct chain *chain, size_t l, uint32_t block, uint64_t page, size_t n,
		     struct page_ref *refs, struct err *reterr)
{
	const struct level *level = &chain->level[l];
	const struct vsv_block *own;
	struct page_hash hashes[CHAIN_WINDOW];
	uint8_t states[CHAIN_WINDOW];
	size_t n_data = 0, answered = 0;
	uint64_t first;
	int r;

	if (level->map[block] == VSV_NO_BLOCK)
		return 0;
	own = &vsv_info(level->vsv)->blocks[level->map[block]];
	if (page >= own->pages)
		return 0;
	n = own->pages - page < n ? (size_t)(own->pages - page) : n;
	first = vsv_states(level->vsv, own->first + page, n, states);
	for (size_t i = 0; i < n; i++)
		n_data += states[i] == PAGE_DATA;
	r = vsv_hashes(level->vsv, first, n_data, hashes, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0, rank = 0; i < n; i++) {
		if (refs[i].state == PAGE_PARENT && states[i] != PAGE_PARENT) {
			refs[i] = (struct page_ref){ .state = states[i], .level = (uint8_t)l };
			answered++;
			if (states[i] == PAGE_DATA) {
				refs[i].offset = own->offset + (page + i) * VSV_PAGE;
				refs[i].rank = first + rank;
				refs[i].hash = hashes[rank];
			}
		}
		rank += states[i] == PAGE_DATA;
	}
	return (int)answered;
}

/* Pages that no level knows: of a state that is yet to be, or damage. */
static int leave_open(const struct chain *chain, uint32_t block, uint64_t page, size_t n, struct page_ref *refs,
		      struct err *reterr)
{
	const struct level *level = &chain->level[0];
	uint64_t own = 0;

	if (chain->open_end)
		return 0;
	if (level->map[block] != VSV_NO_BLOCK)
		own = vsv_info(level->vsv)->blocks[level->map[block]].pages;
	for (size_t i = 0; i < n; i++) {
		if (refs[i].state != PAGE_PARENT)
			continue;
		if (page + i < own)
			return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, vsv_path(level->vsv), NULL,
					"save state '%s' is damaged: no parent holds page %llu of its block %u",
					vsv_path(level->vsv), (unsigned long long)(page + i), block);
		refs[i].state = PAGE_ABSENT;
	}
	return 0;
}

int chain_resolve(const struct chain *chain, uint32_t block, uint64_t page, size_t n, struct page_ref *ret_refs,
		  struct err *reterr)
{
	size_t left = n;

	for (size_t i = 0; i < n; i++)
		ret_refs[i] = (struct page_ref){ .state = PAGE_PARENT };
	for (size_t l = 0; left > 0 && l < chain->n; l++) {
		int r = ask_level(chain, l, block, page, n, ret_refs, reterr);

		if (r < 0)
			return r;
		left -= (size_t)r;
	}
	return left > 0 ? leave_open(chain, block, page, n, ret_refs, reterr) : 0;
}

/* How many pages from refs on lie in one piece. */
static size_t piece(const struct page_ref *refs, size_t n)
{
	size_t i = 1;

	while (i < n && refs[i].state == PAGE_DATA && refs[i].level == refs[0].level &&
	       refs[i].offset == refs[0].offset + i * VSV_PAGE)
		i++;
	return i;
}

/* Reads n pages that lie in one piece. Returns how many bytes there were, or negative errno. */
static ssize_t read_bytes(const struct level *level, const struct page_ref *refs, size_t n, uint8_t *buf,
			  struct err *reterr)
{
	ssize_t got;

	if (level->packed) {
		int r = packed_read(level->packed, refs[0].rank, n, buf, reterr);

		return r < 0 ? r : (ssize_t)(n * VSV_PAGE);
	}
	got = pread_all(level->bin, buf, n * VSV_PAGE, (off_t)refs[0].offset);
	if (got < 0)
		return err_file(reterr, (int)got, level->bin_path, "cannot read memory file '%s'", level->bin_path);
	return got;
}

static int read_piece(const struct chain *chain, const struct page_ref *refs, size_t n, uint8_t *buf,
		      struct err *reterr)
{
	const struct level *level = &chain->level[refs[0].level];
	ssize_t got = read_bytes(level, refs, n, buf, reterr);

	if (got < 0)
		return (int)got;
	for (size_t i = 0; i < n; i++) {
		struct page_hash hash;

		if ((size_t)got >= (i + 1) * VSV_PAGE) {
			hash = page_hash(buf + i * VSV_PAGE);
			if (page_hash_eq(&hash, &refs[i].hash))
				continue;
		}
		return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, level->bin_path, NULL,
				"memory file '%s' is damaged: the page %s %llu does not fit its hash",
				level->bin_path, level->packed ? "number" : "at offset",
				(unsigned long long)(level->packed ? refs[i].rank : refs[i].offset));
	}
	return 0;
}

int chain_read_pages(const struct chain *chain, const struct page_ref *refs, size_t n, uint8_t *buf, struct err *reterr)
{
	for (size_t i = 0; i < n;) {
		size_t len = 1;

		if (refs[i].state == PAGE_DATA) {
			int r;

			len = piece(refs + i, n - i);
			r = read_piece(chain, refs + i, len, buf + i * VSV_PAGE, reterr);
			if (r < 0)
				return r;
		}
		i += len;
	}
	return 0;
}

int chain_check_ram_sum(const struct chain *chain, struct err *reterr)
{
	const struct vsv *vsv = chain->level[0].vsv;
	const struct vsv_info *info = vsv_info(vsv);
	_cleanup_(ram_sum_freep) struct ram_sum *sum = ram_sum_new(info);
	struct page_ref refs[CHAIN_WINDOW];

	for (uint32_t b = 0; b < info->n_blocks; b++) {
		for (uint64_t page = 0; page < info->blocks[b].pages; page += CHAIN_WINDOW) {
			uint64_t left = info->blocks[b].pages - page;
			size_t n = left < CHAIN_WINDOW ? (size_t)left : CHAIN_WINDOW;
			int r = chain_resolve(chain, b, page, n, refs, reterr);

			if (r < 0)
				return r;
			for (size_t i = 0; i < n; i++)
				ram_sum_add(sum, refs[i].state, refs[i].state == PAGE_DATA ? &refs[i].hash : NULL);
		}
	}
	if (!(info->flags & VSV_F_RAM) || ram_sum_value(sum) == info->ram_sum)
		return 0;
	return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, vsv_path(vsv), NULL,
			"save state '%s' is damaged: its memory does not fit its checksum; a parent of it was replaced",
			vsv_path(vsv));
}
