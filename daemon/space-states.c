/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is known of file systems, and what changes when they are looked at again. */
#include "common/alloc.h"
#include "common/log.h"
#include "common/timefmt.h"
#include "daemon/space-watch.h"

void space_states_free(struct space_state *states, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(states[i].path);
	free(states);
}

void space_states_done(struct space_states *s)
{
	space_states_free(s->known, s->n_known);
	space_states_free(s->changed, s->n_changed);
	*s = (struct space_states){ 0 };
}

static void tell(struct space_states *s, const struct space_state *state)
{
	s->changed = xreallocarray(s->changed, s->n_changed + 1, sizeof(*s->changed));
	s->changed[s->n_changed] = *state;
	s->changed[s->n_changed++].path = xstrdup(state->path);
}

static void log_level(const struct space_state *state, enum space_level before)
{
	_cleanup_free_ char *room = bytes_human(state->free), *total = bytes_human(state->total);
	_cleanup_free_ char *limit = bytes_human(state->level == SPACE_CRITICAL ? state->critical : state->warning);

	if (state->level == SPACE_OK)
		log_info("'%s': %s of %s are free, that is enough again", state->path, room, total);
	else
		log_line(state->level == SPACE_CRITICAL ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
			 "'%s': only %s of %s are free (space-%s: %s)%s", state->path, room, total,
			 space_level_word(state->level), limit, state->level < before ? ", more than before" : "");
}

static const struct space_state *find(const struct space_state *states, size_t n, uint64_t dev)
{
	for (size_t i = 0; i < n; i++)
		if (states[i].dev == dev)
			return &states[i];
	return NULL;
}

/* Those that were not seen are told, but not kept. */
static void tell_gone(struct space_states *s, const struct space_state *seen, size_t n)
{
	for (size_t i = 0; i < s->n_known; i++) {
		struct space_state state = s->known[i];

		if (find(seen, n, state.dev))
			continue;
		if (state.level != SPACE_OK)
			log_info("'%s': nothing is written there any more", state.path);
		state.gone = 1;
		tell(s, &state);
	}
}

void space_states_update(struct space_states *s, const struct space_limit *warning, const struct space_limit *critical,
			 const struct space_state *seen, size_t n)
{
	struct space_state *known = xcalloc(n + 1, sizeof(*known));

	tell_gone(s, seen, n);
	for (size_t i = 0; i < n; i++) {
		const struct space_state *old = find(s->known, s->n_known, seen[i].dev);
		enum space_level before = old ? old->level : SPACE_OK;
		struct space_state *state = &known[i];

		*state = seen[i];
		state->path = xstrdup(seen[i].path);
		state->warning = space_limit_bytes(warning, state->total);
		state->critical = space_limit_bytes(critical, state->total);
		state->level = space_level(state->warning, state->critical, state->free, state->total, before);
		if (state->level != before)
			log_level(state, before);
		if (!old || state->level != before)
			tell(s, state);
	}
	space_states_free(s->known, s->n_known);
	s->known = known;
	s->n_known = n;
}
