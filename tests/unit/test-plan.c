/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of the merge planner: rules one by one, and 100,000 random trees. */
#include "tests/unit/test-plan-rig.h"

#define TREES 100000
#define MIB (INT64_C(1) << 20)

static void make(struct rig *rig, struct plan *plan)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct plan_input in = rig_input(rig);

	assert_ok(plan_make(&in, plan, &err), &err);
	assert_true(plan->n <= in.n_images * 2);
}

/* Carries out the whole of it. */
static void carry_out(struct rig *rig, const struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		rig_do(rig, &plan->action[i], i == 0);
		rig_check(rig);
	}
	assert_true(rig->most <= plan->needed);
}

/* A merge that has nothing to do with others goes the cheaper way. */
static void check_direction(const struct rig *rig, const struct plan_action *action)
{
	int below = rig_find(rig, action->image), above = rig_find(rig, action->dependant);
	int under = rig->image[below].backing;
	int64_t a = rig_allocated(rig, above), b = rig_allocated(rig, below);

	if (rig_only(rig, above) >= 0 || (under >= 0 && rig_only(rig, under) == below) ||
	    !rig_can(rig, above, below, PLAN_PULL, 0) || !rig_can(rig, above, below, PLAN_COMMIT, 0))
		return;
	assert_int_equal(action->kind, b <= a ? PLAN_PULL : PLAN_COMMIT);
}

/* The first step only, then everything is planned anew from what is there. */
static void carry_out_stepwise(struct rig *rig)
{
	for (int steps = 0;; steps++) {
		_cleanup_(plan_done) struct plan plan = { 0 };

		assert_true(steps < 2 * RIG_IMAGES);
		make(rig, &plan);
		if (plan.n == 0 || plan.action[0].kind == PLAN_KEEP) {
			rig_check_end(rig, &plan);
			return;
		}
		if (steps == 0)
			rig_left(rig);
		if (plan.action[0].kind != PLAN_REMOVE)
			check_direction(rig, &plan.action[0]);
		rig_do(rig, &plan.action[0], 1);
		rig_check(rig);
	}
}

static void settle(struct rig *rig)
{
	_cleanup_(plan_done) struct plan plan = { 0 };

	rig_note(rig);
	if (rig_chance(rig, 50)) {
		carry_out_stepwise(rig);
	} else {
		make(rig, &plan);
		carry_out(rig, &plan);
		rig_check_end(rig, &plan);
	}
	rig_left(rig);
}

static void flatten(struct rig *rig)
{
	_cleanup_(plan_done) struct plan plan = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	struct plan_input in = rig_input(rig);
	int to = rig->image[rig->owner[0].image].backing, r;

	while (to >= 0 && rig_chance(rig, 60))
		to = rig->image[to].backing;
	rig_note(rig);
	r = plan_flatten(&in, to < 0 ? NULL : rig->image[to].path, &plan, &err);
	if (r < 0) {
		assert_int_equal(err.kind, ERR_REFUSED);
		return;
	}
	if (plan.n && plan.action[0].kind == PLAN_FLATTEN) {
		rig_do(rig, &plan.action[0], 1);
		rig_check(rig);
	}
	assert_int_equal(rig->image[rig->owner[0].image].backing, to);
	for (size_t i = plan.n && plan.action[0].kind == PLAN_FLATTEN; i < plan.n; i++) {
		rig_do(rig, &plan.action[i], 0);
		rig_check(rig);
	}
	assert_true(rig->most <= plan.needed);
	rig_check_end(rig, &plan);
}

