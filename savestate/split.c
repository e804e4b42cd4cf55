/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The splitter: libvirt's head and its repetition at the end, the loop over the
 * elements of QEMU's stream, and the way to the two files. */
#include "savestate/split.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "savestate/split-internal.h"

struct split *split_free(struct split *s)
{
	if (s) {
		sink_free(s->sink);
		vsv_writer_free(s->vsv);
		chain_free(s->parents);
		vsv_blocks_free(s->info.blocks, s->info.n_blocks);
		free(s->vsv_path);
		free(s->bin_path);
		free(s->parent_bin);
		free(s->head);
		free(s->prefix);
	}
	free(s);
	return NULL;
}

void split_result_done(struct split_result *result)
{
	cleanup_free(&result->why);
}

int split_not_understood(struct split *s, const char *why)
{
	s->why = why;
	return NOT_UNDERSTOOD;
}

int split_refuse(const struct split *s, const char *why, struct err *reterr)
{
	return err_full(reterr, ERR_REFUSED, -ENOTSUP, NULL, s->vsv_path,
			"Switch that migration capability off for the time of a snapshot",
			"the stream for save state '%s' does not hold the guest's memory: %s", s->vsv_path, why);
}

static int ended_early(const struct split *s, const char *where, struct err *reterr)
{
	return err_full(reterr, ERR_BAD_DATA, -ENODATA, NULL, s->vsv_path, NULL,
			"the stream for save state '%s' ended too early: %s", s->vsv_path, where);
}

/* Puts the block "pc.ram" first, then the others as they come. */
static void place_blocks(struct vsv_info *info)
{
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < info->n_blocks; i++) {
			struct vsv_block *block = &info->blocks[i];

			if ((strcmp(block->name, "pc.ram") == 0) == pass)
				continue;
			block->offset = (info->bin_size + VSV_ALIGN - 1) / VSV_ALIGN * VSV_ALIGN;
			info->bin_size = block->offset + block->pages * VSV_PAGE;
		}
	}
}

int split_start_ram(struct split *s, struct err *reterr)
{
	int r = vsv_writer_put(s->vsv, VSV_PREFIX, s->prefix, s->prefix_len, reterr);

	if (r < 0)
		return r;
	cleanup_free(&s->prefix);
	s->info.flags |= VSV_F_RAM;
	place_blocks(&s->info);
	if (s->parents)
		chain_bind(s->parents, s->info.blocks, s->info.n_blocks);
	r = sink_new(s->bin_path, &s->info, s->parents, s->write_behind, &s->sink, reterr);
	if (r >= 0 && s->parent_bin && sink_clone(s->sink, s->parent_bin))
		s->info.parent = (struct guid){ "" };
	return r;
}

/* From here on all is kept as it comes, with the element that is half known. */
static int go_to_tail(struct split *s, struct err *reterr)
{
	int r = 0;

	if (s->sink && s->why) {
		s->info.flags |= VSV_F_PARTIAL;
		if (s->state == PARSE_RECORD)
			s->info.flags |= s->in_end ? VSV_F_OPEN_END : VSV_F_OPEN_PART;
	}
	if (s->sink)
		r = sink_flush(s->sink, reterr);
	else if (s->prefix_len > 0)
		r = vsv_writer_put(s->vsv, VSV_TAIL, s->prefix, s->prefix_len, reterr);
	if (r >= 0 && s->elem_len > 0)
		r = vsv_writer_put(s->vsv, VSV_TAIL, s->elem, s->elem_len, reterr);
	s->state = PARSE_TAIL;
	s->elem_len = 0;
	return r;
}

/* Takes what is complete of the elements. Returns how many bytes the next needs
 * beyond those that are here, 0 for "all there are", or negative errno. */
static int64_t settle(struct split *s, struct err *reterr)
{
	for (;;) {
		int r;

		if (s->state == PARSE_TAIL)
			return 0;
		if (s->state == PARSE_PAGE)
			return (int64_t)(VSV_PAGE - s->place_len);
		r = s->state < PARSE_SECTION ? split_step_prefix(s, reterr) : split_step_ram(s, reterr);
		if (r == NOT_UNDERSTOOD)
			r = go_to_tail(s, reterr);
		if (r < 0)
			return r;
		if (r > 0)
			return r - (int64_t)s->elem_len;
	}
}

