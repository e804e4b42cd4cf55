/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Domain documents: what is read from them, and what keeps memory from being saved. */
#include "tests/unit/xmlcfg-util.h"

#include "common/guid.h"
#include "xmlcfg/domain.h"
#include "xmlcfg/xml.h"

static struct domain *parse(const char *text)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct domain *dom = NULL;

	if (domain_parse(text, &dom, &err) < 0)
		fail_msg("%s", err.message);
	return dom;
}

static struct domain *golden_domain(const char *name)
{
	_cleanup_free_ char *text = golden_read(name);

	return parse(text);
}

static void test_texts(void **state _unused_)
{
	_cleanup_domain_ struct domain *dom = golden_domain("domain/everything.in.xml");
	_cleanup_free_ char *name = domain_name(dom), *uuid = domain_uuid(dom), *pty = domain_console_pty(dom);
	_cleanup_free_ char *emulator = domain_emulator(dom);

	assert_string_equal(name, "web & \"mail\" ü");
	assert_string_equal(uuid, "3f2504e0-4f89-41d3-9a0c-0305e82c3301");
	assert_string_equal(pty, "/dev/pts/7");
	assert_string_equal(emulator, "/usr/bin/qemu-system-x86_64");
	assert_int_equal(domain_memory(dom), 2ll << 30);
	assert_int_equal(domain_vcpus(dom), 2);
}

