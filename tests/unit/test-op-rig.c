/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lives of a daemon with the scripted hypervisor, and every way to end them. */
#include "tests/unit/test-op-rig.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "common/log.h"
#include "daemon/catalog.h"
#include "daemon/job.h"
#include "daemon/loop.h"
#include "daemon/pauses.h"
#include "daemon/recover.h"
#include "xmlcfg/domain.h"

#define UUID "11112222-3333-4444-5555-666677778888"

struct life {
	struct rig *rig;
	struct daemon daemon;
	rig_fn fn;
};

void rig_need_tools(void)
{
	const char *ci = getenv("CI");
	const char *schema = getenv("top_srcdir"), *built = getenv("top_builddir");
	_cleanup_free_ char *capture = path_join(built && *built ? built : ".", "savestate/vmsnap-capture");
	static char *dir;

	if (system("qemu-img --version >/dev/null 2>&1") != 0) {
		fprintf(stderr, "qemu-img is missing (Debian package: qemu-utils)\n");
		exit(ci && strcmp(ci, "true") == 0 ? 1 : 77);
	}
	dir = path_join(schema ? schema : ".", "xmlcfg");
	config_set_schema_dir(dir);
	setenv("VMSNAP_CAPTURE", capture, 1);
	log_set_level(LOG_LEVEL_ERROR);
	signal(SIGPIPE, SIG_IGN); /* as the daemon */
}

struct rig *rig_new(void)
{
	struct rig *rig = xcalloc(1, sizeof(*rig));
	void *top;

