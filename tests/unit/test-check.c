/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules of a check over pictures made by hand, and over a directory. */
#include "tests/unit/layout-util.h"

#include "layout/chain.h"
#include "layout/check.h"

#define VM "3F2504E0-4F89-41D3-9A0C-0305E82C3301"
#define S1 "11111111-1111-4111-8111-111111111111"
#define S2 "22222222-2222-4222-8222-222222222222"
#define S3 "33333333-3333-4333-8333-333333333333"
#define ROOT "/store/one"

struct scene {
	struct vmdir *dir;
	struct check_picture pic;
	struct check_report rep;
};

static struct scene scene_at(const char *root, const char *store)
{
	struct guid vm = guid_of(VM);
	struct scene s = { .dir = vmdir_new(root, &vm) };

	s.pic.dir = s.dir;
	s.pic.store = store;
	return s;
}

static struct scene scene_new(void)
{
	return scene_at(ROOT, "/store");
}

static void scene_done(struct scene *s)
{
	check_report_done(&s->rep);
	check_picture_done(&s->pic);
	vmdir_free(s->dir);
}

static struct check_doc *add_doc(struct scene *s, const char *guid, const char *parent)
{
	struct check_doc *doc = check_picture_doc(&s->pic);

	doc->guid = guid_of(guid);
	doc->vm = strcmp(guid, VM) == 0;
	if (parent)
		doc->parent = guid_of(parent);
	doc->name = xstrndup(guid, 8);
	doc->file = doc->vm ? vmdir_config(s->dir) : vmdir_snapshot_config(s->dir, &doc->guid);
	return doc;
}

static struct check_disk *add_disk(struct check_doc *doc, const char *target, const char *path)
{
	struct check_disk *disk = check_doc_disk(doc);

	disk->target = xstrdup(target);
	disk->path = xstrdup(path);
	disk->format = xstrdup("qcow2");
	return disk;
}

/* A sound qcow2 image; they must be added in the order of their paths. */
static struct check_image *add_image(struct scene *s, const char *path, const char *below, const struct check_doc *named)
{
	struct check_picture *pic = &s->pic;
	struct check_image *image;

	pic->image = xreallocarray(pic->image, pic->n_images + 1, sizeof(*pic->image));
	image = &pic->image[pic->n_images++];
	assert_true(image == pic->image || strcmp(image[-1].path, path) < 0);
	*image = (struct check_image){
		.path = xstrdup(path), .format = xstrdup("qcow2"), .named = named, .regular = 1, .mode = 0440, .magic = 1,
		.backing = below ? xstrdup(strrchr(below, '/') + 1) : NULL, .below = xstrdup(below),
		.backing_format = below ? xstrdup("qcow2") : NULL, .virtual_size = 1 << 20, .have_stamp = 1,
	};
	return image;
}

/* The words that were found, in order, with a blank between. */
static void assert_found(struct scene *s, const char *words)
{
	_cleanup_strv_ char **list = NULL;
	_cleanup_free_ char *found = NULL;

	for (size_t i = 0; i < s->rep.n; i++)
		strv_push(&list, xstrdup(check_rule(s->rep.finding[i].id)->word));
	found = strv_join(list, " ");
	assert_string_equal(found ? found : "", words);
}

static void test_table(void **state _unused_)
{
	for (int i = 0; i < CHECK_IDS; i++) {
		const struct check_rule *rule = check_rule((enum check_id)i);

		assert_non_null(rule->word);
		print_message("%s\n", rule->word);
		assert_true(rule->severity == CHECK_INFO ? rule->why != NULL : rule->advice != NULL);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(rule->word, check_rule((enum check_id)k)->word);
	}
	assert_string_equal(check_severity_name(CHECK_WARNING), "warning");
}

