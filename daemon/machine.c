/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One VM: opening, state, snapshots, disks and their seals. */
#include "daemon/machine.h"

#include <string.h>
#include <time.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/daemon.h"
#include "layout/chain.h"
#include "layout/image.h"

int machine_open(struct daemon *daemon, const struct vmdir *dir, int may_lack_config, struct machine **ret_m,
		 struct err *reterr)
{
	_cleanup_machine_ struct machine *m = xcalloc(1, sizeof(*m));
	_cleanup_free_ char *path = vmdir_config(dir);
	int r;

	m->daemon = daemon;
	m->dir = vmdir_copy(dir);
	r = may_lack_config ? path_exists(path) : 1;
	if (r != 0)
		r = config_read(path, &m->cfg, reterr);
	if (r < 0)
		return r;
	if (m->cfg && (m->cfg->kind != CONFIG_VM || !guid_eq(&m->cfg->guid, &dir->guid)))
		return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, path,
				"Restore the file from a backup of the VM directory",
				"'%s' is not the configuration of VM %s", path, dir->guid.s);
	r = machine_refresh(m, reterr);
	if (r < 0)
		return r;
	*ret_m = TAKE_PTR(m);
	return 0;
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	vmdir_free(m->dir);
	config_free(m->cfg);
	strv_free(m->notes);
	cleanup_free(&m);
}

int machine_is_active(const struct machine *m)
{
	return m->state == HV_RUNNING || m->state == HV_PAUSED || m->state == HV_STOPPING;
}

int machine_is_saved(const struct machine *m)
{
	return m->cfg && m->cfg->state.vsv != NULL;
}

int machine_refresh(struct machine *m, struct err *reterr)
{
	return hv_state(m->daemon->hv, &m->dir->guid, &m->state, reterr);
}

char *machine_disk_path(const struct machine *m, const struct config_disk *disk)
{
	return vmdir_resolve(m->dir, disk->pathname);
}

int machine_snapshot(const struct machine *m, const struct guid *snap, struct config **ret_cfg, struct err *reterr)
{
	_cleanup_free_ char *path = vmdir_snapshot_config(m->dir, snap);
	_cleanup_config_ struct config *cfg = NULL;
	int r = config_read(path, &cfg, reterr);

	if (r < 0)
		return r;
	if (cfg->kind != CONFIG_SNAPSHOT || !guid_eq(&cfg->guid, snap) || !guid_eq(&cfg->vm_guid, &m->dir->guid))
		return err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, path,
				"Restore the file from a backup of the VM directory",
				"'%s' is not the configuration of snapshot %s of this VM", path, snap->s);
	*ret_cfg = TAKE_PTR(cfg);
	return 0;
}

int machine_snapshots(const struct machine *m, struct config ***ret_cfgs, size_t *ret_n, size_t *ret_unreadable,
		      struct err *reterr)
{
	_cleanup_free_ struct guid *guids = NULL;
	struct config **cfgs;
	size_t n = 0, count = 0;
	int r = vmdir_list_snapshots(m->dir, &guids, &n, reterr);

	if (r < 0)
		return r;
	cfgs = xcalloc(n + 1, sizeof(*cfgs));
	for (size_t i = 0; i < n && !r; i++) {
		r = machine_snapshot(m, &guids[i], &cfgs[count], ret_unreadable ? NULL : reterr);
		count += !r;
		if (ret_unreadable)
			r = 0;
	}
	if (r < 0) {
		machine_snapshots_free(cfgs, count);
		return r;
	}
	if (ret_unreadable)
		*ret_unreadable = n - count;
	*ret_cfgs = cfgs;
	*ret_n = count;
	return 0;
}

void machine_snapshots_free(struct config **cfgs, size_t n)
{
	for (size_t i = 0; cfgs && i < n; i++)
		config_free(cfgs[i]);
	cleanup_free(&cfgs);
}

/* The seal that a snapshot recorded for path, or NULL. */
static const struct stamp *find_seal(const struct machine *m, struct config *const *snaps, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < snaps[i]->n_disks; k++) {
			_cleanup_free_ char *disk = machine_disk_path(m, &snaps[i]->disks[k]);

			if (snaps[i]->disks[k].sealed && strcmp(disk, path) == 0)
				return &snaps[i]->disks[k].seal;
		}
	}
	return NULL;
}

static int check_disk(const struct machine *m, const struct config_disk *disk, struct config *const *snaps, size_t n,
		      struct err *reterr)
{
	_cleanup_free_ char *path = machine_disk_path(m, disk);
	struct chain chain = { NULL, 0 };
	int r = chain_read(path, disk->format, &chain, reterr);

