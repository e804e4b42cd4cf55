/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the save image share. */
#ifndef SAVESTATE_IMAGE_INTERNAL_H
#define SAVESTATE_IMAGE_INTERNAL_H

#include "savestate/image.h"

#define IMAGE_MAGIC_COMPLETE "LibvirtQemudSave"
#define IMAGE_MAGIC_PARTIAL "LibvirtQemudPart"
#define IMAGE_MAGIC_LEN 16
#define IMAGE_VERSION 2

/* image_read() of a file that is open at fd (*borrowed*; its position is not
 * used). Returns as image_read(). */
_must_check_ int image_read_fd(int fd, const char *path, struct image_info *ret_info, struct err *reterr);

#endif