static void test_report(void **state _unused_)
{
	struct check_report rep = { 0 };

	check_add(&rep, CHECK_HIDDEN, "/a", "one");
	assert_false(check_has_file(&rep, "/a"));
	check_add(&rep, CHECK_ORPHAN, "/a", "two");
	check_add(&rep, CHECK_ORPHAN, "/a", "again");
	assert_int_equal(rep.n, 2);
	assert_true(check_has_file(&rep, "/a") && !check_has_file(&rep, "/b"));
	assert_true(check_has(&rep, CHECK_ORPHAN) && !check_has(&rep, CHECK_STORE));
	for (int i = 0; i < CHECK_MAX_FINDINGS; i++)
		check_add(&rep, CHECK_STORE, NULL, "%d", i);
	assert_int_equal(rep.n, CHECK_MAX_FINDINGS);
	assert_true(rep.cut);
	check_report_done(&rep);
}

static void test_sound(void **state _unused_)
{
	_cleanup_(scene_done) struct scene s = scene_new();
	struct check_doc *vm = add_doc(&s, VM, S1), *snap = add_doc(&s, S1, NULL);

	add_disk(vm, "vda", ROOT "/b");
	add_disk(snap, "vda", ROOT "/a")->sealed = 1;
	add_image(&s, ROOT "/a", NULL, snap);
	add_image(&s, ROOT "/b", ROOT "/a", vm)->mode = 0600;
	check_documents(&s.pic, &s.rep);
	check_images(&s.pic, &s.rep);
	check_seals(&s.pic, &s.rep);
	assert_found(&s, "");
	assert_false(s.pic.incomplete);
}

static void test_tree(void **state _unused_)
{
	_cleanup_(scene_done) struct scene s = scene_new();

	add_doc(&s, VM, S3);
	add_doc(&s, S1, S2); /* each of three derives from the next */
	add_doc(&s, S2, S3);
	add_doc(&s, S3, S1);
	check_documents(&s.pic, &s.rep);
	assert_found(&s, "parent-cycle");
}

static void test_missing_parent(void **state _unused_)
{
	_cleanup_(scene_done) struct scene s = scene_new();
	struct guid unreadable = guid_of(S3);

	add_doc(&s, VM, S2);
	add_doc(&s, S1, S3); /* there, but it could not be read: its own finding */
	strv_push(&s.pic.held, vmdir_snapshot_config(s.dir, &unreadable));
	check_documents(&s.pic, &s.rep);
	assert_found(&s, "parent-missing");
	assert_string_equal(s.rep.finding[0].file, s.pic.doc[0]->file);
}

static void test_shared_disks(void **state _unused_)
{
	_cleanup_(scene_done) struct scene s = scene_new();
	struct check_doc *vm = add_doc(&s, VM, NULL), *snap = add_doc(&s, S1, NULL);

	add_disk(vm, "vda", ROOT "/a");
	add_disk(vm, "vdb", ROOT "/a");
	add_disk(vm, "vdc", ROOT "/b");
	add_disk(vm, "vdd", ROOT "/c");
	add_disk(snap, "vdc", ROOT "/b");
	check_picture_other(&s.pic, ROOT "/x/../c", "other", 0);
	check_documents(&s.pic, &s.rep);
	assert_found(&s, "disk-shared sealed-in-use disk-shared");
}

static void test_links(void **state _unused_)
{
	_cleanup_(scene_done) struct scene s = scene_new();
	struct check_doc *vm = add_doc(&s, VM, NULL);

	add_disk(vm, "vda", ROOT "/b");
	add_image(&s, ROOT "/a", NULL, NULL)->error = -ENOENT;
	add_image(&s, ROOT "/b", ROOT "/a", vm);
	check_images(&s.pic, &s.rep);
	assert_found(&s, "backing-missing");
	assert_string_equal(s.rep.finding[0].file, ROOT "/a");
	assert_true(s.pic.incomplete);
}

