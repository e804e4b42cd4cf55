/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The methods of io.vmsnap.Manager, and the interface as a whole. */
#include "varlink/manager.h"

#include "varlink/manager-tables.h"

/* Fields that many methods share. */
#define IN_VM FIELD("vm", VL_STRING, "Name or GUID of the VM.")
#define IN_SNAPSHOT FIELD("snapshot", VL_STRING, "Name or GUID of the snapshot.")
#define IN_NO_WAIT                                                                                             \
	OPTIONAL("noWait", VL_BOOL, "Reply at once with the job instead of waiting for its end; WatchJobs follows " \
				    "it. Default: false.")
#define IN_CANCEL_ON_DISCONNECT                                                                               \
	OPTIONAL("cancelOnDisconnect", VL_BOOL, "Cancel the job if the caller closes the connection before the " \
						"last reply. Default: false, the job goes on.")
#define IN_FORCE                                                                                                \
	OPTIONAL("force", VL_BOOL, "Go on although there may be too little room for the worst case. Default: false, " \
				   "it is refused then; the message names what may be needed and what is free.")
#define OUT_JOB                                                                                        \
	STRUCT("job", vl_type_job, VL_NULLABLE, "The job: its present state in each reply but the last of " \
						"a stream, its beginning with noWait.")
#define OUT_VM STRUCT("vm", vl_type_vm, VL_NULLABLE, "The VM as it is afterwards; in the last reply, not with noWait.")

static const struct vl_field nothing[] = { END };
static const struct vl_field vm_in[] = { IN_VM, END };
static const struct vl_field vm_job_in[] = { IN_VM, IN_NO_WAIT, END };
static const struct vl_field job_out[] = { OUT_JOB, END };
static const struct vl_field job_vm_out[] = { OUT_JOB, OUT_VM, END };
static const struct vl_field snapshot_out[] = { STRUCT("snapshot", vl_type_snapshot, 0, "The snapshot."), END };

static const struct vl_field list_vms_out[] = {
	STRUCT("vms", vl_type_vm, VL_ARRAY, "All VMs under management, sorted by name; without their disks."),
	END,
};

static const struct vl_field get_vm_out[] = { STRUCT("vm", vl_type_vm, 0, "The VM, with its disks."), END };

static const struct vl_field create_vm_in[] = {
	FIELD("name", VL_STRING, "Name of the new VM; also that of its directory in the store."),
	FIELD("memoryBytes", VL_INT, "Size of the guest's memory."),
	FIELD("vcpus", VL_INT, "Number of virtual CPUs."),
	OPTIONAL("diskBytes", VL_INT, "Size of a new, empty base disk. Absent: no new disk."),
	OPTIONAL("importDisk", VL_STRING, "Absolute path of an image on the daemon's host that becomes the base disk; "
					  "it is copied, and converted where snapshots need that. Not together "
					  "with diskBytes."),
	OPTIONAL("importFormat", VL_STRING, "Format of importDisk, for example \"qcow2\", \"raw\" or \"vpc\". Absent: "
					    "its header tells; an image without a known one is raw."),
	OPTIONAL("cdrom", VL_STRING, "Absolute path of an ISO image to put into a CD-ROM drive."),
	OPTIONAL("network", VL_STRING, "Name of the libvirt network to connect to. Absent: no network card."),
	OPTIONAL("uefi", VL_BOOL, "Start with UEFI instead of BIOS. Default: false."),
	OPTIONAL("tpm", VL_BOOL, "Give it an emulated TPM 2.0. Default: false."),
	OPTIONAL("consoleLog", VL_STRING, "Absolute path of a file that the serial console is written to. Absent: the "
					  "console is a terminal, see GetConsole."),
	OPTIONAL("notes", VL_STRING, "Free text."),
	IN_NO_WAIT,
	END,
};

static const struct vl_field adopt_vm_in[] = {
	FIELD("domain", VL_STRING, "Name or UUID of the libvirt domain."),
	OPTIONAL("convert", VL_BOOL, "Convert disks of formats that snapshots cannot build on, into the VM directory. "
				     "Default: false, such a disk makes the call fail."),
	IN_NO_WAIT,
	END,
};

#define IN_SYNC_TIME                                                                                        \
	OPTIONAL("syncTime", VL_BOOL, "Whether the clock of a guest that comes back with memory is set, by the guest " \
				      "agent if it has one. Default: true.")

