/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guard of a pipe whose daemon may die. */
#define _GNU_SOURCE
#include "savestate/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"

#define OFTEN_MSEC 20
#define OFTEN_TURNS 3000   /* a minute: whatever libvirt was at has come to its end */
#define SELDOM_MSEC 500    /* nothing is left to be expected, but nothing shall hang */
#define NAMELESS_TURNS 25  /* for one that opened the pipe just before its name went */

/* Waits for a word. Returns 1 if the daemon is done, 0 if it died. */
static int await_word(void)
{
	char word;
	ssize_t n;

	do
		n = read(STDIN_FILENO, &word, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 && word == GUARD_DONE;
}

/* Both ends come and go: whoever waits in open(), for either, goes on and finds nobody. */
static void let_go(void)
{
	char self[32];
	_cleanup_close_ int fd = -1;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", GUARD_PIPE_FD);
	fd = open(self, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

static int has_name(void)
{
	struct stat st;

	return fstat(GUARD_PIPE_FD, &st) == 0 && st.st_nlink > 0;
}

int guard_run(struct err *reterr)
{
	struct stat st;
	int left = NAMELESS_TURNS;

	if (fstat(GUARD_PIPE_FD, &st) < 0 || !S_ISFIFO(st.st_mode))
		return err_set(reterr, ERR_INVALID, -EBADF, "vmsnap-capture was started without a pipe to guard");
	if (await_word())
		return 0;
	for (int turn = 0; left > 0; turn += turn < OFTEN_TURNS) {
		long msec = turn < OFTEN_TURNS ? OFTEN_MSEC : SELDOM_MSEC;

		let_go();
		nanosleep(&(struct timespec){ .tv_sec = msec / 1000, .tv_nsec = msec % 1000 * 1000000 }, NULL);
		left = has_name() ? NAMELESS_TURNS : left - 1;
	}
	return 0;
}
