/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a VM consists of on disk. */
#include "daemon/holdings.h"

#include <string.h>

#include "common/alloc.h"
#include "common/fileio.h"

#define TRIES 5

int holdings_read(const struct machine *m, struct holdings *ret_holdings, struct err *reterr)
{
	for (int i = 1;; i++) {
		struct holdings h = { .m = m };
		_cleanup_err_ struct err err = ERR_INIT;
		int r = merges_read(m, &h.input, &err);

		if (!r)
			r = machine_snapshots(m, &h.snaps, &h.n_snaps, NULL, &err);
		if (r >= 0) {
			*ret_holdings = h;
			return 0;
		}
		holdings_done(&h);
		if (r != -ENOENT || i == TRIES)
			return err_move(reterr, &err);
	}
}

void holdings_done(struct holdings *h)
{
	merges_input_done(&h->input);
	machine_snapshots_free(h->snaps, h->n_snaps);
	*h = (struct holdings){ 0 };
}

const struct config *holdings_snapshot(const struct holdings *h, const char *guid)
{
	for (size_t i = 0; i < h->n_snaps; i++)
		if (strcmp(h->snaps[i]->guid.s, guid) == 0)
			return h->snaps[i];
	return NULL;
}

size_t holdings_find(const struct holdings *h, const char *path)
{
	for (size_t i = 0; path && i < h->input.in.n_images; i++)
		if (strcmp(h->input.images[i].path, path) == 0)
			return i;
	return NO_IMAGE;
}

size_t holdings_below(const struct holdings *h, size_t i)
{
	return holdings_find(h, h->input.images[i].backing);
}

unsigned char *holdings_reached(const struct holdings *h)
{
	unsigned char *reached = xcalloc(h->input.in.n_images + 1, 1);

	for (size_t i = 0; i < h->input.in.n_owners; i++) {
		size_t at = holdings_find(h, h->input.owners[i].path);

		while (at != NO_IMAGE && !reached[at]) {
			reached[at] = 1;
			at = holdings_below(h, at);
		}
	}
	return reached;
}

size_t holdings_owners(const struct holdings *h, size_t i)
{
	size_t n = 0;

	for (size_t k = 0; k < h->input.in.n_owners; k++)
		n += strcmp(h->input.owners[k].path, h->input.images[i].path) == 0;
	return n;
}

void holdings_into_base(struct holdings *h)
{
	for (size_t i = 0; i < h->input.in.n_owners; i++) {
		size_t at = strcmp(h->input.owners[i].name, PLAN_NAME_VM) == 0 ?
				    holdings_find(h, h->input.owners[i].path) :
				    NO_IMAGE;

		while (at != NO_IMAGE && holdings_below(h, at) != NO_IMAGE)
			at = holdings_below(h, at);
		if (at != NO_IMAGE && (h->input.images[at].flags & PLAN_OUTSIDE))
			h->input.images[at].flags |= PLAN_INTO;
	}
}

int holdings_plan(const struct holdings *h, const struct guid *guids, size_t n, struct plan *ret_plan,
		  struct err *reterr)
{
	size_t n_owners = h->input.in.n_owners;
	_cleanup_free_ struct plan_owner *owners = xcalloc(n_owners + 1, sizeof(*owners));
	struct plan_input in = h->input.in;

	memcpy(owners, h->input.owners, n_owners * sizeof(*owners));
	for (size_t i = 0; i < n_owners; i++)
		for (size_t k = 0; k < n; k++)
			if (strcmp(owners[i].name, guids[k].s) == 0)
				owners[i].flags |= PLAN_LEAVING;
	in.owners = owners;
	return plan_make(&in, ret_plan, reterr);
}

int64_t holdings_memory(const struct holdings *h, const struct config *cfg)
{
	_cleanup_free_ char *vsv = cfg->state.vsv ? vmdir_resolve(h->m->dir, cfg->state.vsv) : NULL;
	_cleanup_free_ char *bin = cfg->state.bin ? vmdir_resolve(h->m->dir, cfg->state.bin) : NULL;

	return (vsv ? file_allocated(vsv) : 0) + (bin ? file_allocated(bin) : 0);
}