static const struct vl_field start_vm_in[] = {
	IN_VM,
	OPTIONAL("paused", VL_BOOL, "Leave the guest paused. Default: false."),
	OPTIONAL("discardSaved", VL_BOOL, "Start a saved VM afresh and drop its saved memory. Default: false, it "
					  "continues where it was saved."),
	IN_SYNC_TIME,
	IN_NO_WAIT,
	END,
};

static const struct vl_field resume_vm_in[] = { IN_VM, IN_SYNC_TIME, IN_NO_WAIT, END };

static const struct vl_field shutdown_vm_in[] = {
	IN_VM,
	OPTIONAL("wait", VL_BOOL, "End the job only when the guest is off. Default: false, the job ends when the guest "
				  "has been asked."),
	IN_NO_WAIT,
	END,
};

static const struct vl_field rename_vm_in[] = {
	IN_VM,
	FIELD("name", VL_STRING, "The new name."),
	IN_NO_WAIT,
	END,
};

static const struct vl_field delete_vm_in[] = {
	IN_VM,
	OPTIONAL("force", VL_BOOL, "Also if it runs: the guest is stopped at once. Default: false, a running VM is "
				   "refused."),
	IN_NO_WAIT,
	END,
};

static const struct vl_field get_console_out[] = {
	FIELD("path", VL_STRING, "Absolute path, on the daemon's host, of the terminal device or of the log file."),
	END,
};

static const struct vl_field create_snapshot_in[] = {
	IN_VM,
	OPTIONAL("name", VL_STRING, "Name of the snapshot. Absent: made from the VM's name and the time."),
	OPTIONAL("notes", VL_STRING, "Free text."),
	OPTIONAL("memory", VL_BOOL, "Whether a running VM's memory is taken. Default: true. It has no meaning for a VM "
				    "that is off."),
	OPTIONAL("mode", VL_STRING, "Capture mode: \"background\" (the guest stops for milliseconds, its memory is "
				    "written afterwards), \"live\" (it runs on, and stops at the end) or \"paused\" "
				    "(it stands still meanwhile). Absent: the best that this VM and host can do. A "
				    "mode that cannot be had is refused."),
	OPTIONAL("maxPauseMSec", VL_INT,
		 "How long the guest may stand still, in milliseconds, if it changes its memory faster than a live "
		 "capture can write it; 0: as long as it takes. Where that is not enough nothing is taken and the guest "
		 "runs on. Absent: as the daemon is configured."),
	OPTIONAL("quiesce", VL_BOOL, "Have the guest agent freeze the file systems; only without memory. Default: "
				     "false."),
	IN_FORCE,
	IN_NO_WAIT,
	IN_CANCEL_ON_DISCONNECT,
	END,
};

static const struct vl_field create_snapshot_out[] = {
	OUT_JOB,
	STRUCT("snapshot", vl_type_snapshot, VL_NULLABLE, "The new snapshot; in the last reply, not with noWait."),
	END,
};

static const struct vl_field list_snapshots_out[] = {
	STRUCT("vm", vl_type_vm, 0, "The VM."),
	STRUCT("snapshots", vl_type_snapshot, VL_ARRAY,
	       "Its snapshots in tree order: each one directly followed by those that derive from it; siblings by "
	       "age. 'depth' and 'last' say how to draw it."),
	END,
};

static const struct vl_field get_snapshot_in[] = { IN_VM, IN_SNAPSHOT, END };

static const struct vl_field rename_snapshot_in[] = {
	IN_VM,
	IN_SNAPSHOT,
	FIELD("name", VL_STRING, "The new name; the present one to change the notes only."),
	OPTIONAL("notes", VL_STRING, "The new notes; an empty string removes them. Absent: they stay."),
	END,
};

#define IN_PRESENT                                                                                       \
	FIELD("present", VL_STRING, "What becomes of the present state of the VM, which is replaced: \"discard\", " \
				    "or \"save\" it as a new snapshot first.")

static const struct vl_field apply_snapshot_in[] = {
	IN_VM, IN_SNAPSHOT, IN_PRESENT, IN_SYNC_TIME, IN_FORCE, IN_NO_WAIT, IN_CANCEL_ON_DISCONNECT, END,
};

