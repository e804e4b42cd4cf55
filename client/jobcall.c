/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls that start a job: progress, warnings, Ctrl-C. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/jobcall.h"
#include "client/output.h"
#include "client/progress.h"
#include "common/alloc.h"
#include "varlink/manager.h"

/* How often the line is drawn and a signal is looked for at the latest. */
#define TICK_MS 250
/* CancelJob is answered at once; longer means that nobody is there. */
#define CANCEL_MS 10000

static volatile sig_atomic_t interrupts;

/* One job that is waited for. */
struct wait {
	struct ctl *ctl;
	const char *method;
	struct vl_client *client; /* *owned* */
	struct progress *progress; /* *owned* */
	json_t *job;              /* the last that was told, *owned* */
	enum exit_code (*judge)(json_t *reply); /* of a good reply; NULL: EXIT_DONE */
	int cancel_sent;
};

static void on_interrupt(int sig _unused_)
{
	if (interrupts < 100)
		interrupts++;
}

static void wait_done(struct wait *w)
{
	vl_client_close(w->client);
	progress_free(w->progress);
	json_decref(w->job);
}

void print_warnings(json_t *job)
{
	json_t *warnings = json_member(job, "warnings"), *warning;
	size_t i;

	json_array_foreach(warnings, i, warning) {
		_cleanup_free_ char *text = text_clean(json_string_value(warning) ? json_string_value(warning) : "");

		fprintf(stderr, "vmsnapctl: warning: %s\n", text);
	}
}

static void send_cancel(struct wait *w, const char *id)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(vl_reply_done) struct vl_reply reply = { 0 };
	_cleanup_json_ json_t *params = json_object();
	int code;

	w->cancel_sent = 1;
	progress_clear(w->progress);
	fprintf(stderr, "vmsnapctl: cancelling job %s; Ctrl-C again leaves it to itself\n", id);
	param_text(params, "id", id);
	code = call_once(w->ctl, "CancelJob", params, CANCEL_MS, &reply, &err);
	if (code == EXIT_DONE && reply.error)
		ignore_result(reply_to_err(&reply, "CancelJob", &err)); /* reported below */
	if (err_is_set(&err) && interrupts < 2)
		report(&err, EXIT_FAILED); /* the job goes on, and so do we */
}

/* Ends the process as an interrupted one; the job goes on. */
static void leave(struct wait *w, const char *id)
{
	progress_clear(w->progress);
	if (id)
		fprintf(stderr,
			"vmsnapctl: left job %s to itself\n"
			"  'vmsnapctl job watch %s' shows it, 'vmsnapctl job cancel %s' cancels it.\n",
			id, id, id);
	else
		fprintf(stderr, "vmsnapctl: left before the daemon named the job\n"
				"  'vmsnapctl job list' shows whether it runs.\n");
	fflush(NULL);
	signal(SIGINT, SIG_DFL);
	raise(SIGINT);
	exit(128 + SIGINT);
}

static void look_at_interrupts(struct wait *w)
{
	const char *id = json_str(w->job, "id");

	if (interrupts >= 1 && !w->cancel_sent && id)
		send_cancel(w, id);
	if (interrupts >= 2)
		leave(w, id);
}

static void take_job(struct wait *w, json_t *parameters)
{
	json_t *job = json_member(parameters, "job");

	if (!json_is_object(job))
		return;
	json_decref(w->job);
	w->job = json_incref(job);
	progress_update(w->progress, job);
}

/* Waits for the last reply. Returns EXIT_DONE, or an exit code with reterr. */
static int wait_for_end(struct wait *w, struct vl_reply *ret_reply, struct err *reterr)
{
	for (;;) {
		_cleanup_err_ struct err err = ERR_INIT;
		_cleanup_(vl_reply_done) struct vl_reply reply = { 0 };
		int r;

		look_at_interrupts(w);
		r = vl_client_receive(w->client, TICK_MS, &reply, NULL, &err);
		if (r == -EINTR || r == -ETIMEDOUT) {
			progress_tick(w->progress);
			continue;
		}
		if (r < 0) {
			err_hint(&err, "Whether the job goes on is not known; 'vmsnapctl job list' tells.");
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

static void catch_interrupts(void)
{
	/* Without SA_RESTART: the signal ends the wait for a reply. */
	struct sigaction action = { .sa_handler = on_interrupt };

	sigaction(SIGINT, &action, NULL);
}

static int run_job(struct wait *w, json_t *params, print_fn fn)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(vl_reply_done) struct vl_reply reply = { 0 };
	_cleanup_free_ char *full = xasprintf(VL_MANAGER ".%s", w->method);
	int code;

	code = connection_open(w->ctl, &w->client, &err);
	if (code != EXIT_DONE)
		return report(&err, code);
	catch_interrupts();
	if (vl_client_send(w->client, full, params, 1, &err) < 0)
		return report(&err, EXIT_CONNECT);
	code = wait_for_end(w, &reply, &err);
	progress_clear(w->progress);
	print_warnings(w->job);
	if (code != EXIT_DONE)
		return report(&err, code);
	code = finish_reply(w->ctl, w->method, &reply, w->ctl->quiet ? NULL : fn);
	return code == EXIT_DONE && w->judge ? (int)w->judge(reply.parameters) : code;
}

static void print_started(struct ctl *ctl, json_t *reply)
{
	json_t *job = json_member(reply, "job");
	const char *id = json_str(job, "id");

	if (ctl->quiet || !id)
		return;
	printf("job %s started\n", id);
}

int call_job(struct ctl *ctl, const char *method, json_t *params, print_fn fn)
{
	return call_job_judged(ctl, method, params, fn, NULL);
}

int call_job_judged(struct ctl *ctl, const char *method, json_t *params, print_fn fn,
		    enum exit_code (*judge)(json_t *reply))
{
	_cleanup_json_ json_t *owned = params;
	_cleanup_(wait_done) struct wait w = { .ctl = ctl, .method = method, .judge = judge };

	if (args_has(ctl->args, "no-wait")) {
		param_switch(owned, "noWait", ctl->args, "no-wait");
		return query(ctl, method, TAKE_PTR(owned), print_started);
	}
	w.progress = progress_new(!ctl->quiet && !ctl->json);
	return run_job(&w, owned, fn);
}
