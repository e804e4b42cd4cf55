/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The account of what an operation may write. */
#include "layout/space.h"

#include "common/alloc.h"

#define DEVICES (INT64_C(16) << 20)         /* ROMs, devices and their description */
#define VIDEO_LEAST (INT64_C(16) << 20)     /* of the usual video card; a document need not say */
#define CLUSTER (INT64_C(128) << 10)        /* of our differencing images (image.h) */
#define SIZE_ASSUMED (INT64_C(64) << 40)    /* of a disk whose size cannot be told */
#define REACH_OF_L1 (INT64_C(1) << 30)      /* bytes of the disk that one entry of the L1 table stands for */
#define FIXED_CLUSTERS 4                    /* header, refcount table, refcount block, one to spare */

static int64_t plus(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? (b < 0 ? INT64_MIN : INT64_MAX) : sum;
}

static struct space_fs *find(const struct space *space, uint64_t dev)
{
	for (size_t i = 0; i < space->n; i++)
		if (space->fs[i].dev == dev)
			return &space->fs[i];
	return NULL;
}

void space_add(struct space *space, uint64_t dev, const char *path, int64_t free)
{
	if (find(space, dev))
		return;
	space->fs = xreallocarray(space->fs, space->n + 1, sizeof(*space->fs));
	space->fs[space->n++] = (struct space_fs){ .dev = dev, .path = xstrdup(path), .free = free };
}

void space_use(struct space *space, uint64_t dev, int64_t bytes)
{
	struct space_fs *fs = find(space, dev);

	if (!fs)
		return;
	fs->used = plus(fs->used, bytes);
	if (fs->used > fs->need)
		fs->need = fs->used;
}

/* Bytes by which an operation's need is greater than what is left to it. */
static int64_t lack(const struct space_fs *fs)
{
	int64_t left = fs->promised < fs->free ? fs->free - fs->promised : 0;

	return fs->need > 0 && fs->need > left ? fs->need - left : 0;
}

const struct space_fs *space_short(const struct space *space)
{
	const struct space_fs *worst = NULL;

	for (size_t i = 0; i < space->n; i++)
		if (lack(&space->fs[i]) > (worst ? lack(worst) : 0))
			worst = &space->fs[i];
	return worst;
}

void space_done(struct space *space)
{
	for (size_t i = 0; i < space->n; i++)
		free(space->fs[i].path);
	free(space->fs);
	*space = (struct space){ 0 };
}

int64_t space_for_memory(int64_t ram, int64_t video)
{
	if (ram <= 0)
		return 0;
	return plus(plus(ram, ram / 64), plus(DEVICES, video > VIDEO_LEAST ? video : VIDEO_LEAST));
}

int64_t space_for_overlay(int64_t virtual_size)
{
	int64_t size = virtual_size >= 0 ? virtual_size : SIZE_ASSUMED;
	int64_t l1 = (size / REACH_OF_L1 + 1) * 8;

	return FIXED_CLUSTERS * CLUSTER + (l1 + CLUSTER - 1) / CLUSTER * CLUSTER;
}
