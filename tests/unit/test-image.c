/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of disk images and chains, with the real qemu-img. */
#include "tests/unit/layout-util.h"

#include "common/proc.h"
#include "layout/chain.h"
#include "layout/image.h"
#include "layout/qcow2.h"

#define MIB (1 << 20)

/* Runs a program that must succeed; arguments up to NULL. */
static void must_run(const char *first, ...)
{
	_cleanup_err_ struct err err = ERR_INIT;
	const char *argv[24] = {first};
	struct proc_opts opts = {.argv = argv};
	va_list ap;

	va_start(ap, first);
	for (size_t n = 1; n < ARRAY_SIZE(argv) - 1 && (argv[n] = va_arg(ap, const char *)); n++)
		;
	va_end(ap);
	assert_ok(proc_run(&opts, NULL, &err), &err);
}

/* A raw file of 1 MiB + 100 bytes that is not all zeros. */
static char *make_raw(const char *dir, const char *name)
{
	_cleanup_free_ char *data = xcalloc(MIB + 100, 1);

	memset(data + 4096, 0x5a, 300000);
	data[MIB + 99] = 'x';
	return put_file(dir, name, data, MIB + 100);
}

static void test_make(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *path = path_join(*state, "new:disk,x.qcow2");
	_cleanup_strv_ char **names = NULL;
	int64_t size;

	assert_ok(disk_make(path, 10 * MIB, &err), &err);
	assert_int_equal(mode_of(path), 0600);
	assert_ok(disk_virtual_size(path, "qcow2", &size, &err), &err);
	assert_int_equal(size, 10 * MIB);
	assert_ok(dir_list(*state, &names, &err), &err);
	assert_int_equal(strv_count(names), 1);
	assert_int_equal(disk_make(path, MIB, &err), -EEXIST);
	err_done(&err);
	assert_int_equal(disk_make("/nonexistent/x", 0, &err), -EINVAL);
	err_done(&err);
	assert_true(disk_make("/nonexistent/x", MIB, &err) < 0);
	assert_string_equal(err.file, "/nonexistent/x");
}

static void test_overlay(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *base = make_raw(*state, "base.raw"), *sub = path_join(*state, "Snapshots");
	_cleanup_free_ char *a = path_join(sub, "a.avhd"), *b = path_join(sub, "b.avhd");
	_cleanup_(qcow2_info_done) struct qcow2_info info = {0};
	_cleanup_(chain_done) struct chain chain = {0};

	assert_ok(dir_make(sub, 0700, &err), &err);
	assert_ok(disk_make_overlay(a, "../base.raw", "raw", &err), &err);
	assert_ok(disk_make_overlay(b, "a.avhd", "qcow2", &err), &err);
	assert_ok(disk_make_overlay(b, "a.avhd", "qcow2", &err), &err);
	assert_ok(qcow2_read(a, &info, &err), &err);
	assert_string_equal(info.backing, "../base.raw");
	assert_string_equal(info.backing_format, "raw");
	assert_true(info.extended_l2);
	assert_int_equal(info.cluster_bits, 17);
	assert_int_equal(info.virtual_size, MIB + 512);
	assert_int_equal(mode_of(b), 0600);
	must_run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", base, b, NULL);
	must_run("qemu-img", "check", "-q", "-f", "qcow2", b, NULL);

	assert_ok(chain_read(b, "qcow2", &chain, &err), &err);
	assert_int_equal(chain.n, 3);
	assert_string_equal(chain.image[0].path, b);
	assert_string_equal(chain.image[1].path, a);
	assert_string_equal(chain.image[2].path, base);
	assert_string_equal(chain.image[2].format, "raw");
	assert_int_equal(chain.image[2].virtual_size, MIB + 512);
	assert_true(chain.image[2].allocated >= 300000);
}

static void test_overlay_errors(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *path = path_join(*state, "a.avhd");
	_cleanup_strv_ char **names = NULL;

	assert_int_equal(disk_make_overlay(path, "none.raw", "raw", &err), -ENOENT);
	err_done(&err);
	assert_int_equal(disk_make_overlay(path, "json:{}", "raw", &err), -EINVAL);
	err_done(&err);
	assert_true(disk_make_overlay(path, "none.vmdk", "vmdk", &err) < 0);
	assert_string_equal(err.file, path);
	assert_ok(dir_list(*state, &names, NULL), &err);
	assert_null(names ? names[0] : NULL);
}

