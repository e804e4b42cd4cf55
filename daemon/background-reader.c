/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmsnap-capture as the daemon starts it and listens to it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "daemon/background-priv.h"
#include "daemon/spawn.h"

#define READY_MSEC 10000 /* to open two files and those of the parents */
#define PID_TEXT_MAX 32

/* Its ends, until it has them. */
struct ends {
	int control, answers, pipe, lock;
};

static void ends_done(struct ends *e)
{
	cleanup_close(&e->control);
	cleanup_close(&e->answers);
	cleanup_close(&e->pipe);
	cleanup_close(&e->lock);
}

/* A pipe to or from it: their_end is 0 (it reads) or 1. */
static int make_pipe(int their_end, int *ret_ours, int *ret_theirs)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*ret_ours = fds[!their_end];
	*ret_theirs = spawn_raise_fd(fds[their_end]);
	cleanup_close(&fds[their_end]);
	return *ret_theirs < 0 ? -errno : 0;
}

/* The lock is taken here and goes over to it, so that there is no moment without. */
static int make_ends(const struct capture_spec *spec, int pipe_fd, struct ends *e, struct background_reader *reader,
		     struct err *reterr)
{
	_cleanup_close_ int lock = -1;
	int r = capture_lock(spec->dir, &lock, reterr);

	if (r < 0)
		return r;
	e->lock = spawn_raise_fd(lock);
	e->pipe = spawn_raise_fd(pipe_fd);
	r = e->lock < 0 || e->pipe < 0 ? -errno : make_pipe(0, &reader->control, &e->control);
	if (!r)
		r = make_pipe(1, &reader->answers, &e->answers);
	return r < 0 ? err_errno(reterr, r, "cannot make the pipes of vmsnap-capture") : 0;
}

/* Whatever else is open is closed at the exec. */
static int spawn(char **argv, const struct ends *e, pid_t *ret_pid, struct err *reterr)
{
	const struct spawn_fd moves[] = { { e->control, STDIN_FILENO },
					  { e->answers, STDOUT_FILENO },
					  { e->pipe, CAPTURE_PIPE_FD },
					  { e->lock, CAPTURE_LOCK_FD } };

	return spawn_session(argv, moves, ARRAY_SIZE(moves), ret_pid, reterr);
}

/* For people, and for background_reader_pid(). */
static int note_pid(int lock_fd, pid_t pid)
{
	return ftruncate(lock_fd, 0) < 0 || dprintf(lock_fd, "%d\n", (int)pid) < 0 ? -errno : 0;
}

pid_t background_reader_pid(const char *dir)
{
	_cleanup_free_ char *lock = path_join(dir, CAPTURE_LOCK), *text = NULL, *link = NULL;
	struct stat ours, theirs;
	long pid;

	if (file_read(lock, PID_TEXT_MAX, &text, NULL, NULL) < 0)
		return 0;
	pid = strtol(text, NULL, 10);
	link = xasprintf("/proc/%ld/fd/%d", pid, CAPTURE_LOCK_FD);
	/* its number may be another's by now: only it has the lock file there */
	if (pid > 1 && stat(lock, &ours) == 0 && stat(link, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
	    ours.st_ino == theirs.st_ino)
		return (pid_t)pid;
	return 0;
}

void background_reader_kill(const char *dir)
{
	pid_t pid = background_reader_pid(dir);

	if (pid > 0)
		kill(pid, SIGKILL);
}

static void collect(struct background_reader *reader)
{
	while (reader->pid > 0 && waitpid(reader->pid, NULL, 0) < 0 && errno == EINTR)
		;
	reader->pid = 0;
	reader->ended = 1;
}

/* One answer, waited for up to msec; 0: none came, or it is gone. */
static char take_answer(struct background_reader *reader, int msec)
{
	struct pollfd p = { .fd = reader->answers, .events = POLLIN };
	char c;

	if (reader->ended || poll(&p, 1, msec) <= 0)
		return 0;
	if (read(reader->answers, &c, 1) == 1)
		return c;
	collect(reader);
	return 0;
}

/* It ended without a word: its result says why. */
static int why_it_ended(const char *dir, struct err *reterr)
{
	_cleanup_(capture_result_done) struct capture_result result = { 0 };
	_cleanup_err_ struct err ignored = ERR_INIT;

	if (capture_result_read(dir, &result, &ignored) == 0 && err_is_set(&result.err))
		return err_move(reterr, &result.err);
	return err_set(reterr, ERR_FAILED, -EIO, "vmsnap-capture ended before it was ready");
}

int background_reader_start(const char *program, const struct capture_spec *spec, int pipe_fd,
			    struct background_reader *ret_reader, struct err *reterr)
{
	_cleanup_(ends_done) struct ends ends = { -1, -1, -1, -1 };
	_cleanup_(background_reader_done) struct background_reader reader = BACKGROUND_READER_INIT;
	_cleanup_strv_ char **argv = NULL;
	int r;

	argv = capture_argv(program ? program : spawn_capture_program(), spec);
	r = make_ends(spec, pipe_fd, &ends, &reader, reterr);
	if (!r)
		r = spawn(argv, &ends, &reader.pid, reterr);
	if (!r && note_pid(ends.lock, reader.pid) < 0)
		log_debug("the lock file in '%s' has no process number", spec->dir);
	ends_done(&ends);
	if (r < 0)
		return r;
	if (take_answer(&reader, READY_MSEC) != CAPTURE_SAY_READY) {
		if (reader.ended)
			return why_it_ended(spec->dir, reterr);
		kill(reader.pid, SIGKILL); /* nobody writes to the pipe yet */
		return err_set(reterr, ERR_FAILED, -ETIMEDOUT, "vmsnap-capture was not ready within %d seconds",
			       READY_MSEC / 1000);
	}
	*ret_reader = reader;
	reader = (struct background_reader)BACKGROUND_READER_INIT;
	return 0;
}

int background_reader_go(struct background_reader *reader, struct err *reterr)
{
	const char word = CAPTURE_GO;

	if (!reader->ended && write(reader->control, &word, 1) == 1)
		return 0;
	return err_set(reterr, ERR_FAILED, -EPIPE, "vmsnap-capture is gone");
}

void background_reader_drop(struct background_reader *reader)
{
	cleanup_close(&reader->control);
}

void background_reader_listen(struct background_reader *reader, int msec)
{
	char c;

	if (reader->ended)
		background_wait(msec);
	while ((c = take_answer(reader, msec)) != 0) {
		reader->flowing |= c == CAPTURE_SAY_FLOWING;
		reader->read |= c == CAPTURE_SAY_READ;
		msec = 0;
	}
}

void background_reader_done(struct background_reader *reader)
{
	cleanup_close(&reader->control);
	collect(reader);
	cleanup_close(&reader->answers);
}