	assert_int_equal(scratch_setup(&top), 0);
	rig->top = top;
	rig->world = path_join(rig->top, "world");
	rig->store = path_join(rig->world, "store");
	rig->outside = path_join(rig->world, "outside");
	rig->kept = path_join(rig->top, "kept");
	assert_int_equal(mkdir(rig->world, 0711), 0);
	assert_int_equal(mkdir(rig->store, 0711), 0);
	assert_int_equal(mkdir(rig->outside, 0711), 0);
	rig->hvs = hvs_new(rig->outside);
	rig->kept_hvs = xcalloc(1, sizeof(*rig->kept_hvs));
	rig->out = mmap(NULL, sizeof(*rig->out), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(rig->out, MAP_FAILED);
	return rig;
}

void rig_free(struct rig *rig)
{
	void *top = rig->top;

	hvs_free(rig->hvs);
	munmap(rig->out, sizeof(*rig->out));
	vmdir_free(rig->dir);
	config_free(rig->before);
	free(rig->kept_hvs);
	free(rig->world);
	free(rig->store);
	free(rig->outside);
	free(rig->kept);
	free(rig);
	scratch_teardown(&top);
}

/* ---- what others made */

void rig_make_disk(struct rig *rig, const char *name, const char *format)
{
	_cleanup_free_ char *cmd = xasprintf("qemu-img create -q -f %s '%s/%s' 1M", format, rig->outside, name);

	assert_int_equal(system(cmd), 0);
}

void rig_define(struct rig *rig, const char *format, int uefi)
{
	_cleanup_free_ char *root = path_join(rig->store, "t"), *disk = xasprintf("%s/d.%s", rig->outside, format);
	_cleanup_free_ char *nvram = path_join(rig->outside, "t_VARS.fd"), *xml = NULL;
	struct domain_spec spec = { .name = "t", .uuid = UUID, .type = "qemu", .memory = RIG_MEMORY, .vcpus = 1,
				    .disk_path = disk, .disk_format = format };
	_cleanup_domain_ struct domain *dom = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *file = xasprintf("d.%s", format);
	struct guid guid;

	rig_make_disk(rig, file, format);
	if (uefi) {
		spec.loader = "/usr/share/OVMF/OVMF_CODE_4M.fd";
		spec.nvram = nvram;
		assert_ok(file_replace(nvram, "variables", 9, 0600, &err), &err);
	}
	dom = domain_build(&spec);
	xml = domain_format(dom);
	assert_ok(hv_define(&rig->hvs->hv, xml, &err), &err);
	assert_int_equal(guid_parse(UUID, &guid), 0);
	rig->dir = vmdir_new(root, &guid);
}

/* ---- one life */

static int body(struct job *job, void *arg, struct err *reterr)
{
	struct life *life = arg;

	return life->fn(life->rig, &life->daemon, job, &life->rig->out->guid, reterr);
}

static void on_finished(void *arg _unused_, const struct job_view *view _unused_)
{
	loop_stop();
}

static void on_event(void *arg _unused_, const struct guid *vm, enum hv_event event)
{
	pauses_note(vm, event);
}

static void report(struct rig_outcome *out, struct job *job)
{
	struct job_view view;

	job_look(job, &view);
	out->r = view.state == JOB_DONE ? 0 : view.err.code ? view.err.code : -EIO;
	out->kind = view.err.kind;
	snprintf(out->message, sizeof(out->message), "%s", view.err.message ? view.err.message : "");
	for (size_t i = 0; view.warnings && view.warnings[i]; i++)
		out->warnings++;
	job_view_done(&view);
	out->killed = 0;
}

/* A child process. */
static _Noreturn void live(struct rig *rig, rig_fn fn)
{
	struct life life = { .rig = rig, .fn = fn, .daemon.hv = &rig->hvs->hv };
	const char *key = rig->dir ? rig->dir->guid.s : "name:new";
	_cleanup_err_ struct err err = ERR_INIT;
	struct job *job = NULL;
	int r = loop_init(&err);

	if (!r)
		r = catalog_open(rig->store, &life.daemon.catalog, &err);
	if (!r)
		r = jobs_new(1, 4, &life.daemon.jobs, &err);
	if (!r) {
		recover_sweep(&life.daemon);
		hv_on_event(life.daemon.hv, on_event, NULL);
		jobs_on_finished(life.daemon.jobs, on_finished, NULL);
		r = job_submit(life.daemon.jobs, "test", key, "t", body, &life, NULL, &job, &err);
	}
	if (!r)
		r = loop_run(&err);
	if (r < 0) {
		fprintf(stderr, "a daemon's life could not begin: %s\n", err.message);
		_exit(2);
	}
	report(rig->out, job);
	job_unref(job);
	jobs_free(life.daemon.jobs);
	catalog_close(life.daemon.catalog);
	loop_done();
	exit(0);
}

void rig_life(struct rig *rig, const char *fault, rig_fn fn)
{
	pid_t pid;
	int status;

	memset(rig->out, 0, sizeof(*rig->out));
	rig->out->killed = 1;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (fault)
			setenv("VMSNAPD_FAULT", fault, 1);
		live(rig, fn);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (rig->out->killed)
		rig_check(rig, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the daemon died with status %#x",
			  (unsigned)status);
	else
		rig_check(rig, WIFEXITED(status) && WEXITSTATUS(status) == 0, "the daemon ended with status %#x",
			  (unsigned)status);
	rig_check(rig, !rig->hvs->violation[0], "%s", rig->hvs->violation);
}

void rig_must(struct rig *rig, rig_fn fn)
{
	rig_life(rig, NULL, fn);
	rig_check(rig, !rig->out->killed && rig->out->r == 0, "%s", rig->out->message);
}

static int recover_all(struct rig *rig _unused_, struct daemon *daemon, struct job *job, struct guid *ret_guid _unused_,
		       struct err *reterr)
{
	struct vmdir **dirs;
	size_t n;
	int r = 0;

	catalog_unfinished(daemon->catalog, &dirs, &n);
	for (size_t i = 0; i < n; i++) {
		if (!r)
			r = op_recover(daemon, dirs[i], job, reterr);
		vmdir_free(dirs[i]);
	}
	free(dirs);
	return r;
}

void rig_recover(struct rig *rig)
{
	hvs_reset(rig->hvs);
	rig_must(rig, recover_all);
	rig_check(rig, !rig_has_record(rig), "recovery left a record");
}

/* ---- the world, kept and put back */

void rig_keep(struct rig *rig)
{
	struct hvs_domain *d;

	rig_copy(rig->world, rig->kept);
	hvs_reset(rig->hvs);
	memcpy(rig->kept_hvs, rig->hvs, sizeof(*rig->hvs));
	config_free(rig->before);
	rig->before = rig->dir ? rig_config(rig) : NULL;
	d = rig->dir ? hvs_find(rig->hvs, &rig->dir->guid) : NULL;
	rig->memory = d ? d->memory : 0;
	rig->state = d ? d->state : HV_ABSENT;
}

/* The lock is not part of the world. */
void rig_put_back(struct rig *rig)
{
	rig_copy(rig->kept, rig->world);
	memcpy(rig->hvs->domain, rig->kept_hvs->domain, sizeof(rig->hvs->domain));
	rig->hvs->violation[0] = '\0';
	hvs_reset(rig->hvs);
}

/* ---- every way */

static void settle_and_look(struct rig *rig, const struct rig_case *c)
{
	int left = rig->out->killed || rig_has_record(rig), failed = !rig->out->killed && rig->out->r < 0, done;

	if (left)
		rig_recover(rig);
	if (c->find)
		c->find(rig);
	rig_check_laws(rig);
	done = c->look(rig);
	if (!left && failed)
		rig_check(rig, !done, "it failed (%s), and yet it came about", rig->out->message);
	if (!left && !failed)
		rig_check(rig, done, "it was reported done and did not come about");
}

static void try_step(struct rig *rig, const struct rig_case *c, const char *step)
{
	static const char *const ways[] = { "kill-before", "kill-after", "fail" };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		_cleanup_free_ char *fault = xasprintf("%s:%s.%s", ways[i], c->kind->name, step);
		_cleanup_free_ char *context = xasprintf("%s: %s", c->name, fault);

		rig->context = context;
		rig_put_back(rig);
		rig_life(rig, fault, c->run);
		rig_check(rig, i < 2 ? rig->out->killed : rig->out->r < 0 || rig->out->warnings > 0,
			  "the fault was not met");
		settle_and_look(rig, c);
	}
}

