/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands to QEMU's monitor. */
#include "daemon/hv-monitor.h"

#include <libvirt/libvirt-qemu.h>

const char *monitor_text(json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

int lv_is_qemu(const struct lv *lv)
{
	return lv->driver == LV_QEMU_SYSTEM || lv->driver == LV_QEMU_SESSION || lv->driver == LV_QEMU_EMBED;
}

static int send_text(struct lv_call *call, const char *text, int fd, char **ret_answer)
{
	if (fd < 0)
		return virDomainQemuMonitorCommand(call->dom, text, ret_answer, 0);
	return virDomainQemuMonitorCommandWithFiles(call->dom, text, 1, &fd, NULL, NULL, ret_answer, 0);
}

int lv_monitor(struct lv_call *call, json_t *command, int fd, json_t **ret_value, struct err *reterr)
{
	_cleanup_json_ json_t *taken = command, *reply = NULL;
	_cleanup_free_ char *text = taken ? json_dumps(taken, JSON_COMPACT) : NULL, *answer = NULL;
	const char *problem;
	json_t *value;

	if (!text)
		return err_set(reterr, ERR_FAILED, -EILSEQ, "cannot ask QEMU about domain \"%s\": not UTF-8",
			       call->name);
	if (send_text(call, text, fd, &answer) < 0)
		return lv_fail(call, reterr, "cannot ask QEMU about domain \"%s\"", call->name);
	reply = json_loads(answer, JSON_REJECT_DUPLICATES, NULL);
	value = json_object_get(reply, "return");
	if (!value) {
		problem = json_string_value(json_object_get(json_object_get(reply, "error"), "desc"));
		return err_set(reterr, ERR_BACKEND, -EPROTO, "QEMU refused %s of domain \"%s\": %s",
			       json_string_value(json_object_get(taken, "execute")), call->name,
			       problem ? problem : "it gave no reason");
	}
	if (ret_value)
		*ret_value = json_incref(value);
	return 0;
}
