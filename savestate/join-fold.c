/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Takes a parent's pages into the save state that builds on it, and the memory as
 * a whole out of a save state. */
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "savestate/join-internal.h"
#include "savestate/vsv-internal.h"
#include "savestate/vsv-write.h"

#define CHUNK (1 << 20)

int join_each_window(const struct chain *chain, join_window_fn fn, void *arg, struct err *reterr)
{
	const struct vsv_info *info = vsv_info(chain_vsv(chain, 0));
	struct page_ref refs[CHAIN_WINDOW];

	for (uint32_t i = 0; i < info->n_blocks; i++) {
		const struct vsv_block *block = &info->blocks[i];

		for (uint64_t page = 0; page < block->pages; page += CHAIN_WINDOW) {
			size_t n = block->pages - page < CHAIN_WINDOW ? (size_t)(block->pages - page) : CHAIN_WINDOW;
			int r = chain_resolve(chain, i, page, n, refs, reterr);

			if (r >= 0)
				r = fn(arg, block, page, refs, n, reterr);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* Copies pages to their places in another file. */
struct copy {
	const struct chain *chain;
	const struct out_file *out;
	uint8_t *buf;         /* CHAIN_WINDOW pages */
	uint64_t done, total; /* bytes of memory */
	image_progress_fn progress; /* may be NULL */
	void *arg;
};

static int copy_window(void *arg, const struct vsv_block *block, uint64_t page, const struct page_ref *refs, size_t n,
		       struct err *reterr)
{
	struct copy *copy = arg;
	int r = chain_read_pages(copy->chain, refs, n, copy->buf, reterr);

	for (size_t i = 0, end; r >= 0 && i < n; i = end) {
		for (end = i; end < n && refs[end].state == PAGE_DATA; end++)
			;
		if (end > i)
			r = out_file_write(copy->out, copy->buf + i * VSV_PAGE, (end - i) * VSV_PAGE,
					   block->offset + (page + i) * VSV_PAGE, reterr);
		else
			end++;
	}
	copy->done += n * VSV_PAGE;
	if (r >= 0 && copy->progress && copy->progress(copy->arg, copy->done, copy->total) != 0)
		return err_set(reterr, ERR_CANCELLED, -ECANCELED, "writing '%s' was cancelled", copy->out->path);
	return r;
}

int join_copy_pages(const struct chain *chain, const struct out_file *out, image_progress_fn progress, void *arg,
		    struct err *reterr)
{
	_cleanup_free_ uint8_t *buf = xreallocarray(NULL, CHAIN_WINDOW, VSV_PAGE);
	struct copy copy = {
		.chain = chain,
		.out = out,
		.buf = buf,
		.total = vsv_pages(vsv_info(chain_vsv(chain, 0))) * VSV_PAGE,
		.progress = progress,
		.arg = arg,
	};
	int r = join_each_window(chain, copy_window, &copy, reterr);

	if (r < 0)
		return r;
	if (ftruncate(out->fd, (off_t)vsv_info(chain_vsv(chain, 0))->bin_size) < 0)
		return err_file(reterr, -errno, out->path, "cannot set the size of '%s'", out->path);
	return 0;
}

int join_extract(const struct save_files *files, size_t n, int fd, const char *path, image_progress_fn progress,
		 void *arg, struct err *reterr)
{
	_cleanup_free_ char *name = xstrdup(path);
	const struct out_file out = { .fd = fd, .path = name };
	_cleanup_chain_ struct chain *chain = NULL;
	int r = chain_open(files, n, 1, 0, &chain, reterr);

	if (r >= 0)
		r = chain_check_ram_sum(chain, reterr);
	if (r < 0)
		return r;
	if (!(vsv_info(chain_vsv(chain, 0))->flags & VSV_F_RAM) ||
	    vsv_info(chain_vsv(chain, 0))->flags & VSV_F_PARTIAL)
		return err_full(reterr, ERR_REFUSED, -ENOTSUP, NULL, files[0].vsv, NULL,
				"the memory of save state '%s' is not apart from the rest", files[0].vsv);
	return join_copy_pages(chain, &out, progress, arg, reterr);
}

/* Copies a part as it is, and checks it. */
static int copy_part(const struct vsv *from, enum vsv_part part, struct vsv_writer *to, struct err *reterr)
{
	_cleanup_free_ uint8_t *buf = xreallocarray(NULL, CHUNK, 1);
	uint64_t size = vsv_info(from)->part[part].size;
	int r = vsv_check_part(from, part, reterr);

	for (uint64_t pos = 0; r >= 0 && pos < size;) {
		size_t n = size - pos < CHUNK ? (size_t)(size - pos) : CHUNK;

		r = vsv_read_at(from, part, pos, buf, n, reterr);
		if (r >= 0)
			r = vsv_writer_put(to, part, buf, n, reterr);
		pos += n;
	}
	return r;
}

static int put_states(void *arg, const struct vsv_block *block _unused_, uint64_t page _unused_,
		      const struct page_ref *refs, size_t n, struct err *reterr)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = vsv_writer_state(arg, refs[i].state, reterr);
	return r;
}

static int put_hashes(void *arg, const struct vsv_block *block _unused_, uint64_t page _unused_,
		      const struct page_ref *refs, size_t n, struct err *reterr)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (refs[i].state == PAGE_DATA)
			r = vsv_writer_hash(arg, &refs[i].hash, reterr);
	}
	return r;
}

