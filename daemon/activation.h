/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Being started by systemd: an inherited socket, and telling that we are ready.
 * The protocols are those of sd_listen_fds(3) and sd_notify(3). */
#ifndef DAEMON_ACTIVATION_H
#define DAEMON_ACTIVATION_H

/* The inherited socket named "varlink" (or the only one), close-on-exec set, or
 * -1 if there is none. The variables are removed from the environment. */
int activation_fd(void);

/* Sends a state line to the service manager, if there is one. */
void activation_notify(const char *state);

#endif