int split_parse(struct split *s, const uint8_t *data, size_t len, struct err *reterr)
{
	for (;;) {
		int64_t need = settle(s, reterr);
		size_t n;

		if (need < 0 || len == 0)
			return need < 0 ? (int)need : 0;
		if (need == 0)
			return vsv_writer_put(s->vsv, VSV_TAIL, data, len, reterr);
		n = (uint64_t)need < len ? (size_t)need : len;
		if (s->state == PARSE_PAGE) {
			memcpy(s->place + s->place_len, data, n);
			s->place_len += n;
			if (s->place_len == VSV_PAGE) {
				sink_take(s->sink);
				s->state = PARSE_RECORD;
			}
		} else {
			memcpy(s->elem + s->elem_len, data, n);
			s->elem_len += n;
		}
		data += n;
		len -= n;
	}
}

/* libvirt's head is here: keeps it as it is when the image is complete. */
static int take_head(struct split *s, struct err *reterr)
{
	_cleanup_(image_info_done) struct image_info image = { 0 };
	int r = image_parse(s->head, s->head_need, &image, reterr);

	if (r < 0)
		return r;
	s->partial = !image.complete;
	memcpy(s->head, IMAGE_MAGIC_COMPLETE, IMAGE_MAGIC_LEN);
	r = vsv_writer_put(s->vsv, VSV_HEAD, s->head, s->head_need, reterr);
	if (r < 0)
		return r;
	s->head = xreallocarray(s->head, IMAGE_HEADER_SIZE, 1);
	if (image.compression == 0)
		return 0;
	ignore_result(split_not_understood(s, "the stream is compressed"));
	return go_to_tail(s, reterr);
}

