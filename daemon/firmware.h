/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NVRAM and TPM state: copied with a snapshot in the same pause, put back with
 * an apply while nothing runs. Never touched while QEMU or swtpm uses them. */
#ifndef DAEMON_FIRMWARE_H
#define DAEMON_FIRMWARE_H

#include "daemon/machine.h"

/* 1 if the VM has UEFI flash or a TPM, else 0. */
int firmware_present(const struct config *cfg);

/* Copies the live files into snapshot snap's directory. Returns 0 or negative errno. */
_must_check_ int firmware_copy(const struct machine *m, const struct guid *snap, struct err *reterr);

/* Bytes that firmware_copy() would write for cfg's live files. */
int64_t firmware_bytes(const struct machine *m, const struct config *cfg);

/* Where firmware_copy() puts the UEFI variables, *owned*. */
char *firmware_nvram_copy(const struct machine *m, const struct guid *snap);

/* Fills nvram and tpm of a snapshot's document from the copies that are there. */
void firmware_describe(const struct machine *m, struct config *snap);

/* Removes the copies. Returns 0 or negative errno. */
_must_check_ int firmware_remove_copies(const struct machine *m, const struct guid *snap, struct err *reterr);

/* Checks that a snapshot's copies are there, as large as they were: before an apply
 * ends the present machine. Returns 0 or negative errno (ERR_DRIFT). */
_must_check_ int firmware_check(const struct machine *m, const struct config *snap, struct err *reterr);

/* Puts a snapshot's copies in the live places, with owner and mode as they were;
 * what did not exist then is removed. The domain must be off. Returns 0 or negative errno. */
_must_check_ int firmware_restore(const struct machine *m, const struct config *snap, struct err *reterr);

/* Keeps the live files aside (those kept already stand), puts what was kept back,
 * drops it. The domain must be off. Return 0 or negative errno. */
_must_check_ int firmware_keep(const struct machine *m, struct err *reterr);
_must_check_ int firmware_put_back(const struct machine *m, struct err *reterr);  /* as firmware_keep() */
_must_check_ int firmware_drop_kept(const struct machine *m, struct err *reterr); /* as firmware_keep() */

#endif