static void test_video_memory(void **state _unused_)
{
	static const struct {
		const char *devices;
		int64_t kib;
	} cases[] = {
		{ "", 0 },
		{ "<video/>", 0 },
		{ "<video><model type='vga' vram='16384' heads='1'/></video>", 16384 },
		{ "<video><model type='qxl' ram='65536' vram='65536' vgamem='16384'/></video>"
		  "<video><model type='virtio'/></video><video><model vram='8'/></video>", 65536 * 2 + 16384 + 8 },
		{ "<video><model vram='-1' ram='x' vgamem='99999999999999999999' vram64='9223372036854775807'/></video>", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = xasprintf("<domain><devices>%s</devices></domain>", cases[i].devices);
		_cleanup_domain_ struct domain *dom = parse(text);

		assert_int_equal(domain_video_memory(dom), cases[i].kib * 1024);
	}
}

static void test_nothing_there(void **state _unused_)
{
	_cleanup_domain_ struct domain *dom = parse("<domain/>");
	struct domain_firmware fw;
	struct domain_disks disks;

	assert_null(domain_name(dom));
	assert_null(domain_uuid(dom));
	assert_null(domain_console_pty(dom));
	assert_null(domain_emulator(dom));
	assert_null(domain_memory_blocker(dom));
	assert_int_equal(domain_memory(dom), 0);
	assert_int_equal(domain_vcpus(dom), 0);
	domain_get_disks(dom, &disks);
	assert_int_equal(disks.n, 0);
	domain_disks_done(&disks);
	domain_get_firmware(dom, &fw);
	assert_int_equal(fw.pflash, 0);
	assert_null(fw.loader);
	domain_firmware_done(&fw);
	assert_int_equal(domain_renew_genid(dom), 0);
	assert_int_equal(domain_set_tpm_persistent(dom), 0);
	domain_strip_runtime(dom);
	domain_free(NULL);
}

static void test_console_of_tty(void **state _unused_)
{
	_cleanup_domain_ struct domain *off = parse("<domain><devices><console type='pty'/></devices></domain>");
	_cleanup_domain_ struct domain *on = parse("<domain><devices><serial type='unix'><source path='/s'/></serial>"
						   "<console type='pty' tty='/dev/pts/1'/></devices></domain>");
	_cleanup_free_ char *pty = domain_console_pty(on);

	assert_null(domain_console_pty(off));
	assert_string_equal(pty, "/dev/pts/1");
}

static void test_memory_units(void **state _unused_)
{
	static const struct {
		const char *attr, *text;
		int64_t bytes;
	} cases[] = {
		{ "", "1024", 1 << 20 },
		{ " unit='KiB'", " 16\n", 16 << 10 },
		{ " unit='k'", "2", 2048 },
		{ " unit='KB'", "2", 2000 },
		{ " unit='b'", "4096", 4096 },
		{ " unit='bytes'", "4096", 4096 },
		{ " unit='MiB'", "64", 64 << 20 },
		{ " unit='M'", "64", 64 << 20 },
		{ " unit='MB'", "64", 64000000 },
		{ " unit='G'", "3", 3ll << 30 },
		{ " unit='TiB'", "1", 1ll << 40 },
		{ " unit='EiB'", "7", 7ll << 60 },
		{ " unit='EiB'", "8", 0 },
		{ " unit='TiB'", "9999999999", 0 },
		{ " unit='pages'", "1", 0 },
		{ " unit=''", "1", 0 },
		{ "", "-1", 0 },
		{ "", "1x", 0 },
		{ "", "", 0 },
		{ "", "99999999999999999999", 0 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text =
			xasprintf("<domain><memory%s>%s</memory></domain>", cases[i].attr, cases[i].text);
		_cleanup_domain_ struct domain *dom = parse(text);

		if (domain_memory(dom) != cases[i].bytes)
			fail_msg("%s gave %lld", text, (long long)domain_memory(dom));
	}
}

static void test_vcpus(void **state _unused_)
{
	_cleanup_domain_ struct domain *plain = parse("<domain><vcpu>3</vcpu></domain>");
	_cleanup_domain_ struct domain *odd = parse("<domain><vcpu>three</vcpu></domain>");
	_cleanup_domain_ struct domain *huge = parse("<domain><vcpu>99999999999</vcpu></domain>");

	assert_int_equal(domain_vcpus(plain), 3);
	assert_int_equal(domain_vcpus(odd), 0);
	assert_int_equal(domain_vcpus(huge), 0);
}

static void test_disks(void **state _unused_)
{
	static const struct {
		const char *target, *device, *type, *source, *format, *why;
	} expected[] = {
		{ "vda", "disk", "file", "/srv/fixed.vhd", "raw", "slice" },
		{ "vdb", "disk", "block", "/dev/vg/b", NULL, NULL },
		{ "vdc", "disk", "network", NULL, "raw", "neither a file nor a block device" },
		{ "hda", "cdrom", "file", NULL, NULL, "CD-ROM" },
		{ "vdd", "disk", "file", "/srv/shared.qcow2", "qcow2", "shared" },
		{ "sda", "disk", "file", "/srv/plain & \"odd\".img", NULL, NULL },
		{ "sdb", "disk", "file", "/srv/t.qcow2", "qcow2", "transient" },
		{ "sdc", "disk", "file", "/srv/ro.qcow2", "qcow2", "read-only" },
	};
	_cleanup_domain_ struct domain *dom = golden_domain("domain/disks.in.xml");
	struct domain_disks disks;
	const char *why;
	size_t i;

	domain_get_disks(dom, &disks);
	assert_int_equal(disks.n, ARRAY_SIZE(expected));
	for (i = 0; i < disks.n; i++) {
		assert_string_equal(disks.disk[i].target, expected[i].target);
		assert_string_equal(disks.disk[i].device, expected[i].device);
		assert_string_equal(disks.disk[i].source_type, expected[i].type);
		assert_int_equal(disks.disk[i].source == NULL, expected[i].source == NULL);
		if (expected[i].source)
			assert_string_equal(disks.disk[i].source, expected[i].source);
		assert_int_equal(disks.disk[i].format == NULL, expected[i].format == NULL);
		if (expected[i].format)
			assert_string_equal(disks.disk[i].format, expected[i].format);
		assert_int_equal(domain_disk_managed(&disks.disk[i], &why), expected[i].why == NULL);
		assert_int_equal(domain_disk_managed(&disks.disk[i], NULL), expected[i].why == NULL);
		if (expected[i].why)
			assert_non_null(strstr(why, expected[i].why));
	}
	assert_true(disks.disk[0].has_slice);
	assert_false(disks.disk[1].has_slice);
	assert_true(disks.disk[4].shareable && disks.disk[6].transient_disk && disks.disk[7].readonly);
	domain_disks_done(&disks);
	assert_int_equal(disks.n, 0);
}

static void test_internal_snapshots(void **state _unused_)
{
	_cleanup_domain_ struct domain *dom = golden_domain("domain/everything.in.xml");
	struct domain_disks disks;

	domain_get_disks(dom, &disks);
	assert_true(disks.disk[0].internal_snapshot_only);
	assert_false(disks.disk[1].internal_snapshot_only);
	domain_disks_done(&disks);
}

static void test_firmware_explicit(void **state _unused_)
{
	_cleanup_domain_ struct domain *dom = golden_domain("domain/live.in.xml");
	struct domain_firmware fw;

	domain_get_firmware(dom, &fw);
	assert_false(fw.efi_auto);
	assert_true(fw.pflash);
	assert_string_equal(fw.loader, "/usr/share/OVMF/OVMF_CODE_4M.fd");
	assert_string_equal(fw.nvram, "/srv/vm/X_VARS.fd");
	assert_string_equal(fw.nvram_template, "/usr/share/OVMF/OVMF_VARS_4M.fd");
	assert_true(fw.tpm && fw.tpm_persistent);
	assert_string_equal(fw.tpm_version, "2.0");
	domain_firmware_done(&fw);
	assert_null(fw.loader);
}

static void test_firmware_auto(void **state _unused_)
{
	_cleanup_domain_ struct domain *dom = golden_domain("domain/firmware-auto.in.xml");
	struct domain_firmware fw;

	domain_get_firmware(dom, &fw);
	assert_true(fw.efi_auto && fw.pflash && fw.tpm);
	assert_false(fw.tpm_persistent);
	assert_null(fw.loader);
	assert_null(fw.nvram);
	domain_firmware_done(&fw);
	assert_int_equal(domain_set_tpm_persistent(dom), 1);
	domain_get_firmware(dom, &fw);
	assert_true(fw.tpm_persistent);
	domain_firmware_done(&fw);
}

/* A store that is a block device; a TPM that is the host's own does not count. */
static void test_firmware_source(void **state _unused_)
{
	_cleanup_domain_ struct domain *dom = golden_domain("domain/firmware-source.in.xml");
	struct domain_firmware fw;

	domain_get_firmware(dom, &fw);
	assert_string_equal(fw.nvram, "/dev/vg/vars");
	assert_false(fw.tpm);
	domain_firmware_done(&fw);
	assert_int_equal(domain_set_tpm_persistent(dom), 0);
	domain_set_nvram(dom, "/srv/new_VARS.fd");
	domain_get_firmware(dom, &fw);
	assert_string_equal(fw.nvram, "/srv/new_VARS.fd");
	assert_string_equal(fw.nvram_template, "/usr/share/OVMF/OVMF_VARS_4M.fd");
	domain_firmware_done(&fw);
}

static void test_firmware_stateless(void **state _unused_)
{
	_cleanup_domain_ struct domain *dom =
		parse("<domain><os><loader type='pflash' stateless='yes'>/code</loader></os></domain>");
	struct domain_firmware fw;

	domain_get_firmware(dom, &fw);
	assert_false(fw.pflash);
	assert_string_equal(fw.loader, "/code");
	domain_firmware_done(&fw);
}

static void test_genid(void **state _unused_)
{
	_cleanup_domain_ struct domain *dom = golden_domain("domain/firmware-source.in.xml");
	_cleanup_free_ char *before = domain_format(dom), *after = NULL;
	const char *genid;

	assert_int_equal(domain_renew_genid(dom), 1);
	after = domain_format(dom);
	assert_null(strstr(after, "11111111-2222-3333-4444-555555555555"));
	genid = strstr(after, "<genid>") + strlen("<genid>");
	assert_int_equal(genid - after, strstr(before, "11111111-2222") - before);
	assert_memory_equal(genid + GUID_LEN, "</genid>", 8);
}

static void test_two_builds_differ_in_genid(void **state _unused_)
{
	const struct domain_spec spec = { .name = "n", .type = "qemu", .memory = 1 << 24, .vcpus = 1 };
	_cleanup_domain_ struct domain *a = domain_build(&spec), *b = domain_build(&spec);
	_cleanup_free_ char *text_a = domain_format(a), *text_b = domain_format(b);

	assert_string_not_equal(text_a, text_b);
	assert_int_equal(strlen(text_a), strlen(text_b));
	assert_int_equal(domain_memory(a), 1 << 24);
	assert_int_equal(domain_vcpus(a), 1);
}

/* What stands in <devices>, or before it, and what is said about it. */
static const struct {
	const char *before, *devices, *words;
} blockers[] = {
	{ "", "<hostdev mode='subsystem' type='pci'/>", "a device of the host (pci) is passed through" },
	{ "", "<hostdev mode='subsystem' type='mdev'/>", "(mdev)" },
	{ "", "<hostdev mode='subsystem' type='scsi'/>", "(scsi)" },
	{ "", "<hostdev mode='capabilities' type='misc'/>", "(misc)" },
	{ "", "<hostdev mode='subsystem' type='usb'/>", NULL },
	{ "", "<hostdev mode='subsystem' type='pci'><teaming type='transient' persistent='ua-n'/></hostdev>", NULL },
	{ "", "<interface type='hostdev'/>", "a network card of the host is passed through" },
	{ "", "<interface type='hostdev'><teaming type='transient' persistent='ua-n'/></interface>", NULL },
	{ "", "<interface type='vdpa'/>", "vDPA" },
	{ "", "<interface type='network'/><interface type='user'/>", NULL },
	{ "", "<filesystem type='mount'><driver type='virtiofs'/></filesystem>", "virtiofs" },
	{ "", "<filesystem type='mount' accessmode='mapped'/>", "9p" },
	{ "", "<filesystem/>", "9p" },
	{ "", "<filesystem type='ram'/>", NULL },
	{ "", "<disk><driver type='vpc'/><target dev='vdb'/></disk>", "disk vdb is in format vpc" },
	{ "", "<disk><driver type='vhdx'/><target dev='vdb'/></disk>", "convert it to qcow2" },
	{ "", "<disk><driver type='vmdk'/></disk>", "format vmdk" },
	{ "",
	  "<disk><driver type='qcow2'/><backingStore><format type='qcow2'/><backingStore><format type='vdi'/>"
	  "</backingStore></backingStore><target dev='vda'/></disk>",
	  "disk vda has a backing image in format vdi" },
	{ "", "<disk><driver type='qcow2'/><transient/><target dev='sda'/></disk>", "disk sda is transient" },
	{ "", "<disk><driver type='qcow2'/><backingStore><format type='raw'/></backingStore></disk>", NULL },
	{ "", "<disk/>", NULL },
	{ "", "<disk><source file='/a'/></disk><disk device='cdrom'><source file='/c'/></disk>", NULL },
	{ "", "<disk type='network'><source protocol='rbd' name='p/i'/><target dev='vdb'/></disk>",
	  "disk vdb would not go back" },
	{ "", "<disk type='network'><source protocol='rbd' name='p/i'/><readonly/></disk>", NULL },
	{ "", "<disk><source file='/a'/><shareable/><target dev='vdc'/></disk>", "shared with other VMs" },
	{ "", "<disk device='lun' type='block'><source dev='/dev/a'/><target dev='sda'/></disk>", "disk sda would" },
	{ "", "<disk><source file='/a'><encryption format='luks'/></source><target dev='vda'/></disk>", "no key" },
	{ "", "<disk><source file='a.img'/><target dev='vda'/></disk>", "not absolute" },
	{ "", "<shmem name='s'/>", "shared with other guests" },
	{ "", "<shmem name='s' role='peer'/>", "shared with other guests" },
	{ "", "<shmem name='s' role='master'/>", NULL },
	{ "<launchSecurity type='sev'/>", "", "encrypted against the host (launchSecurity sev)" },
	{ "<cpu><feature policy='require' name='invtsc'/></cpu>", "", "invtsc" },
	{ "<cpu><feature policy='disable' name='invtsc'/></cpu>", "", NULL },
	{ "<cpu><feature policy='require' name='invtsc'/></cpu><clock><timer name='tsc' frequency='1'/></clock>", "",
	  NULL },
	{ "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>", "", NULL },
};

static void test_memory_blockers(void **state _unused_)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(blockers); i++) {
		_cleanup_free_ char *text =
			xasprintf("<domain>%s<devices>%s</devices></domain>", blockers[i].before, blockers[i].devices);
		_cleanup_domain_ struct domain *dom = parse(text);
		_cleanup_free_ char *why = domain_memory_blocker(dom);

		if (!blockers[i].words && why)
			fail_msg("%s: nothing forbids it, but: %s", text, why);
		if (blockers[i].words && (!why || !strstr(why, blockers[i].words)))
			fail_msg("%s: %s", text, why ? why : "nothing was said");
	}
}