/* What the rule about depth says comes true. */
static void deepen(struct rig *rig)
{
	_cleanup_(plan_depth_done) struct plan_depth depth = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	size_t max = (size_t)(1 + rig_random(rig, 6));
	struct plan_input in;

	for (int i = 1; i < rig->owners; i++)
		rig->owner[i].flags = rig_chance(rig, 60) ? PLAN_DELETABLE : 0;
	in = rig_input(rig);
	assert_ok(plan_depth(&in, max, &depth, &err), &err);
	assert_int_equal(depth.length, rig_length(rig, rig->owner[0].image));
	assert_true(depth.longest >= depth.length && depth.after <= depth.length && depth.reached <= depth.after);
	settle(rig);
	assert_int_equal(depth.after, rig_length(rig, rig->owner[0].image));
	assert_int_equal(depth.excess, depth.after > max ? depth.after - max : 0);
	for (char **name = depth.snapshots; name && *name; name++) {
		int i = atoi(*name + 1);

		assert_true(depth.excess > 0 && (rig->owner[i].flags & PLAN_DELETABLE) && rig->owner[i].there);
		assert_true((size_t)rig_length(rig, rig->owner[0].image) > max);
		rig->owner[i].flags |= PLAN_LEAVING;
		settle(rig);
	}
	assert_int_equal(depth.reached, rig_length(rig, rig->owner[0].image));
}

/* Nothing that would have to stay for good. */
static int is_plain(const struct rig *rig)
{
	for (int i = 0; i < rig->images; i++)
		if (rig->image[i].there && ((rig->image[i].flags & ~(unsigned int)(PLAN_BASE | PLAN_RAW)) ||
					    rig->image[i].held || rig->image[i].size != rig->image[0].size))
			return 0;
	return 1;
}

static size_t plain_trees;

static void one_tree(uint64_t seed)
{
	struct rig rig;
	int plain;

	rig_grow(&rig, seed);
	rig_run(&rig, rig_chance(&rig, 50));
	if (rig_chance(&rig, 12))
		deepen(&rig);
	if (rig_chance(&rig, 12))
		flatten(&rig);
	rig_leave(&rig, rig_random(&rig, 100));
	settle(&rig);
	for (int left = rig.owners; left > 0; left--) {
		rig_run(&rig, rig_chance(&rig, 50));
		rig_leave(&rig, left == 1 ? 100 : 30);
		settle(&rig);
	}
	rig_run(&rig, 0);
	plain = is_plain(&rig);
	settle(&rig);
	if (!plain)
		return;
	plain_trees++;
	assert_int_equal(rig_length(&rig, rig.owner[0].image), 1);
}

static uint64_t seed_now;

static void test_random_trees(void **state _unused_)
{
	const char *seed = getenv("VMSNAP_PLAN_SEED");

	if (seed) {
		one_tree(strtoull(seed, NULL, 10));
		return;
	}
	for (seed_now = 1; seed_now <= TREES; seed_now++)
		one_tree(seed_now);
	seed_now = 0;
	assert_true(plain_trees > TREES / 10);
}

/* Which tree it was, if it was one. */
static int tell_seed(void **state _unused_)
{
	if (seed_now)
		print_error("again with VMSNAP_PLAN_SEED=%llu\n", (unsigned long long)seed_now);
	return 0;
}

/* Cases by hand: images "/0" below "/1" below ... */
struct line {
	struct plan_image image[8];
	struct plan_owner owner[8];
	struct plan_input in;
};

static void put_line(struct line *line, const int64_t *mib, size_t n)
{
	static const char *const names[] = { "/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7" };

	*line = (struct line){ .in = { .images = line->image, .n_images = n, .owners = line->owner, .n_owners = 1 } };
	for (size_t i = 0; i < n; i++)
		line->image[i] = (struct plan_image){ .path = names[i],
						      .backing = i ? names[i - 1] : NULL,
						      .allocated = mib[i] * MIB,
						      .virtual_size = 1000 * MIB };
	line->owner[0] = (struct plan_owner){ .name = PLAN_NAME_VM, .path = names[n - 1] };
}

static void own(struct line *line, const char *name, const char *path, unsigned int flags)
{
	line->owner[line->in.n_owners++] = (struct plan_owner){ .name = name, .path = path, .flags = flags };
}

