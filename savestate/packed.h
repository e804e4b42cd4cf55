/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packed memory files: what a .bin holds, compressed. The file has the name of the .bin
 * with a "z" at the end; where both are there, the .bin counts. The pages of state DATA
 * stand in it one after the other, in frames that are compressed on their own. The format
 * is described in vmsnap-format(5); it is checked before it is used. */
#ifndef SAVESTATE_PACKED_H
#define SAVESTATE_PACKED_H

#include "savestate/vsv.h"

#define PACKED_FRAME_PAGES 16 /* 64 KiB */
#define PACKED_FRAME_BYTES (PACKED_FRAME_PAGES * VSV_PAGE)

/* Name of the packed file to that of a .bin. Returns it *owned*. */
char *packed_name(const char *bin);

/* Which of the two is there and counts: bin, or its packed_name() if only that is there. If
 * neither is, bin. Returns it *owned*. */
char *packed_or_flat(const char *bin);

struct packed;

/* Opens one that is to be of the save state of info (*borrowed* during the call): all
 * but the frames is checked. Memory use does not depend on its size. ret_packed *owned*. Returns
 * 0 or negative errno (-ENOENT stays -ENOENT; ERR_BAD_DATA names the file). */
_must_check_ int packed_open(const char *path, const struct vsv_info *info, struct packed **ret_packed,
			     struct err *reterr);

/* Closes it (*taken*, may be NULL). Returns NULL. */
struct packed *packed_free(struct packed *packed);
DEFINE_CLEANUP(struct packed, packed_free);
#define _cleanup_packed_ _cleanup_(packed_freep)

/* Unpacks the n pages from number first on (counted over the pages of state DATA) into
 * buf. Whether they are what they were is for the caller to compare. Returns 0 or
 * negative errno (ERR_BAD_DATA names file and place). */
_must_check_ int packed_read(struct packed *packed, uint64_t first, size_t n, uint8_t *buf, struct err *reterr);

/* Reads the file through and compares its checksum. Returns 0 or negative errno (ERR_BAD_DATA). */
_must_check_ int packed_check(const struct packed *packed, struct err *reterr);

struct packer;

/* Starts a file that becomes path when it is whole; until then it has a hidden name beside,
 * of the kind that is swept after a crash. Gives ret_packer *owned*. Returns 0 or negative
 * errno. */
_must_check_ int packer_new(const char *path, const struct guid *guid, struct packer **ret_packer,
			    struct err *reterr);

/* Frees it (*taken*, may be NULL); an unfinished file is removed. Returns NULL. */
struct packer *packer_free(struct packer *packer);
DEFINE_CLEANUP(struct packer, packer_free);
#define _cleanup_packer_ _cleanup_(packer_freep)

/* Appends a page. Returns 0 or negative errno. */
_must_check_ int packer_put(struct packer *packer, const uint8_t *page, struct err *reterr);

/* After the last page: ends the file and makes it durable, under its hidden name, which is
 * given back (*borrowed* as long as the packer). Returns 0 or negative errno. */
_must_check_ int packer_finish(struct packer *packer, const char **ret_tmp, struct err *reterr);

/* Gives it its name and makes that durable. Returns 0 or negative errno. */
_must_check_ int packer_publish(struct packer *packer, struct err *reterr);

#endif
