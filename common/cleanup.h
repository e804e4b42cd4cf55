/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ownership made visible: locals that free themselves, and the marks for
 * values that leave a function. */
#ifndef COMMON_CLEANUP_H
#define COMMON_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _must_check_ __attribute__((warn_unused_result))
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))
#define _unused_ __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Hand an owned pointer or descriptor on: the local no longer owns it. */
#define TAKE_PTR(p)                     \
	({                              \
		__typeof__(p) *p_ = &(p); \
		__typeof__(p) v_ = *p_;   \
		*p_ = NULL;             \
		v_;                     \
	})
#define TAKE_FD(fd)             \
	({                      \
		int *fd_ = &(fd); \
		int v_ = *fd_;    \
		*fd_ = -1;      \
		v_;             \
	})

/* Defines <func>p(), the cleanup handler of a local `type *`. func takes NULL. */
#define DEFINE_CLEANUP(type, func)                      \
	static inline _unused_ void func##p(type **p)   \
	{                                               \
		if (*p)                                 \
			func(*p);                       \
		*p = NULL;                              \
	}                                               \
	struct allow_semicolon_

static inline _unused_ void cleanup_free(void *p)
{
	free(*(void **)p);
	*(void **)p = NULL;
}

static inline _unused_ void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline _unused_ void cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
	*f = NULL;
}

#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)

/* Says that a result is ignored on purpose; the reason stands beside the call. */
static inline _unused_ void ignore_result(int r _unused_)
{
}

#endif
