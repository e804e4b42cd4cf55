/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt's save image (the opaque form of a save state): 92-byte header, domain
 * XML, cookie, then QEMU's migration stream (notes in vmsnap-format(5)).
 * Source of the format: libvirt src/qemu/qemu_saveimage.h, read in 9.0 and 11.3. */
#ifndef SAVESTATE_IMAGE_H
#define SAVESTATE_IMAGE_H

#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

#define IMAGE_HEADER_SIZE 92
#define IMAGE_MAX_XML (16 << 20)

/* What the head of an image says; strings *owned*. */
struct image_info {
	int complete;        /* 1: final magic; 0: still being written, or interrupted */
	int was_running;     /* 1: the guest ran when it was saved */
	uint32_t compression; /* 0 raw; others as libvirt numbers them */
	uint32_t data_len;   /* bytes of XML, cookie and padding after the header */
	uint64_t stream_offset; /* where QEMU's stream begins */
	char *xml;           /* the domain as it was saved */
	char *cookie;        /* libvirt's private XML, NULL if none */
};

/* Parses the head of an image from bytes (bounded: header + data_len must lie
 * within len). ret_info is emptied by image_info_done(). Returns 0 or negative
 * errno with ERR_BAD_DATA. */
_must_check_ int image_parse(const void *data, uint64_t len, struct image_info *ret_info, struct err *reterr);

/* Reads the head of the image in a file and checks that a QEMU stream follows
 * it. Returns 0 or negative errno (-ENODATA: not complete, ERR_BAD_DATA). */
_must_check_ int image_read(const char *path, struct image_info *ret_info, struct err *reterr);

/* Empties it. Takes an empty one. */
void image_info_done(struct image_info *info);

/* Called with bytes fed so far and in all; other than 0 stops with -ECANCELED. */
typedef int (*image_progress_fn)(void *arg, uint64_t done, uint64_t total);

/* Writes the image at path to fd (a FIFO or pipe) with its XML replaced by xml
 * (*borrowed*; NULL keeps it) and was_running set to 1, the cookie and the
 * stream verbatim. Blocks as long as the reader takes. Returns 0 or negative
 * errno (-EPIPE: the reader went away). */
_must_check_ int image_feed(const char *path, const char *xml, int fd, image_progress_fn progress, void *arg,
			    struct err *reterr);

#endif
