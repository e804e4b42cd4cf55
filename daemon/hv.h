/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hypervisor as the daemon needs it: a small table of functions, so that
 * tests can put a scripted one in its place. Only hv-*.c includes libvirt. All
 * calls block and belong in worker threads; any number may run at once. */
#ifndef DAEMON_HV_H
#define DAEMON_HV_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/guid.h"

enum hv_state {
	HV_ABSENT,   /* not defined */
	HV_OFF,
	HV_RUNNING,
	HV_PAUSED,
	HV_STOPPING, /* being shut down */
	HV_CRASHED,
};

struct hv_domain {
	struct guid guid;
	char *name; /* *owned* */
	enum hv_state state;
	int persistent;
};

enum hv_xml { HV_XML_INACTIVE, HV_XML_LIVE, HV_XML_MIGRATABLE };

/* One disk to be switched to an overlay that exists already. */
struct hv_switch {
	const char *target; /* "vda" */
	const char *path;   /* absolute path of the overlay (qcow2) */
	const char *image;  /* absolute path of the image that is written until then; NULL: not known */
};

/* One disk to be taken back from an overlay to the image below it. */
struct hv_back {
	const char *overlay, *image; /* absolute paths */
};

/* What one snapshot call does; the disks change in one transaction or not at all. */
struct hv_snapshot {
	const struct hv_switch *disks;
	size_t n_disks;
	const char *memory_file; /* libvirt's save image goes here; NULL: disk only */
	int live;                /* memory while the guest runs */
	int quiesce;             /* freeze file systems through the agent */
	const char *request;     /* what hv_snapshot_request() made of all this; NULL: it is made in the call */
};

/* How far the domain's job is. */
struct hv_progress {
	int64_t done, total; /* bytes */
	int64_t left;        /* bytes that are still to go out, as far as is known now; -1 unknown */
	int passes;          /* times that the guest's memory was gone through, this one included; -1 unknown */
};

/* What somebody else did to a domain that stands in our way. */
struct hv_foreign {
	int managed_save;
	char **snapshots;  /* names of libvirt snapshots, *owned* list */
	char **block_jobs; /* targets with a block job, *owned* list */
	char *job;         /* a domain job under way (migration, dump...), *owned*, or NULL */
};

enum hv_event { HV_EVENT_STARTED, HV_EVENT_STOPPED, HV_EVENT_PAUSED, HV_EVENT_RESUMED, HV_EVENT_DEFINED,
		HV_EVENT_UNDEFINED, HV_EVENT_UP, HV_EVENT_DOWN };

/* Called in the main loop's thread; guid is "" for UP and DOWN (the connection). */
typedef void (*hv_event_fn)(void *arg, const struct guid *guid, enum hv_event event);

struct hv;
struct hv_bg_ops;
struct hv_block_ops;

/* The functions behind the calls below, in the same order. */
struct hv_ops {
	void (*free)(struct hv *hv);
	int (*is_up)(struct hv *hv);
	char *(*describe)(struct hv *hv);
	const char *(*guest_type)(struct hv *hv);
	int (*list)(struct hv *hv, struct hv_domain **ret_domains, size_t *ret_n, struct err *reterr);
	int (*state)(struct hv *hv, const struct guid *vm, enum hv_state *ret_state, struct err *reterr);
	int (*xml)(struct hv *hv, const struct guid *vm, enum hv_xml which, char **ret_xml, struct err *reterr);
	int (*define)(struct hv *hv, const char *xml, struct err *reterr);
	int (*undefine)(struct hv *hv, const struct guid *vm, int remove_tpm, struct err *reterr);
	int (*rename)(struct hv *hv, const struct guid *vm, const char *name, struct err *reterr);
	int (*start)(struct hv *hv, const struct guid *vm, int paused, struct err *reterr);
	int (*shutdown)(struct hv *hv, const struct guid *vm, struct err *reterr);
	int (*destroy)(struct hv *hv, const struct guid *vm, struct err *reterr);
	int (*suspend)(struct hv *hv, const struct guid *vm, struct err *reterr);
	int (*resume)(struct hv *hv, const struct guid *vm, struct err *reterr);
	int (*snapshot)(struct hv *hv, const struct guid *vm, const struct hv_snapshot *what, struct err *reterr);
	int (*snapshot_request)(struct hv *hv, const struct guid *vm, const struct hv_snapshot *what, char **ret_request,
				struct err *reterr); /* NULL: there is nothing to be made before */
	int (*restore)(struct hv *hv, const char *fifo, const char *xml, struct err *reterr);
	int (*progress)(struct hv *hv, const struct guid *vm, struct hv_progress *ret_progress, struct err *reterr);
	int (*abort_job)(struct hv *hv, const struct guid *vm, struct err *reterr);
	int (*foreign)(struct hv *hv, const struct guid *vm, struct hv_foreign *ret_foreign, struct err *reterr);
	char *(*nvram_path)(struct hv *hv, const char *name);
	char *(*tpm_dir)(struct hv *hv, const struct guid *vm);
	void (*on_event)(struct hv *hv, hv_event_fn fn, void *arg);
	int (*thaw)(struct hv *hv, const struct guid *vm, struct err *reterr); /* NULL: it has no agent to ask */
	int (*take_back)(struct hv *hv, const struct guid *vm, const struct hv_back *disks, size_t n,
			 struct err *reterr); /* NULL: it has no emulator that could be ahead of it */
	int (*forget_image)(struct hv *hv, const struct guid *vm, const char *path, struct err *reterr); /* as well */
	int (*max_downtime)(struct hv *hv, const struct guid *vm, int64_t *ret_msec, struct err *reterr);
	int (*set_max_downtime)(struct hv *hv, const struct guid *vm, int64_t msec, struct err *reterr);
	int (*set_time)(struct hv *hv, const struct guid *vm, struct err *reterr); /* these three may be NULL */
	const struct hv_bg_ops *background; /* hv-background.h; NULL: it has no background captures */
	const struct hv_block_ops *block; /* hv-block.h; NULL: it cannot merge while a guest runs */
};

