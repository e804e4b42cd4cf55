/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs of ours in sessions of their own. */
#define _GNU_SOURCE
#include "config.h"

#include "daemon/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <unistd.h>

#define ABOVE 10 /* clear of the numbers that programs have theirs under */

int spawn_raise_fd(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, ABOVE);
}

const char *spawn_capture_program(void)
{
	const char *named = getenv("VMSNAP_CAPTURE");

	return named && *named ? named : LIBEXECDIR "/vmsnap-capture";
}

static int set_attributes(posix_spawnattr_t *attr)
{
	sigset_t all, none;
	int r;

	sigfillset(&all);
	sigemptyset(&none);
	r = posix_spawnattr_setsigdefault(attr, &all);
	if (!r)
		r = posix_spawnattr_setsigmask(attr, &none);
	if (!r)
		r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	return r;
}

static int set_files(posix_spawn_file_actions_t *actions, const struct spawn_fd *fds, size_t n)
{
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		r = posix_spawn_file_actions_adddup2(actions, fds[i].from, fds[i].to);
	return r;
}

int spawn_session(char **argv, const struct spawn_fd *fds, size_t n, pid_t *ret_pid, struct err *reterr)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	pid_t pid;
	int r = posix_spawn_file_actions_init(&actions);

	if (r)
		return err_errno(reterr, -r, "cannot start %s", argv[0]);
	r = posix_spawnattr_init(&attr);
	if (!r) {
		r = set_attributes(&attr);
		if (!r)
			r = set_files(&actions, fds, n);
		if (!r)
			r = posix_spawn(&pid, argv[0], &actions, &attr, argv, environ);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&actions);
	if (r) {
		r = err_file(reterr, -r, argv[0], "cannot start '%s'", argv[0]);
		err_hint(reterr, "Install vmsnap completely, or name the program in VMSNAP_CAPTURE");
		return r;
	}
	*ret_pid = pid;
	return 0;
}
