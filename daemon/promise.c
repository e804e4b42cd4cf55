/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Room promised to operations: the ledger (layout/ledger.h) of this daemon. */
#include "daemon/promise.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/timefmt.h"
#include "layout/ledger.h"

struct promise {
	struct promise *next;
	uint64_t owner;
	char *path;     /* what grows, NULL: nobody knows */
	int64_t before; /* bytes of it, before */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ledger ledger;
static struct promise *promises;

static uint64_t owner_of(const struct job *job)
{
	return (uint64_t)(uintptr_t)job;
}

static void free_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* Bytes allocated for a file, or for all files in a directory; 0 if there is none. */
static int64_t allocated(const char *path, uint64_t *ret_dev)
{
	_cleanup_(free_dir) DIR *dir = NULL;
	int64_t sum = 0;
	struct stat st;

	if (stat(path, &st) < 0)
		return 0;
	*ret_dev = (uint64_t)st.st_dev;
	if (!S_ISDIR(st.st_mode))
		return file_allocated(path);
	dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
		_cleanup_free_ char *file = path_join(path, e->d_name);

		if (lstat(file, &st) == 0 && S_ISREG(st.st_mode))
			sum += (int64_t)st.st_blocks * 512;
	}
	return sum;
}

/* Under the lock. What was written is looked at before what is free: between the two it can only get
 * less that is free, which nobody suffers from. */
static void look_around(struct space *space, uint64_t owner)
{
	for (const struct promise *p = promises; p; p = p->next) {
		uint64_t dev = 0;
		int64_t now = p->path ? allocated(p->path, &dev) : 0;

		ledger_written(&ledger, p->owner, dev, now - p->before);
	}
	for (size_t i = 0; i < space->n; i++)
		ignore_result(disk_free(space->fs[i].path, &space->fs[i].free, NULL)); /* as it was, then */
	ledger_apply(&ledger, owner, space);
}

const struct space_fs *promise_lack(struct space *space, const struct job *job)
{
	pthread_mutex_lock(&lock);
	look_around(space, owner_of(job));
	pthread_mutex_unlock(&lock);
	return space_short(space);
}

static int promise(struct space *space, const struct job *job, int force, struct promise **ret_promise)
{
	struct promise *p = NULL;

	pthread_mutex_lock(&lock);
	look_around(space, owner_of(job));
	if (force || !space_short(space)) {
		p = xcalloc(1, sizeof(*p));
		p->owner = owner_of(job);
		p->next = promises;
		promises = p;
		ledger_promise(&ledger, p->owner, space);
	}
	pthread_mutex_unlock(&lock);
	if (!p)
		return -ENOSPC;
	*ret_promise = p;
	return 0;
}

int promise_try(struct space *space, const struct job *job, struct promise **ret_promise)
{
	return promise(space, job, 0, ret_promise);
}

char *promise_text(const struct space_fs *fs)
{
	_cleanup_free_ char *need = bytes_human(fs->need), *have = bytes_human(fs->free);
	_cleanup_free_ char *others = bytes_human(fs->promised);

	if (fs->promised <= 0)
		return xasprintf("it may need %s in '%s', %s are free", need, fs->path, have);
	return xasprintf("it may need %s in '%s', %s are free, but %s of that are promised to operations under way", need,
			 fs->path, have, others);
}

static int refuse(const struct space_fs *fs, const struct machine *m, const char *what, const char *hint,
		  struct err *reterr)
{
	_cleanup_free_ char *text = promise_text(fs);

	return err_full(reterr, ERR_REFUSED, -ENOSPC, m->cfg->name, fs->path, hint, "not enough space %s: %s", what, text);
}

int promise_make(struct space *space, const struct machine *m, const struct job *job, int force, const char *what,
		 const char *hint, struct promise **ret_promise, struct err *reterr)
{
	return promise(space, job, force, ret_promise) < 0 ? refuse(space_short(space), m, what, hint, reterr) : 0;
}

int promise_refuse(struct space *space, const struct machine *m, const struct job *job, const char *what,
		   const char *hint, struct err *reterr)
{
	const struct space_fs *fs = promise_lack(space, job);

	return fs ? refuse(fs, m, what, hint, reterr) : 0;
}

void promise_watch(struct promise *promise, const char *path)
{
	uint64_t dev;

	if (!promise)
		return;
	pthread_mutex_lock(&lock);
	xstrset(&promise->path, path);
	promise->before = allocated(path, &dev);
	pthread_mutex_unlock(&lock);
}

void promise_end(struct promise *promise)
{
	pthread_mutex_lock(&lock);
	for (struct promise **at = &promises; promise && *at; at = &(*at)->next) {
		if (*at != promise)
			continue;
		*at = promise->next;
		ledger_forget(&ledger, promise->owner);
		free(promise->path);
		free(promise);
		break;
	}
	pthread_mutex_unlock(&lock);
}
