/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt's event loop on libevent, used as libvirt uses it: from any thread. */
#include "tests/unit/test-hv-util.h"

#include <libvirt/libvirt.h>
#include <semaphore.h>
#include <sys/socket.h>

#include "daemon/hv-event.h"

/* What a callback saw. */
struct seen {
	sem_t called, freed;
	int watch, events, calls, remove; /* remove: the callback removes its own watch */
	pthread_t free_thread;
};

static struct event_base *base;
static pthread_t loop_thread;

static void *run_loop(void *arg)
{
	event_base_loop(arg, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

static int start_loop(void **state)
{
	struct seen *seen = xcalloc(1, sizeof(*seen));

	*state = seen;
	sem_init(&seen->called, 0, 0);
	sem_init(&seen->freed, 0, 0);
	evthread_use_pthreads();
	base = event_base_new();
	MUST(hv_event_attach(base, &err));
	return pthread_create(&loop_thread, NULL, run_loop, base);
}

static void break_loop(void)
{
	const struct timeval now = { 0 };

	event_base_once(base, -1, EV_TIMEOUT, rig_break, base, &now);
	pthread_join(loop_thread, NULL);
}

static int stop_loop(void **state)
{
	break_loop();
	hv_event_detach();
	event_base_free(base);
	free(*state);
	return 0;
}

static int await(sem_t *sem)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_SECONDS;
	return sem_timedwait(sem, &until) == 0;
}

static void on_free(void *arg)
{
	struct seen *seen = arg;

	seen->free_thread = pthread_self();
	sem_post(&seen->freed);
}

static void on_handle(int watch, int fd, int events, void *arg)
{
	struct seen *seen = arg;
	char byte;

	if (events & VIR_EVENT_HANDLE_READABLE)
		ignore_result((int)read(fd, &byte, 1)); /* the test looks at the events */
	seen->watch = watch;
	seen->events = events;
	seen->calls++;
	if (seen->remove || (events & VIR_EVENT_HANDLE_HANGUP))
		virEventRemoveHandle(watch);
	sem_post(&seen->called);
}

static void on_timeout(int timer, void *arg)
{
	struct seen *seen = arg;

	seen->watch = timer;
	if (++seen->calls == 3)
		virEventRemoveTimeout(timer);
	sem_post(&seen->called);
}

static void make_pair(int fd[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
}

static void a_handle_is_watched_updated_and_removed(void **state)
{
	struct seen *seen = *state;
	int fd[2], watch;

	make_pair(fd);
	watch = virEventAddHandle(fd[0], VIR_EVENT_HANDLE_READABLE, on_handle, seen, on_free);
	assert_true(watch > 0);
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(write(fd[1], "x", 1), 1);
		assert_true(await(&seen->called));
		assert_int_equal(seen->watch, watch);
		assert_int_equal(seen->events, VIR_EVENT_HANDLE_READABLE);
		assert_int_equal(seen->calls, i);
	}
	virEventUpdateHandle(watch, VIR_EVENT_HANDLE_WRITABLE);
	assert_true(await(&seen->called));
	assert_int_equal(seen->events, VIR_EVENT_HANDLE_WRITABLE);
	assert_int_equal(virEventRemoveHandle(watch), 0);
	assert_true(await(&seen->freed));
	assert_true(pthread_equal(seen->free_thread, loop_thread));
	assert_int_equal(virEventRemoveHandle(watch), -1);
	close(fd[0]);
	close(fd[1]);
}

static void a_handle_that_is_off_stays_silent(void **state)
{
	struct seen *seen = *state;
	int fd[2], watch;

	make_pair(fd);
	watch = virEventAddHandle(fd[0], 0, on_handle, seen, NULL);
	assert_int_equal(write(fd[1], "x", 1), 1);
	/* two rounds of a timer: had the handle been on, it would have come before */
	assert_true(virEventAddTimeout(0, on_timeout, seen, on_free) > 0);
	assert_true(await(&seen->freed));
	assert_int_equal(seen->calls, 3);
	assert_int_not_equal(seen->watch, watch);
	virEventRemoveHandle(watch);
	close(fd[0]);
	close(fd[1]);
}

static void a_hangup_is_told(void **state)
{
	struct seen *seen = *state;
	int fd[2];

	make_pair(fd);
	assert_true(virEventAddHandle(fd[0], VIR_EVENT_HANDLE_HANGUP, on_handle, seen, on_free) > 0);
	close(fd[1]);
	assert_true(await(&seen->called));
	assert_int_equal(seen->events, VIR_EVENT_HANDLE_HANGUP);
	assert_true(await(&seen->freed));
	close(fd[0]);
}

static void a_timeout_repeats_until_removed(void **state)
{
	struct seen *seen = *state;
	int timer = virEventAddTimeout(-1, on_timeout, seen, on_free);

	assert_true(timer > 0);
	virEventUpdateTimeout(timer, 1);
	assert_true(await(&seen->freed));
	assert_int_equal(seen->calls, 3);
	assert_int_equal(virEventRemoveTimeout(timer), -1);
}

/* Adds, uses and removes handles as fast as it can. */
static void *hammer(void *arg)
{
	struct seen *seen = arg;

	for (int i = 0; i < 200; i++) {
		_cleanup_close_ int near = -1, far = -1;
		int fd[2], watch;

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
			return arg;
		near = fd[0];
		far = fd[1];
		watch = virEventAddHandle(near, VIR_EVENT_HANDLE_READABLE, on_handle, seen, on_free);
		if (write(far, "x", 1) != 1)
			return arg;
		virEventUpdateHandle(watch, VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_WRITABLE);
		if (!await(&seen->called) || virEventRemoveHandle(watch) < 0 || !await(&seen->freed))
			return arg;
	}
	return NULL;
}

static void any_thread_may_call(void **state _unused_)
{
	enum { THREADS = 4 };
	static struct seen seen[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		sem_init(&seen[i].called, 0, 0);
		sem_init(&seen[i].freed, 0, 0);
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, &seen[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
}

static void watches_outlive_their_loop(void **state)
{
	struct seen *seen = *state;
	int fd[2], gone[2], watch, removed;

	make_pair(fd);
	make_pair(gone);
	watch = virEventAddHandle(fd[0], VIR_EVENT_HANDLE_READABLE, on_handle, seen, NULL);
	removed = virEventAddHandle(gone[0], VIR_EVENT_HANDLE_READABLE, on_handle, seen, on_free);
	break_loop();
	hv_event_detach();
	event_base_free(base);
	/* libvirt goes on calling while there is no loop */
	assert_int_equal(virEventRemoveHandle(removed), 0);
	virEventUpdateHandle(watch, VIR_EVENT_HANDLE_READABLE);
	assert_int_equal(write(fd[1], "x", 1), 1);
	base = event_base_new();
	MUST(hv_event_attach(base, &err));
	assert_int_equal(hv_event_attach(base, NULL), -EBUSY);
	assert_int_equal(pthread_create(&loop_thread, NULL, run_loop, base), 0);
	assert_true(await(&seen->called));
	assert_int_equal(seen->watch, watch);
	assert_true(await(&seen->freed));
	virEventRemoveHandle(watch);
	for (int i = 0; i < 2; i++) {
		close(fd[i]);
		close(gone[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_handle_is_watched_updated_and_removed, start_loop, stop_loop),
		cmocka_unit_test_setup_teardown(a_handle_that_is_off_stays_silent, start_loop, stop_loop),
		cmocka_unit_test_setup_teardown(a_hangup_is_told, start_loop, stop_loop),
		cmocka_unit_test_setup_teardown(a_timeout_repeats_until_removed, start_loop, stop_loop),
		cmocka_unit_test_setup_teardown(any_thread_may_call, start_loop, stop_loop),
		cmocka_unit_test_setup_teardown(watches_outlive_their_loop, start_loop, stop_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
