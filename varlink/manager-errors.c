/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The errors of io.vmsnap.Manager. All have the same fields, so that a script
 * needs one way to print them. */
#include "varlink/manager-tables.h"

static const struct vl_field error_fields[] = {
	FIELD("message", VL_STRING, "What was attempted and why it failed, one sentence for people. Its wording may "
				    "change; decide by the error's name."),
	OPTIONAL("hint", VL_STRING, "What to do about it, one sentence for people."),
	OPTIONAL("vm", VL_STRING, "Name of the VM it is about."),
	OPTIONAL("file", VL_STRING, "Path of the file it is about."),
	OPTIONAL("job", VL_STRING, "Id of the job that holds the VM, or that failed."),
	END,
};

#define ERROR(name_, doc_) { .name = (name_), .doc = (doc_), .fields = error_fields }

const struct vl_error vl_manager_errors[] = {
	ERROR("JobFailed", "The operation was begun and failed. What it had changed has been taken back, as far as "
			   "the message does not say otherwise."),
	ERROR("Refused", "A rule forbids it, for example the VM's state. Nothing was changed."),
	ERROR("InvalidArgument", "A parameter has the right type but a value that is not acceptable. Nothing was "
				 "changed."),
	ERROR("NoSuchVM", "No VM under management has that name or GUID."),
	ERROR("NoSuchSnapshot", "The VM has no snapshot of that name or GUID."),
	ERROR("NoSuchDomain", "The hypervisor has no domain of that name or UUID."),
	ERROR("NoSuchJob", "No job has that id, or it ended so long ago that it is forgotten."),
	ERROR("AmbiguousName", "The name means several things; the message lists them. Use the GUID."),
	ERROR("VMBusy", "Another job holds the VM; 'job' names it. Trying again later makes sense."),
	ERROR("JobCancelled", "The operation was cancelled, by CancelJob or because its caller went away and had asked "
			      "for that. What it had changed has been taken back."),
	ERROR("BackendError", "libvirt or QEMU refused, or cannot be reached; the message holds its words."),
	ERROR("DamagedFile", "A file is damaged, or is not what it should be; 'file' names it."),
	ERROR("SealedDiskChanged", "A sealed disk is not what it was when it was sealed; 'file' names it. Everything "
				   "that derives from it may be damaged, so it is not used."),
	ERROR("LimitReached", "A limit of the daemon is reached, for example that of jobs per user. Trying again later "
			      "makes sense."),
	END,
};