static const struct vl_field revert_vm_in[] = {
	IN_VM, IN_PRESENT, IN_SYNC_TIME, IN_FORCE, IN_NO_WAIT, IN_CANCEL_ON_DISCONNECT, END,
};

static const struct vl_field apply_out[] = {
	OUT_JOB,
	OUT_VM,
	STRUCT("saved", vl_type_snapshot, VL_NULLABLE,
	       "The snapshot that holds the former state, if \"save\" was asked for; in the last reply."),
	END,
};

#define IN_SCOPE                                                                                             \
	OPTIONAL("scope", VL_STRING, "What goes: \"snapshot\" (it alone), \"subtree\" (it and all that derive " \
				     "from it) or \"children\" (all that derive from it, but not itself). "     \
				     "Default: \"snapshot\".")

static const struct vl_field delete_snapshot_in[] = {
	IN_VM, IN_SNAPSHOT, IN_SCOPE,
	OPTIONAL("intoBase", VL_BOOL, "Merge, in this job, into base disks outside the VM directory as well. "
				      "Default: false."),
	OPTIONAL("force", VL_BOOL, "Delete although there may be too little room for the memory that others take over "
				   "or for merging what is left, which waits then until there is. Default: false, it is "
				   "refused; the message names what may be needed and what is free. What needs no "
				   "copying is never refused for lack of room."),
	IN_NO_WAIT, END,
};
static const struct vl_field flatten_disks_in[] = {
	IN_VM,
	OPTIONAL("snapshot", VL_STRING, "Name or GUID of the snapshot whose disks stay below. Absent: none."),
	IN_FORCE, IN_NO_WAIT, IN_CANCEL_ON_DISCONNECT, END,
};
static const struct vl_field plan_delete_in[] = {
	IN_VM, IN_SNAPSHOT, IN_SCOPE,
	OPTIONAL("intoBase", VL_BOOL, "As for DeleteSnapshot. Default: false."),
	END,
};
static const struct vl_field plan_delete_out[] = { STRUCT("plan", vl_type_delete_plan, 0, "The plan."), END };
static const struct vl_field disk_chains_out[] = {
	STRUCT("disks", vl_type_disk_tree, VL_ARRAY, "The disks that snapshots contain."),
	END,
};
static const struct vl_field disk_usage_out[] = { STRUCT("usage", vl_type_disk_usage, 0, "The usage."), END };

#define IN_OWN_OR_SNAPSHOT \
	OPTIONAL("snapshot", VL_STRING, "Name or GUID of the snapshot. Absent: the save state of the saved VM itself.")

static const struct vl_field get_save_state_in[] = { IN_VM, IN_OWN_OR_SNAPSHOT, END };
static const struct vl_field get_save_state_out[] = {
	STRUCT("saveState", vl_type_save_state, 0, "The save state."),
	END,
};

static const struct vl_field verify_save_state_in[] = {
	IN_VM, IN_OWN_OR_SNAPSHOT, IN_NO_WAIT, IN_CANCEL_ON_DISCONNECT, END,
};

static const struct vl_field verify_save_state_out[] = {
	OUT_JOB,
	STRUCT("saveState", vl_type_save_state, VL_NULLABLE, "The save state, which is sound; in the last reply, not "
							      "with noWait."),
	END,
};

static const struct vl_field pack_save_state_in[] = {
	IN_VM, FIELD("snapshot", VL_STRING, "Name or GUID of the snapshot."), IN_NO_WAIT, IN_CANCEL_ON_DISCONNECT, END,
};

static const struct vl_field pack_save_state_out[] = {
	OUT_JOB,
	STRUCT("saveState", vl_type_save_state, VL_NULLABLE, "The save state as it is then; in the last reply, not with "
							      "noWait."),
	END,
};

static const struct vl_field extract_memory_in[] = {
	IN_VM,
	IN_OWN_OR_SNAPSHOT,
	FIELD("path", VL_STRING, "Absolute path, on the daemon's host, of the file to make. It must not be there yet; "
				 "it will belong to the caller, and nobody else may read it."),
	IN_NO_WAIT,
	IN_CANCEL_ON_DISCONNECT,
	END,
};

