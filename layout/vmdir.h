/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One VM directory: where everything in it is (design section 3). Paths only;
 * what the files mean is other rooms' business. */
#ifndef LAYOUT_VMDIR_H
#define LAYOUT_VMDIR_H

#include <stddef.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/guid.h"

/* Directories are 0711 so that QEMU's user can reach images by name but not
 * list them; files 0600 (umask 077), sealed disks 0440. */
#define VMDIR_MODE 0711
#define SEALED_MODE 0440

/* A VM directory by its absolute path and its VM's GUID; a plain value. */
struct vmdir {
	char *root;       /* "/var/lib/vmsnap/TestVM", no trailing slash */
	struct guid guid; /* of the VM */
};

/* A VM directory value, *owned*; root is copied and made canonical. */
struct vmdir *vmdir_new(const char *root, const struct guid *guid);

/* Copy, *owned*. */
struct vmdir *vmdir_copy(const struct vmdir *vd);

/* Frees it (*taken*, may be NULL); files are not touched. */
void vmdir_free(struct vmdir *vd);
DEFINE_CLEANUP(struct vmdir, vmdir_free);
#define _cleanup_vmdir_ _cleanup_(vmdir_freep)

/* Absolute paths, each *owned*. */
char *vmdir_vms_dir(const struct vmdir *vd);       /* Virtual Machines */
char *vmdir_config(const struct vmdir *vd);        /* Virtual Machines/<VMGUID>.xml */
char *vmdir_intent(const struct vmdir *vd);        /* Virtual Machines/<VMGUID>.op */
char *vmdir_pause(const struct vmdir *vd);         /* Virtual Machines/<VMGUID>.paused */
char *vmdir_state_dir(const struct vmdir *vd);     /* Virtual Machines/<VMGUID> */
char *vmdir_state_path(const struct vmdir *vd);    /* Virtual Machines/<VMGUID>/<VMGUID>, without .vsv or .bin */
char *vmdir_nvram(const struct vmdir *vd);         /* Virtual Machines/<VMGUID>/<VMGUID>_VARS.fd */
char *vmdir_snapshots_dir(const struct vmdir *vd); /* Snapshots */
char *vmdir_avhd_dir(const struct vmdir *vd);      /* Snapshots/<VMGUID> */
char *vmdir_avhd(const struct vmdir *vd, const struct guid *image);          /* Snapshots/<VMGUID>/<GUID>.avhd */
char *vmdir_snapshot_config(const struct vmdir *vd, const struct guid *snap); /* Snapshots/<SNAPGUID>.xml */
char *vmdir_snapshot_dir(const struct vmdir *vd, const struct guid *snap);    /* Snapshots/<SNAPGUID> */
/* Snapshots/<SNAPGUID>/<SNAPGUID><suffix> */
char *vmdir_snapshot_file(const struct vmdir *vd, const struct guid *snap, const char *suffix);

/* An absolute path as it is stored: relative to the VM directory where it lies
 * inside it, else unchanged. Returns it *owned*. */
char *vmdir_store_path(const struct vmdir *vd, const char *absolute);

/* A stored pathname as an absolute path, *owned*. */
char *vmdir_resolve(const struct vmdir *vd, const char *pathname);

/* 1 if the absolute path lies inside the VM directory (textually, after
 * removing "." and ".."), else 0. */
int vmdir_contains(const struct vmdir *vd, const char *absolute);

/* The backing name to write into an overlay: relative to the overlay's directory
 * if both lie inside the VM directory, else the absolute path. Returns it *owned*. */
char *vmdir_backing_name(const struct vmdir *vd, const char *overlay, const char *backing);

/* Makes root and its standing directories (root, Virtual Machines, its state
 * directory, Snapshots), each durable. -EEXIST if root exists already. Returns 0
 * or negative errno. */
_must_check_ int vmdir_make(const struct vmdir *vd, struct err *reterr);

/* 1 if a file of that name (*borrowed*, no directory) is one that we were writing
 * when we died: ".<GUID>....tmp" or ".<anything>.qcow2.tmp", else 0. */
int vmdir_is_temp(const char *name);

/* Removes such files from the VM directory, where no operation may be under way:
 * from root, the standing directories and those of the snapshots. Returns the
 * number removed or negative errno. */
_must_check_ int vmdir_sweep_temps(const struct vmdir *vd, struct err *reterr);

/* Removes the standing directories as far as they are empty but for what
 * vmdir_sweep_temps() removes, root last. Returns
 * 0, -ENOTEMPTY if something of somebody's remains (file named), or another
 * negative errno. */
_must_check_ int vmdir_remove_empty(const struct vmdir *vd, struct err *reterr);

/* GUIDs of all snapshots whose configuration exists, sorted, *owned* array.
 * Returns 0 or negative errno. */
_must_check_ int vmdir_list_snapshots(const struct vmdir *vd, struct guid **ret_guids, size_t *ret_n,
				      struct err *reterr);

/* Absolute paths of all .avhd files, sorted, *owned* list. Returns 0 or negative errno. */
_must_check_ int vmdir_list_images(const struct vmdir *vd, char ***ret_paths, struct err *reterr);

#endif
