/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmsnap-capture as the guard of a pipe. */
#define _GNU_SOURCE
#include "daemon/pipe-guard.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/alloc.h"
#include "daemon/spawn.h"
#include "savestate/guard.h"

struct pipe_guard {
	pid_t pid;
	int control; /* our end; closed by the kernel if we die, which is the sign */
};

/* Its ends: that of the control pipe, and the pipe itself (not opened, only held). */
static int make_ends(const char *path, int *ret_ours, int *ret_theirs, int *ret_pipe)
{
	_cleanup_close_ int held = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), theirs = -1;
	int fds[2];

	if (held < 0 || pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	theirs = fds[0];
	*ret_ours = fds[1];
	*ret_theirs = spawn_raise_fd(theirs);
	*ret_pipe = spawn_raise_fd(held);
	return *ret_theirs < 0 || *ret_pipe < 0 ? -errno : 0;
}

int pipe_guard_start(const char *path, struct pipe_guard **ret_guard, struct err *reterr)
{
	_cleanup_close_ int ours = -1, theirs = -1, pipe_fd = -1;
	_cleanup_strv_ char **argv = NULL;
	struct pipe_guard *guard;
	struct spawn_fd fds[2];
	pid_t pid;
	int r = make_ends(path, &ours, &theirs, &pipe_fd);

	if (r < 0)
		return err_file(reterr, r, path, "cannot guard the pipe '%s'", path);
	strv_push(&argv, xstrdup(spawn_capture_program()));
	strv_push(&argv, xstrdup(GUARD_ARGUMENT));
	fds[0] = (struct spawn_fd){ theirs, STDIN_FILENO };
	fds[1] = (struct spawn_fd){ pipe_fd, GUARD_PIPE_FD };
	r = spawn_session(argv, fds, ARRAY_SIZE(fds), &pid, reterr);
	if (r < 0)
		return r;
	guard = xcalloc(1, sizeof(*guard));
	guard->pid = pid;
	guard->control = TAKE_FD(ours);
	*ret_guard = guard;
	return 0;
}

void pipe_guard_end(struct pipe_guard *guard)
{
	const char word = GUARD_DONE;

	if (!guard)
		return;
	ignore_result((int)write(guard->control, &word, 1)); /* it may have been killed */
	cleanup_close(&guard->control);
	while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(guard);
}
