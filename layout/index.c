/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The index as a database: open, check, make anew, close. */
#include "layout/index.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/fileio.h"
#include "common/log.h"
#include "layout/index-internal.h"

#define SCHEMA_VERSION 1
#define BUSY_MSEC 5000

static const char schema[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE vm ("
	" guid TEXT PRIMARY KEY, name TEXT NOT NULL, root TEXT NOT NULL, now TEXT NOT NULL,"
	" stamp INTEGER NOT NULL, saved INTEGER NOT NULL, blocker TEXT) WITHOUT ROWID;"
	"CREATE TABLE snapshot ("
	" vm TEXT NOT NULL, guid TEXT NOT NULL, parent TEXT NOT NULL, name TEXT NOT NULL, notes TEXT,"
	" created INTEGER NOT NULL, mode TEXT, memory_bytes INTEGER NOT NULL, disk_bytes INTEGER NOT NULL,"
	" PRIMARY KEY (vm, guid)) WITHOUT ROWID;"
	"CREATE TABLE job ("
	" seq INTEGER PRIMARY KEY, id TEXT NOT NULL, operation TEXT, vm TEXT, state TEXT, message TEXT,"
	" started INTEGER NOT NULL, finished INTEGER NOT NULL);"
	"PRAGMA user_version = 1;"
	"COMMIT;";

_Static_assert(SCHEMA_VERSION == 1, "the schema above sets its version too");

/* 1 if rc says that the file is no sound database of ours. */
static int means_damaged(int rc)
{
	rc &= 0xff;
	return rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB;
}

static int code_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_READONLY:
		return rc == SQLITE_READONLY_DBMOVED ? -EBADMSG : -EROFS;
	case SQLITE_NOMEM:
		return -ENOMEM;
	default:
		return rc == SQLITE_IOERR_SHMSIZE ? -ENOSPC : -EIO;
	}
}

int index_error(struct index *ix, int rc, const char *what, struct err *reterr)
{
	int code = code_of(rc);

	if (means_damaged(rc))
		ix->damaged = 1;
	return err_full(reterr, code == -EBADMSG ? ERR_BAD_DATA : ERR_FAILED, code, NULL, ix->path, NULL,
			"%s in the index '%s': %s", what, ix->path, sqlite3_errstr(rc));
}

static void close_db(struct index *ix)
{
	for (size_t i = 0; i < STMT_COUNT; i++) {
		sqlite3_finalize(ix->stmt[i]);
		ix->stmt[i] = NULL;
	}
	sqlite3_close(ix->db);
	ix->db = NULL;
}

/* Names the file beside the database with this ending. Returns it *owned*. */
static char *beside(const struct index *ix, const char *suffix)
{
	return xasprintf("%s%s", ix->path, suffix);
}

/* Moves the database and its log to name.corrupt, over an earlier one. */
static int move_away(const struct index *ix, struct err *reterr)
{
	_cleanup_free_ char *corrupt = beside(ix, ".corrupt"), *wal = beside(ix, "-wal"), *shm = beside(ix, "-shm");
	_cleanup_free_ char *corrupt_wal = beside(ix, ".corrupt-wal");

	if (rename(ix->path, corrupt) < 0 && errno != ENOENT)
		return err_file(reterr, -errno, ix->path, "cannot move the damaged index '%s' away", ix->path);
	if (rename(wal, corrupt_wal) < 0 && errno != ENOENT)
		return err_file(reterr, -errno, wal, "cannot move the damaged index's log '%s' away", wal);
	ignore_result(unlink(shm)); /* says nothing without the other two */
	log_debug("index '%s' was damaged and moved to '%s'", ix->path, corrupt);
	return 0;
}

/* Makes sure that the file is there with our mode, before SQLite makes it. */
static int touch(struct index *ix, struct err *reterr)
{
	_cleanup_close_ int fd = open(ix->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0 || fchmod(fd, 0600) < 0 || fstat(fd, &st) < 0)
		return err_file(reterr, -errno, ix->path, "cannot open the index '%s'", ix->path);
	ix->dev = st.st_dev;
	ix->ino = st.st_ino;
	return 0;
}

