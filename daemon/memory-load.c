/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A save state fed back to libvirt through a pipe with a name. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/daemon.h"
#include "daemon/memory.h"
#include "daemon/pipe-guard.h"
#include "savestate/image.h"
#include "savestate/join.h"

struct feeder {
	const char *fifo, *xml;
	const char *image;                    /* libvirt's own image, or NULL */
	const struct savestate_chain *chain; /* else: ours */
	struct job *job;
	struct err err;
	int r;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	int opened;
};

static int feed_progress(void *arg, uint64_t done, uint64_t total)
{
	job_progress(arg, (int64_t)done, (int64_t)total);
	return 0; /* past the commit point: nothing to cancel any more */
}

static int feed(struct feeder *f, int fd)
{
	struct join_opts opts = { .head = JOIN_RESUME, .xml = f->xml, .progress = feed_progress, .arg = f->job };

	if (f->image)
		return image_feed(f->image, f->xml, fd, feed_progress, f->job, &f->err);
	return join_stream(f->chain->files, f->chain->n, &opts, fd, &f->err);
}

static void *feed_main(void *arg)
{
	struct feeder *f = arg;
	_cleanup_close_ int fd = open(f->fifo, O_WRONLY | O_CLOEXEC);

	pthread_mutex_lock(&f->lock);
	f->opened = 1;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
	if (fd < 0)
		f->r = err_file(&f->err, errno, f->fifo, "cannot open the pipe '%s'", f->fifo);
	else
		f->r = feed(f, fd);
	return NULL;
}

/* The feeder blocks in open() until libvirt opens the other end: if libvirt
 * failed before that, somebody else has to; the close then ends the feeder. */
static void release_feeder(struct feeder *f)
{
	_cleanup_close_ int fd = open(f->fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	pthread_mutex_lock(&f->lock);
	while (fd >= 0 && !f->opened)
		pthread_cond_wait(&f->wake, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

static int feed_and_restore(struct machine *m, struct feeder *f, struct err *reterr)
{
	pthread_t thread;
	int r;

	r = pthread_create(&thread, NULL, feed_main, f);
	if (r)
		return err_errno(reterr, r, "cannot start a thread");
	r = hv_restore(m->daemon->hv, f->fifo, f->xml, reterr);
	if (r < 0)
		release_feeder(f);
	pthread_join(thread, NULL);
	if (r < 0 && f->r < 0 && f->r != -EPIPE)
		err_prefix(reterr, "%s", f->err.message);
	err_done(&f->err);
	return r;
}

static char *fifo_path(const struct machine *m)
{
	_cleanup_free_ char *dir = vmdir_state_dir(m->dir);

	return path_join(dir, "restore.fifo");
}

int memory_drop_pipe(const struct machine *m, struct err *reterr)
{
	_cleanup_free_ char *fifo = fifo_path(m);
	int r = file_remove(fifo, reterr);

	return r < 0 ? r : memory_sink_remove(m->dir, reterr);
}

/* The domain document that was saved, with cfg's disks; *owned*. */
static int saved_xml(struct machine *m, const struct config *cfg, const struct feeder *f, char **ret_xml,
		     struct err *reterr)
{
	_cleanup_vsv_ struct vsv *vsv = NULL;
	_cleanup_free_ char *xml = NULL;
	struct image_info info = { 0 };
	int r;

	if (f->image) {
		r = image_read(f->image, &info, reterr);
		if (!r)
			r = machine_point_xml(m, cfg, info.xml, ret_xml, reterr);
		image_info_done(&info);
		return r;
	}
	r = vsv_open(f->chain->files[0].vsv, &vsv, reterr);
	if (!r)
		r = vsv_xml(vsv, &xml, reterr);
	return r < 0 ? r : machine_point_xml(m, cfg, xml, ret_xml, reterr);
}

static int restore(struct machine *m, const struct config *cfg, struct feeder *f, struct err *reterr)
{
	_cleanup_pipe_guard_ struct pipe_guard *guard = NULL;
	_cleanup_free_ char *fifo = fifo_path(m), *xml = NULL;
	int r = saved_xml(m, cfg, f, &xml, reterr);

	if (!r)
		r = file_remove(fifo, reterr);
	if (!r && mkfifo(fifo, 0600) < 0)
		r = err_file(reterr, -errno, fifo, "cannot make the pipe '%s'", fifo);
	if (!r)
		r = pipe_guard_start(fifo, &guard, reterr);
	if (r < 0)
		return r;
	f->fifo = fifo;
	f->xml = xml;
	r = feed_and_restore(m, f, reterr);
	if (unlink(fifo) < 0 && errno != ENOENT && !r)
		r = err_file(reterr, -errno, fifo, "cannot remove the pipe '%s'", fifo);
	if (r < 0)
		err_prefix(reterr, "the memory of VM '%s' could not be loaded", cfg->name);
	return r < 0 ? r : machine_refresh(m, reterr);
}

int memory_restore(struct machine *m, const struct config *cfg, const struct config *state, struct job *job,
		   struct err *reterr)
{
	_cleanup_free_ char *vsv = vmdir_resolve(m->dir, state->state.vsv);
	_cleanup_savestate_chain_ struct savestate_chain chain = { 0 };
	struct feeder f = { .job = job, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };
	int r = vsv_is_ours(vsv, reterr);

	if (r < 0)
		return r;
	if (r == 0)
		f.image = vsv;
	else
		r = savestate_chain_open(m->dir, state->state.vsv, state->state.bin, &chain, reterr);
	f.chain = &chain;
	return r < 0 ? r : restore(m, cfg, &f, reterr);
}
