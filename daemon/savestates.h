/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files of a save state in a VM directory: of the save state itself and of
 * those it takes pages from. The parent that a `.vsv` names is the snapshot whose
 * save state it is. Worker threads only. */
#ifndef DAEMON_SAVESTATES_H
#define DAEMON_SAVESTATES_H

#include "common/cleanup.h"
#include "common/err.h"
#include "daemon/job.h"
#include "layout/vmdir.h"
#include "savestate/join.h"
#include "savestate/vsv.h"
#include "xmlcfg/config.h"

/* A save state, its parent, the parent of that, up to the one that stands alone:
 * as join.h and split.h take them. The strings in files are *owned*. */
struct savestate_chain {
	struct save_files *files;
	struct guid *guids; /* the snapshots whose they are; of the first one nothing is said */
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

/* The document of a snapshot, or of the VM itself (snap NULL), that has a save state.
 * ret_cfg *owned*. Returns 0 or negative errno (-ENODATA, ERR_REFUSED: it has none). */
_must_check_ int savestate_config(const struct vmdir *dir, const struct guid *snap, struct config **ret_cfg,
				  struct err *reterr);

/* "snapshot 'x'" or "VM 'x'": whose save state a document's is. Returns it *owned*. */
char *savestate_owner(const struct config *cfg);

/* Reads a document's save state and all it builds on through: every checksum in the
 * files and that of each .vsv as the documents have it. Phases, progress and cancelling
 * by job. Returns 0 or negative errno: ERR_BAD_DATA names file and part, ERR_DRIFT a
 * file that is not the one that was recorded. */
_must_check_ int savestate_verify(const struct vmdir *dir, const struct config *cfg, struct job *job,
				  struct err *reterr);

/* Packs the memory file of a document's save state (packed: 1), or unpacks it; what is so already is
 * success. Phase, progress and cancelling by job. Returns 0 or negative errno (-ENOTSUP, ERR_REFUSED:
 * it has no memory file; -ENOSPC, ERR_REFUSED: no room to unpack it; ERR_BAD_DATA). */
_must_check_ int savestate_pack(const struct vmdir *dir, const struct config *cfg, int packed, struct job *job,
				struct err *reterr);

/* 1 if it has a memory file that is not packed, else 0. */
int savestate_is_flat(const struct vmdir *dir, const struct config *cfg);

/* Where a flat and a packed file of one memory are there, which a crash leaves, removes the
 * packed one. Blocks; while no operation is under way. */
void savestate_sweep(const struct vmdir *dir);

/* Where extracted memory goes. */
struct savestate_target {
	const char *path; /* absolute, *borrowed*; made anew, mode 0600 */
	uid_t uid;        /* whose it becomes; -1 keeps it ours */
	gid_t gid;
};

/* Writes the memory of a document's save state as one flat file with holes. One in the
 * opaque form is split beside the VM's own save state first, and that is removed again.
 * What is not whole is removed. ret_vsv says where each block is, *owned*. Returns 0 or
 * negative errno (-EEXIST, ERR_REFUSED: there is such a file; -ENOTSUP, ERR_REFUSED: the
 * memory cannot be told from the rest). */
_must_check_ int savestate_extract(const struct vmdir *dir, const struct config *cfg,
				   const struct savestate_target *target, struct job *job, struct vsv **ret_vsv,
				   struct err *reterr);

/* Compares the memory of two documents' save states of one VM; no pages are read.
 * Returns 0 or negative errno (-ENOTSUP, ERR_REFUSED: not split). */
_must_check_ int savestate_compare(const struct vmdir *dir, const struct config *first, const struct config *second,
				   struct join_diff *ret_diff, struct err *reterr);

#endif