static void test_names(void **state _unused_)
{
	_cleanup_(scene_done) struct scene s = scene_new();
	struct check_image *image;

	image = add_image(&s, ROOT "/a", "/store/two/base", NULL);
	image = add_image(&s, ROOT "/b", ROOT "/z", NULL);
	xstrset(&image->backing, ROOT "/z");
	image = add_image(&s, ROOT "/c", "/elsewhere/z", NULL);
	xstrset(&image->backing, "../../elsewhere/z");
	image = add_image(&s, ROOT "/d", "/elsewhere/z", NULL); /* an adopted base disk */
	xstrset(&image->backing, "/elsewhere/z");
	image = add_image(&s, ROOT "/e", ROOT "/z", NULL);
	xstrset(&image->backing_format, NULL);
	image = add_image(&s, ROOT "/f", NULL, NULL);
	xstrset(&image->backing, "nbd://host/x");
	check_images(&s.pic, &s.rep);
	assert_found(&s, "hidden foreign-directory hidden backing-absolute hidden backing-outside hidden hidden "
			 "backing-unnamed hidden backing-protocol");
}

static void test_formats(void **state _unused_)
{
	_cleanup_(scene_done) struct scene s = scene_new();
	struct check_doc *vm = add_doc(&s, VM, NULL), *snap = add_doc(&s, S1, NULL);
	struct check_image *image;

	add_disk(vm, "vda", ROOT "/a");
	add_disk(vm, "vdb", ROOT "/c");
	add_disk(vm, "vdc", ROOT "/d");
	xstrset(&add_disk(snap, "vda", ROOT "/b")->format, "raw");
	add_image(&s, ROOT "/a", ROOT "/b", vm);                 /* takes raw for qcow2 */
	image = add_image(&s, ROOT "/b", NULL, snap);
	xstrset(&image->format, "raw");
	add_image(&s, ROOT "/c", NULL, vm)->magic = 0;           /* is no qcow2 */
	image = add_image(&s, ROOT "/d", ROOT "/e", vm);         /* takes qcow2 of ours for raw */
	xstrset(&image->backing_format, "raw");
	add_image(&s, ROOT "/e", NULL, NULL);
	check_images(&s.pic, &s.rep);
	assert_found(&s, "format backing-format backing-format hidden");
	assert_string_equal(s.rep.finding[0].file, ROOT "/c");
}

/* A guest may write what looks like a qcow2 header to a raw disk: that says nothing. */
static void test_raw_is_raw(void **state _unused_)
{
	_cleanup_(scene_done) struct scene s = scene_new();
	struct check_doc *vm = add_doc(&s, VM, NULL);
	struct check_image *image;

	xstrset(&add_disk(vm, "vda", "/elsewhere/disk")->format, "raw");
	image = add_image(&s, "/elsewhere/disk", NULL, vm);
	xstrset(&image->format, "raw");
	check_images(&s.pic, &s.rep);
	assert_found(&s, "");
}

static void test_loop(void **state _unused_)
{
	_cleanup_(scene_done) struct scene s = scene_new();
	struct check_doc *vm = add_doc(&s, VM, NULL);

	add_disk(vm, "vda", ROOT "/d");
	add_image(&s, ROOT "/a", ROOT "/b", NULL);
	add_image(&s, ROOT "/b", ROOT "/c", NULL);
	add_image(&s, ROOT "/c", ROOT "/a", NULL);
	add_image(&s, ROOT "/d", ROOT "/b", vm);
	check_images(&s.pic, &s.rep);
	assert_found(&s, "hidden backing-loop hidden hidden");
}

/* A chain of n images on which the working disk stands. */
static void check_length(int n, const char *words)
{
	_cleanup_(scene_done) struct scene s = scene_new();
	struct check_doc *vm = add_doc(&s, VM, NULL);
	_cleanup_free_ char *below = NULL;

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = xasprintf("/elsewhere/%04d", i);

		add_image(&s, path, below, vm);
		xstrset(&below, path);
	}
	add_disk(vm, "vda", below);
	check_images(&s.pic, &s.rep);
	assert_found(&s, words);
}

