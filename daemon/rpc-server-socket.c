/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making the listening socket without taking it from somebody who serves on it. */
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "daemon/rpc-conn.h"

#define BACKLOG 128

/* Removes what lies at path if it is a socket that nobody answers on. */
static int clear_path(const char *path, const struct sockaddr_un *addr, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_file(reterr, -errno, path, "cannot look at '%s'", path);
	if (!S_ISSOCK(st.st_mode))
		return err_file(reterr, -EEXIST, path, "cannot make the socket '%s', something else is there", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(reterr, -errno, "cannot create a socket");
	/* EAGAIN: somebody listens whose backlog is full. */
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN)
		return err_full(reterr, ERR_REFUSED, -EADDRINUSE, NULL, path,
				"Stop the other vmsnapd, or give this one another --socket.",
				"another process serves on '%s' already", path);
	if (errno != ECONNREFUSED)
		return err_file(reterr, -errno, path, "cannot tell whether somebody serves on '%s'", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_file(reterr, -errno, path, "cannot remove the dead socket '%s'", path);
	return 0;
}

int rpc_socket_listen(const char *path, int *ret_fd, struct err *reterr)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;
	mode_t mask;
	int r;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(reterr, ERR_INVALID, -ENAMETOOLONG,
			       "the path of the socket '%s' is longer than the %zu bytes that a socket's path can have",
			       path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	r = clear_path(path, &addr, reterr);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(reterr, -errno, "cannot create a socket");
	mask = umask(0117); /* from the first instant on nobody else can connect */
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	umask(mask);
	if (r < 0)
		return err_file(reterr, r, path, "cannot make the socket '%s'", path);
	if (listen(fd, BACKLOG) < 0) {
		r = -errno;
		unlink(path);
		return err_file(reterr, r, path, "cannot listen on '%s'", path);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}
