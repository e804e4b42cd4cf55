/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Being started by systemd. */
#include "daemon/activation.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/alloc.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

static int find_named(int count, const char *names)
{
	_cleanup_free_ char *copy = xstrdup(names ? names : "");
	char *save = NULL, *name = strtok_r(copy, ":", &save);

	for (int i = 0; i < count && name; i++, name = strtok_r(NULL, ":", &save))
		if (strcmp(name, "varlink") == 0)
			return FIRST_FD + i;
	return count == 1 ? FIRST_FD : -1;
}

int activation_fd(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	int count = fds ? atoi(fds) : 0, fd = -1;

	if (pid && atol(pid) == (long)getpid() && count > 0 && count < 64) {
		fd = find_named(count, getenv("LISTEN_FDNAMES"));
		for (int i = 0; i < count; i++)
			fcntl(FIRST_FD + i, F_SETFD, FD_CLOEXEC);
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return fd;
}

void activation_notify(const char *state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	_cleanup_close_ int fd = -1;
	size_t len = path ? strlen(path) : 0;

	if (len < 2 || len >= sizeof(addr.sun_path))
		return;
	memcpy(addr.sun_path, path, len);
	if (addr.sun_path[0] == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* nobody to tell is no failure of ours */
	ignore_result((int)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&addr,
				  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)));
}
