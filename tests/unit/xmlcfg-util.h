/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of xmlcfg share: finding tests/xml, and comparing with a golden
 * file there. VMSNAP_REGENERATE=1 writes the golden files anew instead: look at
 * what git says has changed before you commit them. */
#ifndef TESTS_XMLCFG_UTIL_H
#define TESTS_XMLCFG_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "xmlcfg/config.h"

/* Path below the top of the sources, *owned*. */
static inline _unused_ char *source_path(const char *name)
{
	const char *srcdir = getenv("srcdir");

	return path_join(srcdir ? srcdir : ".", name);
}

/* The schema of this source tree, not an installed one. */
static inline _unused_ int use_source_schema(void **state _unused_)
{
	static char *dir;

	if (!dir)
		dir = source_path("xmlcfg");
	config_set_schema_dir(dir);
	return 0;
}

/* Content of a file below tests/xml, *owned*. */
static inline _unused_ char *golden_read(const char *name)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *dir = source_path("tests/xml"), *path = path_join(dir, name);
	char *text = NULL;

	if (file_read(path, 16 << 20, &text, NULL, &err) < 0)
		fail_msg("%s", err.message);
	return text;
}

/* Fails unless text is what the golden file holds. */
static inline _unused_ void golden_check(const char *name, const char *text)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *dir = source_path("tests/xml"), *path = path_join(dir, name), *golden = NULL;

	if (getenv("VMSNAP_REGENERATE")) {
		if (file_replace(path, text, strlen(text), 0644, &err) < 0)
			fail_msg("%s", err.message);
		return;
	}
	golden = golden_read(name);
	if (strcmp(golden, text))
		fail_msg("%s is not what it was (VMSNAP_REGENERATE=1 writes it anew); now:\n%s", name, text);
}

/* The words behind "<!-- expect: " in a text, *owned*. Not inlined: gcc 12 then takes
 * the text for a local variable of its own, which has gone (-Wdangling-pointer). */
static __attribute__((noinline)) _unused_ char *expectation(const char *name, const char *text)
{
	const char *start = strstr(text, "<!-- expect: "), *end = start ? strstr(start, " -->") : NULL;

	if (!end)
		fail_msg("%s does not say what message it expects", name);
	start += strlen("<!-- expect: ");
	return xstrndup(start, (size_t)(end - start));
}

/* Calls check for each file of a folder below tests/xml; at least `least` of them. */
static inline _unused_ void each_file(const char *folder, size_t least,
				      void (*check)(const char *name, const char *text))
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *top = source_path("tests/xml"), *dir = path_join(top, folder);
	_cleanup_strv_ char **names = NULL;
	char **n;

	if (dir_list(dir, &names, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(strv_count(names) >= least);
	for (n = names; *n; n++) {
		_cleanup_free_ char *name = path_join(folder, *n), *text = golden_read(name);

		check(name, text);
	}
}

#endif
