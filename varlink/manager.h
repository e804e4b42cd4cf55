/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interface io.vmsnap.Manager and org.varlink.service as tables. */
#ifndef VARLINK_MANAGER_H
#define VARLINK_MANAGER_H

#include "varlink/iface.h"

#define VL_MANAGER "io.vmsnap.Manager"
#define VL_SERVICE "org.varlink.service"

/* The tables (static, *borrowed*). */
extern const struct vl_interface vl_manager;
extern const struct vl_interface vl_service;

#endif
