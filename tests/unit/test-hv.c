/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hypervisor with a real guest under libvirt's embedded driver: no libvirtd,
 * a private root, a guest of one boot sector. */
#include "tests/unit/test-hv-guest.h"

#include <libvirt/libvirt.h>

static struct rig *rig;
static char *root, *uri;

/* Each test has the guest running on new disks in a directory of its own. */
static int start_guest(void **state)
{
	_cleanup_free_ char *xml = NULL;

	dir_setup(state);
	make_base_disks(*state);
	xml = guest_xml(*state);
	MUST(hv_define(rig->hv, xml, &err));
	assert_true(rig_await(rig, &guest, HV_EVENT_DEFINED));
	MUST(hv_start(rig->hv, &guest, 0, &err));
	assert_true(rig_await(rig, &guest, HV_EVENT_STARTED));
	await_ticks(*state, 0, 3, NULL, NULL);
	return 0;
}

static int stop_guest(void **state)
{
	MUST(hv_destroy(rig->hv, &guest, &err));
	MUST(hv_undefine(rig->hv, &guest, 1, &err));
	return dir_teardown(state);
}

static void assert_state(enum hv_state want)
{
	enum hv_state now;

	MUST(hv_state(rig->hv, &guest, &now, &err));
	assert_int_equal(now, want);
}

/* Switches the disks to DIR/vda.name and vdb.name, with memory into file unless NULL. */
static int snapshot(const char *dir, const char *name, const char *file, int live, struct err *reterr)
{
	_cleanup_free_ char *first = xasprintf("%s/vda.%s", dir, name), *second = xasprintf("%s/vdb.%s", dir, name);
	const struct hv_switch disks[] = { { .target = "vda", .path = first }, { .target = "vdb", .path = second } };
	const struct hv_snapshot what = { .disks = disks, .n_disks = 2, .memory_file = file, .live = live };

	return hv_snapshot(rig->hv, &guest, &what, reterr);
}

static void a_guest_starts_stops_and_is_told(void **state _unused_)
{
	_cleanup_free_ char *text = hv_describe(rig->hv), *live = NULL;
	struct hv_domain *list;
	size_t n;

	assert_non_null(strstr(text, "QEMU "));
	assert_non_null(strstr(text, uri));
	assert_state(HV_RUNNING);
	MUST(hv_list(rig->hv, &list, &n, &err));
	assert_int_equal(n, 1);
	assert_true(guid_eq(&list[0].guid, &guest));
	hv_domains_free(list, n);
	MUST(hv_xml(rig->hv, &guest, HV_XML_LIVE, &live, &err));
	assert_non_null(strstr(live, "<alias name='virtio-disk0'/>"));
	for (int twice = 0; twice < 2; twice++)
		MUST(hv_suspend(rig->hv, &guest, &err));
	assert_true(rig_await(rig, &guest, HV_EVENT_PAUSED));
	assert_state(HV_PAUSED);
	for (int twice = 0; twice < 2; twice++)
		MUST(hv_resume(rig->hv, &guest, &err));
	assert_true(rig_await(rig, &guest, HV_EVENT_RESUMED));
	for (int twice = 0; twice < 2; twice++)
		MUST(hv_destroy(rig->hv, &guest, &err));
	assert_true(rig_await(rig, &guest, HV_EVENT_STOPPED));
	assert_state(HV_OFF);
	MUST(hv_rename(rig->hv, &guest, "tock", &err));
	MUST(hv_rename(rig->hv, &guest, "tock", &err));
	MUST(hv_start(rig->hv, &guest, 1, &err));
	assert_state(HV_PAUSED);
}

static void disks_are_switched_together(void **state)
{
	const char *dir = *state;
	_cleanup_free_ char *live = NULL, *path = xasprintf("%s/vdb.one", dir);
	_cleanup_free_ char *two = xasprintf("%s/vdb.two", dir), *inactive = NULL;
	const struct hv_switch second = { .target = "vdb", .path = two };
	const struct hv_snapshot only_second = { .disks = &second, .n_disks = 1 };
	_cleanup_domain_ struct domain *dom = NULL;
	struct domain_disks disks;

	make_overlays(dir, "one");
	MUST(snapshot(dir, "one", NULL, 0, &err));
	MUST(hv_xml(rig->hv, &guest, HV_XML_LIVE, &live, &err));
	assert_non_null(strstr(live, path));
	await_ticks(dir, serial_size(dir), 3, NULL, NULL);
	/* a disk that is not named stays where it is */
	run((const char *const[]){ "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", path, two, NULL });
	MUST(hv_snapshot(rig->hv, &guest, &only_second, &err));
	MUST(hv_xml(rig->hv, &guest, HV_XML_MIGRATABLE, &inactive, &err));
	MUST(domain_parse(inactive, &dom, &err));
	domain_get_disks(dom, &disks);
	assert_int_equal(disks.n, 2);
	assert_non_null(strstr(disks.disk[0].source, "/vda.one"));
	assert_non_null(strstr(disks.disk[1].source, "/vdb.two"));
	domain_disks_done(&disks);
	await_ticks(dir, serial_size(dir), 3, NULL, NULL);
}

