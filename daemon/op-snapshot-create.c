/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking a snapshot: the steps, in the order of the Hyper-V text. */
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/daemon.h"
#include "daemon/firmware.h"
#include "daemon/memory.h"
#include "daemon/op-capture.h"
#include "daemon/op-disks.h"
#include "daemon/op-snapshot.h"
#include "layout/image.h"
#include "xmlcfg/domain.h"

static char *snap_dir(const struct op *op)
{
	struct guid snap = op_guid(op, "snapshot");

	return vmdir_snapshot_dir(op->m->dir, &snap);
}

static char *snap_document(const struct op *op)
{
	struct guid snap = op_guid(op, "snapshot");

	return vmdir_snapshot_config(op->m->dir, &snap);
}

static int dirs_run(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *avhds = vmdir_avhd_dir(op->m->dir), *dir = snap_dir(op);
	int r = dir_make(avhds, VMDIR_MODE, reterr);

	return r < 0 ? r : dir_make(dir, 0700, reterr);
}

static int dirs_undo(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *dir = snap_dir(op);

	return dir_remove(dir, reterr);
}

/* A saved VM: its save state becomes the snapshot's too. */
static int capture_saved(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *to = capture_file(op, "");
	int r = memory_verify(op->m, op->m->cfg, op->job, reterr);

	return r < 0 ? r : memory_link(op->m, op->m->cfg, to, reterr);
}

static int capture_run(struct op *op, struct err *reterr)
{
	struct guid snap = op_guid(op, "snapshot");
	int r;

	if (capture_was_active(op)) {
		r = op_capture_running(op, reterr);
		if (r == -ENOSPC || r == -EDQUOT)
			intent_set(op->intent, "full", "1");
		return r;
	}
	r = firmware_copy(op->m, &snap, reterr);
	if (!r && capture_was(op, "saved") && capture_has_memory(op))
		r = capture_saved(op, reterr);
	return r;
}

static int remove_memory(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *path = capture_file(op, "");
	struct guid snap = op_guid(op, "snapshot");
	int r = memory_drop_pipe(op->m, reterr);

	if (!r)
		r = op_capture_forget(op, reterr);
	if (!r)
		r = memory_remove(path, reterr);
	return r < 0 ? r : firmware_remove_copies(op->m, &snap, reterr);
}

/* libvirt thaws what it froze for a call of ours, unless it died within it. */
static void thaw_guest(struct op *op)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (hv_thaw(op->daemon->hv, &op->m->dir->guid, &err) < 0)
		job_warn(op->job, "the file systems of VM '%s' may still be frozen: %s; try 'virsh domfsthaw'",
			 op->m->cfg->name, err.message);
}

/* A guest that we paused or froze, or that libvirt paused for a call of ours which died. */
static int resume_guest(struct op *op, struct err *reterr)
{
	int r = machine_wait_idle(op->m, reterr);

	if (!r && capture_was(op, "running") && op->m->state == HV_PAUSED)
		r = hv_resume(op->daemon->hv, &op->m->dir->guid, reterr);
	if (!r && op->recovering && op_flag(op, "quiesce") && machine_is_active(op->m))
		thaw_guest(op);
	return r;
}

/* A write that is about to fail stops the guest a moment after libvirt has said that it runs. Once it was
 * stopped by us, all writes of before have come to their end. */
static void let_writes_end(struct op *op)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (machine_wait_idle(op->m, &err) == 0 && op->m->state == HV_RUNNING &&
	    hv_suspend(op->daemon->hv, &op->m->dir->guid, &err) < 0)
		log_debug("VM %s: %s", op->m->dir->guid.s, err.message); /* it has ended */
}

/* Removes what there is of the memory. A guest whose own writes found no room beside it was
 * stopped by the hypervisor, and goes on now. */
static int make_room(struct op *op, struct err *reterr)
{
	int r = remove_memory(op, reterr);

	if (r < 0 || !capture_was_active(op))
		return r;
	if (op_flag(op, "full") && capture_was(op, "running") && !op->recovering)
		let_writes_end(op);
	return resume_guest(op, reterr);
}

