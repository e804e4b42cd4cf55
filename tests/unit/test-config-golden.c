/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration documents against the golden ones in tests/xml/config: what is
 * made is what stands there, what stands there is read and written unchanged,
 * what a newer minor version says survives, and what must be refused is. */
#include "tests/unit/xmlcfg-util.h"

#define VM_GUID "3F2504E0-4F89-41D3-9A0C-0305E82C3301"
#define SNAP_GUID "9B2C11AA-0A55-4E6B-8C1D-5A0F6E7D8C91"
#define PARENT_GUID "B1E7C2D4-6F30-4A8E-9D57-1C2B3A495867"
#define CREATED 1795251600123456 /* 2026-11-21 09:00:00.123456 UTC */

#define DOMAIN                                                                                                         \
	"<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"                               \
	"  <name>TestVM</name>\n"                                                                                      \
	"  <uuid>3f2504e0-4f89-41d3-9a0c-0305e82c3301</uuid>\n"                                                        \
	"  <metadata><a:note xmlns:a='urn:admin'>keep <a:b>this</a:b> as it is</a:note></metadata>\n"                  \
	"  <memory unit='KiB'>65536</memory>\n"                                                                        \
	"  <os><type arch='x86_64' machine='pc'>hvm</type></os>\n"                                                     \
	"  <qemu:commandline>\n    <qemu:arg value='-S'/>\n  </qemu:commandline>\n"                                    \
	"</domain>\n"

static void set_guid(struct guid *guid, const char *text)
{
	assert_int_equal(guid_parse(text, guid), 0);
}

static void seal(struct config_disk *disk)
{
	disk->sealed = 1;
	disk->seal.size = 196928;
	disk->seal.mtime_ns = 1795251599987654321;
	disk->seal.header = 0x00ab54a98ceb1f0aull;
}

static void add_disk(struct config *cfg, const char *target, const char *pathname, const char *format)
{
	struct config_disk *disk = config_add_disk(cfg, target);

	disk->pathname = xstrdup(pathname);
	disk->format = xstrdup(format);
	if (cfg->kind == CONFIG_SNAPSHOT)
		seal(disk);
}

static struct config *new_config(enum config_kind kind)
{
	struct config *cfg = config_new(kind);

	set_guid(&cfg->vm_guid, VM_GUID);
	set_guid(&cfg->guid, kind == CONFIG_VM ? VM_GUID : SNAP_GUID);
	cfg->created_usec = CREATED;
	cfg->domain_xml = xstrdup(DOMAIN);
	return cfg;
}

static struct config *make_vm(void)
{
	struct config *cfg = new_config(CONFIG_VM);

	cfg->name = xstrdup("TestVM");
	add_disk(cfg, "vda", "TestVM.qcow2", "qcow2");
	return cfg;
}

static struct config *make_vm_saved(void)
{
	struct config *cfg = make_vm();

	xstrset(&cfg->name, "Büro \"A&B\" <1>");
	cfg->notes = xstrdup("two lines,\n  the second one indented");
	set_guid(&cfg->parent, PARENT_GUID);
	seal(&cfg->disks[0]);
	cfg->state.vsv = xstrdup("Virtual Machines/" VM_GUID "/" VM_GUID ".vsv");
	cfg->state.vsv_size = 67890123;
	cfg->state.vsv_sum = 0xfedcba9876543210ull;
	return cfg;
}

static struct config *make_vm_blocked(void)
{
	struct config *cfg = make_vm();

	xstrset(&cfg->disks[0].pathname, "/dev/vg0/old disk");
	xstrset(&cfg->disks[0].format, "raw");
	cfg->memory_blocker = xstrdup("a device of the host (pci) is passed through to the guest");
	return cfg;
}

static struct config *make_two_disks(void)
{
	struct config *cfg = make_vm();

	add_disk(cfg, "vdb", "Snapshots/" VM_GUID "/" PARENT_GUID ".avhd", "qcow2");
	return cfg;
}

static struct config *make_snapshot_off(void)
{
	struct config *cfg = new_config(CONFIG_SNAPSHOT);

	cfg->name = xstrdup("TestVM - (2026-11-21 - 09:00)");
	add_disk(cfg, "vda", "TestVM.qcow2", "qcow2");
	cfg->capture.mode = xstrdup("none");
	return cfg;
}

static struct config *make_snapshot_memory(void)
{
	struct config *cfg = make_snapshot_off();

	set_guid(&cfg->parent, PARENT_GUID);
	xstrset(&cfg->notes, "before the upgrade");
	xstrset(&cfg->capture.mode, "live");
	xstrset(&cfg->capture.reason, "QEMU 7.2 cannot write-protect this guest's memory");
	cfg->capture.pause_usec = 17250;
	cfg->state.vsv = xstrdup("Snapshots/" SNAP_GUID "/" SNAP_GUID ".vsv");
	cfg->state.bin = xstrdup("Snapshots/" SNAP_GUID "/" SNAP_GUID ".bin");
	cfg->state.vsv_size = 123456;
	cfg->state.vsv_sum = 0x0123456789abcdefull;
	return cfg;
}

