/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The save state library for scripts: what its functions do, one call each.
 *
 *   split-tool split [--bare XML] [--chunk N] [--replace BLOCK FILE] NAME [PARENT...] <STREAM
 *   split-tool join [--bare] [--xml FILE] NAME [PARENT...] >STREAM
 *   split-tool verify NAME [PARENT...]
 *   split-tool extract FILE NAME [PARENT...]
 *   split-tool fold NAME PARENT
 *
 * NAME stands for NAME.vsv and NAME.bin. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "savestate/join.h"
#include "savestate/split.h"

#define MAX_CHUNK (1 << 20)

/* The command line as far as it is read. */
static char **args;

static struct save_files files[VSV_MAX_CHAIN];
static size_t n_files;

static const char *option(const char *name)
{
	if (!args[0] || strcmp(args[0], name) != 0 || !args[1])
		return NULL;
	args += 2;
	return args[-1];
}

/* The rest of the command line are names. */
static int take_files(void)
{
	for (; *args && n_files < VSV_MAX_CHAIN; args++) {
		files[n_files].vsv = xasprintf("%s.vsv", *args);
		files[n_files++].bin = xasprintf("%s.bin", *args);
	}
	return n_files > 0 && !*args;
}

static int feed_all(struct split *s, size_t chunk, struct err *reterr)
{
	static char buf[MAX_CHUNK];

	for (;;) {
		ssize_t n = read(STDIN_FILENO, buf, chunk);
		int r;

		if (n <= 0)
			return n < 0 ? err_errno(reterr, -errno, "cannot read") : 0;
		r = split_feed(s, buf, (size_t)n, reterr);
		if (r < 0)
			return r;
	}
}

static void print_result(const struct split_result *result)
{
	static const char *const forms[] = { "all", "partly", "nothing" };

	printf("form %s\nabsent %" PRIu64 "\nzero %" PRIu64 "\ndata %" PRIu64 "\nparent %" PRIu64 "\nwhy %s\n",
	       forms[result->form], result->pages[PAGE_ABSENT], result->pages[PAGE_ZERO], result->pages[PAGE_DATA],
	       result->pages[PAGE_PARENT], result->why ? result->why : "-");
}

static int run_split(struct err *reterr)
{
	_cleanup_(split_result_done) struct split_result result = { 0 };
	_cleanup_split_ struct split *s = NULL;
	const char *xml = option("--bare"), *chunk = option("--chunk"), *block = option("--replace"), *path = NULL;
	struct split_opts opts = { .xml = xml, .was_running = 1, .guid = guid_new() };
	int r;

	if (block)
		path = *args++;
	if (!take_files())
		return -EINVAL;
	opts.vsv = files[0].vsv;
	opts.bin = files[0].bin;
	opts.parents = files + 1;
	for (size_t i = 1; i < n_files; i++) { /* differences on every file system */
		free((char *)files[i].bin);
		files[i].bin = NULL;
	}
	opts.n_parents = n_files - 1;
	r = split_new(&opts, &s, reterr);
	if (r >= 0)
		r = feed_all(s, chunk ? (size_t)atoi(chunk) : MAX_CHUNK, reterr);
	if (r >= 0 && block)
		r = split_replace(s, block, path, reterr);
	if (r >= 0)
		r = split_finish(s, &result, reterr);
	if (r >= 0)
		print_result(&result);
	return r;
}

static int run_join(struct err *reterr)
{
	struct join_opts opts = { .head = JOIN_RESUME };
	_cleanup_free_ char *xml = NULL;
	const char *path;

	if (args[0] && strcmp(args[0], "--bare") == 0) {
		opts.head = JOIN_NONE;
		args++;
	}
	path = option("--xml");
	if (path && file_read(path, 1 << 20, &xml, NULL, reterr) < 0)
		return -EIO;
	opts.xml = xml;
	return take_files() ? join_stream(files, n_files, &opts, STDOUT_FILENO, reterr) : -EINVAL;
}

static int run_extract(struct err *reterr)
{
	const char *path = args[0] ? *args++ : NULL;
	_cleanup_close_ int fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;

	return fd >= 0 && take_files() ? join_extract(files, n_files, fd, path, NULL, NULL, reterr) : -EINVAL;
}

static int run(const char *verb, struct err *reterr)
{
	if (strcmp(verb, "split") == 0)
		return run_split(reterr);
	if (strcmp(verb, "join") == 0)
		return run_join(reterr);
	if (strcmp(verb, "extract") == 0)
		return run_extract(reterr);
	if (!take_files())
		return -EINVAL;
	if (strcmp(verb, "verify") == 0)
		return join_verify(files, n_files, NULL, NULL, reterr);
	if (strcmp(verb, "fold") == 0 && n_files >= 2)
		return join_fold(files, n_files, &files[0], NULL, NULL, reterr);
	return -EINVAL;
}

int main(int argc, char **argv)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	if (argc < 3)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	args = argv + 2;
	r = run(argv[1], &err);
	for (size_t i = 0; i < n_files; i++) {
		free((char *)files[i].vsv);
		free((char *)files[i].bin);
	}
	if (r < 0)
		fprintf(stderr, "split-tool: %s\n", err.message ? err.message : "usage");
	return r < 0;
}
