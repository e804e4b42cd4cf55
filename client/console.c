/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's serial console on the user's terminal. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>

#include "client/console.h"
#include "common/alloc.h"
#include "common/fileio.h"

#define KEY_LEAVE 0x1d /* Ctrl-] */

static volatile sig_atomic_t ended;

static void on_end(int sig _unused_)
{
	ended = 1;
}

/* The user's terminal as it was. */
struct raw {
	struct termios before;
	int active;
};

static void raw_done(struct raw *raw)
{
	if (raw->active)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &raw->before);
	raw->active = 0;
}

static int raw_begin(struct raw *raw, struct err *reterr)
{
	struct sigaction action = { .sa_handler = on_end };
	struct termios now;

	if (!isatty(STDIN_FILENO))
		return 0;
	if (tcgetattr(STDIN_FILENO, &raw->before) < 0)
		return err_errno(reterr, errno, "cannot read the settings of your terminal");
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	now = raw->before;
	cfmakeraw(&now);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &now) < 0)
		return err_errno(reterr, errno, "cannot make your terminal raw");
	raw->active = 1;
	return 0;
}

static int open_console(const char *path, int *ret_fd, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	struct termios settings;

	fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		int code = errno;

		err_file(reterr, code, path, "cannot open the console '%s'", path);
		if (code == EACCES)
			err_hint(reterr, "The terminal belongs to the guest's process: run this as root.");
		return -code;
	}
	if (!isatty(fd)) {
		err_set(reterr, ERR_REFUSED, -ENOTTY, "the console is written to the file '%s'", path);
		err_hint(reterr, "Read it with 'tail -f'.");
		return -ENOTTY;
	}
	if (tcgetattr(fd, &settings) == 0) {
		cfmakeraw(&settings);
		tcsetattr(fd, TCSANOW, &settings);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Waits until fd takes bytes and writes them all. */
static int write_patiently(int fd, const char *data, size_t len)
{
	while (len > 0 && !ended) {
		ssize_t n = write(fd, data, len);

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
			continue;
		}
		if (errno == EAGAIN) {
			struct pollfd p = { .fd = fd, .events = POLLOUT };

			ignore_result(poll(&p, 1, -1)); /* the next write tells */
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

/* Moves what the user typed. Returns 1 to go on, 0 at the end, or negative errno. */
static int move_input(int fd)
{
	char data[1024];
	ssize_t n = read(STDIN_FILENO, data, sizeof(data));
	char *leave;
	int r;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 : -errno;
	leave = memchr(data, KEY_LEAVE, (size_t)n);
	r = write_patiently(fd, data, leave ? (size_t)(leave - data) : (size_t)n);
	return r < 0 ? r : n > 0 && !leave;
}

/* Moves what the guest wrote. Returns as move_input(). */
static int move_output(int fd)
{
	char data[4096];
	ssize_t n = read(fd, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 1;
	if (n < 0)
		return errno == EIO ? 0 : -errno; /* EIO: the guest has gone */
	if (n == 0)
		return 0;
	return write_all(STDOUT_FILENO, data, (size_t)n) < 0 ? -errno : 1;
}

static int move_both(int fd)
{
	struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
	int r = 1;

	while (r > 0 && !ended) {
		if (poll(p, 2, -1) < 0) {
			r = errno == EINTR ? 1 : -errno;
			continue;
		}
		if (p[1].revents)
			r = move_output(fd);
		if (r > 0 && p[0].revents)
			r = move_input(fd);
	}
	return r < 0 ? r : 0;
}

int console_run(const char *path, int quiet, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	_cleanup_(raw_done) struct raw raw = { .active = 0 };
	int r;

	r = open_console(path, &fd, reterr);
	if (r < 0)
		return r;
	if (!quiet)
		fprintf(stderr, "Connected to %s; Ctrl-] leaves.\n", path);
	r = raw_begin(&raw, reterr);
	if (r < 0)
		return r;
	r = move_both(fd);
	raw_done(&raw);
	if (!quiet)
		fputs("\nLeft the console.\n", stderr);
	return r < 0 ? err_errno(reterr, r, "the connection to the console '%s' broke", path) : 0;
}
