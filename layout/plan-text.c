/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plan's words. */
#include "common/cleanup.h"
#include "layout/plan.h"

static const char *const kinds[] = {
	[PLAN_REMOVE] = "remove",   [PLAN_PULL] = "pull", [PLAN_COMMIT] = "commit",
	[PLAN_FLATTEN] = "flatten", [PLAN_KEEP] = "keep",
};

static const struct {
	const char *word, *text;
} whys[] = {
	[PLAN_WHY_UNREACHED] = { "unreached", "nothing needs it any more" },
	[PLAN_WHY_FEWER_BYTES] = { "fewer-bytes", "the other way more bytes would be copied" },
	[PLAN_WHY_NO_REPOINT] = { "no-repoint", "as many bytes would be copied the other way, and more files be changed" },
	[PLAN_WHY_ONLY_WAY] = { "only-way", "the other way is not possible" },
	[PLAN_WHY_INTO_BASE] = { "into-base", "the base disk was named for it" },
	[PLAN_WHY_ASKED] = { "asked", "it was asked for" },
	[PLAN_WHY_BRANCHES] = { "branches", "two or more images depend on it; it is merged when one is left" },
	[PLAN_WHY_OUTSIDE] = { "outside", "it or what depends on it lies outside the VM directory" },
	[PLAN_WHY_SHARED] = { "shared", "another VM uses it" },
	[PLAN_WHY_ORPHAN] = { "orphan", "an image that nothing else needs depends on it" },
	[PLAN_WHY_LATER] = { "later", "it can only be merged while the VM is off" },
	[PLAN_WHY_FIXED] = { "fixed", "neither it nor what depends on it may be written or removed as it would take" },
	[PLAN_WHY_BASE] = { "base", "it is a base disk, which is not removed" },
};

const char *plan_kind_text(enum plan_kind kind)
{
	return (size_t)kind < ARRAY_SIZE(kinds) ? kinds[kind] : "?";
}

const char *plan_why_word(enum plan_why why)
{
	return (size_t)why < ARRAY_SIZE(whys) ? whys[why].word : "?";
}

const char *plan_why_text(enum plan_why why)
{
	return (size_t)why < ARRAY_SIZE(whys) ? whys[why].text : "?";
}
