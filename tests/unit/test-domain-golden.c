/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Domain documents against the golden ones in tests/xml/domain: each change that
 * we make to one, each document that we build, and what must be refused. */
#include "tests/unit/xmlcfg-util.h"

#include "xmlcfg/domain.h"

#define UUID "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

static struct domain *parse(const char *text)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct domain *dom = NULL;

	if (domain_parse(text, &dom, &err) < 0)
		fail_msg("%s", err.message);
	return dom;
}

static void strip(struct domain *dom)
{
	domain_strip_runtime(dom);
}

static void set_disks(struct domain *dom)
{
	_cleanup_err_ struct err err = ERR_INIT;

	assert_int_equal(domain_set_disk(dom, "vda", "/srv/new & \"quoted\" ü.avhd", "qcow2", 0, NULL), 0);
	assert_int_equal(domain_set_disk(dom, "vdb", "/srv/b.avhd", "qcow2", 0, NULL), 0);
	assert_int_equal(domain_set_disk(dom, "vdc", "/dev/vg/c", "raw", 1, NULL), 0);
	assert_int_equal(domain_set_disk(dom, "hda", "/srv/cd.iso", "raw", 0, NULL), 0);
	assert_int_equal(domain_set_disk(dom, "vdz", "/srv/z", "raw", 0, &err), -ENOENT);
	assert_non_null(strstr(err.message, "vdz"));
}

static void set_names(struct domain *dom)
{
	domain_set_name(dom, "new <name> & \"more\" ü");
	domain_set_uuid(dom, UUID);
	domain_set_nvram(dom, "/srv/ü & <b>_VARS.fd");
	domain_set_tpm_persistent(dom);
}

static const struct {
	const char *in, *out;
	void (*change)(struct domain *dom);
} changes[] = {
	{ "domain/live.in.xml", "domain/live.stripped.xml", strip },
	{ "domain/everything.in.xml", "domain/everything.stripped.xml", strip },
	{ "domain/disks.in.xml", "domain/disks.set.xml", set_disks },
	{ "domain/firmware-auto.in.xml", "domain/firmware-auto.set.xml", set_names },
	{ "domain/firmware-source.in.xml", "domain/firmware-source.set.xml", set_names },
};

static void test_changes(void **state _unused_)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		_cleanup_free_ char *in = golden_read(changes[i].in), *out = NULL;
		_cleanup_domain_ struct domain *dom = parse(in);

		changes[i].change(dom);
		out = domain_format(dom);
		golden_check(changes[i].out, out);
	}
}

/* Doing it again must not do more. */
static void test_changes_twice(void **state _unused_)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		_cleanup_free_ char *golden = golden_read(changes[i].out), *out = NULL;
		_cleanup_domain_ struct domain *dom = parse(golden);

		changes[i].change(dom);
		out = domain_format(dom);
		assert_string_equal(out, golden);
	}
}

static const struct {
	const char *file;
	struct domain_spec spec;
} builds[] = {
	{ "domain/built-smallest.xml", { .name = "small", .type = "qemu", .memory = 16 << 20, .vcpus = 1 } },
	{ "domain/built-bios.xml",
	  { .name = "Büro & \"Co\" <1>",
	    .uuid = UUID,
	    .type = "kvm",
	    .memory = 1ll << 30,
	    .vcpus = 2,
	    .disk_path = "/var/lib/vmsnap/Büro & \"Co\" <1>/disk.qcow2",
	    .disk_format = "qcow2",
	    .cdrom = "/srv/install.iso",
	    .network = "default" } },
	{ "domain/built-uefi-tpm.xml",
	  { .name = "TestVM",
	    .uuid = UUID,
	    .type = "qemu",
	    .memory = 96 << 20,
	    .vcpus = 1,
	    .disk_path = "/dev/vg/test",
	    .disk_format = "raw",
	    .disk_block = 1,
	    .cdrom = "/srv/install.iso",
	    .network = "bridge:br0",
	    .loader = "/usr/share/OVMF/OVMF_CODE_4M.fd",
	    .nvram = "/var/lib/vmsnap/TestVM/Virtual Machines/x_VARS.fd",
	    .nvram_template = "/usr/share/OVMF/OVMF_VARS_4M.fd",
	    .tpm = 1,
	    .console_log = "/srv/console & log",
	    .agent_path = "/run/a.sock" } },
	{ "domain/built-user-network.xml",
	  { .name = "n",
	    .type = "qemu",
	    .machine = "pc-q35-7.2",
	    .memory = 16 << 20,
	    .vcpus = 1,
	    .disk_path = "/srv/d",
	    .disk_format = "qcow2",
	    .cdrom = "/srv/c.iso",
	    .network = "user" } },
	{ "domain/built-network.xml",
	  { .name = "n", .type = "qemu", .memory = 16 << 20, .vcpus = 1, .network = "network:office net" } },
};

/* The generation id is new each time: checked, then made the same. */
static void fix_genid(char *text)
{
	char *genid = strstr(text, "<genid>");

	assert_non_null(genid);
	genid += strlen("<genid>");
	assert_memory_equal(genid + 36, "</genid>", 8);
	memcpy(genid, "00000000-0000-0000-0000-000000000000", 36);
}

static void test_builds(void **state _unused_)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(builds); i++) {
		_cleanup_domain_ struct domain *dom = domain_build(&builds[i].spec), *again = NULL;
		_cleanup_free_ char *text = domain_format(dom), *same = NULL;

		again = parse(text);
		same = domain_format(again);
		assert_string_equal(text, same);
		fix_genid(text);
		golden_check(builds[i].file, text);
	}
}

static int wrong;

static void check_reject(const char *name, const char *text)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *expected = expectation(name, text);
	_cleanup_domain_ struct domain *dom = NULL;
	int r = domain_parse(text, &dom, &err);

	if (r < 0 && !dom && strstr(err.message, expected) && err.kind == ERR_BAD_DATA && err.code == r)
		return;
	print_error("%s: expected \"%s\", got \"%s\"\n", name, expected, r < 0 ? err.message : "success");
	wrong++;
}

static void test_rejects(void **state _unused_)
{
	wrong = 0;
	each_file("rejects-domain", 8, check_reject);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_changes_twice),
		cmocka_unit_test(test_builds),
		cmocka_unit_test(test_rejects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
