/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt's QEMU driver inside this process (qemu:///embed?root=DIR): what has to
 * stand before it is opened. */
#ifndef DAEMON_HV_EMBED_H
#define DAEMON_HV_EMBED_H

#include "common/cleanup.h"
#include "common/err.h"

/* Reads the root directory out of uri (*borrowed*). ret_root *owned*, NULL if uri
 * is not one of the embedded driver. Returns 0, or -EINVAL if the root is missing,
 * relative, not canonical or too long (ERR_INVALID). */
_must_check_ int hv_embed_root(const char *uri, char **ret_root, struct err *reterr);

/* Makes root ready: the directory, our lock on it (held until the process ends, as
 * libvirt's own is), etc/qemu.conf, and libvirt's log output into root. Must run
 * before virInitialize(); a process can have one root only. Returns 0 or negative
 * errno (-EBUSY: another process, or another root in this one). */
_must_check_ int hv_embed_prepare(const char *root, struct err *reterr);

#endif
