/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A Varlink server with a few methods in a private folder, and the client's side
 * of it as raw sockets, in one thread: whoever waits for bytes turns the loop. */
#ifndef TESTS_UNIT_RPC_UTIL_H
#define TESTS_UNIT_RPC_UTIL_H

#include <stddef.h>

#include "daemon/rpc.h"

#define TEST_IFACE "org.example.test"

/* One call that its handler keeps until the test ends it. */
struct held {
	struct rpc_call *call; /* NULL when it has ended or its client is gone */
	char *text;
	int gone;
};

struct rig {
	struct event_base *base;
	struct event *tick; /* so that a turn of the loop always ends */
	char dir[32];
	char *path;
	struct rpc_options opts;
	struct rpc_server *srv;
	struct held held[8];
	int n_held;
	int deaf;      /* Hold does not ask to be told when its client goes */
	int echoes;    /* Echo calls so far */
	long produced; /* bytes that Flood has sent */
	long to_produce;
	struct rpc_call *flood;
	uid_t uid; /* who called Echo last */
	size_t n_groups;
};

/* Makes the rig, *owned*; the server is not started yet. */
struct rig *rig_new(void);

/* Starts the server with rig->opts; it must succeed. */
void rig_start(struct rig *rig);

/* Stops it and frees all (*taken*). */
void rig_free(struct rig *rig);

/* cmocka's hooks around a started rig. */
int rig_setup(void **state);
int rig_teardown(void **state); /* as rig_setup() */

/* A connection to the server, non-blocking, *owned*. */
int rig_connect(struct rig *rig);

/* One turn of the loop. */
void rig_turn(struct rig *rig);

/* Turns the loop until *value is at least wanted. */
void rig_wait(struct rig *rig, const int *value, int wanted);

/* Turns the loop until nothing has happened on it for some turns. */
void rig_settle(struct rig *rig);

/* Sends len bytes, all of which must be taken. */
void say_bytes(int fd, const void *bytes, size_t len);

/* Sends a message with its NUL. */
void say(int fd, const char *text);

/* Sends a call of TEST_IFACE with JSON parameters. */
void call(int fd, const char *method, const char *params);

/* The next message, *owned*, or NULL when the server has closed. */
char *hear(struct rig *rig, int fd);

/* The next message must be this text; with NULL the server must close. */
void expect_reply(struct rig *rig, int fd, const char *text);

/* The next message must be this error, with these parameters (NULL: none). */
void expect_error(struct rig *rig, int fd, const char *name, const char *params);

/* Ends a held call with its own text. */
void answer(struct held *held);

#endif
