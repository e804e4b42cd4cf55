/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The catalog: keeps the index in step with the directories and answers from it. */
#include "daemon/catalog.h"

#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "daemon/catalog-priv.h"
#include "layout/store.h"

static void entry_done(struct catalog_entry *e)
{
	vmdir_free(e->dir);
	cleanup_free(&e->twin);
	strv_free(e->problems);
}

static void entries_clear(struct catalog *cat)
{
	for (size_t i = 0; i < cat->n; i++)
		entry_done(&cat->entry[i]);
	cleanup_free(&cat->entry);
	cat->n = 0;
}

static struct catalog_entry *find_entry(struct catalog *cat, const struct guid *vm)
{
	for (size_t i = 0; i < cat->n; i++)
		if (guid_eq(&cat->entry[i].dir->guid, vm))
			return &cat->entry[i];
	return NULL;
}

static void add_entry(struct catalog *cat, struct store_entry *found)
{
	struct catalog_entry *e = find_entry(cat, &found->dir->guid);

	if (e) { /* a duplicate: the first one is shown, nothing is done to either */
		xstrset(&e->twin, found->dir->root);
		return;
	}
	cat->entry = xreallocarray(cat->entry, cat->n + 1, sizeof(*cat->entry));
	e = &cat->entry[cat->n++];
	memset(e, 0, sizeof(*e));
	e->dir = TAKE_PTR(found->dir);
	e->has_config = found->has_config;
	e->has_intent = found->has_intent;
}

static void note_duplicate(struct catalog *cat, const struct store_entry *found)
{
	if (found->duplicate)
		strv_push(&cat->problems, xasprintf("'%s' holds a VM with the GUID %s, as another directory does: a copy? "
						    "Only one of them is used",
						    found->dir->root, found->dir->guid.s));
}

/* Index rows of VMs whose directory is gone. */
static int drop_gone(struct catalog *cat, struct err *reterr)
{
	struct index_vm *vms;
	size_t n;
	int r = index_list_vms(cat->index, &vms, &n, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n && !r; i++)
		if (!find_entry(cat, &vms[i].guid))
			r = index_drop_vm(cat->index, &vms[i].guid, reterr);
	index_vms_free(vms, n);
	return r;
}

static int scan(struct catalog *cat, struct err *reterr)
{
	struct store_list list = { NULL, 0 };
	struct catalog_entry *old = cat->entry;
	size_t n_old = cat->n;
	int r;

	strv_free(cat->problems);
	cat->problems = NULL;
	r = store_scan(cat->store, &list, &cat->problems, reterr);
	if (r < 0)
		return r;
	cat->entry = NULL;
	cat->n = 0;
	for (size_t i = 0; i < list.n; i++) {
		note_duplicate(cat, &list.entry[i]);
		add_entry(cat, &list.entry[i]);
	}
	store_list_done(&list);
	for (size_t i = 0; i < n_old; i++) {
		struct catalog_entry *e = find_entry(cat, &old[i].dir->guid);

		if (e && strcmp(e->dir->root, old[i].dir->root) == 0) {
			e->stamp = old[i].stamp;
			e->problems = TAKE_PTR(old[i].problems);
		}
		entry_done(&old[i]);
	}
	cleanup_free(&old);
	return drop_gone(cat, reterr);
}

static uint64_t mix(uint64_t h, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return h * 31 + (uint64_t)errno;
	h = h * 1000003 + (uint64_t)st.st_mtim.tv_sec;
	h = h * 1000003 + (uint64_t)st.st_mtim.tv_nsec;
	h = h * 1000003 + (uint64_t)st.st_ino;
	return h * 1000003 + (S_ISDIR(st.st_mode) ? 0 : (uint64_t)st.st_size);
}

/* Identifies the state of all documents of a VM; never 0. */
static int64_t files_stamp(const struct vmdir *dir)
{
	_cleanup_free_ char *config = vmdir_config(dir), *snapshots = vmdir_snapshots_dir(dir);
	uint64_t h = mix(mix(1469598103, config), snapshots);
	_cleanup_free_ struct guid *snaps = NULL;
	size_t n = 0;

	/* a document that is edited in place does not change its directory */
	if (vmdir_list_snapshots(dir, &snaps, &n, NULL) < 0)
		n = 0;
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *document = vmdir_snapshot_config(dir, &snaps[i]);

		h = mix(h, document);
	}
	return (int64_t)(h & 0x7fffffffffffffff) | 1;
}

static int refresh_entry(struct catalog *cat, struct catalog_entry *e, struct err *reterr)
{
	int64_t stamp = files_stamp(e->dir);
	struct index_vm row;
	int r;

	if (!e->has_config)
		return 0; /* being made, or its creation died: recovery's business */
	if (e->stamp == stamp)
		return 0;
	r = index_get_vm(cat->index, &e->dir->guid, &row, reterr);
	if (!r) {
		int same = row.stamp == stamp && strcmp(row.root, e->dir->root) == 0;

		index_vm_done(&row);
		if (same) {
			e->stamp = stamp;
			return 0;
		}
	} else if (r != -ENOENT) {
		return r;
	}
	if (reterr)
		err_done(reterr);
	r = catalog_load_entry(cat, e, stamp, reterr);
	if (!r)
		e->stamp = strv_count(e->problems) ? 0 : stamp; /* a damaged document is read again each time */
	return r;
}

