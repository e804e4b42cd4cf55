/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration document of a VM or a snapshot (design section 4; words and
 * shape after Hyper-V's: root `configuration`, typed leaves, `properties`,
 * `savedstate`). A plain value: fields may be read and set; strings are *owned*
 * by the document. vmsnap-format(5) describes the file. */
#ifndef XMLCFG_CONFIG_H
#define XMLCFG_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/guid.h"
#include "common/stamp.h"

/* properties/version: major << 8 | minor. Another major is refused, a newer
 * minor's unknown elements survive reading and writing. */
#define CONFIG_VERSION 0x0100
#define CONFIG_MAX_BYTES (4 << 20)
#define CONFIG_MAX_DISKS 256
#define CONFIG_NAME_MAX 100 /* characters, names of VMs and snapshots */

enum config_kind { CONFIG_VM, CONFIG_SNAPSHOT };

/* One disk that vmsnap manages. In a VM: the working disk, with a seal while the
 * VM is saved (its memory fits no other content). In a snapshot: the sealed disk,
 * with its seal. */
struct config_disk {
	char *target;   /* "vda" */
	char *pathname; /* relative to the VM directory where inside it, else absolute */
	char *format;   /* "qcow2", "raw": always named */
	int sealed;     /* 1: `seal` holds */
	struct stamp seal;
};

/* Where memory is kept: of a snapshot, or of a saved VM. */
struct config_state {
	char *vsv;         /* vsvlocation: pathname as in a disk; NULL: no save state */
	char *bin;         /* memlocation; NULL: the opaque form, all in .vsv */
	int64_t vsv_size;  /* bytes */
	uint64_t vsv_sum;  /* xxh3-64 of the file */
};

/* A file of the firmware (NVRAM, TPM state) as it belongs to this document. */
struct config_fw {
	char *live;     /* where the hypervisor uses it; pathname as in a disk */
	char *copy;     /* the snapshot's copy, relative; NULL in a VM, or if none existed */
	int64_t size;   /* bytes of the copy */
	int64_t uid, gid, mode; /* of the live file, to be put back; -1 unknown */
};

/* How a snapshot was taken. */
struct config_capture {
	char *mode;   /* "none" (VM off), "paused", "live", "background", "disk-only" */
	char *reason; /* why this mode and not a better one; may be NULL */
	char *level;  /* disk-only: "crash" or "quiesced"; else NULL */
	int64_t pause_usec; /* how long the guest stood still; -1 unknown */
};

struct config {
	enum config_kind kind;
	int64_t version;
	struct guid guid;      /* global_id: of the VM, or of the snapshot */
	struct guid vm_guid;   /* of the VM (equal to guid in a VM) */
	struct guid parent;    /* parent_id: the snapshot that this derives from; "" none */
	char *name;
	char *notes;           /* may be NULL */
	int64_t created_usec;  /* creation_time: us since 1970 UTC (in the file: base64 of a little-endian FILETIME) */
	struct config_disk *disks;
	size_t n_disks;
	struct config_state state;
	struct config_fw nvram; /* live NULL: none */
	struct config_fw tpm;   /* live NULL: none; live is the directory that libvirt gives swtpm (tpm2/ or tpm1.2/ below) */
	struct config_capture capture; /* snapshots only */
	char *memory_blocker;  /* why memory of this VM cannot be saved ("disk-only VM"), or NULL */
	char *domain_xml;      /* the libvirt domain, whole */
	void *origin;          /* private: the document it was read from, keeps what is unknown */
};

/* A new empty document of that kind with version set, *owned*. */
struct config *config_new(enum config_kind kind);

/* Deep copy, *owned*, including what is unknown. */
struct config *config_copy(const struct config *cfg);

/* Frees it (*taken*, may be NULL). */
void config_free(struct config *cfg);
DEFINE_CLEANUP(struct config, config_free);
#define _cleanup_config_ _cleanup_(config_freep)

/* Appends an empty disk with target (copied) and returns it (*borrowed*, valid
 * until the next append). */
struct config_disk *config_add_disk(struct config *cfg, const char *target);

/* The disk of that target (*borrowed*), or NULL. */
struct config_disk *config_find_disk(struct config *cfg, const char *target);

/* Removes the disk at index. */
void config_remove_disk(struct config *cfg, size_t index);

/* Makes the save state empty. */
void config_clear_state(struct config *cfg);

/* Reads a document from bytes: no network, no entities, depth and size bounded,
 * validated against the RELAX NG schema, then against the rules a schema cannot
 * say (GUIDs, relative pathnames without "..", names). file (*borrowed*) is for
 * messages. ret_cfg *owned*. Returns 0 or negative errno with ERR_BAD_DATA. */
_must_check_ int config_parse(const char *data, size_t len, const char *file, struct config **ret_cfg,
			      struct err *reterr);

/* Reads a document from a file. As config_parse(); -ENOENT if it is missing. */
_must_check_ int config_read(const char *path, struct config **ret_cfg, struct err *reterr);

/* The document as UTF-8 text, *owned*. It validates, or this fails with -EINVAL. */
_must_check_ int config_format(const struct config *cfg, char **ret_text, size_t *ret_len, struct err *reterr);

/* Writes it whole or not at all (file_replace(), mode 0600). Returns 0 or negative errno. */
_must_check_ int config_write(const struct config *cfg, const char *path, struct err *reterr);

/* 0 if name can name a VM (1 to 100 characters of UTF-8, no "/" or control
 * characters, no leading "." or "-", no blank at either end), else -EINVAL. */
_must_check_ int config_check_vm_name(const char *name, struct err *reterr);

/* 0 if name can name a snapshot (1 to 100 characters of UTF-8, no control
 * characters, no blank at either end), else -EINVAL. */
_must_check_ int config_check_snapshot_name(const char *name, struct err *reterr);

/* Where the schema is read from; set once at start (*borrowed* for ever). NULL:
 * the installed place, or VMSNAP_SCHEMA_DIR in the environment. */
void config_set_schema_dir(const char *dir);

#endif
