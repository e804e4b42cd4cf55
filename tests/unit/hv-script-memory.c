/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The scripted hypervisor: snapshots, saving and restoring, also half-way. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "tests/unit/hv-script-priv.h"
#include "xmlcfg/domain.h"

static const char *path_in_call(const void *arg, const char *target)
{
	const struct hv_snapshot *what = arg;

	for (size_t i = 0; i < what->n_disks; i++)
		if (strcmp(what->disks[i].target, target) == 0)
			return what->disks[i].path;
	return NULL;
}

static const char *path_in_job(const void *arg, const char *target)
{
	const struct hvs_domain *d = arg;

	for (int i = 0; i < d->job_disks; i++)
		if (strcmp(d->job_target[i], target) == 0)
			return d->job_path[i];
	return NULL;
}

/* libvirt moves the persistent definition along. */
static void do_switch(struct hv_script *s, struct hvs_domain *d,
		      const char *(*path_of)(const void *arg, const char *target), const void *arg)
{
	hvs_switch_disks(d->live, path_of, arg);
	if (d->persistent)
		hvs_switch_disks(d->inactive, path_of, arg);
	if (d->state == HV_RUNNING)
		hvs_guest_writes(s, d);
	else
		hvs_generations(d->live, d->written);
}

/* Memory half written, the guest standing still; perhaps a job that goes on. */
static int half_way(struct hv *hv, struct hvs_domain *d, const struct hv_snapshot *what, const char *file,
		    enum hvs_when when, enum hvs_call call, struct err *reterr)
{
	int was_running = d->state == HV_RUNNING;

	if (file)
		ignore_result(hvs_write_image(d, file, 0));
	if (when == HVS_FAIL_HALF) { /* libvirt lets it go on */
		hvs_unlock(hvs_script(hv));
		return err_set(reterr, ERR_BACKEND, -EIO, "the scripted hypervisor's '%s' failed half-way",
			       hvs_call_name(call));
	}
	d->state = HV_PAUSED;
	d->job = 3;
	d->job_good = when == HVS_DIE_HALF ? 1 + was_running : 0;
	snprintf(d->job_file, sizeof(d->job_file), "%s", file ? file : "");
	d->job_disks = (int)what->n_disks;
	for (int i = 0; i < d->job_disks && i < HVS_DISKS; i++) {
		snprintf(d->job_target[i], sizeof(d->job_target[i]), "%s", what->disks[i].target);
		snprintf(d->job_path[i], sizeof(d->job_path[i]), "%s", what->disks[i].path);
	}
	kill(getpid(), SIGKILL);
	return -EIO;
}

/* The job that a dead daemon began comes to its end. */
void hvs_finish_job(struct hv_script *s, struct hvs_domain *d)
{
	int good = d->job_good, running = good == 2;

	if (!good) /* libvirt forgot to let the guest go on: its client is gone */
		return;
	d->state = running ? HV_RUNNING : HV_PAUSED;
	do_switch(s, d, path_in_job, d); /* the memory went into a pipe that nobody reads any more */
}

int hvs_snapshot(struct hv *hv, const struct guid *vm, const struct hv_snapshot *what, struct err *reterr)
{
	struct hvs_domain *d;
	enum hvs_when when;
	int r = hvs_begin(hv, HVS_SNAPSHOT, vm, &when, &d, reterr);

	if (r < 0)
		return r;
	if (!hvs_is_active(d))
		return hvs_refuse(hv, reterr, "it does not run", d);
	for (size_t i = 0; i < what->n_disks; i++)
		if (path_exists(what->disks[i].path) != 1)
			return hvs_refuse(hv, reterr, "an overlay is missing", d);
	if (when == HVS_FAIL_HALF || when == HVS_DIE_HALF || when == HVS_DIE_HALF_BAD)
		return half_way(hv, d, what, what->memory_file, when, HVS_SNAPSHOT, reterr);
	if (what->memory_file && hvs_write_image(d, what->memory_file, 1) < 0)
		return hvs_refuse(hv, reterr, "cannot write memory", d);
	hvs_tell(d, HV_EVENT_PAUSED);
	do_switch(hvs_script(hv), d, path_in_call, what);
	hvs_tell(d, HV_EVENT_RESUMED);
	return hvs_end(hv, HVS_SNAPSHOT, when, reterr);
}

/* Memory fits only the disks of its instant: the very ones, or fresh overlays. */
static void check_fit(struct hv_script *s, const char *xml, const struct hvs_stream *stream)
{
	uint64_t now[HVS_DISKS] = { 0 };

	hvs_generations(xml, now);
	for (size_t i = 0; i < HVS_DISKS; i++)
		if (now[i] && now[i] != stream->written[i])
			hvs_violate(s, "memory was loaded onto disks that were written since", "restore");
}

static int read_all(const char *fifo, char **ret_data, size_t *ret_len)
{
	_cleanup_close_ int fd = open(fifo, O_RDONLY | O_CLOEXEC);
	size_t room = 1 << 20, len = 0;
	char *data = xcalloc(room, 1);
	ssize_t n = 0;

	while (fd >= 0 && len < room && (n = read(fd, data + len, room - len)) > 0)
		len += (size_t)n;
	*ret_data = data;
	*ret_len = len;
	return fd < 0 || n < 0 ? -errno : 0;
}

/* Domain and memory are there; lock held. */
static int load(struct hv *hv, const char *xml, const struct hvs_stream *stream, enum hvs_when when, struct err *reterr)
{
	struct hv_script *s = hvs_script(hv);
	struct hvs_domain *d = hvs_find_or_add(s, xml, reterr);

	if (!d) {
		hvs_unlock(s);
		return -EINVAL;
	}
	if (hvs_is_active(d))
		return hvs_refuse(hv, reterr, "it runs already", d);
	if (hvs_check_disks(s, xml, reterr) < 0) {
		hvs_unlock(s);
		return -EIO;
	}
	check_fit(s, xml, stream);
	snprintf(d->live, sizeof(d->live), "%s", xml);
	d->memory = stream->memory;
	d->state = HV_PAUSED;
	hvs_generations(d->live, d->written);
	if (when == HVS_DIE_HALF || when == HVS_DIE_HALF_BAD)
		kill(getpid(), SIGKILL);
	d->state = HV_RUNNING;
	hvs_guest_writes(s, d);
	return hvs_end(hv, HVS_RESTORE, when, reterr);
}

int hvs_restore(struct hv *hv, const char *fifo, const char *xml, struct err *reterr)
{
	_cleanup_free_ char *data = NULL;
	struct hvs_stream stream;
	struct hvs_domain *none;
	enum hvs_when when;
	size_t len = 0;
	int r = hvs_begin(hv, HVS_RESTORE, NULL, &when, &none, reterr);

	if (r < 0)
		return r;
	hvs_unlock(hvs_script(hv));
	r = read_all(fifo, &data, &len);
	if (!r)
		r = hvs_parse_stream(data, len, &stream);
	if (!r && when == HVS_FAIL_HALF)
		r = -EIO;
	if (r < 0)
		return err_set(reterr, ERR_BACKEND, r, "the memory of '%s' cannot be loaded", fifo);
	hvs_lock(hvs_script(hv));
	return load(hv, xml, &stream, when, reterr);
}