static void forget_stamps(struct catalog *cat)
{
	for (size_t i = 0; i < cat->n; i++)
		cat->entry[i].stamp = 0;
}

/* Where the disk has no room for the index the directories are read into one that needs none. */
static int do_without_file(struct catalog *cat, struct err *reterr)
{
	index_close(cat->index);
	cat->index = NULL;
	forget_stamps(cat);
	return index_open_memory(&cat->index, reterr);
}

static int reopen(struct catalog *cat, struct err *reterr)
{
	_cleanup_free_ char *path = path_join(cat->store, "index.sqlite");
	int fresh = 0, r;

	index_close(cat->index);
	cat->index = NULL;
	r = index_open(path, &cat->index, &fresh, reterr);
	if (r < 0)
		return r;
	forget_stamps(cat);
	if (fresh)
		log_debug("the index '%s' was made anew from the directories", path);
	return 0;
}

static int refresh_all(struct catalog *cat, struct err *reterr)
{
	int r = scan(cat, reterr);

	for (size_t i = 0; !r && i < cat->n; i++)
		r = refresh_entry(cat, &cat->entry[i], reterr);
	return r;
}

/* Runs fn with a sound index: one that is gone or damaged, or has no room, is made anew, once. */
int catalog_with_index(struct catalog *cat, int (*fn)(struct catalog *cat, void *arg, struct err *reterr), void *arg,
		       struct err *reterr)
{
	_cleanup_err_ struct err first = ERR_INIT;
	int r = 0;

	if (!cat->index || index_is_stale(cat->index))
		r = reopen(cat, &first);
	if (!r)
		r = fn(cat, arg, &first);
	if (r != -EBADMSG && r != -ENOSPC) {
		ignore_result(err_move(reterr, &first)); /* r says it */
		return r;
	}
	if (r == -EBADMSG)
		log_warning("%s; the index is made anew", first.message ? first.message : "the index is damaged");
	r = r == -EBADMSG ? reopen(cat, reterr) : do_without_file(cat, reterr);
	return r < 0 ? r : fn(cat, arg, reterr);
}

static int all_vms(struct catalog *cat, void *arg, struct err *reterr)
{
	struct catalog_rows *rows = arg;
	int r = refresh_all(cat, reterr);

	return r < 0 ? r : index_list_vms(cat->index, &rows->vms, &rows->n, reterr);
}

int catalog_vms(struct catalog *cat, struct index_vm **ret_vms, size_t *ret_n, struct err *reterr)
{
	struct catalog_rows rows = { NULL, 0, NULL, NULL };
	int r;

	pthread_mutex_lock(&cat->lock);
	r = catalog_with_index(cat, all_vms, &rows, reterr);
	pthread_mutex_unlock(&cat->lock);
	if (r < 0)
		return r;
	*ret_vms = rows.vms;
	*ret_n = rows.n;
	return 0;
}

/* Brings one VM's rows up to date; scans if the VM is new or has moved. */
static int one_vm(struct catalog *cat, void *arg, struct err *reterr)
{
	struct catalog_rows *rows = arg;
	struct catalog_entry *e = find_entry(cat, rows->guid);
	int r = 0;

	if (!e || path_exists(e->dir->root) != 1) {
		r = scan(cat, reterr);
		e = r < 0 ? NULL : find_entry(cat, rows->guid);
	}
	if (r < 0 || !e)
		return r < 0 ? r : -ENOENT;
	return refresh_entry(cat, e, reterr);
}

int catalog_refresh_vm(struct catalog *cat, const struct guid *vm, struct err *reterr)
{
	struct catalog_rows rows = { NULL, 0, vm, NULL };

	return catalog_with_index(cat, one_vm, &rows, reterr);
}

static int vm_snapshots(struct catalog *cat, void *arg, struct err *reterr)
{
	struct catalog_rows *rows = arg;
	int r = one_vm(cat, rows, reterr);

	return r < 0 ? r : index_list_snapshots(cat->index, rows->guid, &rows->snaps, &rows->n, reterr);
}

int catalog_snapshots(struct catalog *cat, const struct index_vm *vm, struct index_snapshot **ret_snaps, size_t *ret_n,
		      struct err *reterr)
{
	struct catalog_rows rows = { NULL, 0, &vm->guid, NULL };
	int r;

