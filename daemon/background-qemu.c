/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QEMU's process: where its migration's thread waits, and its limit of descriptors. */
#define _GNU_SOURCE
#include "daemon/background-qemu.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>

#include "common/alloc.h"
#include "common/fileio.h"

#define NO_FILES 3 /* 0 to 2 are open already */
#define WORD_MAX 64
#define LIMITS_MAX 8192 /* bytes of /proc/PID/limits */
#define LIMIT_NAME "Max open files"

/* A word in a file of /proc, which has no size; "" if it cannot be read. */
static void read_word(const char *dir, const char *task, const char *name, char buf[WORD_MAX])
{
	_cleanup_free_ char *path = xasprintf("%s/%s/%s", dir, task, name);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, WORD_MAX - 1);

	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

int background_is_held(pid_t pid)
{
	_cleanup_free_ char *dir = xasprintf("/proc/%d/task", (int)pid);
	_cleanup_strv_ char **tasks = NULL;
	char word[WORD_MAX];

	if (pid <= 0 || dir_list(dir, &tasks, NULL) < 0)
		return 0;
	for (char **task = tasks; task && *task; task++) {
		read_word(dir, *task, "comm", word); /* QEMU's name for it; libvirt has it name its threads */
		if (strcmp(word, "bg_snapshot") != 0)
			continue;
		read_word(dir, *task, "wchan", word); /* pipe_write, in newer kernels anon_pipe_write */
		if (strstr(word, "pipe_write"))
			return 1;
	}
	return 0;
}

static int set_limit(pid_t pid, const struct rlimit *limit, struct err *reterr)
{
	if (prlimit(pid, RLIMIT_NOFILE, limit, NULL) == 0)
		return 0;
	return err_errno(reterr, -errno, "cannot set the limit of descriptors of QEMU's process %d", (int)pid);
}

/* As the kernel tells anybody. Returns 0 or -1. */
static int read_limit(pid_t pid, struct rlimit *ret_limit)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/limits", (int)pid), *text = NULL;
	const char *line;
	unsigned long soft, hard;

	if (file_read(path, LIMITS_MAX, &text, NULL, NULL) < 0)
		return -1;
	line = strstr(text, LIMIT_NAME);
	if (!line || sscanf(line, LIMIT_NAME "%lu %lu", &soft, &hard) != 2)
		return -1; /* or it is "unlimited", which the kernel does not allow for descriptors */
	*ret_limit = (struct rlimit){ .rlim_cur = soft, .rlim_max = hard };
	return 0;
}

/* Another user's is not told by prlimit() without CAP_SYS_RESOURCE, which containers lack. */
static int get_limit(pid_t pid, struct rlimit *ret_limit, struct err *reterr)
{
	if (prlimit(pid, RLIMIT_NOFILE, NULL, ret_limit) == 0 || (errno == EPERM && read_limit(pid, ret_limit) == 0))
		return 0;
	return err_errno(reterr, -errno, "cannot read the limit of descriptors of QEMU's process %d", (int)pid);
}

int background_forbid_files(pid_t pid, unsigned long *ret_limit, struct err *reterr)
{
	struct rlimit limit;
	int r = get_limit(pid, &limit, reterr);

	if (r < 0)
		return r;
	*ret_limit = limit.rlim_cur == NO_FILES ? 0 : limit.rlim_cur;
	limit.rlim_cur = NO_FILES;
	return set_limit(pid, &limit, reterr);
}

int background_allow_files(pid_t pid, unsigned long former, struct err *reterr)
{
	struct rlimit limit;
	int r = get_limit(pid, &limit, reterr);

	if (r < 0 || limit.rlim_cur != NO_FILES)
		return r;
	limit.rlim_cur = former ? former : limit.rlim_max;
	return set_limit(pid, &limit, reterr);
}
