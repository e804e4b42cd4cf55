/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packing the memory of old snapshots in the background, as the option pack-after has it.
 * One job for each VM that has any; it gives way to every other job of that VM. */
#ifndef DAEMON_PACKING_H
#define DAEMON_PACKING_H

struct daemon;
struct job_view;

/* Looks at all VMs. Main loop's thread; returns at once. */
void packing_start(struct daemon *daemon);

/* A job has ended: looks at its VM. Main loop's thread; returns at once. */
void packing_after(struct daemon *daemon, const struct job_view *view);

#endif
