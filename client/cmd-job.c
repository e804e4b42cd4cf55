/* SPDX-License-Identifier: GPL-2.0-or-later */
/* job list, watch, wait, cancel, pause, resume. */
#include <stdio.h>
#include <string.h>

#include "client/jobcall.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/show.h"
#include "common/alloc.h"
#include "varlink/manager.h"

/* How often the progress line is drawn again at least. */
#define TICK_MS 250

static char *percent_text(json_t *job)
{
	int64_t done = json_num(job, "bytesDone"), total = json_num(job, "bytesTotal");

	if (total <= 0 || done < 0)
		return NULL;
	return xasprintf("%d%%", (int)(done >= total ? 100 : (double)done * 100 / (double)total));
}

static void print_list(struct ctl *ctl _unused_, json_t *reply)
{
	static const char *const heads[] = { "ID", "OPERATION", "VM", "STATE", "PHASE", "DONE", "STARTED", "ERROR" };
	_cleanup_(table_freep) struct table *t = table_new(heads, ARRAY_SIZE(heads));
	json_t *job;
	size_t i;

	json_array_foreach(json_member(reply, "jobs"), i, job) {
		const char *state = json_str(job, "state");
		int running = state && strcmp(state, "running") == 0;

		table_add(t, json_str(job, "id"));
		table_take(t, show_operation(json_str(job, "operation") ? json_str(job, "operation") : ""));
		table_add(t, json_str(job, "vm"));
		table_add(t, state);
		table_add(t, running ? json_str(job, "phase") : NULL);
		table_take(t, running ? percent_text(job) : NULL);
		table_take(t, show_time(job, "startedUSec"));
		table_add(t, json_str(job, "errorMessage"));
	}
	table_print(t, stdout);
}

static int job_list(struct ctl *ctl)
{
	json_t *params = json_object();

	param_text(params, "vm", args_word(ctl->args, 0));
	return query(ctl, "ListJobs", params, print_list);
}

static void print_cancelled(struct ctl *ctl, json_t *reply _unused_)
{
	if (!ctl->quiet)
		printf("job %s has been asked to stop\n", args_word(ctl->args, 0));
}

static int job_cancel(struct ctl *ctl)
{
	json_t *params = json_object();

	param_text(params, "id", args_word(ctl->args, 0));
	return query(ctl, "CancelJob", params, print_cancelled);
}

static void print_paused(struct ctl *ctl, json_t *reply _unused_)
{
	if (!ctl->quiet)
		printf("job %s has been asked to pause\n", args_word(ctl->args, 0));
}

static int job_pause(struct ctl *ctl)
{
	json_t *params = json_object();

	param_text(params, "id", args_word(ctl->args, 0));
	return query(ctl, "PauseJob", params, print_paused);
}

static void print_resumed(struct ctl *ctl, json_t *reply _unused_)
{
	if (!ctl->quiet)
		printf("job %s goes on\n", args_word(ctl->args, 0));
}

static int job_resume(struct ctl *ctl)
{
	json_t *params = json_object();

	param_text(params, "id", args_word(ctl->args, 0));
	return query(ctl, "ResumeJob", params, print_resumed);
}

/* A stream of jobs that is followed. */
struct watch {
	struct ctl *ctl;
	int lines;                 /* print each change */
	struct progress *progress; /* *owned* */
	char *last_line;           /* *owned* */
	json_t *job;               /* the last that was told, *owned* */
};

static void watch_done(struct watch *w)
{
	progress_free(w->progress);
	cleanup_free(&w->last_line);
	json_decref(w->job);
}

static void print_change(struct watch *w, json_t *job)
{
	_cleanup_free_ char *operation = show_operation(json_str(job, "operation") ? json_str(job, "operation") : "");
	const char *vm = json_str(job, "vm"), *state = json_str(job, "state"), *phase = json_str(job, "phase");
	int running = state && strcmp(state, "running") == 0 && phase;
	_cleanup_free_ char *line = NULL, *clean = NULL;

	line = xasprintf("job %s, %s of %s: %s%s%s", json_str(job, "id") ? json_str(job, "id") : "?", operation,
			 vm ? vm : "?", state ? state : "?", running ? ", " : "", running ? phase : "");
	if (w->last_line && strcmp(line, w->last_line) == 0)
		return;
	clean = text_clean(line);
	progress_clear(w->progress);
	puts(clean);
	fflush(stdout);
	xstrset(&w->last_line, line);
}

