/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be wrong with a VM directory, and the rules that find it: from a picture
 * of its documents, images and files to findings. Nothing here writes; documents are
 * read by others and handed in as plain values. */
#ifndef LAYOUT_CHECK_H
#define LAYOUT_CHECK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/guid.h"
#include "common/stamp.h"
#include "layout/vmdir.h"

#define CHECK_MAX_FINDINGS 5000
#define CHECK_MAX_IMAGES 20000
#define CHECK_DEEP_CHAIN 24 /* images: more are worth a word */
#define CHECK_QUARANTINE "Quarantine" /* in the VM directory */

enum check_severity { CHECK_INFO, CHECK_WARNING, CHECK_ERROR };

/* Every kind of finding; check_rule() says the rest. */
enum check_id {
	CHECK_BUSY,
	CHECK_XML_UNREADABLE, CHECK_XML_INVALID, CHECK_XML_GUID, CHECK_XML_TYPE,
	CHECK_PARENT_MISSING, CHECK_PARENT_CYCLE, CHECK_VM_TWICE, CHECK_STORE,
	CHECK_DISK_SHARED, CHECK_SEALED_IN_USE, CHECK_WORKING_BELOW,
	CHECK_IMAGE_MISSING, CHECK_STATE_MISSING, CHECK_MEMORY_MISSING, CHECK_NVRAM_MISSING, CHECK_TPM_MISSING,
	CHECK_FOREIGN_DIRECTORY, CHECK_PATH_ABSOLUTE,
	CHECK_BACKING_MISSING, CHECK_BACKING_FORMAT, CHECK_BACKING_UNNAMED, CHECK_BACKING_ABSOLUTE,
	CHECK_BACKING_LOOP, CHECK_BACKING_OUTSIDE, CHECK_BACKING_PROTOCOL,
	CHECK_FORMAT, CHECK_IMAGE_DAMAGED, CHECK_IMAGE_UNREADABLE, CHECK_IMAGE_LEAKS, CHECK_IMAGE_UNCHECKED,
	CHECK_CHAIN_LONG, CHECK_CHAIN_DEEP, CHECK_OVERLAY_SMALLER, CHECK_OVERLAY_LARGER, CHECK_HIDDEN,
	CHECK_SEAL_MODE, CHECK_SEAL_DRIFT, CHECK_SAVED_DRIFT,
	CHECK_STATE_DRIFT, CHECK_STATE_DAMAGED, CHECK_FIRMWARE_DRIFT,
	CHECK_ORPHAN, CHECK_TEMPORARY, CHECK_EMPTY_DIRECTORY, CHECK_DIRECTORY_MISSING, CHECK_QUARANTINED,
	CHECK_DOCUMENT_MODE, CHECK_DIRECTORY_MODE, CHECK_IMAGE_MODE, CHECK_OWNER,
	CHECK_UNFINISHED, CHECK_RECORD_DAMAGED,
	CHECK_INDEX,
	CHECK_DOMAIN_UNCHECKED, CHECK_DOMAIN_MISSING, CHECK_DOMAIN_TRANSIENT, CHECK_DOMAIN_DISKS,
	CHECK_DOMAIN_BEHIND, CHECK_DOMAIN_EDITED, CHECK_MANAGED_SAVE, CHECK_LIBVIRT_SNAPSHOTS, CHECK_FOREIGN_JOB,
	CHECK_IDS,
};

/* What is known of a kind of finding; static. */
struct check_rule {
	const char *word; /* "seal-drift": what programs go by */
	enum check_severity severity;
	const char *advice; /* what to do about it, one sentence; NULL: nothing needs doing */
	const char *why;    /* why repair does not mend it; NULL: it does */
};

/* The rule of an id (static, *borrowed*). */
const struct check_rule *check_rule(enum check_id id);

/* "info", "warning", "error". */
const char *check_severity_name(enum check_severity severity);

/* One thing that was found; strings *owned* by the report. */
struct check_finding {
	enum check_id id;
	char *file; /* absolute; NULL: about the VM as a whole */
	char *text; /* one sentence */
};

struct check_report {
	struct check_finding *finding;
	size_t n;
	int cut; /* 1: there was more than CHECK_MAX_FINDINGS */
};

/* Adds a finding; one of the same id about the same file stays the only one. */
void check_add(struct check_report *rep, enum check_id id, const char *file, const char *fmt, ...) _printf_(4, 5);

