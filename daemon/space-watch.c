/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Watching free space. */
#include "daemon/space-watch.h"

#include <pthread.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "daemon/hv.h"
#include "daemon/loop.h"
#include "daemon/options.h"
#include "daemon/worker.h"
#include "layout/store.h"
#include "xmlcfg/config.h"

#define LOOK_SECONDS 10
#define LOOK_NEAR_SECONDS 2
#define RESERVE_AT (INT64_C(32) << 20) /* bytes free */
#define PATIENCE_SECONDS 2 /* for a look that is under way */

/* The disks that a VM writes, as they stand in its document of that stamp. */
struct images {
	struct guid vm;
	int64_t stamp;
	char **paths;
};

struct space_listener {
	void (*fn)(void *arg, const struct space_state *state);
	void *arg;
	struct space_listener *next;
};

struct space_watch {
	struct daemon *daemon;
	pthread_mutex_t lock;
	pthread_cond_t looked;
	int looking;                /* somebody does; `images` is theirs */
	struct space_states states;
	struct images *images;
	size_t n_images;
	/* main loop's thread only */
	struct event *timer;
	int under_way, again;
	int running; /* a VM runs, as far as is known; the worker's while one is under way */
	struct space_listener *listeners;
};

/* ---- one look */

static void images_free(struct images *images, size_t n)
{
	for (size_t i = 0; i < n; i++)
		strv_free(images[i].paths);
	free(images);
}

static char **read_paths(const struct index_vm *vm)
{
	_cleanup_vmdir_ struct vmdir *dir = vmdir_new(vm->root, &vm->guid);
	_cleanup_free_ char *path = vmdir_config(dir);
	_cleanup_config_ struct config *cfg = NULL;
	char **paths = NULL;

	if (config_read(path, &cfg, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < cfg->n_disks; i++)
		strv_push(&paths, vmdir_resolve(dir, cfg->disks[i].pathname));
	return paths;
}

/* Documents are read again only when they changed. */
static void refresh_images(struct space_watch *w, const struct index_vm *vms, size_t n)
{
	struct images *images = xcalloc(n + 1, sizeof(*images));

	for (size_t i = 0; i < n; i++) {
		struct images *old = NULL;

		for (size_t k = 0; k < w->n_images; k++)
			if (guid_eq(&w->images[k].vm, &vms[i].guid) && w->images[k].stamp == vms[i].stamp)
				old = &w->images[k];
		images[i] = (struct images){ .vm = vms[i].guid, .stamp = vms[i].stamp };
		images[i].paths = old ? TAKE_PTR(old->paths) : read_paths(&vms[i]);
	}
	images_free(w->images, w->n_images);
	w->images = images;
	w->n_images = n;
}

/* Block devices have the size they have, and what cannot be written to does not fill up. */
static void see(struct space_state **seen, size_t *n, const char *path)
{
	struct space_state state = { 0 };
	struct statvfs vfs;
	struct stat st;

	if (stat(path, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return;
	for (size_t i = 0; i < *n; i++)
		if ((*seen)[i].dev == (uint64_t)st.st_dev)
			return;
	if (statvfs(path, &vfs) < 0 || vfs.f_blocks == 0 || (vfs.f_flag & ST_RDONLY))
		return;
	state.dev = (uint64_t)st.st_dev;
	state.path = S_ISDIR(st.st_mode) ? xstrdup(path) : path_dirname(path);
	state.free = (int64_t)vfs.f_bavail * (int64_t)vfs.f_frsize;
	state.total = (int64_t)vfs.f_blocks * (int64_t)vfs.f_frsize;
	*seen = xreallocarray(*seen, *n + 1, sizeof(**seen));
	(*seen)[(*n)++] = state;
}

/* What a deletion on a full disk used is put aside again when there is plenty. */
static void keep_reserve(const char *store, const struct space_state *seen, size_t n)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (n && seen[0].free >= RESERVE_AT && store_reserve_make(store, &err) < 0)
		log_debug("%s", err.message);
}

static void flush(void *arg);

static void look(struct space_watch *w)
{
	const struct options *o = w->daemon->options;
	struct space_state *seen = NULL;
	struct index_vm *vms = NULL;
	size_t n_seen = 0, n_vms = 0;

	if (catalog_vms(w->daemon->catalog, &vms, &n_vms, NULL) < 0)
		n_vms = 0;
	refresh_images(w, vms, n_vms);
	see(&seen, &n_seen, catalog_store(w->daemon->catalog));
	keep_reserve(catalog_store(w->daemon->catalog), seen, n_seen);
	for (size_t i = 0; i < w->n_images; i++)
		for (size_t k = 0; w->images[i].paths && w->images[i].paths[k]; k++)
			see(&seen, &n_seen, w->images[i].paths[k]);
	index_vms_free(vms, n_vms);
	pthread_mutex_lock(&w->lock);
	space_states_update(&w->states, &o->space_warning, &o->space_critical, seen, n_seen);
	pthread_mutex_unlock(&w->lock);
	space_states_free(seen, n_seen);
	loop_post(flush, w);
}

/* Waits for a look that is under way. Returns 1 if the next one is the caller's. */
static int begin_look(struct space_watch *w)
{
	struct timespec until;
	int r = 0, mine;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PATIENCE_SECONDS;
	pthread_mutex_lock(&w->lock);
	while (w->looking && r == 0)
		r = pthread_cond_timedwait(&w->looked, &w->lock, &until);
	mine = !w->looking;
	if (mine)
		w->looking = 1;
	pthread_mutex_unlock(&w->lock);
	return mine;
}

static void look_in_turn(struct space_watch *w)
{
	if (!begin_look(w))
		return;
	look(w);
	pthread_mutex_lock(&w->lock);
	w->looking = 0;
	pthread_cond_broadcast(&w->looked);
	pthread_mutex_unlock(&w->lock);
}

static struct space_state *copy_states(struct space_watch *w, size_t *ret_n)
{
	struct space_state *copy;

	pthread_mutex_lock(&w->lock);
	*ret_n = w->states.n_known;
	copy = xcalloc(*ret_n + 1, sizeof(*copy));
	for (size_t i = 0; i < *ret_n; i++) {
		copy[i] = w->states.known[i];
		copy[i].path = xstrdup(copy[i].path);
	}
	pthread_mutex_unlock(&w->lock);
	return copy;
}

void space_watch_look(struct space_watch *w, struct space_state **ret_states, size_t *ret_n)
{
	*ret_states = NULL;
	*ret_n = 0;
	if (!w)
		return;
	look_in_turn(w);
	*ret_states = copy_states(w, ret_n);
}

/* ---- again and again: main loop's thread */

/* A listener may end itself, and no other, while it is told. */
static void flush(void *arg)
{
	struct space_watch *w = arg;
	struct space_states told;

	pthread_mutex_lock(&w->lock);
	told = (struct space_states){ .changed = w->states.changed, .n_changed = w->states.n_changed };
	w->states.changed = NULL;
	w->states.n_changed = 0;
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < told.n_changed; i++)
		for (struct space_listener *l = w->listeners, *next; l; l = next) {
			next = l->next;
			l->fn(l->arg, &told.changed[i]);
		}
	space_states_done(&told);
}

/* Seconds until the next look; 0: there is no reason for one. */
static int next_look(struct space_watch *w)
{
	int near = 0;

	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->states.n_known && !near; i++) {
		const struct space_state *s = &w->states.known[i];

		near = space_is_near(s->warning, s->critical, s->free, s->level);
	}
	pthread_mutex_unlock(&w->lock);
	return !w->running && !w->listeners ? 0 : near ? LOOK_NEAR_SECONDS : LOOK_SECONDS;
}

