/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a VM takes on disk, and for what, as JSON. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "daemon/holdings.h"
#include "daemon/rpc-view-plan.h"
#include "varlink/message.h"

/* Bytes of all images, by what they are there for. */
struct sums {
	int64_t now, snapshots, hidden, orphans, outside, memory;
};

static int is_now(const struct holdings *h, const char *path)
{
	for (size_t i = 0; i < h->input.in.n_owners; i++)
		if (strcmp(h->input.owners[i].name, PLAN_NAME_VM) == 0 && strcmp(h->input.owners[i].path, path) == 0)
			return 1;
	return 0;
}

static struct sums sum_up(const struct holdings *h)
{
	_cleanup_free_ unsigned char *reached = holdings_reached(h);
	struct sums sums = { .memory = holdings_memory(h, h->m->cfg) };

	for (size_t i = 0; i < h->input.in.n_images; i++) {
		const struct plan_image *image = &h->input.images[i];

		if (is_now(h, image->path))
			sums.now += image->allocated;
		else if (!reached[i])
			sums.orphans += image->allocated;
		else if (holdings_owners(h, i))
			sums.snapshots += image->allocated;
		else
			sums.hidden += image->allocated;
		if (image->flags & PLAN_OUTSIDE)
			sums.outside += image->allocated;
	}
	for (size_t i = 0; i < h->n_snaps; i++)
		sums.memory += holdings_memory(h, h->snaps[i]);
	return sums;
}

static int64_t disks_of(const struct holdings *h, const struct config *cfg)
{
	int64_t sum = 0;

	for (size_t i = 0; i < h->input.in.n_owners; i++) {
		size_t at = strcmp(h->input.owners[i].name, cfg->guid.s) == 0 ?
				    holdings_find(h, h->input.owners[i].path) :
				    NO_IMAGE;

		sum += at != NO_IMAGE ? h->input.images[at].allocated : 0;
	}
	return sum;
}

static int64_t above_zero(int64_t value)
{
	return value > 0 ? value : 0;
}

/* What deleting a snapshot brings beyond what merging brings anyway. */
static int snapshot_object(const struct holdings *h, const struct config *cfg, const struct plan *due,
			   json_t **ret_json, struct err *reterr)
{
	int64_t memory = holdings_memory(h, cfg), folded = memory ? holdings_folded(h, &cfg->guid, 1).kept : 0;
	_cleanup_(plan_done) struct plan plan = { 0 };
	int r = holdings_plan(h, &cfg->guid, 1, &plan, reterr);

	if (r < 0)
		return r;
	*ret_json = json_pack(
		"{s:s, s:o, s:I, s:I, s:I, s:I, s:I}", "id", cfg->guid.s, "name", vl_string(cfg->name), "diskBytes",
		(json_int_t)disks_of(h, cfg), "memoryBytes", (json_int_t)memory, "freedMinBytes",
		(json_int_t)(above_zero(plan.saved_min - due->saved_min) + above_zero(memory - folded)), "freedMaxBytes",
		(json_int_t)(above_zero(plan.saved_max - due->saved_max) + memory), "copiedBytes",
		(json_int_t)(above_zero(plan.copied - due->copied) + folded));
	return 0;
}

static int by_age(const void *a, const void *b)
{
	const struct config *x = *(struct config *const *)a, *y = *(struct config *const *)b;

	return (x->created_usec > y->created_usec) - (x->created_usec < y->created_usec);
}

static int list_snapshots(const struct holdings *h, json_t *list, struct err *reterr)
{
	_cleanup_(plan_done) struct plan due = { 0 };
	_cleanup_free_ struct config **sorted = xcalloc(h->n_snaps + 1, sizeof(struct config *));
	int r = holdings_plan(h, NULL, 0, &due, reterr);

	for (size_t i = 0; i < h->n_snaps; i++)
		sorted[i] = h->snaps[i];
	qsort(sorted, h->n_snaps, sizeof(struct config *), by_age);
	for (size_t i = 0; !r && i < h->n_snaps; i++) {
		json_t *obj;

		r = snapshot_object(h, sorted[i], &due, &obj, reterr);
		if (!r)
			json_array_append_new(list, obj);
	}
	return r;
}

int view_disk_usage(const struct machine *m, json_t **ret_json, struct err *reterr)
{
	_cleanup_(holdings_done) struct holdings h = { 0 };
	json_t *list = json_array();
	struct sums sums;
	int r = holdings_read(m, &h, reterr);

	if (!r)
		r = list_snapshots(&h, list, reterr);
	if (r < 0) {
		json_decref(list);
		return r;
	}
	sums = sum_up(&h);
	*ret_json = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "nowBytes", (json_int_t)sums.now, "snapshotBytes",
			      (json_int_t)sums.snapshots, "hiddenBytes", (json_int_t)sums.hidden, "orphanBytes",
			      (json_int_t)sums.orphans, "outsideBytes", (json_int_t)sums.outside, "memoryBytes",
			      (json_int_t)sums.memory, "snapshots", list);
	return 0;
}
