/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images as maps, grown at random, and plans carried out on them. */
#include "tests/unit/test-plan-rig.h"

#define NOT_OURS (PLAN_OUTSIDE | PLAN_SHARED)

int rig_random(struct rig *rig, int n)
{
	rig->random ^= rig->random << 13;
	rig->random ^= rig->random >> 7;
	rig->random ^= rig->random << 17;
	return (int)((rig->random >> 11) % (uint64_t)n);
}

int rig_chance(struct rig *rig, int percent)
{
	return rig_random(rig, 100) < percent;
}

/* What is read from image i at cluster c. */
static int look(const struct rig *rig, int i, int c)
{
	for (; i >= 0; i = rig->image[i].backing) {
		if (c >= rig->image[i].size)
			return 0;
		if (rig->image[i].data[c] != RIG_NONE)
			return rig->image[i].data[c] == RIG_ZERO ? 0 : rig->image[i].data[c];
	}
	return 0;
}

int64_t rig_allocated(const struct rig *rig, int i)
{
	int64_t n = 0;

	for (int c = 0; c < rig->image[i].size; c++)
		n += rig->image[i].data[c] > 0;
	return n * RIG_UNIT;
}

int rig_length(const struct rig *rig, int i)
{
	int n = 0;

	for (; i >= 0; i = rig->image[i].backing)
		n++;
	return n;
}

static int new_image(struct rig *rig, int backing, int size)
{
	int i = rig->images++;

	assert_true(i < RIG_IMAGES);
	rig->image[i] = (struct rig_image){ .there = 1, .size = size, .backing = backing };
	snprintf(rig->image[i].path, sizeof(rig->image[i].path), "/%c%d", 'a' + rig_random(rig, 26), i);
	return i;
}

static void write_some(struct rig *rig, int i)
{
	for (int n = rig_random(rig, RIG_CLUSTERS); n > 0; n--)
		rig->image[i].data[rig_random(rig, rig->image[i].size)] = rig_chance(rig, 10) ? RIG_ZERO :
												 ++rig->last_value;
}

static int new_owner(struct rig *rig, int image)
{
	int i = rig->owners++;

	rig->owner[i] = (struct rig_owner){ .there = 1, .image = image };
	snprintf(rig->owner[i].name, sizeof(rig->owner[i].name), i ? "S%d" : "vm", i);
	return i;
}

/* The disk the VM began with: one image, or a chain of somebody's. */
static void grow_base(struct rig *rig)
{
	int n = rig_chance(rig, 15) ? 2 : 1, outside = rig_chance(rig, 30);

	for (int i = 0; i < n; i++) {
		int image = new_image(rig, i - 1, 1 + rig_random(rig, RIG_CLUSTERS));

		rig->image[image].flags = PLAN_BASE | (outside || (i + 1 < n && rig_chance(rig, 50)) ? PLAN_OUTSIDE : 0);
		if (i == 0 && rig_chance(rig, 40))
			rig->image[image].flags |= PLAN_RAW | (rig_chance(rig, 25) ? PLAN_NO_GROW : 0);
		write_some(rig, image);
	}
	new_owner(rig, n - 1);
}

static int sizes_change(struct rig *rig, int size)
{
	return rig_chance(rig, 85) ? size : 1 + rig_random(rig, RIG_CLUSTERS);
}

static void put_overlay(struct rig *rig, int below)
{
	rig->owner[0].image = new_image(rig, below, sizes_change(rig, rig->image[below].size));
	write_some(rig, rig->owner[0].image);
}

static int is_named(const struct rig *rig, int image, int but)
{
	for (int i = 0; i < rig->owners; i++)
		if (i != but && rig->owner[i].there && rig->owner[i].image == image)
			return 1;
	return 0;
}

/* Goes back to a snapshot, or to where it is; now and then the old disk is left lying. */
static void apply(struct rig *rig)
{
	int to = 1 + rig_random(rig, rig->owners), old = rig->owner[0].image;

	if (to >= rig->owners || !rig->owner[to].there)
		return;
	put_overlay(rig, rig->owner[to].image);
	if (!(rig->image[old].flags & PLAN_BASE) && !is_named(rig, old, -1) && rig_chance(rig, 85))
		rig->image[old].there = 0;
}

static void grow_history(struct rig *rig)
{
	for (int n = rig_random(rig, 14); n > 0; n--) {
		int what = rig_random(rig, 10), victim = 1 + rig_random(rig, rig->owners);

		if (what < 5) {
			new_owner(rig, rig->owner[0].image);
			put_overlay(rig, rig->owner[0].image);
		} else if (what < 8) {
			apply(rig);
		} else if (victim < rig->owners) {
			rig->owner[victim].there = 0; /* deleted by somebody who merges later */
		}
	}
}

