/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A libvirt domain document: what we read from it and the few things we set.
 * Everything else passes through unchanged. Format: libvirt's formatdomain. */
#ifndef XMLCFG_DOMAIN_H
#define XMLCFG_DOMAIN_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

struct domain;

/* One disk of a domain; strings *borrowed* from the list. */
struct domain_disk {
	char *target;      /* "vda" */
	char *device;      /* "disk", "cdrom", "floppy", "lun" */
	char *source_type; /* "file", "block", "network", "volume", ... */
	char *source;      /* file or block path; NULL if empty or something else */
	char *format;      /* driver type; NULL if not named */
	int readonly, shareable, transient_disk, has_slice, encrypted, internal_snapshot_only;
};

struct domain_disks {
	struct domain_disk *disk;
	size_t n;
};

/* What the firmware of a domain uses; strings *owned*, may be NULL. */
struct domain_firmware {
	int efi_auto;        /* <os firmware='efi'> */
	int pflash;          /* 1: UEFI flash (loader type pflash, or efi_auto) and not stateless */
	char *loader;        /* code image */
	char *nvram;         /* variable store, if the document names it */
	char *nvram_template;
	int tpm;             /* 1: an emulated TPM (swtpm) */
	int tpm_persistent;  /* backend persistent_state='yes' */
	char *tpm_version;   /* "2.0", "1.2" or NULL */
};

/* Parses a domain document (libvirt's own output or an admin's): no network, no
 * entities, at most 4 MiB. ret_dom *owned*. Returns 0 or negative errno. */
_must_check_ int domain_parse(const char *xml, struct domain **ret_dom, struct err *reterr);

/* Frees it (*taken*, may be NULL). */
void domain_free(struct domain *dom);
DEFINE_CLEANUP(struct domain, domain_free);
#define _cleanup_domain_ _cleanup_(domain_freep)

/* The document as text, *owned*; never NULL. */
char *domain_format(const struct domain *dom);

/* Text of /domain/name and /domain/uuid, *owned*, NULL if absent. */
char *domain_name(const struct domain *dom);
char *domain_uuid(const struct domain *dom); /* as domain_name() */

/* The program that runs a running domain, *owned*, NULL if it is not told. */
char *domain_emulator(const struct domain *dom);

/* The path of the first pty of a console or serial device of a running domain,
 * *owned*, NULL if there is none. */
char *domain_console_pty(const struct domain *dom);

/* Guest memory in bytes and number of vCPUs; 0 if absent. */
int64_t domain_memory(const struct domain *dom);
int domain_vcpus(const struct domain *dom); /* as domain_memory() */

/* Bytes of memory that its video cards have by the document; 0 if it does not say. */
int64_t domain_video_memory(const struct domain *dom);

/* All disks in document order. ret_disks is emptied by domain_disks_done(). */
void domain_get_disks(const struct domain *dom, struct domain_disks *ret_disks);

/* Empties the list. */
void domain_disks_done(struct domain_disks *disks);

/* 1 if vmsnap manages this disk: device "disk", file or block source, neither
 * read-only nor shareable nor transient nor encrypted, and the whole of it; else 0
 * and *ret_why (static text, *borrowed*, may be NULL) says why not. */
int domain_disk_managed(const struct domain_disk *disk, const char **ret_why);

/* Fills ret_fw; emptied by domain_firmware_done(). */
void domain_get_firmware(const struct domain *dom, struct domain_firmware *ret_fw);

/* Empties it. */
void domain_firmware_done(struct domain_firmware *fw);

/* Why libvirt or QEMU would refuse to save this domain's memory, judged from the
 * document alone (host devices, vpc/vmdk/vdi/vhdx disks, ...), or why it would not fit
 * the disks when it came back (one that is not managed): *owned* sentence,
 * or NULL if nothing forbids it. */
char *domain_memory_blocker(const struct domain *dom);

/* Points the disk at path with the format named; type file or block by `block`
 * (0/1). Removes backingStore, index and startup leftovers of the old source,
 * keeps the rest. Returns 0, or -ENOENT if there is no such target. */
_must_check_ int domain_set_disk(struct domain *dom, const char *target, const char *path, const char *format,
				 int block, struct err *reterr);

/* Sets /domain/name, /domain/uuid, the NVRAM path (element made if missing;
 * template kept). */
void domain_set_name(struct domain *dom, const char *name);
void domain_set_uuid(struct domain *dom, const char *uuid);   /* as domain_set_name() */
void domain_set_nvram(struct domain *dom, const char *path);  /* as domain_set_name() */

/* Gives <genid> a new value if the domain has one; 1 if it had, else 0. */
int domain_renew_genid(struct domain *dom);

/* Marks an emulated TPM's state as persistent (notes of libvirt: else undefine
 * deletes it). 1 if there is a TPM, else 0. */
int domain_set_tpm_persistent(struct domain *dom);

/* Takes out what belongs to one run only (id, backingStore, private aliases,
 * seclabel of dynamic type, pty paths), so that the document can be defined. */
void domain_strip_runtime(struct domain *dom);

/* Parameters of a new domain; strings *borrowed*. */
struct domain_spec {
	const char *name;
	const char *uuid;
	const char *type;       /* "kvm" or "qemu" */
	const char *machine;    /* NULL: "pc", or "q35" for UEFI */
	int64_t memory;         /* bytes */
	int vcpus;
	const char *disk_path, *disk_format;
	const char *cdrom;      /* path or NULL */
	const char *network;    /* NULL: none; "user"; "network:NAME" or a network's name; "bridge:NAME" */
	const char *loader, *nvram, *nvram_template; /* UEFI if loader is set */
	int tpm;
	const char *console_log; /* file that also gets the serial console's output, or NULL */
	const char *agent_path;  /* socket of the guest agent channel, or NULL: no channel */
	int disk_block;          /* 1: disk_path is a block device */
};

/* A new domain document from a spec, *owned*: virtio disk and network, serial
 * console on a pty, ACPI, balloon, genid, no USB; a guest agent channel where its
 * path is given (a path of libvirt's own would be too long under a deep root of
 * the embedded driver). */
struct domain *domain_build(const struct domain_spec *spec);

#endif
