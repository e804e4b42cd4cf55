/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The switch of the disks in the pause of a background capture. */
#define _GNU_SOURCE
#include "daemon/background-switch.h"

#include <fcntl.h>
#include <pthread.h>
#include <time.h>

#include "common/alloc.h"
#include "common/timefmt.h"
#include "layout/image.h"

#define STEP_NSEC 200000 /* between two looks at the locks */

struct background_switch {
	struct hv *hv;
	const struct guid *vm;
	struct hv_snapshot what;
	char *request;
	int *images; /* open, what_n_disks of them; -1: not known */
	pthread_t thread;
	int running; /* the thread has to be collected */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int answered; /* under lock: libvirt is done; then r and err are valid */
	int r;
	struct err err;
};

int background_switch_new(struct hv *hv, const struct guid *vm, const struct hv_switch *disks, size_t n_disks,
			  struct background_switch **ret_switch, struct err *reterr)
{
	struct background_switch *s = xcalloc(1, sizeof(*s));
	int r;

	s->hv = hv;
	s->vm = vm;
	s->what = (struct hv_snapshot){ .disks = disks, .n_disks = n_disks };
	s->images = xcalloc(n_disks + 1, sizeof(*s->images));
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	for (size_t i = 0; i < n_disks; i++)
		s->images[i] = disks[i].image ? open(disks[i].image, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
	r = n_disks ? hv_snapshot_request(hv, vm, &s->what, &s->request, reterr) : 0;
	if (r < 0) {
		background_switch_free(s);
		return r;
	}
	s->what.request = s->request;
	*ret_switch = s;
	return 0;
}

void background_switch_free(struct background_switch *s)
{
	if (!s)
		return;
	ignore_result(background_switch_end(s, NULL));
	for (size_t i = 0; i < s->what.n_disks; i++)
		cleanup_close(&s->images[i]);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	err_done(&s->err);
	free(s->images);
	free(s->request);
	free(s);
}

static void *call_libvirt(void *arg)
{
	struct background_switch *s = arg;
	int r = hv_snapshot(s->hv, s->vm, &s->what, &s->err);

	pthread_mutex_lock(&s->lock);
	s->r = r;
	s->answered = 1;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* How many of the images QEMU writes to; negative if that is not known of all. */
static int written(const struct background_switch *s)
{
	int n = 0;

	for (size_t i = 0; i < s->what.n_disks; i++) {
		int r = s->images[i] < 0 ? -ENOENT : disk_fd_is_written(s->images[i]);

		if (r < 0)
			return r;
		n += r;
	}
	return n;
}

/* Sleeps until libvirt answers, but no longer than to the next look. Returns 1 if it has. */
static int answered(struct background_switch *s)
{
	struct timespec until;
	int done;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += STEP_NSEC;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&s->lock);
	if (!s->answered)
		pthread_cond_timedwait(&s->changed, &s->lock, &until);
	done = s->answered;
	pthread_mutex_unlock(&s->lock);
	return done;
}

int background_switch_run(struct background_switch *s, int early, struct err *reterr)
{
	if (!s->what.n_disks)
		return 0;
	if (!early || written(s) != (int)s->what.n_disks || pthread_create(&s->thread, NULL, call_libvirt, s) != 0)
		return hv_snapshot(s->hv, s->vm, &s->what, reterr);
	s->running = 1;
	while (!answered(s))
		if (written(s) == 0)
			return 1;
	return background_switch_end(s, reterr);
}

int background_switch_end(struct background_switch *s, struct err *reterr)
{
	if (!s->running)
		return 0;
	pthread_join(s->thread, NULL);
	s->running = 0;
	return s->r < 0 ? err_move(reterr, &s->err) : 0;
}
