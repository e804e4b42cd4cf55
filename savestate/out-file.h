/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file that is being made: under a name of its own until it is whole. */
#ifndef SAVESTATE_OUT_FILE_H
#define SAVESTATE_OUT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

/* tmp is PATH.tmp, or .NAME.tmp beside; both *owned*. */
struct out_file {
	int fd;
	char *path, *tmp;
};

#define OUT_FILE_INIT \
	{             \
		.fd = -1 \
	}

/* Makes PATH.tmp, mode 0600, anew (what a crash left under that name is removed).
 * Returns 0 or negative errno. */
_must_check_ int out_file_open(struct out_file *out, const char *path, struct err *reterr);

/* The same under the name .NAME.tmp in the same directory. */
_must_check_ int out_file_open_hidden(struct out_file *out, const char *path, struct err *reterr);

/* Writes len bytes at an offset. Returns 0 or negative errno. */
_must_check_ int out_file_write(const struct out_file *out, const void *data, size_t len, uint64_t offset,
				struct err *reterr);

/* Makes an empty one share all blocks of the file at fd (*borrowed*), where the file system can
 * (reflink): what is written afterwards goes elsewhere. Returns 1 if it did, 0 if it cannot. */
int out_file_clone(const struct out_file *out, int fd);

/* Lets the disk begin with what was written so far; a hint, nothing is waited for. */
void out_file_hurry(const struct out_file *out);

/* Makes what was written durable. Returns 0 or negative errno. */
_must_check_ int out_file_sync(const struct out_file *out, struct err *reterr);

/* Gives it its name; the directory is not synced. Returns 0 or negative errno. */
_must_check_ int out_file_publish(struct out_file *out, struct err *reterr);

/* Closes it, and removes it unless it was published. Takes an empty one. */
void out_file_done(struct out_file *out);

#endif