struct seen {
	int64_t last, total;
	int calls, stop;
};

static int see(void *arg, int64_t done, int64_t total)
{
	struct seen *seen = arg;

	seen->calls++;
	seen->last = done;
	seen->total = total;
	return seen->stop;
}

static void check_convert(const char *dir, const char *base, const char *format)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *src = xasprintf("%s/src.%s", dir, format), *dst = xasprintf("%s/%s.qcow2", dir, format);
	const char *detected;
	struct seen seen = {0};

	must_run("qemu-img", "convert", "-f", "raw", "-O", format, base, src, NULL);
	assert_ok(disk_detect_format(src, &detected, &err), &err);
	assert_string_equal(detected, format);
	assert_ok(disk_convert(src, NULL, dst, see, &seen, &err), &err);
	assert_true(seen.calls > 0);
	assert_int_equal(seen.last, seen.total);
	assert_true(seen.total >= MIB);
	assert_int_equal(mode_of(dst), 0600);
	must_run("qemu-img", "compare", "-f", format, "-F", "qcow2", src, dst, NULL);
	must_run("qemu-img", "check", "-q", "-f", "qcow2", dst, NULL);
	assert_int_equal(disk_convert(src, format, dst, NULL, NULL, &err), -EEXIST);
}

static void test_convert(void **state)
{
	_cleanup_free_ char *base = make_raw(*state, "base.img");
	static const char *const formats[] = {"raw", "qcow2", "vpc", "vhdx", "vmdk", "vdi"};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		check_convert(*state, base, formats[i]);
}

/* A chain becomes one image; a fixed VHD is known by its end. */
static void test_convert_more(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *base = make_raw(*state, "base.img"), *a = path_join(*state, "a.avhd");
	_cleanup_free_ char *one = path_join(*state, "one.qcow2"), *fixed = path_join(*state, "fixed.vhd");
	_cleanup_(qcow2_info_done) struct qcow2_info info = {0};
	const char *format;

	assert_ok(disk_make_overlay(a, "base.img", "raw", &err), &err);
	assert_ok(disk_convert(a, NULL, one, NULL, NULL, &err), &err);
	assert_ok(qcow2_read(one, &info, &err), &err);
	assert_null(info.backing);
	must_run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", base, one, NULL);
	must_run("qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", "subformat=fixed,force_size=on", base, fixed,
		 NULL);
	assert_ok(disk_detect_format(fixed, &format, &err), &err);
	assert_string_equal(format, "vpc");
}

static void test_convert_cancelled(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *src = make_raw(*state, "src.raw"), *dst = path_join(*state, "x.qcow2");
	_cleanup_strv_ char **names = NULL;
	struct seen seen = {.stop = 1};

	assert_int_equal(disk_convert(src, "raw", dst, see, &seen, &err), -ECANCELED);
	assert_int_equal(err.kind, ERR_CANCELLED);
	assert_int_equal(seen.calls, 1);
	assert_ok(dir_list(*state, &names, &err), &err);
	assert_int_equal(strv_count(names), 1);
}

