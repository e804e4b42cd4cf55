/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Save states as JSON. Worker threads only. */
#ifndef DAEMON_RPC_VIEW_SAVESTATE_H
#define DAEMON_RPC_VIEW_SAVESTATE_H

#include <jansson.h>

#include "layout/vmdir.h"
#include "savestate/vsv.h"
#include "xmlcfg/config.h"

/* The save state of a document that has one. What cannot be read is told among its
 * problems. *Owned* SaveState. */
json_t *view_savestate(const struct vmdir *dir, const struct config *cfg);

/* The blocks of a memory. *Owned* array of RAMBlock. */
json_t *view_ram_blocks(const struct vsv_info *info);

#endif
