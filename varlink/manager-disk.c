/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The named types of io.vmsnap.Manager that are about chains of images and merging. */
#include "varlink/manager-tables.h"

static const struct vl_field tree_image_fields[] = {
	FIELD("path", VL_STRING, "Absolute path of the image."),
	FIELD("format", VL_STRING, "Its format, as recorded and never guessed."),
	OPTIONAL("backing", VL_STRING, "Absolute path of the image below it; absent for the lowest one."),
	OPTIONAL("virtualBytes", VL_INT, "Size that the guest sees."),
	FIELD("allocatedBytes", VL_INT, "Size that it takes on the host's file system."),
	FIELD("now", VL_BOOL, "Whether it is the VM's own disk."),
	LIST("snapshots", VL_STRING, "GUIDs of the snapshots whose sealed disk it is."),
	LIST("snapshotNames", VL_STRING, "Their names, in the same order."),
	FIELD("hidden", VL_BOOL, "Whether nothing but images needs it: it is merged when only one does."),
	FIELD("orphan", VL_BOOL, "Whether nothing needs it at all."),
	FIELD("outside", VL_BOOL, "Whether it lies outside the VM directory: it is never written or removed."),
	FIELD("shared", VL_BOOL, "Whether another VM's disks need it."),
	OPTIONAL("reason", VL_STRING, "Why a hidden one is there, or what becomes of it, for people to read."),
	END,
};

const struct vl_struct vl_type_tree_image = {
	.name = "TreeImage",
	.doc = "One image among all that a disk and its snapshots consist of.",
	.fields = tree_image_fields,
};

static const struct vl_field disk_tree_fields[] = {
	OPTIONAL("target", VL_STRING, "Name of the disk in the guest's configuration; absent for images of which nobody "
				      "knows whose they are."),
	FIELD("length", VL_INT, "How many images are under the VM's own disk, itself included; 0 if it no longer has "
				"this disk."),
	STRUCT("images", vl_type_tree_image, VL_ARRAY,
	       "The images, each directly followed by those over it, the branch with the VM's own disk last."),
	END,
};

const struct vl_struct vl_type_disk_tree = {
	.name = "DiskTree",
	.doc = "All images of one disk: of now, of the snapshots, and what is between.",
	.fields = disk_tree_fields,
};

static const struct vl_field snapshot_usage_fields[] = {
	FIELD("id", VL_STRING, "GUID of the snapshot."),
	FIELD("name", VL_STRING, "Its name."),
	FIELD("diskBytes", VL_INT, "Size of its sealed disks on the host's file system."),
	FIELD("memoryBytes", VL_INT, "Size of its save state on the host's file system."),
	FIELD("freedMinBytes", VL_INT, "What deleting it, and nothing else, frees at least."),
	FIELD("freedMaxBytes", VL_INT, "What deleting it frees at most: what two images both hold is known when they are "
				       "merged."),
	FIELD("copiedBytes", VL_INT, "What is copied for it at most."),
	END,
};

const struct vl_struct vl_type_snapshot_usage = {
	.name = "SnapshotUsage",
	.doc = "What a snapshot costs.",
	.fields = snapshot_usage_fields,
};

static const struct vl_field disk_usage_fields[] = {
	FIELD("nowBytes", VL_INT, "Size of the VM's own disks, without what is below them."),
	FIELD("snapshotBytes", VL_INT, "Size of the snapshots' sealed disks."),
	FIELD("hiddenBytes", VL_INT, "Size of the images that only images need."),
	FIELD("orphanBytes", VL_INT, "Size of the images that nothing needs."),
	FIELD("outsideBytes", VL_INT, "How much of these lies outside the VM directory."),
	FIELD("memoryBytes", VL_INT, "Size of all save states, the VM's own included."),
	STRUCT("snapshots", vl_type_snapshot_usage, VL_ARRAY, "The snapshots, oldest first."),
	END,
};

const struct vl_struct vl_type_disk_usage = {
	.name = "DiskUsage",
	.doc = "What a VM takes on the host's file system, and for what.",
	.fields = disk_usage_fields,
};

static const struct vl_field merge_action_fields[] = {
	FIELD("action", VL_STRING, "\"remove\" (the image goes), \"pull\" (what the image holds goes into the dependant, "
				   "then it goes), \"commit\" (what the dependant holds goes into the image, then the "
				   "dependant goes) or \"keep\" (the image stays, hidden)."),
	FIELD("image", VL_STRING, "Absolute path of the image."),
	OPTIONAL("dependant", VL_STRING, "Absolute path of the image over it."),
	FIELD("why", VL_STRING, "Why this, or why this way, as a word. New words may appear."),
	FIELD("reason", VL_STRING, "The same for people to read."),
	FIELD("live", VL_BOOL, "Whether the running guest's QEMU does it."),
	FIELD("repointed", VL_INT, "How many images and configurations name another image afterwards."),
	FIELD("copiedBytes", VL_INT, "What is copied at most."),
	FIELD("freedBytes", VL_INT, "Size of the file that goes, as far as it is known now."),
	FIELD("neededBytes", VL_INT, "By how much the file that is written to may grow at worst."),
	END,
};

const struct vl_struct vl_type_merge_action = {
	.name = "MergeAction",
	.doc = "What becomes of one image.",
	.fields = merge_action_fields,
};

static const struct vl_field delete_plan_fields[] = {
	LIST("snapshots", VL_STRING, "GUIDs of the snapshots that go, in this order."),
	LIST("names", VL_STRING, "Their names."),
	STRUCT("actions", vl_type_merge_action, VL_ARRAY, "What becomes of the images, in this order. Merges that are "
							  "due anyway are among them."),
	FIELD("memoryBytes", VL_INT, "Size of the save states that go."),
	FIELD("foldedBytes", VL_INT, "How much of their memory others take over, at most."),
	FIELD("copiedBytes", VL_INT, "What is copied in all, at most."),
	FIELD("neededBytes", VL_INT, "What has to be free for it at worst."),
	FIELD("availableBytes", VL_INT, "What is free where the VM directory is."),
	FIELD("freedMinBytes", VL_INT, "What becomes free at least."),
	FIELD("freedMaxBytes", VL_INT, "What becomes free at most."),
	FIELD("bytesPerSecond", VL_INT, "How fast copying is thought to be."),
	FIELD("measured", VL_BOOL, "Whether that was measured in merges since the daemon started; else it is assumed."),
	FIELD("seconds", VL_INT, "How long copying will take then: copiedBytes divided by bytesPerSecond."),
	END,
};

const struct vl_struct vl_type_delete_plan = {
	.name = "DeletePlan",
	.doc = "What deleting snapshots would do.",
	.fields = delete_plan_fields,
};
