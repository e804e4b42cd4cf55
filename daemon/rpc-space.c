/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Free space for clients: in the status, and as a stream of changes. */
#include "common/alloc.h"
#include "common/timefmt.h"
#include "daemon/rpc-request.h"
#include "daemon/rpc-view.h"
#include "daemon/space-watch.h"
#include "varlink/message.h"

static json_t *view_state(const struct space_state *s)
{
	return json_pack("{s:o, s:s, s:I, s:I, s:I, s:I}", "path", vl_string(s->path), "level",
			 s->gone ? "gone" : space_level_word(s->level), "freeBytes", (json_int_t)s->free, "totalBytes",
			 (json_int_t)s->total, "warningBytes", (json_int_t)s->warning, "criticalBytes",
			 (json_int_t)s->critical);
}

static char *problem(const struct space_state *s)
{
	_cleanup_free_ char *room = bytes_human(s->free), *total = bytes_human(s->total);

	return xasprintf("'%s': only %s of %s are free (%s)", s->path, room, total, space_level_word(s->level));
}

json_t *view_file_systems(struct daemon *daemon, json_t *problems)
{
	struct space_state *states;
	json_t *list = json_array();
	size_t n;

	space_watch_look(daemon->space, &states, &n);
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *text = states[i].level == SPACE_OK ? NULL : problem(&states[i]);

		json_array_append_new(list, view_state(&states[i]));
		if (text)
			json_array_append_new(problems, vl_string(text));
	}
	space_states_free(states, n);
	return list;
}

/* A client that watches. */
struct watcher {
	struct daemon *daemon;
	struct rpc_call *call;
	struct space_listener *listener;
};

static void watcher_end(void *arg)
{
	struct watcher *w = arg;

	space_watch_end(w->daemon->space, w->listener);
	cleanup_free(&w);
}

static void watcher_tell(void *arg, const struct space_state *state)
{
	struct watcher *w = arg;

	rpc_reply_continues(w->call, json_pack("{s:o}", "fileSystem", view_state(state)));
}

static void watch_space(struct rpc_call *call, json_t *params _unused_, void *ctx)
{
	struct watcher *w = xcalloc(1, sizeof(*w));

	w->daemon = ctx;
	w->call = call;
	w->listener = space_watch_listen(w->daemon->space, watcher_tell, w);
	rpc_call_on_gone(call, watcher_end, w);
	space_watch_tell(w->daemon->space, w->listener);
}

const struct rpc_method rpc_space_methods[] = {
	{ "WatchSpace", watch_space },
	{ NULL, NULL },
};
