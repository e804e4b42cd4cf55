/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who else in the store needs a file: one walk through the disks of all other VMs, and
 * what is asked on the way. */
#include "daemon/op-others.h"

#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "layout/chain.h"

/* What is looked for, and what was found. */
struct search {
	const struct machine *m;
	char *const *paths;   /* these files, by what they are */
	struct stat *ours;    /* of each path; st_ino 0: it is not there */
	unsigned char *found; /* of each path */
	char **seen;          /* images of the VM at hand: each is looked at once */
	char *unread;         /* a VM of whose documents one cannot be read: what it stands on nobody knows; or NULL */
	/* An image of another VM, or the name of a disk that is not there. Not 0 ends the walk. */
	int (*visit)(struct search *s, const struct index_vm *vm, const char *path, struct err *reterr);
};

static void search_init(struct search *s)
{
	size_t n = strv_count(s->paths);

	s->ours = xcalloc(n + 1, sizeof(*s->ours));
	s->found = xcalloc(n + 1, 1);
	for (size_t i = 0; i < n; i++)
		if (stat(s->paths[i], &s->ours[i]) < 0)
			s->ours[i].st_ino = 0;
}

static void search_done(struct search *s)
{
	free(s->ours);
	free(s->found);
	free(s->unread);
	strv_free(s->seen);
}

/* ---- the walk */

/* What cannot be read ends the chain: that VM's own operations tell of it. */
static int walk_chain(struct search *s, const struct index_vm *vm, const char *path, const char *format,
		      struct err *reterr)
{
	_cleanup_free_ char *at = xstrdup(path), *at_format = xstrdup(format);

	while (at && !strv_has(s->seen, at)) {
		_cleanup_free_ char *next = NULL, *next_format = NULL;
		int r = s->visit(s, vm, at, reterr);

		if (r)
			return r;
		strv_push(&s->seen, xstrdup(at));
		if (!at_format || chain_next(at, at_format, &next, &next_format, NULL) < 0)
			return 0;
		xstrset(&at, next);
		xstrset(&at_format, next_format);
	}
	return 0;
}

static int walk_document(struct search *s, const struct index_vm *vm, const struct machine *other,
			 const struct config *doc, struct err *reterr)
{
	int r = 0;

	for (size_t i = 0; !r && i < doc->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(other, &doc->disks[i]);

		r = walk_chain(s, vm, path, doc->disks[i].format, reterr);
	}
	return r;
}

/* A damaged document is shown among its VM's problems, and remembered. */
static int walk_vm(struct search *s, const struct index_vm *vm, struct err *reterr)
{
	_cleanup_vmdir_ struct vmdir *dir = vmdir_new(vm->root, &vm->guid);
	_cleanup_free_ char *path = vmdir_config(dir);
	_cleanup_config_ struct config *cfg = NULL;
	struct machine other = { .daemon = s->m->daemon, .dir = dir };
	struct config **snaps;
	size_t n, unreadable;
	int r = machine_snapshots(&other, &snaps, &n, &unreadable, reterr);

	if (r < 0)
		return r;
	strv_free(s->seen);
	s->seen = NULL;
	if (config_read(path, &cfg, NULL) >= 0)
		r = walk_document(s, vm, &other, cfg, reterr);
	if (!cfg || unreadable)
		xstrset(&s->unread, vm->name);
	for (size_t i = 0; !r && i < n; i++)
		r = walk_document(s, vm, &other, snaps[i], reterr);
	machine_snapshots_free(snaps, n);
	return r;
}

static int walk_store(struct search *s, struct err *reterr)
{
	struct index_vm *vms;
	size_t n;
	int r = catalog_vms(s->m->daemon->catalog, &vms, &n, reterr);

	if (r < 0)
		return r;
	r = 0;
	for (size_t i = 0; !r && i < n; i++)
		if (!guid_eq(&vms[i].guid, &s->m->dir->guid))
			r = walk_vm(s, &vms[i], reterr);
	index_vms_free(vms, n);
	return r;
}

/* ---- what is asked */