/* 1 if anything (but infos) was found about file already, else 0. */
int check_has_file(const struct check_report *rep, const char *file);

/* 1 if a finding of that id is there, else 0. */
int check_has(const struct check_report *rep, enum check_id id);

/* Empties it. */
void check_report_done(struct check_report *rep);
#define _cleanup_check_report_ _cleanup_(check_report_done)

/* A disk that a document names; strings *owned* by the document, as all below. */
struct check_disk {
	char *target, *path, *format; /* path absolute */
	int sealed;
	struct stamp seal;
};

/* Another file that a document names. */
struct check_file {
	char *path;           /* absolute */
	enum check_id missing; /* the finding if it is not there */
	int64_t size;         /* bytes as recorded; -1: nothing is recorded */
	enum check_id drift;  /* the finding if its size is another */
};

/* A document that could be read. */
struct check_doc {
	char *file, *name;
	int vm; /* 1: of the VM itself; 0: of a snapshot */
	struct guid guid, parent;
	struct check_disk *disk;
	size_t n_disks;
	struct check_file *ref;
	size_t n_refs;
};

/* A working disk of another VM of the store, or an image it needs. */
struct check_other {
	char *path, *vm;
	int working;
};

/* An image, as its file and its header say. */
struct check_image {
	char *path;    /* clean, absolute; first, for path_place() */
	char *format;  /* as the first who names it says; NULL: nobody says */
	const struct check_doc *named; /* the first document that names it (*borrowed*); NULL: none */
	int error;     /* 0, or the negative errno of looking at it */
	int regular;
	mode_t mode;   /* permission bits */
	dev_t dev;
	ino_t ino;
	int magic;     /* begins as a qcow2 image */
	char *damage;  /* what is wrong with its header, NULL: nothing, or not qcow2 */
	char *backing; /* name as written, NULL: none */
	char *below;   /* where that leads: clean, absolute; NULL: to no file */
	char *backing_format;
	int64_t virtual_size; /* bytes; -1 unknown */
	int have_stamp;
	struct stamp stamp;
};

/* All that the rules look at. */
struct check_picture {
	const struct vmdir *dir;  /* *borrowed* */
	const char *store;        /* *borrowed*; NULL: a VM directory on its own */
	struct check_doc **doc;   /* *owned* values: pointers to them stay valid */
	size_t n_docs;
	struct check_image *image; /* sorted by path */
	size_t n_images;
	struct check_other *other;
	size_t n_others;
	char **held;  /* more absolute paths that are in use, and all below them */
	char **texts; /* domain documents: a path that is found in one is in use */
	int incomplete; /* 1: not everything could be read, so that nothing can be called an orphan */
};

/* A new document value in the picture (*borrowed*), to be filled. */
struct check_doc *check_picture_doc(struct check_picture *pic);

/* Appends an empty disk, a reference (path *taken*), to a document. */
struct check_disk *check_doc_disk(struct check_doc *doc);
void check_doc_ref(struct check_doc *doc, char *path, enum check_id missing, int64_t size,
		   enum check_id drift); /* size -1: nothing is recorded */

/* Notes what another VM uses; path and vm are copied. */
void check_picture_other(struct check_picture *pic, const char *path, const char *vm, int working);

/* Empties it. */
void check_picture_done(struct check_picture *pic);
#define _cleanup_check_picture_ _cleanup_(check_picture_done)

/* Reads the headers of all images that the documents name and of those below them. */
void check_look_images(struct check_picture *pic);

/* The image of that path (*borrowed*), or NULL. */
struct check_image *check_find_image(const struct check_picture *pic, const char *path);

/* 1 if path (absolute) is used by a document, an image, a domain or another VM, or
 * something below it is; else 0. */
int check_is_used(const struct check_picture *pic, const char *path);

/* The rules. Pure: documents among each other; images and their links; seals. */
void check_documents(const struct check_picture *pic, struct check_report *rep);
void check_images(struct check_picture *pic, struct check_report *rep); /* may mark it incomplete */
void check_seals(const struct check_picture *pic, struct check_report *rep);  /* as check_images() */

/* Those that look at the file system: what the documents name beside disks; every
 * entry of the VM directory (orphans, leftovers, modes, owners). */
void check_refs(const struct check_picture *pic, struct check_report *rep);
void check_files(const struct check_picture *pic, struct check_report *rep); /* as check_refs() */

#endif
