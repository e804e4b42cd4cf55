/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connection and the plain calls, on libvirt's own test driver, and what is
 * said when libvirt cannot be reached. Needs no hypervisor. */
#include "tests/unit/test-hv-util.h"

#include "common/timefmt.h"

#define GUID "0C9A5A56-2F0B-4C8B-9D2D-6A3B1F0E7D11"

static const struct guid vm = { GUID };
static const struct guid nobody = { "0C9A5A56-2F0B-4C8B-9D2D-6A3B1F0E7D12" };

static char *domain_xml(const char *name)
{
	return xasprintf("<domain type='test'><name>%s</name><uuid>" GUID "</uuid><memory unit='MiB'>16</memory>"
			 "<os><type>hvm</type></os></domain>",
			 name);
}

static int open_test(void **state)
{
	struct rig *rig = xcalloc(1, sizeof(*rig));

	*state = rig;
	return rig_open(rig, "test:///default", NULL);
}

static int close_test(void **state)
{
	rig_close(*state);
	free(*state);
	return 0;
}

static void assert_state(struct rig *rig, enum hv_state want)
{
	enum hv_state state;

	MUST(hv_state(rig->hv, &vm, &state, &err));
	assert_int_equal(state, want);
}

static void the_connection_comes_up(void **state)
{
	struct rig *rig = *state;
	_cleanup_free_ char *text = NULL;

	assert_true(rig_await(rig, NULL, HV_EVENT_UP));
	assert_int_equal(hv_is_up(rig->hv), 1);
	text = hv_describe(rig->hv);
	assert_non_null(strstr(text, "TEST"));
	assert_non_null(strstr(text, ", libvirt "));
	assert_non_null(strstr(text, ", test:///default"));
	assert_string_equal(hv_guest_type(rig->hv), "test");
	assert_null(hv_nvram_path(rig->hv, "x"));
	assert_null(hv_tpm_dir(rig->hv, &vm));
}

static void domains_are_listed(void **state)
{
	struct rig *rig = *state;
	struct hv_domain *list;
	size_t n;

	assert_true(rig_await(rig, NULL, HV_EVENT_UP));
	MUST(hv_list(rig->hv, &list, &n, &err));
	assert_int_equal(n, 1);
	assert_string_equal(list[0].name, "test");
	assert_string_equal(list[0].guid.s, "6695EB01-F6A4-8304-79AA-97F2502E193F");
	assert_int_equal(list[0].state, HV_RUNNING);
	assert_int_equal(list[0].persistent, 1);
	hv_domains_free(list, n);
}

static void a_domain_lives_and_goes(void **state)
{
	struct rig *rig = *state;
	_cleanup_free_ char *xml = domain_xml("one"), *back = NULL;

	assert_true(rig_await(rig, NULL, HV_EVENT_UP));
	assert_state(rig, HV_ABSENT);
	MUST(hv_define(rig->hv, xml, &err));
	assert_true(rig_await(rig, &vm, HV_EVENT_DEFINED));
	assert_state(rig, HV_OFF);
	MUST(hv_xml(rig->hv, &vm, HV_XML_INACTIVE, &back, &err));
	assert_non_null(strstr(back, "<name>one</name>"));
	MUST(hv_start(rig->hv, &vm, 0, &err));
	assert_true(rig_await(rig, &vm, HV_EVENT_STARTED));
	for (int twice = 0; twice < 2; twice++) {
		MUST(hv_suspend(rig->hv, &vm, &err));
		assert_state(rig, HV_PAUSED);
	}
	assert_true(rig_await(rig, &vm, HV_EVENT_PAUSED));
	for (int twice = 0; twice < 2; twice++) {
		MUST(hv_resume(rig->hv, &vm, &err));
		assert_state(rig, HV_RUNNING);
	}
	assert_true(rig_await(rig, &vm, HV_EVENT_RESUMED));
	for (int twice = 0; twice < 2; twice++) {
		MUST(hv_destroy(rig->hv, &vm, &err));
		assert_state(rig, HV_OFF);
	}
	assert_true(rig_await(rig, &vm, HV_EVENT_STOPPED));
	for (int twice = 0; twice < 2; twice++) {
		MUST(hv_undefine(rig->hv, &vm, 0, &err));
		assert_state(rig, HV_ABSENT);
	}
	assert_true(rig_await(rig, &vm, HV_EVENT_UNDEFINED));
	MUST(hv_destroy(rig->hv, &vm, &err));
}