static void test_text_ok(void **state _unused_)
{
	assert_true(xml_text_ok(""));
	assert_true(xml_text_ok("a\t\r\nü\342\202\254\360\237\230\200"));
	assert_false(xml_text_ok("\001"));
	assert_false(xml_text_ok("\303"));	       /* cut off */
	assert_false(xml_text_ok("\300\257"));	       /* too long a form */
	assert_false(xml_text_ok("\340\200\257"));     /* too long a form */
	assert_false(xml_text_ok("\355\240\200"));     /* half of a pair */
	assert_false(xml_text_ok("\357\277\277"));     /* U+FFFF */
	assert_false(xml_text_ok("\364\220\200\200")); /* beyond U+10FFFF */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts), cmocka_unit_test(test_video_memory),
		cmocka_unit_test(test_nothing_there),
		cmocka_unit_test(test_console_of_tty),
		cmocka_unit_test(test_memory_units),
		cmocka_unit_test(test_vcpus),
		cmocka_unit_test(test_disks),
		cmocka_unit_test(test_internal_snapshots),
		cmocka_unit_test(test_firmware_explicit),
		cmocka_unit_test(test_firmware_auto),
		cmocka_unit_test(test_firmware_source),
		cmocka_unit_test(test_firmware_stateless),
		cmocka_unit_test(test_genid),
		cmocka_unit_test(test_two_builds_differ_in_genid),
		cmocka_unit_test(test_memory_blockers),
		cmocka_unit_test(test_text_ok),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
