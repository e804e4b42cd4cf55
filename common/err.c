/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one error object. */
#define _GNU_SOURCE
#include "common/err.h"

#include <stdarg.h>
#include <string.h>

#include "common/alloc.h"

static int normal_code(int code)
{
	if (code == 0)
		return -EIO;
	return code < 0 ? code : -code;
}

/* Takes message. The first error stays: it is nearest to the cause. */
static int fill(struct err *err, enum err_kind kind, int code, char *message)
{
	_cleanup_free_ char *owned = message;

	if (err && err->kind == ERR_NONE) {
		err->kind = kind;
		err->code = code;
		err->message = TAKE_PTR(owned);
	}
	return code;
}

static char *with_errno(const char *fmt, va_list ap, int code)
{
	_cleanup_free_ char *what = xvasprintf(fmt, ap);
	char buf[128];

	return xasprintf("%s: %s", what, strerror_r(-code, buf, sizeof(buf)));
}

int err_set(struct err *reterr, enum err_kind kind, int code, const char *fmt, ...)
{
	va_list ap;
	char *message;

	va_start(ap, fmt);
	message = xvasprintf(fmt, ap);
	va_end(ap);
	return fill(reterr, kind == ERR_NONE ? ERR_FAILED : kind, normal_code(code), message);
}

int err_full(struct err *reterr, enum err_kind kind, int code, const char *vm, const char *file, const char *hint,
	     const char *fmt, ...)
{
	int fresh = reterr && !err_is_set(reterr);
	va_list ap;
	char *message;

	va_start(ap, fmt);
	message = xvasprintf(fmt, ap);
	va_end(ap);
	code = fill(reterr, kind == ERR_NONE ? ERR_FAILED : kind, normal_code(code), message);
	if (fresh) {
		reterr->vm = xstrdup(vm);
		reterr->file = xstrdup(file);
		reterr->hint = xstrdup(hint);
	}
	return code;
}

int err_errno(struct err *reterr, int code, const char *fmt, ...)
{
	va_list ap;
	char *message;

	code = normal_code(code);
	va_start(ap, fmt);
	message = with_errno(fmt, ap, code);
	va_end(ap);
	return fill(reterr, ERR_FAILED, code, message);
}

int err_file(struct err *reterr, int code, const char *path, const char *fmt, ...)
{
	int fresh = reterr && !err_is_set(reterr);
	va_list ap;
	char *message;

	code = normal_code(code);
	va_start(ap, fmt);
	message = with_errno(fmt, ap, code);
	va_end(ap);
	code = fill(reterr, ERR_FAILED, code, message);
	if (fresh)
		err_set_file(reterr, path);
	return code;
}

void err_hint(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (!err || !err_is_set(err) || err->hint)
		return;
	va_start(ap, fmt);
	err->hint = xvasprintf(fmt, ap);
	va_end(ap);
}

void err_set_vm(struct err *err, const char *vm)
{
	if (err && err_is_set(err) && !err->vm)
		err->vm = xstrdup(vm);
}

void err_set_file(struct err *err, const char *path)
{
	if (err && err_is_set(err) && !err->file)
		err->file = xstrdup(path);
}

void err_prefix(struct err *err, const char *fmt, ...)
{
	_cleanup_free_ char *prefix = NULL, *old = NULL;
	va_list ap;

	if (!err || !err_is_set(err))
		return;
	va_start(ap, fmt);
	prefix = xvasprintf(fmt, ap);
	va_end(ap);
	old = TAKE_PTR(err->message);
	err->message = xasprintf("%s: %s", prefix, old);
}

char *err_text(const struct err *err)
{
	const char *message = err->message ? err->message : "no error";
	size_t len = strlen(message);

	if (!err->hint)
		return xstrdup(message);
	/* the message is a sentence without its full stop, unless somebody else wrote it (libvirt) */
	while (len > 0 && (message[len - 1] == '.' || message[len - 1] == '\n'))
		len--;
	return xasprintf("%.*s. %s", (int)len, message, err->hint);
}

int err_move(struct err *dst, struct err *src)
{
	int code = src->kind == ERR_NONE ? 0 : src->code;

	if (code == 0)
		return 0;
	if (dst && dst->kind == ERR_NONE) {
		err_done(dst);
		*dst = *src;
		*src = (struct err)ERR_INIT;
	}
	err_done(src);
	return code;
}

int err_is_set(const struct err *err)
{
	return err && err->kind != ERR_NONE;
}

void err_done(struct err *err)
{
	if (!err)
		return;
	free(err->message);
	free(err->hint);
	free(err->vm);
	free(err->file);
	free(err->job);
	*err = (struct err)ERR_INIT;
}