static const struct vl_field extract_memory_out[] = {
	OUT_JOB,
	OPTIONAL("bytes", VL_INT, "Size of the file with its holes; in the last reply, as all that follows."),
	OPTIONAL("allocatedBytes", VL_INT, "Size that it takes on the host's file system."),
	STRUCT("blocks", vl_type_ram_block, VL_NULLABLE | VL_ARRAY, "Where each block of the memory is in it."),
	END,
};

static const struct vl_field compare_save_states_in[] = {
	IN_VM,
	FIELD("first", VL_STRING, "Name or GUID of a snapshot."),
	OPTIONAL("second", VL_STRING, "Name or GUID of another. Absent: the save state of the saved VM itself."),
	IN_NO_WAIT,
	IN_CANCEL_ON_DISCONNECT,
	END,
};

static const struct vl_field compare_save_states_out[] = {
	OUT_JOB,
	STRUCT("difference", vl_type_memory_difference, VL_NULLABLE, "What they have in common; in the last reply, "
								      "not with noWait."),
	END,
};

static const struct vl_field list_jobs_in[] = {
	OPTIONAL("vm", VL_STRING, "Name or GUID of a VM: only its jobs. Absent: those of all VMs."),
	END,
};

static const struct vl_field list_jobs_out[] = {
	STRUCT("jobs", vl_type_job, VL_ARRAY, "The jobs, oldest first."),
	END,
};

static const struct vl_field watch_jobs_in[] = {
	OPTIONAL("id", VL_STRING, "Id of one job: the stream ends when it does. Absent: all jobs, without end."),
	END,
};

static const struct vl_field watch_jobs_out[] = {
	STRUCT("job", vl_type_job, VL_NULLABLE, "A job that is new or has changed."),
	END,
};

static const struct vl_field cancel_job_in[] = { FIELD("id", VL_STRING, "Id of the job."), END };

static const struct vl_field get_status_out[] = {
	FIELD("version", VL_STRING, "Version of the daemon."),
	FIELD("uri", VL_STRING, "The libvirt URI it uses."),
	OPTIONAL("hypervisor", VL_STRING, "Name and versions of the hypervisor; absent while it is not connected."),
	FIELD("connected", VL_BOOL, "Whether the hypervisor can be reached."),
	FIELD("store", VL_STRING, "Absolute path of the store, the directory that holds the VM directories."),
	FIELD("vms", VL_INT, "How many VMs are under management."),
	FIELD("jobsRunning", VL_INT, "How many jobs are queued or running."),
	FIELD("startedUSec", VL_INT, "When the daemon started, in microseconds since 1970 UTC."),
	LIST("problems", VL_STRING, "What is wrong, one sentence each, for people to read; empty if all is well."),
	STRUCT("fileSystems", vl_type_file_system, VL_NULLABLE | VL_ARRAY,
	       "The file systems with the store and with disks that VMs write, as they are at this moment."),
	END,
};

static const struct vl_field watch_space_out[] = {
	STRUCT("fileSystem", vl_type_file_system, VL_NULLABLE, "A file system that is new or whose level has changed."),
	END,
};

static const struct vl_field diagnose_vm_out[] = {
	FIELD("mode", VL_STRING, "How a snapshot taken now would take the memory, as in Snapshot."),
	OPTIONAL("reason", VL_STRING, "Why that mode and not a better one, and what to set, for people to read."),
	LIST("problems", VL_STRING, "What stands in the way of a snapshot, one sentence each; empty if nothing does."),
	END,
};

