/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Free space, watched while VMs run: of the file system of the store and of those with a
 * disk that a VM under management writes. Every ten seconds, more often where it gets little; not
 * at all while no VM runs and nobody listens. Each change of a level is logged and told, once. */
#ifndef DAEMON_SPACE_WATCH_H
#define DAEMON_SPACE_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/space-level.h"

struct daemon;
struct space_watch;

/* A file system as it was seen last. */
struct space_state {
	uint64_t dev;
	char *path; /* the store, or a directory with a disk, *owned* */
	enum space_level level;
	int64_t free, total;       /* bytes */
	int64_t warning, critical; /* thresholds in bytes; 0: none */
	int gone;                  /* told once: nothing of ours is there any more */
};

/* New, ret_watch *owned*; the daemon (*borrowed*) has its catalog, hypervisor, options and workers.
 * Main loop's thread. Returns 0 or negative errno. */
_must_check_ int space_watch_new(struct daemon *daemon, struct space_watch **ret_watch, struct err *reterr);

/* Frees it (*taken*, may be NULL): when no worker is left. */
void space_watch_free(struct space_watch *w);

/* Looks now, and goes on while there is a reason to: at start, and when a guest has started. Takes NULL.
 * Main loop's thread. */
void space_watch_kick(struct space_watch *w);

/* Looks at once, unless somebody does so for seconds already (a file system that hangs), and
 * gives what is known then. *Owned* array. Takes NULL: nothing is known. Worker threads. */
void space_watch_look(struct space_watch *w, struct space_state **ret_states, size_t *ret_n);

/* fn(arg, state) is called for each change of a level, a file system that is new among them,
 * until the handle goes to space_watch_end() (*taken*). Main loop's thread. */
struct space_listener *space_watch_listen(struct space_watch *w, void (*fn)(void *arg, const struct space_state *state),
					  void *arg);
void space_watch_end(struct space_watch *w, struct space_listener *listener); /* as space_watch_listen() */

/* Calls its function for each file system that is known, and looks at them anew. Main loop's thread. */
void space_watch_tell(struct space_watch *w, struct space_listener *listener);

/* Frees an array of states. */
void space_states_free(struct space_state *states, size_t n);

/* ---- for tests: what one look makes of what was known before */

/* All file systems, and those changes that nobody was told of. Starts zeroed. */
struct space_states {
	struct space_state *known, *changed;
	size_t n_known, n_changed;
};

/* seen (n of them; dev, path, free, total) becomes what is known; paths are copied. */
void space_states_update(struct space_states *s, const struct space_limit *warning, const struct space_limit *critical,
			 const struct space_state *seen, size_t n);

/* Empties it. */
void space_states_done(struct space_states *s);

#endif