static void grow_oddities(struct rig *rig)
{
	int i = rig_random(rig, rig->images);

	if (rig_chance(rig, 8))
		for (int k = i; k >= 0; k = rig->image[k].backing)
			rig->image[k].flags |= PLAN_SHARED;
	i = rig_random(rig, rig->images);
	if (rig_chance(rig, 6) && i != rig->owner[0].image)
		rig->image[i].flags |= PLAN_READ_ONLY;
	rig->into_base = rig_chance(rig, 30) ? rig_random(rig, rig_chance(rig, 80) ? 1 : rig->images) : -1;
	rig->options = (rig_chance(rig, 8) ? PLAN_NO_LIVE_COMMIT : 0) | (rig_chance(rig, 8) ? PLAN_NO_LIVE_PULL : 0);
}

/* Marks what is reached by those who stay (with leaving: by those who leave, too). */
static void mark(const struct rig *rig, int leaving, int *reached)
{
	memset(reached, 0, RIG_IMAGES * sizeof(*reached));
	for (int i = 0; i < rig->owners; i++) {
		if (!rig->owner[i].there || (!leaving && (rig->owner[i].flags & PLAN_LEAVING)))
			continue;
		for (int k = rig->owner[i].image; k >= 0; k = rig->image[k].backing)
			reached[k] = 1;
	}
}

void rig_grow(struct rig *rig, uint64_t seed)
{
	int reached[RIG_IMAGES];

	*rig = (struct rig){ .random = seed * 0x9e3779b97f4a7c15u + 1 };
	for (int i = 0; i < 4; i++)
		rig_random(rig, 2);
	grow_base(rig);
	grow_history(rig);
	grow_oddities(rig);
	mark(rig, 1, reached);
	for (int i = 0; i < rig->images; i++)
		if (rig->image[i].there && !reached[i] && rig_chance(rig, 30))
			rig->image[i].flags |= PLAN_RELEASED;
}

void rig_run(struct rig *rig, int running)
{
	rig->running = running;
	for (int i = 0; i < rig->images; i++)
		rig->image[i].flags &= ~(unsigned int)(PLAN_RUNNING | PLAN_WORKING);
	if (!running)
		return;
	rig->image[rig->owner[0].image].flags |= PLAN_WORKING;
	for (int i = rig->owner[0].image; i >= 0; i = rig->image[i].backing)
		rig->image[i].flags |= PLAN_RUNNING;
}

void rig_leave(struct rig *rig, int percent)
{
	for (int i = 1; i < rig->owners; i++)
		if (rig->owner[i].there && rig_chance(rig, percent))
			rig->owner[i].flags |= PLAN_LEAVING;
}

void rig_left(struct rig *rig)
{
	int reached[RIG_IMAGES], before[RIG_IMAGES];

	mark(rig, 0, reached);
	mark(rig, 1, before);
	for (int i = 0; i < rig->images; i++)
		if (before[i] && !reached[i])
			rig->image[i].flags |= PLAN_RELEASED;
	for (int i = 1; i < rig->owners; i++)
		if (rig->owner[i].flags & PLAN_LEAVING)
			rig->owner[i] = (struct rig_owner){ 0 };
}

struct plan_input rig_input(struct rig *rig)
{
	struct plan_input in = { .images = rig->in_image, .owners = rig->in_owner, .options = rig->options };

	for (int i = 0; i < rig->images; i++) {
		const struct rig_image *image = &rig->image[i];

		if (image->there)
			rig->in_image[in.n_images++] = (struct plan_image){
				.path = image->path,
				.backing = image->backing < 0 ? NULL : rig->image[image->backing].path,
				.allocated = rig_allocated(rig, i),
				.virtual_size = image->size * RIG_UNIT,
				.grain = 65536,
				.flags = image->flags,
			};
	}
	for (int i = 0; i < rig->owners; i++) {
		const struct rig_owner *owner = &rig->owner[i];

		if (owner->there)
			rig->in_owner[in.n_owners++] = (struct plan_owner){ .name = owner->name,
									    .path = rig->image[owner->image].path,
									    .created_usec = i,
									    .flags = owner->flags };
	}
	in.into_base = rig->into_base < 0 ? NULL : rig->image[rig->into_base].path;
	return in;
}

