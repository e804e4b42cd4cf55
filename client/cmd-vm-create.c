/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vm create, vm adopt: how VMs come under management. */
#include <stdio.h>
#include <string.h>

#include "client/jobcall.h"
#include "client/output.h"
#include "common/alloc.h"

static void print_made(struct ctl *ctl, json_t *reply)
{
	json_t *vm = json_member(reply, "vm");
	_cleanup_free_ char *name = text_clean(json_str(vm, "name") ? json_str(vm, "name") : "");
	_cleanup_free_ char *directory = text_clean(json_str(vm, "directory") ? json_str(vm, "directory") : "");

	printf("VM '%s' %s in %s\n", name, strcmp(ctl->args->cmd->verb, "adopt") == 0 ? "adopted" : "created",
	       directory);
}

/* Adds a path option as an absolute path. Returns 0 or negative errno. */
static int param_path(json_t *params, const char *key, const struct args *args, const char *option, struct err *reterr)
{
	_cleanup_free_ char *path = NULL;
	int r = args_path(args, option, &path, reterr);

	if (r == 0)
		param_text(params, key, path);
	return r;
}

static int check_disk(const struct args *args, struct err *reterr)
{
	int r = args_exclusive(args, "disk", "import-disk", reterr);

	if (r < 0)
		return r;
	if (!args_has(args, "disk") && !args_has(args, "import-disk")) {
		err_set(reterr, ERR_INVALID, -EINVAL, "the VM needs a disk");
		err_hint(reterr, "Give --disk SIZE for a new one, or --import-disk FILE for a copy of an image.");
		return -EINVAL;
	}
	if (args_has(args, "import-disk") || !args_has(args, "import-format"))
		return 0;
	return err_set(reterr, ERR_INVALID, -EINVAL, "option '--import-format' goes with '--import-disk'");
}

static int pack_create(const struct args *args, json_t *params, struct err *reterr)
{
	int64_t memory = 0, vcpus = 0, disk = 0;
	int r;

	if ((r = check_disk(args, reterr)) < 0 || (r = args_size(args, "memory", &memory, reterr)) < 0 ||
	    (r = args_number(args, "vcpus", 1, 4096, &vcpus, reterr)) < 0 ||
	    (r = args_size(args, "disk", &disk, reterr)) < 0 ||
	    (r = param_path(params, "importDisk", args, "import-disk", reterr)) < 0 ||
	    (r = param_path(params, "cdrom", args, "cdrom", reterr)) < 0 ||
	    (r = param_path(params, "consoleLog", args, "console-log", reterr)) < 0)
		return r;
	param_text(params, "name", args_word(args, 0));
	param_number(params, "memoryBytes", memory);
	param_number(params, "vcpus", vcpus);
	if (args_has(args, "disk"))
		param_number(params, "diskBytes", disk);
	param_text(params, "importFormat", args_option(args, "import-format"));
	param_text(params, "network", args_option(args, "network"));
	param_switch(params, "uefi", args, "uefi");
	param_switch(params, "tpm", args, "tpm");
	param_text(params, "notes", args_option(args, "notes"));
	return 0;
}

static int vm_create(struct ctl *ctl)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_json_ json_t *params = json_object();

	if (pack_create(ctl->args, params, &err) < 0)
		return report_usage(&err);
	return call_job(ctl, "CreateVM", TAKE_PTR(params), print_made);
}

static int vm_adopt(struct ctl *ctl)
{
	json_t *params = json_object();

	param_text(params, "domain", args_word(ctl->args, 0));
	param_switch(params, "convert", ctl->args, "convert");
	return call_job(ctl, "AdoptVM", params, print_made);
}

static const struct option_row create_options[] = {
	{ "memory", "SIZE", OPTION_REQUIRED, "size of the guest's memory" },
	{ "vcpus", "N", OPTION_REQUIRED, "number of virtual CPUs" },
	{ "disk", "SIZE", 0, "new, empty base disk of that size" },
	{ "import-disk", "FILE", 0, "base disk as a copy of this image" },
	{ "import-format", "FORMAT", 0, "format of that image, as qcow2, raw, vpc" },
	{ "cdrom", "FILE", 0, "image in the CD-ROM drive" },
	{ "network", "NET", 0, "libvirt network to connect to" },
	{ "uefi", NULL, 0, "start with UEFI instead of BIOS" },
	{ "tpm", NULL, 0, "give it an emulated TPM" },
	{ "console-log", "FILE", 0, "write the serial console to this file" },
	{ "notes", "TEXT", 0, "free text" },
	{ NULL, NULL, 0, NULL },
};

static const struct option_row adopt_options[] = {
	{ "convert", NULL, 0, "convert disks whose format forbids snapshots" },
	{ NULL, NULL, 0, NULL },
};

const struct command vm_make_commands[] = {
	{ "vm", "create", "NAME", 1, 1, create_options, COMMAND_JOB, vm_create, "create a VM" },
	{ "vm", "adopt", "DOMAIN", 1, 1, adopt_options, COMMAND_JOB, vm_adopt,
	  "take a libvirt domain under management" },
	{ NULL, NULL, NULL, 0, 0, NULL, 0, NULL, NULL },
};
