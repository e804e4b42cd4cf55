/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who reads the pipe of a background capture when vmsnap-capture does not. QEMU is not asked
 * whether it is needed: where the thread that would answer touches memory that has not gone out
 * yet, it answers nothing until somebody reads. */
#define _GNU_SOURCE
#include "daemon/background-standby.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/background-priv.h"

#define STEP_MSEC 20
#define BUFFER_SIZE (1 << 16)
#define IO_MAX 4096 /* bytes of /proc/PID/io */

struct background_standby {
	char *dir;
	int fd; /* of the pipe, to read */
	enum standby_when when;
	int64_t stall_usec;
	int stop;     /* by __atomic */
	int detached; /* nobody will stop it: the thread frees it */
	pthread_t thread;
	uint64_t seen;   /* bytes that the reader had read when it was looked at last */
	int64_t changed; /* and when that was other than before; 0: not yet */
};

static void standby_free(struct background_standby *s)
{
	cleanup_close(&s->fd);
	free(s->dir);
	free(s);
}

static int has_name(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

/* Bytes that a process has read so far. Returns 0, or -1 if the kernel does not tell. */
static int bytes_read(pid_t pid, uint64_t *ret_bytes)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/io", (int)pid), *text = NULL;
	unsigned long long bytes;

	if (file_read(path, IO_MAX, &text, NULL, NULL) < 0 || sscanf(text, "rchar: %llu", &bytes) != 1)
		return -1;
	*ret_bytes = bytes;
	return 0;
}

/* 1 if bytes wait in the pipe and QEMU has not closed it. */
static int is_waited_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0 && (p.revents & POLLIN) && !(p.revents & POLLHUP);
}

/* Ends a reader that has left what is in the pipe there for too long. */
static void watch_reader(struct background_standby *s)
{
	pid_t pid = background_reader_pid(s->dir);
	uint64_t bytes;

	if (pid <= 0 || bytes_read(pid, &bytes) < 0)
		return;
	if (!s->changed || bytes != s->seen || !is_waited_for(s->fd)) {
		s->seen = bytes;
		s->changed = time_mono_usec();
	} else if (time_mono_usec() - s->changed > s->stall_usec) {
		log_warning("vmsnap-capture does not read what comes into '%s'; it is ended", s->dir);
		background_reader_kill(s->dir);
		s->changed = 0;
	}
}

/* Drops what is there, or waits a moment for it. */
static void drop_some(const struct background_standby *s, void *buf)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	ssize_t n = read(s->fd, buf, BUFFER_SIZE);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		background_wait(STEP_MSEC); /* nobody writes now */
	else if (n < 0)
		ignore_result(poll(&p, 1, STEP_MSEC));
}

static void *standby_main(void *arg)
{
	struct background_standby *s = arg;
	_cleanup_free_ char *buf = xcalloc(1, BUFFER_SIZE);

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE) && (!s->detached || has_name(s->fd))) {
		if (s->when == STANDBY_ALWAYS || capture_is_running(s->dir) == 0) {
			drop_some(s, buf);
			continue;
		}
		if (s->stall_usec)
			watch_reader(s);
		background_wait(STEP_MSEC);
	}
	if (s->detached)
		standby_free(s);
	return NULL;
}

static struct background_standby *start(const char *dir, enum standby_when when, int stall_msec, int detached)
{
	struct background_standby *s = xcalloc(1, sizeof(*s));
	_cleanup_free_ char *path = path_join(dir, CAPTURE_PIPE);

	s->dir = xstrdup(dir);
	s->when = when;
	s->stall_usec = stall_msec * INT64_C(1000);
	s->detached = detached;
	s->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (s->fd >= 0 && pthread_create(&s->thread, NULL, standby_main, s) == 0)
		return s;
	if (s->fd >= 0 || errno != ENOENT)
		log_warning("nobody stands by to read the pipe '%s'", path);
	standby_free(s);
	return NULL;
}

struct background_standby *background_standby_start(const char *dir, enum standby_when when, int stall_msec)
{
	return start(dir, when, stall_msec, 0);
}

int background_standby_saw_end(const struct background_standby *standby)
{
	struct pollfd p = { .fd = standby->fd };

	return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
}

void background_standby_stop(struct background_standby *standby)
{
	if (!standby)
		return;
	__atomic_store_n(&standby->stop, 1, __ATOMIC_RELEASE);
	pthread_join(standby->thread, NULL);
	standby_free(standby);
}

void background_release(const char *dir)
{
	_cleanup_free_ char *path = path_join(dir, CAPTURE_PIPE);
	struct background_standby *s = path_exists(path) == 1 ? start(dir, STANDBY_ALONE, 0, 1) : NULL;

	if (s)
		pthread_detach(s->thread);
}
