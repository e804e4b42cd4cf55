/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration documents as values and files: names, disks, limits, what is not
 * written, threads, and silence. */
#include "tests/unit/xmlcfg-util.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "xmlcfg/xml.h"

#define SNAP_GUID "9B2C11AA-0A55-4E6B-8C1D-5A0F6E7D8C91"

static struct config *golden_config(const char *name)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *text = golden_read(name);
	struct config *cfg = NULL;

	if (config_parse(text, strlen(text), name, &cfg, &err) < 0)
		fail_msg("%s", err.message);
	return cfg;
}

/* Runs before any other test: later on the schema has been read. */
static void test_schema_missing(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *text = golden_read("config/vm.xml");
	struct config *cfg = NULL;
	int r;

	config_set_schema_dir("/nonexistent/folder");
	r = config_parse(text, strlen(text), "vm.xml", &cfg, &err);
	use_source_schema(NULL);
	assert_true(r < 0);
	assert_int_not_equal(r, -ENOENT); /* that would mean "no such configuration" */
	assert_int_equal(err.code, r);
	assert_non_null(strstr(err.file, "/nonexistent/folder/configuration.rng"));
	assert_non_null(strstr(err.hint, "VMSNAP_SCHEMA_DIR"));
	assert_null(cfg);
}

static void test_schema_from_environment(void **state _unused_)
{
	_cleanup_free_ char *dir = source_path("xmlcfg");
	_cleanup_config_ struct config *cfg = NULL;

	config_set_schema_dir(NULL);
	assert_int_equal(setenv("VMSNAP_SCHEMA_DIR", dir, 1), 0);
	cfg = golden_config("config/vm.xml");
	use_source_schema(NULL);
	assert_string_equal(cfg->name, "TestVM");
}

static char *repeat(const char *s, size_t n)
{
	size_t len = strlen(s), i;
	char *text = xcalloc(n * len + 1, 1);

	for (i = 0; i < n; i++)
		memcpy(text + i * len, s, len);
	return text;
}

static void test_names(void **state _unused_)
{
	static const char *const good[] = {
		"a", "TestVM", "two words", "Büro 日本", "a.b-c", "\"quoted\" & <odd>", "'"
	};
	static const char *const bad[] = { "",
					   " a",
					   "a ",
					   "a\nb",
					   "a\tb",
					   "a\177",
					   "\302\205x",
					   "\302\240a",
					   "a\343\200\200",
					   "\377\376",
					   "a\303",
					   "\355\240\200",
					   "\300\200",
					   "\364\220\200\200" };
	static const char *const only_snapshots[] = { "a/b", "/", ".a", "-a", "..", "TestVM - (21/11/2026 - 09:00)" };
	_cleanup_free_ char *most = repeat("ü", 100), *more = repeat("ü", 101);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(config_check_vm_name(good[i], NULL), 0);
		assert_int_equal(config_check_snapshot_name(good[i], NULL), 0);
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_err_ struct err err = ERR_INIT;

		assert_int_equal(config_check_vm_name(bad[i], &err), -EINVAL);
		assert_int_equal(err.kind, ERR_INVALID);
		assert_true(xml_text_ok(err.message));
		assert_int_equal(config_check_snapshot_name(bad[i], NULL), -EINVAL);
	}
	for (i = 0; i < ARRAY_SIZE(only_snapshots); i++) {
		assert_int_equal(config_check_vm_name(only_snapshots[i], NULL), -EINVAL);
		assert_int_equal(config_check_snapshot_name(only_snapshots[i], NULL), 0);
	}
	assert_int_equal(config_check_vm_name(most, NULL), 0);
	assert_int_equal(config_check_vm_name(more, NULL), -EINVAL);
	assert_int_equal(config_check_snapshot_name(more, NULL), -EINVAL);
}

