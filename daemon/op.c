/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The step engine: forward, backward, and again after a crash. */
#include "daemon/op.h"

#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "daemon/catalog.h"
#include "daemon/daemon.h"
#include "daemon/op-merge.h"

const struct op_kind *const op_kinds[] = {
	&op_snapshot_create, &op_snapshot_apply, &op_snapshot_delete, &op_vm_create, &op_vm_adopt,
	&op_vm_delete,	     &op_vm_rename,	 &op_vm_save,	      &op_vm_resume,
	&op_merge,	     &op_repair,	 NULL,
};

void op_list_steps(int explain)
{
	for (size_t i = 0; op_kinds[i]; i++) {
		for (size_t k = 0; k < op_kinds[i]->n_steps; k++) {
			const struct op_step *step = &op_kinds[i]->steps[k];

			printf("%s %s%s%s\n", op_kinds[i]->name, step->name, explain ? ": if we die here: " : "",
			       explain ? step->if_we_die : "");
		}
	}
}

static int run_step(struct op *op, const struct op_step *step, struct err *reterr)
{
	int r;

	log_debug("VM %s: %s: %s", op->m->dir->guid.s, op->kind->name, step->name);
	job_phase(op->job, step->phase);
	r = step->cancellable && !op->recovering ? job_check(op->job, reterr) : 0;
	if (!r)
		r = op_fault(op->kind, step->name, "before", reterr);
	if (!r)
		r = step->run(op, reterr);
	if (!r)
		r = op_fault(op->kind, step->name, "after", reterr);
	return r;
}

static int run_forward(struct op *op, size_t from, struct err *reterr)
{
	for (size_t i = from; i < op->kind->n_steps; i++) {
		int r = run_step(op, &op->kind->steps[i], reterr);

		if (r < 0)
			return r;
	}
	return 0;
}

