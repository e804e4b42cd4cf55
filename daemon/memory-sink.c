/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pipe that libvirt saves memory into, and its reader. */
#define _GNU_SOURCE
#include "daemon/memory-sink.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/pipe-guard.h"
#include "savestate/image.h"
#include "savestate/pace.h"
#include "savestate/split.h"

#define PIPE_SIZE (1 << 20)
/* With something to be done in the guest's pause: much less than what follows the memory
 * (the devices, and their description, are 100 KiB and more), so that libvirt has to wait for us. */
#define PAUSE_PIPE_SIZE (1 << 14)
#define BUFFER_SIZE (1 << 20)
#define BREAK_MSEC 20

struct memory_sink {
	char *fifo;
	/* in is opened without waiting for a writer; keep, a write end, so that an end
	 * of file never comes between libvirt's two visits */
	int in, keep, stop;
	struct pipe_guard *guard; /* for the case that we die */
	struct split *split;
	int (*in_pause)(void *arg, struct err *reterr); /* NULL: nothing is to be done, or it was */
	void *arg;
	int paused;          /* in_pause was called */
	uint64_t pipe_bytes; /* the pipe has room for */
	uint64_t since;      /* bytes read since in_pause */
	pthread_t thread;
	int running;
	int failed; /* by __atomic: read while the thread runs */
	int broken; /* by __atomic: set while the thread runs */
	int r;      /* the thread's, after it ended */
	struct err err;
};

static char *fifo_path(const struct vmdir *dir)
{
	_cleanup_free_ char *state = vmdir_state_dir(dir);

	return path_join(state, "save.fifo");
}

int memory_sink_remove(const struct vmdir *dir, struct err *reterr)
{
	_cleanup_free_ char *fifo = fifo_path(dir);

	return file_remove(fifo, reterr);
}

