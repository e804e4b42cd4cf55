/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files of a save state in a VM directory: of the save state itself and of
 * those it takes pages from. The parent that a `.vsv` names is the snapshot whose
 * save state it is. Worker threads only. */
#ifndef DAEMON_SAVESTATES_H
#define DAEMON_SAVESTATES_H

#include "common/cleanup.h"
#include "common/err.h"
#include "layout/vmdir.h"
#include "savestate/vsv.h"

/* A save state, its parent, the parent of that, up to the one that stands alone:
 * as join.h and split.h take them. The strings in files are *owned*. */
struct savestate_chain {
	struct save_files *files;
	size_t n;
};

/* Follows a save state of ours (absolute pathnames, or as a document has them) down
 * to the one that stands alone. A .bin is named for each that has one; whether the
 * pages are there is not looked at. bin_path NULL: there is none, or it is not
 * needed. ret is emptied by savestate_chain_done(). Returns 0 or negative errno:
 * -ENOTSUP (ERR_REFUSED): in the opaque form; ERR_BAD_DATA: damaged, or a parent is
 * missing (file and snapshot named); ERR_LIMIT: more than VSV_MAX_CHAIN. */
_must_check_ int savestate_chain_open(const struct vmdir *dir, const char *vsv_path, const char *bin_path,
				      struct savestate_chain *ret, struct err *reterr);

/* Empties it. Takes an empty one. */
void savestate_chain_done(struct savestate_chain *chain);
#define _cleanup_savestate_chain_ _cleanup_(savestate_chain_done)

#endif
