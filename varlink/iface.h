/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An interface as static tables: from them come parameter validation with the
 * exact field name, reply validation, and the IDL text. One source of truth. */
#ifndef VARLINK_IFACE_H
#define VARLINK_IFACE_H

#include <jansson.h>
#include <stddef.h>

#include "common/cleanup.h"

enum vl_type { VL_BOOL, VL_INT, VL_STRING, VL_OBJECT, VL_STRUCT };

enum { VL_NULLABLE = 1, VL_ARRAY = 2 };

enum vl_more { VL_MORE_NO = 0, VL_MORE_SUPPORTED, VL_MORE_REQUIRED };

/* Who may call it (least role); the mapping of peers to roles is the daemon's. */
enum vl_role { VL_ROLE_OBSERVER, VL_ROLE_OPERATOR, VL_ROLE_ADMIN };

struct vl_field {
	const char *name;
	enum vl_type type;
	unsigned flags;
	const struct vl_struct *ref; /* VL_STRUCT: the named type */
	const char *doc;
};

struct vl_struct {
	const char *name, *doc;
	const struct vl_field *fields; /* ends with a NULL name */
};

struct vl_method {
	const char *name, *doc;
	const struct vl_field *in, *out; /* end with a NULL name */
	enum vl_more more;
	enum vl_role role;
};

struct vl_error {
	const char *name, *doc;
	const struct vl_field *fields;
};

struct vl_interface {
	const char *name, *doc;
	const struct vl_struct *const *types; /* NULL-terminated */
	const struct vl_method *methods;      /* end with a NULL name */
	const struct vl_error *errors;        /* end with a NULL name */
};

/* The method of that short name (*borrowed*), or NULL. */
const struct vl_method *vl_find_method(const struct vl_interface *iface, const char *name);

/* Checks obj (*borrowed*) against fields: unknown field, wrong type, missing
 * field. Returns 0, or -EINVAL with *ret_field the offending name (*borrowed*
 * from obj or the table). With allow_unknown, unknown fields pass (replies). */
_must_check_ int vl_validate(const struct vl_field *fields, json_t *obj, int allow_unknown, const char **ret_field);

/* The interface description with comments, *owned*; in the IDL subset that
 * systemd, libvarlink and python-varlink all take. */
char *vl_describe(const struct vl_interface *iface);

#endif