static int capture_undo(struct op *op, struct err *reterr)
{
	int r = capture_was_active(op) ? machine_wait_idle(op->m, reterr) : 0;

	if (!r && capture_was_active(op) && machine_is_active(op->m) && (op->recovering || op_disks_held(op)))
		r = op_disks_forget(op, reterr);
	if (!r && capture_was_active(op))
		r = resume_guest(op, reterr);
	return r < 0 ? r : make_room(op, reterr);
}

static int seal_run(struct op *op, struct err *reterr)
{
	struct stamp stamp;
	int r = 0;

	for (int i = 0; !r && i < op_disks_count(op); i++) {
		_cleanup_free_ char *old = op_disks_path(op, i, "old");

		r = disk_seal(old, vmdir_contains(op->m->dir, old), &stamp, reterr);
	}
	return r;
}

static int seal_undo(struct op *op, struct err *reterr)
{
	struct stat st;
	int r = 0;

	for (int i = 0; !r && i < op_disks_count(op); i++) {
		_cleanup_free_ char *old = op_disks_path(op, i, "old");

		/* one that was not sealed yet keeps the mode that the admin gave it */
		if (vmdir_contains(op->m->dir, old) && stat(old, &st) == 0 && (st.st_mode & 07777) == SEALED_MODE)
			r = disk_unseal(old, reterr);
	}
	return r;
}

static void describe_capture(struct op *op, struct config *snap)
{
	cleanup_free(&snap->capture.mode);
	snap->capture.mode = xstrdup(intent_get(op->intent, "mode"));
	xstrset(&snap->capture.reason, intent_get(op->intent, "reason"));
	snap->capture.pause_usec = op_int(op, "pause", -1);
	xstrset(&snap->capture.level, !capture_mode_is(op, "disk-only") ? NULL : op_flag(op, "quiesce") ? "quiesced" : "crash");
}

static int describe_disks(struct op *op, struct config *snap, struct err *reterr)
{
	int r = 0;

	for (int i = 0; !r && i < op_disks_count(op); i++) {
		struct config_disk *disk = config_find_disk(snap, intent_getf(op->intent, "disk.%d.target", i));
		_cleanup_free_ char *old = op_disks_path(op, i, "old");

		if (!disk)
			continue;
		xstrset(&disk->pathname, intent_getf(op->intent, "disk.%d.old", i));
		xstrset(&disk->format, intent_getf(op->intent, "disk.%d.format", i));
		disk->sealed = 1;
		r = stamp_take(old, &disk->seal, reterr);
	}
	return r;
}

/* The copy of the configuration under the snapshot's GUID. */
static int document_run(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *memory = capture_file(op, ""), *path = snap_document(op);
	_cleanup_config_ struct config *snap = config_copy(op->m->cfg);
	_cleanup_free_ char *dir = snap_dir(op);
	int r;

	if (op->failed)
		return 0;
	snap->kind = CONFIG_SNAPSHOT;
	snap->guid = op_guid(op, "snapshot");
	snap->vm_guid = op->m->dir->guid;
	xstrset(&snap->name, intent_get(op->intent, "name"));
	xstrset(&snap->notes, intent_get(op->intent, "notes"));
	snap->created_usec = op_int(op, "created", 0);
	config_clear_state(snap);
	describe_capture(op, snap);
	firmware_describe(op->m, snap);
	r = describe_disks(op, snap, reterr);
	if (!r && capture_has_memory(op))
		r = memory_describe(op->m, memory, snap, reterr);
	if (!r)
		r = memory_drop_pipe(op->m, reterr);
	if (!r)
		r = op_capture_forget(op, reterr);
	if (!r)
		r = path_fsync(dir, reterr);
	return r < 0 ? r : config_write(snap, path, reterr);
}

static int document_undo(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *path = snap_document(op);

	return file_remove(path, reterr);
}

static int commit_run(struct op *op, struct err *reterr)
{
	int r = 0;

	op_disks_point(op, op->m->cfg);
	if (!op->failed)
		op->m->cfg->parent = op_guid(op, "snapshot");
	if (machine_is_saved(op->m)) /* the save state now belongs to the new working disks */
		r = machine_stamp_disks(op->m, reterr);
	return r < 0 ? r : machine_commit(op->m, reterr);
}

/* libvirt has moved a running domain's definition along already. A VM that was off
 * and that somebody started just now runs on its old disks: decide() takes it back. */
