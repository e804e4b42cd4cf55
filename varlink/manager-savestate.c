/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The named types of io.vmsnap.Manager that are about save states. */
#include "varlink/manager-tables.h"

static const struct vl_field ram_block_fields[] = {
	FIELD("name", VL_STRING, "Its name in QEMU, for example \"pc.ram\"."),
	FIELD("bytes", VL_INT, "Its size."),
	FIELD("offset", VL_INT, "Where it begins in the memory file."),
	END,
};

const struct vl_struct vl_type_ram_block = {
	.name = "RAMBlock",
	.doc = "A block of the guest's memory: RAM, video memory, flash ...",
	.fields = ram_block_fields,
};

static const struct vl_field save_state_fields[] = {
	OPTIONAL("snapshot", VL_STRING, "GUID of the snapshot it belongs to; absent for a saved VM's own."),
	FIELD("form", VL_STRING, "\"split\" (the memory is in a file of its own), \"partly\" (some of it is among the "
				 "rest), \"opaque\" (all in one) or \"unknown\" (it cannot be read, see 'problems')."),
	FIELD("path", VL_STRING, "Absolute path of the .vsv file: device state and all else but the memory, or all of "
				 "the save state."),
	OPTIONAL("bytes", VL_INT, "Size of that file; absent if it is not there."),
	FIELD("recordedBytes", VL_INT, "Size that the file had when it was taken."),
	FIELD("checksum", VL_STRING, "64-bit XXH3 that the file had when it was taken, 16 hexadecimal digits. "
				     "VerifySaveState compares it."),
	OPTIONAL("memoryPath", VL_STRING, "Absolute path of the .bin file with the memory, or of the .binz file if it is "
					  "packed; absent if there is none."),
	OPTIONAL("memoryPacked", VL_BOOL, "True if that file is compressed; absent if it is not."),
	OPTIONAL("memoryBytes", VL_INT, "Size of that file with its holes."),
	OPTIONAL("memoryAllocatedBytes", VL_INT, "Size that it takes on the host's file system."),
	OPTIONAL("parent", VL_STRING, "GUID of the snapshot whose save state it takes pages from; absent if it stands "
				      "alone."),
	OPTIONAL("parentName", VL_STRING, "Name of that snapshot."),
	OPTIONAL("chain", VL_INT, "How many save states it is put together from, itself included."),
	OPTIONAL("domain", VL_STRING, "Name of the libvirt domain as it was saved."),
	OPTIONAL("pageBytes", VL_INT, "Size of a page; this and what follows is absent in the opaque form."),
	OPTIONAL("dataPages", VL_INT, "How many pages are in the memory file."),
	OPTIONAL("zeroPages", VL_INT, "How many are all zeros."),
	OPTIONAL("parentPages", VL_INT, "How many are as in the parent."),
	OPTIONAL("absentPages", VL_INT, "How many the guest never had."),
	STRUCT("blocks", vl_type_ram_block, VL_NULLABLE | VL_ARRAY, "The blocks of the memory."),
	OPTIONAL_LIST("problems", VL_STRING, "What is wrong with it at first sight, one sentence each, for people to "
					     "read."),
	END,
};

const struct vl_struct vl_type_save_state = {
	.name = "SaveState",
	.doc = "The saved memory and device state of a snapshot, or of a saved VM.",
	.fields = save_state_fields,
};

static const struct vl_field memory_difference_fields[] = {
	FIELD("pageBytes", VL_INT, "Size of a page."),
	FIELD("samePages", VL_INT, "How many pages are the same in both."),
	FIELD("changedPages", VL_INT, "How many are in both and differ."),
	FIELD("onlyFirstPages", VL_INT, "How many are in blocks, or at places, that only the first has."),
	FIELD("onlySecondPages", VL_INT, "The same for the second."),
	END,
};

const struct vl_struct vl_type_memory_difference = {
	.name = "MemoryDifference",
	.doc = "What the memory of two save states has in common.",
	.fields = memory_difference_fields,
};
