/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which of a VM's images another VM's disks consist of: those are not to be written or
 * removed, whatever their own VM would need. */
#include "daemon/op-others.h"

#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "layout/image-merge.h"
#include "layout/path.h"

/* A search through all other VMs; every image is read once. */
struct search {
	char *const *paths;
	struct stat *ours; /* of each path; st_ino 0: it is not there */
	unsigned char *shared;
	char **seen;
};

static void search_done(struct search *s)
{
	free(s->ours);
	free(s->shared);
	strv_free(s->seen);
}

static int same_file(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return b->st_ino && a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Marks path if it is one of ours. Returns 1 if it is there and was not seen yet. */
static int mark(struct search *s, const char *path)
{
	struct stat st;

	if (strv_has(s->seen, path) || stat(path, &st) < 0)
		return 0;
	strv_push(&s->seen, xstrdup(path));
	for (size_t i = 0; s->paths[i]; i++)
		s->shared[i] |= same_file(&st, &s->ours[i]);
	return 1;
}

/* What cannot be read ends the walk: that VM's own operations tell of it. */
static void walk(struct search *s, const char *path, const char *format)
{
	_cleanup_free_ char *at = path_clean(path), *at_format = xstrdup(format);

	while (at && mark(s, at) && at_format && strcmp(at_format, "qcow2") == 0) {
		_cleanup_free_ char *next = NULL, *next_format = NULL;

		if (disk_backing(at, &next, &next_format, NULL) < 0)
			return;
		cleanup_free(&at);
		at = next ? path_clean(next) : NULL;
		xstrset(&at_format, next_format);
	}
}

static void walk_document(struct search *s, const struct machine *other, const struct config *doc)
{
	for (size_t i = 0; i < doc->n_disks; i++) {
		_cleanup_free_ char *path = machine_disk_path(other, &doc->disks[i]);

		walk(s, path, doc->disks[i].format);
	}
}

static int walk_vm(struct search *s, struct daemon *daemon, const struct index_vm *vm, struct err *reterr)
{
	_cleanup_vmdir_ struct vmdir *dir = vmdir_new(vm->root, &vm->guid);
	_cleanup_free_ char *path = vmdir_config(dir);
	_cleanup_config_ struct config *cfg = NULL;
	struct machine other = { .daemon = daemon, .dir = dir };
	struct config **snaps;
	size_t n, unreadable;
	int r;

	if (config_read(path, &cfg, NULL) >= 0)
		walk_document(s, &other, cfg); /* a damaged one is shown among its problems */
	r = machine_snapshots(&other, &snaps, &n, &unreadable, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		walk_document(s, &other, snaps[i]);
	machine_snapshots_free(snaps, n);
	return 0;
}

static int walk_store(struct search *s, const struct machine *m, struct err *reterr)
{
	struct index_vm *vms;
	size_t n;
	int r = catalog_vms(m->daemon->catalog, &vms, &n, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; !r && i < n; i++)
		if (!guid_eq(&vms[i].guid, &m->dir->guid))
			r = walk_vm(s, m->daemon, &vms[i], reterr);
	index_vms_free(vms, n);
	return r < 0 ? r : 0;
}

int op_others_shared(const struct machine *m, char *const *paths, char ***ret_shared, struct err *reterr)
{
	size_t n = strv_count(paths);
	_cleanup_(search_done) struct search s = { .paths = paths,
						   .ours = xcalloc(n + 1, sizeof(*s.ours)),
						   .shared = xcalloc(n + 1, 1) };
	char **shared = NULL;
	int r;

	for (size_t i = 0; i < n; i++)
		if (stat(paths[i], &s.ours[i]) < 0)
			s.ours[i].st_ino = 0;
	r = n ? walk_store(&s, m, reterr) : 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (s.shared[i])
			strv_push(&shared, xstrdup(paths[i]));
	*ret_shared = shared;
	return 0;
}