static int define_run(struct op *op, struct err *reterr)
{
	int r = capture_was_active(op) ? resume_guest(op, reterr) : machine_refresh(op->m, reterr);

	if (!r && !capture_was_active(op) && machine_is_active(op->m)) {
		r = op_disks_in_use(op, reterr);
		if (r == 0)
			return err_full(reterr, ERR_FAILED, -EBUSY, op->m->cfg->name, NULL, "Take the snapshot again",
					"VM '%s' was started by somebody else while its snapshot was taken",
					op->m->cfg->name);
	}
	if (!r && capture_was_active(op))
		r = machine_is_defined_on(op->m, op->m->cfg, reterr);
	return r != 0 ? (r < 0 ? r : 0) : machine_define(op->m, 0, reterr);
}

/* A snapshot that failed after the disks were switched: what it left is removed;
 * its sealed disks stay, hidden, under the working ones. */
static int drop_run(struct op *op, struct err *reterr)
{
	int r;

	if (!op->failed)
		return 0;
	r = document_undo(op, reterr);
	if (!r)
		r = make_room(op, reterr);
	return r < 0 ? r : dirs_undo(op, reterr);
}

enum { DIRS, OVERLAYS, CAPTURE, SEAL, DOCUMENT, COMMIT, DEFINE, DROP };

static const struct op_step steps[] = {
	[DIRS] = { "dirs", "preparing", dirs_run, dirs_undo,
		   "perhaps empty directories; they are removed", 1 },
	[OVERLAYS] = { "overlays", "making working disks", op_disks_make, op_disks_remove,
		       "overlays that nothing uses; they are removed", 1 },
	[CAPTURE] = { "capture", "taking the state", capture_run, capture_undo,
		      "the domain tells whether the disks were switched: if not, all is removed and a guest paused by "
		      "us goes on; if so, the snapshot is completed when its memory is whole, else dropped; a QEMU that "
		      "switched without libvirt's knowing is put back on the old disks", 1 },
	[SEAL] = { "seal", "sealing disks", seal_run, seal_undo,
		   "old disks perhaps read-only; made writable again, or sealed again", 0 },
	[DOCUMENT] = { "document", "writing the snapshot", document_run, document_undo,
		       "perhaps the snapshot's document; removed (disks not switched) or written again", 0 },
	[COMMIT] = { "commit", "committing", commit_run, NULL,
		     "the VM's document is the old one or the new one; the new one means forward", 0 },
	[DEFINE] = { "define", "updating the domain", define_run, NULL,
		     "the domain may name the old disks (VM off); it is defined again", 0 },
	[DROP] = { "drop", "cleaning up", drop_run, NULL,
		   "files of a dropped snapshot; they are removed", 0 },
};

/* 1 if the old disks of a VM that was off were written after the commit: it was
 * started before the domain was told of the new ones. */
static int old_disks_written(struct op *op, const struct config *snap, struct err *reterr)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int r = op->m->state == HV_ABSENT ? 1 : op_disks_in_use(op, reterr);

	if (r != 0)
		return r < 0 ? r : 0;
	if (machine_is_active(op->m))
		return 1;
	for (size_t i = 0; !r && i < snap->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(op->m, &snap->disks[i]);

		r = stamp_check(path, &snap->disks[i].seal, &err);
	}
	return r == -ESTALE ? 1 : r < 0 ? err_move(reterr, &err) : 0;
}

/* Puts the configuration back on the disks that the VM was started on. A save state
 * of its own keeps the stamps of before: it will be found not to fit any more. */
static int take_commit_back(struct op *op, const struct config *snap, struct err *reterr)
{
	struct config *cfg = op->m->cfg;

	for (size_t i = 0; i < snap->n_disks; i++) {
		struct config_disk *disk = config_find_disk(cfg, snap->disks[i].target);

		if (!disk)
			continue;
		xstrset(&disk->pathname, snap->disks[i].pathname);
		xstrset(&disk->format, snap->disks[i].format);
		disk->seal = snap->disks[i].seal;
		disk->sealed = machine_is_saved(op->m);
	}
	cfg->parent = snap->parent;
	job_warn(op->job, "VM '%s' was started by somebody else before its snapshot was complete; the snapshot is "
			  "dropped",
		 cfg->name);
	return machine_commit(op->m, reterr);
}