static int makes_sense(enum hvs_call call, enum hvs_when when)
{
	if (when == HVS_FAIL_HALF)
		return call == HVS_SNAPSHOT || call == HVS_RESTORE;
	if (when == HVS_DIE_HALF || when == HVS_DIE_HALF_BAD)
		return call == HVS_SNAPSHOT || (call == HVS_RESTORE && when == HVS_DIE_HALF);
	return hvs_call_changes(call) || when == HVS_FAIL_BEFORE || when == HVS_DIE_BEFORE;
}

static void try_call(struct rig *rig, const struct rig_case *c, enum hvs_call call, int nth)
{
	for (enum hvs_when when = HVS_NEVER + 1; when < HVS_WHENS; when++) {
		_cleanup_free_ char *context = xasprintf("%s: call %d of '%s' %s", c->name, nth, hvs_call_name(call),
							 hvs_when_name(when));

		if (!makes_sense(call, when))
			continue;
		rig->context = context;
		rig_put_back(rig);
		rig->hvs->fault.call = call;
		rig->hvs->fault.nth = nth;
		rig->hvs->fault.when = when;
		rig_life(rig, NULL, c->run);
		settle_and_look(rig, c);
	}
}

/* Killed after a step, and recovery killed after each later one; then once more. */
static void try_twice(struct rig *rig, const struct rig_case *c)
{
	for (size_t i = 0; i < c->kind->n_steps; i++) {
		for (size_t k = i + 1; k < c->kind->n_steps; k++) {
			_cleanup_free_ char *first = xasprintf("kill-after:%s", c->kind->steps[i].name);
			_cleanup_free_ char *second = xasprintf("kill-after:%s", c->kind->steps[k].name);
			_cleanup_free_ char *context = xasprintf("%s: %s, then %s", c->name, first, second);

			rig->context = context;
			rig_put_back(rig);
			rig_life(rig, first, c->run);
			rig_life(rig, second, recover_all);
			rig->out->killed = 1; /* what the second life reports is not what the caller heard */
			settle_and_look(rig, c);
		}
	}
}

static void try_all(struct rig *rig, const struct rig_case *c, const int *calls)
{
	try_step(rig, c, "intent");
	for (size_t i = 0; i < c->kind->n_steps; i++)
		try_step(rig, c, c->kind->steps[i].name);
	try_twice(rig, c);
	for (enum hvs_call call = 0; call < HVS_CALLS; call++)
		for (int nth = 1; nth <= calls[call]; nth++)
			try_call(rig, c, call, nth);
}

void rig_try(const struct rig_case *c)
{
	struct rig *rig = rig_new();
	int calls[HVS_CALLS];

	rig->context = c->name;
	c->prepare(rig);
	rig_keep(rig);
	rig_must(rig, c->run);
	memcpy(calls, rig->hvs->calls, sizeof(calls));
	rig_check(rig, !rig_has_record(rig), "a record is left");
	settle_and_look(rig, c);
	if (getenv("VMSNAP_VALGRIND")) /* a life takes seconds: one step stands for all */
		try_step(rig, c, c->kind->steps[c->kind->n_steps / 2].name);
	else
		try_all(rig, c, calls);
	rig_free(rig);
}
