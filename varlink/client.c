/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A blocking client: connect, send one call, read its replies. */
#include "varlink/client.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/alloc.h"
#include "common/timefmt.h"
#include "varlink/frame.h"

#define READ_BYTES (64 * 1024)

struct vl_client {
	int fd;
	char *path; /* for messages */
	struct frame *frame;
	char *buf;
};

/* Fills addr from an address; "@" stands for the abstract name space. */
static int parse_address(const char *address, struct sockaddr_un *ret_addr, socklen_t *ret_len, struct err *reterr)
{
	const char *path = strncmp(address, "unix:", 5) == 0 ? address + 5 : address;
	size_t len = path == address ? strlen(path) : strcspn(path, ";"); /* properties follow ";" */
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (len == 0)
		return err_set(reterr, ERR_INVALID, -EINVAL, "the address '%s' names no socket", address);
	if (len >= sizeof(addr.sun_path))
		return err_set(reterr, ERR_INVALID, -ENAMETOOLONG,
			       "the path of the socket '%s' is longer than the %zu bytes that a socket's path can have",
			       path, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, len);
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	if (path[0] == '@') {
		addr.sun_path[0] = '\0';
		(*ret_len)--;
	}
	*ret_addr = addr;
	return 0;
}

/* Waits for events on the connection until deadline (us of the monotonic clock,
 * -1: for ever). Returns 1, 0 on a timeout, or negative errno. */
static int wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	int timeout = -1, r;

	if (deadline >= 0) {
		int64_t left = deadline - time_mono_usec();

		timeout = left <= 0 ? 0 : (int)((left + 999) / 1000);
	}
	r = poll(&p, 1, timeout);
	return r < 0 ? -errno : r;
}

/* Finishes a connect() that a signal or a full backlog has put off. */
static int finish_connect(int fd)
{
	socklen_t len = sizeof(int);
	int r, error = 0;

	do
		r = wait_for(fd, POLLOUT, -1);
	while (r == -EINTR);
	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static int connect_failed(int code, const char *path, struct err *reterr)
{
	if (code == -ENOENT || code == -ECONNREFUSED)
		return err_full(reterr, ERR_FAILED, code, NULL, path,
				"Is vmsnapd running? 'systemctl start vmsnapd.socket' starts it.",
				"cannot connect to the daemon: nobody listens on '%s'", path);
	if (code == -EACCES || code == -EPERM)
		return err_full(reterr, ERR_PERMISSION, code, NULL, path,
				"Be root or a member of the socket's group, or name another socket.",
				"cannot connect to the daemon: the socket '%s' may not be used by you", path);
	return err_file(reterr, code, path, "cannot connect to the daemon's socket '%s'", path);
}

int vl_client_connect(const char *address, struct vl_client **ret_client, struct err *reterr)
{
	_cleanup_(vl_client_closep) struct vl_client *c = NULL;
	struct sockaddr_un addr;
	socklen_t len = 0;
	int r;

	r = parse_address(address, &addr, &len, reterr);
	if (r < 0)
		return r;
	c = xcalloc(1, sizeof(*c));
	c->path = xstrdup(strncmp(address, "unix:", 5) == 0 ? address + 5 : address);
	c->frame = frame_new(VL_MAX_REPLY);
	c->buf = xcalloc(1, READ_BYTES);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return err_errno(reterr, -errno, "cannot create a socket");
	if (connect(c->fd, (struct sockaddr *)&addr, len) < 0) {
		r = errno == EINTR ? finish_connect(c->fd) : -errno;
		if (r < 0)
			return connect_failed(r, c->path, reterr);
	}
	*ret_client = TAKE_PTR(c);
	return 0;
}

void vl_client_close(struct vl_client *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	frame_free(c->frame);
	free(c->path);
	free(c->buf);
	free(c);
}

/* Words for a connection that ended under us. */
static int connection_failed(struct vl_client *c, int code, struct err *reterr)
{
	if (code == -EPIPE || code == -ECONNRESET)
		return err_set(reterr, ERR_FAILED, -ECONNRESET,
			       "the daemon at '%s' refused the message or closed the connection", c->path);
	return err_file(reterr, code, c->path, "the connection to the daemon at '%s' failed", c->path);
}

int vl_client_send(struct vl_client *c, const char *method, json_t *parameters, int more, struct err *reterr)
{
	_cleanup_free_ char *text = vl_call_format(method, parameters, more, 0);
	size_t len = strlen(text) + 1; /* the NUL ends the message */

	for (size_t done = 0; done < len;) {
		ssize_t n = send(c->fd, text + done, len - done, MSG_NOSIGNAL);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR) /* half a call is of no use: a signal does not stop it */
			return connection_failed(c, -errno, reterr);
	}
	return 0;
}

/* Reads what is there into the splitter. */
static int read_some(struct vl_client *c, struct err *reterr)
{
	ssize_t n = recv(c->fd, c->buf, READ_BYTES, 0);

	if (n < 0 && errno == EINTR)
		return err_set(reterr, ERR_CANCELLED, -EINTR, "a signal came while waiting for the daemon's reply");
	if (n < 0)
		return connection_failed(c, -errno, reterr);
	if (n == 0)
		return connection_failed(c, -ECONNRESET, reterr);
	if (frame_feed(c->frame, c->buf, (size_t)n) < 0)
		return err_set(reterr, ERR_BAD_DATA, -EMSGSIZE, "the daemon's reply is larger than 16 MiB");
	return 0;
}

/* Waits until the splitter holds a whole message. */
static int next_message(struct vl_client *c, int64_t deadline, const char **ret_msg, size_t *ret_len,
			struct err *reterr)
{
	int r;

	while ((r = frame_next(c->frame, ret_msg, ret_len)) == 0) {
		r = wait_for(c->fd, POLLIN, deadline);
		if (r == -EINTR)
			return err_set(reterr, ERR_CANCELLED, -EINTR,
				       "a signal came while waiting for the daemon's reply");
		if (r < 0)
			return connection_failed(c, r, reterr);
		if (r == 0)
			return err_set(reterr, ERR_FAILED, -ETIMEDOUT, "the daemon at '%s' did not reply in time",
				       c->path);
		r = read_some(c, reterr);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return err_set(reterr, ERR_BAD_DATA, -EMSGSIZE, "the daemon's reply is larger than 16 MiB");
	return 0;
}

int vl_client_receive(struct vl_client *c, int timeout_ms, struct vl_reply *ret_reply, char **ret_raw,
		      struct err *reterr)
{
	int64_t deadline = timeout_ms < 0 ? -1 : time_mono_usec() + (int64_t)timeout_ms * 1000;
	const char *msg;
	size_t len;
	int r;

	r = next_message(c, deadline, &msg, &len, reterr);
	if (r < 0)
		return r;
	r = vl_reply_parse(msg, len, ret_reply, reterr);
	if (r < 0)
		return r;
	if (ret_raw)
		*ret_raw = xstrndup(msg, len);
	return 0;
}
