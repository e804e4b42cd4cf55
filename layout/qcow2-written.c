/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tells an overlay that a guest wrote to from one that is as it was made: QEMU
 * enters a mapping into the L1 table, at once, with the first write. */
#include "layout/qcow2.h"

#include <fcntl.h>
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"

int qcow2_is_written(const char *path, struct err *reterr)
{
	_cleanup_(qcow2_info_done) struct qcow2_info info = {0};
	_cleanup_free_ uint64_t *l1 = NULL;
	_cleanup_close_ int fd = -1;
	ssize_t n;
	int r = path_exists(path);

	if (r == 0)
		return 0;
	r = qcow2_read(path, &info, reterr);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_file(reterr, -errno, path, "cannot open image '%s'", path);
	l1 = xcalloc(info.l1_entries + 1UL, sizeof(*l1));
	n = pread_all(fd, l1, info.l1_entries * sizeof(*l1), (off_t)info.l1_offset);
	if (n < 0)
		return err_file(reterr, (int)n, path, "cannot read image '%s'", path);
	for (uint32_t i = 0; i < info.l1_entries; i++)
		if (l1[i] != 0)
			return 1;
	return 0;
}
