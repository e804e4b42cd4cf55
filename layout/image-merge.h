/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images folded into one another by qemu-img, while nobody else has them open. What
 * the upper image shows is the same at every instant, whatever dies: each may be
 * begun again. Blocking; formats are always named, never probed. */
#ifndef LAYOUT_IMAGE_MERGE_H
#define LAYOUT_IMAGE_MERGE_H

#include "layout/image.h"

/* Writes what the qcow2 image at path holds itself into its backing image, which must be
 * writable; it is grown if it is the smaller one. The image at path stays as it is. Durable.
 * bandwidth: bytes in a second, 0: no limit; progress may be NULL. Returns 0 or negative errno (-ECANCELED; -ENOSPC: no room). */
_must_check_ int disk_commit(const char *path, const char *backing, int64_t bandwidth, disk_progress_fn progress,
			     void *arg, struct err *reterr);

/* Makes the qcow2 image at path show the same over backing_name (as it will be written
 * into the header; NULL: over none), which must be below it now: what is between comes into
 * it. below: bytes that this is at most, for progress, which may be NULL. Durable. Returns 0 or
 * negative errno (-ECANCELED; -ENOSPC). */
_must_check_ int disk_pull(const char *path, const char *backing_name, const char *backing_format, int64_t below,
			   disk_progress_fn progress, void *arg, struct err *reterr);

/* Writes another backing name and format into the header of the qcow2 image at path and
 * nothing else: the two must show the same. Durable. Returns 0 or negative errno. */
_must_check_ int disk_repoint(const char *path, const char *backing_name, const char *backing_format,
			      struct err *reterr);

/* The backing image that the header of a qcow2 image names, as an absolute path, and its
 * format, both *owned*, NULL if it has none. Returns 0 or negative errno. */
_must_check_ int disk_backing(const char *path, char **ret_backing, char **ret_format, struct err *reterr);

#endif
