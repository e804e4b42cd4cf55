/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Save states in the opaque form. */
#include "daemon/memory.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/stamp.h"
#include "daemon/daemon.h"
#include "savestate/image.h"
#include "xmlcfg/domain.h"

struct memory_watch {
	struct machine *m;
	struct job *job;
	int64_t limit;
	int suspended;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	int stop;
};

/* Waits 100 ms or until stopped. Returns 1 to go on. */
static int watch_wait(struct memory_watch *w)
{
	struct timespec until;
	int stop;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 100000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&w->lock);
	if (!w->stop)
		pthread_cond_timedwait(&w->wake, &w->lock, &until);
	stop = w->stop;
	pthread_mutex_unlock(&w->lock);
	return !stop;
}

static void *watch_main(void *arg)
{
	struct memory_watch *w = arg;
	struct hv *hv = w->m->daemon->hv;
	int aborted = 0;

	while (watch_wait(w)) {
		int64_t done, total;

		if (hv_progress(hv, &w->m->dir->guid, &done, &total, NULL) == 0) {
			job_progress(w->job, done, total);
			if (w->limit > 0 && done > w->limit && !w->suspended)
				w->suspended = hv_suspend(hv, &w->m->dir->guid, NULL) == 0;
		}
		if (!aborted && job_cancelled(w->job))
			aborted = hv_abort_job(hv, &w->m->dir->guid, NULL) == 0;
	}
	return NULL;
}

struct memory_watch *memory_watch_start(struct machine *m, struct job *job, int64_t limit)
{
	struct memory_watch *w = xcalloc(1, sizeof(*w));

	w->m = m;
	w->job = job;
	w->limit = limit;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	if (pthread_create(&w->thread, NULL, watch_main, w) != 0)
		w->stop = -1; /* no progress then, nothing else is lost */
	return w;
}

int memory_watch_stop(struct memory_watch *w)
{
	int suspended;

	pthread_mutex_lock(&w->lock);
	if (w->stop == 0) {
		w->stop = 1;
		pthread_cond_signal(&w->wake);
		pthread_mutex_unlock(&w->lock);
		pthread_join(w->thread, NULL);
	} else {
		pthread_mutex_unlock(&w->lock);
	}
	suspended = w->suspended;
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	cleanup_free(&w);
	return suspended;
}

int64_t memory_size(const struct config *cfg)
{
	_cleanup_domain_ struct domain *dom = NULL;

	if (domain_parse(cfg->domain_xml, &dom, NULL) < 0)
		return 0;
	return domain_memory(dom);
}

static int is_whole(const char *path)
{
	struct image_info info = { 0 };
	int whole = image_read(path, &info, NULL) == 0 && info.complete;

	image_info_done(&info);
	return whole;
}

int memory_is_whole(const char *tmp, const char *vsv)
{
	return is_whole(vsv) || is_whole(tmp);
}

static int check_cancel(void *arg)
{
	return job_cancelled(arg);
}

int memory_keep(const struct machine *m, struct job *job, const char *tmp, const char *vsv, struct config *cfg,
		struct err *reterr)
{
	_cleanup_free_ char *dir = path_dirname(vsv);
	struct image_info info = { 0 };
	struct stat st;
	int r;

	if (path_exists(vsv) != 1) {
		r = image_read(tmp, &info, reterr);
		image_info_done(&info);
		if (!r)
			r = path_fsync(tmp, reterr);
		if (!r && rename(tmp, vsv) < 0)
			r = err_file(reterr, errno, vsv, "cannot name the save state '%s'", vsv);
		if (!r)
			r = path_fsync(dir, reterr);
		if (r < 0)
			return r;
	}
	if (stat(vsv, &st) < 0)
		return err_file(reterr, errno, vsv, "cannot read the save state '%s'", vsv);
	config_clear_state(cfg);
	r = file_checksum(vsv, &cfg->state.vsv_sum, NULL, job, reterr);
	if (r < 0)
		return r;
	cfg->state.vsv = vmdir_store_path(m->dir, vsv);
	cfg->state.vsv_size = st.st_size;
	return 0;
}

int memory_verify(const struct machine *m, const struct config *cfg, struct job *job, struct err *reterr)
{
	_cleanup_free_ char *path = vmdir_resolve(m->dir, cfg->state.vsv);
	struct stat st;
	uint64_t sum;
	int r;

	if (stat(path, &st) < 0)
		return err_file(reterr, errno, path, "cannot read the save state '%s'", path);
	r = st.st_size == cfg->state.vsv_size ? file_checksum(path, &sum, check_cancel, job, reterr) : 0;
	if (r < 0)
		return r;
	if (st.st_size != cfg->state.vsv_size || sum != cfg->state.vsv_sum)
		return err_full(reterr, ERR_DRIFT, -ESTALE, cfg->name, path,
				"Restore the file from a backup of the VM directory",
				"the save state '%s' is damaged: its %s is not what it was when it was taken", path,
				st.st_size != cfg->state.vsv_size ? "size" : "checksum");
	return 0;
}

struct feeder {
	const char *path, *fifo, *xml;
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
		f->r = image_feed(f->path, f->xml, fd, feed_progress, f->job, &f->err);
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

	return file_remove(fifo, reterr);
}

int memory_restore(struct machine *m, const struct config *cfg, const char *path, struct job *job, struct err *reterr)
{
	_cleanup_free_ char *fifo = fifo_path(m), *xml = NULL;
	struct image_info info = { 0 };
	struct feeder f = { .path = path, .fifo = fifo, .job = job, .lock = PTHREAD_MUTEX_INITIALIZER,
			    .wake = PTHREAD_COND_INITIALIZER };
	int r = image_read(path, &info, reterr);

	if (!r)
		r = machine_point_xml(m, cfg, info.xml, &xml, reterr);
	image_info_done(&info);
	if (!r)
		r = file_remove(fifo, reterr);
	if (!r && mkfifo(fifo, 0600) < 0)
		r = err_file(reterr, errno, fifo, "cannot make the pipe '%s'", fifo);
	if (r < 0)
		return r;
	f.xml = xml;
	r = feed_and_restore(m, &f, reterr);
	if (unlink(fifo) < 0 && errno != ENOENT && !r)
		r = err_file(reterr, errno, fifo, "cannot remove the pipe '%s'", fifo);
	if (r < 0)
		err_prefix(reterr, "the memory of VM '%s' could not be loaded", cfg->name);
	return r < 0 ? r : machine_refresh(m, reterr);
}