/* 1 if one of these VMs runs; an unreachable hypervisor leaves it at what it was. */
static int one_runs(struct space_watch *w, const struct index_vm *vms, size_t n_vms)
{
	struct hv_domain *domains = NULL;
	size_t n = 0;
	int found = 0;

	if (!hv_is_up(w->daemon->hv) || hv_list(w->daemon->hv, &domains, &n, NULL) < 0)
		return w->running;
	for (size_t i = 0; i < n && !found; i++)
		for (size_t k = 0; k < n_vms && !found; k++)
			found = guid_eq(&domains[i].guid, &vms[k].guid) && domains[i].state != HV_OFF &&
				domains[i].state != HV_ABSENT;
	hv_domains_free(domains, n);
	return found;
}

/* A hypervisor that does not answer holds up nobody but this. */
static void look_work(void *arg)
{
	struct space_watch *w = arg;
	struct index_vm *vms = NULL;
	size_t n = 0;

	look_in_turn(w);
	if (catalog_vms(w->daemon->catalog, &vms, &n, NULL) < 0)
		n = 0;
	w->running = one_runs(w, vms, n);
	index_vms_free(vms, n);
}

static void look_done(void *arg)
{
	struct space_watch *w = arg;
	int seconds = next_look(w);

	w->under_way = 0;
	if (w->again)
		space_watch_kick(w);
	else if (seconds)
		evtimer_add(w->timer, &(struct timeval){ .tv_sec = seconds });
}

void space_watch_kick(struct space_watch *w)
{
	if (!w)
		return;
	w->again = w->under_way;
	if (w->under_way)
		return;
	w->under_way = 1;
	evtimer_del(w->timer);
	worker_run(w->daemon->quick, look_work, look_done, w);
}

static void on_timer(evutil_socket_t fd _unused_, short what _unused_, void *arg)
{
	space_watch_kick(arg);
}

struct space_listener *space_watch_listen(struct space_watch *w, void (*fn)(void *arg, const struct space_state *state),
					  void *arg)
{
	struct space_listener *l = xcalloc(1, sizeof(*l));

	flush(w); /* what is not told yet is in what is known */
	*l = (struct space_listener){ .fn = fn, .arg = arg, .next = w->listeners };
	w->listeners = l;
	return l;
}

void space_watch_tell(struct space_watch *w, struct space_listener *listener)
{
	size_t n;
	struct space_state *states = copy_states(w, &n);

	for (size_t i = 0; i < n; i++)
		listener->fn(listener->arg, &states[i]);
	space_states_free(states, n);
	space_watch_kick(w);
}

void space_watch_end(struct space_watch *w, struct space_listener *listener)
{
	for (struct space_listener **at = &w->listeners; *at; at = &(*at)->next) {
		if (*at != listener)
			continue;
		*at = listener->next;
		break;
	}
	free(listener);
}

int space_watch_new(struct daemon *daemon, struct space_watch **ret_watch, struct err *reterr)
{
	struct space_watch *w = xcalloc(1, sizeof(*w));
	pthread_condattr_t attr;

	w->daemon = daemon;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->looked, &attr);
	pthread_condattr_destroy(&attr);
	w->timer = evtimer_new(loop_base(), on_timer, w);
	if (w->timer) {
		*ret_watch = w;
		return 0;
	}
	space_watch_free(w);
	return err_set(reterr, ERR_FAILED, -ENOMEM, "cannot make a timer");
}

void space_watch_free(struct space_watch *w)
{
	if (!w)
		return;
	if (w->timer)
		event_free(w->timer);
	space_states_done(&w->states);
	images_free(w->images, w->n_images);
	while (w->listeners)
		space_watch_end(w, w->listeners);
	pthread_cond_destroy(&w->looked);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
