/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way through a check of one VM, and of the store. An operation that begins
 * meanwhile is not in our way, nor are we in its: what was found is thrown away. */
#include "daemon/check.h"

#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "daemon/catalog.h"
#include "daemon/check-priv.h"
#include "daemon/daemon.h"
#include "layout/intent.h"
#include "layout/store.h"

#define TRIES 3

static void checking_done(struct checking *c)
{
	check_picture_done(&c->pic);
	machine_snapshots_free(c->snaps, c->n_snaps);
	config_free(c->cfg);
	vmdir_free(c->dir);
}

/* Id of a job of somebody else that holds the VM, *owned*, or NULL. */
static char *other_job(const struct checking *c)
{
	_cleanup_free_ char *holder = jobs_holder(c->daemon->jobs, c->vm->guid.s);

	if (holder && c->opts->own_job && strcmp(holder, c->opts->own_job) == 0)
		return NULL;
	return TAKE_PTR(holder);
}

/* Each operation writes and removes its record, which shows in the time of the directory. */
struct instant {
	struct timespec vms, snaps, config;
	ino_t ino;
	enum hv_state state;
};

static struct instant look(const struct checking *c)
{
	_cleanup_free_ char *vms = vmdir_vms_dir(c->dir), *config = vmdir_config(c->dir);
	_cleanup_free_ char *snaps = vmdir_snapshots_dir(c->dir);
	struct instant now = { .state = HV_ABSENT };
	struct stat st;

	if (stat(vms, &st) == 0)
		now.vms = st.st_mtim;
	if (stat(snaps, &st) == 0)
		now.snaps = st.st_mtim; /* a snapshot is renamed without a record */
	if (stat(config, &st) == 0) {
		now.config = st.st_mtim;
		now.ino = st.st_ino;
	}
	if (hv_is_up(c->daemon->hv))
		ignore_result(hv_state(c->daemon->hv, &c->dir->guid, &now.state, NULL)); /* stays HV_ABSENT */
	return now;
}

static int same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static int same(const struct instant *a, const struct instant *b)
{
	return same_time(a->vms, b->vms) && same_time(a->snaps, b->snaps) && same_time(a->config, b->config) &&
	       a->ino == b->ino && a->state == b->state;
}

/* What a dead daemon left: 1 if there is a record, which explains whatever else is wrong. */
static int judge_record(struct checking *c)
{
	_cleanup_free_ char *path = vmdir_intent(c->dir);
	_cleanup_intent_ struct intent *in = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	if (path_exists(path) == 0)
		return 0;
	if (intent_read(path, &in, &err) < 0)
		check_add(c->rep, CHECK_RECORD_DAMAGED, path,
			  "an operation on VM '%s' was interrupted and its record cannot be read: %s", c->vm->name,
			  err.message);
	else
		check_add(c->rep, CHECK_UNFINISHED, path, "the operation '%s' on VM '%s' was interrupted",
			  intent_operation(in), c->vm->name);
	return 1;
}

static void ask_state(struct checking *c)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int r = hv_is_up(c->daemon->hv) ? hv_state(c->daemon->hv, &c->dir->guid, &c->state, &err) : -ENOTCONN;

	c->asked = r == 0;
	if (!r)
		return;
	c->pic.incomplete = 1; /* what domains use is not known */
	check_add(c->rep, CHECK_DOMAIN_UNCHECKED, NULL, "the domain of VM '%s' was not compared: %s", c->vm->name,
		  err_is_set(&err) ? err.message : "there is no connection to the hypervisor");
}

static int look_at_all(struct checking *c, struct err *reterr)
{
	int r;

	job_phase(c->job, "reading documents");
	ask_state(c);
	r = check_read_documents(c, reterr);
	if (r < 0)
		return r;
	check_read_others(c);
	job_phase(c->job, "looking at images");
	check_look_images(&c->pic);
	check_documents(&c->pic, c->rep);
	check_images(&c->pic, c->rep);
	check_seals(&c->pic, c->rep);
	check_refs(&c->pic, c->rep);
	check_files(&c->pic, c->rep);
	check_domain(c);
	check_index(c);
	r = check_states(c, reterr);
	if (r >= 0 && c->opts->deep)
		r = check_images_deep(c, reterr);
	return r;
}

