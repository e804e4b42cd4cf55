/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MADV_COLLAPSE on another process's memory (Linux 6.1). */
#define _GNU_SOURCE
#include "daemon/collapse.h"

#include <sys/syscall.h>
#include <sys/uio.h>

#include "common/alloc.h"
#include "daemon/smaps.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define HUGE_PAGE (UINT64_C(2) << 20)
#define LARGE (UINT64_C(64) << 20) /* smaller mappings are not the guest's memory, or do not matter */

static int is_worth(const struct mapping *m)
{
	uint64_t size = m->end - m->start;

	return m->anonymous && m->writable && !m->shared && size >= LARGE && m->resident >= size / 4 * 3;
}

/* Collapses one mapping, huge page by huge page: each call holds the process up for no
 * longer than it copies one. Returns 0, 1 if poll() said stop, or negative errno. */
static int collapse_mapping(int process, const struct mapping *m, int (*poll)(void *arg), void *arg, int64_t *bytes)
{
	for (uint64_t at = (m->start + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE; at + HUGE_PAGE <= m->end;
	     at += HUGE_PAGE) {
		struct iovec range = { .iov_base = (void *)(uintptr_t)at, .iov_len = HUGE_PAGE };

		if (poll && poll(arg) != 0)
			return 1;
		if (syscall(SYS_process_madvise, process, &range, 1UL, MADV_COLLAPSE, 0U) >= 0)
			*bytes += (int64_t)HUGE_PAGE;
		else if (errno == EPERM || errno == ENOSYS || errno == ESRCH)
			return -errno;
		/* others are of this range alone: EINVAL (code of TCG, or a kernel without it), EAGAIN */
	}
	return 0;
}

int collapse_memory(pid_t pid, int (*poll)(void *arg), void *arg, int64_t *ret_bytes, struct err *reterr)
{
	_cleanup_close_ int process = (int)syscall(SYS_pidfd_open, pid, 0U);
	_cleanup_free_ struct mapping *list = NULL;
	int64_t bytes = 0;
	size_t n = 0;
	int r;

	if (process < 0)
		return err_errno(reterr, -errno, "cannot get hold of QEMU's process %d", (int)pid);
	r = smaps_read(pid, &list, &n, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < n; i++)
		if (is_worth(&list[i]))
			r = collapse_mapping(process, &list[i], poll, arg, &bytes);
	if (r < 0)
		return err_errno(reterr, r == -ENOSYS ? -EOPNOTSUPP : r,
				 "cannot make huge pages of the memory of QEMU's process %d", (int)pid);
	*ret_bytes = bytes;
	return 0;
}