static struct config *make_snapshot_disk_only(void)
{
	struct config *cfg = make_snapshot_off();

	xstrset(&cfg->capture.mode, "disk-only");
	xstrset(&cfg->capture.level, "quiesced");
	cfg->capture.pause_usec = 0;
	return cfg;
}

static struct config *make_snapshot_uefi_tpm(void)
{
	struct config *cfg = make_snapshot_memory();

	cfg->nvram.live = xstrdup("Virtual Machines/" VM_GUID "/" VM_GUID "_VARS.fd");
	cfg->nvram.copy = xstrdup("Snapshots/" SNAP_GUID "/" SNAP_GUID "_VARS.fd");
	cfg->nvram.size = 540672;
	cfg->nvram.uid = 64055;
	cfg->nvram.gid = 0;
	cfg->nvram.mode = 0600;
	cfg->tpm.live = xstrdup("/var/lib/libvirt/swtpm/3f2504e0-4f89-41d3-9a0c-0305e82c3301/tpm2/tpm2-00.permall");
	return cfg;
}

static const struct {
	const char *file;
	struct config *(*make)(void);
} documents[] = {
	{ "config/vm.xml", make_vm },
	{ "config/vm-saved.xml", make_vm_saved },
	{ "config/vm-memory-blocker.xml", make_vm_blocked },
	{ "config/vm-two-disks.xml", make_two_disks },
	{ "config/snapshot-off.xml", make_snapshot_off },
	{ "config/snapshot-memory.xml", make_snapshot_memory },
	{ "config/snapshot-disk-only.xml", make_snapshot_disk_only },
	{ "config/snapshot-uefi-tpm.xml", make_snapshot_uefi_tpm },
};

static char *format(const struct config *cfg)
{
	_cleanup_err_ struct err err = ERR_INIT;
	char *text = NULL;
	size_t len = 0;

	if (config_format(cfg, &text, &len, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(len, strlen(text));
	return text;
}

static struct config *parse(const char *text)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct config *cfg = NULL;

	if (config_parse(text, strlen(text), "golden.xml", &cfg, &err) < 0)
		fail_msg("%s", err.message);
	return cfg;
}

static void test_made_documents(void **state _unused_)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(documents); i++) {
		_cleanup_config_ struct config *cfg = documents[i].make();
		_cleanup_free_ char *text = format(cfg);

		golden_check(documents[i].file, text);
	}
}

static void assert_same_text(const char *a, const char *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (a)
		assert_string_equal(a, b);
}

static void assert_same_fw(const struct config_fw *a, const struct config_fw *b)
{
	assert_same_text(a->live, b->live);
	assert_same_text(a->copy, b->copy);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_int_equal(a->mode, b->mode);
}

static void assert_same_disks(const struct config *a, const struct config *b)
{
	size_t i;

	assert_int_equal(a->n_disks, b->n_disks);
	for (i = 0; i < a->n_disks; i++) {
		assert_same_text(a->disks[i].target, b->disks[i].target);
		assert_same_text(a->disks[i].pathname, b->disks[i].pathname);
		assert_same_text(a->disks[i].format, b->disks[i].format);
		assert_int_equal(a->disks[i].sealed, b->disks[i].sealed);
		assert_int_equal(a->disks[i].seal.size, b->disks[i].seal.size);
		assert_int_equal(a->disks[i].seal.mtime_ns, b->disks[i].seal.mtime_ns);
		assert_true(a->disks[i].seal.header == b->disks[i].seal.header);
	}
}

/* All but the domain, whose blanks may differ. */
static void assert_same_value(const struct config *a, const struct config *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->version, b->version);
	assert_string_equal(a->guid.s, b->guid.s);
	assert_string_equal(a->vm_guid.s, b->vm_guid.s);
	assert_string_equal(a->parent.s, b->parent.s);
	assert_same_text(a->name, b->name);
	assert_same_text(a->notes, b->notes);
	assert_int_equal(a->created_usec, b->created_usec);
	assert_same_text(a->memory_blocker, b->memory_blocker);
	assert_same_text(a->state.vsv, b->state.vsv);
	assert_same_text(a->state.bin, b->state.bin);
	assert_int_equal(a->state.vsv_size, b->state.vsv_size);
	assert_true(a->state.vsv_sum == b->state.vsv_sum);
	assert_same_text(a->capture.mode, b->capture.mode);
	assert_same_text(a->capture.reason, b->capture.reason);
	assert_same_text(a->capture.level, b->capture.level);
	assert_int_equal(a->capture.pause_usec, b->capture.pause_usec);
	assert_same_fw(&a->nvram, &b->nvram);
	assert_same_fw(&a->tpm, &b->tpm);
	assert_same_disks(a, b);
}

