/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What only QEMU itself can tell. Asked in recovery alone: it marks the domain as
 * tainted (custom-monitor). Source of the reply: QEMU qapi/block-core.json. */
#include <jansson.h>
#include <libvirt/libvirt-qemu.h>
#include <string.h>

#include "common/alloc.h"
#include "daemon/hv-libvirt.h"

/* 1 if one of the devices has path as its top image. */
static int reply_names(json_t *devices, const char *path)
{
	json_t *device;
	size_t i;

	json_array_foreach(devices, i, device) {
		json_t *inserted = json_object_get(device, "inserted");
		const char *file = json_string_value(json_object_get(inserted, "file"));

		if (file && strcmp(file, path) == 0)
			return 1;
	}
	return 0;
}

int lv_writes_to(struct hv *hv, const struct guid *vm, const char *path, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	_cleanup_free_ char *text = NULL;
	json_t *reply, *devices;
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	if (virDomainQemuMonitorCommand(call.dom, "{\"execute\":\"query-block\"}", &text, 0) < 0)
		return lv_fail(&call, reterr, "cannot ask QEMU for the disks of domain \"%s\"", call.name);
	reply = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	devices = json_object_get(reply, "return");
	r = json_is_array(devices) ? reply_names(devices, path) :
				     err_set(reterr, ERR_BACKEND, -EPROTO,
					     "QEMU did not tell the disks of domain \"%s\"", call.name);
	json_decref(reply);
	return r;
}
