/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What only QEMU itself can tell or mend, by its monitor. Used in recovery alone: it
 * marks the domain as tainted (custom-monitor). libvirt's QEMU driver names the
 * block nodes of an image libvirt-N-storage (the file) and libvirt-N-format.
 * Source of the commands: QEMU qapi/block-core.json and qapi/job.json. */
#include <string.h>
#include <time.h>

#include "common/alloc.h"
#include "daemon/hv-monitor.h"

/* A command (*taken*) that returns a list. */
static int monitor_list(struct lv_call *call, json_t *command, json_t **ret_list, struct err *reterr)
{
	int r = lv_monitor(call, command, -1, ret_list, reterr);

	if (!r && !json_is_array(*ret_list)) {
		json_decref(*ret_list);
		*ret_list = NULL;
		r = err_set(reterr, ERR_BACKEND, -EPROTO, "QEMU did not answer with a list about domain \"%s\"",
			    call->name);
	}
	return r;
}

/* ---- block nodes */

static json_t *find_by(json_t *list, const char *key, const char *value)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
		if (strcmp(monitor_text(item, key), value) == 0)
			return item;
	return NULL;
}

/* Name of the node of the file at path, *owned*; NULL if QEMU has none. A node of a
 * format may carry the same file name. */
static char *storage_node(json_t *nodes, const char *path)
{
	static const char suffix[] = "-storage";
	json_t *item;
	size_t i;

	json_array_foreach(nodes, i, item) {
		const char *name = monitor_text(item, "node-name");
		size_t len = strlen(name);

		if (len >= sizeof(suffix) && strcmp(name + len - (sizeof(suffix) - 1), suffix) == 0 &&
		    strcmp(monitor_text(item, "file"), path) == 0)
			return xstrdup(name);
	}
	return NULL;
}

/* Name of the node of the format above a storage node, or that itself where there is
 * none (raw), *owned*. */
static char *format_node(json_t *nodes, const char *storage)
{
	_cleanup_free_ char *name = xasprintf("%.*s-format", (int)(strlen(storage) - strlen("-storage")), storage);

	return find_by(nodes, "node-name", name) ? TAKE_PTR(name) : xstrdup(storage);
}

/* Name of the topmost node of the image at path, *owned*; NULL if there is none. */
static char *top_node(json_t *nodes, const char *path)
{
	_cleanup_free_ char *storage = storage_node(nodes, path);

	return storage ? format_node(nodes, storage) : NULL;
}

static int is_attached(json_t *devices, const char *node)
{
	json_t *device;
	size_t i;

	json_array_foreach(devices, i, device)
		if (strcmp(monitor_text(json_object_get(device, "inserted"), "node-name"), node) == 0)
			return 1;
	return 0;
}

static int read_nodes(struct lv_call *call, json_t **ret_nodes, struct err *reterr)
{
	return monitor_list(call, json_pack("{s:s, s:{s:b}}", "execute", "query-named-block-nodes", "arguments",
					    "flat", 1), ret_nodes, reterr);
}

/* ---- back to the images that libvirt knows */

/* The jobs of one taking back: one for each overlay that a disk is on. */
struct back {
	struct lv_call *call;
	char **jobs; /* names */
};

static char *job_name(const char *node)
{
	return xasprintf("vmsnap-back-%s", node);
}

static int job_command(const struct back *b, const char *command, const char *job, struct err *reterr)
{
	return lv_monitor(b->call, json_pack("{s:s, s:{s:s}}", "execute", command, "arguments", "id", job), -1, NULL,
			  reterr);
}

static int is_concluded(json_t *job)
{
	return strcmp(monitor_text(job, "status"), "concluded") == 0;
}

static int has_failed(json_t *job)
{
	return is_concluded(job) && *monitor_text(job, "error");
}

static int start_commit(const struct back *b, const char *job, const char *top, const char *base,
			const struct hv_back *disk, struct err *reterr)
{
	if (!base) /* without a base QEMU would commit into the lowest image */
		return err_full(reterr, ERR_BACKEND, -EPROTO, b->call->name, disk->image, NULL,
				"QEMU does not have the image '%s' open, on which a disk was", disk->image);
	return lv_monitor(b->call, json_pack("{s:s, s:{s:s, s:s, s:s, s:b}}", "execute", "block-commit", "arguments",
					     "job-id", job, "device", top, "base-node", base, "auto-dismiss", 0), -1,
			  NULL, reterr);
}

/* Starts to commit the overlay into its backing image, if a disk is on it. A job of an
 * earlier try counts, unless it failed: one that concluded well is all that still tells
 * that this disk went back. */
static int begin_disk(struct back *b, json_t *nodes, json_t *devices, json_t *jobs, const struct hv_back *disk,
		      struct err *reterr)
{
	_cleanup_free_ char *top = top_node(nodes, disk->overlay), *base = top_node(nodes, disk->image);
	_cleanup_free_ char *job = top ? job_name(top) : NULL;
	json_t *found;
	int r = 0;

	if (!top)
		return 0;
	found = find_by(jobs, "id", job);
	if (found && has_failed(found)) {
		r = job_command(b, "job-dismiss", job, reterr);
		found = NULL;
	}
	if (!r && !found) {
		if (!is_attached(devices, top))
			return 0;
		r = start_commit(b, job, top, base, disk, reterr);
	}
	if (!r)
		strv_push(&b->jobs, TAKE_PTR(job));
	return r;
}