static void assert_action(const struct plan *plan, size_t i, enum plan_kind kind, const char *image, enum plan_why why)
{
	assert_true(i < plan->n);
	assert_string_equal(plan_kind_text(plan->action[i].kind), plan_kind_text(kind));
	assert_string_equal(plan->action[i].image, image);
	assert_string_equal(plan_why_word(plan->action[i].why), plan_why_word(why));
}

static void plan_line(const struct line *line, struct plan *plan)
{
	_cleanup_err_ struct err err = ERR_INIT;

	assert_ok(plan_make(&line->in, plan, &err), &err);
}

static void test_cheaper_way(void **state _unused_)
{
	const struct {
		int64_t mib[2];
		enum plan_kind kind;
		enum plan_why why;
	} cases[] = {
		{ { 10, 20 }, PLAN_PULL, PLAN_WHY_FEWER_BYTES },
		{ { 20, 10 }, PLAN_COMMIT, PLAN_WHY_FEWER_BYTES },
		{ { 10, 10 }, PLAN_PULL, PLAN_WHY_NO_REPOINT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(plan_done) struct plan plan = { 0 };
		struct line line;

		put_line(&line, cases[i].mib, 2);
		plan_line(&line, &plan);
		assert_int_equal(plan.n, 1);
		assert_action(&plan, 0, cases[i].kind, "/0", cases[i].why);
		assert_string_equal(plan.action[0].dependant, "/1");
		assert_int_equal(plan.copied, 10 * MIB);
		assert_int_equal(plan.saved_max, 10 * MIB);
		assert_int_equal(plan.saved_min, 0);
	}
}

/* The largest of a run stays, and each other image is copied once. */
static void test_largest_stays(void **state _unused_)
{
	const int64_t mib[] = { 1, 2, 100, 3, 4 };
	_cleanup_(plan_done) struct plan plan = { 0 };
	struct line line;

	put_line(&line, mib, 5);
	plan_line(&line, &plan);
	assert_int_equal(plan.n, 4);
	assert_int_equal(plan.copied, 10 * MIB);
	assert_action(&plan, 0, PLAN_COMMIT, "/2", PLAN_WHY_FEWER_BYTES);
	assert_string_equal(plan.action[0].dependant, "/3");
	assert_string_equal(plan.action[0].repoint_images[0], "/4");
	assert_action(&plan, 1, PLAN_COMMIT, "/2", PLAN_WHY_FEWER_BYTES);
	assert_string_equal(plan.action[1].repoint_owners[0], PLAN_NAME_VM);
	assert_action(&plan, 2, PLAN_PULL, "/1", PLAN_WHY_FEWER_BYTES);
	assert_string_equal(plan.action[2].backing, "/0");
	assert_action(&plan, 3, PLAN_PULL, "/0", PLAN_WHY_FEWER_BYTES);
	assert_null(plan.action[3].backing);
}

static void run_line(struct line *line)
{
	for (size_t i = 0; i < line->in.n_images; i++)
		line->image[i].flags |= PLAN_RUNNING;
	line->image[line->in.n_images - 1].flags |= PLAN_WORKING;
}

/* Below a snapshot's disk of the running chain nothing can be pulled. */
static void test_running(void **state _unused_)
{
	const int64_t mib[] = { 1, 20, 5 };
	_cleanup_(plan_done) struct plan plan = { 0 }, later = { 0 };
	struct line line;

	put_line(&line, mib, 3);
	own(&line, "S1", "/1", 0);
	run_line(&line);
	plan_line(&line, &plan);
	assert_int_equal(plan.n, 1);
	assert_action(&plan, 0, PLAN_COMMIT, "/0", PLAN_WHY_ONLY_WAY);
	assert_true(plan.action[0].live);
	assert_int_equal(plan.copied, 20 * MIB);
	assert_string_equal(plan.action[0].repoint_owners[0], "S1");
	assert_string_equal(plan.action[0].repoint_images[0], "/2");
	line.in.options = PLAN_NO_LIVE_COMMIT;
	plan_line(&line, &later);
	assert_int_equal(later.n, 1);
	assert_action(&later, 0, PLAN_KEEP, "/0", PLAN_WHY_LATER);
}

static void test_outside(void **state _unused_)
{
	const int64_t mib[] = { 100, 5 };
	_cleanup_(plan_done) struct plan plan = { 0 }, into = { 0 }, shared = { 0 };
	struct line line;

	put_line(&line, mib, 2);
	line.image[0].flags = PLAN_OUTSIDE | PLAN_RAW | PLAN_BASE;
	plan_line(&line, &plan);
	assert_int_equal(plan.n, 1);
	assert_action(&plan, 0, PLAN_KEEP, "/0", PLAN_WHY_OUTSIDE);
	line.in.into_base = "/0";
	line.image[0].virtual_size = 500 * MIB;
	plan_line(&line, &into);
	assert_int_equal(into.n, 1);
	assert_action(&into, 0, PLAN_COMMIT, "/0", PLAN_WHY_INTO_BASE);
	assert_true(into.action[0].grow);
	assert_int_equal(into.action[0].virtual_size, 1000 * MIB);
	line.image[0].flags |= PLAN_SHARED; /* by its name all the same: it would break the other VM */
	plan_line(&line, &shared);
	assert_action(&shared, 0, PLAN_KEEP, "/0", PLAN_WHY_SHARED);
}

static void test_branches(void **state _unused_)
{
	const int64_t mib[] = { 10, 1, 1 };
	_cleanup_(plan_done) struct plan plan = { 0 }, orphan = { 0 }, gone = { 0 };
	struct line line;

	put_line(&line, mib, 3);
	line.image[2].backing = "/0";
	own(&line, "S1", "/1", 0);
	plan_line(&line, &plan);
	assert_int_equal(plan.n, 1);
	assert_action(&plan, 0, PLAN_KEEP, "/0", PLAN_WHY_BRANCHES);
	line.owner[1].flags = PLAN_LEAVING;
	plan_line(&line, &gone);
	assert_int_equal(gone.n, 2);
	assert_action(&gone, 0, PLAN_REMOVE, "/1", PLAN_WHY_UNREACHED);
	assert_action(&gone, 1, PLAN_COMMIT, "/0", PLAN_WHY_FEWER_BYTES);
	assert_int_equal(gone.freed, 2 * MIB);
	line.in.n_owners = 1; /* as if somebody had left it lying */
	plan_line(&line, &orphan);
	assert_int_equal(orphan.n, 1);
	assert_action(&orphan, 0, PLAN_KEEP, "/0", PLAN_WHY_ORPHAN);
}

/* Large clusters take more room than small ones brought. */
static void test_needed(void **state _unused_)
{
	const int64_t mib[] = { 100, 8 };
	_cleanup_(plan_done) struct plan plan = { 0 }, full = { 0 };
	struct line line;

	put_line(&line, mib, 2);
	line.image[0].grain = 65536;
	plan_line(&line, &plan);
	assert_action(&plan, 0, PLAN_COMMIT, "/0", PLAN_WHY_FEWER_BYTES);
	assert_in_range(plan.needed, 8 * 16 * MIB, (8 * 16 + 2) * MIB);
	line.image[0].allocated = 1000 * MIB;
	plan_line(&line, &full);
	assert_in_range(full.needed, 0, 20 * MIB);
}

static void refuse(const struct line *line, const char *word)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct plan plan;

	assert_int_equal(plan_make(&line->in, &plan, &err), -EINVAL);
	assert_int_equal(err.kind, ERR_BAD_DATA);
	assert_non_null(strstr(err.message, word));
}

