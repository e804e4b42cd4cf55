/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tables of our interfaces obey Varlink's rules for names, everything in them
 * is explained, and the description in the tree is the one they give.
 * VMSNAP_REGENERATE=1 writes it anew. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "varlink/manager.h"
#include "varlink/message.h"

/* [A-Z][A-Za-z0-9]* */
static int member_name_ok(const char *s)
{
	if (!isupper((unsigned char)*s))
		return 0;
	while (isalnum((unsigned char)*s))
		s++;
	return *s == '\0';
}

/* [A-Za-z](_?[A-Za-z0-9])*; ours have no underscores and begin in lower case */
static int field_name_ok(const char *s)
{
	if (!islower((unsigned char)*s))
		return 0;
	while (isalnum((unsigned char)*s))
		s++;
	return *s == '\0';
}

static int ends_a_sentence(const char *doc)
{
	return doc && *doc && (doc[strlen(doc) - 1] == '.' || doc[strlen(doc) - 1] == ':');
}

static int is_listed(const struct vl_interface *iface, const struct vl_struct *type)
{
	for (const struct vl_struct *const *t = iface->types; *t; t++)
		if (*t == type)
			return 1;
	return 0;
}

static void check_fields(const struct vl_interface *iface, const char *of, const struct vl_field *fields)
{
	for (const struct vl_field *f = fields; f->name; f++) {
		print_message("%s.%s\n", of, f->name);
		assert_true(field_name_ok(f->name));
		assert_true(ends_a_sentence(f->doc));
		assert_int_equal(f->ref != NULL, f->type == VL_STRUCT);
		if (f->ref)
			assert_true(is_listed(iface, f->ref));
		for (const struct vl_field *other = fields; other != f; other++)
			assert_string_not_equal(other->name, f->name);
	}
}

/* Types, methods and errors share one space of names. */
static void check_member(char ***names, const char *name, const char *doc)
{
	print_message("%s\n", name);
	assert_true(member_name_ok(name));
	assert_true(ends_a_sentence(doc));
	assert_false(strv_has(*names, name));
	strv_push(names, xstrdup(name));
}

static void check_interface(const struct vl_interface *iface)
{
	_cleanup_strv_ char **names = NULL;

	assert_true(ends_a_sentence(iface->doc));
	for (const struct vl_struct *const *t = iface->types; *t; t++) {
		check_member(&names, (*t)->name, (*t)->doc);
		check_fields(iface, (*t)->name, (*t)->fields);
		assert_non_null((*t)->fields->name); /* systemd refuses empty types */
	}
	for (const struct vl_method *m = iface->methods; m->name; m++) {
		check_member(&names, m->name, m->doc);
		check_fields(iface, m->name, m->in);
		check_fields(iface, m->name, m->out);
	}
	for (const struct vl_error *e = iface->errors; e->name; e++) {
		check_member(&names, e->name, e->doc);
		check_fields(iface, e->name, e->fields);
	}
}

static void test_tables(void **state _unused_)
{
	check_interface(&vl_manager);
	check_interface(&vl_service);
}

static const struct vl_field *field_of(const struct vl_field *fields, const char *name)
{
	for (const struct vl_field *f = fields; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

/* What starts a job can be waited for in three ways; what does not, in none. */
static void test_jobs(void **state _unused_)
{
	for (const struct vl_method *m = vl_manager.methods; m->name; m++) {
		const struct vl_field *job = field_of(m->out, "job");
		int starts_job = field_of(m->in, "noWait") != NULL;

		print_message("%s\n", m->name);
		assert_int_equal(m->more == VL_MORE_SUPPORTED, starts_job);
		if (!starts_job)
			continue;
		assert_non_null(job);
		/* the replies of a stream are a union: each field may be absent */
		for (const struct vl_field *f = m->out; f->name; f++)
			assert_true(f->flags & VL_NULLABLE);
		assert_true(m->role != VL_ROLE_OBSERVER);
	}
}

static void test_roles(void **state _unused_)
{
	static const char *const operator_may[] = {
		"CreateSnapshot", "RenameSnapshot", "DiagnoseVM", "StartVM", "ShutdownVM", "ResumeVM", "SaveVM", "CancelJob",
		"PauseJob", "ResumeJob", "CheckVM",
	};

	for (const struct vl_method *m = vl_manager.methods; m->name; m++) {
		enum vl_role role = VL_ROLE_ADMIN;

		if (strncmp(m->name, "List", 4) == 0 || strncmp(m->name, "Get", 3) == 0 ||
		    strcmp(m->name, "WatchJobs") == 0 || strcmp(m->name, "WatchSpace") == 0 || strcmp(m->name, "PlanDelete") == 0)
			role = VL_ROLE_OBSERVER;
		for (size_t i = 0; i < ARRAY_SIZE(operator_may); i++)
			if (strcmp(m->name, operator_may[i]) == 0)
				role = VL_ROLE_OPERATOR;
		print_message("%s\n", m->name);
		assert_int_equal(m->role, role);
	}
}

static void test_description(void **state _unused_)
{
	const char *srcdir = getenv("srcdir");
	_cleanup_free_ char *path = path_join(srcdir ? srcdir : ".", "varlink/io.vmsnap.Manager.varlink");
	_cleanup_free_ char *expected = NULL, *text = vl_describe(&vl_manager);
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	if (getenv("VMSNAP_REGENERATE")) {
		r = file_replace(path, text, strlen(text), 0644, &err);
		assert_int_equal(r, 0);
		return;
	}
	r = file_read(path, VL_MAX_CALL, &expected, NULL, &err);
	if (r < 0)
		fail_msg("%s", err.message);
	assert_string_equal(text, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_jobs),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_description),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
