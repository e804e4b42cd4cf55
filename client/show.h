/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How values of the interface look to people, where several commands show them. */
#ifndef CLIENT_SHOW_H
#define CLIENT_SHOW_H

#include <jansson.h>

#include "common/cleanup.h"

/* "2026-11-21 09:12" of a member in us since 1970, or NULL if it is absent or 0.
 * Returns it *owned*. */
char *show_time(json_t *obj, const char *key);

/* "1.2 GiB" of a member in bytes, or NULL if it is absent. Returns it *owned*. */
char *show_bytes(json_t *obj, const char *key);

/* "412 MiB + 0.9 GiB": memory (if there is any) and disk of a snapshot. Returns it *owned*. */
char *show_snapshot_size(json_t *snapshot);

/* "CreateSnapshot" as "create snapshot". Returns it *owned*. */
char *show_operation(const char *method);

/* Prints the disks of a VM or snapshot with their chains. */
void show_disks(json_t *disks);

/* Prints what is wrong, one line each. */
void show_problems(json_t *problems);

#endif