static void test_bad_input(void **state _unused_)
{
	const int64_t mib[] = { 1, 1, 1 };
	_cleanup_(plan_done) struct plan plan = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	struct line line;

	put_line(&line, mib, 3);
	line.image[0].backing = "/2";
	refuse(&line, "itself");
	line.image[0].backing = "/x";
	refuse(&line, "not known");
	put_line(&line, mib, 3);
	line.image[1].path = "/0";
	refuse(&line, "twice");
	put_line(&line, mib, 3);
	own(&line, "S1", "/x", 0);
	refuse(&line, "configuration");
	line.owner[1].flags = PLAN_LEAVING;
	plan_line(&line, &plan);
	assert_int_equal(plan.n, 2);
	plan_done(&plan);
	put_line(&line, mib, 3);
	line.image[2].flags = PLAN_RAW;
	refuse(&line, "raw");
	put_line(&line, mib, 3);
	assert_int_equal(plan_flatten(&line.in, "/x", &plan, &err), -EINVAL);
	assert_int_equal(err.kind, ERR_INVALID);
	line.in.n_images = line.in.n_owners = 0;
	plan_line(&line, &plan);
	assert_int_equal(plan.n, 0);
}

static void test_flatten(void **state _unused_)
{
	const int64_t mib[] = { 10, 20, 30, 5 };
	_cleanup_(plan_done) struct plan to = { 0 }, all = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	struct line line;

	put_line(&line, mib, 4);
	own(&line, "S1", "/0", 0);
	own(&line, "S2", "/1", 0);
	run_line(&line);
	assert_ok(plan_flatten(&line.in, "/1", &to, &err), &err);
	assert_int_equal(to.n, 2);
	assert_action(&to, 0, PLAN_FLATTEN, "/2", PLAN_WHY_ASKED);
	assert_string_equal(to.action[0].dependant, "/3");
	assert_string_equal(to.action[0].backing, "/1");
	assert_int_equal(to.action[0].copied, 30 * MIB);
	assert_true(to.action[0].live);
	assert_action(&to, 1, PLAN_REMOVE, "/2", PLAN_WHY_UNREACHED);
	assert_ok(plan_flatten(&line.in, NULL, &all, &err), &err);
	assert_int_equal(all.n, 2);
	assert_null(all.action[0].backing);
	assert_int_equal(all.copied, 60 * MIB);
}

