/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest of test-hv.c: tests/functional/guest/tick.s on two disks in 16 MiB.
 * What it prints tells of which instant its memory and its disks are. */
#ifndef TESTS_UNIT_TEST_HV_GUEST_H
#define TESTS_UNIT_TEST_HV_GUEST_H

#include "tests/unit/test-hv-util.h"

#include <poll.h>
#include <sys/inotify.h>

#include "common/proc.h"
#include "common/timefmt.h"
#include "xmlcfg/domain.h"

#define GUEST_GUID "1D3C1E5A-7B1F-4E0C-8A55-0B7F3A2C9E01"

static const struct guid guest = { GUEST_GUID };

enum { N_DISKS = 2 };
static const char *const targets[N_DISKS] = { "vda", "vdb" };

/* Runs a program; the test fails if it does. */
static inline _unused_ void run(const char *const argv[])
{
	const struct proc_opts opts = { .argv = argv };

	MUST(proc_run(&opts, NULL, &err));
}

static inline _unused_ void make_base_disks(const char *dir)
{
	const char *python = getenv("PYTHON"), *src = getenv("top_srcdir");
	_cleanup_free_ char *script = path_join(src ? src : ".", "tests/functional/guest/build.py");
	_cleanup_free_ char *first = path_join(dir, "vda.base"), *second = path_join(dir, "vdb.base");

	if (!python || !*python)
		python = "/usr/bin/python3";
	run((const char *const[]){ python, script, "boot", first, "--touch", "8", NULL });
	run((const char *const[]){ python, script, "empty", second, NULL });
}

/* DIR/vda.NAME and vdb.NAME, empty qcow2 images on top of the .base ones. */
static inline _unused_ void make_overlays(const char *dir, const char *name)
{
	for (int i = 0; i < N_DISKS; i++) {
		_cleanup_free_ char *base = xasprintf("%s/%s.base", dir, targets[i]);
		_cleanup_free_ char *path = xasprintf("%s/%s.%s", dir, targets[i], name);

		run((const char *const[]){ "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, path,
					   NULL });
	}
}

/* The guest's document; its disks are the .base ones. */
static inline _unused_ char *guest_xml(const char *dir)
{
	return xasprintf("<domain type='qemu'><name>tick</name><uuid>" GUEST_GUID
			 "</uuid><memory unit='MiB'>16</memory>"
			 "<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features><devices>"
			 "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='%s/vda.base'/>"
			 "<target dev='vda' bus='virtio'/><boot order='1'/></disk>"
			 "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='%s/vdb.base'/>"
			 "<target dev='vdb' bus='virtio'/><boot order='2'/></disk>"
			 "<controller type='usb' model='none'/><memballoon model='none'/>"
			 "<serial type='file'><source path='%s/serial' append='on'/></serial></devices></domain>",
			 dir, dir, dir);
}

/* xml with the disks replaced by DIR/vda.NAME and vdb.NAME, *owned*. */
static inline _unused_ char *on_overlays(const char *xml, const char *dir, const char *name)
{
	_cleanup_domain_ struct domain *dom = NULL;

	MUST(domain_parse(xml, &dom, &err));
	for (int i = 0; i < N_DISKS; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s.%s", dir, targets[i], name);

		MUST(domain_set_disk(dom, targets[i], path, "qcow2", 0, &err));
	}
	return domain_format(dom);
}

/* One whole line of the guest's. */
struct tick {
	unsigned int number;
	int good; /* its disks are of the same instant as its memory */
};

/* Reads the whole lines of the serial log from offset on, but for the first, which
 * may be the rest of an older one. Returns their number; a BOOT line fails. */
static inline int read_ticks(const char *dir, size_t offset, struct tick *ticks, int max)
{
	_cleanup_free_ char *path = path_join(dir, "serial");
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	char *line;
	int n = 0;

	if (file_read(path, 1 << 20, &text, &len, NULL) < 0 || len < offset)
		return 0;
	line = strchr(text + offset, '\n');
	while (line && strchr(line + 1, '\n') && n < max) {
		unsigned int d, e;
		char verdict = '?';

		assert_int_equal(sscanf(line + 1, "T=%x D=%x E=%x %c", &ticks[n].number, &d, &e, &verdict), 4);
		ticks[n++].good = verdict == '=';
		line = strchr(line + 1, '\n');
	}
	return n;
}

/* Waits until the guest printed want more whole lines after offset, all of them
 * good and one after the other. first and last may be NULL. */
