/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a guest can be captured in the background, and huge pages for the next time. */
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/background-priv.h"
#include "daemon/background-qemu.h"
#include "daemon/collapse.h"
#include "daemon/smaps.h"
#include "daemon/unfreeze.h"

#define SINCE HV_BG_VERSION(6, 0, 0)      /* QEMU's background snapshots */
#define HARMLESS HV_BG_VERSION(8, 1, 0)   /* a failed one leaves no write protection any more */

int background_open(struct hv *hv, const struct guid *vm, struct background_guest *ret_guest, struct err *reterr)
{
	struct background_guest guest = { .hv = hv, .vm = vm, .ops = hv->ops->background };
	int r;

	if (!guest.ops)
		return err_set(reterr, ERR_REFUSED, -EOPNOTSUPP, "this hypervisor has no background captures");
	r = guest.ops->open(hv, vm, &guest.bg, reterr);
	if (!r)
		*ret_guest = guest;
	return r;
}

void background_close(struct background_guest *guest)
{
	if (guest->bg)
		guest->ops->close(guest->bg);
	guest->bg = NULL;
}

static int refuse(const struct background_guest *guest, int code, struct err *reterr, const char *why)
{
	return err_full(reterr, ERR_REFUSED, code, guest->bg->name, NULL, NULL, "%s", why);
}

/* Before 8.1 a capture that fails freezes the guest for good, unless we can free it. */
static int check_rescue(const struct background_guest *guest, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	if (guest->bg->version >= HARMLESS || guest->bg->pid <= 0)
		return 0;
	r = unfreeze_possible(guest->bg->pid, &err);
	if (!r)
		r = smaps_write_protected(guest->bg->pid, &err);
	if (r < 0)
		return err_full(reterr, ERR_REFUSED, r, guest->bg->name, NULL, "Run vmsnapd as root, or use QEMU 8.1",
				"QEMU %d.%d freezes a guest whose capture fails, and it could not be rescued: %s",
				guest->bg->version / 1000000, guest->bg->version / 1000 % 1000, err.message);
	return r == 0 ? 0
		      : refuse(guest, -EBUSY, reterr,
			       "memory of the guest is still write-protected by a capture that failed");
}

static int check_state(const struct background_guest *guest, struct err *reterr)
{
	_cleanup_(hv_bg_status_done) struct hv_bg_status status = { 0 };
	enum hv_state state;
	int r = hv_state(guest->hv, guest->vm, &state, reterr);

	if (!r)
		r = guest->ops->status(guest->bg, &status, reterr);
	if (r < 0)
		return r;
	if (background_is_under_way(&status))
		return refuse(guest, -EBUSY, reterr, "QEMU has a migration of this guest under way");
	if (state != HV_RUNNING || !status.guest_runs)
		return refuse(guest, -EOPNOTSUPP, reterr, "the guest is paused, and a capture would resume it");
	return 0;
}

/* 1 if QEMU runs as a user to whom this kernel gives no userfaultfd. */
static int is_shut_out(pid_t pid)
{
	_cleanup_free_ char *proc = xasprintf("/proc/%d", (int)pid), *allowed = NULL;
	struct stat st;

	return stat(proc, &st) == 0 && st.st_uid != 0 &&
	       file_read("/proc/sys/vm/unprivileged_userfaultfd", 16, &allowed, NULL, NULL) == 0 && allowed[0] == '0';
}

/* What QEMU says of it ("not supported by host kernel") leads the wrong way then. */
static int check_emulator(const struct background_guest *guest, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int r = guest->ops->check(guest->bg, &err);

	if (r < 0 && guest->bg->pid > 0 && is_shut_out(guest->bg->pid))
		return err_full(reterr, ERR_REFUSED, r, guest->bg->name, NULL,
				"Set it: sysctl vm.unprivileged_userfaultfd=1",
				"QEMU's user may not write-protect memory (sysctl vm.unprivileged_userfaultfd is 0)");
	return r < 0 ? err_move(reterr, &err) : 0;
}

int background_check(const struct background_guest *guest, struct err *reterr)
{
	int r = check_state(guest, reterr);

	if (!r && guest->bg->version < SINCE)
		r = refuse(guest, -EOPNOTSUPP, reterr, "QEMU is older than 6.0 and has no background captures");
	if (!r)
		r = check_rescue(guest, reterr);
	return r < 0 ? r : check_emulator(guest, reterr);
}

char *background_blocker(struct hv *hv, const struct guid *vm)
{
	_cleanup_(background_close) struct background_guest guest = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int r = background_open(hv, vm, &guest, &err);

	if (!r)
		r = background_check(&guest, &err);
	return r < 0 ? err_text(&err) : NULL;
}

int background_collapse(struct hv *hv, const struct guid *vm, int (*poll)(void *arg), void *arg, int64_t *ret_bytes,
			struct err *reterr)
{
	_cleanup_(background_close) struct background_guest guest = { 0 };
	_cleanup_(hv_bg_status_done) struct hv_bg_status status = { 0 };
	int r = background_open(hv, vm, &guest, reterr);

	if (!r)
		r = guest.ops->status(guest.bg, &status, reterr);
	if (r < 0)
		return r;
	*ret_bytes = 0;
	if (background_is_under_way(&status) || guest.bg->pid <= 0 || background_memory(hv, vm) < COLLAPSE_WORTH)
		return 0;
	return collapse_memory(guest.bg->pid, poll, arg, ret_bytes, reterr);
}
