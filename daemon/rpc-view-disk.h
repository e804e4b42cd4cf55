/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks with their chains as JSON. Worker threads only. */
#ifndef DAEMON_RPC_VIEW_DISK_H
#define DAEMON_RPC_VIEW_DISK_H

#include <jansson.h>

#include "layout/vmdir.h"
#include "xmlcfg/config.h"

/* The disks of a configuration: those managed, with their chains, and those of
 * its domain that are left alone, with the reason. *Owned* array of Disk. */
json_t *view_disks(const struct vmdir *dir, const struct config *cfg);

#endif
