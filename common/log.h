/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Log lines to standard error, with the "<N>" priority prefix when journald
 * reads it (JOURNAL_STREAM is set). Library folders use LOG_DEBUG only. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/cleanup.h"
#include "common/err.h"

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* Lines above this level are dropped. The start is LOG_LEVEL_INFO. Threads may
 * log at any time; this is called before they start. */
void log_set_level(enum log_level max);

/* Writes one line. Newlines and control characters in it are shown as spaces. */
void log_line(enum log_level level, const char *fmt, ...) _printf_(2, 3);

/* Writes an error once, with its hint, VM and file, behind a formatted prefix. */
void log_err(enum log_level level, const struct err *err, const char *fmt, ...) _printf_(3, 4);

#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
