/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether another VM of the store needs a file: nothing may write or remove what
 * somebody else's disks consist of. */
#ifndef DAEMON_OP_OTHERS_H
#define DAEMON_OP_OTHERS_H

#include "daemon/machine.h"
#include "layout/index.h"

/* Refuses (ERR_REFUSED, the other VM named) if the file or device at path, by
 * whatever name, is in a chain of a VM other than m's. Returns 0 or negative errno. */
_must_check_ int op_others_refuse_file(const struct machine *m, const char *path, struct err *reterr);

/* Same for any file inside m's VM directory. A VM with a document that cannot be read may stand on
 * them, too: refused unless force. */
_must_check_ int op_others_refuse_directory(const struct machine *m, int force, struct err *reterr);

/* Those of paths (a list, may be NULL) that are in a chain of a VM other than m's, *owned* list
 * (NULL: none). All of them if a document of another VM cannot be read: it may need any. Returns 0
 * or negative errno. */
_must_check_ int op_others_shared(const struct machine *m, char *const *paths, char ***ret_shared,
				  struct err *reterr);

/* The other way round: the VMs other than m's that have one of paths in a chain or in their
 * directory, *owned* array freed by index_vms_free(). Returns 0 or negative errno. */
_must_check_ int op_others_owners(const struct machine *m, char *const *paths, struct index_vm **ret_vms,
				  size_t *ret_n, struct err *reterr);

#endif
