/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one error object: filled where a failure happens, carried up unchanged,
 * printed once by a program. It says what was attempted, on which VM and file,
 * why it failed and what to do. */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include <errno.h>

#include "common/cleanup.h"

enum err_kind {
	ERR_NONE = 0,
	ERR_FAILED,      /* attempted and failed; what was begun has been taken back */
	ERR_REFUSED,     /* a rule forbids it; nothing was changed */
	ERR_INVALID,     /* a parameter is not acceptable; nothing was changed */
	ERR_NO_VM,       /* no VM of that name or GUID */
	ERR_NO_SNAPSHOT, /* no snapshot of that name or GUID */
	ERR_NO_DOMAIN,   /* the hypervisor has no such domain */
	ERR_NO_JOB,      /* no job of that id */
	ERR_AMBIGUOUS,   /* a name means several things; the message lists them */
	ERR_BUSY,        /* another job holds the VM; `job` names it */
	ERR_CANCELLED,   /* somebody asked for it */
	ERR_BACKEND,     /* libvirt or QEMU refused or is not reachable */
	ERR_BAD_DATA,    /* a file or message is damaged or not what it says */
	ERR_DRIFT,       /* a sealed disk is not what it was when it was sealed */
	ERR_LIMIT,       /* a limit of the daemon is reached */
	ERR_PERMISSION,  /* the caller may not do this */
};

/* Starts as ERR_INIT, filled by err_set(), emptied by err_done(). All strings
 * are *owned* by the object and may be NULL, but `message` when kind is set. */
struct err {
	enum err_kind kind;
	int code;      /* negative errno */
	char *message; /* what was attempted and why it failed, one sentence */
	char *hint;    /* what to do about it, one sentence */
	char *vm;      /* name of the VM it is about */
	char *file;    /* path of the file it is about */
	char *job;     /* id of the job that holds the VM (ERR_BUSY) */
};

#define ERR_INIT \
	{        \
		.kind = ERR_NONE \
	}

/* Fills reterr (may be NULL; an error already in it stays and this one is
 * dropped) and returns code, a negative errno (a positive one is negated, 0
 * becomes -EIO), so that a failure is one line: return err_set(...). */
int err_set(struct err *reterr, enum err_kind kind, int code, const char *fmt, ...) _printf_(4, 5);

/* Same, and names the VM, the file and what to do (each *borrowed*, may be NULL). */
int err_full(struct err *reterr, enum err_kind kind, int code, const char *vm, const char *file, const char *hint,
	     const char *fmt, ...) _printf_(7, 8);

/* As err_set(), kind ERR_FAILED, with ": " and the text of the errno appended. */
int err_errno(struct err *reterr, int code, const char *fmt, ...) _printf_(3, 4);

/* As err_errno(), and names path (*borrowed*) as the file it is about. */
int err_file(struct err *reterr, int code, const char *path, const char *fmt, ...) _printf_(4, 5);

/* Adds what to do about it, if no hint is set yet. */
void err_hint(struct err *err, const char *fmt, ...) _printf_(2, 3);

/* Names the VM (*borrowed*) it is about, if none is named yet. */
void err_set_vm(struct err *err, const char *vm);

/* Names the file (*borrowed*) it is about, if none is named yet. */
void err_set_file(struct err *err, const char *path);

/* Puts a formatted text and ": " before the message. */
void err_prefix(struct err *err, const char *fmt, ...) _printf_(2, 3);

/* The whole text for people: message, and the hint after ". ". Returns it *owned*. */
char *err_text(const struct err *err);

/* Moves the error from src to dst (both *borrowed*; dst may be NULL: then src
 * is emptied). Returns src's code, or 0 if src held none. */
int err_move(struct err *dst, struct err *src);

/* 1 if an error is set, else 0. Takes NULL. */
int err_is_set(const struct err *err);

/* Empties the object; it can be used again. Takes NULL. */
void err_done(struct err *err);
#define _cleanup_err_ _cleanup_(err_done)

#endif
