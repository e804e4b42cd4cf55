/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Look-up and validation by the tables of an interface. */
#include "varlink/iface.h"

#include <errno.h>
#include <string.h>

static int check_fields(const struct vl_field *fields, json_t *obj, int allow_unknown, const char **ret_field);

const struct vl_method *vl_find_method(const struct vl_interface *iface, const char *name)
{
	for (const struct vl_method *m = iface->methods; m->name; m++)
		if (strcmp(m->name, name) == 0)
			return m;
	return NULL;
}

static const struct vl_field *find_field(const struct vl_field *fields, const char *name)
{
	for (const struct vl_field *f = fields; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

/* Checks one value or one element against f's type. A member of a struct that is
 * wrong is named itself; otherwise it is f that is wrong. */
static int check_scalar(const struct vl_field *f, json_t *value, int allow_unknown, const char **ret_field)
{
	int fits = 0;

	switch (f->type) {
	case VL_BOOL:
		fits = json_is_boolean(value);
		break;
	case VL_INT:
		fits = json_is_integer(value);
		break;
	case VL_STRING:
		fits = json_is_string(value);
		break;
	case VL_OBJECT:
		fits = json_is_object(value);
		break;
	case VL_STRUCT:
		if (json_is_object(value))
			return check_fields(f->ref->fields, value, allow_unknown, ret_field);
		break;
	}
	if (fits)
		return 0;
	*ret_field = f->name;
	return -EINVAL;
}

static int check_value(const struct vl_field *f, json_t *value, int allow_unknown, const char **ret_field)
{
	json_t *element;
	size_t i;

	if (!(f->flags & VL_ARRAY))
		return check_scalar(f, value, allow_unknown, ret_field);
	if (!json_is_array(value)) {
		*ret_field = f->name;
		return -EINVAL;
	}
	json_array_foreach(value, i, element) {
		int r = check_scalar(f, element, allow_unknown, ret_field);

		if (r < 0)
			return r;
	}
	return 0;
}

/* First the members that are there, in their order, then those that are missing. */
static int check_fields(const struct vl_field *fields, json_t *obj, int allow_unknown, const char **ret_field)
{
	const char *key;
	json_t *value;

	json_object_foreach(obj, key, value) {
		const struct vl_field *f = find_field(fields, key);
		int r;

		if (!f && allow_unknown)
			continue;
		if (!f) {
			*ret_field = key;
			return -EINVAL;
		}
		if (json_is_null(value))
			continue; /* the same as absent */
		r = check_value(f, value, allow_unknown, ret_field);
		if (r < 0)
			return r;
	}
	for (const struct vl_field *f = fields; f->name; f++) {
		value = json_object_get(obj, f->name);
		if ((value && !json_is_null(value)) || (f->flags & VL_NULLABLE))
			continue;
		*ret_field = f->name;
		return -EINVAL;
	}
	return 0;
}

int vl_validate(const struct vl_field *fields, json_t *obj, int allow_unknown, const char **ret_field)
{
	if (!json_is_object(obj)) {
		*ret_field = "parameters";
		return -EINVAL;
	}
	return check_fields(fields, obj, allow_unknown, ret_field);
}
