/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the save image share. */
#ifndef SAVESTATE_IMAGE_INTERNAL_H
#define SAVESTATE_IMAGE_INTERNAL_H

#include "savestate/image.h"

#define IMAGE_MAGIC_COMPLETE "LibvirtQemudSave"
#define IMAGE_MAGIC_PARTIAL "LibvirtQemudPart"
#define IMAGE_MAGIC_LEN 16
#define IMAGE_VERSION 2
#define STREAM_MAGIC "QEVM"
#define STREAM_MAGIC_LEN 4

/* image_read() of a file that is open at fd (*borrowed*; its position is not
 * used). Returns as image_read(). */
_must_check_ int image_read_fd(int fd, const char *path, struct image_info *ret_info, struct err *reterr);

/* Bytes of header, XML, cookie and padding together, from the IMAGE_HEADER_SIZE
 * bytes of a header. Returns 0 or negative errno (ERR_BAD_DATA). */
_must_check_ int image_head_len(const void *header, size_t *ret_len, struct err *reterr);

/* A head in this host's byte order, complete; cookie may be NULL. Returns it *owned*. */
char *image_make_head(const char *xml, const char *cookie, int was_running, uint32_t compression, size_t *ret_len);

#endif
