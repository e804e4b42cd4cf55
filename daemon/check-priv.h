/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of a check: shared by check.c (the way through it), check-picture.c
 * (documents and domains to the picture), check-domain.c (domain and index) and
 * check-deep.c (save states, images read through). */
#ifndef DAEMON_CHECK_PRIV_H
#define DAEMON_CHECK_PRIV_H

#include "daemon/check.h"
#include "layout/index.h"

/* One look at one VM. */
struct checking {
	struct daemon *daemon;        /* *borrowed*, as opts, vm, job and rep */
	const struct index_vm *vm;
	const struct check_options *opts;
	struct job *job;
	struct check_report *rep;
	struct vmdir *dir;            /* *owned* */
	struct config *cfg;           /* the VM's own, *owned*; NULL: cannot be read */
	struct config **snaps;        /* those that can be read, *owned* */
	size_t n_snaps;
	enum hv_state state;
	int asked;                    /* 1: the hypervisor answered, state holds */
	struct check_picture pic;
};

/* Reads all documents; those that cannot be read become findings. Returns 0 or negative errno. */
_must_check_ int check_read_documents(struct checking *c, struct err *reterr);

/* Adds to the picture what the hypervisor's domains and the other VMs of the store use. */
void check_read_others(struct checking *c);

/* The rules about the domain, and about the index. */
void check_domain(struct checking *c);
void check_index(struct checking *c); /* as check_domain() */

/* The rules about save states: headers, and with deep all of them. Returns 0 or
 * negative errno (-ECANCELED). */
_must_check_ int check_states(struct checking *c, struct err *reterr);

/* Has QEMU's own check look at each image that the guest does not write. Returns 0
 * or negative errno (-ECANCELED). */
_must_check_ int check_images_deep(struct checking *c, struct err *reterr);

#endif
