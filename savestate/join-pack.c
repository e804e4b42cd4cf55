/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packs the memory file of a save state, and unpacks it again. */
#include "savestate/join-internal.h"
#include "savestate/packed.h"

#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "savestate/vsv-internal.h"

/* Going over the pages of one save state. */
struct pass {
	const struct chain *chain;
	struct packer *packer; /* where they go, or */
	struct packed *packed; /* what they are compared with */
	uint8_t *buf;          /* CHAIN_WINDOW pages */
	uint64_t done, total;  /* bytes of memory, of both passes together */
	image_progress_fn progress;
	void *arg;
};

static int advance(struct pass *pass, size_t n, struct err *reterr)
{
	pass->done += n * VSV_PAGE;
	if (pass->progress && pass->progress(pass->arg, pass->done, pass->total) != 0)
		return err_set(reterr, ERR_CANCELLED, -ECANCELED, "packing a save state was cancelled");
	return 0;
}

static int pack_window(void *arg, const struct vsv_block *block _unused_, uint64_t page _unused_,
		       const struct page_ref *refs, size_t n, struct err *reterr)
{
	struct pass *pass = arg;
	int r = chain_read_pages(pass->chain, refs, n, pass->buf, reterr);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (refs[i].state == PAGE_DATA)
			r = packer_put(pass->packer, pass->buf + i * VSV_PAGE, reterr);
	}
	return r < 0 ? r : advance(pass, n, reterr);
}

/* Unpacked again, each page has its hash. */
static int compare_window(void *arg, const struct vsv_block *block _unused_, uint64_t page _unused_,
			  const struct page_ref *refs, size_t n, struct err *reterr)
{
	struct pass *pass = arg;

	for (size_t i = 0; i < n; i++) {
		struct page_hash hash;
		int r;

		if (refs[i].state != PAGE_DATA)
			continue;
		r = packed_read(pass->packed, refs[i].rank, 1, pass->buf, reterr);
		if (r < 0)
			return r;
		hash = page_hash(pass->buf);
		if (!page_hash_eq(&hash, &refs[i].hash))
			return err_set(reterr, ERR_FAILED, -EIO,
				       "a packed page is not what it was when it is unpacked again; the file stays as it is");
	}
	return advance(pass, n, reterr);
}

/* Opens it alone, whatever it builds on; the part with its hashes is checked. */
static int open_alone(const struct save_files *files, struct chain **ret_chain, struct err *reterr)
{
	int r = chain_open(files, 1, 1, 1, ret_chain, reterr);

	if (r >= 0 && vsv_info(chain_vsv(*ret_chain, 0))->bin_size == 0)
		return err_full(reterr, ERR_REFUSED, -ENOTSUP, NULL, files->vsv, NULL,
				"save state '%s' has no memory file that could be packed or unpacked", files->vsv);
	return r;
}

/* Writes the packed file and reads it again. */
static int write_packed(struct pass *pass, const char *path, struct err *reterr)
{
	const struct vsv_info *info = vsv_info(chain_vsv(pass->chain, 0));
	_cleanup_packer_ struct packer *packer = NULL;
	_cleanup_packed_ struct packed *packed = NULL;
	const char *tmp;
	int r = packer_new(path, &info->guid, &packer, reterr);

	pass->packer = packer;
	if (r >= 0)
		r = join_each_window(pass->chain, pack_window, pass, reterr);
	if (r >= 0)
		r = packer_finish(packer, &tmp, reterr);
	if (r >= 0)
		r = packed_open(tmp, info, &packed, reterr);
	pass->packed = packed;
	if (r >= 0)
		r = packed_check(packed, reterr);
	if (r >= 0)
		r = join_each_window(pass->chain, compare_window, pass, reterr);
	return r < 0 ? r : packer_publish(packer, reterr);
}

int join_pack(const struct save_files *files, image_progress_fn progress, void *arg, struct err *reterr)
{
	_cleanup_free_ uint8_t *buf = xreallocarray(NULL, CHAIN_WINDOW, VSV_PAGE);
	_cleanup_chain_ struct chain *chain = NULL;
	_cleanup_free_ char *path = NULL;
	struct pass pass = { .buf = buf, .progress = progress, .arg = arg };
	int r = open_alone(files, &chain, reterr);

	if (r < 0 || chain_packed(chain, 0))
		return r;
	path = packed_name(files->bin);
	pass.chain = chain;
	pass.total = 2 * vsv_pages(vsv_info(chain_vsv(chain, 0))) * VSV_PAGE;
	r = write_packed(&pass, path, reterr);
	return r < 0 ? r : file_remove(files->bin, reterr);
}

int join_unpack(const struct save_files *files, image_progress_fn progress, void *arg, struct err *reterr)
{
	_cleanup_(out_file_done) struct out_file out = OUT_FILE_INIT;
	_cleanup_free_ char *packed = NULL, *dir = NULL;
	_cleanup_chain_ struct chain *chain = NULL;
	int r = open_alone(files, &chain, reterr);

	if (r < 0)
		return r;
	packed = packed_name(files->bin);
	if (chain_packed(chain, 0)) {
		dir = path_dirname(files->bin);
		r = packed_check(chain_packed(chain, 0), reterr);
		if (r >= 0)
			r = out_file_open_hidden(&out, files->bin, reterr);
		if (r >= 0)
			r = join_copy_pages(chain, &out, progress, arg, reterr);
		if (r >= 0)
			r = out_file_sync(&out, reterr);
		if (r >= 0)
			r = out_file_publish(&out, reterr);
		if (r >= 0)
			r = path_fsync(dir, reterr);
	}
	return r < 0 ? r : file_remove(packed, reterr);
}