static void test_disks(void **state _unused_)
{
	_cleanup_config_ struct config *cfg = config_new(CONFIG_VM);

	config_add_disk(cfg, "vda");
	config_add_disk(cfg, "vdb")->pathname = xstrdup("b");
	config_add_disk(cfg, "vdc")->pathname = xstrdup("c");
	assert_null(config_find_disk(cfg, "vdd"));
	assert_string_equal(config_find_disk(cfg, "vdb")->pathname, "b");
	config_remove_disk(cfg, 1);
	assert_int_equal(cfg->n_disks, 2);
	assert_null(config_find_disk(cfg, "vdb"));
	assert_string_equal(cfg->disks[1].pathname, "c");
	config_remove_disk(cfg, 1);
	config_remove_disk(cfg, 0);
	assert_int_equal(cfg->n_disks, 0);
}

static void test_new_is_empty(void **state _unused_)
{
	_cleanup_config_ struct config *cfg = config_new(CONFIG_SNAPSHOT);

	assert_int_equal(cfg->kind, CONFIG_SNAPSHOT);
	assert_int_equal(cfg->version, CONFIG_VERSION);
	assert_int_equal(cfg->nvram.uid, -1);
	assert_int_equal(cfg->tpm.mode, -1);
	assert_int_equal(cfg->capture.pause_usec, -1);
	assert_true(guid_is_none(&cfg->parent));
	config_free(NULL);
}

static void test_copy_is_deep(void **state _unused_)
{
	_cleanup_config_ struct config *cfg = golden_config("config/snapshot-uefi-tpm.xml"), *copy = config_copy(cfg);

	copy->name[0] = 'X';
	copy->disks[0].pathname[0] = 'X';
	copy->nvram.copy[0] = 'X';
	copy->state.vsv[0] = 'X';
	copy->capture.mode[0] = 'X';
	copy->domain_xml[0] = 'X';
	config_clear_state(copy);
	assert_string_equal(cfg->name, "TestVM - (2026-11-21 - 09:00)");
	assert_string_equal(cfg->disks[0].pathname, "TestVM.qcow2");
	assert_memory_equal(cfg->nvram.copy, "Snapshots/", 10);
	assert_memory_equal(cfg->state.vsv, "Snapshots/", 10);
	assert_string_equal(cfg->capture.mode, "live");
	assert_memory_equal(cfg->domain_xml, "<domain", 7);
}

/* Each spoils one thing of a snapshot's document that was good. */
static void spoil_name(struct config *cfg)
{
	xstrset(&cfg->name, " ");
}

static void spoil_notes(struct config *cfg)
{
	xstrset(&cfg->notes, "a bell: \a");
}

static void spoil_reason(struct config *cfg)
{
	xstrset(&cfg->capture.reason, "\377");
}

static void spoil_mode(struct config *cfg)
{
	xstrset(&cfg->capture.mode, "magic");
}

static void spoil_level(struct config *cfg)
{
	xstrset(&cfg->capture.level, "high");
}

static void spoil_guid(struct config *cfg)
{
	cfg->guid.s[0] = 'x';
}

static void spoil_guid_case(struct config *cfg)
{
	cfg->guid.s[10] = 'a';
}

static void spoil_pathname(struct config *cfg)
{
	xstrset(&cfg->disks[0].pathname, "../x");
}

static void spoil_pathname_text(struct config *cfg)
{
	xstrset(&cfg->disks[0].pathname, "x\033y");
}

static void spoil_format(struct config *cfg)
{
	xstrset(&cfg->disks[0].format, NULL);
}

static void spoil_seal(struct config *cfg)
{
	cfg->disks[0].sealed = 0;
}

static void spoil_target(struct config *cfg)
{
	xstrset(&cfg->disks[0].target, "v da");
}

static void spoil_created(struct config *cfg)
{
	cfg->created_usec = -1;
}

static void spoil_created_late(struct config *cfg)
{
	cfg->created_usec = INT64_MAX;
}

static void spoil_version(struct config *cfg)
{
	cfg->version = 0x0200;
}

static void spoil_domain_missing(struct config *cfg)
{
	xstrset(&cfg->domain_xml, NULL);
}

