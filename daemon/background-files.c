/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a background capture has in its directory. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/timefmt.h"
#include "daemon/background-priv.h"
#include "layout/space.h"
#include "xmlcfg/domain.h"

#define HOLD_SIZE 4096       /* of a pipe that is to be full; the kernel has no smaller ones */
#define PLAIN_SIZE (1 << 20)

void background_pipe_done(struct background_pipe *pipe)
{
	cleanup_close(&pipe->read_fd);
	cleanup_close(&pipe->write_fd);
}

static int fill(struct background_pipe *p, const char *path, struct err *reterr)
{
	char bytes[HOLD_SIZE];
	ssize_t n;

	if (fcntl(p->write_fd, F_SETPIPE_SZ, HOLD_SIZE) != HOLD_SIZE)
		return err_file(reterr, -errno, path, "cannot make the pipe '%s' small", path);
	memset(bytes, CAPTURE_FILL, sizeof(bytes));
	while ((n = write(p->write_fd, bytes, sizeof(bytes))) > 0)
		p->prefill += (uint64_t)n;
	if (n < 0 && errno == EAGAIN && p->prefill > 0)
		return 0;
	return err_file(reterr, -errno, path, "cannot fill the pipe '%s'", path);
}

/* QEMU and the reader are to block. */
static int make_blocking(const struct background_pipe *p, const char *path, struct err *reterr)
{
	if (fcntl(p->read_fd, F_SETFL, 0) < 0 || fcntl(p->write_fd, F_SETFL, 0) < 0)
		return err_file(reterr, -errno, path, "cannot set up the pipe '%s'", path);
	return 0;
}

int background_pipe_make(const char *dir, int hold, struct background_pipe *ret_pipe, struct err *reterr)
{
	_cleanup_(background_pipe_done) struct background_pipe p = BACKGROUND_PIPE_INIT;
	_cleanup_free_ char *path = path_join(dir, CAPTURE_PIPE);
	int r = file_remove(path, reterr);

	if (r < 0)
		return r;
	if (mkfifo(path, 0600) < 0)
		return err_file(reterr, -errno, path, "cannot make the pipe '%s'", path);
	p.read_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	p.write_fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (p.read_fd < 0 || p.write_fd < 0)
		return err_file(reterr, -errno, path, "cannot open the pipe '%s'", path);
	if (hold)
		r = fill(&p, path, reterr);
	else
		ignore_result(fcntl(p.write_fd, F_SETPIPE_SZ, PLAIN_SIZE)); /* a smaller one is only slower */
	if (!r)
		r = make_blocking(&p, path, reterr);
	if (r < 0)
		return r;
	*ret_pipe = p;
	p = (struct background_pipe)BACKGROUND_PIPE_INIT;
	return 0;
}

static int64_t memory_in(const char *xml, int64_t *ret_video)
{
	_cleanup_domain_ struct domain *dom = NULL;

	if (domain_parse(xml, &dom, NULL) < 0)
		return 0;
	if (ret_video)
		*ret_video = domain_video_memory(dom);
	return domain_memory(dom);
}

int64_t background_memory(struct hv *hv, const struct guid *vm)
{
	_cleanup_free_ char *xml = NULL;

	return hv_xml(hv, vm, HV_XML_LIVE, &xml, NULL) < 0 ? 0 : memory_in(xml, NULL);
}

static int check_space(const char *file, const char *xml, struct err *reterr)
{
	_cleanup_free_ char *dir = path_dirname(file), *need_text = NULL, *free_text = NULL;
	int64_t video = 0, memory = memory_in(xml, &video), need = space_for_memory(memory, video), bytes = 0;
	int r = disk_free(dir, &bytes, reterr);

	if (r < 0 || bytes >= need)
		return r;
	need_text = bytes_human(need);
	free_text = bytes_human(bytes);
	return err_full(reterr, ERR_REFUSED, -ENOSPC, NULL, dir, "Free some space on that file system",
			"the guest's memory may need %s and only %s are free in '%s'", need_text, free_text, dir);
}

int background_prepare_files(struct hv *hv, const struct guid *vm, const char *dir, const struct capture_spec *image,
			     int force, char **ret_path, struct err *reterr)
{
	_cleanup_free_ char *xml = NULL, *path = path_join(dir, CAPTURE_XML), *result = path_join(dir, CAPTURE_RESULT);
	int r = hv_xml(hv, vm, HV_XML_MIGRATABLE, &xml, reterr);

	if (!r && !force)
		r = check_space(image->vsv, xml, reterr);
	if (!r)
		r = file_remove(result, reterr);
	if (!r)
		r = file_replace(path, xml, strlen(xml), 0600, reterr);
	if (!r)
		*ret_path = TAKE_PTR(path);
	return r;
}

int background_forget(const char *dir, struct err *reterr)
{
	static const char *const names[] = { CAPTURE_PIPE, CAPTURE_XML, CAPTURE_RESULT, CAPTURE_LOCK };
	int r = capture_is_running(dir);

	if (r > 0)
		return err_full(reterr, ERR_BUSY, -EBUSY, NULL, dir, "Wait until it has written what it holds",
				"a vmsnap-capture still works in '%s'", dir);
	if (r < 0)
		return err_file(reterr, r, dir, "cannot see whether a vmsnap-capture works in '%s'", dir);
	for (size_t i = 0; !r && i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = path_join(dir, names[i]);

		if (path_exists(path) != 0)
			r = file_remove(path, reterr);
	}
	return r;
}