/* Collects the head. *data and *len advance. */
static int collect_head(struct split *s, const uint8_t **data, size_t *len, struct err *reterr)
{
	while (*len > 0 && s->head_len < s->head_need) {
		size_t n = s->head_need - s->head_len < *len ? s->head_need - s->head_len : *len;
		int r = 0;

		s->head = xreallocarray(s->head, s->head_len + n, 1);
		memcpy(s->head + s->head_len, *data, n);
		s->head_len += n;
		*data += n;
		*len -= n;
		if (s->head_len == IMAGE_HEADER_SIZE)
			r = image_head_len(s->head, &s->head_need, reterr);
		else if (s->head_len == s->head_need)
			r = take_head(s, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Passes bytes on but for the last, which may be the header that comes again. */
static int hold_back(struct split *s, const uint8_t *data, size_t len, struct err *reterr)
{
	size_t all = s->held_len + len, pass, from_held;
	int r;

	if (all <= IMAGE_HEADER_SIZE) {
		memcpy(s->held + s->held_len, data, len);
		s->held_len = all;
		return 0;
	}
	pass = all - IMAGE_HEADER_SIZE;
	from_held = pass < s->held_len ? pass : s->held_len;
	r = split_parse(s, s->held, from_held, reterr);
	if (r >= 0)
		r = split_parse(s, data, pass - from_held, reterr);
	if (r < 0)
		return r;
	memmove(s->held, s->held + from_held, s->held_len - from_held);
	memcpy(s->held + s->held_len - from_held, data + (pass - from_held), len - (pass - from_held));
	s->held_len = IMAGE_HEADER_SIZE;
	return 0;
}

/* Remembers the first failure. */
static int keep_failure(struct split *s, int r)
{
	if (r < 0)
		s->failed = r;
	return r;
}

static int failed_before(const struct split *s, struct err *reterr)
{
	return err_full(reterr, ERR_FAILED, s->failed, NULL, s->vsv_path, NULL,
			"save state '%s' cannot be written on: writing it failed before", s->vsv_path);
}

int split_feed(struct split *s, const void *data, size_t len, struct err *reterr)
{
	const uint8_t *p = data;
	int r = 0;

	if (s->failed)
		return failed_before(s, reterr);
	s->stream_bytes += len;
	if (!s->bare)
		r = collect_head(s, &p, &len, reterr);
	if (r >= 0 && len > 0)
		r = s->partial ? hold_back(s, p, len, reterr) : split_parse(s, p, len, reterr);
	return keep_failure(s, r);
}

static int start_bare(struct split *s, const struct split_opts *opts, struct err *reterr)
{
	_cleanup_free_ char *head = NULL;
	size_t len;

	s->bare = 1;
	if (!*opts->xml || strlen(opts->xml) > IMAGE_MAX_XML || (opts->cookie && strlen(opts->cookie) > IMAGE_MAX_XML))
		return err_full(reterr, ERR_INVALID, -EINVAL, NULL, opts->vsv, NULL,
				"the XML for save state '%s' is empty or too long", opts->vsv);
	head = image_make_head(opts->xml, opts->cookie, opts->was_running, 0, &len);
	return vsv_writer_put(s->vsv, VSV_HEAD, head, len, reterr);
}

static int open_parents(struct split *s, const struct split_opts *opts, struct err *reterr)
{
	int r;

	if (opts->n_parents == 0)
		return 0;
	if (opts->n_parents >= VSV_MAX_CHAIN)
		return err_full(reterr, ERR_LIMIT, -E2BIG, NULL, opts->vsv, NULL,
				"save state '%s' cannot build on %zu others: at most %d can", opts->vsv,
				opts->n_parents, VSV_MAX_CHAIN - 1);
	r = chain_open(opts->parents, opts->n_parents, 0, 0, &s->parents, reterr);
	if (r < 0)
		return r;
	s->parent_bin = xstrdup(opts->parents[0].bin);
	s->info.parent = vsv_info(chain_vsv(s->parents, 0))->guid;
	if (!guid_eq(&s->info.parent, &opts->guid))
		return 0;
	return err_full(reterr, ERR_INVALID, -EINVAL, NULL, opts->vsv, NULL, "save state '%s' cannot build on itself",
			opts->vsv);
}

int split_new(const struct split_opts *opts, struct split **ret_split, struct err *reterr)
{
	_cleanup_split_ struct split *s = xcalloc(1, sizeof(*s));
	int r;

	s->vsv_path = xstrdup(opts->vsv);
	s->bin_path = xstrdup(opts->bin);
	s->max_ram = opts->max_ram && opts->max_ram < VSV_MAX_RAM ? opts->max_ram : VSV_MAX_RAM;
	s->write_behind = opts->write_behind;
	s->info.guid = opts->guid;
	s->info.last_block = VSV_NO_BLOCK;
	s->head_need = IMAGE_HEADER_SIZE;
	r = open_parents(s, opts, reterr);
	if (r >= 0)
		r = vsv_writer_new(opts->vsv, &s->vsv, reterr);
	if (r >= 0 && opts->xml)
		r = start_bare(s, opts, reterr);
	if (r < 0)
		return r;
	*ret_split = TAKE_PTR(s);
	return 0;
}

/* The stream is over. Sees that it is whole. */
static int end_of_stream(struct split *s, struct err *reterr)
{
	if (!s->bare && s->head_len < s->head_need)
		return ended_early(s, "within libvirt's header", reterr);
	if (s->partial && (s->held_len < IMAGE_HEADER_SIZE || memcmp(s->held, s->head, IMAGE_HEADER_SIZE) != 0))
		return ended_early(s, "libvirt did not complete it", reterr);
	if (s->state < PARSE_SECTION)
		return ended_early(s, "before the memory", reterr);
	if (s->state != PARSE_TAIL)
		return ended_early(s, "within the memory", reterr);
	return s->sink ? sink_flush(s->sink, reterr) : 0;
}

/* Finds a block whose pages may be replaced. */
static int find_replaceable(const struct split *s, const char *name, uint32_t *ret_block, struct err *reterr)
{
	const struct vsv_block *block;
	uint32_t i = 0;

	if (!s->sink || s->info.flags & VSV_F_PARTIAL)
		return err_full(reterr, ERR_REFUSED, -ENOTSUP, NULL, s->vsv_path, NULL,
				"block '%s' of save state '%s' cannot be replaced: %s", name, s->vsv_path,
				s->why ? s->why : "the memory was not split");
	while (i < s->info.n_blocks && strcmp(s->info.blocks[i].name, name) != 0)
		i++;
	if (i == s->info.n_blocks)
		return err_full(reterr, ERR_BAD_DATA, -ENOENT, NULL, s->vsv_path, NULL,
				"the stream for save state '%s' holds no block '%s'", s->vsv_path, name);
	block = &s->info.blocks[i];
	for (uint64_t page = 0; page < block->pages; page++) {
		if (sink_state(s->sink, block->first + page) == PAGE_ABSENT)
			return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, s->vsv_path, NULL,
					"the stream for save state '%s' lacks page %llu of block '%s'", s->vsv_path,
					(unsigned long long)page, name);
	}
	*ret_block = i;
	return 0;
}

/* Takes all pages of the block from the file. */
static int replace_pages(struct split *s, uint32_t block, int fd, const char *path, struct err *reterr)
{
	for (uint64_t page = 0; page < s->info.blocks[block].pages; page++) {
		uint8_t *place;
		ssize_t n;
		int r = sink_place(s->sink, block, page, &place, reterr);

		if (r < 0)
			return r;
		n = pread_all(fd, place, VSV_PAGE, (off_t)(page * VSV_PAGE));
		if (n != VSV_PAGE)
			return err_file(reterr, n < 0 ? (int)n : -EIO, path, "cannot read '%s'", path);
		sink_take(s->sink);
	}
	return sink_flush(s->sink, reterr);
}

int split_guest_has_stopped(const struct split *s)
{
	return s->in_end;
}

int split_replace(struct split *s, const char *block, const char *path, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	uint32_t number = 0;
	uint64_t size;
	struct stat st;
	int r;

	if (s->failed)
		return failed_before(s, reterr);
	r = keep_failure(s, end_of_stream(s, reterr));
	if (r >= 0)
		r = find_replaceable(s, block, &number, reterr);
	if (r < 0)
		return r;
	size = s->info.blocks[number].pages * VSV_PAGE;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_file(reterr, -errno, path, "cannot open '%s'", path);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
		return err_full(reterr, ERR_BAD_DATA, -EINVAL, NULL, path, NULL,
				"'%s' is not a file of %llu bytes, the size of block '%s'", path,
				(unsigned long long)size, block);
	return keep_failure(s, replace_pages(s, number, fd, path, reterr));
}

/* A stream that was split must have brought pages with content: every guest has some, if only its
 * firmware. QEMU before 8.1 does not say that multifd is on: pages of zeros come, all others are absent. */
static int check_memory(const struct split *s, struct err *reterr)
{
	uint64_t pages = vsv_pages(&s->info);

	if (s->info.flags & VSV_F_PARTIAL)
		return 0;
	for (uint64_t page = 0; page < pages; page++) {
		int state = sink_state(s->sink, page);

		if (state != PAGE_ABSENT && state != PAGE_ZERO)
			return 0;
	}
	return split_refuse(s, "no page with content came; is multifd on?", reterr);
}

static int write_files(struct split *s, uint64_t *ret_sum, struct err *reterr)
{
	int r = 0;

	if (s->sink)
		r = check_memory(s, reterr);
	if (r >= 0 && s->sink)
		r = sink_finish(s->sink, reterr);
	if (r >= 0 && s->commands_len > 0)
		r = vsv_writer_put(s->vsv, VSV_COMMANDS, s->commands, s->commands_len, reterr);
	if (r >= 0 && s->sink)
		r = vsv_writer_blocks(s->vsv, &s->info, reterr);
	if (r >= 0 && s->sink)
		r = sink_describe(s->sink, s->vsv, &s->info, reterr);
	if (r >= 0)
		r = vsv_writer_finish(s->vsv, &s->info, ret_sum, reterr);
	if (r >= 0 && s->sink)
		r = sink_publish(s->sink, reterr);
	return r < 0 ? r : vsv_writer_publish(s->vsv, reterr);
}

/* What was not split does not need a parent, nor blocks. */
static void forget_ram(struct split *s)
{
	if (s->sink)
		return;
	s->info.parent = (struct guid){ "" };
	s->info.section = 0;
	s->info.flags = 0;
	vsv_blocks_free(s->info.blocks, s->info.n_blocks);
	s->info.blocks = NULL;
	s->info.n_blocks = 0;
}

int split_finish(struct split *s, struct split_result *ret_result, struct err *reterr)
{
	uint64_t sum;
	int r;

	if (s->failed)
		return failed_before(s, reterr);
	r = end_of_stream(s, reterr);
	if (r >= 0) {
		forget_ram(s);
		r = write_files(s, &sum, reterr);
	}
	if (r < 0)
		return keep_failure(s, r);
	s->failed = -EALREADY; /* there is nothing left to do */
	*ret_result = (struct split_result){
		.form = !s->sink ? SPLIT_NOTHING : s->info.flags & VSV_F_PARTIAL ? SPLIT_PARTLY : SPLIT_ALL,
		.why = xstrdup(s->why),
		.stream_bytes = s->stream_bytes,
		.bin_size = s->info.bin_size,
		.vsv_size = s->info.size,
		.vsv_sum = sum,
		.parent = s->info.parent,
	};
	memcpy(ret_result->pages, s->info.pages, sizeof(ret_result->pages));
	return 0;
}
