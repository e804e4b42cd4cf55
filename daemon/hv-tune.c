/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two settings of a running guest: how long it may stand still, and its clock. */
#include <libvirt/libvirt-qemu.h>
#include <string.h>
#include <time.h>

#include "common/alloc.h"
#include "common/timefmt.h"
#include "daemon/hv-monitor.h"

#define AGENT "name='org.qemu.guest_agent.0'"
#define CONNECTED " state='connected'"
#define AGENT_LOOKS 20     /* of 100 ms: after a start libvirt learns late that the agent is there */
#define AGENT_SECONDS 5    /* for the agent to answer */

int lv_max_downtime(struct hv *hv, const struct guid *vm, int64_t *ret_msec, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	unsigned long long msec;
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	if (virDomainMigrateGetMaxDowntime(call.dom, &msec, 0) < 0)
		return lv_fail(&call, reterr, "cannot read how long the domain \"%s\" may stand still", call.name);
	*ret_msec = (int64_t)msec;
	return 0;
}

int lv_set_max_downtime(struct hv *hv, const struct guid *vm, int64_t msec, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	if (virDomainMigrateSetMaxDowntime(call.dom, (unsigned long long)msec, 0) < 0)
		return lv_fail(&call, reterr, "cannot set how long the domain \"%s\" may stand still", call.name);
	return 0;
}

/* ---- the clock */

enum agent { AGENT_NONE, AGENT_AWAY, AGENT_THERE };

/* Sees whether there is a channel for an agent, and one at its other end. In libvirt's own
 * text such an attribute can only be that of a channel's target. Returns 0 or negative errno. */
static int look_for_agent(struct lv_call *call, enum agent *ret_agent, struct err *reterr)
{
	_cleanup_free_ char *xml = virDomainGetXMLDesc(call->dom, 0);
	const char *channel;

	if (!xml)
		return lv_fail(call, reterr, "cannot see whether domain \"%s\" has a guest agent", call->name);
	channel = strstr(xml, AGENT);
	if (!channel)
		*ret_agent = AGENT_NONE;
	else
		*ret_agent = strncmp(channel + strlen(AGENT), CONNECTED, strlen(CONNECTED)) ? AGENT_AWAY : AGENT_THERE;
	return 0;
}

/* Its own timeout, and not libvirt's for agents, which is none. */
static int tell_time(struct lv_call *call, struct err *reterr)
{
	_cleanup_free_ char *text = xasprintf("{\"execute\":\"guest-set-time\",\"arguments\":{\"time\":%lld}}",
					      (long long)time_now_usec() * 1000);
	_cleanup_free_ char *answer = virDomainQemuAgentCommand(call->dom, text, AGENT_SECONDS, 0);

	return answer ? 1 : lv_fail(call, reterr, "the agent in domain \"%s\" did not set the clock", call->name);
}

int lv_set_time(struct hv *hv, const struct guid *vm, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	enum agent agent = AGENT_NONE;
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (!r && lv_is_qemu(call.lv))
		r = look_for_agent(&call, &agent, reterr);
	for (int i = 0; !r && agent == AGENT_AWAY && i < AGENT_LOOKS; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
		r = look_for_agent(&call, &agent, reterr);
	}
	return !r && agent == AGENT_THERE ? tell_time(&call, reterr) : r;
}
