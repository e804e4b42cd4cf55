/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What becomes of memory that others need when snapshots go, one after the other. */
#include <string.h>

#include "common/alloc.h"
#include "daemon/holdings.h"
#include "daemon/savestates.h"
#include "savestate/join.h"

/* A document with a save state that takes pages from others'. */
struct dependant {
	struct savestate_chain chain;
	size_t goes;   /* when it goes itself: its number, or the number of those that go */
	size_t folded; /* how many of its parents it has taken in */
	int64_t bytes; /* of its last new files */
};

static void dependants_free(struct dependant *deps, size_t n)
{
	for (size_t i = 0; i < n; i++)
		savestate_chain_done(&deps[i].chain);
	free(deps);
}

static size_t number_of(const struct guid *guids, size_t n, const struct guid *guid)
{
	for (size_t i = 0; i < n; i++)
		if (guid_eq(&guids[i], guid))
			return i;
	return n;
}

/* Adds cfg if its save state builds on others. What cannot be read cannot be told of: deleting refuses it. */
static void add_dependant(const struct holdings *h, const struct config *cfg, const struct guid *guids, size_t n,
			  struct dependant *deps, size_t *n_deps)
{
	struct dependant *dep = &deps[*n_deps];

	if (!cfg->state.vsv ||
	    savestate_chain_open(h->m->dir, cfg->state.vsv, cfg->state.bin, &dep->chain, NULL) < 0)
		return;
	dep->goes = cfg->kind == CONFIG_VM ? n : number_of(guids, n, &cfg->guid);
	if (dep->chain.n > 1)
		(*n_deps)++;
	else
		savestate_chain_done(&dep->chain);
}

/* The i-th goes: what is written for that, bytes. */
static int64_t fold(struct dependant *deps, size_t n_deps, const struct guid *guid, size_t i)
{
	int64_t sum = 0;

	for (size_t k = 0; k < n_deps; k++) {
		struct dependant *dep = &deps[k];
		uint64_t bytes = 0;

		if (dep->goes <= i || dep->folded + 1 >= dep->chain.n ||
		    !guid_eq(&dep->chain.guids[dep->folded + 1], guid))
			continue;
		dep->folded++;
		if (join_fold_size(dep->chain.files, dep->folded + 1, &bytes, NULL) < 0)
			continue; /* deleting refuses it */
		dep->bytes = (int64_t)bytes;
		sum += dep->bytes;
	}
	return sum;
}

struct holdings_folds holdings_folded(const struct holdings *h, const struct guid *guids, size_t n)
{
	struct dependant *deps = xcalloc(h->n_snaps + 1, sizeof(*deps));
	struct holdings_folds folds = { 0 };
	size_t n_deps = 0;

	add_dependant(h, h->m->cfg, guids, n, deps, &n_deps);
	for (size_t i = 0; i < h->n_snaps; i++)
		add_dependant(h, h->snaps[i], guids, n, deps, &n_deps);
	for (size_t i = 0; i < n; i++) {
		int64_t bytes = fold(deps, n_deps, &guids[i], i);

		folds.copied += bytes;
		folds.needed = bytes > folds.needed ? bytes : folds.needed;
	}
	for (size_t k = 0; k < n_deps; k++)
		folds.kept += deps[k].goes == n ? deps[k].bytes : 0;
	dependants_free(deps, n_deps);
	return folds;
}
