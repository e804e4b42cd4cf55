/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who reads the pipe of a background capture when vmsnap-capture does not: a thread of ours
 * that needs neither libvirt nor QEMU for it. Private to background*.c. */
#ifndef DAEMON_BACKGROUND_STANDBY_H
#define DAEMON_BACKGROUND_STANDBY_H

struct background_standby;

enum standby_when {
	STANDBY_ALONE,  /* as long as no vmsnap-capture runs there */
	STANDBY_ALWAYS, /* also beside one */
};

/* Starts it on the pipe in dir; what it reads is dropped. A vmsnap-capture that leaves what is in
 * the pipe there for stall_msec is ended (0: never). Returns NULL if there is no such pipe, or
 * no thread; else *owned*. */
struct background_standby *background_standby_start(const char *dir, enum standby_when when, int stall_msec);

/* 1 once nobody can write to the pipe any more: QEMU is done with it, or gone. */
int background_standby_saw_end(const struct background_standby *standby);

/* Ends it (*taken*, may be NULL). */
void background_standby_stop(struct background_standby *standby);

#endif
