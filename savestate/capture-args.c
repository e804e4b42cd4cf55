/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What vmsnap-capture is told on its command line. */
#define _GNU_SOURCE
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "common/alloc.h"
#include "savestate/capture.h"

enum { DIR_OPT = 1, VSV, BIN, GUID, XML, WAS_RUNNING, PARENT_VSV, PARENT_BIN, PREFILL, MAX_RAM, REPLACE };

static const struct option options[] = {
	{ "dir", required_argument, NULL, DIR_OPT },
	{ "vsv", required_argument, NULL, VSV },
	{ "bin", required_argument, NULL, BIN },
	{ "guid", required_argument, NULL, GUID },
	{ "xml", required_argument, NULL, XML },
	{ "was-running", no_argument, NULL, WAS_RUNNING },
	{ "parent-vsv", required_argument, NULL, PARENT_VSV },
	{ "parent-bin", required_argument, NULL, PARENT_BIN }, /* of the parent just named */
	{ "prefill", required_argument, NULL, PREFILL },
	{ "max-ram", required_argument, NULL, MAX_RAM },
	{ "replace", required_argument, NULL, REPLACE }, /* BLOCK=FILE */
	{ NULL, 0, NULL, 0 },
};

static void push_text(char ***list, const char *option, const char *value)
{
	if (value)
		strv_push(list, xasprintf("--%s=%s", option, value));
}

static void push_number(char ***list, const char *option, uint64_t value)
{
	strv_push(list, xasprintf("--%s=%" PRIu64, option, value));
}

char **capture_argv(const char *program, const struct capture_spec *spec)
{
	char **list = NULL;

	strv_push(&list, xstrdup(program));
	push_text(&list, "dir", spec->dir);
	push_text(&list, "vsv", spec->vsv);
	push_text(&list, "bin", spec->bin);
	push_text(&list, "guid", spec->guid.s);
	push_text(&list, "xml", spec->xml_file);
	if (spec->was_running)
		strv_push(&list, xstrdup("--was-running"));
	for (size_t i = 0; i < spec->n_parents; i++) {
		push_text(&list, "parent-vsv", spec->parents[i].vsv);
		push_text(&list, "parent-bin", spec->parents[i].bin);
	}
	push_number(&list, "prefill", spec->prefill);
	push_number(&list, "max-ram", spec->max_ram);
	for (size_t i = 0; i < spec->n_replace; i++)
		strv_push(&list, xasprintf("--replace=%s=%s", spec->replace[i].block, spec->replace[i].file));
	return list;
}

static int take_number(const char *text, uint64_t *ret_value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*ret_value = strtoull(text, &end, 10);
	return errno || *end ? -EINVAL : 0;
}

static int take_parent(struct capture_args *args, const char *vsv)
{
	if (args->spec.n_parents == VSV_MAX_CHAIN)
		return -EINVAL;
	args->parents[args->spec.n_parents++] = (struct save_files){ .vsv = vsv };
	return 0;
}

static int take_parent_bin(struct capture_args *args, const char *bin)
{
	if (args->spec.n_parents == 0 || args->parents[args->spec.n_parents - 1].bin)
		return -EINVAL;
	args->parents[args->spec.n_parents - 1].bin = bin;
	return 0;
}

static int take_replace(struct capture_args *args, char *text)
{
	char *equals = strchr(text, '=');

	if (!equals || args->spec.n_replace == CAPTURE_MAX_REPLACE)
		return -EINVAL;
	*equals = '\0';
	args->replace[args->spec.n_replace++] = (struct capture_replace){ .block = text, .file = equals + 1 };
	return 0;
}

static int take_option(struct capture_args *args, int option, char *value)
{
	struct capture_spec *spec = &args->spec;

	switch (option) {
	case DIR_OPT:
		spec->dir = value;
		return 0;
	case VSV:
		spec->vsv = value;
		return 0;
	case BIN:
		spec->bin = value;
		return 0;
	case GUID:
		return guid_parse(value, &spec->guid);
	case XML:
		spec->xml_file = value;
		return 0;
	case WAS_RUNNING:
		spec->was_running = 1;
		return 0;
	case PARENT_VSV:
		return take_parent(args, value);
	case PARENT_BIN:
		return take_parent_bin(args, value);
	case PREFILL:
		return take_number(value, &spec->prefill);
	case MAX_RAM:
		return take_number(value, &spec->max_ram);
	case REPLACE:
		return take_replace(args, value);
	default:
		return -EINVAL;
	}
}

int capture_parse_args(int argc, char **argv, struct capture_args *ret_args, struct err *reterr)
{
	struct capture_spec *spec = &ret_args->spec;
	int option;

	*ret_args = (struct capture_args){ 0 };
	spec->parents = ret_args->parents;
	spec->replace = ret_args->replace;
	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (take_option(ret_args, option, optarg) < 0)
			return err_set(reterr, ERR_INVALID, -EINVAL, "'%s' is not an argument of vmsnap-capture",
				       argv[optind - 1]);
	if (optind != argc || !spec->dir || !spec->vsv || !spec->bin || !spec->xml_file || guid_is_none(&spec->guid))
		return err_set(reterr, ERR_INVALID, -EINVAL,
			       "vmsnap-capture is started by vmsnapd, which tells it what to write");
	return 0;
}