/* First number (or -1) that a query gives. Returns SQLite's result. */
static int query_int(struct index *ix, const char *sql, int64_t *ret_value)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(ix->db, sql, -1, &stmt, NULL);

	*ret_value = -1;
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*ret_value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* SQLITE_CORRUPT unless every page and every key is sound. */
static int check_pages(struct index *ix)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(ix->db, "PRAGMA integrity_check(1)", -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		const unsigned char *text = sqlite3_column_text(stmt, 0);

		rc = text && strcmp((const char *)text, "ok") == 0 ? SQLITE_OK : SQLITE_CORRUPT;
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int prepare_all(struct index *ix)
{
	for (size_t i = 0; i < STMT_COUNT; i++) {
		int rc = sqlite3_prepare_v3(ix->db, index_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &ix->stmt[i], NULL);

		/* No such table or column: not a database of ours, whatever its version says. */
		if (rc != SQLITE_OK)
			return rc == SQLITE_ERROR ? SQLITE_NOTADB : rc;
	}
	return SQLITE_OK;
}

/* Brings an opened database to the state in which it is used. */
static int set_up(struct index *ix, int *ret_fresh)
{
	int64_t version = 0, tables = 0;
	int rc = sqlite3_exec(ix->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;", NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = query_int(ix, "PRAGMA user_version", &version);
	if (rc == SQLITE_OK)
		rc = query_int(ix, "SELECT count(*) FROM sqlite_master", &tables);
	if (rc == SQLITE_OK)
		rc = check_pages(ix);
	if (rc != SQLITE_OK)
		return rc;
	if (version == 0 && tables == 0) {
		*ret_fresh = 1;
		rc = sqlite3_exec(ix->db, schema, NULL, NULL, NULL);
	} else if (version != SCHEMA_VERSION) {
		rc = SQLITE_NOTADB;
	}
	return rc == SQLITE_OK ? prepare_all(ix) : rc;
}

/* Returns SQLite's result; nothing is open unless that is SQLITE_OK. */
static int open_db(struct index *ix, const char *name, int *ret_fresh)
{
	int rc = sqlite3_open_v2(name, &ix->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc == SQLITE_OK) {
		sqlite3_extended_result_codes(ix->db, 1);
		sqlite3_busy_timeout(ix->db, BUSY_MSEC);
		rc = set_up(ix, ret_fresh);
	}
	if (rc != SQLITE_OK)
		close_db(ix);
	return rc;
}

/* One try. Returns 1 if the file has to be made anew. */
static int try_open(struct index *ix, int *ret_fresh, struct err *reterr)
{
	int r = touch(ix, reterr), rc;

	if (r < 0)
		return r;
	rc = open_db(ix, ix->path, ret_fresh);
	if (rc == SQLITE_OK)
		return 0;
	if (means_damaged(rc))
		return 1;
	return index_error(ix, rc, "cannot begin to work", reterr);
}

int index_open(const char *path, struct index **ret_index, int *ret_fresh, struct err *reterr)
{
	_cleanup_(index_closep) struct index *ix = xcalloc(1, sizeof(*ix));
	int fresh = 0, r;

	ix->path = xstrdup(path);
	pthread_mutex_init(&ix->lock, NULL);
	r = try_open(ix, &fresh, reterr);
	if (r > 0) {
		r = move_away(ix, reterr);
		if (r < 0)
			return r;
		r = try_open(ix, &fresh, reterr);
		if (r > 0)
			r = index_error(ix, SQLITE_CORRUPT, "cannot begin anew", reterr);
	}
	if (r < 0)
		return r;
	if (ret_fresh)
		*ret_fresh = fresh;
	*ret_index = TAKE_PTR(ix);
	return 0;
}

int index_open_memory(struct index **ret_index, struct err *reterr)
{
	_cleanup_(index_closep) struct index *ix = xcalloc(1, sizeof(*ix));
	int fresh, rc;

	ix->path = xstrdup("(no file)"); /* there is none of that name: stale */
	pthread_mutex_init(&ix->lock, NULL);
	rc = open_db(ix, ":memory:", &fresh);
	if (rc != SQLITE_OK)
		return index_error(ix, rc, "cannot begin in memory", reterr);
	*ret_index = TAKE_PTR(ix);
	return 0;
}

void index_close(struct index *ix)
{
	if (!ix)
		return;
	close_db(ix);
	/* The next one to open it may not find the damage that we have found. */
	if (ix->damaged && !index_is_stale(ix))
		ignore_result(move_away(ix, NULL)); /* then that one has to find it */
	pthread_mutex_destroy(&ix->lock);
	free(ix->path);
	free(ix);
}

int index_is_stale(const struct index *ix)
{
	struct stat st;

	return !ix->ino || stat(ix->path, &st) < 0 || st.st_dev != ix->dev || st.st_ino != ix->ino;
}

sqlite3_stmt *index_begin(struct index *ix, enum index_stmt which)
{
	return ix->stmt[which];
}

void index_end(sqlite3_stmt *stmt)
{
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
}

int index_run(struct index *ix, sqlite3_stmt *stmt, const char *what, struct err *reterr)
{
	int rc = sqlite3_step(stmt);

	index_end(stmt);
	if (rc == SQLITE_DONE || rc == SQLITE_ROW)
		return 0;
	return index_error(ix, rc, what, reterr);
}

struct index *index_lock(struct index *ix)
{
	pthread_mutex_lock(&ix->lock);
	return ix;
}

void index_unlock(struct index *ix)
{
	pthread_mutex_unlock(&ix->lock);
}
