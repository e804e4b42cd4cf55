/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The named types of io.vmsnap.Manager. */
#include "varlink/manager-tables.h"

static const struct vl_field job_fields[] = {
	FIELD("id", VL_STRING, "Names the job for WatchJobs, CancelJob, PauseJob and ResumeJob."),
	FIELD("operation", VL_STRING, "What it does, in words: for example \"snapshot create\", or \"recover\" for "
				      "what an earlier daemon left unfinished. New operations may appear."),
	FIELD("vm", VL_STRING, "Name of the VM it works on, as it was when the job started."),
	OPTIONAL("vmId", VL_STRING, "GUID of that VM; absent while a VM that is being created has none."),
	FIELD("state", VL_STRING, "\"queued\" (waits), \"running\", \"paused\", \"done\", \"failed\" or \"cancelled\". "
				  "The last three are final."),
	OPTIONAL("phase", VL_STRING, "What it is doing at the moment, for people to read."),
	OPTIONAL("bytesDone", VL_INT, "How much of the present phase is done; absent if that cannot be told."),
	OPTIONAL("bytesTotal", VL_INT, "How much there is to do in the present phase. It can grow, because a running "
				       "guest goes on writing."),
	OPTIONAL("startedUSec", VL_INT, "When it began to run, in microseconds since 1970 UTC; absent while queued."),
	OPTIONAL("finishedUSec", VL_INT, "When it became final, in microseconds since 1970 UTC."),
	OPTIONAL("error", VL_STRING, "Full name of the error, for example \"io.vmsnap.Manager.BackendError\"; "
				     "present if the state is \"failed\" or \"cancelled\"."),
	OPTIONAL("errorMessage", VL_STRING, "What was attempted and why it failed, one sentence for people."),
	OPTIONAL("hint", VL_STRING, "What to do about it, one sentence for people."),
	OPTIONAL_LIST("warnings", VL_STRING, "What went otherwise than asked for without being a failure, for example "
					     "that the guest could not be frozen."),
	END,
};

const struct vl_struct vl_type_job = {
	.name = "Job",
	.doc = "A running or finished operation. Each value is whole, not a difference to the one before: dropping "
	       "all but the newest loses nothing.",
	.fields = job_fields,
};

static const struct vl_field image_fields[] = {
	FIELD("path", VL_STRING, "Absolute path of the image."),
	FIELD("format", VL_STRING, "Its format, as recorded and never guessed: \"qcow2\", \"raw\" ..."),
	OPTIONAL("virtualBytes", VL_INT, "Size that the guest sees."),
	OPTIONAL("allocatedBytes", VL_INT, "Size that it takes on the host's file system."),
	END,
};

const struct vl_struct vl_type_image = {
	.name = "Image",
	.doc = "One image file or block device in the chain behind a disk.",
	.fields = image_fields,
};

static const struct vl_field disk_fields[] = {
	FIELD("target", VL_STRING, "Name of the disk in the guest's configuration, for example \"vda\"."),
	FIELD("path", VL_STRING, "Absolute path of the image: a VM's working disk, or a snapshot's sealed disk."),
	OPTIONAL("format", VL_STRING, "Format of that image; absent for a disk that is not managed and names none."),
	FIELD("managed", VL_BOOL, "Whether snapshots contain this disk. CD-ROMs, read-only and shared disks are left "
				  "alone."),
	OPTIONAL("reason", VL_STRING, "Why it is not managed; absent if it is."),
	STRUCT("chain", vl_type_image, VL_NULLABLE | VL_ARRAY,
	       "The images from this one down to the base disk. Present in the replies of methods that return one VM "
	       "or one snapshot, absent in lists."),
	END,
};

const struct vl_struct vl_type_disk = {
	.name = "Disk",
	.doc = "A disk of a VM or of a snapshot.",
	.fields = disk_fields,
};

static const struct vl_field vm_fields[] = {
	FIELD("name", VL_STRING, "Name of the VM; also that of its directory when it was created."),
	FIELD("id", VL_STRING, "Its GUID, upper case, which is also the libvirt domain's UUID. It never changes."),
	FIELD("state", VL_STRING, "\"off\", \"running\", \"paused\", \"saved\" (memory on disk, StartVM resumes it), "
				  "\"stopping\", \"crashed\", \"undefined\" (the hypervisor does not know it) or "
				  "\"unknown\" (the hypervisor cannot be asked). New states may appear."),
	FIELD("directory", VL_STRING, "Absolute path of the VM directory, which holds all of the VM."),
	OPTIONAL("memoryBytes", VL_INT, "Size of the guest's memory."),
	OPTIONAL("vcpus", VL_INT, "Number of virtual CPUs."),
	OPTIONAL("firmware", VL_STRING, "\"bios\" or \"uefi\"; absent if the configuration does not say."),
	OPTIONAL("tpm", VL_BOOL, "Whether it has an emulated TPM."),
	OPTIONAL("now", VL_STRING, "GUID of the snapshot that the working disks derive from; the next snapshot becomes "
				   "its child. Absent if there is none."),
	OPTIONAL("nowName", VL_STRING, "Name of that snapshot."),
	FIELD("snapshots", VL_INT, "How many snapshots it has."),
	OPTIONAL("memoryBlocker", VL_STRING, "Why a snapshot of this VM cannot contain memory, for people to read; "
					     "absent if it can."),
	OPTIONAL("notes", VL_STRING, "Free text of the admin."),
	OPTIONAL("createdUSec", VL_INT, "When it came under management, in microseconds since 1970 UTC."),
	OPTIONAL("job", VL_STRING, "Id of the job that holds the VM at the moment."),
	OPTIONAL_LIST("problems", VL_STRING, "What is wrong with it, one sentence each, for people to read."),
	STRUCT("disks", vl_type_disk, VL_NULLABLE | VL_ARRAY,
	       "Its disks. Present in the replies of methods that return one VM, absent in lists."),
	END,
};