/* A differencing VHD never reaches QEMU, neither itself nor as a backing image. */
static void test_differencing(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *base = make_raw(*state, "base.img"), *vhd = path_join(*state, "d.vhd");
	_cleanup_free_ char *dst = path_join(*state, "x.qcow2"), *top = path_join(*state, "top.qcow2");
	_cleanup_close_ int fd = -1;
	uint8_t footer[512];
	uint32_t sum = 0;
	const char *format;

	must_run("qemu-img", "convert", "-f", "raw", "-O", "vpc", base, vhd, NULL);
	assert_ok(disk_make_overlay(top, "d.vhd", "vpc", &err), &err);
	fd = open(vhd, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread_all(fd, footer, 512, lseek(fd, -512, SEEK_END)), 512);
	footer[63] = 4;
	memset(footer + 64, 0, 4);
	for (size_t i = 0; i < 512; i++)
		sum += footer[i];
	sum = ~sum;
	for (int i = 67; i >= 64; i--, sum >>= 8)
		footer[i] = (uint8_t)sum;
	assert_int_equal(pwrite(fd, footer, 512, 0), 512);
	assert_int_equal(pwrite(fd, footer, 512, lseek(fd, -512, SEEK_END)), 512);

	assert_int_equal(disk_detect_format(vhd, &format, &err), -ENOTSUP);
	assert_int_equal(err.kind, ERR_REFUSED);
	assert_string_equal(err.file, vhd);
	err_done(&err);
	assert_int_equal(disk_convert(vhd, "vpc", dst, NULL, NULL, &err), -ENOTSUP);
	assert_int_equal(err.kind, ERR_REFUSED);
	err_done(&err);
	assert_int_equal(disk_convert(top, "qcow2", dst, NULL, NULL, &err), -ENOTSUP);
	assert_string_equal(err.file, vhd);
	assert_false(exists(dst));
}

static void test_detect(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *empty = put_file(*state, "empty", "", 0), *text = put_file(*state, "text", "hello", 5);
	_cleanup_free_ char *qed = put_file(*state, "qed", "QED\0....", 8);
	_cleanup_free_ char *qcow = put_file(*state, "q", "QFI\xfb....", 8);
	_cleanup_free_ char *old = put_file(*state, "old", "QFI\xfb\0\0\0\1", 8), *fifo = path_join(*state, "fifo");
	const char *format = "none";

	assert_ok(disk_detect_format(empty, &format, &err), &err);
	assert_string_equal(format, "raw");
	assert_ok(disk_detect_format(text, &format, &err), &err);
	assert_string_equal(format, "raw");
	assert_int_equal(disk_detect_format(qed, &format, &err), -ENOTSUP);
	assert_int_equal(err.kind, ERR_REFUSED);
	err_done(&err);
	assert_int_equal(disk_detect_format(old, &format, NULL), -ENOTSUP);
	assert_int_equal(disk_detect_format(qcow, &format, &err), -ENOTSUP); /* version "...." */
	assert_int_equal(err.kind, ERR_BAD_DATA);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(disk_detect_format(fifo, &format, NULL), -EINVAL);
	assert_int_equal(disk_detect_format(*state, &format, NULL), -EINVAL);
}

static void test_seal(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *disk = make_raw(*state, "base.raw");
	struct stamp stamp;
	_cleanup_close_ int fd = -1;

	assert_ok(disk_seal(disk, 0, &stamp, &err), &err);
	assert_int_equal(mode_of(disk), 0600);
	assert_ok(disk_seal(disk, 1, &stamp, &err), &err);
	assert_int_equal(mode_of(disk), 0440);
	assert_int_equal(stamp.size, MIB + 100);
	assert_ok(stamp_check(disk, &stamp, &err), &err);
	assert_ok(disk_unseal(disk, &err), &err);
	assert_int_equal(mode_of(disk), 0600);
	assert_ok(stamp_check(disk, &stamp, &err), &err);
	fd = open(disk, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write_all(fd, "x", 1), 0);
	assert_int_equal(stamp_check(disk, &stamp, &err), -ESTALE);
}

/* Chains that must not be followed. */
static void check_chain(const char *path, int code, const char *file)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(chain_done) struct chain chain = {0};
	int r = chain_read(path, "qcow2", &chain, &err);

	if (r != code)
		fail_msg("%s: %d (%s)", path, r, err.message ? err.message : "no error");
	assert_string_equal(err.file, file);
	assert_int_equal(chain.n, 0);
}

/* An image over a name that is not looked at. */
static void over(const char *path, const char *backing, const char *format)
{
	must_run("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", backing, "-F", format, path, "1M", NULL);
}

