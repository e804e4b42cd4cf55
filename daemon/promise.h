/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Room promised to operations: whoever asks whether it fits is told what others that are under way
 * may still write to the same file systems. What they have written is measured, not guessed. */
#ifndef DAEMON_PROMISE_H
#define DAEMON_PROMISE_H

#include "daemon/job.h"
#include "daemon/machine.h"
#include "layout/space.h"

struct promise;

/* The file system that lacks most (*borrowed* from space), with all that other jobs than job were
 * promised taken off what is free there by now, or NULL if the operation fits. */
const struct space_fs *promise_lack(struct space *space, const struct job *job);

/* Promises the job what the account (*borrowed*) needs at worst, unless others leave too little; a
 * job is promised one thing at a time. ret_promise: *owned*. Returns 0 or -ENOSPC. */
_must_check_ int promise_try(struct space *space, const struct job *job, struct promise **ret_promise);

/* As promise_try(), but refuses (ERR_REFUSED, -ENOSPC, all numbers named) what does not fit,
 * unless force; what for: "for a snapshot of VM 'x'". Returns 0 or negative errno. */
_must_check_ int promise_make(struct space *space, const struct machine *m, const struct job *job, int force,
			      const char *what, const char *hint, struct promise **ret_promise, struct err *reterr);

/* Refuses as promise_make(), and promises nothing. Returns 0 or negative errno. */
_must_check_ int promise_refuse(struct space *space, const struct machine *m, const struct job *job, const char *what,
				const char *hint, struct err *reterr);

/* The numbers of what lacks: "it may need 2 GiB in '/store', 1 GiB are free", *owned*. */
char *promise_text(const struct space_fs *fs);

/* Only by growth of path, a file or all files in a directory, does the operation use up what it was
 * promised. Called before it writes there. Takes NULL as the promise. */
void promise_watch(struct promise *promise, const char *path);

/* The operation has ended (*taken*, may be NULL). */
void promise_end(struct promise *promise);

DEFINE_CLEANUP(struct promise, promise_end);
#define _cleanup_promise_ _cleanup_(promise_endp)

#endif
