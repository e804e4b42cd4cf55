/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Removes large files without waiting for the file system to take their blocks back. */
#define _GNU_SOURCE /* O_PATH */
#include "common/remove.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fileio.h"

#define LARGE (16 << 20) /* bytes; less is given back in no time */

static void *close_main(void *arg)
{
	close((int)(intptr_t)arg);
	return NULL;
}

/* Closes fd (*taken*) in a thread that nobody waits for; here if there cannot be one. */
static void close_behind(int fd)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_attr_init(&attr) == 0) {
		if (pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0 &&
		    pthread_create(&thread, &attr, close_main, (void *)(intptr_t)fd) == 0)
			fd = -1;
		pthread_attr_destroy(&attr);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	cleanup_close(&fd);
}

int file_remove_behind(const char *path, struct err *reterr)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r = file_remove(path, reterr);

	if (r >= 0 && fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_blocks * INT64_C(512) >= LARGE)
		close_behind(TAKE_FD(fd));
	return r;
}
