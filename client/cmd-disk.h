/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What commands about disks lend to others. */
#ifndef CLIENT_CMD_DISK_H
#define CLIENT_CMD_DISK_H

#include <jansson.h>

#include "client/jobcall.h"

/* Prints the reply of PlanDelete for people. */
void print_delete_plan(struct ctl *ctl, json_t *reply);

#endif
