/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The error object. */
#include "tests/unit/common-util.h"

#include "common/err.h"

static void a_failure_is_one_line(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;

	assert_int_equal(err_is_set(&err), 0);
	assert_int_equal(err_set(&err, ERR_REFUSED, -EPERM, "VM \"%s\" has no disk", "web"), -EPERM);
	assert_int_equal(err_is_set(&err), 1);
	assert_int_equal(err.kind, ERR_REFUSED);
	assert_int_equal(err.code, -EPERM);
	assert_string_equal(err.message, "VM \"web\" has no disk");
	assert_null(err.hint);
}

static void codes_are_made_negative(void **state _unused_)
{
	assert_int_equal(err_set(NULL, ERR_FAILED, ENOSPC, "x"), -ENOSPC);
	assert_int_equal(err_set(NULL, ERR_FAILED, 0, "x"), -EIO);
	assert_int_equal(err_errno(NULL, ENOSPC, "x"), -ENOSPC);
	assert_int_equal(err_file(NULL, 0, "/f", "x"), -EIO);
}

static void the_first_error_stays(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;

	assert_int_equal(err_set(&err, ERR_BUSY, -EBUSY, "first"), -EBUSY);
	assert_int_equal(err_file(&err, -ENOENT, "/second", "second"), -ENOENT);
	assert_int_equal(err.kind, ERR_BUSY);
	assert_int_equal(err.code, -EBUSY);
	assert_string_equal(err.message, "first");
	assert_null(err.file);
}

static void the_reason_is_appended(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;

	assert_int_equal(err_file(&err, ENOSPC, "/store/a.avhd", "cannot write %s", "/store/a.avhd"), -ENOSPC);
	assert_int_equal(err.kind, ERR_FAILED);
	assert_string_equal(err.message, "cannot write /store/a.avhd: No space left on device");
	assert_string_equal(err.file, "/store/a.avhd");
}

static void details_are_set_once(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;

	err_hint(&err, "too early");
	err_set_vm(&err, "too early");
	err_set_file(&err, "too early");
	err_prefix(&err, "too early");
	assert_null(err.hint);
	assert_null(err.vm);
	assert_null(err.file);
	assert_null(err.message);
	err_set(&err, ERR_NO_VM, -ENOENT, "no VM \"web\"");
	err_hint(&err, "See %s", "vmsnapctl list");
	err_hint(&err, "second");
	err_set_vm(&err, "web");
	err_set_vm(&err, "other");
	err_set_file(&err, "/a");
	err_set_file(&err, "/b");
	assert_string_equal(err.hint, "See vmsnapctl list");
	assert_string_equal(err.vm, "web");
	assert_string_equal(err.file, "/a");
}

static void text_joins_message_and_hint(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *alone = NULL, *both = NULL, *dotted = NULL;

	err_set(&err, ERR_FAILED, -EIO, "it failed");
	alone = err_text(&err);
	assert_string_equal(alone, "it failed");
	err_prefix(&err, "disk %s", "vda");
	err_hint(&err, "Try again");
	both = err_text(&err);
	assert_string_equal(both, "disk vda: it failed. Try again");
	err_done(&err);
	err_set(&err, ERR_BACKEND, -EIO, "libvirt said no.\n");
	err_hint(&err, "Ask it");
	dotted = err_text(&err);
	assert_string_equal(dotted, "libvirt said no. Ask it");
}

static void move_hands_everything_on(void **state _unused_)
{
	_cleanup_err_ struct err src = ERR_INIT, dst = ERR_INIT;

	assert_int_equal(err_move(&dst, &src), 0);
	assert_int_equal(err_is_set(&dst), 0);
	err_set(&src, ERR_DRIFT, -ESTALE, "changed");
	err_hint(&src, "hint");
	assert_int_equal(err_move(&dst, &src), -ESTALE);
	assert_int_equal(err_is_set(&src), 0);
	assert_int_equal(dst.kind, ERR_DRIFT);
	assert_string_equal(dst.message, "changed");
	assert_string_equal(dst.hint, "hint");
	err_set(&src, ERR_FAILED, -EIO, "later");
	assert_int_equal(err_move(&dst, &src), -EIO);
	assert_int_equal(err_is_set(&src), 0);
	assert_string_equal(dst.message, "changed");
	err_set(&src, ERR_FAILED, -EIO, "nobody listens");
	assert_int_equal(err_move(NULL, &src), -EIO);
	assert_int_equal(err_is_set(&src), 0);
}

static void an_emptied_object_can_be_used_again(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;

	err_done(NULL);
	err_set(&err, ERR_BUSY, -EBUSY, "busy");
	err.job = xstrdup("17");
	err_done(&err);
	assert_int_equal(err_is_set(&err), 0);
	assert_null(err.job);
	err_set(&err, ERR_LIMIT, -EAGAIN, "limit");
	assert_int_equal(err.kind, ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_is_one_line),
		cmocka_unit_test(codes_are_made_negative),
		cmocka_unit_test(the_first_error_stays),
		cmocka_unit_test(the_reason_is_appended),
		cmocka_unit_test(details_are_set_once),
		cmocka_unit_test(text_joins_message_and_hint),
		cmocka_unit_test(move_hands_everything_on),
		cmocka_unit_test(an_emptied_object_can_be_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
