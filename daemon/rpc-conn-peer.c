/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is at the other end of a connection, as the kernel knows it. */
#define _GNU_SOURCE /* struct ucred */

#include <sys/socket.h>

#include "common/alloc.h"
#include "daemon/rpc-conn.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

/* The kernel allows 65536 groups (NGROUPS_MAX). */
#define MAX_GROUPS_BYTES (65536 * sizeof(gid_t))

/* Supplementary groups: no user database is asked, so it cannot block or differ
 * from what the kernel would check. */
static int read_groups(int fd, gid_t **ret_groups, size_t *ret_n)
{
	socklen_t len = 64 * sizeof(gid_t);

	for (;;) {
		_cleanup_free_ gid_t *groups = xcalloc(1, len);
		socklen_t got = len;

		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &got) == 0) {
			*ret_n = got / sizeof(gid_t);
			*ret_groups = TAKE_PTR(groups);
			return 0;
		}
		if (errno != ERANGE || got <= len || got > MAX_GROUPS_BYTES)
			return -errno;
		len = got; /* as much as the kernel says it needs */
	}
}

int rpc_identity_read(int fd, struct rpc_identity **ret_who, struct err *reterr)
{
	_cleanup_(rpc_identity_unrefp) struct rpc_identity *who = NULL;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	gid_t *groups = NULL;
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return err_errno(reterr, -errno, "cannot tell who connected");
	who = xcalloc(1, sizeof(*who));
	who->refs = 1;
	who->peer = (struct rpc_peer){ .uid = cred.uid, .gid = cred.gid, .pid = cred.pid };
	r = read_groups(fd, &groups, &who->peer.n_groups);
	if (r < 0)
		return err_errno(reterr, r, "cannot tell the groups of the process %d that connected", (int)cred.pid);
	who->peer.groups = groups;
	*ret_who = TAKE_PTR(who);
	return 0;
}

struct rpc_identity *rpc_identity_ref(struct rpc_identity *who)
{
	who->refs++;
	return who;
}

void rpc_identity_unref(struct rpc_identity *who)
{
	if (!who || --who->refs > 0)
		return;
	free((gid_t *)who->peer.groups);
	free(who);
}
