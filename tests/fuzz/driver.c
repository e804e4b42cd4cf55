/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Main program of the fuzz targets: runs the files named, or all seeds of the
 * target, tests/fuzz/corpus/NAME for the program fuzz-NAME. With libFuzzer,
 * which brings a main program of its own, it only makes "make check" do that. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"

#define SEED_MAX (64 * 1024 * 1024)

/* The target, in its own file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Seeds of the target; argv0 may be a path. Returns it *owned*. */
static char *corpus_of(const char *argv0)
{
	const char *name = path_basename(argv0);
	const char *srcdir = getenv("srcdir");

	if (strncmp(name, "fuzz-", 5) == 0)
		name += 5;
	return xasprintf("%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".", name);
}

#ifdef FUZZERS

/* libFuzzer's own hook, called before it reads its arguments. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char **args = NULL;

	if (*argc > 1 || !getenv("srcdir"))
		return 0;
	/* the arguments live as long as the program */
	strv_push(&args, (*argv)[0]);
	strv_push(&args, xstrdup("-runs=0"));
	strv_push(&args, corpus_of((*argv)[0]));
	*argv = args;
	*argc = 3;
	return 0;
}

#else

static int run_file(const char *path)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *data = NULL, *exact = NULL;
	size_t len;

	if (file_read(path, SEED_MAX, &data, &len, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	/* of the exact size, so that one byte too far is seen; the last name printed is the culprit */
	exact = xcalloc(len, 1);
	memcpy(exact, data, len);
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput((const uint8_t *)exact, len);
	return 0;
}

static int run_corpus(const char *dir)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_strv_ char **names = NULL;
	int failed = 0;

	if (dir_list(dir, &names, &err) < 0) {
		fprintf(stderr, "no seeds: %s\n", err.message);
		return 1;
	}
	if (strv_count(names) == 0) {
		fprintf(stderr, "no seeds: %s is empty\n", dir);
		return 1;
	}
	for (char **name = names; *name; name++) {
		_cleanup_free_ char *path = path_join(dir, *name);

		failed |= run_file(path);
	}
	return failed;
}

int main(int argc, char **argv)
{
	_cleanup_free_ char *corpus = NULL;
	int failed = 0;

	if (argc < 2) {
		corpus = corpus_of(argv[0]);
		return run_corpus(corpus);
	}
	for (int i = 1; i < argc; i++)
		failed |= run_file(argv[i]);
	return failed;
}

#endif
