/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The scratch world of operations: copied, and compared. By ourselves: it is done thousands of times, and
 * cp, find and grep would take most of the time of the tests. */
#include "tests/unit/test-op-rig.h"

#include <fcntl.h>
#include <regex.h>
#include <sys/stat.h>

/* What belongs to a path by its attributes: stamps look at them. */
static void copy_attributes(const char *to, const struct stat *st)
{
	assert_int_equal(chown(to, st->st_uid, st->st_gid), 0);
	assert_int_equal(chmod(to, st->st_mode & 07777), 0);
	assert_int_equal(utimensat(AT_FDCWD, to, (struct timespec[]){ st->st_atim, st->st_mtim }, 0), 0);
}

static void copy_file(const char *from, const char *to, const struct stat *st)
{
	_cleanup_close_ int src = open(from, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int dst = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	off_t at = 0, end;

	assert_true(src >= 0 && dst >= 0);
	assert_true(S_ISREG(st->st_mode) && st->st_nlink == 1); /* nothing else is made here */
	assert_int_equal(ftruncate(dst, st->st_size), 0);
	while ((at = lseek(src, at, SEEK_DATA)) >= 0) {
		off_t into = at;

		end = lseek(src, at, SEEK_HOLE);
		while (at < end)
			assert_true(copy_file_range(src, &at, dst, &into, (size_t)(end - at), 0) > 0);
	}
	assert_int_equal(errno, ENXIO); /* no more data */
}

static void copy_tree(const char *from, const char *to)
{
	_cleanup_strv_ char **names = NULL;
	struct stat st;

	assert_int_equal(lstat(from, &st), 0);
	if (!S_ISDIR(st.st_mode)) {
		copy_file(from, to, &st);
		copy_attributes(to, &st);
		return;
	}
	assert_int_equal(mkdir(to, 0700), 0);
	assert_int_equal(dir_list(from, &names, NULL), 0);
	for (size_t i = 0; names && names[i]; i++) {
		_cleanup_free_ char *src = path_join(from, names[i]), *dst = path_join(to, names[i]);

		copy_tree(src, dst);
	}
	copy_attributes(to, &st);
}

void rig_copy(const char *from, const char *to)
{
	if (path_exists(to) == 1)
		assert_int_equal(nftw(to, scratch_unlink, 16, FTW_DEPTH | FTW_PHYS), 0);
	copy_tree(from, to);
}

static int is_record(const char *path, const struct stat *st _unused_, int flag _unused_, struct FTW *ftw _unused_)
{
	const char *dot = strrchr(path, '.');

	return dot && strcmp(dot, ".op") == 0;
}

int rig_has_record(struct rig *rig)
{
	return nftw(rig->store, is_record, 16, FTW_PHYS) == 1;
}

/* The next line from *at that the pattern does not match, cut off in place; NULL: none. */
static char *next_line(char **at, const regex_t *but)
{
	char *line;

	while ((line = strsep(at, "\n")))
		if (regexec(but, line, 0, NULL, 0) != 0)
			return line;
	return NULL;
}

int rig_same_text(const char *path, const char *other, const char *but)
{
	_cleanup_free_ char *a = NULL, *b = NULL;
	char *from_a, *from_b, *line_a, *line_b;
	regex_t regex;

	if (file_read(path, 1 << 20, &a, NULL, NULL) < 0 || file_read(other, 1 << 20, &b, NULL, NULL) < 0)
		return 0;
	assert_int_equal(regcomp(&regex, but, REG_EXTENDED | REG_NOSUB), 0);
	from_a = a;
	from_b = b;
	do {
		line_a = next_line(&from_a, &regex);
		line_b = next_line(&from_b, &regex);
	} while (line_a && line_b && strcmp(line_a, line_b) == 0);
	regfree(&regex);
	return !line_a && !line_b;
}
