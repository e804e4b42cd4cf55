/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Standard input and output as a Varlink connection, for use over ssh. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "client/bridge.h"

/* One direction. Bytes wait in the buffer until the other side takes them. */
struct flow {
	int from, to;
	int to_is_socket;
	int eof, ended; /* no more comes; and that has been passed on */
	size_t start, len;
	char data[65536];
};

int bridge_connect(const char *address, int *ret_fd, struct err *reterr)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = strncmp(address, "unix:", 5) == 0 ? address + 5 : address;
	_cleanup_close_ int fd = -1;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(reterr, ERR_INVALID, -ENAMETOOLONG, "the socket path '%s' is too long", path);
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(reterr, errno, "cannot make a socket");
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		int code = errno;

		err_file(reterr, code, path, "cannot connect to the daemon at '%s'", path);
		if (code == ENOENT || code == ECONNREFUSED)
			err_hint(reterr, "Is vmsnapd running? 'systemctl status vmsnapd' tells.");
		return -code;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Reads if there is room. Returns 0 or negative errno. */
static int flow_fill(struct flow *f)
{
	ssize_t n = read(f->from, f->data, sizeof(f->data));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	f->eof = n == 0;
	f->start = 0;
	f->len = (size_t)n;
	return 0;
}

/* Writes what waits without blocking a socket. Returns 0 or negative errno. */
static int flow_drain(struct flow *f)
{
	ssize_t n;

	if (f->to_is_socket)
		n = send(f->to, f->data + f->start, f->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else /* a pipe that poll() calls writable takes that much without blocking */
		n = write(f->to, f->data + f->start, f->len < PIPE_BUF ? f->len : PIPE_BUF);
	if (n < 0 && f->to_is_socket && errno == EPIPE) {
		f->len = 0; /* the daemon reads no more, but may have answered */
		f->eof = f->ended = 1;
		return 0;
	}
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	f->start += (size_t)n;
	f->len -= (size_t)n;
	return 0;
}

static void flow_end(struct flow *f)
{
	if (f->to_is_socket)
		shutdown(f->to, SHUT_WR);
	f->ended = 1;
}

static int flow_step(struct flow *f, short in, short out)
{
	int r = 0;

	if (f->len == 0 && !f->eof && in)
		r = flow_fill(f);
	else if (f->len > 0 && out)
		r = flow_drain(f);
	if (r == 0 && f->eof && f->len == 0 && !f->ended)
		flow_end(f);
	return r;
}

/* Waits until one of the flows can move. Fills p: from and to of both. */
static int wait_for_both(struct flow *const flows[2], struct pollfd p[4])
{
	for (int i = 0; i < 2; i++) {
		struct flow *f = flows[i];
		int read_on = !f->ended && !f->eof && f->len == 0, write_on = f->len > 0;

		p[2 * i] = (struct pollfd){ .fd = read_on ? f->from : -1, .events = POLLIN };
		p[2 * i + 1] = (struct pollfd){ .fd = write_on ? f->to : -1, .events = POLLOUT };
	}
	return poll(p, 4, -1) < 0 && errno != EINTR ? -errno : 0;
}

int bridge_run(int in_fd, int out_fd, int sock_fd, struct err *reterr)
{
	struct flow up = { .from = in_fd, .to = sock_fd, .to_is_socket = 1 };
	struct flow down = { .from = sock_fd, .to = out_fd };
	struct flow *const flows[2] = { &up, &down };
	int r = 0;

	/* The daemon's end is the end: nobody would answer what still comes. */
	while (r == 0 && !down.ended) {
		struct pollfd p[4];

		r = wait_for_both(flows, p);
		for (int i = 0; i < 2 && r == 0; i++)
			r = flow_step(flows[i], p[2 * i].revents, p[2 * i + 1].revents);
	}
	return r < 0 ? err_errno(reterr, r, "the connection to the daemon broke") : 0;
}