/* Reads once. Returns bytes, 0 if there is nothing just now, or negative errno. */
static ssize_t read_some(int fd, void *buf, size_t len)
{
	for (;;) {
		ssize_t n = read(fd, buf, len);

		if (n >= 0)
			return n;
		if (errno == EAGAIN)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

static void take(struct memory_sink *s, const void *buf, size_t len)
{
	s->since += len;
	if (s->r < 0)
		return;
	s->r = split_feed(s->split, buf, len, &s->err);
	if (s->r == 0 && s->in_pause && !s->paused && split_guest_has_stopped(s->split)) {
		s->paused = 1;
		s->r = s->in_pause(s->arg, &s->err);
		s->since = 0;
	}
	if (s->r < 0)
		__atomic_store_n(&s->failed, 1, __ATOMIC_RELEASE);
}

/* Takes what is there. Returns 1 if there was something, 0 if not. */
static int take_some(struct memory_sink *s, void *buf)
{
	ssize_t n = read_some(s->in, buf, pace_most(BUFFER_SIZE));

	if (n > 0) {
		take(s, buf, (size_t)n);
		pace_wait((size_t)n);
	} else if (n < 0 && s->r == 0) {
		s->r = err_file(&s->err, (int)n, s->fifo, "cannot read the pipe '%s'", s->fifo);
	}
	return n > 0;
}

/* For a moment nobody reads: whoever writes gets EPIPE, and whoever would open the pipe
 * just then waits that long. The thread alone has to do with the two ends while it runs. */
static void break_pipe(struct memory_sink *s)
{
	if (s->r == 0)
		s->r = err_set(&s->err, ERR_CANCELLED, -ECANCELED, "the memory is not wanted any more");
	cleanup_close(&s->in);
	cleanup_close(&s->keep);
	nanosleep(&(struct timespec){ .tv_nsec = BREAK_MSEC * 1000000 }, NULL);
	s->in = open(s->fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	s->keep = open(s->fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
}

static void *reader_main(void *arg)
{
	struct memory_sink *s = arg;
	_cleanup_free_ char *buf = xcalloc(1, BUFFER_SIZE);
	struct pollfd fds[] = { { .fd = s->in, .events = POLLIN }, { .fd = s->stop, .events = POLLIN } };

	while (!fds[1].revents) {
		if (poll(fds, ARRAY_SIZE(fds), -1) <= 0 || !fds[0].revents)
			continue;
		if (__atomic_load_n(&s->broken, __ATOMIC_ACQUIRE))
			break_pipe(s);
		fds[0].fd = s->in;
		ignore_result(take_some(s, buf));
	}
	while (take_some(s, buf)) /* libvirt is done: what it wrote is in the pipe */
		continue;
	return NULL;
}

static int open_pipe(struct memory_sink *s, struct err *reterr)
{
	int r = file_remove(s->fifo, reterr);

	if (!r && mkfifo(s->fifo, 0600) < 0)
		r = err_file(reterr, -errno, s->fifo, "cannot make the pipe '%s'", s->fifo);
	if (r < 0)
		return r;
	s->in = open(s->fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (s->in >= 0)
		s->keep = open(s->fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	s->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->in < 0 || s->keep < 0 || s->stop < 0)
		return err_file(reterr, -errno, s->fifo, "cannot open the pipe '%s'", s->fifo);
	/* a user's pipes may be full: slower, that is all */
	ignore_result(fcntl(s->in, F_SETPIPE_SZ, s->in_pause ? PAUSE_PIPE_SIZE : PIPE_SIZE));
	s->pipe_bytes = (uint64_t)fcntl(s->in, F_GETPIPE_SZ);
	return 0;
}

static int start(struct memory_sink *s, const struct memory_sink_opts *opts, struct err *reterr)
{
	_cleanup_free_ char *vsv = xasprintf("%s.vsv", opts->path), *bin = xasprintf("%s.bin", opts->path);
	struct split_opts split = { .vsv = vsv, .bin = bin, .guid = opts->guid, .write_behind = 1 };
	int r;

	if (opts->parents) {
		split.parents = opts->parents->files;
		split.n_parents = opts->parents->n;
	}
	s->in_pause = opts->in_pause;
	s->arg = opts->arg;
	r = split_new(&split, &s->split, reterr);
	if (!r)
		r = open_pipe(s, reterr);
	if (!r)
		r = pipe_guard_start(s->fifo, &s->guard, reterr);
	if (r < 0)
		return r;
	r = pthread_create(&s->thread, NULL, reader_main, s);
	if (r)
		return err_errno(reterr, -r, "cannot start a thread");
	s->running = 1;
	return 0;
}

int memory_sink_open(const struct machine *m, const struct memory_sink_opts *opts, struct memory_sink **ret_sink,
		     struct err *reterr)
{
	_cleanup_memory_sink_ struct memory_sink *s = xcalloc(1, sizeof(*s));
	int r;

	s->in = s->keep = s->stop = -1;
	s->fifo = fifo_path(m->dir);
	r = start(s, opts, reterr);
	if (r < 0)
		return r;
	*ret_sink = TAKE_PTR(s);
	return 0;
}

const char *memory_sink_path(const struct memory_sink *sink)
{
	return sink->fifo;
}

int memory_sink_failed(struct memory_sink *sink)
{
	return __atomic_load_n(&sink->failed, __ATOMIC_ACQUIRE);
}

void memory_sink_break(struct memory_sink *sink)
{
	__atomic_store_n(&sink->broken, 1, __ATOMIC_RELEASE);
}

static void stop_reader(struct memory_sink *s)
{
	if (!s->running)
		return;
	ignore_result(eventfd_write(s->stop, 1)); /* a counter of 1 cannot overflow */
	pthread_join(s->thread, NULL);
	s->running = 0;
}

/* What was done in the pause was done in it if libvirt still had to wait for us when we
 * came back: more has come since than the pipe and the header that ends it all can have held. */
static void check_pause(struct memory_sink *s)
{
	if (s->r < 0 || !s->in_pause || (s->paused && s->since > s->pipe_bytes + IMAGE_HEADER_SIZE))
		return;
	s->r = err_full(&s->err, ERR_BACKEND, -EPROTO, NULL, NULL, "Take the snapshot with --paused",
			"the stream from QEMU does not show when the guest stood still, so that its firmware's state may "
			"be of another instant than its memory");
}

int memory_sink_drain(struct memory_sink *sink, struct err *reterr)
{
	_cleanup_err_ struct err removed = ERR_INIT;

	stop_reader(sink);
	check_pause(sink);
	if (file_remove(sink->fifo, &removed) < 0 && sink->r == 0)
		sink->r = err_move(&sink->err, &removed);
	pipe_guard_end(TAKE_PTR(sink->guard));
	return sink->r < 0 ? err_move(reterr, &sink->err) : 0;
}

int memory_sink_replace(struct memory_sink *sink, const char *block, const char *path, struct err *reterr)
{
	return split_replace(sink->split, block, path, reterr);
}

int memory_sink_finish(struct memory_sink *sink, struct job *job, struct err *reterr)
{
	struct split_result result = { 0 };
	int r = split_finish(sink->split, &result, reterr);

	if (!r && result.form != SPLIT_ALL && result.why)
		job_warn(job, "the memory is kept %s as it came: %s",
			 result.form == SPLIT_PARTLY ? "partly" : "wholly", result.why);
	split_result_done(&result);
	return r;
}

void memory_sink_free(struct memory_sink *sink)
{
	if (sink) {
		stop_reader(sink);
		if (sink->in >= 0)
			ignore_result(unlink(sink->fifo)); /* mostly gone by now */
		pipe_guard_end(sink->guard);
		cleanup_close(&sink->in);
		cleanup_close(&sink->keep);
		cleanup_close(&sink->stop);
		sink->split = split_free(sink->split);
		err_done(&sink->err);
		free(sink->fifo);
	}
	free(sink);
}

/* ---- what a killed daemon left */

/* 1 as long as the pipe has a name. */
static int is_there(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

static void *release_main(void *arg)
{
	_cleanup_free_ char *fifo = arg, *buf = xcalloc(1, BUFFER_SIZE);
	_cleanup_close_ int fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	while (fd >= 0 && is_there(fd)) {
		if (read_some(fd, buf, BUFFER_SIZE) <= 0)
			nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	}
	return NULL;
}

void memory_sink_release(const struct vmdir *dir)
{
	char *fifo = fifo_path(dir);
	struct stat st;
	pthread_t thread;

	if (lstat(fifo, &st) == 0 && S_ISFIFO(st.st_mode) && pthread_create(&thread, NULL, release_main, fifo) == 0)
		pthread_detach(thread);
	else
		cleanup_free(&fifo);
}
