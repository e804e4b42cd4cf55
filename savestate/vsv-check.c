/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads the parts of a `.vsv` file through and compares their checksums. */
#include <string.h>

#include "common/alloc.h"
#include "savestate/image.h"
#include "savestate/vsv-internal.h"

#define CHUNK (1 << 20)

const char *vsv_part_name(enum vsv_part part)
{
	static const char *const names[VSV_N_PARTS] = {
		[VSV_HEAD] = "libvirt header and domain XML",
		[VSV_PREFIX] = "start of the stream",
		[VSV_TAIL] = "device state",
		[VSV_COMMANDS] = "commands of the stream",
		[VSV_BLOCKS] = "table of RAM blocks",
		[VSV_STATES] = "page states",
		[VSV_HASHES] = "page hashes",
	};

	return names[part];
}

static int mismatch(const struct vsv *v, const char *what, struct err *reterr)
{
	return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, vsv_path(v), NULL,
			"save state '%s' is damaged: the %s does not fit its checksum", vsv_path(v), what);
}

int vsv_read_part(const struct vsv *v, enum vsv_part part, size_t max, char **ret_data, size_t *ret_len,
		  struct err *reterr)
{
	const struct vsv_extent *where = &vsv_info(v)->part[part];
	_cleanup_free_ char *data = NULL;
	int r;

	if (where->size > max)
		return err_full(reterr, ERR_BAD_DATA, -EFBIG, NULL, vsv_path(v), NULL,
				"save state '%s' is damaged: the %s is too large", vsv_path(v), vsv_part_name(part));
	data = xreallocarray(NULL, (size_t)where->size + 1, 1);
	r = vsv_read_at(v, part, 0, data, (size_t)where->size, reterr);
	if (r < 0)
		return r;
	if (XXH3_64bits(data, (size_t)where->size) != where->sum)
		return mismatch(v, vsv_part_name(part), reterr);
	data[where->size] = '\0';
	*ret_len = (size_t)where->size;
	*ret_data = TAKE_PTR(data);
	return 0;
}

/* Adds len bytes of the file from offset on to both sums (part may be NULL). */
static int add_range(const struct vsv *v, uint64_t offset, uint64_t len, XXH3_state_t *whole, XXH3_state_t *part,
		     struct err *reterr)
{
	_cleanup_free_ char *buf = xreallocarray(NULL, CHUNK, 1);

	while (len > 0) {
		size_t n = len < CHUNK ? (size_t)len : CHUNK;
		int r = vsv_read_raw(v, offset, buf, n, reterr);

		if (r < 0)
			return r;
		XXH3_64bits_update(whole, buf, n);
		if (part)
			XXH3_64bits_update(part, buf, n);
		offset += n;
		len -= n;
	}
	return 0;
}

static int check_part(const struct vsv *v, enum vsv_part part, XXH3_state_t *whole, struct err *reterr)
{
	const struct vsv_extent *where = &vsv_info(v)->part[part];
	_cleanup_sum_ XXH3_state_t *sum = sum_new();
	int r = add_range(v, where->offset, where->size, whole, sum, reterr);

	if (r < 0)
		return r;
	return XXH3_64bits_digest(sum) == where->sum ? 0 : mismatch(v, vsv_part_name(part), reterr);
}

int vsv_check_part(const struct vsv *v, enum vsv_part part, struct err *reterr)
{
	_cleanup_sum_ XXH3_state_t *unused = sum_new();

	return check_part(v, part, unused, reterr);
}

int vsv_check(const struct vsv *v, struct err *reterr)
{
	_cleanup_sum_ XXH3_state_t *whole = sum_new();
	const struct vsv_info *info = vsv_info(v);
	uint64_t index_at = info->size - VSV_TRAILER_SIZE - VSV_INDEX_SIZE;
	int r = add_range(v, 0, VSV_START_SIZE, whole, NULL, reterr);

	for (int i = 0; r >= 0 && i < VSV_N_PARTS; i++)
		r = check_part(v, (enum vsv_part)i, whole, reterr);
	if (r >= 0)
		r = add_range(v, index_at, VSV_INDEX_SIZE + VSV_SUMMED, whole, NULL, reterr);
	if (r < 0)
		return r;
	return XXH3_64bits_digest(whole) == info->sum ? 0 : mismatch(v, "file as a whole", reterr);
}

int vsv_xml(const struct vsv *v, char **ret_xml, struct err *reterr)
{
	_cleanup_(image_info_done) struct image_info image = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *head = NULL;
	size_t len;
	int r = vsv_read_part(v, VSV_HEAD, VSV_MAX_HEAD, &head, &len, reterr);

	if (r < 0)
		return r;
	r = image_parse(head, len, &image, &err);
	if (r < 0) {
		err_prefix(&err, "save state '%s'", vsv_path(v));
		err_set_file(&err, vsv_path(v));
		return err_move(reterr, &err);
	}
	*ret_xml = TAKE_PTR(image.xml);
	return 0;
}
