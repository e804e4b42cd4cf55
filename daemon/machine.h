/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One VM as an operation sees it: its directory, its configuration and its
 * domain, and the rules that hold the two together. Worker threads only. */
#ifndef DAEMON_MACHINE_H
#define DAEMON_MACHINE_H

#include "common/err.h"
#include "daemon/hv.h"
#include "layout/vmdir.h"
#include "xmlcfg/config.h"

struct daemon;

struct machine {
	struct daemon *daemon; /* *borrowed* */
	struct vmdir *dir;     /* *owned* */
	struct config *cfg;    /* *owned*; NULL while the VM is being made or is gone */
	enum hv_state state;
	char **notes; /* what was noticed and mended, *owned* list (NULL: nothing) */
};

/* Reads the configuration and asks the hypervisor for the state. With
 * may_lack_config a missing configuration is no error. ret_m *owned*. Returns 0 or
 * negative errno. */
_must_check_ int machine_open(struct daemon *daemon, const struct vmdir *dir, int may_lack_config,
			      struct machine **ret_m, struct err *reterr);

/* Frees it (*taken*, may be NULL). */
void machine_free(struct machine *m);
DEFINE_CLEANUP(struct machine, machine_free);
#define _cleanup_machine_ _cleanup_(machine_freep)

/* 1 if the guest exists as a process (running, paused, stopping), else 0. */
int machine_is_active(const struct machine *m);

/* 1 if the VM itself has a save state, else 0. */
int machine_is_saved(const struct machine *m);

/* Asks for the state again. Returns 0 or negative errno. */
_must_check_ int machine_refresh(struct machine *m, struct err *reterr);

/* Refuses what somebody else did that forbids a snapshot or an apply: managed
 * save, libvirt snapshots, block jobs, a domain job. Returns 0 or negative errno. */
_must_check_ int machine_refuse_foreign(struct machine *m, struct err *reterr);

/* What stands in the way of the next operation, or was done to the domain behind our
 * back: *owned* list of sentences, NULL if nothing. Only looks. */
char **machine_problems(struct machine *m);

/* Takes the domain's present document into the configuration (not written yet):
 * edits by virsh survive. Refuses, naming the disk, where a disk's source was
 * changed by somebody else; defines the domain again if it was undefined, or if
 * the VM directory was moved. Returns 0 or negative errno. */
_must_check_ int machine_take_domain(struct machine *m, struct err *reterr);

/* The domain document for cfg (*borrowed*; the machine's own or another of this
 * VM) with its disks and NVRAM where this VM directory has them. ret_xml *owned*.
 * Returns 0 or negative errno. */
_must_check_ int machine_definition(const struct machine *m, const struct config *cfg, int renew_genid,
				    char **ret_xml, struct err *reterr);

/* xml (a saved domain's) with cfg's disks, NVRAM and name, for a restore. ret_xml
 * *owned*. Returns 0 or negative errno. */
_must_check_ int machine_point_xml(const struct machine *m, const struct config *cfg, const char *xml,
				   char **ret_xml, struct err *reterr);

/* Defines the domain from the machine's configuration unless it is already so.
 * Returns 0 or negative errno. */
_must_check_ int machine_define(struct machine *m, int renew_genid, struct err *reterr);

/* Checks that all disks of cfg and everything below them is there, sealed ones
 * unchanged (every snapshot on the way down). Returns 0 or negative errno
 * (ERR_DRIFT). */
_must_check_ int machine_check_disks(const struct machine *m, const struct config *cfg, struct err *reterr);

/* Refuses (-EBUSY) if the VM is off here and somebody writes to one of its disks all the same: the guest
 * may run on another host now, or in a QEMU that libvirt does not know. Returns 0 or negative errno. */
_must_check_ int machine_refuse_written(const struct machine *m, struct err *reterr);

/* Whether the running domain uses the disks of cfg (live document), or, if it is
 * off, its definition does: 1 yes, 0 no, negative errno. */
_must_check_ int machine_domain_uses(const struct machine *m, const struct config *cfg, struct err *reterr);

/* Whether the domain's definition (that of its next start) uses the disks of cfg: 1
 * yes, 0 no, negative errno. */
_must_check_ int machine_is_defined_on(const struct machine *m, const struct config *cfg, struct err *reterr);

/* Records the working disks' stamps in the configuration: a save state of the VM
 * fits these and no others. Returns 0 or negative errno. */
_must_check_ int machine_stamp_disks(struct machine *m, struct err *reterr);

/* Compares the working disks with those stamps. Returns 0 or negative errno
 * (ERR_DRIFT: somebody ran the VM since). */
_must_check_ int machine_check_stamps(const struct machine *m, struct err *reterr);

/* Writes the machine's configuration: THE commit point. Returns 0 or negative errno. */
_must_check_ int machine_commit(struct machine *m, struct err *reterr);

/* Absolute path of a disk of cfg, *owned*. */
char *machine_disk_path(const struct machine *m, const struct config_disk *disk);

/* All snapshots' configurations, *owned* array of *owned* documents. One that
 * cannot be read is left out and counted in *ret_unreadable (NULL: it is an
 * error). Returns 0 or negative errno. */
_must_check_ int machine_snapshots(const struct machine *m, struct config ***ret_cfgs, size_t *ret_n,
				   size_t *ret_unreadable, struct err *reterr);

/* Frees such an array. */
void machine_snapshots_free(struct config **cfgs, size_t n);

/* Reads one snapshot's configuration. ret_cfg *owned*. Returns 0 or negative errno. */
_must_check_ int machine_snapshot(const struct machine *m, const struct guid *snap, struct config **ret_cfg,
				  struct err *reterr);

/* Waits until no domain job (of a dead predecessor's call) is under way. Returns
 * 0 or negative errno. */
_must_check_ int machine_wait_idle(struct machine *m, struct err *reterr);

#endif