	for (size_t i = 0; !r && i < chain.n; i++) {
		const struct stamp *seal = find_seal(m, snaps, n, chain.image[i].path);

		if (seal)
			r = stamp_check(chain.image[i].path, seal, reterr);
	}
	chain_done(&chain);
	if (r < 0) {
		err_prefix(reterr, "disk '%s' of VM '%s' cannot be used", disk->target,
			   m->cfg ? m->cfg->name : m->dir->guid.s);
		err_set_vm(reterr, m->cfg ? m->cfg->name : NULL);
	}
	return r;
}

int machine_check_disks(const struct machine *m, const struct config *cfg, struct err *reterr)
{
	struct config **snaps;
	size_t n, unreadable; /* a damaged document elsewhere in the tree is no reason to refuse */
	int r = machine_snapshots(m, &snaps, &n, &unreadable, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; i < cfg->n_disks && !r; i++)
		r = check_disk(m, &cfg->disks[i], snaps, n, reterr);
	machine_snapshots_free(snaps, n);
	return r;
}

int machine_refuse_written(const struct machine *m, struct err *reterr)
{
	for (size_t i = 0; !machine_is_active(m) && i < m->cfg->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(m, &m->cfg->disks[i]);

		if (disk_is_written(path))
			return err_full(reterr, ERR_REFUSED, -EBUSY, m->cfg->name, path,
					"The guest may run on another host, or a program has the disk open: end that first",
					"VM '%s' is off here, but somebody writes to its disk '%s'", m->cfg->name,
					m->cfg->disks[i].target);
	}
	return 0;
}

int machine_stamp_disks(struct machine *m, struct err *reterr)
{
	int r = 0;

	for (size_t i = 0; i < m->cfg->n_disks && !r; i++) {
		_cleanup_free_ char *path = machine_disk_path(m, &m->cfg->disks[i]);

		r = stamp_take(path, &m->cfg->disks[i].seal, reterr);
		m->cfg->disks[i].sealed = !r;
	}
	return r;
}

int machine_check_stamps(const struct machine *m, struct err *reterr)
{
	int r = 0;

	for (size_t i = 0; i < m->cfg->n_disks && !r; i++) {
		_cleanup_free_ char *path = machine_disk_path(m, &m->cfg->disks[i]);

		if (m->cfg->disks[i].sealed)
			r = stamp_check(path, &m->cfg->disks[i].seal, reterr);
	}
	if (r == -ESTALE)
		err_prefix(reterr, "VM '%s' was used since it was saved, its save state does not fit its disks any more",
			   m->cfg->name);
	return r;
}

int machine_commit(struct machine *m, struct err *reterr)
{
	_cleanup_free_ char *path = vmdir_config(m->dir);

	return config_write(m->cfg, path, reterr);
}

int machine_refuse_foreign(struct machine *m, struct err *reterr)
{
	struct hv_foreign f = { 0 };
	const char *vm = m->cfg->name;
	_cleanup_free_ char *names = NULL;
	int r;

	if (m->state == HV_ABSENT)
		return 0;
	r = hv_foreign(m->daemon->hv, &m->dir->guid, &f, reterr);
	if (r < 0)
		return r;
	if (f.managed_save)
		r = err_full(reterr, ERR_REFUSED, -EBUSY, vm, NULL,
			     "Start it ('virsh start') or drop that state ('virsh managedsave-remove') first",
			     "VM '%s' has a managed save of libvirt, which belongs to its present disks", vm);
	else if (f.job)
		r = err_full(reterr, ERR_REFUSED, -EBUSY, vm, NULL, "Let it end, or stop it with 'virsh domjobabort'",
			     "a job of somebody else is under way in the domain of VM '%s': %s", vm, f.job);
	else if (strv_count(f.block_jobs)) {
		names = strv_join(f.block_jobs, ", ");
		r = err_full(reterr, ERR_REFUSED, -EBUSY, vm, NULL,
			     "Let it end, or stop it with 'virsh blockjob DOMAIN DISK --abort'",
			     "VM '%s' has a block job of somebody else on disk %s", vm, names);
	} else if (strv_count(f.snapshots)) {
		names = strv_join(f.snapshots, ", ");
		r = err_full(reterr, ERR_REFUSED, -EBUSY, vm, NULL,
			     "Delete them with 'virsh snapshot-delete' first (--metadata keeps the disks as they are)",
			     "VM '%s' has snapshots of libvirt (%s), which would no longer fit its disks", vm, names);
	}
	hv_foreign_done(&f);
	return r;
}

int machine_wait_idle(struct machine *m, struct err *reterr)
{
	for (;;) {
		struct hv_foreign f = { 0 };
		int r, busy;

		r = machine_refresh(m, reterr);
		if (r < 0 || !machine_is_active(m))
			return r;
		r = hv_foreign(m->daemon->hv, &m->dir->guid, &f, reterr);
		if (r < 0)
			return r;
		busy = f.job != NULL;
		hv_foreign_done(&f);
		if (!busy)
			return machine_refresh(m, reterr); /* the job may have ended the guest since we looked */
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	}
}