void rig_note(struct rig *rig)
{
	int reached[RIG_IMAGES];

	mark(rig, 1, reached);
	for (int i = 0; i < rig->owners; i++) {
		rig->owner[i].size = rig->image[rig->owner[i].image].size;
		for (int c = 0; c < RIG_CLUSTERS; c++)
			rig->owner[i].sees[c] = look(rig, rig->owner[i].image, c);
	}
	for (int i = 0; i < rig->images; i++) {
		struct rig_image *image = &rig->image[i];

		image->held = image->there && !reached[i] && !(image->flags & PLAN_RELEASED);
		image->held |= image->there && (image->flags & NOT_OURS) && i != rig->into_base;
		image->held |= image->there && (image->flags & PLAN_SHARED);
		image->reached = reached[i] || (image->flags & PLAN_RELEASED);
		image->size_before = image->size;
		memcpy(image->before, image->data, sizeof(image->before));
		for (int c = 0; c < RIG_CLUSTERS; c++)
			image->view_before[c] = look(rig, i, c);
	}
	rig->used = rig->most = 0;
}

int rig_find(const struct rig *rig, const char *path)
{
	for (int i = 0; i < rig->images; i++)
		if (strcmp(rig->image[i].path, path) == 0)
			return i;
	fail_msg("there is no image %s", path);
	return -1;
}

static int is_owned(const struct rig *rig, int image)
{
	for (int i = 0; i < rig->owners; i++)
		if (rig->owner[i].there && !(rig->owner[i].flags & PLAN_LEAVING) && rig->owner[i].image == image)
			return 1;
	return 0;
}

static int count_images(const struct rig *rig, int image, int *ret_last)
{
	int n = 0;

	for (int i = 0; i < rig->images; i++) {
		if (!rig->image[i].there || rig->image[i].backing != image)
			continue;
		n++;
		*ret_last = i;
	}
	return n;
}

int rig_only(const struct rig *rig, int i)
{
	int reached[RIG_IMAGES], above = -1;

	mark(rig, 0, reached);
	return reached[i] && !is_owned(rig, i) && count_images(rig, i, &above) == 1 ? above : -1;
}

int rig_can(const struct rig *rig, int above, int below, enum plan_kind kind, int off)
{
	const struct rig_image *a = &rig->image[above], *b = &rig->image[below];
	int live = !off && ((a->flags | b->flags) & PLAN_RUNNING), working = (a->flags & PLAN_WORKING) != 0;

	if (kind == PLAN_PULL) {
		if (live && (!working || (rig->options & PLAN_NO_LIVE_PULL)))
			return 0;
		return !(b->flags & NOT_OURS) && !(a->flags & (NOT_OURS | PLAN_READ_ONLY));
	}
	if (live && (rig->options & PLAN_NO_LIVE_COMMIT))
		return 0;
	for (int i = 0; i < rig->images; i++)
		if (rig->image[i].there && rig->image[i].backing == above &&
		    (rig->image[i].flags & (NOT_OURS | PLAN_READ_ONLY)))
			return 0; /* it could not be re-pointed */
	if ((a->flags & NOT_OURS) || (b->flags & (PLAN_SHARED | PLAN_READ_ONLY)))
		return 0;
	if ((b->flags & PLAN_OUTSIDE) && below != rig->into_base)
		return 0;
	return a->size == b->size || (a->size > b->size && !(b->flags & PLAN_NO_GROW));
}

static void do_pull(struct rig *rig, int above, int to)
{
	struct rig_image *a = &rig->image[above];

	for (int c = 0; c < a->size; c++) {
		int value = look(rig, above, c), i = above;

		while (i != to && i >= 0 && rig->image[i].data[c] == RIG_NONE && c < rig->image[i].size)
			i = rig->image[i].backing;
		if (i != to && i >= 0 && a->data[c] == RIG_NONE)
			a->data[c] = value ? value : RIG_ZERO;
	}
	a->backing = to;
}

static void repoint(struct rig *rig, const struct plan_action *action, int above, int below)
{
	for (char **path = action->repoint_images; path && *path; path++) {
		int i = rig_find(rig, *path);

		assert_true(rig->image[i].there);
		assert_int_equal(rig->image[i].backing, above);
		assert_false(rig->image[i].flags & (NOT_OURS | PLAN_READ_ONLY));
		rig->image[i].backing = below;
	}
	for (char **name = action->repoint_owners; name && *name; name++) {
		int found = 0;

		for (int i = 0; i < rig->owners; i++) {
			if (!rig->owner[i].there || strcmp(rig->owner[i].name, *name) != 0)
				continue;
			assert_int_equal(rig->owner[i].image, above);
			rig->owner[i].image = below;
			found = 1;
		}
		assert_true(found);
	}
}

