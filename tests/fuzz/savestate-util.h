/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files for the fuzz targets of the save states, and right checksums for those
 * that were changed, because nothing wrong would come past the checksums else. */
#ifndef TESTS_FUZZ_SAVESTATE_UTIL_H
#define TESTS_FUZZ_SAVESTATE_UTIL_H

#include <fcntl.h>
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "savestate/join.h"
#include "savestate/vsv-internal.h"

#define FUZZ_MAX_PAGES 4096

static char fuzz_dir[64];

static void fuzz_dir_remove(void)
{
	ignore_result(rmdir(fuzz_dir)); /* not empty after a finding: then it is wanted */
}

/* A path in a directory that the process has for itself, in memory where it can. */
static inline char *fuzz_path(const char *name)
{
	if (!*fuzz_dir) {
		snprintf(fuzz_dir, sizeof(fuzz_dir), "%s/vmsnap-fuzz-XXXXXX",
			 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
		if (!mkdtemp(fuzz_dir))
			abort();
		atexit(fuzz_dir_remove);
	}
	return path_join(fuzz_dir, name);
}

static inline void fuzz_write(const char *path, const void *data, size_t len)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write_all(fd, data, len) < 0)
		abort();
}

static inline void fuzz_remove(const char *path)
{
	if (unlink(path) < 0 && errno != ENOENT)
		abort();
}

/* Puts the right checksums into the bytes of a `.vsv`, as far as it has places for them. */
static inline void fuzz_resum(uint8_t *data, size_t len)
{
	uint8_t *trailer, *index;

	if (len < VSV_START_SIZE + VSV_INDEX_SIZE + VSV_TRAILER_SIZE)
		return;
	trailer = data + len - VSV_TRAILER_SIZE;
	index = trailer - VSV_INDEX_SIZE;
	for (size_t i = 0; i < VSV_N_PARTS; i++) {
		uint8_t *entry = index + VSV_INDEX_SIZE - (VSV_N_PARTS - i) * VSV_ENTRY_SIZE;
		uint64_t offset = get_le64(entry + 8), size = get_le64(entry + 16);

		if (offset <= len && size <= len - offset)
			put_le64(entry + 24, XXH3_64bits(data + offset, size));
	}
	put_le64(trailer + 16, XXH3_64bits(index, VSV_INDEX_SIZE));
	put_le64(trailer + 24, XXH3_64bits(data, (size_t)(trailer + VSV_SUMMED - data)));
}

#endif
