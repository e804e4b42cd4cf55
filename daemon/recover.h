/* SPDX-License-Identifier: GPL-2.0-or-later */
/* After a crash: what a dead daemon left is settled as soon as the hypervisor
 * can be asked. */
#ifndef DAEMON_RECOVER_H
#define DAEMON_RECOVER_H

struct daemon;

/* Removes half-written temporary files and empty skeletons of VM directories that a
 * killed daemon left. Blocks; before anything else works on the store. */
void recover_sweep(struct daemon *daemon);

/* Starts a job for each VM with an intent record that no job holds. Main loop's
 * thread; returns at once. */
void recover_start(struct daemon *daemon);

#endif
