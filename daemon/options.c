/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Defaults, configuration file, command line. */
#include "config.h"

#include "daemon/options.h"

#include <getopt.h>
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "layout/plan.h"

#define DEFAULT_CONFIG SYSCONFDIR "/vmsnapd.conf"

enum key_type { KEY_STRING, KEY_INT, KEY_LIMIT };

/* One key of the configuration file; the bounds are those of an integer. */
struct key {
	const char *name;
	enum key_type type;
	size_t offset;
	int min, max;
};

#define STRING(n, f) { n, KEY_STRING, offsetof(struct options, f), 0, 0 }
#define LIMIT(n, f) { n, KEY_LIMIT, offsetof(struct options, f), 0, 0 }
#define INT(n, f, lo, hi) { n, KEY_INT, offsetof(struct options, f), lo, hi }

static const struct key keys[] = {
	STRING("uri", uri),
	STRING("store", store),
	STRING("socket", socket),
	STRING("observer-group", observer_group),
	STRING("operator-group", operator_group),
	STRING("admin-group", admin_group),
	INT("pack-after", pack_after, 0, 36500),
	INT("workers", workers, 1, 64),
	INT("max-jobs", max_jobs, 1, 1024),
	INT("max-chain", max_chain, 0, 200),
	INT("merge-bandwidth", merge_bandwidth, 0, 1 << 30),
	LIMIT("space-warning", space_warning),
	LIMIT("space-critical", space_critical),
	INT("max-pause", max_pause, 0, OPTIONS_MAX_PAUSE),
	INT("max-connections", max_connections, 8, 4096),
	INT("max-connections-per-user", max_connections_per_user, 1, 4096),
};

const char *options_help(void)
{
	return "Usage: vmsnapd [OPTION]...\n"
	       "Keeps virtual machines with their snapshots; serves vmsnapctl and scripts.\n"
	       "\n"
	       "  -c, --config FILE   configuration file (default " DEFAULT_CONFIG ")\n"
	       "  -u, --uri URI       libvirt connection (default qemu:///system);\n"
	       "                      qemu:///embed?root=DIR needs no libvirtd\n"
	       "  -s, --store DIR     where the VM directories are (default " LOCALSTATEDIR "/lib/vmsnap)\n"
	       "  -S, --socket PATH   where to listen (default " RUNSTATEDIR "/vmsnapd/vmsnapd.sock)\n"
	       "  -v, --verbose       log what is done in detail\n"
	       "      --list-steps    print the steps of every operation (with --verbose: what\n"
	       "                      recovery does about each), then exit\n"
	       "  -h, --help          print this, then exit\n"
	       "  -V, --version       print the version, then exit\n";
}

static void set_string(struct options *o, size_t offset, const char *value)
{
	xstrset((char **)((char *)o + offset), value);
}

static int set_int(struct options *o, const struct key *k, const char *value, const char *where, struct err *reterr)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(value, &end, 10);
	if (errno || end == value || *end || v < k->min || v > k->max)
		return err_set(reterr, ERR_INVALID, -EINVAL, "%s: '%s' must be a number from %d to %d, not '%s'", where,
			       k->name, k->min, k->max, value);
	*(int *)((char *)o + k->offset) = (int)v;
	return 0;
}

static int set_limit(struct options *o, const struct key *k, const char *value, const char *where, struct err *reterr)
{
	if (space_limit_parse(value, (struct space_limit *)((char *)o + k->offset)) == 0)
		return 0;
	return err_set(reterr, ERR_INVALID, -EINVAL,
		       "%s: '%s' must be a part of the file system (10%%), a size (50G), both (10%% 50G: the less of "
		       "them) or 0 (never), not '%s'",
		       where, k->name, value);
}

static char *trim(char *s)
{
	char *end;

	while (*s == ' ' || *s == '\t')
		s++;
	end = s + strlen(s);
	while (end > s && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		*--end = '\0';
	return s;
}

static int apply_line(struct options *o, char *line, const char *where, struct err *reterr)
{
	char *name = trim(line), *value = strchr(name, '=');

	if (!*name || *name == '#')
		return 0;
	if (!value)
		return err_set(reterr, ERR_INVALID, -EINVAL, "%s: expected 'key = value', found '%s'", where, name);
	*value++ = '\0';
	name = trim(name);
	value = trim(value);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(keys[i].name, name) != 0)
			continue;
		if (keys[i].type == KEY_INT)
			return set_int(o, &keys[i], value, where, reterr);
		if (keys[i].type == KEY_LIMIT)
			return set_limit(o, &keys[i], value, where, reterr);
		set_string(o, keys[i].offset, *value ? value : NULL);
		return 0;
	}
	return err_set(reterr, ERR_INVALID, -EINVAL, "%s: unknown key '%s'", where, name);
}