static void test_bad_chains(void **state)
{
	_cleanup_free_ char *a = path_join(*state, "a"), *b = path_join(*state, "b"), *json = path_join(*state, "j");
	_cleanup_free_ char *nbd = path_join(*state, "n"), *nofmt = path_join(*state, "f");
	_cleanup_free_ char *gone = path_join(*state, "g");
	_cleanup_free_ char *ext = path_join(*state, "e"), *data = path_join(*state, "data");
	_cleanup_free_ char *opts = xasprintf("data_file=%s,data_file_raw=on", data), *none = path_join(*state, "none");

	over(a, "b", "qcow2");
	over(b, a, "qcow2");
	over(json, "json:{\"driver\":\"null-co\"}", "raw");
	over(nbd, "nbd://localhost/x", "raw");
	over(gone, "none", "raw");
	must_run("qemu-img", "create", "-q", "-f", "qcow2", "-o", opts, ext, "1M", NULL);
	check_chain(a, -ELOOP, a);
	check_chain(b, -ELOOP, b);
	check_chain(json, -ENOTSUP, json);
	check_chain(nbd, -ENOTSUP, nbd);
	check_chain(gone, -ENOENT, none);
	check_chain(none, -ENOENT, none);
	check_chain(ext, -ENOTSUP, ext);
	over(nofmt, "none", "raw");
	{ /* take the backing format extension's type away, as old tools left it */
		_cleanup_close_ int fd = open(nofmt, O_RDWR | O_CLOEXEC);
		uint8_t head[512];

		assert_int_equal(pread_all(fd, head, 512, 0), 512);
		for (size_t i = 104; i < 400; i += 8) {
			if (memcmp(head + i, "\xe2\x79\x2a\xca", 4) == 0)
				assert_int_equal(pwrite(fd, "\1\1\1\1", 4, (off_t)i), 4);
		}
	}
	check_chain(nofmt, -EINVAL, nofmt);
}

/* "link/.." is another directory than it looks like. */
static void test_symbolic_links(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *deep = path_join(*state, "deep"), *real = path_join(deep, "real");
	_cleanup_free_ char *link = path_join(*state, "link"), *base = NULL, *top = path_join(real, "top");
	_cleanup_free_ char *seen = path_join(link, "top"), *want = path_join(link, "../base");
	_cleanup_(chain_done) struct chain chain = {0};

	assert_ok(dir_make(deep, 0700, &err), &err);
	assert_ok(dir_make(real, 0700, &err), &err);
	assert_int_equal(symlink(real, link), 0);
	base = make_raw(deep, "base");
	assert_ok(disk_make_overlay(top, "../base", "raw", &err), &err);
	assert_ok(chain_read(seen, "qcow2", &chain, &err), &err);
	assert_int_equal(chain.n, 2);
	assert_string_equal(chain.image[1].path, want);
}

/* The longest chain that is taken, and one more; made of headers alone. */
static void test_long_chain(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_free_ char *base = make_raw(*state, "000"), *first = path_join(*state, "001"), *last = NULL;
	_cleanup_(chain_done) struct chain chain = {0};
	_cleanup_free_ char *head = NULL;
	char *name;
	size_t len;

	assert_ok(disk_make_overlay(first, "000", "raw", &err), &err);
	assert_ok(file_read(first, 16 << 20, &head, &len, &err), &err);
	name = memmem(head + 104, 2048, "\0" "000", 4);
	assert_non_null(name);
	for (int i = 2; i <= CHAIN_MAX; i++) {
		char number[8];

		snprintf(number, sizeof(number), "%03d", i - 1);
		memcpy(name + 1, number, 3);
		if (i == 2)
			memcpy((char *)memmem(head, 2048, "\3raw", 4) - 3, "\0\0\0\5qcow2", 9);
		snprintf(number, sizeof(number), "%03d", i);
		free(last);
		last = put_file(*state, number, head, len);
		if (i == CHAIN_MAX - 1)
			assert_ok(chain_read(last, "qcow2", &chain, &err), &err);
	}
	assert_int_equal(chain.n, CHAIN_MAX);
	check_chain(last, -ELOOP, base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_make, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_overlay, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_overlay_errors, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_convert, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_convert_more, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_convert_cancelled, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_differencing, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_detect, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_seal, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_bad_chains, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_symbolic_links, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_long_chain, scratch_setup, scratch_teardown),
	};
	struct proc_opts opts = {.argv = (const char *const[]){"qemu-img", "--version", NULL}};

	if (proc_run(&opts, NULL, NULL) < 0) {
		printf("qemu-img is missing\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