static int begin_all(struct back *b, const struct hv_back *disks, size_t n, struct err *reterr)
{
	_cleanup_json_ json_t *nodes = NULL, *devices = NULL, *jobs = NULL;
	int r = read_nodes(b->call, &nodes, reterr);

	if (!r)
		r = monitor_list(b->call, json_pack("{s:s}", "execute", "query-block"), &devices, reterr);
	if (!r)
		r = monitor_list(b->call, json_pack("{s:s}", "execute", "query-jobs"), &jobs, reterr);
	for (size_t i = 0; !r && i < n; i++)
		r = begin_disk(b, nodes, devices, jobs, &disks[i], reterr);
	return r;
}

/* Waits until a job has that status, or "concluded" well. */
static int await_job(const struct back *b, const char *job, const char *status, struct err *reterr)
{
	for (;;) {
		_cleanup_json_ json_t *jobs = NULL;
		json_t *found;
		int r = monitor_list(b->call, json_pack("{s:s}", "execute", "query-jobs"), &jobs, reterr);

		if (r < 0)
			return r;
		found = find_by(jobs, "id", job);
		if (!found || *monitor_text(found, "error"))
			return err_set(reterr, ERR_BACKEND, -EIO,
				       "QEMU could not put a disk of domain \"%s\" back on its old image: %s",
				       b->call->name, found ? monitor_text(found, "error") : "its job is gone");
		if (strcmp(monitor_text(found, "status"), status) == 0 || is_concluded(found))
			return 0;
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	}
}

/* Lets all disks change over; the guest is paused, so that none is ahead. The jobs
 * stay, concluded, until lv_forget_image(): if we die before it is on record that the
 * disks went back, they are what tells it. */
static int complete_all(const struct back *b, struct err *reterr)
{
	int r = 0;

	for (char **job = b->jobs; !r && *job; job++) {
		_cleanup_err_ struct err done = ERR_INIT; /* one that concluded refuses; await_job() tells */

		ignore_result(job_command(b, "job-complete", *job, &done));
		r = await_job(b, *job, "concluded", reterr);
	}
	return r;
}

/* 1 if a disk is back on its old image, or if that cannot be told. */
static int some_went_back(const struct back *b)
{
	_cleanup_json_ json_t *jobs = NULL;
	_cleanup_err_ struct err ignored = ERR_INIT;

	if (monitor_list(b->call, json_pack("{s:s}", "execute", "query-jobs"), &jobs, &ignored) < 0)
		return 1;
	for (char **job = b->jobs; *job; job++) {
		json_t *found = find_by(jobs, "id", *job);

		if (found && is_concluded(found) && !has_failed(found))
			return 1;
	}
	return 0;
}

/* A commit that ends early leaves its disk on the overlay: no harm. One that has
 * concluded refuses, and stays. */
static void cancel_all(const struct back *b)
{
	for (char **job = b->jobs; job && *job; job++) {
		_cleanup_err_ struct err ignored = ERR_INIT;

		ignore_result(job_command(b, "job-cancel", *job, &ignored));
	}
}

/* With all commits ready: the guest stops, and all disks go back at one instant. If
 * only some could, the guest has to stay paused, or they would be of two instants. */
static int change_over(const struct back *b, struct hv *hv, const struct guid *vm, struct err *reterr)
{
	int ran = lv_is_state(b->call, HV_RUNNING), r = lv_suspend(hv, vm, reterr);

	if (!r)
		r = complete_all(b, reterr);
	if (r < 0 && !some_went_back(b)) {
		cancel_all(b);
		if (ran)
			ignore_result(lv_resume(hv, vm, NULL));
	}
	return r;
}

int lv_take_back(struct hv *hv, const struct guid *vm, const struct hv_back *disks, size_t n, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	_cleanup_strv_ char **jobs = NULL;
	struct back b = { .call = &call };
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (r < 0)
		return r;
	if (!lv_is_qemu(call.lv))
		return 0;
	r = begin_all(&b, disks, n, reterr);
	jobs = b.jobs;
	for (char **job = jobs; !r && job && *job; job++)
		r = await_job(&b, *job, "ready", reterr);
	if (r < 0)
		cancel_all(&b);
	else if (jobs)
		r = change_over(&b, hv, vm, reterr);
	return r < 0 ? r : jobs != NULL;
}

/* ---- what a switch that did not happen left in QEMU */

static int remove_node(struct lv_call *call, const char *node, struct err *reterr)
{
	return lv_monitor(call, json_pack("{s:s, s:{s:s}}", "execute", "blockdev-del", "arguments", "node-name",
					  node), -1, NULL, reterr);
}

/* Of a taking back that is on record by now; there need not be one. */
static void dismiss_job(struct lv_call *call, const char *node)
{
	_cleanup_free_ char *job = job_name(node);
	_cleanup_err_ struct err ignored = ERR_INIT;
	struct back b = { .call = call };

	ignore_result(job_command(&b, "job-dismiss", job, &ignored));
}

int lv_forget_image(struct hv *hv, const struct guid *vm, const char *path, struct err *reterr)
{
	_cleanup_call_ struct lv_call call = { 0 };
	_cleanup_json_ json_t *nodes = NULL;
	_cleanup_free_ char *storage = NULL, *format = NULL;
	int r = lv_begin_domain(hv, vm, &call, reterr);

	if (!r && !lv_is_qemu(call.lv))
		return 0;
	if (!r)
		r = read_nodes(&call, &nodes, reterr);
	if (r < 0)
		return r;
	storage = storage_node(nodes, path);
	if (!storage)
		return 0;
	format = format_node(nodes, storage);
	dismiss_job(&call, format);
	if (strcmp(format, storage) != 0)
		r = remove_node(&call, format, reterr);
	return r < 0 ? r : remove_node(&call, storage, reterr);
}
