/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the catalog: shared by catalog.c (in step with the directories),
 * catalog-load.c (documents to rows) and catalog-find.c (names). */
#ifndef DAEMON_CATALOG_PRIV_H
#define DAEMON_CATALOG_PRIV_H

#include <pthread.h>

#include "daemon/catalog.h"

struct catalog_entry {
	struct vmdir *dir;
	int has_config, has_intent;
	char *twin; /* another directory that holds the same VM, or NULL */
	int64_t stamp; /* of what the index holds; 0: read again */
	char **problems;
};

struct catalog {
	pthread_mutex_t lock;
	char *store;
	struct index *index;
	struct catalog_entry *entry;
	size_t n;
	char **problems; /* of the store */
};

/* In and out of a step that runs with a sound index. */
struct catalog_rows {
	struct index_vm *vms;
	size_t n;
	const struct guid *guid;
	struct index_snapshot *snaps;
};

/* Reads all documents of a VM into the index. Lock held. Returns 0 or negative errno. */
_must_check_ int catalog_load_entry(struct catalog *cat, struct catalog_entry *e, int64_t stamp, struct err *reterr);

/* Brings one VM's rows up to date. Lock held. Returns 0, -ENOENT or negative errno. */
_must_check_ int catalog_refresh_vm(struct catalog *cat, const struct guid *vm, struct err *reterr);

/* Runs fn with a sound index. Lock held. Returns what fn returns. */
_must_check_ int catalog_with_index(struct catalog *cat,
				    int (*fn)(struct catalog *cat, void *arg, struct err *reterr), void *arg,
				    struct err *reterr);

#endif