#define METHOD(name_, more_, role_, in_, out_, doc_)                                                    \
	{ .name = (name_), .doc = (doc_), .in = (in_), .out = (out_), .more = VL_MORE_##more_, .role = VL_ROLE_##role_ }

static const struct vl_method manager_methods[] = {
	METHOD("ListVMs", NO, OBSERVER, nothing, list_vms_out, "Lists the VMs under management."),
	METHOD("GetVM", NO, OBSERVER, vm_in, get_vm_out, "Tells all about one VM."),
	METHOD("CreateVM", SUPPORTED, ADMIN, create_vm_in, job_vm_out,
	       "Creates a VM with a directory of its own and defines it in the hypervisor. It is not started."),
	METHOD("AdoptVM", SUPPORTED, ADMIN, adopt_vm_in, job_vm_out,
	       "Takes an existing libvirt domain under management. Its disks stay where they are."),
	METHOD("StartVM", SUPPORTED, OPERATOR, start_vm_in, job_vm_out, "Starts a VM, or continues a saved one."),
	METHOD("ShutdownVM", SUPPORTED, OPERATOR, shutdown_vm_in, job_vm_out,
	       "Asks the guest to shut down; it may ignore that. Cancelling the job does not take the request back."),
	METHOD("StopVM", SUPPORTED, ADMIN, vm_job_in, job_vm_out,
	       "Ends the guest at once, as if its power failed. What it had not written is lost."),
	METHOD("SaveVM", SUPPORTED, OPERATOR, vm_job_in, job_vm_out,
	       "Writes the guest's memory to the VM directory and ends it; StartVM continues it."),
	METHOD("ResumeVM", SUPPORTED, OPERATOR, resume_vm_in, job_vm_out, "Lets a paused or saved guest run on."),
	METHOD("RenameVM", SUPPORTED, ADMIN, rename_vm_in, job_vm_out,
	       "Renames a VM that is off. Its GUID stays."),
	METHOD("DeleteVM", SUPPORTED, ADMIN, delete_vm_in, job_out,
	       "Removes a VM from the hypervisor and removes what vmsnap made of it. Disks outside the VM directory "
	       "stay."),
	METHOD("GetConsole", NO, OBSERVER, vm_in, get_console_out, "Says where the serial console of a VM is."),
	METHOD("CreateSnapshot", SUPPORTED, OPERATOR, create_snapshot_in, create_snapshot_out,
	       "Takes a snapshot of a VM in whatever state it is. A running guest runs on afterwards. The snapshot "
	       "becomes what now derives from."),
	METHOD("ListSnapshots", NO, OBSERVER, vm_in, list_snapshots_out, "Lists the snapshots of a VM as a tree."),
	METHOD("GetSnapshot", NO, OBSERVER, get_snapshot_in, snapshot_out, "Tells all about one snapshot."),
	METHOD("RenameSnapshot", NO, OPERATOR, rename_snapshot_in, snapshot_out,
	       "Changes a snapshot's name and notes. Nothing else of it ever changes."),
	METHOD("ApplySnapshot", SUPPORTED, ADMIN, apply_snapshot_in, apply_out,
	       "Makes a snapshot the present state of its VM: disks, configuration and, if it has any, memory. The "
	       "snapshot itself stays as it is, and so do all others; the next snapshot becomes its child. The "
	       "present state is replaced only when all that can fail has been done."),
	METHOD("RevertVM", SUPPORTED, ADMIN, revert_vm_in, apply_out,
	       "Applies the snapshot that now derives from."),
	METHOD("DeleteSnapshot", SUPPORTED, ADMIN, delete_snapshot_in, job_out,
	       "Deletes one snapshot, or several. The VM and all other snapshots keep their content; disk images are "
	       "merged where that is needed, which can take its time."),
	METHOD("FlattenDisks", SUPPORTED, ADMIN, flatten_disks_in, job_out,
	       "Lets the VM's own disks take what is below them, so that they depend on less; snapshots keep their content."),
	METHOD("PlanDelete", NO, OBSERVER, plan_delete_in, plan_delete_out,
	       "Tells what DeleteSnapshot would do, and does nothing."),
	METHOD("GetDiskChains", NO, OBSERVER, vm_in, disk_chains_out,
	       "Tells which images each disk of a VM consists of, and for whom they are there."),
	METHOD("GetDiskUsage", NO, OBSERVER, vm_in, disk_usage_out,
	       "Tells what a VM's disks and save states take, what each snapshot costs and what deleting it frees."),
	METHOD("GetSaveState", NO, OBSERVER, get_save_state_in, get_save_state_out,
	       "Tells all about the save state of a snapshot or of a saved VM, without reading it through."),
	METHOD("VerifySaveState", SUPPORTED, ADMIN, verify_save_state_in, verify_save_state_out,
	       "Reads a save state, and what it takes pages from, through and compares all checksums. Damage is "
	       "answered with DamagedFile or SealedDiskChanged, which name the file."),
	METHOD("ExtractMemory", SUPPORTED, ADMIN, extract_memory_in, extract_memory_out,
	       "Writes the memory in a save state as one flat file. What is not whole is removed."),
	METHOD("CompareSaveStates", SUPPORTED, ADMIN, compare_save_states_in, compare_save_states_out,
	       "Compares the memory of two save states of one VM, page by page."),
	METHOD("PackSaveState", SUPPORTED, ADMIN, pack_save_state_in, pack_save_state_out,
	       "Compresses the memory file of a snapshot. It can be used as before, also by those that build on it; "
	       "loading it takes longer."),
	METHOD("UnpackSaveState", SUPPORTED, ADMIN, pack_save_state_in, pack_save_state_out,
	       "Makes the memory file of a snapshot what it was before PackSaveState: flat."),
	METHOD("DiagnoseVM", NO, OPERATOR, vm_in, diagnose_vm_out,
	       "Finds out, without taking one, how a snapshot of a VM would be taken now."),
	METHOD("CheckVM", SUPPORTED, OPERATOR, vl_check_vm_in, vl_check_vm_out,
	       "Looks whether documents, images, save states, files and the domain of a VM are as they should be. It "
	       "changes nothing, needs no turn among the VM's jobs, and a VM that somebody works on is told to be busy. "
	       "Damage is a finding, not an error."),
	METHOD("RepairVM", SUPPORTED, ADMIN, vl_repair_vm_in, vl_repair_vm_out,
	       "Mends what a check finds as far as that is safe, and tells what it leaves alone and why. Files that "
	       "nothing refers to are moved into the directory Quarantine of the VM directory; nothing is removed but "
	       "temporary files and empty directories of vmsnap's own."),
	METHOD("ListJobs", NO, OBSERVER, list_jobs_in, list_jobs_out,
	       "Lists the jobs that are queued or running, and those that ended recently."),
	METHOD("WatchJobs", REQUIRED, OBSERVER, watch_jobs_in, watch_jobs_out,
	       "Streams jobs: first the present state of each, then each change. Close the connection to end it."),
	METHOD("WatchSpace", REQUIRED, OBSERVER, nothing, watch_space_out,
	       "Streams file systems: first the present state of each that GetStatus names, then each change of a level. "
	       "Close the connection to end it."),
	METHOD("CancelJob", NO, OPERATOR, cancel_job_in, nothing,
	       "Asks a job to stop and to take back what it did. A job that is past the point of no return goes on; "
	       "its state tells how it ended."),
	METHOD("PauseJob", NO, OPERATOR, cancel_job_in, nothing,
	       "Asks a job that merges or flattens disks to stop until ResumeJob; others are refused. Paused, it holds "
	       "nothing: all else can be done to the VM. A merge stays paused when the daemon is started again, and no "
	       "other begins by itself on that VM; other jobs end with the daemon."),
	METHOD("ResumeJob", NO, OPERATOR, cancel_job_in, nothing,
	       "Lets a paused job go on, as soon as nothing else is done to its VM."),
	METHOD("GetStatus", NO, OBSERVER, nothing, get_status_out, "Tells how the daemon is."),
	END,
};

static const struct vl_struct *const manager_types[] = {
	&vl_type_job,	    &vl_type_image,	 &vl_type_disk,		     &vl_type_vm, &vl_type_snapshot,
	&vl_type_ram_block, &vl_type_save_state, &vl_type_memory_difference, &vl_type_tree_image, &vl_type_disk_tree,
	&vl_type_snapshot_usage, &vl_type_disk_usage, &vl_type_merge_action, &vl_type_delete_plan,
	&vl_type_finding,   &vl_type_repair,	 &vl_type_file_system, NULL,
};

const struct vl_interface vl_manager = {
	.name = VL_MANAGER,
	.doc = "Snapshots of virtual machines: takes them, lists them, goes back to them and deletes them.\n\n"
	       "Methods that start a job can be called in three ways. With the 'more' flag the caller gets a stream: "
	       "the job at once, then each of its changes, and a last reply with the result. Without it there is one "
	       "reply, at the end. With noWait there is one reply at once, with the job. A job that fails ends in an "
	       "error reply, in a stream too. A job goes on when its caller closes the connection, unless "
	       "cancelOnDisconnect was given.\n\n"
	       "Sizes are in bytes, times in microseconds. VMs and snapshots are named by name or GUID. Fields with a "
	       "fixed set of words are strings because words may be added; so may fields, methods and errors.",
	.types = manager_types,
	.methods = manager_methods,
	.errors = vl_manager_errors,
};
