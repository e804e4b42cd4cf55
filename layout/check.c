/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kinds of findings, and the list of what was found. */
#include "layout/check.h"

#include <string.h>

#include "common/alloc.h"

#define BACKUP "Restore the file from a backup of the VM directory"
#define LOST "its content is not there to be put back"
#define JUDGE "which of them is right only you can tell"
#define YOURS "it is not vmsnap's to undo"

#define NOTE(word_, advice_) { .word = (word_), .severity = CHECK_INFO, .advice = (advice_), .why = "it is no fault" }
#define MENDED(word_, severity_, advice_) \
	{ .word = (word_), .severity = CHECK_##severity_, .advice = (advice_) }
#define LEFT(word_, severity_, advice_, why_) \
	{ .word = (word_), .severity = CHECK_##severity_, .advice = (advice_), .why = (why_) }

static const struct check_rule rules[CHECK_IDS] = {
	[CHECK_BUSY] = NOTE("busy", "Check again when the job has ended"),
	[CHECK_XML_UNREADABLE] = LEFT("xml-unreadable", ERROR, BACKUP, LOST),
	[CHECK_XML_INVALID] = LEFT("xml-invalid", ERROR, BACKUP, LOST),
	[CHECK_XML_GUID] = LEFT("xml-guid", ERROR, "Give the file back its name, or " BACKUP, JUDGE),
	[CHECK_XML_TYPE] = LEFT("xml-type", ERROR, BACKUP, LOST),
	[CHECK_PARENT_MISSING] = LEFT("parent-missing", ERROR, "Restore the parent's document from a backup; until then "
				      "the tree is shown without that line", LOST),
	[CHECK_PARENT_CYCLE] = LEFT("parent-cycle", ERROR, BACKUP, JUDGE),
	[CHECK_VM_TWICE] = LEFT("vm-twice", ERROR, "Move one of the directories out of the store", JUDGE),
	[CHECK_STORE] = LEFT("store", WARNING, "Look at it and move it out of the store", "it is outside of every VM "
			     "directory"),
	[CHECK_DISK_SHARED] = LEFT("disk-shared", ERROR, "Do not start them together; give one of them a disk of its own",
				   JUDGE),
	[CHECK_SEALED_IN_USE] = LEFT("sealed-in-use", ERROR, "Do not start the VM; restore its document from a backup",
				     JUDGE),
	[CHECK_WORKING_BELOW] = LEFT("working-below", ERROR, "Do not start the VM: what it writes shows through in the "
				     "image above", JUDGE),
	[CHECK_IMAGE_MISSING] = LEFT("image-missing", ERROR, BACKUP, LOST),
	[CHECK_STATE_MISSING] = LEFT("state-missing", ERROR, BACKUP, LOST),
	[CHECK_MEMORY_MISSING] = LEFT("memory-missing", ERROR, BACKUP, LOST),
	[CHECK_NVRAM_MISSING] = LEFT("nvram-missing", ERROR, BACKUP, LOST),
	[CHECK_TPM_MISSING] = LEFT("tpm-missing", ERROR, BACKUP, LOST),
	[CHECK_FOREIGN_DIRECTORY] = LEFT("foreign-directory", WARNING, "Move the file into this VM's directory, or out of "
					 "the store", JUDGE),
	[CHECK_PATH_ABSOLUTE] = LEFT("path-absolute", WARNING, "It breaks when the VM directory is moved or copied",
				     "documents are changed by operations only"),
	[CHECK_BACKING_MISSING] = LEFT("backing-missing", ERROR, BACKUP, LOST),
	[CHECK_BACKING_FORMAT] = LEFT("backing-format", ERROR, "Say which format is right with 'qemu-img rebase -u -b "
				      "NAME -F FORMAT'; the guest must be off", JUDGE),
	[CHECK_BACKING_UNNAMED] = LEFT("backing-unnamed", ERROR, "Name it with 'qemu-img rebase -u -b NAME -F FORMAT'; "
				       "the guest must be off", "formats are never guessed"),
	[CHECK_BACKING_ABSOLUTE] = LEFT("backing-absolute", WARNING, "Make it relative with 'qemu-img rebase -u -b NAME "
					"-F FORMAT' before the VM directory is moved or copied",
					"it would write into a sealed disk"),
	[CHECK_BACKING_LOOP] = LEFT("backing-loop", ERROR, BACKUP, JUDGE),
	[CHECK_BACKING_OUTSIDE] = LEFT("backing-outside", WARNING, "Make it absolute with 'qemu-img rebase -u', or move "
				       "the image into the VM directory", "it would write into a sealed disk"),
	[CHECK_BACKING_PROTOCOL] = LEFT("backing-protocol", ERROR, "Only images in files and on block devices are "
					"followed", JUDGE),
	[CHECK_FORMAT] = LEFT("format", ERROR, BACKUP, JUDGE),
	[CHECK_IMAGE_DAMAGED] = LEFT("image-damaged", ERROR, BACKUP, LOST),
	[CHECK_IMAGE_UNREADABLE] = LEFT("image-unreadable", ERROR, "Look at its owner and mode, and at the file system",
					"it is not known why"),
	[CHECK_IMAGE_LEAKS] = LEFT("image-leaks", WARNING, "They waste space and nothing else; a working disk is mended "
				   "by 'qemu-img check -r leaks' while the VM is off",
				   "a sealed disk must not be written"),
	[CHECK_IMAGE_UNCHECKED] = NOTE("image-unchecked", "Check again when the VM is off"),
	[CHECK_CHAIN_LONG] = LEFT("chain-long", ERROR, "Delete snapshots that are not needed", YOURS),
	[CHECK_CHAIN_DEEP] = NOTE("chain-deep", "Each image makes reading slower; delete snapshots that are not needed"),
	[CHECK_OVERLAY_SMALLER] = LEFT("overlay-smaller", WARNING, "The guest does not see the end of the image below; "
				       "'qemu-img resize' if that was not meant", JUDGE),
	[CHECK_OVERLAY_LARGER] = NOTE("overlay-larger", NULL),
	[CHECK_HIDDEN] = NOTE("hidden", NULL),
	[CHECK_SEAL_MODE] = MENDED("seal-mode", WARNING, "'vmsnapctl repair' gives it mode 0440"),
	[CHECK_SEAL_DRIFT] = LEFT("seal-drift", ERROR, "Restore it from a backup with its time stamp. If you are certain "
				  "that its content is right, 'vmsnapctl repair --accept-drift FILE' records it anew",
				  "what derives from it may not fit it any more, and nobody can tell from outside"),
	[CHECK_SAVED_DRIFT] = LEFT("saved-drift", ERROR, "The saved memory does not fit the disk: start the VM afresh with "
				   "'vmsnapctl vm start --discard-saved', or restore the disk from a backup", JUDGE),
	[CHECK_STATE_DRIFT] = LEFT("state-drift", ERROR, BACKUP, LOST),
	[CHECK_STATE_DAMAGED] = LEFT("state-damaged", ERROR, BACKUP, LOST),
	[CHECK_FIRMWARE_DRIFT] = LEFT("firmware-drift", ERROR, BACKUP, LOST),
	[CHECK_ORPHAN] = MENDED("orphan", WARNING, "'vmsnapctl repair' moves it into the directory Quarantine"),
	[CHECK_TEMPORARY] = MENDED("temporary", WARNING, "'vmsnapctl repair' removes it"),
	[CHECK_EMPTY_DIRECTORY] = MENDED("empty-directory", WARNING, "'vmsnapctl repair' removes it"),
	[CHECK_DIRECTORY_MISSING] = MENDED("directory-missing", WARNING, "'vmsnapctl repair' makes it"),
	[CHECK_QUARANTINED] = NOTE("quarantined", "Look at it, and remove it when it is not needed"),
	[CHECK_DOCUMENT_MODE] = MENDED("document-mode", WARNING, "'vmsnapctl repair' gives it mode 0600"),
	[CHECK_DIRECTORY_MODE] = MENDED("directory-mode", WARNING, "'vmsnapctl repair' gives it the mode it was made with"),
	[CHECK_IMAGE_MODE] = MENDED("image-mode", WARNING, "'vmsnapctl repair' takes the others' rights away"),
	[CHECK_OWNER] = LEFT("owner", WARNING, "Give it to the daemon's user with chown", "the daemon may not, or it was "
			     "meant so"),
	[CHECK_UNFINISHED] = MENDED("unfinished", ERROR, "'vmsnapctl repair', as any other operation, settles it first"),
	[CHECK_RECORD_DAMAGED] = LEFT("record-damaged", ERROR, "Look at what it tells of, put the VM's files right, and "
				      "remove it", "it cannot be told what was under way"),
	[CHECK_INDEX] = MENDED("index", WARNING, "'vmsnapctl repair' reads it anew from the documents"),
	[CHECK_DOMAIN_UNCHECKED] = LEFT("domain-unchecked", WARNING, "Check again when the hypervisor can be asked",
					"it needs the hypervisor"),
	[CHECK_DOMAIN_MISSING] = MENDED("domain-missing", WARNING, "'vmsnapctl repair' defines it from the configuration"),
	[CHECK_DOMAIN_TRANSIENT] = LEFT("domain-transient", WARNING, "It is defined again when it is needed after it has "
					"stopped", "it runs"),
	[CHECK_DOMAIN_DISKS] = LEFT("domain-disks", ERROR, "Point the disk back with 'virsh edit', or undefine the domain: "
				    "it is defined again from the configuration", JUDGE),
	[CHECK_DOMAIN_BEHIND] = LEFT("domain-behind", ERROR, "Do not start it before its definition is put right with "
				     "'virsh edit'", JUDGE),
	[CHECK_DOMAIN_EDITED] = NOTE("domain-edited", "The next operation takes it over"),
	[CHECK_MANAGED_SAVE] = LEFT("managed-save", WARNING, "Start it with 'virsh start', or drop that state with 'virsh "
				    "managedsave-remove'", YOURS),
	[CHECK_LIBVIRT_SNAPSHOTS] = LEFT("libvirt-snapshots", WARNING, "Delete them with 'virsh snapshot-delete' (--metadata "
					 "keeps the disks as they are)", YOURS),
	[CHECK_FOREIGN_JOB] = LEFT("foreign-job", WARNING, "Let it end, or stop it with 'virsh domjobabort' or 'virsh "
				   "blockjob --abort'", YOURS),
};

const struct check_rule *check_rule(enum check_id id)
{
	return &rules[id];
}

const char *check_severity_name(enum check_severity severity)
{
	static const char *const names[] = { [CHECK_INFO] = "info", [CHECK_WARNING] = "warning", [CHECK_ERROR] = "error" };

	return names[severity];
}

static int same_file(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

void check_add(struct check_report *rep, enum check_id id, const char *file, const char *fmt, ...)
{
	struct check_finding *f;
	va_list ap;

	for (size_t i = 0; file && i < rep->n; i++)
		if (rep->finding[i].id == id && same_file(rep->finding[i].file, file))
			return;
	if (rep->n >= CHECK_MAX_FINDINGS) {
		rep->cut = 1;
		return;
	}
	rep->finding = xreallocarray(rep->finding, rep->n + 1, sizeof(*rep->finding));
	f = &rep->finding[rep->n++];
	*f = (struct check_finding){ .id = id, .file = xstrdup(file) };
	va_start(ap, fmt);
	f->text = xvasprintf(fmt, ap);
	va_end(ap);
}

int check_has_file(const struct check_report *rep, const char *file)
{
	for (size_t i = 0; i < rep->n; i++)
		if (rules[rep->finding[i].id].severity > CHECK_INFO && same_file(rep->finding[i].file, file))
			return 1;
	return 0;
}

int check_has(const struct check_report *rep, enum check_id id)
{
	for (size_t i = 0; i < rep->n; i++)
		if (rep->finding[i].id == id)
			return 1;
	return 0;
}

void check_report_done(struct check_report *rep)
{
	for (size_t i = 0; i < rep->n; i++) {
		free(rep->finding[i].file);
		free(rep->finding[i].text);
	}
	free(rep->finding);
	*rep = (struct check_report){ 0 };
}