static void test_read_gives_the_value(void **state _unused_)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(documents); i++) {
		_cleanup_config_ struct config *made = documents[i].make(), *read = NULL;
		_cleanup_free_ char *text = golden_read(documents[i].file);

		read = parse(text);
		assert_same_value(made, read);
	}
}

static void test_read_and_written_unchanged(void **state _unused_)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(documents); i++) {
		_cleanup_free_ char *text = golden_read(documents[i].file), *again = NULL, *copied = NULL;
		_cleanup_config_ struct config *cfg = parse(text), *copy = config_copy(cfg);

		again = format(cfg);
		assert_string_equal(text, again);
		config_free(TAKE_PTR(cfg));
		copied = format(copy);
		assert_string_equal(text, copied);
	}
}

static void test_domain_keeps_namespaces_and_mixed_text(void **state _unused_)
{
	_cleanup_free_ char *text = golden_read("config/vm.xml");
	_cleanup_config_ struct config *cfg = parse(text);

	assert_non_null(strstr(cfg->domain_xml, "xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\""));
	assert_non_null(strstr(cfg->domain_xml, "<qemu:arg value=\"-S\"/>"));
	assert_non_null(strstr(cfg->domain_xml, "keep <a:b>this</a:b> as it is"));
	assert_memory_equal(cfg->domain_xml, "<domain ", 8);
}

/* A prefix may be declared further out; the domain alone must still be whole. */
static void test_domain_takes_outer_namespaces(void **state _unused_)
{
	_cleanup_free_ char *text = golden_read("config/foreign-style.xml"), *out = NULL;
	_cleanup_config_ struct config *cfg = parse(text);

	assert_non_null(strstr(cfg->domain_xml, "xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\""));
	assert_int_equal(cfg->created_usec, CREATED);
	out = format(cfg);
	golden_check("config/foreign-style.out.xml", out);
}

static void test_newer_minor_survives(void **state _unused_)
{
	_cleanup_free_ char *text = golden_read("config/newer-minor.xml"), *same = NULL, *changed = NULL;
	_cleanup_config_ struct config *cfg = parse(text);

	assert_int_equal(cfg->version, 0x0107);
	same = format(cfg);
	assert_string_equal(text, same);
	xstrset(&cfg->name, "another name");
	xstrset(&cfg->disks[1].pathname, "Snapshots/" VM_GUID "/" SNAP_GUID ".avhd");
	config_remove_disk(cfg, 0);
	add_disk(cfg, "vdc", "third.qcow2", "qcow2");
	changed = format(cfg);
	golden_check("config/newer-minor.changed.xml", changed);
}

/* The way of a snapshot: the VM's document under a new GUID, and back. */
static void test_snapshot_of_newer_minor(void **state _unused_)
{
	_cleanup_free_ char *text = golden_read("config/newer-minor.xml"), *out = NULL;
	_cleanup_config_ struct config *vm = parse(text), *snap = config_copy(vm);
	size_t i;

	snap->kind = CONFIG_SNAPSHOT;
	set_guid(&snap->guid, SNAP_GUID);
	config_clear_state(snap);
	snap->capture.mode = xstrdup("none");
	for (i = 0; i < snap->n_disks; i++)
		snap->disks[i].sealed = 1;
	out = format(snap);
	golden_check("config/newer-minor.snapshot.xml", out);
}

/* Says all that is wrong, so that one run shows it. */
static int wrong;

static void check_reject(const char *name, const char *text)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *expected = expectation(name, text);
	_cleanup_config_ struct config *cfg = NULL;
	int r = config_parse(text, strlen(text), name, &cfg, &err);

	if (r < 0 && !cfg && strstr(err.message, expected) && err.kind == ERR_BAD_DATA && err.code == r && err.file &&
	    !strcmp(err.file, name))
		return;
	print_error("%s: expected \"%s\", got \"%s\"\n", name, expected, r < 0 ? err.message : "success");
	wrong++;
}

static void test_rejects(void **state _unused_)
{
	wrong = 0;
	each_file("rejects-config", 60, check_reject);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made_documents),
		cmocka_unit_test(test_read_gives_the_value),
		cmocka_unit_test(test_read_and_written_unchanged),
		cmocka_unit_test(test_domain_keeps_namespaces_and_mixed_text),
		cmocka_unit_test(test_domain_takes_outer_namespaces),
		cmocka_unit_test(test_newer_minor_survives),
		cmocka_unit_test(test_snapshot_of_newer_minor),
		cmocka_unit_test(test_rejects),
	};

	return cmocka_run_group_tests(tests, use_source_schema, NULL);
}