static void spoil_domain(struct config *cfg)
{
	xstrset(&cfg->domain_xml, "<domain><name>");
}

static void spoil_domain_root(struct config *cfg)
{
	xstrset(&cfg->domain_xml, "<network/>");
}

static void spoil_domain_doctype(struct config *cfg)
{
	xstrset(&cfg->domain_xml, "<!DOCTYPE domain [<!ENTITY a 'b'>]><domain>&a;</domain>");
}

static void spoil_domain_deep(struct config *cfg)
{
	_cleanup_free_ char *open = repeat("<d>", 120), *close = repeat("</d>", 120);

	free(cfg->domain_xml);
	cfg->domain_xml = xasprintf("<domain>%s%s</domain>", open, close);
}

static void spoil_domain_size(struct config *cfg)
{
	_cleanup_free_ char *text = repeat("0123456789abcdef", 300000);

	free(cfg->domain_xml);
	cfg->domain_xml = xasprintf("<domain>%s</domain>", text);
}

static void spoil_state(struct config *cfg)
{
	xstrset(&cfg->state.vsv, NULL);
}

static void spoil_nvram(struct config *cfg)
{
	xstrset(&cfg->nvram.live, NULL);
}

static void spoil_kind(struct config *cfg)
{
	cfg->kind = CONFIG_VM;
}

static void test_bad_values_are_not_written(void **state _unused_)
{
	static void (*const spoil[])(struct config *) = {
		spoil_name,	      spoil_notes,     spoil_reason,	  spoil_mode,		spoil_level,
		spoil_guid,	      spoil_guid_case, spoil_pathname,	  spoil_pathname_text,	spoil_format,
		spoil_seal,	      spoil_target,    spoil_created,	  spoil_created_late,	spoil_version,
		spoil_domain_missing, spoil_domain,    spoil_domain_root, spoil_domain_doctype, spoil_domain_deep,
		spoil_domain_size,    spoil_state,     spoil_nvram,	  spoil_kind,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(spoil); i++) {
		_cleanup_err_ struct err err = ERR_INIT;
		_cleanup_config_ struct config *cfg = golden_config("config/snapshot-uefi-tpm.xml");
		char *text = NULL;
		int r;

		spoil[i](cfg);
		r = config_format(cfg, &text, NULL, &err);
		if (r != -EINVAL)
			fail_msg("spoil[%zu] gave %d", i, r);
		assert_null(text);
		assert_true(xml_text_ok(err.message));
	}
}

static void test_too_large(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *text = repeat(" ", CONFIG_MAX_BYTES + 1);
	struct config *cfg = NULL;

	assert_int_equal(config_parse(text, CONFIG_MAX_BYTES + 1, "big.xml", &cfg, &err), -EFBIG);
	assert_int_equal(err.kind, ERR_BAD_DATA);
	assert_string_equal(err.file, "big.xml");
}

/* As many elements as are allowed, and one too many. */
static void test_many_elements(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_config_ struct config *cfg = golden_config("config/vm.xml"), *again = NULL;
	_cleanup_free_ char *elements = NULL, *text = NULL;
	size_t len = 0, others = 16; /* of the document around them */

	elements = repeat("<x a='1'/>", XML_MAX_ELEMENTS - others);
	free(cfg->domain_xml);
	cfg->domain_xml = xasprintf("<domain>%s</domain>", elements);
	assert_int_equal(config_format(cfg, &text, &len, &err), 0);
	assert_int_equal(config_parse(text, len, "many.xml", &again, &err), 0);
	config_free(TAKE_PTR(again));
	free(TAKE_PTR(cfg->domain_xml));
	cfg->domain_xml = xasprintf("<domain><x/>%s</domain>", elements);
	free(TAKE_PTR(text));
	assert_int_equal(config_format(cfg, &text, &len, &err), -EINVAL);
	assert_null(text);
	assert_non_null(strstr(err.message, "too many elements"));
}

