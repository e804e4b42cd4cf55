/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What operations under way were promised. */
#include "layout/ledger.h"

#include "common/alloc.h"

void ledger_promise(struct ledger *ledger, uint64_t owner, const struct space *account)
{
	ledger_forget(ledger, owner);
	for (size_t i = 0; i < account->n; i++) {
		if (account->fs[i].need <= 0)
			continue;
		ledger->entry = xreallocarray(ledger->entry, ledger->n + 1, sizeof(*ledger->entry));
		ledger->entry[ledger->n++] = (struct ledger_entry){
			.owner = owner, .dev = account->fs[i].dev, .need = account->fs[i].need,
		};
	}
}

void ledger_written(struct ledger *ledger, uint64_t owner, uint64_t dev, int64_t bytes)
{
	for (size_t i = 0; i < ledger->n; i++) {
		struct ledger_entry *e = &ledger->entry[i];

		if (e->owner == owner && e->dev == dev && bytes > e->written)
			e->written = bytes;
	}
}

int64_t ledger_open(const struct ledger *ledger, uint64_t dev, uint64_t but)
{
	int64_t sum = 0;

	for (size_t i = 0; i < ledger->n; i++) {
		const struct ledger_entry *e = &ledger->entry[i];

		if (e->dev != dev || e->owner == but || e->written >= e->need)
			continue;
		if (__builtin_add_overflow(sum, e->need - e->written, &sum))
			return INT64_MAX;
	}
	return sum;
}

void ledger_forget(struct ledger *ledger, uint64_t owner)
{
	size_t kept = 0;

	for (size_t i = 0; i < ledger->n; i++)
		if (ledger->entry[i].owner != owner)
			ledger->entry[kept++] = ledger->entry[i];
	ledger->n = kept;
	if (!kept)
		cleanup_free(&ledger->entry);
}

void ledger_apply(const struct ledger *ledger, uint64_t owner, struct space *account)
{
	for (size_t i = 0; i < account->n; i++)
		account->fs[i].promised = ledger_open(ledger, account->fs[i].dev, owner);
}
