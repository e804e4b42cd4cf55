/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Save states made by hand. */
#include "tests/unit/stream-util.h"

#include <xxhash.h>

#include "tests/unit/fold-states.h"

void fold_state_make(const struct save_files *files, const struct guid *guid, unsigned int instant,
		     const struct save_files *parents, size_t n_parents)
{
	_cleanup_bytes_ struct bytes stream = make_stream(instant % 2 ? PLAIN : BACKGROUND, instant);
	struct state state = { .files = *files, .guid = *guid };
	struct split_result result;

	ignore_result(unlink(files->vsv)); /* may be a second name of another's */
	ignore_result(unlink(files->bin));
	result = split_stream(&state, &stream, SIZE_MAX, parents, n_parents);
	assert_true(result.form == SPLIT_ALL);
	split_result_done(&result);
}

uint64_t fold_state_sum(const char *dir, const struct save_files *files, size_t n)
{
	_cleanup_bytes_ struct bytes joined = join(dir, files, n);
	_cleanup_free_ char *path = path_join(dir, "joined");

	assert_int_equal(unlink(path), 0);
	return XXH3_64bits(joined.data, joined.len);
}

void fold_state_flip(const char *path, off_t offset)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	flip(path, offset < 0 ? st.st_size + offset : offset);
}
