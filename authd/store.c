/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores principals in SQLite; see store.h. Main thread.
 *
 * synchronous is FULL, because a revocation that authctl has reported as done must
 * survive a power failure. Values from the database are checked again: somebody may have
 * edited the file, and a text that is not UTF-8 would break the connection to the
 * routers.
 */
#include "authd/store.h"

#include "common/err.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/sock.h"
#include "common/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum {
	APPLICATION_ID = 0x77616d70, /* "wamp": marks the file as authd's */
	SCHEMA_VERSION = 1,
	BUSY_MS = 100, /* longest wait for another process's lock */
	ID_BYTES = 16,
	ERRORS_LOGGED = 5, /* lines per second */
};

/* Creates a new database. The two pragmas store SCHEMA_VERSION and APPLICATION_ID. */
static const char schema[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE principal ("
	"  authid TEXT PRIMARY KEY, realm TEXT NOT NULL, role TEXT NOT NULL,"
	"  extra BLOB NOT NULL, disabled INTEGER NOT NULL, created INTEGER NOT NULL"
	") WITHOUT ROWID;"
	"CREATE TABLE key ("
	"  pubkey BLOB PRIMARY KEY, authid TEXT NOT NULL REFERENCES principal"
	") WITHOUT ROWID;"
	"CREATE INDEX key_of ON key (authid);"
	"INSERT INTO meta VALUES ('epoch', 1), ('id', lower(hex(randomblob(16))));"
	"PRAGMA user_version = 1;"
	"PRAGMA application_id = 0x77616d70;"
	"COMMIT;";

#define PRINCIPAL_COLUMNS "p.authid, p.realm, p.role, p.extra, p.disabled, p.created"
/* The prepared statements. */
#define STATEMENTS(X)                                                                    \
	X(FIND, "SELECT " PRINCIPAL_COLUMNS " FROM principal p WHERE authid = ?1")       \
	X(FIND_BY_KEY, "SELECT " PRINCIPAL_COLUMNS                                       \
		       " FROM key k JOIN principal p ON p.authid = k.authid"             \
		       " WHERE k.pubkey = ?1")                                           \
	X(NEXT, "SELECT " PRINCIPAL_COLUMNS " FROM principal p WHERE authid > ?1"        \
		" ORDER BY authid LIMIT 1")                                              \
	X(KEYS, "SELECT pubkey FROM key WHERE authid = ?1 ORDER BY pubkey")              \
	X(INSERT, "INSERT INTO principal VALUES (?1, ?2, ?3, ?4, ?5, ?6)")               \
	X(INSERT_KEY, "INSERT INTO key VALUES (?1, ?2)")                                 \
	X(SET_DISABLED, "UPDATE principal SET disabled = ?2 WHERE authid = ?1")          \
	X(DELETE, "DELETE FROM principal WHERE authid = ?1")                             \
	X(DELETE_KEY, "DELETE FROM key WHERE pubkey = ?1 AND authid = ?2")               \
	X(DELETE_KEYS, "DELETE FROM key WHERE authid = ?1")                              \
	X(RAISE_EPOCH, "UPDATE meta SET value = value + 1 WHERE name = 'epoch'"          \
		       " RETURNING value")

enum statement {
#define X(name, text) SQL_##name,
	STATEMENTS(X)
#undef X
		SQL_COUNT,
};
static const char *const sql[] = {
#define X(name, text) [SQL_##name] = (text),
	STATEMENTS(X)
#undef X
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[SQL_COUNT];
	char id[2 * ID_BYTES + 1];
	uint64_t epoch;      /* of the last committed transaction */
	uint64_t next_epoch; /* of the current transaction */
	uint64_t errors;
	struct log_rate rate;
	int lock; /* the lock file */
};

/* --- SQLite's results --- */

/* Counts and logs an error of SQLite. Returns the error in store.h that it maps to. */
static int sqlite_failed(struct store *s, int rc, const char *operation)
{
	s->errors++;
	log_limited(
		&s->rate, clock_now_ns() / 1000000, LOG_LEVEL_ERROR, NULL,
		"database failed operation=\"%s\" reason=\"%s\" code=%d suppressed=%u",
		operation, sqlite3_errmsg(s->db), sqlite3_extended_errcode(s->db));
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return E_AGAIN;
	case SQLITE_FULL:
		return E_LIMIT;
	case SQLITE_NOMEM:
		return E_NOMEM;
	default:
		return E_DB;
	}
}

/* Runs SQL that returns no rows. `operation` names the step in the log. */
static int exec(struct store *s, const char *operation, const char *text)
{
	int rc = sqlite3_exec(s->db, text, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : sqlite_failed(s, rc, operation);
}

/*
 * A parameter of a statement. PARAM_END ends an array of them. bytes points to data of
 * the caller.
 */
struct param {
	enum { PARAM_END = 0, PARAM_TEXT = 1, PARAM_BLOB = 2, PARAM_INT = 3 } type;
	struct slice bytes;
	int64_t number;
};
#define PARAMS(...) ((const struct param[]){__VA_ARGS__, {PARAM_END}})

static struct param text(struct slice s)
{
	/* SQLite would store a NULL pointer as NULL, not as ''. */
	return (struct param){PARAM_TEXT, s.len == 0 ? slice_of("", 0) : s, 0};
}

static struct param blob(const void *p, size_t len)
{
	return (struct param){PARAM_BLOB, slice_of(p, len), 0};
}

static struct param number(uint64_t n)
{
	return (struct param){PARAM_INT, slice_of(NULL, 0), (int64_t)n};
}

static int set_params(struct store *s, enum statement which, const struct param *params)
{
	sqlite3_stmt *st = s->statements[which];
	int rc = SQLITE_OK;

	for (int at = 1; rc == SQLITE_OK && params->type != PARAM_END; at++, params++) {
		const struct slice *b = &params->bytes;
		if (params->type == PARAM_INT)
			rc = sqlite3_bind_int64(st, at, params->number);
		else if (params->type == PARAM_BLOB)
			rc = sqlite3_bind_blob(st, at, b->p, (int)b->len, SQLITE_STATIC);
		else
			rc = sqlite3_bind_text(st, at, (const char *)b->p, (int)b->len,
					       SQLITE_STATIC);
	}
	return rc == SQLITE_OK ? 0 : sqlite_failed(s, rc, sql[which]);
}

/* Call this after each use of a statement. Otherwise its read transaction stays open. */
static void reset_statement(struct store *s, enum statement which)
{
	/* Ignore the result: it repeats the error that step has returned. */
	sqlite3_reset(s->statements[which]);
	sqlite3_clear_bindings(s->statements[which]);
}

/*
 * Steps a statement. 0: there is a row. E_NOTFOUND: no more rows. E_EXISTS: a primary key
 * exists already.
 */
static int step(struct store *s, enum statement which)
{
	int rc = sqlite3_step(s->statements[which]);

	if (rc == SQLITE_ROW)
		return 0;
	if (rc == SQLITE_DONE)
		return E_NOTFOUND;
	if (sqlite3_extended_errcode(s->db) == SQLITE_CONSTRAINT_PRIMARYKEY)
		return E_EXISTS;
	return sqlite_failed(s, rc, sql[which]);
}

/* Runs a statement that returns no rows. E_EXISTS: a primary key exists already. */
static int run_statement(struct store *s, enum statement which,
			 const struct param *params)
{
	int err = set_params(s, which, params);

	if (err == 0)
		err = step(s, which);
	reset_statement(s, which);
	return err == E_NOTFOUND ? 0 : err;
}

/* Like run_statement. E_NOTFOUND if no row has changed. */
static int run_changing(struct store *s, enum statement which, const struct param *params)
{
	int err = run_statement(s, which, params);

	return err == 0 && sqlite3_changes(s->db) == 0 ? E_NOTFOUND : err;
}

/* --- the lock file --- */

/*
 * A second authd would not be connected to the routers of the first, so its revocations
 * would reach nobody. The lock is flock(2) on a file next to the database; it ends when
 * the process ends, even if the process crashes. The file contains the owner's pid.
 */
static pid_t read_pid(int fd)
{
	char text[16] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	return n > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

static void write_pid(int fd)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	/* If the disk is full, the lock still works, but the log of a waiting authd
	 * cannot show the pid. */
	if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) != n)
		(void)!ftruncate(fd, 0);
}