static inline _unused_ void await_ticks(const char *dir, size_t offset, int want, unsigned int *first,
					unsigned int *last)
{
	_cleanup_close_ int fd = inotify_init1(IN_CLOEXEC);
	int64_t until = time_mono_usec() + PATIENCE_SECONDS * INT64_C(1000000);
	struct tick ticks[512];
	int n;

	assert_true(inotify_add_watch(fd, dir, IN_MODIFY) >= 0);
	while ((n = read_ticks(dir, offset, ticks, (int)ARRAY_SIZE(ticks))) < want) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		char events[4096];

		if (time_mono_usec() > until)
			fail_msg("the guest printed %d lines of %d in %d s", n, want, PATIENCE_SECONDS);
		if (poll(&p, 1, 1000) > 0)
			assert_true(read(fd, events, sizeof(events)) > 0);
	}
	for (int i = 0; i < n; i++) {
		assert_int_equal(ticks[i].good, 1);
		assert_int_equal(ticks[i].number, ticks[0].number + (unsigned int)i);
	}
	if (first)
		*first = ticks[0].number;
	if (last)
		*last = ticks[n - 1].number;
}

static inline _unused_ size_t serial_size(const char *dir)
{
	_cleanup_free_ char *path = path_join(dir, "serial");
	struct stat st;

	return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

/* ---- memory through a FIFO, as the daemon does it */

struct pump {
	char *fifo, *file;
	int fd; /* of the FIFO, when reading */
	int done; /* the call that writes has returned */
	pthread_t thread;
};

static inline void *pump_read(void *arg)
{
	struct pump *pump = arg;
	_cleanup_close_ int out = open(pump->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	static char buf[1 << 16];

	for (;;) {
		int done = __atomic_load_n(&pump->done, __ATOMIC_SEQ_CST);
		struct pollfd p = { .fd = pump->fd, .events = POLLIN };
		ssize_t n = read(pump->fd, buf, sizeof(buf));

		if (n > 0)
			ignore_result(write_all(out, buf, (size_t)n));
		else if (done)
			return NULL;
		else if (n < 0)
			poll(&p, 1, 10);
		else
			sched_yield(); /* between the two times that libvirt opens it */
	}
}

/* Makes the FIFO; the read end is open before libvirt may come. */
static inline _unused_ void pump_open(struct pump *pump, const char *dir)
{
	*pump = (struct pump){ .fifo = path_join(dir, "fifo"), .file = path_join(dir, "image") };
	unlink(pump->fifo);
	assert_int_equal(mkfifo(pump->fifo, 0600), 0);
	pump->fd = open(pump->fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(pump->fd >= 0);
}

/* Reads at least n bytes away, so that the writer is under way, and no more. */
static inline _unused_ void pump_skip(struct pump *pump, size_t n)
{
	static char buf[1 << 16];

	while (n > 0) {
		struct pollfd p = { .fd = pump->fd, .events = POLLIN };
		ssize_t got;

		assert_int_equal(poll(&p, 1, PATIENCE_SECONDS * 1000), 1);
		got = read(pump->fd, buf, sizeof(buf));
		assert_true(got > 0);
		n -= (size_t)got < n ? (size_t)got : n;
	}
}

static inline _unused_ void pump_start(struct pump *pump)
{
	assert_int_equal(pthread_create(&pump->thread, NULL, pump_read, pump), 0);
}

/* The writing call has returned: ends the reader. */
static inline _unused_ void pump_finish(struct pump *pump)
{
	__atomic_store_n(&pump->done, 1, __ATOMIC_SEQ_CST);
	pthread_join(pump->thread, NULL);
	cleanup_close(&pump->fd);
}

static inline _unused_ void pump_done(struct pump *pump)
{
	cleanup_close(&pump->fd);
	free(pump->fifo);
	free(pump->file);
}

/* Puts the final header, which libvirt writes last, where it belongs. */
static inline _unused_ void settle_header(const char *file)
{
	enum { HEADER = 92 };
	_cleanup_close_ int fd = open(file, O_RDWR | O_CLOEXEC);
	off_t end = lseek(fd, 0, SEEK_END);
	char header[HEADER];

	assert_true(end > 2 * HEADER);
	assert_int_equal(pread(fd, header, HEADER, end - HEADER), HEADER);
	assert_memory_equal(header, "LibvirtQemudSave", 16);
	assert_int_equal(pwrite(fd, header, HEADER, 0), HEADER);
	assert_int_equal(ftruncate(fd, end - HEADER), 0);
}

static inline void *pump_write(void *arg)
{
	struct pump *pump = arg;
	_cleanup_close_ int in = open(pump->file, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int out = open(pump->fifo, O_WRONLY | O_CLOEXEC);
	static char buf[1 << 16];
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write_all(out, buf, (size_t)n) < 0)
			break;
	return NULL;
}

/* hv_restore() from pump's file through its FIFO. */
static inline _unused_ int restore_through(struct pump *pump, struct hv *hv, const char *xml, struct err *reterr)
{
	int r;

	assert_int_equal(pthread_create(&pump->thread, NULL, pump_write, pump), 0);
	r = hv_restore(hv, pump->fifo, xml, reterr);
	pthread_join(pump->thread, NULL);
	return r;
}

#endif
