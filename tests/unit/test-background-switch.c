/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When a guest may go on whose disks are being switched: QEMU's locks and libvirt's answer, scripted. */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include "tests/unit/layout-util.h"

#include <fcntl.h>
#include <semaphore.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/background-switch.h"

enum { N = 2 };
#define WRITE_BYTE 101 /* what QEMU locks of an image that it writes to */

static const struct guid vm = { "1D3C1E5A-7B1F-4E0C-8A55-0B7F3A2C9E02" };

/* A libvirt and its QEMU. */
static struct fake {
	struct hv hv;    /* first */
	int qemu[N];     /* the images, open */
	int lets_go;     /* of so many images */
	int waits, code; /* libvirt's answer comes when it may; 0 or negative errno */
	sem_t may_answer;
	const char *request; /* that came with the call */
} fake;

static void lock(int fd, short type)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = WRITE_BYTE, .l_len = 1 };

	assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
}

static int fake_request(struct hv *hv _unused_, const struct guid *guid _unused_, const struct hv_snapshot *what,
			char **ret_request, struct err *reterr _unused_)
{
	*ret_request = xasprintf("%zu disks", what->n_disks);
	return 0;
}

static int fake_snapshot(struct hv *hv _unused_, const struct guid *guid _unused_, const struct hv_snapshot *what,
			 struct err *reterr)
{
	fake.request = what->request ? "made before" : NULL;
	for (int i = 0; i < fake.lets_go; i++)
		lock(fake.qemu[i], F_UNLCK);
	if (fake.waits)
		while (sem_wait(&fake.may_answer) < 0)
			continue;
	return fake.code < 0 ? err_set(reterr, ERR_BACKEND, fake.code, "libvirt does not want to") : 0;
}

static const struct hv_ops fake_ops = { .snapshot = fake_snapshot, .snapshot_request = fake_request };

/* ---- the tests */

struct rig {
	char *images[N];
	struct background_switch *sw;
};

static void rig_done(struct rig *rig)
{
	background_switch_free(rig->sw);
	for (int i = 0; i < N; i++) {
		free(rig->images[i]);
		close(fake.qemu[i]);
	}
	sem_destroy(&fake.may_answer);
}

/* Of the images the first n_written are written by QEMU. */
static void rig_init(struct rig *rig, const char *dir, int n_written)
{
	struct hv_switch disks[N];

	fake = (struct fake){ .hv = { &fake_ops }, .lets_go = N };
	sem_init(&fake.may_answer, 0, 0);
	for (int i = 0; i < N; i++) {
		rig->images[i] = xasprintf("%s/%d", dir, i);
		fake.qemu[i] = open(rig->images[i], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		assert_true(fake.qemu[i] >= 0);
		if (i < n_written)
			lock(fake.qemu[i], F_WRLCK);
		disks[i] = (struct hv_switch){ "vda", "/overlay", rig->images[i] };
	}
	assert_int_equal(background_switch_new(&fake.hv, &vm, disks, N, &rig->sw, NULL), 0);
}

#define _cleanup_rig_ _cleanup_(rig_done)

static void the_guest_goes_on_when_qemu_has_switched(void **state)
{
	_cleanup_rig_ struct rig rig;

	rig_init(&rig, *state, N);
	fake.waits = 1;
	assert_int_equal(background_switch_run(rig.sw, 1, NULL), 1);
	sem_post(&fake.may_answer);
	assert_int_equal(background_switch_end(rig.sw, NULL), 0);
	assert_int_equal(background_switch_end(rig.sw, NULL), 0); /* nothing left */
	assert_string_equal(fake.request, "made before");
}

static void libvirt_fails_after_that(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_rig_ struct rig rig;

	rig_init(&rig, *state, N);
	fake.waits = 1;
	fake.code = -EIO;
	assert_int_equal(background_switch_run(rig.sw, 1, &err), 1);
	sem_post(&fake.may_answer);
	assert_int_equal(background_switch_end(rig.sw, &err), -EIO);
	assert_string_equal(err.message, "libvirt does not want to");
}

/* Nobody who gives up has to know how far it is. */
static void it_can_be_left(void **state)
{
	_cleanup_rig_ struct rig rig;

	rig_init(&rig, *state, N);
	fake.waits = 1;
	assert_int_equal(background_switch_run(rig.sw, 1, NULL), 1);
	sem_post(&fake.may_answer);
}

/* One image of two is not enough: the answer is waited for. It cannot come before the
 * locks have been seen once, as nothing else lets it come. */
static void all_disks_have_to_be_switched(void **state)
{
	_cleanup_rig_ struct rig rig;

	rig_init(&rig, *state, N);
	fake.lets_go = 1;
	assert_int_equal(background_switch_run(rig.sw, 1, NULL), 0);
}

/* What was not written before tells nothing by not being written after. */
static void without_locks_the_answer_counts(void **state)
{
	for (int early = 0; early < 2; early++) {
		_cleanup_rig_ struct rig rig;

		rig_init(&rig, *state, early ? N - 1 : N);
		assert_int_equal(background_switch_run(rig.sw, early, NULL), 0);
		assert_string_equal(fake.request, "made before");
	}
}

static void a_refusal_is_told_at_once(void **state)
{
	for (int early = 0; early < 2; early++) {
		_cleanup_err_ struct err err = ERR_INIT;
		_cleanup_rig_ struct rig rig;

		rig_init(&rig, *state, N);
		fake.lets_go = 0;
		fake.code = -EPERM;
		assert_int_equal(background_switch_run(rig.sw, early, &err), -EPERM);
		assert_string_equal(err.message, "libvirt does not want to");
		assert_int_equal(background_switch_end(rig.sw, NULL), 0);
	}
}

static void no_disks_need_no_switch(void **state _unused_)
{
	struct background_switch *sw = NULL;

	fake = (struct fake){ .hv = { &fake_ops } };
	assert_int_equal(background_switch_new(&fake.hv, &vm, NULL, 0, &sw, NULL), 0);
	assert_int_equal(background_switch_run(sw, 1, NULL), 0);
	background_switch_free(sw);
	assert_null(fake.request);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_guest_goes_on_when_qemu_has_switched, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(libvirt_fails_after_that, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(it_can_be_left, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(all_disks_have_to_be_switched, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(without_locks_the_answer_counts, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(a_refusal_is_told_at_once, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(no_disks_need_no_switch, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