static int write_vsv(const struct chain *chain, struct vsv_writer *w, struct err *reterr)
{
	const struct vsv *old = chain_vsv(chain, 0);
	struct vsv_info info = *vsv_info(old);
	int r = 0;

	for (int part = VSV_HEAD; r >= 0 && part <= VSV_BLOCKS; part++)
		r = copy_part(old, (enum vsv_part)part, w, reterr);
	if (r >= 0)
		r = join_each_window(chain, put_states, w, reterr);
	if (r >= 0)
		r = join_each_window(chain, put_hashes, w, reterr);
	info.parent = vsv_info(chain_vsv(chain, 1))->parent;
	return r < 0 ? r : vsv_writer_finish(w, &info, NULL, reterr);
}

/* 1 if child does not build on parent (any more), 0 if it does, or negative errno. */
static int is_folded(const struct save_files *child, const struct save_files *parent, struct err *reterr)
{
	_cleanup_vsv_ struct vsv *own = NULL, *other = NULL;
	const struct guid *builds_on;
	int r = vsv_open(child->vsv, &own, reterr);

	if (r < 0)
		return r;
	builds_on = &vsv_info(own)->parent;
	if (guid_is_none(builds_on))
		return 1;
	r = vsv_open(parent->vsv, &other, reterr);
	return r < 0 ? r : guid_eq(builds_on, &vsv_info(other)->parent);
}

/* All of the chain fits together: what is read from it afterwards is right if it
 * fits its hash. */
static int check_sum(const struct save_files *files, size_t n, int with_bins, struct err *reterr)
{
	_cleanup_chain_ struct chain *chain = NULL;
	int r = chain_open(files, n, with_bins, 0, &chain, reterr);

	return r < 0 ? r : chain_check_ram_sum(chain, reterr);
}

/* Writes both files whole and durable, under the names that they have until then. */
static int write_both(const struct chain *chain, const struct save_files *to, image_progress_fn progress, void *arg,
		      struct out_file *bin, struct vsv_writer **ret_writer, struct err *reterr)
{
	int r = out_file_open(bin, to->bin, reterr);

	if (r >= 0)
		r = join_copy_pages(chain, bin, progress, arg, reterr);
	if (r >= 0)
		r = out_file_sync(bin, reterr);
	if (r >= 0)
		r = vsv_writer_new(to->vsv, ret_writer, reterr);
	return r < 0 ? r : write_vsv(chain, *ret_writer, reterr);
}

/* What was written, with what it builds on now, is the memory that it was. */
static int check_written(const struct save_files *files, size_t n, const struct save_files *to, struct err *reterr)
{
	_cleanup_free_ char *vsv = xasprintf("%s.tmp", to->vsv), *bin = xasprintf("%s.tmp", to->bin);
	struct save_files chain[VSV_MAX_CHAIN] = { { vsv, bin } };

	for (size_t i = 2; i < n; i++)
		chain[i - 1] = files[i];
	return check_sum(chain, n - 1, 1, reterr);
}

int join_fold(const struct save_files *files, size_t n, const struct save_files *to, image_progress_fn progress,
	      void *arg, struct err *reterr)
{
	_cleanup_(out_file_done) struct out_file bin = OUT_FILE_INIT;
	_cleanup_vsv_writer_ struct vsv_writer *w = NULL;
	_cleanup_chain_ struct chain *chain = NULL;
	int r = n < 2 ? 1 : is_folded(&files[0], &files[1], reterr);

	if (r != 0)
		return r < 0 ? r : 0;
	r = check_sum(files, n, 1, reterr);
	if (r >= 0)
		r = chain_open(files, 2, 1, 1, &chain, reterr);
	if (r >= 0)
		r = write_both(chain, to, progress, arg, &bin, &w, reterr);
	if (r >= 0)
		r = check_written(files, n, to, reterr);
	if (r >= 0)
		r = out_file_publish(&bin, reterr);
	return r < 0 ? r : vsv_writer_publish(w, reterr);
}

static int count_data(void *arg, const struct vsv_block *block _unused_, uint64_t page _unused_,
		      const struct page_ref *refs, size_t n, struct err *reterr _unused_)
{
	for (size_t i = 0; i < n; i++)
		*(uint64_t *)arg += refs[i].state == PAGE_DATA;
	return 0;
}

int join_fold_size(const struct save_files *files, size_t n, uint64_t *ret_bytes, struct err *reterr)
{
	_cleanup_chain_ struct chain *chain = NULL;
	const struct vsv_info *info;
	uint64_t n_data = 0, added;
	int r = n < 2 ? 1 : is_folded(&files[0], &files[1], reterr);

	*ret_bytes = 0;
	if (r != 0)
		return r < 0 ? r : 0;
	r = chain_open(files, n, 0, 1, &chain, reterr);
	if (r >= 0)
		r = join_each_window(chain, count_data, &n_data, reterr);
	if (r < 0)
		return r;
	info = vsv_info(chain_vsv(chain, 0));
	added = n_data - info->pages[PAGE_DATA];
	/* its states may become as many runs as there are pages that change theirs */
	*ret_bytes = n_data * VSV_PAGE + info->size + added * sizeof(struct page_hash) + 2 * added * sizeof(uint32_t);
	return 0;
}