static void test_length(void **state _unused_)
{
	check_length(CHECK_DEEP_CHAIN, "");
	check_length(CHECK_DEEP_CHAIN + 1, "chain-deep");
	check_length(CHAIN_MAX, "chain-deep");
	check_length(CHAIN_MAX + 1, "chain-long");
}

static void test_sizes_and_modes(void **state _unused_)
{
	_cleanup_(scene_done) struct scene s = scene_new();
	struct check_doc *vm = add_doc(&s, VM, NULL);

	add_disk(vm, "vda", ROOT "/a");
	add_disk(vm, "vdb", ROOT "/b");
	add_image(&s, "/elsewhere/base", NULL, NULL)->virtual_size = 2 << 20;
	add_image(&s, ROOT "/a", "/elsewhere/base", vm)->mode = 0666;
	add_image(&s, ROOT "/b", ROOT "/a", vm)->virtual_size = 3 << 20;
	xstrset(&s.pic.image[1].backing, "/elsewhere/base");
	check_images(&s.pic, &s.rep);
	assert_found(&s, "overlay-smaller image-mode overlay-larger working-below");
}

static void test_seals(void **state _unused_)
{
	_cleanup_(scene_done) struct scene s = scene_new();
	struct check_doc *vm = add_doc(&s, VM, NULL), *snap = add_doc(&s, S1, NULL);
	static const char *const paths[] = { ROOT "/a", ROOT "/b", ROOT "/c", ROOT "/d", ROOT "/e" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct check_disk *disk = add_disk(i == 4 ? vm : snap, "vda", paths[i]);

		disk->sealed = 1;
		disk->seal = (struct stamp){ .size = i == 1, .mtime_ns = i == 2 || i == 4, .header = i == 3 };
		add_image(&s, paths[i], NULL, i == 4 ? vm : snap)->mode = i == 0 ? 0640 : 0440;
	}
	check_seals(&s.pic, &s.rep);
	assert_found(&s, "saved-drift seal-mode seal-drift seal-drift seal-drift");
}

static void test_use(void **state _unused_)
{
	_cleanup_(scene_done) struct scene s = scene_new();
	struct check_doc *vm = add_doc(&s, VM, NULL);

	add_disk(vm, "vda", ROOT "/disks/a");
	check_doc_ref(vm, xstrdup(ROOT "/x.vsv"), CHECK_STATE_MISSING, -1, CHECK_STATE_DRIFT);
	strv_push(&s.pic.held, xstrdup(ROOT "/tpm"));
	strv_push(&s.pic.texts, xstrdup("<source file='" ROOT "/a&amp;b.iso'/><source file=\"/former/place/c.iso\"/>"));
	check_picture_other(&s.pic, ROOT "/clone-base", "other", 0);
	assert_true(check_is_used(&s.pic, ROOT "/disks/a") && check_is_used(&s.pic, ROOT "/disks"));
	assert_true(check_is_used(&s.pic, ROOT "/x.vsv") && check_is_used(&s.pic, ROOT "/tpm/tpm2/state"));
	assert_true(check_is_used(&s.pic, ROOT "/a&b.iso") && check_is_used(&s.pic, ROOT "/c.iso"));
	assert_true(check_is_used(&s.pic, ROOT "/clone-base"));
	assert_false(check_is_used(&s.pic, ROOT "/disks/b") || check_is_used(&s.pic, ROOT "/d.iso") ||
		     check_is_used(&s.pic, ROOT "/disk"));
}

static void put(const char *dir, const char *name)
{
	_cleanup_free_ char *path = put_file(dir, name, "x", 1);

	assert_true(exists(path));
}