/* The overlay vda.two goes into vda.one and vdb.two into vdb.one while the guest runs;
 * that libvirt believes otherwise does not matter here. */
static void an_emulator_goes_back_to_the_images_below(void **state)
{
	const char *dir = *state;
	_cleanup_free_ char *a1 = xasprintf("%s/vda.one", dir), *b1 = xasprintf("%s/vdb.one", dir);
	_cleanup_free_ char *a2 = xasprintf("%s/vda.two", dir), *b2 = xasprintf("%s/vdb.two", dir);
	const struct hv_back back[] = { { a2, a1 }, { b2, b1 } };
	const struct hv_switch second[] = { { .target = "vda", .path = a2 }, { .target = "vdb", .path = b2 } };
	const struct hv_snapshot two = { .disks = second, .n_disks = 2 };

	make_overlays(dir, "one");
	assert_int_equal(hv_take_back(rig->hv, &guest, back, 2, NULL), 0);
	MUST(snapshot(dir, "one", NULL, 0, &err));
	assert_int_equal(hv_take_back(rig->hv, &guest, back, 2, NULL), 0);
	run((const char *const[]){ "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", a1, a2, NULL });
	run((const char *const[]){ "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", b1, b2, NULL });
	MUST(hv_snapshot(rig->hv, &guest, &two, &err));
	await_ticks(dir, serial_size(dir), 3, NULL, NULL);
	for (int again = 0; again < 2; again++) /* as after a death before it was on record */
		assert_int_equal(hv_take_back(rig->hv, &guest, back, 2, NULL), 1);
	assert_state(HV_PAUSED);
	for (int twice = 0; twice < 2; twice++) {
		MUST(hv_forget_image(rig->hv, &guest, a2, &err));
		MUST(hv_forget_image(rig->hv, &guest, b2, &err));
	}
	assert_int_equal(hv_take_back(rig->hv, &guest, back, 2, NULL), 0);
	assert_true(hv_forget_image(rig->hv, &guest, a1, NULL) < 0); /* in use */
	assert_int_equal(unlink(a2), 0);
	assert_int_equal(unlink(b2), 0);
	MUST(hv_resume(rig->hv, &guest, &err));
	await_ticks(dir, serial_size(dir), 3, NULL, NULL); /* each tick compares the disk with the memory */
}

static void a_disk_that_is_not_there_switches_nothing(void **state)
{
	const char *dir = *state;
	_cleanup_free_ char *live = NULL, *path = xasprintf("%s/vda.one", dir);
	const struct hv_switch disks[] = { { .target = "vda", .path = path }, { .target = "sdz", .path = path } };
	const struct hv_snapshot what = { .disks = disks, .n_disks = 2 };
	_cleanup_err_ struct err none = ERR_INIT, missing = ERR_INIT;

	assert_true(hv_snapshot(rig->hv, &guest, &what, &none) < 0);
	assert_int_equal(none.kind, ERR_BACKEND);
	assert_non_null(strstr(none.message, "has no disk \"sdz\""));
	assert_true(snapshot(dir, "never-made", NULL, 0, &missing) < 0);
	assert_int_equal(missing.kind, ERR_BACKEND);
	assert_string_equal(missing.vm, "tick");
	MUST(hv_xml(rig->hv, &guest, HV_XML_LIVE, &live, &err));
	assert_null(strstr(live, ".one"));
	assert_null(strstr(live, "never-made"));
}

