/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an image file is and how large its disk: read by ourselves, so that
 * QEMU's probing is never asked. */
#include "layout/image.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "layout/qcow2.h"
#include "layout/vhd.h"

#define HEAD_BYTES 512
#define SECTOR 512

/* How a format is told by the beginning of the file. A format of NULL is known,
 * but not one that we take. */
struct magic {
	size_t offset;
	const char *bytes;
	size_t len;
	const char *format;
	const char *name;
};

static const struct magic magics[] = {
	{0, "QFI\xfb\0\0\0\1", 8, NULL, "qcow version 1"},
	{0, "QFI\xfb", 4, "qcow2", "qcow2"},
	{0, "KDMV", 4, "vmdk", "VMDK"},
	{0, "COWD", 4, "vmdk", "VMDK"},
	{0, "# Disk DescriptorFile", 21, "vmdk", "VMDK"},
	{0, "vhdxfile", 8, "vhdx", "VHDX"},
	{0, "conectix", 8, "vpc", "VHD"},
	{64, "\x7f\x10\xda\xbe", 4, "vdi", "VDI"},
	{0, "QED\0", 4, NULL, "QED"},
	{0, "WithoutFreeSpace", 16, NULL, "Parallels"},
	{0, "WithouFreSpacExt", 16, NULL, "Parallels"},
};

/* Opens a regular file or block device. ret_size: its length in bytes. */
static int open_image(const char *path, int *ret_fd, int64_t *ret_size, struct err *reterr)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	off_t size;

	if (fd < 0)
		return err_file(reterr, -errno, path, "cannot open image '%s'", path);
	if (fstat(fd, &st) < 0)
		return err_file(reterr, -errno, path, "cannot look at image '%s'", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_full(reterr, ERR_INVALID, -EINVAL, NULL, path, NULL,
				"'%s' is neither a file nor a block device", path);
	size = lseek(fd, 0, SEEK_END); /* block devices tell it here too */
	if (size < 0)
		return err_file(reterr, -errno, path, "cannot tell the size of image '%s'", path);
	*ret_fd = TAKE_FD(fd);
	*ret_size = size;
	return 0;
}

static const struct magic *find_magic(const char *head, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
		const struct magic *m = &magics[i];

		if (m->offset + m->len <= len && memcmp(head + m->offset, m->bytes, m->len) == 0)
			return m;
	}
	return NULL;
}

/* A fixed VHD is told by its footer alone, in the last 512 (or 511) bytes. */
static int has_vhd_footer(int fd, int64_t size)
{
	for (int64_t len = VHD_FOOTER_BYTES; len >= VHD_FOOTER_BYTES - 1; len--) {
		char cookie[8];

		if (size >= len && pread_all(fd, cookie, sizeof(cookie), size - len) == sizeof(cookie) &&
		    memcmp(cookie, "conectix", sizeof(cookie)) == 0)
			return 1;
	}
	return 0;
}

/* Checks the structure behind the magic. */
static int check_format(const char *path, const char *format, struct err *reterr)
{
	_cleanup_(qcow2_info_done) struct qcow2_info info = {0};

	if (strcmp(format, "qcow2") == 0)
		return qcow2_read(path, &info, reterr);
	return vhd_refuse_differencing(path, format, reterr);
}

int disk_detect_format(const char *path, const char **ret_format, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	char head[HEAD_BYTES];
	const struct magic *m;
	const char *format = "raw";
	int64_t size;
	ssize_t n;
	int r = open_image(path, &fd, &size, reterr);

	if (r < 0)
		return r;
	n = pread_all(fd, head, sizeof(head), 0);
	if (n < 0)
		return err_file(reterr, (int)n, path, "cannot read image '%s'", path);
	m = find_magic(head, (size_t)n);
	if (m && !m->format)
		return err_full(reterr, ERR_REFUSED, -ENOTSUP, NULL, path,
				"convert it to qcow2 with 'qemu-img convert', or name its format if it is another",
				"image '%s' is in %s format, which is not taken", path, m->name);
	if (m)
		format = m->format;
	else if (has_vhd_footer(fd, size))
		format = "vpc";
	r = check_format(path, format, reterr);
	if (r < 0)
		return r;
	*ret_format = format;
	return 0;
}

int disk_virtual_size(const char *path, const char *format, int64_t *ret_size, struct err *reterr)
{
	_cleanup_(qcow2_info_done) struct qcow2_info info = {0};
	_cleanup_close_ int fd = -1;
	int64_t size;
	int r;

	if (strcmp(format, "qcow2") == 0) {
		r = qcow2_read(path, &info, reterr);
		if (r < 0)
			return r;
		*ret_size = (int64_t)info.virtual_size;
		return 0;
	}
	if (strcmp(format, "raw") != 0)
		return err_full(reterr, ERR_INVALID, -ENOTSUP, NULL, path, NULL,
				"cannot tell the size of image '%s' in format '%s'", path, format);
	r = open_image(path, &fd, &size, reterr);
	if (r < 0)
		return r;
	if (size > INT64_MAX - SECTOR)
		return err_file(reterr, -EFBIG, path, "image '%s' is too large", path);
	/* QEMU shows a raw file in whole sectors. */
	*ret_size = (size + SECTOR - 1) / SECTOR * SECTOR;
	return 0;
}
