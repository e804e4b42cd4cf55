/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the server answers to which call, and what it does not answer at all. */
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "common/log.h"
#include "tests/unit/rpc-util.h"
#include "varlink/manager.h"
#include "varlink/message.h"

#define SERVICE "org.varlink.service"

static void test_echo(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	call(fd, "Echo", "{\"text\":\"a\"}");
	expect_reply(rig, fd, "{\"parameters\":{\"text\":\"a\"}}");
	assert_int_equal(rig->uid, geteuid());
	assert_int_equal(rig->n_groups, getgroups(0, NULL));
}

static void test_get_info(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	say(fd, "{\"method\":\"" SERVICE ".GetInfo\",\"parameters\":null,\"more\":false}");
	expect_reply(rig, fd,
		     "{\"parameters\":{\"vendor\":\"the tests\",\"product\":\"rig\",\"version\":\"1\","
		     "\"url\":\"https://example.org/\",\"interfaces\":[\"" SERVICE "\",\"" TEST_IFACE "\"]}}");
}

static void expect_description(struct rig *rig, int fd, const struct vl_interface *iface)
{
	_cleanup_free_ char *heard = NULL, *expected = vl_describe(iface);
	_cleanup_reply_ struct vl_reply reply = { 0 };
	_cleanup_free_ char *text =
		xasprintf("{\"method\":\"" SERVICE ".GetInterfaceDescription\",\"parameters\":{\"interface\":\"%s\"}}",
			  iface->name);

	say(fd, text);
	heard = hear(rig, fd);
	assert_non_null(heard);
	assert_int_equal(vl_reply_parse(heard, strlen(heard), &reply, NULL), 0);
	assert_string_equal(json_string_value(json_object_get(reply.parameters, "description")), expected);
}

static void test_descriptions(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	expect_description(rig, fd, &vl_service);
	expect_description(rig, fd, rig->opts.iface);
	say(fd, "{\"method\":\"" SERVICE ".GetInterfaceDescription\",\"parameters\":{\"interface\":\"a.b\"}}");
	expect_error(rig, fd, SERVICE ".InterfaceNotFound", "{\"interface\":\"a.b\"}");
	say(fd, "{\"method\":\"" SERVICE ".GetInterfaceDescription\"}");
	expect_error(rig, fd, SERVICE ".InvalidParameter", "{\"parameter\":\"interface\"}");
}

static void test_names(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	say(fd, "{\"method\":\"a.b.C\"}");
	expect_error(rig, fd, SERVICE ".InterfaceNotFound", "{\"interface\":\"a.b\"}");
	say(fd, "{\"method\":\"Echo\"}");
	expect_error(rig, fd, SERVICE ".InterfaceNotFound", "{\"interface\":\"Echo\"}");
	say(fd, "{\"method\":\".\"}");
	expect_error(rig, fd, SERVICE ".InterfaceNotFound", "{\"interface\":\"\"}");
	say(fd, "{\"method\":\"" TEST_IFACE "x.Echo\"}");
	expect_error(rig, fd, SERVICE ".InterfaceNotFound", "{\"interface\":\"" TEST_IFACE "x\"}");
	call(fd, "Ech", NULL);
	expect_error(rig, fd, SERVICE ".MethodNotFound", "{\"method\":\"" TEST_IFACE ".Ech\"}");
	call(fd, "", NULL);
	expect_error(rig, fd, SERVICE ".MethodNotFound", "{\"method\":\"" TEST_IFACE ".\"}");
	call(fd, "Unwritten", NULL);
	expect_error(rig, fd, SERVICE ".MethodNotImplemented", "{\"method\":\"" TEST_IFACE ".Unwritten\"}");
}

static void test_parameters(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	call(fd, "Echo", "{}");
	expect_error(rig, fd, SERVICE ".InvalidParameter", "{\"parameter\":\"text\"}");
	call(fd, "Echo", "{\"text\":1}");
	expect_error(rig, fd, SERVICE ".InvalidParameter", "{\"parameter\":\"text\"}");
	call(fd, "Echo", "{\"text\":\"a\",\"more\":true}");
	expect_error(rig, fd, SERVICE ".InvalidParameter", "{\"parameter\":\"more\"}");
	assert_int_equal(rig->echoes, 0);
}

static void test_flags(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	say(fd, "{\"method\":\"" TEST_IFACE ".Echo\",\"parameters\":{\"text\":\"a\"},\"upgrade\":true}");
	expect_error(rig, fd, SERVICE ".InvalidParameter", "{\"parameter\":\"upgrade\"}");
	call(fd, "Watch", NULL);
	expect_error(rig, fd, SERVICE ".ExpectedMore", NULL);
	say(fd, "{\"method\":\"" TEST_IFACE ".Echo\",\"parameters\":{\"text\":\"b\"},\"more\":true}");
	expect_reply(rig, fd, "{\"parameters\":{\"text\":\"b\"}}");
	say(fd, "{\"method\":\"" TEST_IFACE ".Watch\",\"more\":true}");
	expect_reply(rig, fd, "{\"parameters\":{\"text\":\"first\"},\"continues\":true}");
	expect_reply(rig, fd, "{\"parameters\":{\"text\":\"second\"},\"continues\":true}");
	expect_reply(rig, fd, "{\"parameters\":{\"text\":\"last\"}}");
}

