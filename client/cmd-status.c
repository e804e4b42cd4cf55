/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status, doctor, bridge: the daemon itself. */
#include <stdio.h>
#include <string.h>

#include "client/bridge.h"
#include "client/connection.h"
#include "client/output.h"
#include "client/show.h"
#include "common/alloc.h"
#include "varlink/manager.h"

/* "warning: 5.1 MiB of 64 MiB free in '/store'" *Owned*. */
static char *space_text(json_t *fs)
{
	_cleanup_free_ char *path = text_clean(json_str(fs, "path") ? json_str(fs, "path") : "?");
	_cleanup_free_ char *level = text_clean(json_str(fs, "level") ? json_str(fs, "level") : "?");
	_cleanup_free_ char *room = show_bytes(fs, "freeBytes"), *total = show_bytes(fs, "totalBytes");

	return xasprintf("%s: %s of %s free in '%s'", level, room ? room : "?", total ? total : "?", path);
}

static enum exit_code judge_space(json_t *reply)
{
	json_t *list = json_member(reply, "fileSystems"), *fs;
	enum exit_code code = EXIT_DONE;
	size_t i;

	json_array_foreach(list, i, fs) {
		const char *level = json_str(fs, "level");

		if (level && strcmp(level, "critical") == 0)
			code = EXIT_NO_SPACE_SOON;
		else if (level && strcmp(level, "warning") == 0 && code == EXIT_DONE)
			code = EXIT_LITTLE_SPACE;
	}
	return code;
}

static void print_status(struct ctl *ctl, json_t *reply)
{
	json_t *list = json_member(reply, "fileSystems"), *fs;
	size_t i;

	print_pair("Version", json_str(reply, "version"));
	print_pair("Socket", ctl->address);
	print_pair("URI", json_str(reply, "uri"));
	print_pair("Hypervisor", json_str(reply, "hypervisor"));
	print_pair("Connected", json_flag(reply, "connected") ? "yes" : "no");
	print_pair("Store", json_str(reply, "store"));
	print_pair_take("VMs", xasprintf("%lld", (long long)json_num(reply, "vms")));
	print_pair_take("Jobs running", xasprintf("%lld", (long long)json_num(reply, "jobsRunning")));
	print_pair_take("Started", show_time(reply, "startedUSec"));
	json_array_foreach(list, i, fs)
		print_pair_take("Space", space_text(fs));
	show_problems(json_member(reply, "problems"));
}

/* One change of the stream. */
static void print_space(struct ctl *ctl, json_t *reply)
{
	json_t *fs = json_member(reply, "fileSystem");
	_cleanup_free_ char *text = NULL;

	if (!json_is_object(fs))
		return;
	if (ctl->json) {
		print_json(NULL, reply);
	} else {
		text = space_text(fs);
		puts(text);
	}
	fflush(stdout);
}

/* Until the connection ends. */
static int watch_space(struct ctl *ctl)
{
	_cleanup_(vl_client_closep) struct vl_client *client = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_json_ json_t *params = json_object();
	int code = connection_open(ctl, &client, &err);

	if (code == EXIT_DONE && vl_client_send(client, VL_MANAGER ".WatchSpace", params, 1, &err) < 0)
		code = EXIT_CONNECT;
	while (code == EXIT_DONE) {
		_cleanup_(vl_reply_done) struct vl_reply reply = { 0 };
		int r = vl_client_receive(client, -1, &reply, NULL, &err);

		if (r == -EINTR) {
			err_done(&err);
			continue;
		}
		if (r < 0)
			code = EXIT_CONNECT;
		else if (reply.error || !reply.continues)
			return finish_reply(ctl, "WatchSpace", &reply, NULL);
		else
			print_space(ctl, reply.parameters);
	}
	return report(&err, code);
}

static int status_show(struct ctl *ctl)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(vl_reply_done) struct vl_reply reply = { 0 };
	_cleanup_json_ json_t *params = json_object();
	int code;

	if (args_has(ctl->args, "watch"))
		return watch_space(ctl);
	code = call_once(ctl, "GetStatus", params, -1, &reply, &err);
	if (code != EXIT_DONE)
		return report(&err, code);
	code = finish_reply(ctl, "GetStatus", &reply, print_status);
	if (code == EXIT_DONE && !reply.error)
		code = (int)judge_space(reply.parameters);
	return code;
}

static void print_diagnosis(struct ctl *ctl, json_t *reply)
{
	print_pair("VM", args_word(ctl->args, 0));
	print_pair("Capture mode", json_str(reply, "mode"));
	print_pair("Reason", json_str(reply, "reason"));
	show_problems(json_member(reply, "problems"));
}

static int doctor(struct ctl *ctl)
{
	json_t *params = json_object();

	param_text(params, "vm", args_word(ctl->args, 0));
	return query(ctl, "DiagnoseVM", params, print_diagnosis);
}

static int bridge(struct ctl *ctl)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_close_ int fd = -1;
	int r;

	r = bridge_connect(ctl->address, &fd, &err);
	if (r < 0)
		return report(&err, r == -EACCES || r == -EPERM ? EXIT_PERMISSION : EXIT_CONNECT);
	if (bridge_run(STDIN_FILENO, STDOUT_FILENO, fd, &err) < 0)
		return report(&err, EXIT_CONNECT);
	return EXIT_DONE;
}

static const struct option_row status_options[] = {
	{ "watch", NULL, 0, "tell how much space is free, and go on to tell when it gets little" },
	{ NULL, NULL, 0, NULL },
};

const struct command status_commands[] = {
	{ "status", NULL, "", 0, 0, status_options, 0, status_show, "tell how the daemon is" },
	{ "doctor", NULL, "VM", 1, 1, NULL, 0, doctor, "tell how a snapshot of a VM would be taken, and what to set" },
	{ "bridge", NULL, "", 0, 0, NULL, 0, bridge, "join standard input and output with the daemon's socket" },
	{ NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL },
};