	pthread_mutex_lock(&cat->lock);
	r = catalog_with_index(cat, vm_snapshots, &rows, reterr);
	pthread_mutex_unlock(&cat->lock);
	if (r < 0)
		return r == -ENOENT ? err_set(reterr, ERR_NO_VM, r, "VM '%s' is gone from the store", vm->name) : r;
	*ret_snaps = rows.snaps;
	*ret_n = rows.n;
	return 0;
}

int catalog_dir(struct catalog *cat, const struct guid *vm, struct vmdir **ret_dir, struct err *reterr)
{
	struct catalog_entry *e;
	int r = 0;

	pthread_mutex_lock(&cat->lock);
	e = find_entry(cat, vm);
	if (!e || path_exists(e->dir->root) != 1) {
		r = scan(cat, reterr);
		e = r < 0 ? NULL : find_entry(cat, vm);
	}
	if (e)
		*ret_dir = vmdir_copy(e->dir);
	else if (!r)
		r = err_set(reterr, ERR_NO_VM, -ENOENT, "there is no VM %s in the store '%s'", vm->s, cat->store);
	pthread_mutex_unlock(&cat->lock);
	return r;
}

int catalog_refuse_twin(struct catalog *cat, const struct guid *vm, struct err *reterr)
{
	struct catalog_entry *e;
	int r;

	pthread_mutex_lock(&cat->lock);
	r = scan(cat, reterr);
	e = r < 0 ? NULL : find_entry(cat, vm);
	if (e && e->twin)
		r = err_full(reterr, ERR_REFUSED, -ENOTUNIQ, NULL, e->twin, "Move one of them out of the store",
			     "the directories '%s' and '%s' hold the same VM (%s)", e->dir->root, e->twin, vm->s);
	pthread_mutex_unlock(&cat->lock);
	return r;
}

char **catalog_problems(struct catalog *cat, const struct guid *vm)
{
	struct catalog_entry *e;
	char **from, **list = NULL;

	pthread_mutex_lock(&cat->lock);
	e = vm ? find_entry(cat, vm) : NULL;
	from = vm ? (e ? e->problems : NULL) : cat->problems;
	for (size_t i = 0; from && from[i]; i++)
		strv_push(&list, xstrdup(from[i]));
	pthread_mutex_unlock(&cat->lock);
	return list;
}

void catalog_touch(struct catalog *cat, const struct guid *vm)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct catalog_entry *e;
	int r;

	pthread_mutex_lock(&cat->lock);
	e = find_entry(cat, vm);
	if (e)
		e->stamp = 0;
	if (cat->index && e)
		ignore_result(index_drop_vm(cat->index, vm, NULL)); /* a cache: the next look reads the files */
	r = scan(cat, &err);
	if (!r)
		r = catalog_refresh_vm(cat, vm, &err);
	if (r < 0 && r != -ENOENT)
		log_err(LOG_LEVEL_WARNING, &err, "reading VM %s again", vm->s);
	pthread_mutex_unlock(&cat->lock);
}

void catalog_rescan(struct catalog *cat)
{
	pthread_mutex_lock(&cat->lock);
	entries_clear(cat);
	pthread_mutex_unlock(&cat->lock);
}

void catalog_unfinished(struct catalog *cat, struct vmdir ***ret_dirs, size_t *ret_n)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct vmdir **dirs = NULL;
	size_t n = 0;

	pthread_mutex_lock(&cat->lock);
	if (scan(cat, &err) < 0)
		log_err(LOG_LEVEL_ERROR, &err, "looking for unfinished operations");
	for (size_t i = 0; i < cat->n; i++) {
		if (!cat->entry[i].has_intent)
			continue;
		if (cat->entry[i].twin) {
			log_warning("an interrupted operation on VM %s is not settled: '%s' and '%s' hold the same VM",
				    cat->entry[i].dir->guid.s, cat->entry[i].dir->root, cat->entry[i].twin);
			continue;
		}
		dirs = xreallocarray(dirs, n + 1, sizeof(*dirs));
		dirs[n++] = vmdir_copy(cat->entry[i].dir);
	}
	pthread_mutex_unlock(&cat->lock);
	*ret_dirs = dirs;
	*ret_n = n;
}

const char *catalog_store(const struct catalog *cat)
{
	return cat->store;
}

int catalog_open(const char *store, struct catalog **ret_catalog, struct err *reterr)
{
	struct catalog *cat = xcalloc(1, sizeof(*cat));
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	pthread_mutex_init(&cat->lock, NULL);
	cat->store = xstrdup(store);
	r = reopen(cat, &err);
	r = r == -ENOSPC ? do_without_file(cat, reterr) : r < 0 ? err_move(reterr, &err) : 0;
	if (r < 0) {
		catalog_close(cat);
		return r;
	}
	*ret_catalog = cat;
	return 0;
}

void catalog_close(struct catalog *cat)
{
	if (!cat)
		return;
	entries_clear(cat);
	strv_free(cat->problems);
	index_close(cat->index);
	cleanup_free(&cat->store);
	pthread_mutex_destroy(&cat->lock);
	cleanup_free(&cat);
}
