/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A reader of a guest's memory that is slow on purpose, so that tests can look at a guest
 * whose memory is still going out: VMSNAPD_FAULT "slow:KIB:FILE" makes it read KIB KiB a
 * second as long as FILE exists. Without it these functions do nothing. */
#ifndef SAVESTATE_PACE_H
#define SAVESTATE_PACE_H

#include <stddef.h>

/* How many of len bytes to ask for at once. */
size_t pace_most(size_t len);

/* After n bytes were read: waits as long as they should have taken. */
void pace_wait(size_t n);

#endif