static int run_back(struct op *op, struct err *reterr)
{
	job_phase(op->job, "taking back");
	for (size_t i = op->kind->n_steps; i-- > 0;) {
		const struct op_step *step = &op->kind->steps[i];
		int r = step->undo ? step->undo(op, reterr) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* The record goes last: from here on nothing of the operation is left to do. */
static int close_op(struct op *op, int undone, struct err *reterr)
{
	_cleanup_free_ char *path = vmdir_intent(op->m->dir);
	int r = file_remove(path, reterr);

	if (!r && op->kind->closed)
		op->kind->closed(op, undone);
	catalog_touch(op->daemon->catalog, &op->m->dir->guid);
	return r;
}

int op_reload(struct op *op, struct err *reterr)
{
	struct machine *m;
	int r = machine_open(op->daemon, op->m->dir, op->kind->may_lack_config, &m, reterr);

	if (r < 0)
		return r;
	machine_free(op->m);
	op->m = m;
	return 0;
}

/* Looks where the operation stands and goes the way that this calls for. */
static int go(struct op *op, int stopped, struct op_way *ret_way, struct err *reterr)
{
	struct op_way way = { 0 };
	int r = op_reload(op, reterr);

	if (!r)
		r = op->kind->decide(op, &way, reterr);
	if (r < 0)
		return r;
	log_debug("VM %s: %s goes %s%s", op->m->dir->guid.s, op->kind->name, way.forward ? "forward from " : "back",
		  way.forward ? op->kind->steps[way.from].name : "");
	op->failed = way.failed || (stopped && !way.forward);
	*ret_way = way;
	r = way.forward ? run_forward(op, way.from, reterr) : run_back(op, reterr);
	if (!r)
		r = close_op(op, !way.forward, reterr);
	return r;
}

/* Ends an operation that stopped half-way. stopped: by a failed step, not by a
 * crash. A step that fails on the way forward may have turned the way round. */
static int settle(struct op *op, int stopped, struct err *reterr)
{
	struct op_way way = { 0 };
	int r = go(op, stopped, &way, reterr);

	if (r < 0 && way.forward && go(op, 1, &way, NULL) == 0)
		op->failed = 1;
	return r;
}

/* A step failed: after settling, the user hears of the failure, or of success
 * with a warning if going forward brought about what was asked for. */
static int settle_failure(struct op *op, struct err *failure, struct err *reterr)
{
	_cleanup_free_ char *record = vmdir_intent(op->m->dir);
	_cleanup_err_ struct err second = ERR_INIT;
	int r = settle(op, 1, &second);

	if (r < 0 && path_exists(record) == 1) {
		_cleanup_free_ char *text = err_text(&second);

		job_warn(op->job, "it could not be settled yet (%s); vmsnapd tries again before the next operation "
			 "and at its next start", text);
	} else if (r >= 0 && !op->failed) {
		_cleanup_free_ char *text = err_text(failure);

		job_warn(op->job, "%s; the operation was completed all the same", text);
		return 0;
	}
	return err_move(reterr, failure);
}

static void op_done(struct op *op)
{
	intent_free(op->intent);
	machine_free(op->m);
}

int op_run(struct daemon *daemon, const struct op_kind *kind, struct machine *m, struct intent *intent,
	   struct job *job, struct err *reterr)
{
	struct op op = { .daemon = daemon, .kind = kind, .intent = intent, .m = m, .job = job };
	_cleanup_free_ char *path = vmdir_intent(m->dir);
	_cleanup_err_ struct err failure = ERR_INIT;
	int r;

	r = job_check(job, reterr);
	if (!r)
		r = op_fault(kind, "intent", "before", reterr);
	if (!r)
		r = intent_write(intent, path, reterr);
	if (!r) {
		r = op_fault(kind, "intent", "after", &failure);
		if (!r)
			r = run_forward(&op, 0, &failure);
		r = r < 0 ? settle_failure(&op, &failure, reterr) : close_op(&op, 0, reterr);
	}
	op_done(&op);
	return r;
}

static const struct op_kind *find_kind(const char *name)
{
	for (size_t i = 0; op_kinds[i]; i++)
		if (strcmp(op_kinds[i]->name, name) == 0)
			return op_kinds[i];
	return NULL;
}

int op_recover(struct daemon *daemon, const struct vmdir *dir, struct job *job, struct err *reterr)
{
	struct op op = { .daemon = daemon, .job = job, .recovering = 1 };
	_cleanup_free_ char *path = vmdir_intent(dir);
	int r = path_exists(path);

	if (r <= 0)
		return r;
	r = intent_read(path, &op.intent, reterr);
	if (r < 0) {
		err_hint(reterr, "Nothing was touched. Keep the file and ask for help, or look at the VM's files, "
				 "put right what it tells of, and remove it");
		return r;
	}
	op.kind = find_kind(intent_operation(op.intent));
	if (!op.kind)
		r = err_full(reterr, ERR_BAD_DATA, -EBADMSG, NULL, path, "Was it written by a newer vmsnapd? Use that",
			     "'%s' tells of an unknown operation '%s'", path, intent_operation(op.intent));
	if (!r)
		r = machine_open(daemon, dir, op.kind->may_lack_config, &op.m, reterr);
	if (!r) {
		log_info("VM '%s': an interrupted operation (%s) is being settled",
			 op.m->cfg ? op.m->cfg->name : dir->root, op.kind->name);
		r = settle(&op, 0, reterr);
	}
	op_done(&op);
	return r;
}

char *op_path(const struct op *op, const char *key)
{
	const char *v = intent_get(op->intent, key);

	return v && *v ? vmdir_resolve(op->m->dir, v) : NULL;
}

struct guid op_guid(const struct op *op, const char *key)
{
	const char *v = intent_get(op->intent, key);
	struct guid g = { "" };

	if (v)
		ignore_result(guid_parse(v, &g)); /* stays "none" */
	return g;
}

int64_t op_int(const struct op *op, const char *key, int64_t missing)
{
	const char *v = intent_get(op->intent, key);

	return v && *v ? strtoll(v, NULL, 10) : missing;
}

int op_flag(const struct op *op, const char *key)
{
	return op_int(op, key, 0) != 0;
}