struct hv {
	const struct hv_ops *ops;
};

/* Frees it and closes the connection (*taken*, may be NULL). */
void hv_free(struct hv *hv);

/* 1 while the hypervisor can be reached. */
int hv_is_up(struct hv *hv);

/* "QEMU 7.2.22, libvirt 9.0.0, qemu:///system", *owned*. */
char *hv_describe(struct hv *hv);

/* "kvm" where a KVM guest really runs here (tried once) and libvirt may run one,
 * else "qemu"; "xen" and "test" for those drivers (*borrowed*). */
const char *hv_guest_type(struct hv *hv);

/* All domains, *owned* array freed by hv_domains_free(). Returns 0 or negative errno. */
_must_check_ int hv_list(struct hv *hv, struct hv_domain **ret_domains, size_t *ret_n, struct err *reterr);

/* Frees the array (may be NULL). */
void hv_domains_free(struct hv_domain *domains, size_t n);

/* State of a domain; HV_ABSENT is a success. Returns 0 or negative errno. */
_must_check_ int hv_state(struct hv *hv, const struct guid *vm, enum hv_state *ret_state, struct err *reterr);

/* Its document, *owned*, with security information. Returns 0 or negative errno (ERR_NO_DOMAIN). */
_must_check_ int hv_xml(struct hv *hv, const struct guid *vm, enum hv_xml which, char **ret_xml, struct err *reterr);

/* Defines a domain, or replaces the persistent definition of the same UUID. Returns 0 or negative errno. */
_must_check_ int hv_define(struct hv *hv, const char *xml, struct err *reterr);

/* Undefines it, always keeping NVRAM, and the TPM state unless remove_tpm; no
 * such domain is success. Returns 0 or negative errno. */
_must_check_ int hv_undefine(struct hv *hv, const struct guid *vm, int remove_tpm, struct err *reterr);

/* Renames an inactive domain. Returns 0 or negative errno. */
_must_check_ int hv_rename(struct hv *hv, const struct guid *vm, const char *name, struct err *reterr);

/* Starts it from its persistent definition; ERR_REFUSED while libvirt holds a managed
 * save of it. Returns 0 or negative errno. */
_must_check_ int hv_start(struct hv *hv, const struct guid *vm, int paused, struct err *reterr);

/* Asks the guest to shut down (ACPI, agent); returns at once. Returns 0 or negative errno. */
_must_check_ int hv_shutdown(struct hv *hv, const struct guid *vm, struct err *reterr);

/* Ends it at once; one that does not run is success; returns when QEMU is gone. Returns 0 or negative errno. */
_must_check_ int hv_destroy(struct hv *hv, const struct guid *vm, struct err *reterr);

/* Stop and go on; already so is success. Returns 0 or negative errno. */
_must_check_ int hv_suspend(struct hv *hv, const struct guid *vm, struct err *reterr);
_must_check_ int hv_resume(struct hv *hv, const struct guid *vm, struct err *reterr); /* as hv_suspend() */

/* Switches disks (and saves memory first) with REUSE_EXT | NO_METADATA | ATOMIC.
 * A disk of the domain that is not named is left alone. Returns 0 or negative errno. */
