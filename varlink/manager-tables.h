/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of io.vmsnap.Manager that several files of this folder share. */
#ifndef VARLINK_MANAGER_TABLES_H
#define VARLINK_MANAGER_TABLES_H

#include "varlink/iface.h"

/* The named types (static, *borrowed*). */
extern const struct vl_struct vl_type_job, vl_type_image, vl_type_disk, vl_type_vm, vl_type_snapshot,
	vl_type_ram_block, vl_type_save_state, vl_type_memory_difference, vl_type_tree_image, vl_type_disk_tree,
	vl_type_snapshot_usage, vl_type_disk_usage, vl_type_merge_action, vl_type_delete_plan, vl_type_finding, vl_type_repair,
	vl_type_file_system;

/* Parameters and replies of CheckVM and RepairVM. */
extern const struct vl_field vl_check_vm_in[], vl_check_vm_out[], vl_repair_vm_in[], vl_repair_vm_out[];

/* The errors (static, *borrowed*), ending with a NULL name. */
extern const struct vl_error vl_manager_errors[];

/* Rows of the tables: a field, one that may be absent, lists, named types. */
#define FIELD(name_, type_, doc_) { .name = (name_), .type = (type_), .doc = (doc_) }
#define OPTIONAL(name_, type_, doc_) { .name = (name_), .type = (type_), .flags = VL_NULLABLE, .doc = (doc_) }
#define LIST(name_, type_, doc_) { .name = (name_), .type = (type_), .flags = VL_ARRAY, .doc = (doc_) }
#define OPTIONAL_LIST(name_, type_, doc_) \
	{ .name = (name_), .type = (type_), .flags = VL_NULLABLE | VL_ARRAY, .doc = (doc_) }
#define STRUCT(name_, ref_, flags_, doc_) \
	{ .name = (name_), .type = VL_STRUCT, .flags = (flags_), .ref = &(ref_), .doc = (doc_) }
#define END { .name = NULL }

#endif
