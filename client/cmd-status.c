/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status, doctor, bridge: the daemon itself. */
#include <stdio.h>

#include "client/bridge.h"
#include "client/connection.h"
#include "client/output.h"
#include "client/show.h"
#include "common/alloc.h"

static void print_status(struct ctl *ctl, json_t *reply)
{
	print_pair("Version", json_str(reply, "version"));
	print_pair("Socket", ctl->address);
	print_pair("URI", json_str(reply, "uri"));
	print_pair("Hypervisor", json_str(reply, "hypervisor"));
	print_pair("Connected", json_flag(reply, "connected") ? "yes" : "no");
	print_pair("Store", json_str(reply, "store"));
	print_pair_take("VMs", xasprintf("%lld", (long long)json_num(reply, "vms")));
	print_pair_take("Jobs running", xasprintf("%lld", (long long)json_num(reply, "jobsRunning")));
	print_pair_take("Started", show_time(reply, "startedUSec"));
	show_problems(json_member(reply, "problems"));
}

static int status_show(struct ctl *ctl)
{
	return query(ctl, "GetStatus", NULL, print_status);
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

const struct command status_commands[] = {
	{ "status", NULL, "", 0, 0, NULL, 0, status_show, "tell how the daemon is" },
	{ "doctor", NULL, "VM", 1, 1, NULL, 0, doctor, "tell how a snapshot of a VM would be taken, and what to set" },
	{ "bridge", NULL, "", 0, 0, NULL, 0, bridge, "join standard input and output with the daemon's socket" },
	{ NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL },
};
