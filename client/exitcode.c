/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The exit codes of vmsnapctl and which error gives which. */
#include <string.h>

#include "client/exitcode.h"

static const struct {
	const char *name;
	enum err_kind kind;
} kinds[] = {
	{ "io.vmsnap.Manager.JobFailed", ERR_FAILED },
	{ "io.vmsnap.Manager.Refused", ERR_REFUSED },
	{ "io.vmsnap.Manager.InvalidArgument", ERR_INVALID },
	{ "io.vmsnap.Manager.NoSuchVM", ERR_NO_VM },
	{ "io.vmsnap.Manager.NoSuchSnapshot", ERR_NO_SNAPSHOT },
	{ "io.vmsnap.Manager.NoSuchDomain", ERR_NO_DOMAIN },
	{ "io.vmsnap.Manager.NoSuchJob", ERR_NO_JOB },
	{ "io.vmsnap.Manager.AmbiguousName", ERR_AMBIGUOUS },
	{ "io.vmsnap.Manager.VMBusy", ERR_BUSY },
	{ "io.vmsnap.Manager.JobCancelled", ERR_CANCELLED },
	{ "io.vmsnap.Manager.BackendError", ERR_BACKEND },
	{ "io.vmsnap.Manager.DamagedFile", ERR_BAD_DATA },
	{ "io.vmsnap.Manager.SealedDiskChanged", ERR_DRIFT },
	{ "io.vmsnap.Manager.LimitReached", ERR_LIMIT },
	{ "org.varlink.service.PermissionDenied", ERR_PERMISSION },
	/* The daemon did not take the call: it is of another version. */
	{ "org.varlink.service.InterfaceNotFound", ERR_INVALID },
	{ "org.varlink.service.MethodNotFound", ERR_INVALID },
	{ "org.varlink.service.MethodNotImplemented", ERR_INVALID },
	{ "org.varlink.service.InvalidParameter", ERR_INVALID },
	{ "org.varlink.service.ExpectedMore", ERR_INVALID },
};

enum err_kind error_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return kinds[i].kind;
	return ERR_FAILED;
}

enum exit_code exit_code_of(enum err_kind kind)
{
	switch (kind) {
	case ERR_NONE:
		return EXIT_DONE;
	case ERR_FAILED:
	case ERR_BACKEND:
		return EXIT_FAILED;
	case ERR_PERMISSION:
		return EXIT_PERMISSION;
	case ERR_BUSY:
	case ERR_LIMIT:
		return EXIT_BUSY;
	case ERR_CANCELLED:
		return EXIT_CANCELLED;
	case ERR_REFUSED:
	case ERR_INVALID:
	case ERR_NO_VM:
	case ERR_NO_SNAPSHOT:
	case ERR_NO_DOMAIN:
	case ERR_NO_JOB:
	case ERR_AMBIGUOUS:
	case ERR_BAD_DATA:
	case ERR_DRIFT:
		return EXIT_REFUSED;
	}
	return EXIT_FAILED;
}