const struct vl_struct vl_type_vm = {
	.name = "VM",
	.doc = "A virtual machine under management.",
	.fields = vm_fields,
};

static const struct vl_field snapshot_fields[] = {
	FIELD("id", VL_STRING, "Its GUID, upper case."),
	FIELD("name", VL_STRING, "Its name. Names need not be unique within a VM; the GUID is."),
	FIELD("vm", VL_STRING, "Name of the VM it belongs to."),
	FIELD("vmId", VL_STRING, "GUID of that VM."),
	OPTIONAL("parent", VL_STRING, "GUID of the snapshot it derives from; absent for a root of the tree."),
	FIELD("createdUSec", VL_INT, "The instant it holds, in microseconds since 1970 UTC."),
	FIELD("kind", VL_STRING, "\"off\" (the VM did not run), \"memory\" (it ran and continues from here) or "
				 "\"disk only\" (it ran, but starts from its disks as after a power failure)."),
	FIELD("mode", VL_STRING, "Capture mode: \"background\" (the guest stopped for milliseconds), \"live\" (it ran "
				 "while its memory was taken), \"paused\" (it was stopped meanwhile) or \"none\" (no "
				 "memory was taken)."),
	OPTIONAL("reason", VL_STRING, "Why that mode and not a better one, for people to read."),
	OPTIONAL("level", VL_STRING, "How consistent the file systems of a disk-only snapshot are: \"quiesced\" "
				     "(frozen by the guest agent) or \"crash\" (as after a power failure)."),
	OPTIONAL("pauseUSec", VL_INT, "How long the guest stood still for it, in microseconds."),
	OPTIONAL("notes", VL_STRING, "Free text of the admin."),
	OPTIONAL("packed", VL_BOOL, "Whether its memory is compressed on disk (PackSaveState). Present with its disks, if "
				    "it has a memory file."),
	FIELD("memoryBytes", VL_INT, "Host disk space that its memory and device state take; 0 if it has none."),
	FIELD("diskBytes", VL_INT, "Host disk space that its sealed disks take, without the images they derive from."),
	FIELD("children", VL_INT, "How many snapshots derive from it."),
	FIELD("depth", VL_INT, "Its level in the tree; 0 for a root."),
	FIELD("last", VL_BOOL, "Whether it is the last of its siblings in tree order: what one needs to draw the "
				"tree."),
	FIELD("current", VL_BOOL, "Whether now derives from it: RevertVM goes back to this one."),
	OPTIONAL_LIST("problems", VL_STRING, "What is wrong with it, one sentence each, for people to read."),
	STRUCT("disks", vl_type_disk, VL_NULLABLE | VL_ARRAY,
	       "Its disks. Present in the replies of methods that return one snapshot, absent in lists."),
	END,
};

const struct vl_struct vl_type_snapshot = {
	.name = "Snapshot",
	.doc = "A VM at one instant: configuration, disks and, if it ran and that was wanted, memory.",
	.fields = snapshot_fields,
};

static const struct vl_field file_system_fields[] = {
	FIELD("path", VL_STRING, "Absolute path of the store, or of a directory with a disk, that lies on it."),
	FIELD("level", VL_STRING, "\"ok\", \"warning\" or \"critical\" (less is free than the threshold of that name; it "
				  "gets better only when an eighth more than the threshold is free), or, in the stream "
				  "only, \"gone\" (nothing of vmsnap's is there any more)."),
	FIELD("freeBytes", VL_INT, "What is free."),
	FIELD("totalBytes", VL_INT, "Its size."),
	FIELD("warningBytes", VL_INT, "The threshold \"space-warning\" of the configuration for it; 0: none."),
	FIELD("criticalBytes", VL_INT, "The threshold \"space-critical\"; 0: none."),
	END,
};

const struct vl_struct vl_type_file_system = {
	.name = "FileSystem",
	.doc = "A file system whose free space is watched while VMs run.",
	.fields = file_system_fields,
};
