/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Log lines to standard error. */
#include "common/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"

static enum log_level max_level = LOG_LEVEL_INFO;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void log_set_level(enum log_level max)
{
	max_level = max;
}

/* journald names the stream it reads: only then does it strip "<N>". A standard
 * error that was redirected since (a test, a shell) is somebody else's. */
static int journal_reads_stderr(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == dev && st.st_ino == ino;
}

/* One line per record: what a guest or a file name contains cannot forge another. */
static void blank_controls(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = ' ';
}

/* Takes text. */
static void emit(enum log_level level, char *text)
{
	static const char *const words[] = {
		[LOG_LEVEL_ERROR] = "error: ", [LOG_LEVEL_WARNING] = "warning: ",
		[LOG_LEVEL_INFO] = "", [LOG_LEVEL_DEBUG] = "debug: ",
	};
	_cleanup_free_ char *owned = text;

	blank_controls(owned);
	pthread_mutex_lock(&lock);
	if (journal_reads_stderr())
		fprintf(stderr, "<%d>%s\n", (int)level, owned);
	else
		fprintf(stderr, "%s%s\n", words[level] ? words[level] : "", owned);
	fflush(stderr);
	pthread_mutex_unlock(&lock);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	emit(level, xvasprintf(fmt, ap));
	va_end(ap);
}

static int mentions(const char *text, const char *word)
{
	return strstr(text, word) != NULL;
}

void log_err(enum log_level level, const struct err *err, const char *fmt, ...)
{
	_cleanup_free_ char *prefix = NULL, *text = NULL, *vm = NULL, *file = NULL;
	va_list ap;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	prefix = xvasprintf(fmt, ap);
	va_end(ap);
	text = err_text(err);
	/* often the sentence names them itself */
	if (err->vm && !mentions(text, err->vm) && !mentions(prefix, err->vm))
		vm = xasprintf(" [VM %s]", err->vm);
	if (err->file && !mentions(text, err->file) && !mentions(prefix, err->file))
		file = xasprintf(" [file %s]", err->file);
	emit(level, xasprintf("%s: %s%s%s", prefix, text, vm ? vm : "", file ? file : ""));
}