static void test_bytes_with_nul(void **state _unused_)
{
	_cleanup_free_ char *text = golden_read("config/vm.xml");
	struct config *cfg = NULL;
	size_t len = strlen(text);

	text[len / 2] = '\0';
	assert_true(config_parse(text, len, "nul.xml", &cfg, NULL) < 0);
	assert_true(config_parse("", 0, "empty.xml", &cfg, NULL) < 0);
	assert_null(cfg);
}

static void test_files(void **state _unused_)
{
	_cleanup_err_ struct err err = ERR_INIT, missing = ERR_INIT;
	char dir[] = "/tmp/test-config-XXXXXX";
	_cleanup_free_ char *path = NULL;
	_cleanup_config_ struct config *cfg = golden_config("config/vm-saved.xml"), *read = NULL;
	struct stat st;

	assert_non_null(mkdtemp(dir));
	path = path_join(dir, "vm.xml");
	assert_int_equal(config_read(path, &read, &missing), -ENOENT);
	assert_int_equal(config_write(cfg, path, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(config_read(path, &read, &err), 0);
	assert_string_equal(read->name, cfg->name);
	xstrset(&read->name, "");
	assert_int_equal(config_write(read, path, &err), -EINVAL);
	assert_string_equal(err.file, path);
	config_free(TAKE_PTR(read));
	assert_int_equal(config_read(path, &read, NULL), 0); /* what was there is still there */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void *work(void *arg)
{
	const char *text = arg;
	int i;

	for (i = 0; i < 50; i++) {
		_cleanup_err_ struct err err = ERR_INIT;
		_cleanup_config_ struct config *cfg = NULL;
		_cleanup_free_ char *out = NULL;

		if (config_parse(text, strlen(text), "vm.xml", &cfg, &err) < 0)
			return (void *)"a good document was refused";
		if (config_format(cfg, &out, NULL, &err) < 0 || strcmp(out, text))
			return (void *)"a document was written otherwise";
		if (config_parse(text + 1, strlen(text) - 1, "bad.xml", &cfg, &err) == 0)
			return (void *)"a bad document was accepted";
	}
	return NULL;
}

static void test_threads(void **state _unused_)
{
	_cleanup_free_ char *text = golden_read("config/snapshot-uefi-tpm.xml");
	pthread_t thread[4];
	void *fault;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, work, text), 0);
	for (i = 0; i < ARRAY_SIZE(thread); i++) {
		assert_int_equal(pthread_join(thread[i], &fault), 0);
		if (fault)
			fail_msg("%s", (const char *)fault);
	}
}

/* Bytes that were written to descriptor 2 while bad documents were read. */
static off_t noise(const char *file)
{
	int saved = dup(STDERR_FILENO), fd = open(file, O_RDWR | O_CLOEXEC | O_TRUNC);
	static const char *const bad[] = { "<a", "<a>&x;</a>", "<a xmlns='x y'><b:c/></a>", "\377",
					   "<configuration/>" };
	struct config *cfg = NULL;
	struct stat st;
	size_t i;

	assert_true(saved >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (config_parse(bad[i], strlen(bad[i]), "bad.xml", &cfg, NULL) == 0)
			dprintf(STDERR_FILENO, "accepted");
	dup2(saved, STDERR_FILENO);
	close(saved);
	fstat(fd, &st);
	close(fd);
	return st.st_size;
}

static void test_silence(void **state _unused_)
{
	char file[] = "/tmp/test-config-XXXXXX";
	int fd = mkstemp(file);
	off_t bytes;

	assert_true(fd >= 0);
	close(fd);
	bytes = noise(file);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema_missing),
		cmocka_unit_test(test_schema_from_environment),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_disks),
		cmocka_unit_test(test_new_is_empty),
		cmocka_unit_test(test_copy_is_deep),
		cmocka_unit_test(test_bad_values_are_not_written),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_many_elements),
		cmocka_unit_test(test_bytes_with_nul),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_silence),
	};

	return cmocka_run_group_tests(tests, use_source_schema, NULL);
}