static void test_permission(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	call(fd, "Secret", NULL);
	expect_error(rig, fd, SERVICE ".PermissionDenied", NULL);
	/* who may not call it does not learn what it takes */
	call(fd, "Secret", "{\"what\":1}");
	expect_error(rig, fd, SERVICE ".PermissionDenied", NULL);
}

static void test_oneway(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	say(fd, "{\"method\":\"" TEST_IFACE ".NoSuchThing\",\"oneway\":true}");
	say(fd, "{\"method\":\"a.b.C\",\"oneway\":true}");
	say(fd, "{\"method\":\"" TEST_IFACE ".Echo\",\"parameters\":{\"x\":1},\"oneway\":true}");
	say(fd, "{\"method\":\"" TEST_IFACE ".Echo\",\"parameters\":{\"text\":\"quiet\"},\"oneway\":true}");
	call(fd, "Echo", "{\"text\":\"loud\"}");
	expect_reply(rig, fd, "{\"parameters\":{\"text\":\"loud\"}}");
	assert_int_equal(rig->echoes, 2); /* it was done all the same */
	shutdown(fd, SHUT_WR);
	expect_reply(rig, fd, NULL);
}

static void test_malformed_closes(void **state)
{
	static const char *const bad[] = {
		"", "x", "[]", "{}", "{\"method\":1}", "{\"method\":\"" TEST_IFACE ".Echo\",\"more\":1}",
		"{\"method\":\"" TEST_IFACE ".Echo\",\"more\":true,\"oneway\":true}",
		"{\"method\":\"" TEST_IFACE ".Echo\",\"parameters\":{\"text\":\"a\"},\"what\":1}",
		"{\"method\":\"" TEST_IFACE ".Echo\",\"parameters\":{\"text\":\"a\",\"text\":\"b\"}}",
		"{\"method\":\"" TEST_IFACE ".Echo\",\"parameters\":[]}",
		"{\"method\":\"" TEST_IFACE ".Echo\",\"parameters\":{\"text\":"
		"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}}", /* 33 deep */
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_close_ int fd = rig_connect(rig);

		print_message("%s\n", bad[i]);
		call(fd, "Echo", "{\"text\":\"before\"}");
		say(fd, bad[i]);
		call(fd, "Echo", "{\"text\":\"behind\"}");
		expect_reply(rig, fd, "{\"parameters\":{\"text\":\"before\"}}");
		expect_reply(rig, fd, NULL);
		assert_int_equal(rig->echoes, i + 1);
	}
}

/* Depth 32 and a vendor's key are no reason to close. */
static void test_well_formed_stays(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);

	call(fd, "Echo", "{\"text\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}");
	expect_error(rig, fd, SERVICE ".InvalidParameter", "{\"parameter\":\"text\"}");
	say(fd, "{\"method\":\"" TEST_IFACE ".Echo\",\"parameters\":{\"text\":\"a\"},\"org.vendor\":{}}");
	expect_reply(rig, fd, "{\"parameters\":{\"text\":\"a\"}}");
}

static void test_errors(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int fd = rig_connect(rig);
	_cleanup_err_ struct err busy = ERR_INIT, denied = ERR_INIT;

	ignore_result(err_full(&busy, ERR_BUSY, -EBUSY, "web\xff", "/f", "Wait.", "VM is busy"));
	xstrset(&busy.job, "7");
	ignore_result(err_set(&denied, ERR_PERMISSION, -EACCES, "no"));
	call(fd, "Hold", "{\"text\":\"a\"}");
	rig_wait(rig, &rig->n_held, 1);
	rpc_error(TAKE_PTR(rig->held[0].call), &busy);
	expect_error(rig, fd, VL_MANAGER ".VMBusy",
		     "{\"message\":\"VM is busy\",\"hint\":\"Wait.\",\"vm\":\"web\xef\xbf\xbd\",\"file\":\"/f\","
		     "\"job\":\"7\"}");
	call(fd, "Hold", "{\"text\":\"b\"}");
	rig_wait(rig, &rig->n_held, 2);
	rpc_error(TAKE_PTR(rig->held[1].call), &denied);
	expect_error(rig, fd, SERVICE ".PermissionDenied", NULL);
}

/* Each kind has its own name, and each name stands in the tables. */
static void test_error_names(void **state _unused_)
{
	int found = 0;

	for (int kind = ERR_FAILED; kind < ERR_PERMISSION; kind++) {
		const char *name = rpc_error_name((enum err_kind)kind);
		const struct vl_error *e;

		print_message("%d %s\n", kind, name);
		assert_int_equal(strncmp(name, VL_MANAGER ".", strlen(VL_MANAGER) + 1), 0);
		for (e = vl_manager.errors; e->name; e++)
			if (strcmp(e->name, name + strlen(VL_MANAGER) + 1) == 0)
				break;
		assert_non_null(e->name);
		found++;
		for (int other = ERR_FAILED; other < kind; other++)
			assert_string_not_equal(rpc_error_name((enum err_kind)other), name);
	}
	for (const struct vl_error *e = vl_manager.errors; e->name; e++)
		found--;
	assert_int_equal(found, 0);
	assert_string_equal(rpc_error_name(ERR_PERMISSION), SERVICE ".PermissionDenied");
	assert_string_equal(rpc_error_name((enum err_kind)1000), VL_MANAGER ".JobFailed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_echo, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_get_info, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_descriptions, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_names, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_parameters, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_flags, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_permission, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_oneway, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_malformed_closes, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_well_formed_stays, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_errors, rig_setup, rig_teardown),
		cmocka_unit_test(test_error_names),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
