/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disk images: made by qemu-img, sealed and unsealed by us. Blocking; formats
 * are always named, never probed. */
#ifndef LAYOUT_IMAGE_H
#define LAYOUT_IMAGE_H

#include <stdint.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/stamp.h"

/* Progress of a long copy in bytes; other than 0 stops it. */
typedef int (*disk_progress_fn)(void *arg, int64_t done, int64_t total);

/* Makes an empty differencing image (qcow2, extended_l2, 128 KiB clusters) at
 * path over backing_name as it will be written into the header (relative to
 * path's directory, or absolute), durable when it returns. An existing file of
 * that name is replaced. Returns 0 or negative errno. */
_must_check_ int disk_make_overlay(const char *path, const char *backing_name, const char *backing_format,
				   struct err *reterr);

/* Makes an empty qcow2 disk of virtual_size bytes, durable. Returns 0 or negative errno. */
_must_check_ int disk_make(const char *path, int64_t virtual_size, struct err *reterr);

/* Copies any image (format NULL: told by disk_detect_format()) into a new qcow2
 * file, durable; a chain becomes one image. Returns 0 or negative errno. */
_must_check_ int disk_convert(const char *src, const char *format, const char *dst, disk_progress_fn progress,
			      void *arg, struct err *reterr);

/* Tells the format of a file that an admin hands in, by magic and by structure:
 * "qcow2", "vmdk", "vdi", "vpc", "vhdx", else "raw". A differencing VHD or VHDX
 * is refused (QEMU would ignore its parent). ret_format is static (*borrowed*).
 * Returns 0 or negative errno. */
_must_check_ int disk_detect_format(const char *path, const char **ret_format, struct err *reterr);

/* Virtual size in bytes of a qcow2, raw or block image. Returns 0 or negative errno. */
_must_check_ int disk_virtual_size(const char *path, const char *format, int64_t *ret_size, struct err *reterr);

/* 1 if somebody has the image open for writing who locks it as QEMU and its tools do, also from
 * another host where the file system carries locks; 0 if not, or if that cannot be told. */
int disk_is_written(const char *path);

/* The same of an open file. Returns 1, 0, or negative errno: the file system cannot tell. */
_must_check_ int disk_fd_is_written(int fd);

/* Seals path: mode 0440 if chmod_too, then its stamp. Returns 0 or negative errno. */
_must_check_ int disk_seal(const char *path, int chmod_too, struct stamp *ret_stamp, struct err *reterr);

/* Takes a seal's mode back (0600). Returns 0 or negative errno. */
_must_check_ int disk_unseal(const char *path, struct err *reterr);

#endif