static int same_file(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return b->st_ino && a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int mark(struct search *s, const struct index_vm *vm _unused_, const char *path, struct err *reterr _unused_)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return 0;
	for (size_t i = 0; s->paths && s->paths[i]; i++)
		s->found[i] |= same_file(&st, &s->ours[i]);
	return 0;
}

static int has_found(const struct search *s)
{
	for (size_t i = 0; s->paths && s->paths[i]; i++)
		if (s->found[i])
			return 1;
	return 0;
}

static int refuse(const struct index_vm *vm, const char *path, const char *hint, struct err *reterr)
{
	return err_full(reterr, ERR_REFUSED, -EBUSY, NULL, path, hint, "'%s' is part of a disk of VM '%s'", path, vm->name);
}

static int refuse_file(struct search *s, const struct index_vm *vm, const char *path, struct err *reterr)
{
	ignore_result(mark(s, vm, path, reterr)); /* cannot fail */
	return has_found(s) ? refuse(vm, path, "Give the domain a copy of its own", reterr) : 0;
}

static int refuse_inside(struct search *s, const struct index_vm *vm, const char *path, struct err *reterr)
{
	return vmdir_contains(s->m->dir, path) ? refuse(vm, path, "Delete that VM first", reterr) : 0;
}

int op_others_refuse_file(const struct machine *m, const char *path, struct err *reterr)
{
	char *const paths[] = { (char *)path, NULL };
	_cleanup_(search_done) struct search s = { .m = m, .paths = paths, .visit = refuse_file };

	search_init(&s);
	return walk_store(&s, reterr);
}

int op_others_refuse_directory(const struct machine *m, int force, struct err *reterr)
{
	_cleanup_(search_done) struct search s = { .m = m, .visit = refuse_inside };
	int r = walk_store(&s, reterr);

	if (r < 0 || !s.unread || force)
		return r;
	return err_full(reterr, ERR_REFUSED, -EBUSY, NULL, m->dir->root,
			"Mend or delete that VM first ('vmsnapctl check' names the document), or use --force",
			"nobody can tell whether VM '%s' stands on disks in '%s': a document of it cannot be read", s.unread,
			m->dir->root);
}

int op_others_shared(const struct machine *m, char *const *paths, char ***ret_shared, struct err *reterr)
{
	_cleanup_(search_done) struct search s = { .m = m, .paths = paths, .visit = mark };
	char **shared = NULL;
	int r;

	search_init(&s);
	r = paths ? walk_store(&s, reterr) : 0;
	if (r < 0)
		return r;
	for (size_t i = 0; paths && paths[i]; i++)
		if (s.found[i] || s.unread)
			strv_push(&shared, xstrdup(paths[i]));
	*ret_shared = shared;
	return 0;
}

/* 1 if the VM has one of the paths in its directory or in a chain, 0 or negative errno. */
static int is_owner(struct search *s, const struct index_vm *vm, struct err *reterr)
{
	_cleanup_vmdir_ struct vmdir *dir = vmdir_new(vm->root, &vm->guid);
	int r = 0;

	for (size_t i = 0; s->paths && s->paths[i]; i++) {
		s->found[i] = 0;
		r |= vmdir_contains(dir, s->paths[i]);
	}
	if (!r)
		r = walk_vm(s, vm, reterr);
	return r < 0 ? r : r || has_found(s);
}

int op_others_owners(const struct machine *m, char *const *paths, struct index_vm **ret_vms, size_t *ret_n,
		     struct err *reterr)
{
	_cleanup_(search_done) struct search s = { .m = m, .paths = paths, .visit = mark };
	size_t n = 0, kept = 0;
	struct index_vm *vms;
	int r = catalog_vms(m->daemon->catalog, &vms, &n, reterr);

	if (r < 0)
		return r;
	search_init(&s);
	r = 0;
	for (size_t i = 0; i < n; i++) {
		if (r >= 0)
			r = guid_eq(&vms[i].guid, &m->dir->guid) ? 0 : is_owner(&s, &vms[i], reterr);
		if (r > 0)
			vms[kept++] = vms[i];
		else
			index_vm_done(&vms[i]);
	}
	if (r < 0) {
		index_vms_free(vms, kept);
		return r;
	}
	*ret_vms = vms;
	*ret_n = kept;
	return 0;
}
