/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may do what: peers to roles. root and the daemon's own user are admins;
 * groups come from the configuration. */
#include <grp.h>

#include "common/alloc.h"
#include "common/log.h"
#include "daemon/daemon.h"
#include "daemon/options.h"
#include "daemon/rpc-request.h"

#define NO_GROUP ((gid_t)-1)

/* By enum vl_role; filled once before the server starts. */
static gid_t role_group[] = { NO_GROUP, NO_GROUP, NO_GROUP };

static int look_up(const char *name, gid_t *ret_gid, struct err *reterr)
{
	struct group *g;

	if (!name)
		return 0;
	errno = 0;
	g = getgrnam(name);
	if (g)
		*ret_gid = g->gr_gid;
	else if (errno && errno != ENOENT && errno != ESRCH)
		return err_errno(reterr, errno, "cannot look up the group '%s'", name);
	else
		log_debug("there is no group '%s'", name);
	return 0;
}

int rpc_authorize_init(const struct options *opts, struct err *reterr)
{
	int r = look_up(opts->observer_group, &role_group[VL_ROLE_OBSERVER], reterr);

	if (!r)
		r = look_up(opts->operator_group, &role_group[VL_ROLE_OPERATOR], reterr);
	return r < 0 ? r : look_up(opts->admin_group, &role_group[VL_ROLE_ADMIN], reterr);
}

void rpc_authorize_socket(const char *path)
{
	gid_t gid = role_group[VL_ROLE_OPERATOR];

	if (gid != NO_GROUP && chown(path, (uid_t)-1, gid) < 0)
		log_warning("'%s' cannot be given to the operators' group: only its owner can connect", path);
}

static int in_group(const struct rpc_peer *peer, gid_t gid)
{
	if (gid == NO_GROUP)
		return 0;
	for (size_t i = 0; i < peer->n_groups; i++)
		if (peer->groups[i] == gid)
			return 1;
	return peer->gid == gid;
}

int rpc_authorize(void *ctx _unused_, const struct rpc_peer *peer, const struct vl_method *method)
{
	int allowed = peer->uid == 0 || peer->uid == geteuid();

	for (int role = VL_ROLE_ADMIN; !allowed && role >= (int)method->role; role--)
		allowed = in_group(peer, role_group[role]);
	if (!allowed || method->role > VL_ROLE_OBSERVER)
		log_line(allowed ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, "%s by uid %u (pid %d)%s", method->name,
			 (unsigned)peer->uid, (int)peer->pid, allowed ? "" : ": not allowed");
	return allowed ? 0 : -EACCES;
}
