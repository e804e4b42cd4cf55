/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Save states for tests of the operations, made from streams that are written by hand.
 * (Apart, because the makers of streams and the daemon each have a "struct machine".) */
#ifndef TESTS_UNIT_FOLD_STATES_H
#define TESTS_UNIT_FOLD_STATES_H

#include "common/guid.h"
#include "savestate/vsv.h"

/* Writes a save state of a guest at an instant (any number), as a difference of the n
 * parents (its own first), or alone. */
void fold_state_make(const struct save_files *files, const struct guid *guid, unsigned int instant,
		     const struct save_files *parents, size_t n_parents);

/* Checks that it is sound and gives back the 64-bit XXH3 of the stream that it is joined to. */
uint64_t fold_state_sum(const char *dir, const struct save_files *files, size_t n);

/* Turns over a bit at an offset of a file; below 0: from its end. */
void fold_state_flip(const char *path, off_t offset);

#endif