static void do_commit(struct rig *rig, const struct plan_action *action, int above, int below)
{
	struct rig_image *a = &rig->image[above], *b = &rig->image[below];
	int last;

	assert_int_equal(action->grow, a->size > b->size);
	assert_int_equal(action->virtual_size, a->size * RIG_UNIT);
	for (int c = b->size; c < a->size; c++) {
		b->data[c] = RIG_NONE;
		if (look(rig, b->backing, c))
			b->data[c] = RIG_ZERO; /* as QEMU does when it makes an image larger */
	}
	b->size = a->size;
	for (int c = 0; c < a->size; c++)
		if (a->data[c] != RIG_NONE)
			b->data[c] = a->data[c];
	b->flags |= a->flags & PLAN_WORKING;
	repoint(rig, action, above, below);
	assert_false(is_owned(rig, above));
	assert_int_equal(count_images(rig, above, &last), 0);
	a->there = 0;
}

static void do_merge(struct rig *rig, const struct plan_action *action, int exact)
{
	int below = rig_find(rig, action->image), above = rig_find(rig, action->dependant);
	int64_t bytes = rig_allocated(rig, action->kind == PLAN_PULL ? below : above);
	int live = ((rig->image[above].flags | rig->image[below].flags) & PLAN_RUNNING) != 0;

	assert_true(rig->image[below].there && rig->image[above].there);
	assert_int_equal(rig_only(rig, below), above);
	assert_true(rig_can(rig, above, below, action->kind, 0));
	assert_int_equal(action->live, live);
	assert_true(exact ? action->copied == bytes : action->copied >= bytes);
	if (action->kind == PLAN_COMMIT) {
		do_commit(rig, action, above, below);
		return;
	}
	assert_null(action->repoint_images);
	assert_null(action->repoint_owners);
	if (rig->image[below].backing < 0)
		assert_null(action->backing);
	else
		assert_string_equal(action->backing, rig->image[rig->image[below].backing].path);
	do_pull(rig, above, rig->image[below].backing);
	rig->image[below].there = 0;
}

static void do_remove(struct rig *rig, const struct plan_action *action)
{
	int i = rig_find(rig, action->image), reached[RIG_IMAGES], last;

	mark(rig, 0, reached);
	assert_true(rig->image[i].there);
	assert_false(reached[i] || rig->image[i].held);
	assert_false(rig->image[i].flags & (NOT_OURS | PLAN_BASE | PLAN_WORKING));
	assert_int_equal(count_images(rig, i, &last), 0);
	rig->image[i].there = 0;
}

static void do_flatten(struct rig *rig, const struct plan_action *action)
{
	int above = rig_find(rig, action->dependant);

	assert_int_equal(above, rig->owner[0].image);
	assert_int_equal(rig->image[above].backing, rig_find(rig, action->image));
	assert_false(rig->image[above].flags & (NOT_OURS | PLAN_READ_ONLY));
	assert_int_equal(action->live, rig->running);
	do_pull(rig, above, action->backing ? rig_find(rig, action->backing) : -1);
	rig_run(rig, rig->running);
}

static int64_t all_bytes(const struct rig *rig)
{
	int64_t sum = 0;

	for (int i = 0; i < rig->images; i++)
		sum += rig->image[i].there ? rig_allocated(rig, i) : 0;
	return sum;
}

/* 1 if the merge may save more than what both images hold: zeroes hide something, or one
 * is smaller. */
static int hides(const struct rig *rig, const struct plan_action *action)
{
	const struct rig_image *a, *b;

	if (action->kind != PLAN_PULL && action->kind != PLAN_COMMIT)
		return 0;
	a = &rig->image[rig_find(rig, action->dependant)];
	b = &rig->image[rig_find(rig, action->image)];
	for (int c = 0; c < RIG_CLUSTERS; c++)
		if (a->data[c] == RIG_ZERO)
			return 1;
	return a->size != b->size;
}

