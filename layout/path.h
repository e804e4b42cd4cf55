/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Path names as text: made clean, compared and made relative. The file system is
 * never asked, so symbolic links stay what they are. */
#ifndef LAYOUT_PATH_H
#define LAYOUT_PATH_H

#include <stddef.h>

/* path (*borrowed*) without empty components, "." and "..", and without a
 * trailing slash; ".." above the root vanishes, ".." at the start of a relative
 * path stays. Returns it *owned*; never empty ("/" or "." at the least). */
char *path_clean(const char *path);

/* Where the clean absolute path lies inside the clean absolute directory dir: a
 * view into path behind "dir/" (*borrowed*), or NULL if it does not (dir itself
 * does not). */
const char *path_below(const char *path, const char *dir);

/* The clean absolute path as seen from the clean absolute directory dir, with as
 * many "../" as it takes. Returns it *owned*. */
char *path_relative(const char *dir, const char *path);

/* 1 if QEMU would take name (*borrowed*) for a protocol or "json:" and not for a
 * file: a colon before any slash; else 0. */
int path_has_protocol(const char *name);

/* Place of path (*borrowed*) in an array of n items of `size` bytes, sorted by path,
 * each of which begins with a pointer to its path: where it is (*ret_found 1), or
 * where it would have to go (0). */
size_t path_place(const void *items, size_t n, size_t size, const char *path, int *ret_found);

#endif