/* After the commit: forward, unless the snapshot's disks are not what they were. */
static int decide_committed(struct op *op, struct op_way *ret_way, struct err *reterr)
{
	_cleanup_config_ struct config *snap = NULL;
	struct guid guid = op_guid(op, "snapshot");
	int r = 0;

	ret_way->forward = 1;
	ret_way->from = DEFINE;
	ret_way->failed = !guid_eq(&op->m->cfg->parent, &guid);
	if (capture_was_active(op) || ret_way->failed)
		return 0;
	r = machine_snapshot(op->m, &guid, &snap, reterr);
	if (!r)
		r = old_disks_written(op, snap, reterr);
	if (r <= 0)
		return r;
	ret_way->forward = 0;
	return take_commit_back(op, snap, reterr);
}

/* libvirt died right after QEMU's switch, or in the middle of preparing it, and names
 * the old disks: QEMU goes back to them, so that both agree again. The record says so
 * before the guest may write to them: from there on the overlays are stale. */
static int back_to_known_disks(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *record = vmdir_intent(op->m->dir);
	int r = op_disks_take_back(op, reterr);

	if (r < 0)
		err_hint(reterr, "Try again in a moment; if this does not change, shut the guest down");
	if (r <= 0)
		return r;
	intent_set(op->intent, "back", "1");
	return intent_write(op->intent, record, reterr);
}

/* 1 if the guest is on the overlays: libvirt says so, or it wrote to them and has
 * ended or was undefined since. */
static int switched(struct op *op, int *ret_known, struct err *reterr)
{
	int r = op_disks_in_use(op, reterr);

	*ret_known = r > 0;
	if (r != 0)
		return r;
	if (machine_is_active(op->m) && (op->recovering || op_disks_held(op)))
		r = back_to_known_disks(op, reterr);
	return r < 0 || op_flag(op, "back") ? r : op_disks_written(op, reterr);
}

/* libvirt died between its notes of the running domain and of the definition: that
 * still names the old disks, with whatever the admin edited in it. */
static int move_definition(struct op *op, struct err *reterr)
{
	_cleanup_free_ char *xml = NULL, *moved = NULL;
	int r = machine_is_defined_on(op->m, op->m->cfg, reterr);

	op_disks_point(op, op->m->cfg);
	if (r <= 0)
		return r;
	r = hv_xml(op->daemon->hv, &op->m->dir->guid, HV_XML_INACTIVE, &xml, reterr);
	if (!r)
		r = machine_point_xml(op->m, op->m->cfg, xml, &moved, reterr);
	return r < 0 ? r : hv_define(op->daemon->hv, moved, reterr);
}

/* Edits of the domain since the configuration was written belong to the snapshot. */
static int take_switched(struct op *op, struct err *reterr)
{
	int r = move_definition(op, reterr);

	return r < 0 ? r : machine_take_domain(op->m, reterr);
}

/* Committed, or the guest writes to the overlays already (which nobody can take
 * back): forward. Else back. */
static int decide(struct op *op, struct op_way *ret_way, struct err *reterr)
{
	_cleanup_free_ char *memory = capture_file(op, "");
	int known = 0, r;

	if (op_disks_are_in(op, op->m->cfg))
		return decide_committed(op, ret_way, reterr);
	if (!capture_was_active(op) || op_flag(op, "back"))
		return 0;
	r = op->recovering || capture_mode_is(op, "background") ? op_capture_put_right(op, reterr) : 0;
	if (!r)
		r = machine_wait_idle(op->m, reterr);
	if (!r)
		r = switched(op, &known, reterr);
	if (r <= 0)
		return r;
	r = known ? take_switched(op, reterr) : 0;
	if (r < 0)
		return r;
	op_disks_point(op, op->m->cfg);
	ret_way->forward = 1;
	ret_way->from = SEAL;
	ret_way->failed = capture_has_memory(op) && (op_flag(op, "torn") || !memory_is_whole(memory));
	return 0;
}

const struct op_kind op_snapshot_create = {
	.name = "snapshot-create",
	.steps = steps,
	.n_steps = ARRAY_SIZE(steps),
	.decide = decide,
};