static void errors_say_what_and_why(void **state)
{
	struct rig *rig = *state;
	_cleanup_err_ struct err gone = ERR_INIT, bad = ERR_INIT, idle = ERR_INIT;
	_cleanup_free_ char *xml = domain_xml("two"), *none = NULL;

	assert_true(rig_await(rig, NULL, HV_EVENT_UP));
	assert_int_equal(hv_xml(rig->hv, &nobody, HV_XML_LIVE, &none, &gone), -ENOENT);
	assert_int_equal(gone.kind, ERR_NO_DOMAIN);
	assert_non_null(strstr(gone.message, nobody.s));
	assert_true(hv_define(rig->hv, "<domain type='test'><name>odd</name></domain>", &bad) < 0);
	assert_int_equal(bad.kind, ERR_BACKEND);
	assert_string_equal(bad.vm, "odd");
	assert_non_null(strstr(bad.message, "cannot define the domain \"odd\": "));
	MUST(hv_define(rig->hv, xml, &err));
	assert_true(hv_suspend(rig->hv, &vm, &idle) < 0);
	assert_int_equal(idle.kind, ERR_BACKEND);
	assert_string_equal(idle.vm, "two");
	MUST(hv_undefine(rig->hv, &vm, 0, &err));
}

static void a_libvirt_that_is_down_is_said_so(void **state _unused_)
{
	struct rig *rig = xcalloc(1, sizeof(*rig));
	int64_t until = time_mono_usec() + PATIENCE_SECONDS * INT64_C(1000000);
	_cleanup_err_ struct err down = ERR_INIT;
	enum hv_state now;

	MUST(rig_open(rig, "qemu+unix:///system?socket=/nonexistent/libvirt-sock", &err));
	assert_int_equal(hv_is_up(rig->hv), 0);
	do { /* the first attempt is made by another thread */
		err_done(&down);
		assert_int_equal(hv_state(rig->hv, &vm, &now, &down), -ENOTCONN);
	} while (strstr(down.message, "still under way") && time_mono_usec() < until);
	assert_int_equal(down.kind, ERR_BACKEND);
	assert_non_null(strstr(down.message, "libvirt (qemu+unix:///system?socket=/nonexistent/libvirt-sock) cannot be "
					     "reached"));
	assert_non_null(strstr(down.hint, "systemctl start libvirtd"));
	rig_close(rig);
	free(rig);
}

static void paths_are_those_of_the_driver(void **state _unused_)
{
	struct rig *rig = xcalloc(1, sizeof(*rig));
	_cleanup_free_ char *nvram = NULL, *tpm = NULL;

	MUST(rig_open(rig, "qemu+unix:///system?socket=/nonexistent/libvirt-sock", &err));
	nvram = hv_nvram_path(rig->hv, "web");
	tpm = hv_tpm_dir(rig->hv, &vm);
	assert_string_equal(nvram, "/var/lib/libvirt/qemu/nvram/web_VARS.fd");
	assert_string_equal(tpm, "/var/lib/libvirt/swtpm/0c9a5a56-2f0b-4c8b-9d2d-6a3b1f0e7d11");
	rig_close(rig);
	free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_connection_comes_up, open_test, close_test),
		cmocka_unit_test_setup_teardown(domains_are_listed, open_test, close_test),
		cmocka_unit_test_setup_teardown(a_domain_lives_and_goes, open_test, close_test),
		cmocka_unit_test_setup_teardown(errors_say_what_and_why, open_test, close_test),
		cmocka_unit_test(a_libvirt_that_is_down_is_said_so),
		cmocka_unit_test(paths_are_those_of_the_driver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