static int read_config(struct options *o, struct err *reterr)
{
	const char *file = o->config_file ? o->config_file : DEFAULT_CONFIG;
	_cleanup_free_ char *text = NULL;
	char *save = NULL, *line;
	int number = 0, r;

	r = path_exists(file);
	if (r == 0 && !o->config_file)
		return 0;
	r = file_read(file, 1 << 20, &text, NULL, reterr);
	if (r < 0)
		return r;
	for (line = text; line && *line; line = save) {
		_cleanup_free_ char *where = xasprintf("%s:%d", file, ++number);

		save = strchr(line, '\n');
		if (save)
			*save++ = '\0';
		r = apply_line(o, line, where, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' }, { "uri", required_argument, NULL, 'u' },
	{ "store", required_argument, NULL, 's' },  { "socket", required_argument, NULL, 'S' },
	{ "verbose", no_argument, NULL, 'v' },	    { "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },	    { "list-steps", no_argument, NULL, 'L' },
	{ NULL, 0, NULL, 0 },
};

/* Reads the command line into o; the configuration file's name only when
 * config_only, all else only when not. */
static int read_args(struct options *o, int argc, char **argv, int config_only, struct err *reterr)
{
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, ":c:u:s:S:vhV", long_options, NULL)) >= 0) {
		if (c == '?' || c == ':')
			return err_set(reterr, ERR_INVALID, -EINVAL,
				       c == ':' ? "option '%s' needs an argument" : "unknown option '%s'",
				       argv[optind - 1]);
		if (config_only && c == 'c')
			xstrset(&o->config_file, optarg);
		if (config_only)
			continue;
		if (c == 'u')
			xstrset(&o->uri, optarg);
		else if (c == 's')
			xstrset(&o->store, optarg);
		else if (c == 'S')
			xstrset(&o->socket, optarg);
		o->verbose |= c == 'v';
		o->show_help |= c == 'h';
		o->show_version |= c == 'V';
		o->list_steps |= c == 'L';
	}
	if (optind < argc)
		return err_set(reterr, ERR_INVALID, -EINVAL, "unexpected argument '%s'", argv[optind]);
	return 0;
}

static int make_absolute(char **path, struct err *reterr)
{
	_cleanup_free_ char *cwd = NULL;
	char *joined;

	if (!*path || **path == '/')
		return 0;
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return err_errno(reterr, errno, "cannot tell the working directory");
	joined = path_join(cwd, *path);
	cleanup_free(path);
	*path = joined;
	return 0;
}

int options_load(int argc, char **argv, struct options *ret_opts, struct err *reterr)
{
	struct options o = { .workers = 4, .max_jobs = 64, .max_connections = 256, .max_connections_per_user = 32,
			     .max_chain = PLAN_MAX_CHAIN,
			     .space_warning = SPACE_LIMIT_WARNING, .space_critical = SPACE_LIMIT_CRITICAL };
	int r;

	o.uri = xstrdup("qemu:///system");
	o.store = xstrdup(LOCALSTATEDIR "/lib/vmsnap");
	o.socket = xstrdup(RUNSTATEDIR "/vmsnapd/vmsnapd.sock");
	o.operator_group = xstrdup("vmsnap");
	r = read_args(&o, argc, argv, 1, reterr);
	if (!r)
		r = read_config(&o, reterr);
	if (!r)
		r = read_args(&o, argc, argv, 0, reterr);
	if (!r)
		r = make_absolute(&o.store, reterr);
	if (!r)
		r = make_absolute(&o.socket, reterr);
	if (!r && (!o.uri || !o.store || !o.socket))
		r = err_set(reterr, ERR_INVALID, -EINVAL, "uri, store and socket must not be empty");
	if (r < 0)
		options_done(&o);
	else
		*ret_opts = o;
	return r;
}

void options_done(struct options *opts)
{
	cleanup_free(&opts->config_file);
	cleanup_free(&opts->uri);
	cleanup_free(&opts->store);
	cleanup_free(&opts->socket);
	cleanup_free(&opts->observer_group);
	cleanup_free(&opts->operator_group);
	cleanup_free(&opts->admin_group);
}
