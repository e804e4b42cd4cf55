/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CheckVM and RepairVM: their types and parameters. */
#include "varlink/manager-tables.h"

static const struct vl_field finding_fields[] = {
	FIELD("id", VL_STRING, "Kind of finding, one word: for example \"seal-drift\"; vmsnapctl(1) lists them. New ones "
			       "may appear."),
	FIELD("severity", VL_STRING, "\"error\" (something is lost, or would be), \"warning\" (something is not as it should "
				     "be) or \"info\" (no fault)."),
	OPTIONAL("vm", VL_STRING, "Name of the VM; absent if it is about the store."),
	OPTIONAL("vmId", VL_STRING, "GUID of the VM."),
	OPTIONAL("file", VL_STRING, "Absolute path of the file it is about; absent if it is about none."),
	FIELD("text", VL_STRING, "What was found, one sentence for people."),
	OPTIONAL("hint", VL_STRING, "What to do about it, one sentence for people."),
	FIELD("repairable", VL_BOOL, "Whether RepairVM mends it."),
	OPTIONAL("reason", VL_STRING, "Why RepairVM leaves it alone, for people; absent if it does not."),
	END,
};

const struct vl_struct vl_type_finding = {
	.name = "Finding",
	.doc = "Something that a check found.",
	.fields = finding_fields,
};

static const struct vl_field repair_fields[] = {
	FIELD("id", VL_STRING, "Kind of the finding that it mends."),
	OPTIONAL("vm", VL_STRING, "Name of the VM."),
	OPTIONAL("file", VL_STRING, "Absolute path of the file it is about; absent if it is about none."),
	FIELD("text", VL_STRING, "What is done, one sentence for people."),
	END,
};

const struct vl_struct vl_type_repair = {
	.name = "Repair",
	.doc = "Something that a repair does.",
	.fields = repair_fields,
};

#define IN_NO_WAIT OPTIONAL("noWait", VL_BOOL, "Reply at once with the job instead of waiting for its end; WatchJobs " \
						"follows it. Default: false.")
#define IN_CANCEL OPTIONAL("cancelOnDisconnect", VL_BOOL, "Cancel the job if the caller closes the connection before the " \
							  "last reply. Default: false, the job goes on.")
#define OUT_JOB STRUCT("job", vl_type_job, VL_NULLABLE, "The job: its present state in each reply but the last of a " \
							"stream, its beginning with noWait.")
#define OUT_VMS OPTIONAL_LIST("vms", VL_STRING, "Names of the VMs that were looked at; in the last reply, not with noWait, " \
						"as all that follows.")

const struct vl_field vl_check_vm_in[] = {
	OPTIONAL("vm", VL_STRING, "Name or GUID of the VM. Absent: all VMs, and the store."),
	OPTIONAL("deep", VL_BOOL, "Read save states and images through. Default: false, headers only."),
	IN_NO_WAIT,
	IN_CANCEL,
	END,
};

const struct vl_field vl_check_vm_out[] = {
	OUT_JOB,
	OUT_VMS,
	STRUCT("findings", vl_type_finding, VL_NULLABLE | VL_ARRAY, "What was found; empty if all is well."),
	OPTIONAL("truncated", VL_BOOL, "Whether there was more than can be told."),
	END,
};

const struct vl_field vl_repair_vm_in[] = {
	OPTIONAL("vm", VL_STRING, "Name or GUID of the VM. Absent: all VMs that nobody works on."),
	OPTIONAL("dryRun", VL_BOOL, "Only tell what would be done. Default: false."),
	OPTIONAL("acceptDrift", VL_STRING, "Absolute path of a sealed disk that is not what it was: its present content is "
					   "taken for right from now on. What derives from it may not fit it any more. "
					   "Only with a VM. Absent: such a disk is left alone."),
	IN_NO_WAIT,
	IN_CANCEL,
	END,
};

const struct vl_field vl_repair_vm_out[] = {
	OUT_JOB,
	OUT_VMS,
	STRUCT("repairs", vl_type_repair, VL_NULLABLE | VL_ARRAY, "What was done, or with dryRun would be."),
	STRUCT("findings", vl_type_finding, VL_NULLABLE | VL_ARRAY, "What a check finds afterwards, or with dryRun what would "
								     "be left alone."),
	OPTIONAL("truncated", VL_BOOL, "Whether there was more than can be told."),
	END,
};
