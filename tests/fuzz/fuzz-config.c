/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: configuration documents. What is accepted must be written, and
 * what was written must be accepted and written the same again. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "xmlcfg/config.h"

#define SMALL 16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_source_schema(void)
{
	static char *dir;
	const char *srcdir = getenv("srcdir");

	if (dir)
		return;
	dir = path_join(srcdir ? srcdir : ".", "xmlcfg");
	config_set_schema_dir(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_config_ struct config *cfg = NULL, *copy = NULL, *again = NULL;
	_cleanup_free_ char *first = NULL, *second = NULL;
	size_t len = 0;

	use_source_schema();
	if (config_parse((const char *)data, size, "fuzz.xml", &cfg, &err) < 0) {
		if (!err.message || cfg)
			abort();
		return 0;
	}
	copy = config_copy(cfg);
	/* Indenting can make a large document too large to be written, but no small one. */
	if (config_format(copy, &first, &len, &err) < 0) {
		if (size < SMALL)
			abort();
		return 0;
	}
	if (config_parse(first, len, "first.xml", &again, &err) < 0)
		abort();
	if (config_format(again, &second, NULL, &err) < 0 || strcmp(first, second))
		abort();
	return 0;
}
