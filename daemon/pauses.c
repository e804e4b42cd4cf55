/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long guests stood still. */
#include "daemon/pauses.h"

#include <pthread.h>
#include <time.h>

#include "common/alloc.h"
#include "common/timefmt.h"

#define WAIT_MS 200

struct pause {
	struct guid vm;
	int64_t began, ended; /* monotonic us; ended 0: stands still */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct pause *list;
	size_t n;
} pauses = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static struct pause *find(const struct guid *vm)
{
	for (size_t i = 0; i < pauses.n; i++)
		if (guid_eq(&pauses.list[i].vm, vm))
			return &pauses.list[i];
	return NULL;
}

static struct pause *find_or_add(const struct guid *vm)
{
	struct pause *p = find(vm);

	if (p)
		return p;
	pauses.list = xreallocarray(pauses.list, pauses.n + 1, sizeof(*pauses.list));
	p = &pauses.list[pauses.n++];
	*p = (struct pause){ .vm = *vm };
	return p;
}

static void forget(const struct guid *vm)
{
	struct pause *p = find(vm);

	if (p)
		*p = pauses.list[--pauses.n];
}

void pauses_note(const struct guid *vm, enum hv_event event)
{
	struct pause *p;

	pthread_mutex_lock(&pauses.lock);
	if (event == HV_EVENT_PAUSED) {
		p = find_or_add(vm);
		if (!p->began || p->ended) /* else it is told once more of one that stands still already */
			p->began = time_mono_usec();
		p->ended = 0;
	} else if (event == HV_EVENT_RESUMED) {
		p = find(vm);
		if (p && !p->ended)
			p->ended = time_mono_usec();
		pthread_cond_broadcast(&pauses.changed);
	} else if (event == HV_EVENT_STOPPED || event == HV_EVENT_UNDEFINED) {
		forget(vm);
	}
	pthread_mutex_unlock(&pauses.lock);
}

int64_t pauses_last(const struct guid *vm, int64_t since)
{
	struct timespec until;
	int64_t length = -1;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += WAIT_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&pauses.lock);
	for (;;) {
		struct pause *p = find(vm);

		if (p && p->began >= since && p->ended) {
			length = p->ended - p->began;
			break;
		}
		if (pthread_cond_timedwait(&pauses.changed, &pauses.lock, &until) != 0)
			break;
	}
	pthread_mutex_unlock(&pauses.lock);
	return length;
}
