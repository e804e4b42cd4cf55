/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be done to a VM as a whole. The functions are job bodies' work (worker
 * threads). Strings *borrowed*. */
#ifndef DAEMON_OP_VM_H
#define DAEMON_OP_VM_H

#include "daemon/op.h"

/* A new VM; NULL and 0 mean "not given". */
struct vm_spec {
	const char *name, *notes;
	int64_t memory;     /* bytes */
	int vcpus;
	int64_t disk;       /* bytes of a new disk */
	const char *import_disk, *import_format;
	const char *cdrom, *network, *console_log;
	int uefi, tpm;
};

/* Makes a VM. ret_vm names it. Returns 0 or negative errno. */
_must_check_ int vm_create(struct daemon *daemon, const struct vm_spec *spec, struct job *job, struct guid *ret_vm,
			   struct err *reterr);

/* Takes the libvirt domain of that name or UUID under management where it is;
 * with convert, disks of formats that forbid saving memory become qcow2 in the VM
 * directory. Returns 0 or negative errno. */
_must_check_ int vm_adopt(struct daemon *daemon, const char *domain, int convert, struct job *job,
			  struct guid *ret_vm, struct err *reterr);

/* Deletes a VM with all its snapshots; nothing outside its directory is touched.
 * A running one only with force. Returns 0 or negative errno. */
_must_check_ int vm_delete(struct daemon *daemon, const struct vmdir *dir, int force, struct job *job,
			   struct err *reterr);

/* Renames a VM that is off. Returns 0 or negative errno. */
_must_check_ int vm_rename(struct daemon *daemon, const struct vmdir *dir, const char *name, struct job *job,
			   struct err *reterr);

/* How to start a VM. */
struct start_spec {
	int paused;        /* leave the guest paused; not of a saved VM */
	int discard_saved; /* a saved VM starts afresh, its save state is lost */
	int keep_time;     /* leave the clock of a guest that goes on at the time of its save */
};

/* Starts a VM; a saved one resumes from its save state, unless that shall be
 * discarded. Returns 0 or negative errno. */
_must_check_ int vm_start(struct daemon *daemon, const struct vmdir *dir, const struct start_spec *spec,
			  struct job *job, struct err *reterr);

/* Asks the guest to shut down; with wait, until it is off. Returns 0 or negative errno. */
_must_check_ int vm_shutdown(struct daemon *daemon, const struct vmdir *dir, int wait, struct job *job,
			     struct err *reterr);

/* Ends the guest at once. Returns 0 or negative errno. */
_must_check_ int vm_stop(struct daemon *daemon, const struct vmdir *dir, struct job *job, struct err *reterr);

/* Saves the running VM's memory and ends it. Returns 0 or negative errno. */
_must_check_ int vm_save(struct daemon *daemon, const struct vmdir *dir, struct job *job, struct err *reterr);

/* Lets a saved or paused VM go on; keep_time as in struct start_spec. Returns 0 or negative errno. */
_must_check_ int vm_resume(struct daemon *daemon, const struct vmdir *dir, int keep_time, struct job *job,
			   struct err *reterr);

/* Forgets the save state of a saved VM (m *taken*). Returns 0 or negative errno. */
_must_check_ int vm_discard_saved(struct daemon *daemon, struct machine *m, struct job *job, struct err *reterr);

/* Opens the machine for a verb unless the job was cancelled: ret_m *owned*.
 * Returns 0 or negative errno. */
_must_check_ int vm_open(struct daemon *daemon, const struct vmdir *dir, struct job *job, struct machine **ret_m,
			 struct err *reterr);

/* Takes the domain's document into the configuration and writes it if it changed. */
_must_check_ int vm_sync(struct machine *m, struct job *job, struct err *reterr);

#endif