/* One try: 1 if what was found holds, 0 if something changed meanwhile. */
static int try_once(struct daemon *daemon, const struct index_vm *vm, const struct check_options *opts,
		    struct job *job, struct check_report *ret_rep, struct err *reterr)
{
	_cleanup_check_report_ struct check_report rep = { 0 };
	_cleanup_(checking_done) struct checking c = { .daemon = daemon, .vm = vm, .opts = opts, .job = job, .rep = &rep };
	_cleanup_free_ char *holder = NULL;
	struct instant before, after;
	int r;

	c.dir = vmdir_new(vm->root, &vm->guid);
	c.pic.dir = c.dir;
	c.pic.store = catalog_store(daemon->catalog);
	before = look(&c);
	holder = other_job(&c);
	if (holder)
		return 0;
	r = judge_record(&c) ? 0 : look_at_all(&c, reterr);
	if (r < 0)
		return r;
	holder = other_job(&c);
	after = look(&c);
	if (holder || !same(&before, &after))
		return 0;
	*ret_rep = rep;
	rep = (struct check_report){ 0 };
	return 1;
}

static void move_findings(struct check_report *rep, struct check_report *from)
{
	for (size_t i = 0; i < from->n; i++)
		check_add(rep, from->finding[i].id, from->finding[i].file, "%s", from->finding[i].text);
	rep->cut |= from->cut;
}

int check_vm(struct daemon *daemon, const struct index_vm *vm, const struct check_options *opts, struct job *job,
	     struct check_report *rep, struct err *reterr)
{
	_cleanup_check_report_ struct check_report found = { 0 };
	_cleanup_err_ struct err twin = ERR_INIT;
	int r = 0;

	if (catalog_refuse_twin(daemon->catalog, &vm->guid, &twin) < 0) {
		check_add(rep, CHECK_VM_TWICE, twin.file, "%s", twin.message);
		return 0;
	}
	for (int i = 0; i < (opts->deep ? 1 : TRIES) && r == 0; i++) {
		r = job_check(job, reterr);
		if (r == 0)
			r = try_once(daemon, vm, opts, job, &found, reterr);
	}
	if (r < 0)
		return r;
	if (r == 0)
		check_add(rep, CHECK_BUSY, NULL, "VM '%s' was not checked: something is being done to it", vm->name);
	move_findings(rep, &found);
	return 0;
}

/* Names in the store that are no VM's: the index, and what a file system of its own has. */
static int is_expected(const char *name)
{
	return strncmp(name, "index.sqlite", strlen("index.sqlite")) == 0 || strcmp(name, "lost+found") == 0 ||
	       strcmp(name, STORE_RESERVE_NAME) == 0;
}

/* A VM without a document of its own is listed nowhere: it is being made or removed, or somebody died at it. */
static void judge_unmade(struct daemon *daemon, const struct store_list *list, struct check_report *rep)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct store_entry *e = &list->entry[i];
		_cleanup_free_ char *holder = jobs_holder(daemon->jobs, e->dir->guid.s);

		if (!e->has_config && !holder)
			check_add(rep, CHECK_STORE, e->dir->root,
				  "'%s' holds a VM that is not whole: its making or removal was interrupted", e->dir->root);
	}
}

int check_store(struct daemon *daemon, struct check_report *rep, struct err *reterr)
{
	const char *store = catalog_store(daemon->catalog);
	_cleanup_strv_ char **problems = NULL, **names = NULL;
	struct store_list list = { NULL, 0 };
	int r = store_scan(store, &list, &problems, reterr);

	if (r >= 0)
		judge_unmade(daemon, &list, rep);
	store_list_done(&list);
	if (r >= 0)
		r = dir_list(store, &names, reterr);
	if (r < 0)
		return r;
	for (size_t i = 0; problems && problems[i]; i++)
		check_add(rep, CHECK_STORE, NULL, "%s", problems[i]);
	for (size_t i = 0; names && names[i]; i++) {
		_cleanup_free_ char *path = path_join(store, names[i]), *vms = path_join(path, "Virtual Machines");

		if (!is_expected(names[i]) && path_exists(vms) == 0)
			check_add(rep, CHECK_STORE, path, "'%s' is in the store and is no VM directory", path);
	}
	return 0;
}
