/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Error objects as Varlink errors. */
#include "daemon/rpc-conn.h"
#include "varlink/manager.h"

static const char *const names[] = {
	[ERR_NONE] = VL_MANAGER ".JobFailed",
	[ERR_FAILED] = VL_MANAGER ".JobFailed",
	[ERR_REFUSED] = VL_MANAGER ".Refused",
	[ERR_INVALID] = VL_MANAGER ".InvalidArgument",
	[ERR_NO_VM] = VL_MANAGER ".NoSuchVM",
	[ERR_NO_SNAPSHOT] = VL_MANAGER ".NoSuchSnapshot",
	[ERR_NO_DOMAIN] = VL_MANAGER ".NoSuchDomain",
	[ERR_NO_JOB] = VL_MANAGER ".NoSuchJob",
	[ERR_AMBIGUOUS] = VL_MANAGER ".AmbiguousName",
	[ERR_BUSY] = VL_MANAGER ".VMBusy",
	[ERR_CANCELLED] = VL_MANAGER ".JobCancelled",
	[ERR_BACKEND] = VL_MANAGER ".BackendError",
	[ERR_BAD_DATA] = VL_MANAGER ".DamagedFile",
	[ERR_DRIFT] = VL_MANAGER ".SealedDiskChanged",
	[ERR_LIMIT] = VL_MANAGER ".LimitReached",
	[ERR_PERMISSION] = VL_SERVICE ".PermissionDenied",
};

const char *rpc_error_name(enum err_kind kind)
{
	if ((size_t)kind >= ARRAY_SIZE(names))
		return names[ERR_FAILED];
	return names[kind];
}

/* Adds a string unless there is none. */
static void put(json_t *obj, const char *key, const char *value)
{
	if (value && json_object_set_new(obj, key, vl_string(value)) < 0)
		abort(); /* out of memory, as in common/alloc.h */
}

json_t *rpc_error_params(const struct err *err)
{
	json_t *params = json_object();

	if (err->kind == ERR_PERMISSION)
		return params; /* org.varlink.service defines it without fields */
	put(params, "message", err->message ? err->message : "the operation failed");
	put(params, "hint", err->hint);
	put(params, "vm", err->vm);
	put(params, "file", err->file);
	put(params, "job", err->job);
	return params;
}