static void take_job(struct watch *w, json_t *parameters)
{
	json_t *job = json_member(parameters, "job");

	if (!json_is_object(job))
		return;
	json_decref(w->job);
	w->job = json_incref(job);
	if (w->lines && w->ctl->json) {
		print_json(NULL, parameters);
		fflush(stdout);
	} else if (w->lines) {
		print_change(w, job);
	}
	progress_update(w->progress, job);
}

/* Follows the stream to its end. Returns EXIT_DONE with the last reply, or an
 * exit code with reterr. */
static int follow(struct watch *w, json_t *params, struct vl_reply *ret_reply, struct err *reterr)
{
	_cleanup_(vl_client_closep) struct vl_client *client = NULL;
	int code = connection_open(w->ctl, &client, reterr);

	if (code != EXIT_DONE)
		return code;
	if (vl_client_send(client, VL_MANAGER ".WatchJobs", params, 1, reterr) < 0)
		return EXIT_CONNECT;
	for (;;) {
		_cleanup_err_ struct err err = ERR_INIT;
		_cleanup_(vl_reply_done) struct vl_reply reply = { 0 };
		int r = vl_client_receive(client, TICK_MS, &reply, NULL, &err);

		if (r == -ETIMEDOUT || r == -EINTR) {
			progress_tick(w->progress);
			continue;
		}
		if (r < 0) {
			ignore_result(err_move(reterr, &err)); /* its code is r */
			return EXIT_CONNECT;
		}
		take_job(w, reply.parameters);
		if (reply.continues)
			continue;
		*ret_reply = reply;
		reply = (struct vl_reply){ 0 };
		return EXIT_DONE;
	}
}

/* The exit code that a finished job stands for; its error is reported. */
static int job_result(json_t *job)
{
	_cleanup_err_ struct err err = ERR_INIT;
	const char *state = json_str(job, "state"), *message = json_str(job, "errorMessage");
	const char *name = json_str(job, "error");
	enum err_kind kind = name ? error_kind(name) : ERR_FAILED;

	print_warnings(job);
	if (!state || (strcmp(state, "failed") != 0 && strcmp(state, "cancelled") != 0))
		return EXIT_DONE;
	if (strcmp(state, "cancelled") == 0)
		kind = ERR_CANCELLED;
	err_set(&err, kind, -EIO, "%s", message ? message : "the job did not end well");
	if (json_str(job, "hint"))
		err_hint(&err, "%s", json_str(job, "hint"));
	return report(&err, exit_code_of(kind));
}

static int watch_jobs(struct ctl *ctl, int lines)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_json_ json_t *params = json_object();
	_cleanup_(vl_reply_done) struct vl_reply reply = { 0 };
	_cleanup_(watch_done) struct watch w = { .ctl = ctl, .lines = lines };
	const char *id = args_word(ctl->args, 0);
	int code;

	param_text(params, "id", id);
	w.progress = progress_new(id && !ctl->quiet && !ctl->json);
	code = follow(&w, params, &reply, &err);
	progress_clear(w.progress);
	if (code != EXIT_DONE)
		return report(&err, code);
	if (reply.error)
		return finish_reply(ctl, "WatchJobs", &reply, NULL);
	if (ctl->json && !lines)
		print_json(NULL, reply.parameters);
	return id ? job_result(w.job) : EXIT_DONE;
}

static int job_watch(struct ctl *ctl)
{
	return watch_jobs(ctl, 1);
}

static int job_wait(struct ctl *ctl)
{
	return watch_jobs(ctl, 0);
}

const struct command job_commands[] = {
	{ "job", "list", "[VM]", 0, 1, NULL, 0, job_list, "list running and recent jobs" },
	{ "job", "watch", "[ID]", 0, 1, NULL, 0, job_watch, "print what jobs do as they do it" },
	{ "job", "wait", "ID", 1, 1, NULL, 0, job_wait, "wait for the end of a job" },
	{ "job", "cancel", "ID", 1, 1, NULL, 0, job_cancel, "ask a job to stop and take back what it did" },
	{ "job", "pause", "ID", 1, 1, NULL, 0, job_pause, "stop merging or flattening disks until 'job resume'" },
	{ "job", "resume", "ID", 1, 1, NULL, 0, job_resume, "let a paused job go on" },
	{ NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL },
};
