/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of who holds which image, against a naive model. */
#include "tests/unit/layout-util.h"

#include "layout/chain.h"

#define CASES 3000
#define MAX_IMAGES 12
#define MAX_OWNERS 4

static void test_snapshots(void **state _unused_)
{
	_cleanup_(refs_freep) struct refs *refs = refs_new();
	_cleanup_strv_ char **orphans = NULL;

	refs_add_image(refs, "/vm/base.qcow2", NULL);
	refs_add_image(refs, "/vm/S/G/a.avhd", "/vm/S/G/../../base.qcow2");
	refs_add_image(refs, "/vm/S/G/b.avhd", "/vm/S/G/a.avhd");
	refs_add_image(refs, "/vm/S/G/c.avhd", "/vm/S/G/a.avhd");
	refs_add_owner(refs, "/vm/S/G/c.avhd", "vm");
	refs_add_owner(refs, "/vm/S/G/c.avhd", "vm");
	refs_add_owner(refs, "/vm/S/G/b.avhd", "snap1");
	assert_int_equal(refs_dependants(refs, "/vm/S/G/a.avhd"), 2);
	assert_int_equal(refs_dependants(refs, "/vm//S/G/c.avhd"), 1);
	assert_int_equal(refs_dependants(refs, "/vm/base.qcow2"), 1);
	assert_null(refs_orphans(refs));
	refs_drop_owner(refs, "snap1");
	orphans = refs_orphans(refs);
	assert_int_equal(strv_count(orphans), 1);
	assert_string_equal(orphans[0], "/vm/S/G/b.avhd");
}

static void test_order_and_cycles(void **state _unused_)
{
	_cleanup_(refs_freep) struct refs *refs = refs_new();
	_cleanup_strv_ char **orphans = NULL;

	refs_add_image(refs, "/a", NULL);
	refs_add_image(refs, "/b", "/a");
	refs_add_image(refs, "/c", "/b");
	refs_add_image(refs, "/x", "/y");
	refs_add_image(refs, "/y", "/x");
	refs_add_image(refs, "/z", "/z");
	orphans = refs_orphans(refs);
	assert_int_equal(strv_count(orphans), 6);
	assert_string_equal(orphans[0], "/c");
	assert_string_equal(orphans[1], "/b");
	assert_string_equal(orphans[2], "/a");
	assert_string_equal(orphans[3], "/z");
}

/* The same facts as plain arrays. */
struct model {
	size_t images, owners;
	int backing[MAX_IMAGES];              /* -1 none */
	int holds[MAX_OWNERS][MAX_IMAGES];
};

static const char *image_name(size_t i)
{
	static char name[32];

	snprintf(name, sizeof(name), "/d/%02zu", i);
	return name;
}

static struct refs *build(const struct model *m)
{
	struct refs *refs = refs_new();

	for (size_t i = 0; i < m->images; i++) {
		_cleanup_free_ char *backing = m->backing[i] < 0 ? NULL : xstrdup(image_name((size_t)m->backing[i]));

		refs_add_image(refs, image_name(i), backing);
	}
	for (size_t o = 0; o < m->owners; o++) {
		_cleanup_free_ char *owner = xasprintf("owner%zu", o);

		for (size_t i = 0; i < m->images; i++) {
			if (m->holds[o][i])
				refs_add_owner(refs, image_name(i), owner);
		}
	}
	return refs;
}

/* 1 if some owner holds image i or something whose chain contains it. */
static int model_reached(const struct model *m, size_t i)
{
	for (size_t o = 0; o < m->owners; o++) {
		for (size_t top = 0; top < m->images; top++) {
			int at = (int)top;

			for (size_t steps = 0; m->holds[o][top] && at >= 0 && steps <= m->images; steps++) {
				if (at == (int)i)
					return 1;
				at = m->backing[at];
			}
		}
	}
	return 0;
}

static void check_model(const struct model *m, unsigned int seed, unsigned int number)
{
	_cleanup_(refs_freep) struct refs *refs = build(m);
	_cleanup_strv_ char **orphans = refs_orphans(refs);
	size_t expected = 0;

	for (size_t i = 0; i < m->images; i++) {
		size_t dependants = 0;

		if (strv_has(orphans, image_name(i)) == model_reached(m, i))
			fail_msg("seed %u case %u: image %zu is wrongly (no) orphan", seed, number, i);
		expected += !model_reached(m, i);
		for (size_t j = 0; j < m->images; j++)
			dependants += m->backing[j] == (int)i;
		for (size_t o = 0; o < m->owners; o++)
			dependants += (size_t)m->holds[o][i];
		if (refs_dependants(refs, image_name(i)) != dependants)
			fail_msg("seed %u case %u: image %zu has %zu dependants", seed, number, i, dependants);
	}
	if (strv_count(orphans) != expected)
		fail_msg("seed %u case %u: %zu orphans", seed, number, expected);
	for (size_t i = 0; i < expected; i++) {
		for (size_t j = i + 1; j < expected; j++) {
			int below = atoi(orphans[i] + 3), above = atoi(orphans[j] + 3);

			if (m->backing[above] == below)
				fail_msg("seed %u case %u: image %d before %d", seed, number, below, above);
		}
	}
}

static void test_against_model(void **state _unused_)
{
	const unsigned int seed = 20080627;
	unsigned int rnd = seed;

	for (unsigned int number = 0; number < CASES; number++) {
		struct model m = {
			.images = 1 + (size_t)rand_r(&rnd) % MAX_IMAGES,
			.owners = (size_t)rand_r(&rnd) % (MAX_OWNERS + 1),
		};

		/* A backing image comes from those before it: no cycles here. */
		for (size_t i = 0; i < m.images; i++)
			m.backing[i] = i && rand_r(&rnd) % 4 ? (int)((size_t)rand_r(&rnd) % i) : -1;
		for (size_t o = 0; o < m.owners; o++) {
			for (size_t i = 0; i < m.images; i++)
				m.holds[o][i] = rand_r(&rnd) % 5 == 0;
		}
		check_model(&m, seed, number);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapshots),
		cmocka_unit_test(test_order_and_cycles),
		cmocka_unit_test(test_against_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
