/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What operations under way were promised. */
#include "tests/unit/layout-util.h"

#include "layout/ledger.h"

enum { STORE = 1, OTHER = 2 };
enum { FIRST = 10, SECOND = 20, THIRD = 30 };
enum { OWNERS = 5, DEVICES = 3, ROUNDS = 20000, MOST = 1000 };

static void promise_on(struct ledger *ledger, uint64_t owner, uint64_t dev, int64_t need)
{
	_cleanup_(space_done) struct space account = { 0 };

	space_add(&account, dev, "/somewhere", 0);
	space_use(&account, dev, need);
	ledger_promise(ledger, owner, &account);
}

/* The second one does not fit beside the first, which alone does; it fits when that has ended. */
static void test_two(void **state _unused_)
{
	_cleanup_(space_done) struct space account = { 0 };
	struct ledger ledger = { 0 };

	space_add(&account, STORE, "/store", 100);
	space_use(&account, STORE, 60);
	ledger_apply(&ledger, SECOND, &account);
	assert_null(space_short(&account));
	promise_on(&ledger, FIRST, STORE, 60);
	ledger_apply(&ledger, SECOND, &account);
	assert_non_null(space_short(&account));
	assert_int_equal(account.fs[0].promised, 60);
	ledger_apply(&ledger, FIRST, &account);
	assert_null(space_short(&account)); /* nobody is in the way of himself */
	promise_on(&ledger, FIRST, OTHER, 60);
	ledger_apply(&ledger, SECOND, &account);
	assert_null(space_short(&account)); /* and not on another file system */
	promise_on(&ledger, FIRST, STORE, 40);
	ledger_apply(&ledger, SECOND, &account);
	assert_null(space_short(&account)); /* exactly */
	promise_on(&ledger, FIRST, STORE, 41);
	ledger_apply(&ledger, SECOND, &account);
	assert_non_null(space_short(&account));
	ledger_forget(&ledger, FIRST);
	ledger_apply(&ledger, SECOND, &account);
	assert_null(space_short(&account));
	assert_null(ledger.entry);
}

/* More may be promised than is free, by force: then nothing at all is left to others who need something. */
static void test_forced(void **state _unused_)
{
	_cleanup_(space_done) struct space account = { 0 };
	struct ledger ledger = { 0 };

	promise_on(&ledger, FIRST, STORE, INT64_MAX);
	promise_on(&ledger, SECOND, STORE, INT64_MAX);
	assert_true(ledger_open(&ledger, STORE, THIRD) == INT64_MAX);
	space_add(&account, STORE, "/store", 100);
	ledger_apply(&ledger, THIRD, &account);
	assert_null(space_short(&account));
	space_use(&account, STORE, 1);
	assert_ptr_equal(space_short(&account), &account.fs[0]);
	ledger_forget(&ledger, FIRST);
	ledger_forget(&ledger, SECOND);
}

/* The one that lacks most is told, what others were promised counted. */
static void test_worst(void **state _unused_)
{
	_cleanup_(space_done) struct space account = { 0 };
	struct ledger ledger = { 0 };

	space_add(&account, STORE, "/store", 100);
	space_add(&account, OTHER, "/other", 100);
	space_use(&account, STORE, 110);
	space_use(&account, OTHER, 90);
	assert_string_equal(space_short(&account)->path, "/store");
	promise_on(&ledger, FIRST, OTHER, 50);
	ledger_apply(&ledger, SECOND, &account);
	assert_string_equal(space_short(&account)->path, "/other");
	ledger_forget(&ledger, FIRST);
}

static void test_written(void **state _unused_)
{
	struct ledger ledger = { 0 };

	promise_on(&ledger, FIRST, STORE, 60);
	ledger_written(&ledger, FIRST, STORE, -5);
	assert_int_equal(ledger_open(&ledger, STORE, SECOND), 60);
	ledger_written(&ledger, FIRST, STORE, 20);
	ledger_written(&ledger, FIRST, OTHER, 60);
	ledger_written(&ledger, SECOND, STORE, 60);
	assert_int_equal(ledger_open(&ledger, STORE, SECOND), 40);
	ledger_written(&ledger, FIRST, STORE, 10); /* gone again, to come back */
	assert_int_equal(ledger_open(&ledger, STORE, SECOND), 40);
	ledger_written(&ledger, FIRST, STORE, 61);
	assert_int_equal(ledger_open(&ledger, STORE, SECOND), 0);
	promise_on(&ledger, FIRST, STORE, 60); /* something new */
	assert_int_equal(ledger_open(&ledger, STORE, SECOND), 60);
	ledger_forget(&ledger, FIRST);
}

/* Anything in any order, against a table. */
static void test_model(void **state _unused_)
{
	int64_t need[OWNERS][DEVICES] = { { 0 } }, written[OWNERS][DEVICES] = { { 0 } };
	struct ledger ledger = { 0 };
	unsigned int seed = 4;

	for (int round = 0; round < ROUNDS; round++) {
		int o = rand_r(&seed) % OWNERS, d = rand_r(&seed) % DEVICES, what = rand_r(&seed) % 3;
		int64_t bytes = rand_r(&seed) % MOST, sum = 0;

		if (what == 0)
			promise_on(&ledger, (uint64_t)o, (uint64_t)d, bytes);
		if (what == 1)
			ledger_written(&ledger, (uint64_t)o, (uint64_t)d, bytes);
		if (what == 2)
			ledger_forget(&ledger, (uint64_t)o);
		for (int i = 0; what != 1 && i < DEVICES; i++) {
			need[o][i] = what == 0 && i == d ? bytes : 0;
			written[o][i] = 0;
		}
		if (what == 1 && bytes > written[o][d])
			written[o][d] = bytes;
		o = rand_r(&seed) % OWNERS;
		for (int i = 0; i < OWNERS; i++)
			sum += i == o || written[i][d] > need[i][d] ? 0 : need[i][d] - written[i][d];
		assert_int_equal(ledger_open(&ledger, (uint64_t)d, (uint64_t)o), sum);
	}
	for (uint64_t o = 0; o < OWNERS; o++)
		ledger_forget(&ledger, o);
	assert_int_equal(ledger.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two),	cmocka_unit_test(test_forced), cmocka_unit_test(test_worst),
		cmocka_unit_test(test_written), cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests_name("test-ledger", tests, NULL, NULL);
}