void rig_do(struct rig *rig, const struct plan_action *action, int exact)
{
	int64_t before = all_bytes(rig), saved, size = 0;
	int more = hides(rig, action);

	if (action->kind == PLAN_REMOVE || action->kind == PLAN_PULL)
		size = rig_allocated(rig, rig_find(rig, action->image));
	else if (action->kind == PLAN_COMMIT)
		size = rig_allocated(rig, rig_find(rig, action->dependant));
	if (exact)
		assert_int_equal(action->freed, size);
	assert_true(size <= action->freed);
	if (action->kind == PLAN_REMOVE)
		do_remove(rig, action);
	else if (action->kind == PLAN_FLATTEN)
		do_flatten(rig, action);
	else if (action->kind != PLAN_KEEP)
		do_merge(rig, action, exact);
	saved = before - all_bytes(rig);
	assert_true(size - saved <= action->needed || !exact);
	if (action->kind != PLAN_FLATTEN) {
		assert_true(saved <= action->saved_max || more);
		assert_true(saved >= action->saved_min || !exact);
	}
	if (rig->used + size - saved > rig->most)
		rig->most = rig->used + size - saved;
	rig->used -= saved;
}

static void check_image(const struct rig *rig, int i)
{
	const struct rig_image *image = &rig->image[i];

	if (!image->held)
		return;
	assert_true(image->there);
	assert_int_equal(image->size, image->size_before);
	assert_memory_equal(image->data, image->before, sizeof(image->data));
	for (int c = 0; c < RIG_CLUSTERS; c++)
		assert_int_equal(look(rig, i, c), image->view_before[c]);
}

void rig_check(struct rig *rig)
{
	for (int i = 0; i < rig->owners; i++) {
		const struct rig_owner *owner = &rig->owner[i];

		if (!owner->there || (owner->flags & PLAN_LEAVING))
			continue;
		assert_true(rig->image[owner->image].there);
		assert_int_equal(rig->image[owner->image].size, owner->size);
		for (int c = 0; c < RIG_CLUSTERS; c++)
			assert_int_equal(look(rig, owner->image, c), owner->sees[c]);
	}
	for (int i = 0; i < rig->images; i++) {
		check_image(rig, i);
		if (rig->image[i].there && rig->image[i].backing >= 0)
			assert_true(rig->image[rig->image[i].backing].there);
	}
	if (rig->running)
		assert_true(rig->image[rig->owner[0].image].flags & PLAN_WORKING);
}

/* Why hidden image i, which has one image on it, could not be merged. */
static enum plan_why why_single(const struct rig *rig, int above, int i)
{
	unsigned int both = rig->image[above].flags | rig->image[i].flags;

	if (both & PLAN_SHARED)
		return PLAN_WHY_SHARED;
	if ((rig->image[above].flags & PLAN_OUTSIDE) || ((both & PLAN_OUTSIDE) && i != rig->into_base))
		return PLAN_WHY_OUTSIDE;
	if (rig_can(rig, above, i, PLAN_PULL, 1) || rig_can(rig, above, i, PLAN_COMMIT, 1))
		return PLAN_WHY_LATER;
	return PLAN_WHY_FIXED;
}

static enum plan_why why_kept(const struct rig *rig, int i, const int *reached)
{
	int above = -1, n = count_images(rig, i, &above), alive = 0;

	for (int k = 0; k < rig->images; k++)
		alive += rig->image[k].there && rig->image[k].backing == i && reached[k];
	if (reached[i] && n == 1)
		return why_single(rig, above, i);
	if (rig->image[i].flags & PLAN_SHARED)
		return PLAN_WHY_SHARED;
	if ((rig->image[i].flags & PLAN_OUTSIDE) && (i != rig->into_base || !reached[i]))
		return PLAN_WHY_OUTSIDE;
	if (!reached[i])
		return n ? PLAN_WHY_ORPHAN : PLAN_WHY_BASE;
	return alive == 1 ? PLAN_WHY_ORPHAN : PLAN_WHY_BRANCHES;
}

void rig_check_end(struct rig *rig, const struct plan *plan)
{
	int reached[RIG_IMAGES], kept[RIG_IMAGES] = { 0 };

	mark(rig, 0, reached);
	for (size_t k = 0; k < plan->n; k++) {
		int i = rig_find(rig, plan->action[k].image);

		if (plan->action[k].kind != PLAN_KEEP)
			continue;
		kept[i] = 1;
		assert_string_equal(plan_why_word(plan->action[k].why), plan_why_word(why_kept(rig, i, reached)));
	}
	for (int i = 0; i < rig->images; i++) {
		int hidden = reached[i] && !is_owned(rig, i), above;

		if (!rig->image[i].there)
			continue;
		assert_int_equal(kept[i], hidden || (!reached[i] && rig->image[i].reached));
		above = hidden ? rig_only(rig, i) : -1;
		if (above < 0)
			continue;
		assert_false(rig_can(rig, above, i, PLAN_PULL, 0));
		assert_false(rig_can(rig, above, i, PLAN_COMMIT, 0));
	}
}
