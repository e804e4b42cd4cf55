/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prepares the root of libvirt's embedded QEMU driver. The driver reads
 * ROOT/etc/qemu.conf once, at the open; its defaults want virtlogd and, as root,
 * another user for QEMU, and neither need be there. */
#define _GNU_SOURCE
#include "daemon/hv-embed.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"

/* ROOT/lib/qemu/domain-ID-NAME/monitor.sock has to fit into the 107 bytes of a UNIX
 * socket's address, with an ID of five digits and the 20 bytes of NAME that libvirt uses. */
enum { MAX_ROOT = 50, MAX_CONF = 1024 * 1024, MAX_LOG = 1024 * 1024, MAX_STATUS = 16 * 1024 * 1024 };

#define CONF_MARK "# Written by vmsnapd at its start. Take out this line to keep changes of your own.\n"

static const char conf_user[] = CONF_MARK "stdio_handler = \"file\"\n";
static const char conf_root[] = CONF_MARK "stdio_handler = \"file\"\n"
					  "user = \"root\"\n"
					  "group = \"root\"\n"
					  "swtpm_user = \"root\"\n"
					  "swtpm_group = \"root\"\n";

/* Undoes %XX in place. Returns 0, or -EINVAL for a broken or a zero one. */
static int unescape(char *s)
{
	char *to = s;

	for (char *from = s; *from; from++) {
		if (*from == '%') {
			char hex[3] = { 0 };

			if (!isxdigit((unsigned char)from[1]) || !isxdigit((unsigned char)from[2]))
				return -EINVAL;
			memcpy(hex, from + 1, 2);
			*to = (char)strtol(hex, NULL, 16);
			if (!*to++)
				return -EINVAL;
			from += 2;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
	return 0;
}

/* Value of a parameter in a URI's query, *owned*, NULL if it is not there. */
static char *query_value(const char *uri, const char *name)
{
	const char *p = strchr(uri, '?');
	size_t len = strlen(name);

	while (p) {
		p++;
		if (strncmp(p, name, len) == 0 && p[len] == '=')
			return xstrndup(p + len + 1, strcspn(p + len + 1, "&;#"));
		p = strpbrk(p, "&;");
	}
	return NULL;
}

/* 1 if path has no empty, "." or ".." component and no slash at its end. */
static int is_canonical(const char *path)
{
	const char *p = path;

	while (*p == '/') {
		size_t len = strcspn(++p, "/");

		if (len == 0 || (len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
			return 0;
		p += len;
	}
	return 1;
}

static int check_root(const char *root, struct err *reterr)
{
	if (root[0] != '/')
		return err_set(reterr, ERR_INVALID, -EINVAL,
			       "the root \"%s\" of the embedded driver is not an absolute path", root);
	if (!is_canonical(root))
		return err_set(
			reterr, ERR_INVALID, -EINVAL,
			"the root \"%s\" of the embedded driver must be written without \"//\", \".\", \"..\" and "
			"a slash at its end: libvirt takes every spelling for another directory",
			root);
	if (strlen(root) > MAX_ROOT)
		return err_set(
			reterr, ERR_INVALID, -EINVAL,
			"the root \"%s\" of the embedded driver has %zu bytes, at most %d are possible: the path of "
			"QEMU's monitor socket below it must fit into 107 bytes",
			root, strlen(root), MAX_ROOT);
	return 0;
}

int hv_embed_root(const char *uri, char **ret_root, struct err *reterr)
{
	static const char prefix[] = "qemu:///embed";
	_cleanup_free_ char *root = NULL;
	size_t len = strlen(prefix);
	int r;

	if (strncmp(uri, prefix, len) != 0 || (uri[len] && uri[len] != '?')) {
		*ret_root = NULL;
		return 0;
	}
	root = query_value(uri, "root");
	if (!root)
		return err_set(reterr, ERR_INVALID, -EINVAL,
			       "%s does not name a root directory: write %s?root=/DIRECTORY", uri, prefix);
	if (unescape(root) < 0)
		return err_set(reterr, ERR_INVALID, -EINVAL, "%s has a broken %%-escape in its root", uri);
	r = check_root(root, reterr);
	if (r < 0)
		return r;
	*ret_root = TAKE_PTR(root);
	return 0;
}

/* Makes root and what is missing above it. QEMU may run as another user by the
 * admin's own qemu.conf: passing through must be possible, looking need not. */
static int make_root(const char *root, struct err *reterr)
{
	for (const char *p = strchr(root + 1, '/');; p = strchr(p + 1, '/')) {
		_cleanup_free_ char *dir = p ? xstrndup(root, (size_t)(p - root)) : xstrdup(root);
		int r = path_exists(dir);

		if (r == 0)
			r = dir_make(dir, p ? 0755 : 0711, reterr);
		else if (r < 0)
			ignore_result(err_file(reterr, r, dir, "cannot look at the directory \"%s\"", dir));
		if (r < 0)
			return r;
		if (!p)
			return 0;
	}
}

/* Writes ROOT/etc/qemu.conf, unless the admin has made it his own. */
static int write_conf(const char *root, struct err *reterr)
{
	_cleanup_free_ char *etc = path_join(root, "etc");
	_cleanup_free_ char *path = path_join(etc, "qemu.conf");
	_cleanup_free_ char *old = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	const char *want = geteuid() == 0 ? conf_root : conf_user;
	int r;

	r = dir_make(etc, 0700, reterr);
	if (r < 0)
		return r;
	r = file_read(path, MAX_CONF, &old, NULL, &err);
	if (r < 0 && r != -ENOENT)
		return err_move(reterr, &err);
	if (old && (strncmp(old, CONF_MARK, strlen(CONF_MARK)) != 0 || strcmp(old, want) == 0))
		return 0;
	return file_replace(path, want, strlen(want), 0600, reterr);
}

/* libvirt logs to our standard error unless it is told otherwise before it
 * starts; the file is put aside when it has grown large. */
static int redirect_log(const char *root, struct err *reterr)
{
	_cleanup_free_ char *path = path_join(root, "libvirt.log");
	_cleanup_free_ char *old = xasprintf("%s.old", path);
	_cleanup_free_ char *outputs = xasprintf("3:file:%s", path);
	struct stat st;

	if (stat(path, &st) == 0 && st.st_size > MAX_LOG && rename(path, old) < 0)
		return err_file(reterr, -errno, path, "cannot put libvirt's log \"%s\" aside", path);
	if (setenv("LIBVIRT_LOG_OUTPUTS", outputs, 0) < 0)
		return err_errno(reterr, -errno, "cannot set LIBVIRT_LOG_OUTPUTS");
	return 0;
}

/* 1 if a status document of libvirt tells of a domain that was about to start: it has
 * no process. Source of the format: libvirt src/conf/domain_conf.c (domstatus). */
static int is_unborn(const char *status)
{
	const char *tag = strstr(status, "<domstatus "), *end = tag ? strchr(tag, '>') : NULL;
	const char *pid = end ? strstr(tag, " pid='0'") : NULL;

	return pid && pid < end;
}

/* A libvirt that was killed before it started a QEMU for a domain loads that domain as
 * one that is starting, and never lets go of it again: no call on it gets anywhere,
 * with this process or the next. QEMU's program is not run before libvirt knows the
 * process, so that there is nothing to lose. */
static int forget_unborn(const char *root, struct err *reterr)
{
	_cleanup_free_ char *dir = path_join(root, "run/qemu");
	_cleanup_strv_ char **names = NULL;
	int r = path_exists(dir) == 1 ? dir_list(dir, &names, reterr) : 0;

	for (char **name = names; !r && name && *name; name++) {
		_cleanup_free_ char *path = path_join(dir, *name), *status = NULL;
		size_t len = strlen(*name);

		if (len < 5 || strcmp(*name + len - 4, ".xml") != 0 || file_read(path, MAX_STATUS, &status, NULL, NULL) < 0)
			continue; /* libvirt says what is wrong with it */
		if (is_unborn(status))
			r = file_remove(path, reterr);
	}
	return r;
}

/* Takes the lock in ROOT and writes our pid into it for whoever comes second. */
static int take_lock(const char *root, int *ret_fd, struct err *reterr)
{
	_cleanup_free_ char *path = path_join(root, "vmsnapd.lock");
	_cleanup_free_ char *pid = xasprintf("%d\n", (int)getpid());
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int code;

	if (fd < 0)
		return err_file(reterr, -errno, path, "cannot open the lock \"%s\" of the embedded driver's root",
				path);
	code = fd_lock(fd);
	if (code < 0) {
		char holder[16] = "";

		ignore_result((int)pread_all(fd, holder, sizeof(holder) - 1, 0)); /* it only makes the message better */
		holder[strspn(holder, "0123456789")] = '\0';
		ignore_result(err_set(reterr, ERR_BACKEND, code,
				      "the root \"%s\" of the embedded driver is in use by another vmsnapd (pid %s)",
				      root, holder[0] ? holder : "unknown"));
		if (reterr)
			err_hint(reterr, "end that one, or give this one a root of its own");
		return code;
	}
	if (ftruncate(fd, 0) < 0)
		return err_file(reterr, -errno, path, "cannot write the lock \"%s\"", path);
	ignore_result(write_all(fd, pid, strlen(pid))); /* as above */
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int hv_embed_prepare(const char *root, struct err *reterr)
{
	static char *held_root; /* until the process ends: libvirt holds its lock that long, too */
	static int held_fd = -1;
	_cleanup_close_ int fd = -1;
	int r;

	if (held_root && strcmp(held_root, root) == 0)
		return 0;
	if (held_root)
		return err_set(reterr, ERR_BACKEND, -EBUSY,
			       "the embedded driver of this process has the root \"%s\" already and cannot take \"%s\"",
			       held_root, root);
	r = make_root(root, reterr);
	if (r < 0)
		return r;
	r = take_lock(root, &fd, reterr);
	if (r < 0)
		return r;
	r = write_conf(root, reterr);
	if (r < 0)
		return r;
	r = redirect_log(root, reterr);
	if (!r)
		r = forget_unborn(root, reterr);
	if (r < 0)
		return r;
	held_root = xstrdup(root);
	held_fd = TAKE_FD(fd);
	return held_fd >= 0 ? 0 : -EBADF;
}
