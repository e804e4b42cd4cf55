/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Takes QEMU's userfaultfds over and lifts what they protect. */
#define _GNU_SOURCE
#include "daemon/unfreeze.h"

#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/smaps.h"

#define LINK_MAX_LEN 64
#define ROUNDS 3 /* mappings may be cut while we look; what is left is seen in the next round */

static int open_process(pid_t pid, int *ret_fd, struct err *reterr)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0U);

	if (fd < 0)
		return err_errno(reterr, -errno, "cannot get hold of QEMU's process %d", (int)pid);
	*ret_fd = fd;
	return 0;
}

int unfreeze_possible(pid_t pid, struct err *reterr)
{
	_cleanup_close_ int process = -1, fd = -1;
	int r = open_process(pid, &process, reterr);

	if (r < 0)
		return r;
	fd = (int)syscall(SYS_pidfd_getfd, process, 0, 0U);
	return fd < 0 ? err_errno(reterr, -errno, "cannot take descriptors of QEMU's process %d", (int)pid) : 0;
}

/* Descriptors of the process that are userfaultfds, by number, *owned* list of texts. */
static int find_userfaultfds(pid_t pid, char ***ret_numbers, struct err *reterr)
{
	_cleanup_free_ char *dir = xasprintf("/proc/%d/fd", (int)pid);
	_cleanup_strv_ char **all = NULL, **found = NULL;
	int r = dir_list(dir, &all, reterr);

	for (char **name = all; !r && name && *name; name++) {
		_cleanup_free_ char *path = path_join(dir, *name);
		char target[LINK_MAX_LEN] = "";

		if (readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, "[userfaultfd]"))
			strv_push(&found, xstrdup(*name));
	}
	if (!r)
		*ret_numbers = TAKE_PTR(found);
	return r;
}

/* One of a migration long over refuses with EINVAL what is not its own. */
static void lift(int uffd, const struct mapping *m)
{
	struct uffdio_range range = { .start = m->start, .len = m->end - m->start };
	struct uffdio_writeprotect unprotect = { .range = range };

	ignore_result(ioctl(uffd, UFFDIO_WRITEPROTECT, &unprotect)); /* and wakes who waits */
	ignore_result(ioctl(uffd, UFFDIO_UNREGISTER, &range));
}

static int lift_all(pid_t pid, int process, char *const *numbers, struct err *reterr)
{
	_cleanup_free_ struct mapping *list = NULL;
	size_t n = 0;
	int r = smaps_read(pid, &list, &n, reterr);

	for (; !r && numbers && *numbers; numbers++) {
		_cleanup_close_ int uffd = (int)syscall(SYS_pidfd_getfd, process, (int)strtol(*numbers, NULL, 10), 0U);

		for (size_t i = 0; uffd >= 0 && i < n; i++)
			if (list[i].write_protected)
				lift(uffd, &list[i]);
	}
	return r;
}

int unfreeze(pid_t pid, struct err *reterr)
{
	_cleanup_close_ int process = -1;
	_cleanup_strv_ char **numbers = NULL;
	int before = smaps_write_protected(pid, reterr), left = before, r;

	if (before <= 0)
		return before;
	r = open_process(pid, &process, reterr);
	if (!r)
		r = find_userfaultfds(pid, &numbers, reterr);
	for (int i = 0; !r && left > 0 && i < ROUNDS; i++) {
		r = lift_all(pid, process, numbers, reterr);
		if (!r)
			left = smaps_write_protected(pid, reterr);
		if (left < 0)
			r = left;
	}
	if (r < 0)
		return r;
	if (left == 0)
		return before;
	return err_full(reterr, ERR_FAILED, -EBUSY, NULL, NULL, "End the guest: it cannot write to its memory",
			"%d ranges of the guest's memory in QEMU's process %d stay write-protected", left, (int)pid);
}