/* Memory and disks at one instant, and back to it on other disks. */
static void memory_and_disks_of_one_instant(const char *dir, int live)
{
	_cleanup_(pump_done) struct pump pump = { .fd = -1 };
	_cleanup_free_ char *xml = NULL, *new_xml = NULL;
	unsigned int before, after, end, first;
	size_t mark;

	make_overlays(dir, "one");
	pump_open(&pump, dir);
	pump_start(&pump);
	await_ticks(dir, 0, 3, NULL, &before);
	MUST(hv_xml(rig->hv, &guest, HV_XML_MIGRATABLE, &xml, &err));
	MUST(snapshot(dir, "one", pump.fifo, live, &err));
	pump_finish(&pump);
	settle_header(pump.file);
	assert_state(HV_RUNNING);
	await_ticks(dir, 0, 3, NULL, &after);
	await_ticks(dir, serial_size(dir), 10, NULL, &end);
	MUST(hv_destroy(rig->hv, &guest, &err));
	assert_true(rig_await(rig, &guest, HV_EVENT_STOPPED));

	/* the base disks are as they were then */
	make_overlays(dir, "two");
	new_xml = on_overlays(xml, dir, "two");
	mark = serial_size(dir);
	MUST(restore_through(&pump, rig->hv, new_xml, &err));
	assert_true(rig_await(rig, &guest, HV_EVENT_RESUMED));
	assert_state(HV_RUNNING);
	await_ticks(dir, mark, 5, &first, NULL);
	assert_in_range(first, before, after + 2);
	assert_true(first < end);
}

static void memory_comes_back_live(void **state)
{
	memory_and_disks_of_one_instant(*state, 1);
}

static void memory_comes_back_paused(void **state)
{
	memory_and_disks_of_one_instant(*state, 0);
}

static void a_broken_image_says_so(void **state)
{
	const char *dir = *state;
	_cleanup_(pump_done) struct pump pump = { .fd = -1 };
	_cleanup_free_ char *xml = NULL;
	_cleanup_err_ struct err broken = ERR_INIT;
	struct hv_snapshot what = { 0 };
	struct stat st;

	MUST(hv_xml(rig->hv, &guest, HV_XML_MIGRATABLE, &xml, &err));
	pump_open(&pump, dir);
	pump_start(&pump);
	MUST(hv_suspend(rig->hv, &guest, &err));
	what.memory_file = pump.fifo;
	MUST(hv_snapshot(rig->hv, &guest, &what, &err));
	pump_finish(&pump);
	settle_header(pump.file);
	assert_int_equal(stat(pump.file, &st), 0);
	assert_int_equal(truncate(pump.file, st.st_size / 2), 0);
	MUST(hv_destroy(rig->hv, &guest, &err));
	assert_true(restore_through(&pump, rig->hv, xml, &broken) < 0);
	assert_int_equal(broken.kind, ERR_BACKEND);
	assert_non_null(strstr(broken.message, "cannot restore the saved memory: "));
	assert_null(strchr(broken.message, '\n'));
	assert_non_null(broken.hint);
	assert_state(HV_OFF);
}

struct held {
	const char *dir, *fifo;
	struct err err;
	int r;
};

static void *held_snapshot(void *arg)
{
	struct held *held = arg;

	held->r = snapshot(held->dir, "one", held->fifo, 1, &held->err);
	return NULL;
}

/* The reader of the memory stops, so that the job stays; then it is cancelled. */
static void a_job_is_seen_and_cancelled(void **state)
{
	const char *dir = *state;
	_cleanup_(pump_done) struct pump pump = { .fd = -1 };
	_cleanup_(hv_foreign_done) struct hv_foreign idle = { 0 }, busy = { 0 };
	struct held held = { .dir = dir };
	struct hv_progress progress;
	pthread_t thread;

	MUST(hv_foreign(rig->hv, &guest, &idle, &err));
	assert_null(idle.job);
	assert_int_equal(hv_progress(rig->hv, &guest, &progress, NULL), -ENODATA);
	make_overlays(dir, "one");
	pump_open(&pump, dir);
	held.fifo = pump.fifo;
	assert_int_equal(pthread_create(&thread, NULL, held_snapshot, &held), 0);
	pump_skip(&pump, 1 << 19); /* libvirt's header and the beginning of the stream */
	MUST(hv_progress(rig->hv, &guest, &progress, &err));
	assert_true(progress.done >= 0 && progress.total >= progress.done && progress.left >= 0);
	MUST(hv_foreign(rig->hv, &guest, &busy, &err));
	assert_non_null(busy.job);
	assert_string_equal(busy.job, "snapshot");
	MUST(hv_abort_job(rig->hv, &guest, &err));
	pump_start(&pump);
	pthread_join(thread, NULL);
	pump_finish(&pump);
	assert_int_equal(held.r, -ECANCELED);
	assert_string_equal(held.err.vm, "tick");
	err_done(&held.err);
	assert_state(HV_RUNNING);
	await_ticks(dir, serial_size(dir), 3, NULL, NULL);
}

