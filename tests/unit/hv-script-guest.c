/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The scripted hypervisor: what its guests do to disks, and images of their memory. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "savestate/image.h"
#include "savestate/join.h"
#include "tests/unit/hv-script-priv.h"
#include "xmlcfg/domain.h"

#define EPOCH 1000000000 /* mtime of a file of generation 0, seconds */
#define EPOCH_END (EPOCH + 10000000)

void hvs_violate(struct hv_script *s, const char *what, const char *path)
{
	if (!s->violation[0])
		snprintf(s->violation, sizeof(s->violation), "%s: '%s'", what, path);
}

/* ---- disks of a guest */

uint64_t hvs_generation(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || st.st_mtim.tv_sec < EPOCH || st.st_mtim.tv_sec >= EPOCH_END)
		return 0;
	return (uint64_t)(st.st_mtim.tv_sec - EPOCH);
}

static int get_disks(const char *xml, struct domain_disks *ret_disks)
{
	_cleanup_domain_ struct domain *dom = NULL;
	int r = domain_parse(xml, &dom, NULL);

	if (!r)
		domain_get_disks(dom, ret_disks);
	return r;
}

/* Every disk file there, none of them sealed: else QEMU would not start. */
int hvs_check_disks(struct hv_script *s, const char *xml, struct err *reterr)
{
	struct domain_disks disks = { NULL, 0 };
	int r = get_disks(xml, &disks);

	for (size_t i = 0; i < disks.n && !r; i++) {
		struct stat st;

		if (!domain_disk_managed(&disks.disk[i], NULL))
			continue;
		if (stat(disks.disk[i].source, &st) < 0)
			r = err_set(reterr, ERR_BACKEND, -EIO, "Cannot access storage file '%s'", disks.disk[i].source);
		else if (!(st.st_mode & 0200))
			hvs_violate(s, "a guest was given a sealed disk to write", disks.disk[i].source);
	}
	domain_disks_done(&disks);
	return r;
}

/* The guest runs: it writes to each of its disks. */
void hvs_guest_writes(struct hv_script *s, struct hvs_domain *d)
{
	struct domain_disks disks = { NULL, 0 };

	if (get_disks(d->live, &disks) < 0)
		return;
	for (size_t i = 0; i < disks.n && i < HVS_DISKS; i++) {
		struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = EPOCH + (time_t)++s->clock } };

		if (!domain_disk_managed(&disks.disk[i], NULL))
			continue;
		if (utimensat(AT_FDCWD, disks.disk[i].source, t, 0) < 0)
			hvs_violate(s, "the disk of a running guest is gone", disks.disk[i].source);
		d->written[i] = s->clock;
	}
	domain_disks_done(&disks);
}

void hvs_generations(const char *xml, uint64_t *ret_gen)
{
	struct domain_disks disks = { NULL, 0 };

	if (get_disks(xml, &disks) < 0)
		return;
	for (size_t i = 0; i < disks.n && i < HVS_DISKS; i++)
		ret_gen[i] = disks.disk[i].source ? hvs_generation(disks.disk[i].source) : 0;
	domain_disks_done(&disks);
}

/* Points disks of a document at other images. */
void hvs_switch_disks(char *xml, const char *(*path_of)(const void *arg, const char *target), const void *arg)
{
	_cleanup_domain_ struct domain *dom = NULL;
	_cleanup_free_ char *text = NULL;
	struct domain_disks disks = { NULL, 0 };

	if (domain_parse(xml, &dom, NULL) < 0)
		return;
	domain_get_disks(dom, &disks);
	for (size_t i = 0; i < disks.n; i++) {
		const char *path = path_of(arg, disks.disk[i].target);

		if (path)
			ignore_result(domain_set_disk(dom, disks.disk[i].target, path, "qcow2", 0, NULL));
	}
	domain_disks_done(&disks);
	text = domain_format(dom);
	snprintf(xml, HVS_DOCUMENT, "%s", text);
}

/* ---- memory images */

static void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* whole 0: the magic of an image that is still being written. */
int hvs_write_image(const struct hvs_domain *d, const char *path, int whole)
{
	size_t xml_len = strlen(d->live) + 1, head_len = IMAGE_HEADER_SIZE + xml_len;
	struct hvs_stream stream = { .magic = "QEVM", .n = HVS_DISKS, .memory = d->memory };
	_cleanup_free_ uint8_t *head = xcalloc(head_len, 1);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r;

	hvs_generations(d->live, stream.written);
	memcpy(head, whole ? "LibvirtQemudSave" : "LibvirtQemudPart", 16);
	put32(head + 16, 2);
	put32(head + 20, (uint32_t)xml_len);
	put32(head + 24, d->state == HV_RUNNING);
	memcpy(head + IMAGE_HEADER_SIZE, d->live, xml_len);
	r = fd < 0 ? -errno : write_all(fd, head, head_len);
	return r < 0 ? r : write_all(fd, &stream, whole ? sizeof(stream) : 100);
}

int hvs_parse_stream(const char *data, size_t len, struct hvs_stream *ret_stream)
{
	struct image_info info = { 0 };
	int r = image_parse(data, len, &info, NULL);

	if (!r && (!info.complete || len < info.stream_offset + sizeof(*ret_stream)))
		r = -ENODATA;
	if (!r)
		memcpy(ret_stream, data + info.stream_offset, sizeof(*ret_stream));
	image_info_done(&info);
	return r;
}

/* A save state of ours as the image that it was split from, *owned*. */
static int join_image(const char *path, char **ret_data, size_t *ret_len)
{
	_cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);
	const struct save_files files = { .vsv = path };
	const struct join_opts opts = { .head = JOIN_VERBATIM };
	struct stat st;
	int r = fd < 0 ? -errno : join_stream(&files, 1, &opts, fd, NULL);

	if (!r && fstat(fd, &st) < 0)
		r = -errno;
	if (r < 0)
		return r;
	*ret_len = (size_t)st.st_size;
	*ret_data = xcalloc(*ret_len + 1, 1);
	return pread_all(fd, *ret_data, *ret_len, 0) == (ssize_t)*ret_len ? 0 : -EIO;
}

uint64_t hvs_image_memory(const char *path)
{
	_cleanup_free_ char *data = NULL;
	struct hvs_stream stream;
	size_t len;

	if (join_image(path, &data, &len) < 0 || hvs_parse_stream(data, len, &stream) < 0)
		return 0;
	return stream.memory;
}