static void test_depth(void **state _unused_)
{
	const int64_t mib[] = { 50, 30, 20, 9, 1, 7 };
	_cleanup_(plan_depth_done) struct plan_depth depth = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	struct line line;

	put_line(&line, mib, 6);
	line.owner[0].flags = PLAN_DELETABLE; /* the VM itself never is */
	own(&line, "S0", "/0", 0);
	own(&line, "S1", "/1", PLAN_DELETABLE);
	own(&line, "S2", "/2", PLAN_DELETABLE);
	own(&line, "S3", "/3", PLAN_DELETABLE); /* /4 is hidden */
	assert_int_equal(plan_chain_length(&line.in, "/5"), 6);
	assert_ok(plan_depth(&line.in, 3, &depth, &err), &err);
	assert_int_equal(depth.length, 6);
	assert_int_equal(depth.after, 5);
	assert_int_equal(depth.excess, 2);
	assert_int_equal(strv_count(depth.snapshots), 2);
	assert_string_equal(depth.snapshots[0], "S3"); /* 8 MiB: /5 with /4 goes into /3 */
	assert_string_equal(depth.snapshots[1], "S2"); /* 17 MiB, S1 would be 20 */
	assert_int_equal(depth.reached, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cheaper_way),
		cmocka_unit_test(test_largest_stays),
		cmocka_unit_test(test_running),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_branches),
		cmocka_unit_test(test_needed),
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_flatten),
		cmocka_unit_test(test_depth),
		cmocka_unit_test_teardown(test_random_trees, tell_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
