/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the index share: the open database, its prepared statements
 * and the way an SQLite failure becomes an error. */
#ifndef LAYOUT_INDEX_INTERNAL_H
#define LAYOUT_INDEX_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "layout/index.h"

enum index_stmt {
	STMT_BEGIN,
	STMT_COMMIT,
	STMT_ROLLBACK,
	STMT_PUT_VM,
	STMT_PUT_SNAPSHOT,
	STMT_DROP_VM,
	STMT_DROP_SNAPSHOTS,
	STMT_GET_VM,
	STMT_LIST_VMS,
	STMT_LIST_SNAPSHOTS,
	STMT_ADD_JOB,
	STMT_TRIM_JOBS,
	STMT_LIST_JOBS,
	STMT_COUNT,
};

struct index {
	char *path;
	sqlite3 *db;
	sqlite3_stmt *stmt[STMT_COUNT];
	pthread_mutex_t lock;
	dev_t dev; /* of the file that was opened */
	ino_t ino;
	int damaged; /* found so in use: moved away when it is closed */
};

/* Text of every statement. */
extern const char *const index_sql[STMT_COUNT];

/* Turns SQLite's result rc into an error about the index: what is the attempt
 * ("cannot list the VMs"). -EBADMSG: it is damaged and has to be opened anew.
 * Returns negative errno. */
int index_error(struct index *ix, int rc, const char *what, struct err *reterr);

/* A statement ready for binding (*borrowed*); index_end() when done with it. */
sqlite3_stmt *index_begin(struct index *ix, enum index_stmt which);

/* Runs a statement that gives no rows, and ends it. Returns 0 or negative errno. */
_must_check_ int index_run(struct index *ix, sqlite3_stmt *stmt, const char *what, struct err *reterr);

/* Ends a statement: it lets go of its rows and of what was bound. */
void index_end(sqlite3_stmt *stmt);
DEFINE_CLEANUP(sqlite3_stmt, index_end);

/* Holds the index for one call from any thread. */
struct index *index_lock(struct index *ix);
void index_unlock(struct index *ix); /* lets go of it, as index_lock() */
DEFINE_CLEANUP(struct index, index_unlock);
#define _cleanup_index_unlock_ _cleanup_(index_unlockp)

#endif