static char *make_dir(const char *dir, const char *name, mode_t mode)
{
	char *path = path_join(dir, name);

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

/* A sound VM directory, and in it what is not. */
static void test_files(void **state)
{
	_cleanup_free_ char *root = make_dir(*state, "vm", 0711), *vms = make_dir(root, "Virtual Machines", 0711);
	_cleanup_free_ char *live = make_dir(vms, VM, 0711), *snaps = make_dir(root, "Snapshots", 0711);
	_cleanup_free_ char *one = make_dir(snaps, S1, 0755), *gone = make_dir(snaps, S2, 0700);
	_cleanup_free_ char *away = make_dir(root, CHECK_QUARANTINE, 0700), *theirs = make_dir(root, "theirs", 0700);
	_cleanup_free_ char *dangling = path_join(snaps, "link");
	_cleanup_(scene_done) struct scene s = scene_at(root, NULL);

	assert_true(exists(one) && exists(gone));
	put(vms, VM ".xml");
	put(snaps, S1 ".xml");
	put(snaps, S3 ".xml");
	put(away, "anything");
	put(theirs, "notes");
	put(live, "." S1 ".vsv.tmp");
	assert_int_equal(symlink("/nonexistent", dangling), 0);
	add_doc(&s, VM, NULL);
	add_doc(&s, S1, NULL);
	add_doc(&s, S3, NULL);
	check_files(&s.pic, &s.rep);
	/* the directory of S3 is missing, that of S1 open, S2 empty */
	assert_found(&s, "directory-missing quarantined directory-mode empty-directory orphan temporary orphan");
	check_report_done(&s.rep);
	s.pic.incomplete = 1; /* nothing is an orphan for sure */
	check_files(&s.pic, &s.rep);
	assert_found(&s, "directory-missing quarantined directory-mode temporary");
}

static void test_refs(void **state)
{
	_cleanup_free_ char *there = put_file(*state, "there", "12345", 5), *gone = path_join(*state, "gone");
	_cleanup_(scene_done) struct scene s = scene_at(*state, NULL);
	struct check_doc *vm = add_doc(&s, VM, NULL);

	check_doc_ref(vm, xstrdup(there), CHECK_NVRAM_MISSING, 5, CHECK_FIRMWARE_DRIFT);
	check_doc_ref(vm, xstrdup(there), CHECK_MEMORY_MISSING, -1, CHECK_STATE_DRIFT);
	check_refs(&s.pic, &s.rep);
	assert_found(&s, "");
	check_doc_ref(vm, xstrdup(there), CHECK_STATE_MISSING, 6, CHECK_STATE_DRIFT);
	check_doc_ref(vm, xstrdup(gone), CHECK_TPM_MISSING, 6, CHECK_FIRMWARE_DRIFT);
	check_refs(&s.pic, &s.rep);
	assert_found(&s, "state-drift tpm-missing");
}

/* Files without a header, that lead nowhere and round in circles are looked at, too. */
static void test_look(void **state)
{
	_cleanup_free_ char *junk = put_file(*state, "junk", "QFI\xfb" "junk", 8), *raw = put_file(*state, "raw", "0", 1);
	_cleanup_(scene_done) struct scene s = scene_at(*state, NULL);
	struct check_doc *vm = add_doc(&s, VM, NULL);
	_cleanup_free_ char *gone = path_join(*state, "gone");

	add_disk(vm, "vda", junk);
	add_disk(vm, "vdb", raw);
	add_disk(vm, "vdc", gone);
	add_disk(vm, "vdd", *state);
	check_look_images(&s.pic);
	assert_int_equal(s.pic.n_images, 4);
	assert_true(check_find_image(&s.pic, junk)->magic && check_find_image(&s.pic, junk)->damage);
	assert_false(check_find_image(&s.pic, raw)->magic);
	check_images(&s.pic, &s.rep);
	assert_found(&s, "format image-missing image-unreadable image-damaged");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_missing_parent),
		cmocka_unit_test(test_shared_disks),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_raw_is_raw),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_sizes_and_modes),
		cmocka_unit_test(test_seals),
		cmocka_unit_test(test_use),
		cmocka_unit_test_setup_teardown(test_files, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_refs, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_look, scratch_setup, scratch_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