/*
 * Locks the database at path until *fd_out is closed. E_AGAIN: another process has locked
 * it; *holder_out is its pid, or 0 if unknown. E_SYS: the lock file cannot be created or
 * locked. E_RANGE: its name is too long.
 */
static int take_lock(const char *path, int *fd_out, pid_t *holder_out)
{
	char real[PATH_MAX], name[PATH_MAX + 8];

	/* Resolve links, so that one database has one lock file. */
	if (realpath(path, real) == NULL) {
		if (errno != ENOENT)
			return E_SYS;
		if (strlen(path) >= sizeof(real))
			return E_RANGE;
		strcpy(real, path);
	}
	snprintf(name, sizeof(name), "%s.lock", real);
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1)
		return E_SYS;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		write_pid(fd);
		*fd_out = fd;
		return 0;
	}
	int saved = errno;
	if (saved == EWOULDBLOCK)
		*holder_out = read_pid(fd);
	sock_close(&fd);
	errno = saved;
	return saved == EWOULDBLOCK ? E_AGAIN : E_SYS;
}

/* --- opening --- */

/*
 * Runs a query up to its first row. The caller must finalize *out, even after an error.
 */
static int first_row(struct store *s, const char *query, sqlite3_stmt **out)
{
	int rc = sqlite3_prepare_v2(s->db, query, -1, out, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(*out);
	return rc == SQLITE_ROW ? 0 : sqlite_failed(s, rc, query);
}

/*
 * Creates the tables of a new database. Refuses a file that is not authd's, or that a
 * newer version has made.
 */
static int prepare_schema(struct store *s, const char *path)
{
	int64_t version = 0, application = 0, objects = 0;
	sqlite3_stmt *st;

	int err = first_row(s,
			    "SELECT user_version, application_id,"
			    " (SELECT count(*) FROM sqlite_master)"
			    " FROM pragma_user_version, pragma_application_id",
			    &st);
	if (err == 0) {
		version = sqlite3_column_int64(st, 0);
		application = sqlite3_column_int64(st, 1);
		objects = sqlite3_column_int64(st, 2);
	}
	sqlite3_finalize(st);
	if (err != 0)
		return err;
	/* Accept an empty file: it becomes a database of authd. */
	if ((application != APPLICATION_ID && objects > 0) || version < 0) {
		log_error(NULL,
			  "the database belongs to another program: correct 'database' "
			  "in the configuration path=%s",
			  log_quote(slice_str(path)).text);
		return E_DB;
	}
	if (version > SCHEMA_VERSION) {
		log_error(NULL,
			  "the database was made by a newer authd: upgrade authd path=%s "
			  "schema=%lld supported=%d",
			  log_quote(slice_str(path)).text, (long long)version,
			  SCHEMA_VERSION);
		return E_DB;
	}
	return version == SCHEMA_VERSION ? 0 : exec(s, "create the tables", schema);
}

static int load_meta(struct store *s)
{
	static const char query[] = "SELECT e.value, i.value FROM meta e, meta i"
				    " WHERE e.name = 'epoch' AND i.name = 'id'";
	sqlite3_stmt *st;

	int err = first_row(s, query, &st);
	if (err == 0 && sqlite3_column_bytes(st, 1) != sizeof(s->id) - 1)
		err = sqlite_failed(s, SQLITE_CORRUPT, query);
	if (err == 0) {
		s->epoch = (uint64_t)sqlite3_column_int64(st, 0);
		memcpy(s->id, sqlite3_column_text(st, 1), sizeof(s->id) - 1);
	}
	sqlite3_finalize(st);
	return err;
}

int store_open(const char *path, struct store **out, pid_t *holder_out)
{
	struct store *s = calloc(1, sizeof(*s));
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	int err;

	if (s == NULL)
		return E_NOMEM;
	s->rate.burst = ERRORS_LOGGED;
	s->lock = -1;
	*holder_out = 0;
	err = take_lock(path, &s->lock, holder_out);
	if (err != 0 && err != E_AGAIN)
		log_error(NULL, "cannot lock the database path=%s.lock reason=\"%s\"",
			  log_quote(slice_str(path)).text, err_str(err));
	if (err != 0)
		goto fail;
	int rc = sqlite3_open_v2(path, &s->db, flags, NULL);
	if (rc != SQLITE_OK) {
		err = sqlite_failed(s, rc, "open");
		goto fail;
	}
	sqlite3_busy_timeout(s->db, BUSY_MS);
	/* trusted_schema is OFF because somebody may have edited the file: its views and
	 * triggers must not run functions with side effects. */
	err = exec(s, "configure the connection",
		   "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		   "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;");
	if (err == 0)
		err = prepare_schema(s, path);
	if (err == 0)
		err = load_meta(s);
	for (int i = 0; err == 0 && i < SQL_COUNT; i++) {
		rc = sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					&s->statements[i], NULL);
		if (rc != SQLITE_OK)
			err = sqlite_failed(s, rc, sql[i]);
	}
	if (err != 0)
		goto fail;
	*out = s;
	return 0;
fail:
	store_close(&s);
	return err;
}

void store_close(struct store **sp)
{
	struct store *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	for (int i = 0; i < SQL_COUNT; i++)
		sqlite3_finalize(s->statements[i]);
	sqlite3_close(s->db);
	/* Unlock last: another authd may open the database at once. */
	sock_close(&s->lock);
	free(s);
}

const char *store_id(const struct store *s)
{
	return s->id;
}

uint64_t store_epoch(const struct store *s)
{
	return s->epoch;
}

uint64_t store_errors(const struct store *s)
{
	return s->errors;
}

/* --- reading --- */

static struct slice column(struct store *s, enum statement which, int i)
{
	/* Get the pointer first: asking for the length first could convert the value to
	 * text. */
	const void *p = sqlite3_column_blob(s->statements[which], i);
	int len = sqlite3_column_bytes(s->statements[which], i);

	return slice_of(p, p == NULL ? 0 : (size_t)len);
}

static int damaged(struct store *s, struct slice authid)
{
	s->errors++;
	log_limited(&s->rate, clock_now_ns() / 1000000, LOG_LEVEL_ERROR, NULL,
		    "the database has an invalid principal: remove it and add it again "
		    "authid=%s suppressed=%u",
		    log_quote(authid).text);
	return E_DB;
}

static bool storable_name(struct slice s)
{
	return utf8_valid(s) && principal_name_ok(s);
}

static int load_keys(struct store *s, struct admin_principal *p)
{
	int err = set_params(s, SQL_KEYS, PARAMS(text(p->authid)));

	while (err == 0) {
		err = step(s, SQL_KEYS);
		if (err != 0)
			break;
		struct slice key = column(s, SQL_KEYS, 0);
		if (key.len != FIELD_KEY_LEN || principal_key_add(&p->keys, key.p) != 0)
			err = damaged(s, p->authid);
	}
	reset_statement(s, SQL_KEYS);
	return err == E_NOTFOUND ? 0 : err;
}

/* Runs a query for one principal and reads the principal. */
static int find_principal(struct store *s, enum statement which,
			  const struct param *params, struct principal *out)
{
	sqlite3_stmt *st = s->statements[which];
	uint8_t *pos = out->bytes;
	int err = set_params(s, which, params);

	if (err == 0)
		err = step(s, which);
	if (err != 0)
		goto out;
	struct slice authid = column(s, which, 0), realm = column(s, which, 1);
	struct slice role = column(s, which, 2), extra = column(s, which, 3);
	if (!storable_name(authid) || !storable_name(realm) || !storable_name(role) ||
	    principal_extra_check(extra) != 0) {
		err = damaged(s, authid);
		goto out;
	}
	out->is = (struct admin_principal){
		.authid = slice_store(&pos, authid),
		.realm = slice_store(&pos, realm),
		.role = slice_store(&pos, role),
		.extra = slice_store(&pos, extra),
		.disabled = sqlite3_column_int64(st, 4) != 0,
		.created = (uint64_t)sqlite3_column_int64(st, 5),
	};
	err = load_keys(s, &out->is);
out:
	reset_statement(s, which);
	return err;
}

int store_find(struct store *s, struct slice authid, struct principal *out)
{
	return find_principal(s, SQL_FIND, PARAMS(text(authid)), out);
}

int store_find_by_key(struct store *s, const uint8_t key[FIELD_KEY_LEN],
		      struct principal *out)
{
	return find_principal(s, SQL_FIND_BY_KEY, PARAMS(blob(key, FIELD_KEY_LEN)), out);
}

int store_next(struct store *s, struct slice after, struct principal *out)
{
	return find_principal(s, SQL_NEXT, PARAMS(text(after)), out);
}

/* --- changing --- */

int store_begin(struct store *s)
{
	s->next_epoch = s->epoch;
	return exec(s, "begin a transaction", "BEGIN IMMEDIATE");
}

int store_end(struct store *s, int err)
{
	if (err == 0)
		err = exec(s, "commit", "COMMIT");
	if (err == 0) {
		s->epoch = s->next_epoch;
	} else if (sqlite3_get_autocommit(s->db) == 0) {
		/* After some errors SQLite has rolled back already. Otherwise roll
		 * back here. If that fails, the next BEGIN fails too. */
		(void)!exec(s, "roll back", "ROLLBACK");
	}
	return err;
}

int store_insert(struct store *s, const struct admin_principal *p)
{
	int err = run_statement(s, SQL_INSERT,
				PARAMS(text(p->authid), text(p->realm), text(p->role),
				       blob(p->extra.p, p->extra.len),
				       number(p->disabled ? 1 : 0), number(p->created)));

	for (unsigned i = 0; err == 0 && i < p->keys.n; i++)
		err = store_insert_key(s, p->authid, p->keys.key[i]);
	return err;
}

int store_insert_key(struct store *s, struct slice authid,
		     const uint8_t key[FIELD_KEY_LEN])
{
	return run_statement(s, SQL_INSERT_KEY,
			     PARAMS(blob(key, FIELD_KEY_LEN), text(authid)));
}

int store_set_disabled(struct store *s, struct slice authid, bool disabled)
{
	return run_changing(s, SQL_SET_DISABLED,
			    PARAMS(text(authid), number(disabled ? 1 : 0)));
}

int store_delete(struct store *s, struct slice authid)
{
	/* Delete the keys first, since they refer to the principal. */
	int err = run_statement(s, SQL_DELETE_KEYS, PARAMS(text(authid)));

	return err != 0 ? err : run_changing(s, SQL_DELETE, PARAMS(text(authid)));
}

int store_delete_key(struct store *s, struct slice authid,
		     const uint8_t key[FIELD_KEY_LEN])
{
	return run_changing(s, SQL_DELETE_KEY,
			    PARAMS(blob(key, FIELD_KEY_LEN), text(authid)));
}

int store_raise_epoch(struct store *s)
{
	int err = step(s, SQL_RAISE_EPOCH);

	if (err == 0)
		s->next_epoch =
			(uint64_t)sqlite3_column_int64(s->statements[SQL_RAISE_EPOCH], 0);
	/* The first step of a statement with RETURNING makes the change, so one step is
	 * enough. */
	reset_statement(s, SQL_RAISE_EPOCH);
	return err;
}