/* What an admin could do with virsh is done with libvirt's own calls. */
static void what_others_did_is_found(void **state)
{
	const char *dir = *state;
	_cleanup_(hv_foreign_done) struct hv_foreign none = { 0 }, jobs = { 0 }, saved = { 0 };
	_cleanup_err_ struct err refused = ERR_INIT, busy = ERR_INIT;
	_cleanup_free_ char *path = xasprintf("%s/vda.one", dir);
	virConnectPtr conn = virConnectOpen(uri);
	virDomainPtr dom = virDomainLookupByUUIDString(conn, GUEST_GUID);
	virDomainSnapshotPtr snap;

	assert_non_null(dom);
	MUST(hv_foreign(rig->hv, &guest, &none, &err));
	assert_false(none.managed_save || none.snapshots || none.block_jobs || none.job);

	make_overlays(dir, "one");
	MUST(snapshot(dir, "one", NULL, 0, &err));
	snap = virDomainSnapshotCreateXML(dom, "<domainsnapshot><name>mine</name></domainsnapshot>",
					  VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY);
	assert_non_null(snap);
	assert_int_equal(virDomainBlockCommit(dom, "vda", path, NULL, 0, VIR_DOMAIN_BLOCK_COMMIT_ACTIVE), 0);
	MUST(hv_foreign(rig->hv, &guest, &jobs, &err));
	assert_int_equal(strv_count(jobs.snapshots), 1);
	assert_int_equal(strv_has(jobs.snapshots, "mine"), 1);
	assert_int_equal(strv_count(jobs.block_jobs), 1);
	assert_int_equal(strv_has(jobs.block_jobs, "vda"), 1);
	make_overlays(dir, "two");
	assert_true(snapshot(dir, "two", NULL, 0, &busy) < 0);
	assert_non_null(busy.hint);
	assert_int_equal(virDomainBlockJobAbort(dom, "vda", 0), 0);
	assert_int_equal(virDomainSnapshotDelete(snap, VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY), 0);

	assert_int_equal(virDomainManagedSave(dom, 0), 0);
	MUST(hv_foreign(rig->hv, &guest, &saved, &err));
	assert_int_equal(saved.managed_save, 1);
	assert_true(hv_start(rig->hv, &guest, 0, &refused) < 0);
	assert_int_equal(refused.kind, ERR_REFUSED);
	assert_int_equal(virDomainManagedSaveRemove(dom, 0), 0);
	virDomainSnapshotFree(snap);
	virDomainFree(dom);
	virConnectClose(conn);
}

static void the_type_of_guests_is_known(void **state _unused_)
{
	const char *type = hv_guest_type(rig->hv);

	assert_true(strcmp(type, "kvm") == 0 || strcmp(type, "qemu") == 0);
	assert_ptr_equal(hv_guest_type(rig->hv), type);
}

static int open_embedded(void **state)
{
	rig = xcalloc(1, sizeof(*rig));
	dir_setup((void **)&root);
	uri = xasprintf("qemu:///embed?root=%s", root);
	*state = NULL;
	MUST(rig_open(rig, uri, &err));
	return rig_await(rig, NULL, HV_EVENT_UP) ? 0 : -1;
}

static int close_embedded(void **state _unused_)
{
	rig_close(rig);
	free(rig);
	free(uri);
	return dir_teardown((void **)&root);
}

static int in_path(const char *program)
{
	const char *const argv[] = { program, "--version", NULL };
	const struct proc_opts opts = { .argv = argv };

	return proc_run(&opts, NULL, NULL) == 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_type_of_guests_is_known),
		cmocka_unit_test_setup_teardown(a_guest_starts_stops_and_is_told, start_guest, stop_guest),
		cmocka_unit_test_setup_teardown(disks_are_switched_together, start_guest, stop_guest),
		cmocka_unit_test_setup_teardown(an_emulator_goes_back_to_the_images_below, start_guest, stop_guest),
		cmocka_unit_test_setup_teardown(a_disk_that_is_not_there_switches_nothing, start_guest, stop_guest),
		cmocka_unit_test_setup_teardown(memory_comes_back_live, start_guest, stop_guest),
		cmocka_unit_test_setup_teardown(memory_comes_back_paused, start_guest, stop_guest),
		cmocka_unit_test_setup_teardown(a_broken_image_says_so, start_guest, stop_guest),
		cmocka_unit_test_setup_teardown(a_job_is_seen_and_cancelled, start_guest, stop_guest),
		cmocka_unit_test_setup_teardown(what_others_did_is_found, start_guest, stop_guest),
	};

	if (getenv("VMSNAP_VALGRIND"))
		return 77; /* libvirt's driver forks children that leak as they please */
	if (!in_path("qemu-system-x86_64") || !in_path("qemu-img"))
		return skip_status("qemu-system-x86_64 and qemu-img are needed (Debian: qemu-system-x86, qemu-utils)");
	return cmocka_run_group_tests(tests, open_embedded, close_embedded);
}
