/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The instant of a running guest's snapshot: its memory, firmware state and disks, taken
 * in the mode that the record names. What the steps of op-snapshot-create.c share with it. */
#ifndef DAEMON_OP_CAPTURE_H
#define DAEMON_OP_CAPTURE_H

#include "daemon/op.h"

/* 1 if the record's mode is that one ("background", "live", "paused", "disk-only", "none"). */
int capture_mode_is(const struct op *op, const char *mode);

/* 1 if the VM was in that state when the snapshot was asked for ("running", "paused", "saved", "off"). */
int capture_was(const struct op *op, const char *state);

/* 1 if the guest ran or was paused, else 0. */
int capture_was_active(const struct op *op);

/* 1 if the snapshot is to hold memory, else 0. */
int capture_has_memory(const struct op *op);

/* A file of the snapshot ("" for its name without ending), *owned*. */
char *capture_file(const struct op *op, const char *suffix);

/* Takes the memory (durable when it returns) and switches the disks. The guest is as
 * it was when it returns. Returns 0 or negative errno. */
_must_check_ int op_capture_running(struct op *op, struct err *reterr);

/* Puts right what a capture left that died: first of all in recovery, while the guest may
 * wait for it. Returns 0 or negative errno. */
_must_check_ int op_capture_put_right(struct op *op, struct err *reterr);

/* Removes what captures leave beside the files. Returns 0 or negative errno. */
_must_check_ int op_capture_forget(struct op *op, struct err *reterr);

#endif
