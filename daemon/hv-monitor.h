/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QEMU's own monitor, by way of libvirt. It marks the domain as tainted
 * (custom-monitor). Private to hv-*.c. */
#ifndef DAEMON_HV_MONITOR_H
#define DAEMON_HV_MONITOR_H

#include <jansson.h>

#include "daemon/hv-libvirt.h"

/* Drops a reference (*taken*). */
static inline _unused_ void monitor_release(json_t *json)
{
	json_decref(json);
}
DEFINE_CLEANUP(json_t, monitor_release);
#define _cleanup_json_ _cleanup_(monitor_releasep)

/* Runs a command (*taken*, NULL if it could not be built) of the call's domain, with the
 * descriptor fd if that is not -1; ret_value, if not NULL, is what it returned, *owned*.
 * Returns 0 or negative errno (-EPROTO: QEMU refused). */
_must_check_ int lv_monitor(struct lv_call *call, json_t *command, int fd, json_t **ret_value, struct err *reterr);

/* A string member, "" if there is none; *borrowed*. */
const char *monitor_text(json_t *object, const char *key);

/* 1 if the call's domain is one of QEMU's, whose monitor can be reached. */
int lv_is_qemu(const struct lv *lv);

#endif
