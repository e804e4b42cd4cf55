/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Removes large files without waiting for the file system to take their blocks back. */
#ifndef COMMON_REMOVE_H
#define COMMON_REMOVE_H

#include "common/cleanup.h"
#include "common/err.h"

/* As file_remove(): on return the name is gone for good. The blocks of a large file are free a
 * moment later; a death in between leaves that to the file system, as with any open file. */
_must_check_ int file_remove_behind(const char *path, struct err *reterr);

#endif