_must_check_ int hv_snapshot(struct hv *hv, const struct guid *vm, const struct hv_snapshot *what,
			     struct err *reterr);

/* Asks and writes beforehand what hv_snapshot() of the same would have to: a guest that is paused
 * for that need not wait for it. ret_request: for what->request, *owned*, or NULL. Returns 0 or
 * negative errno. */
_must_check_ int hv_snapshot_request(struct hv *hv, const struct guid *vm, const struct hv_snapshot *what,
				     char **ret_request, struct err *reterr);

/* Restores a running domain from a FIFO that somebody feeds, with xml in place
 * of the image's. Returns 0 or negative errno. */
_must_check_ int hv_restore(struct hv *hv, const char *fifo, const char *xml, struct err *reterr);

/* The domain's present job; -ENODATA if there is none. Returns 0 or negative errno. */
_must_check_ int hv_progress(struct hv *hv, const struct guid *vm, struct hv_progress *ret_progress,
			     struct err *reterr);

/* Cancels the domain's present job. Returns 0 or negative errno. */
_must_check_ int hv_abort_job(struct hv *hv, const struct guid *vm, struct err *reterr);

/* Finds managed save, libvirt snapshots, block jobs. ret_foreign is emptied by
 * hv_foreign_done(). Returns 0 or negative errno. */
_must_check_ int hv_foreign(struct hv *hv, const struct guid *vm, struct hv_foreign *ret_foreign, struct err *reterr);

/* Empties it. */
void hv_foreign_done(struct hv_foreign *foreign);

/* Where this driver keeps NVRAM of a domain of that name if its document does
 * not say, and where a domain's TPM state lies (tpm2/ below), *owned*; NULL where
 * the driver keeps none. */
char *hv_nvram_path(struct hv *hv, const char *name);
char *hv_tpm_dir(struct hv *hv, const struct guid *vm); /* as hv_nvram_path() */

/* Calls fn(arg, ...) on lifecycle events and on connection changes. */
void hv_on_event(struct hv *hv, hv_event_fn fn, void *arg);

/* After a libvirt died between the emulator's switch of disks and its own note of
 * it: the emulator is on the overlays, libvirt names the images below. Commits the
 * overlays into those while the guest runs, then pauses it and goes back to them, all
 * disks at one instant; the guest stays paused. Called again it says the same, until
 * hv_forget_image() of the overlays: by then what it did must be on record. Returns 1
 * if it did, 0 if the emulator uses none of the overlays, or negative errno: the guest
 * runs on, on the overlays, or stays paused where only some of the disks are back. */
_must_check_ int hv_take_back(struct hv *hv, const struct guid *vm, const struct hv_back *disks, size_t n,
			      struct err *reterr);

/* Closes an image that the emulator of a running domain has open for a switch that
 * did not happen; one that it does not have open is success, one that a disk uses an
 * error. (Left open it makes every later saving of memory fail.) Returns 0 or
 * negative errno. */
_must_check_ int hv_forget_image(struct hv *hv, const struct guid *vm, const char *path, struct err *reterr);

/* Asks the guest's agent to thaw all file systems; none frozen is success. Returns 0
 * or negative errno (-EOPNOTSUPP). */
_must_check_ int hv_thaw(struct hv *hv, const struct guid *vm, struct err *reterr);

/* How long a running domain may stand still at the end of a job that takes its memory while
 * it runs: a setting of the domain's, which stays until it ends. It can be raised while such
 * a job is under way. Both return 0 or negative errno (-EOPNOTSUPP). */
_must_check_ int hv_max_downtime(struct hv *hv, const struct guid *vm, int64_t *ret_msec, struct err *reterr);
/* as hv_max_downtime() */
_must_check_ int hv_set_max_downtime(struct hv *hv, const struct guid *vm, int64_t msec, struct err *reterr);

/* Has the guest's agent set its clock to ours; takes some seconds at most. Returns 1 if it
 * did, 0 if the guest has no agent, or negative errno. */
_must_check_ int hv_set_time(struct hv *hv, const struct guid *vm, struct err *reterr);

struct event_base;

/* Connects to uri with libvirt's event loop on base (running in the main thread,
 * evthread already set up); opens in a thread of its own and again whenever the
 * connection is lost (HV_EVENT_UP / DOWN). For qemu:///embed it prepares the root
 * first (directory, qemu.conf, lock) and a failed open is final. ret_hv *owned*.
 * Returns 0 or negative errno. */
_must_check_ int hv_libvirt_open(const char *uri, struct event_base *base, struct hv **ret_hv, struct err *reterr);

#endif
