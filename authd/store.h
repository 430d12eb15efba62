/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores principals in an SQLite database in WAL mode. Calls are synchronous; a lookup
 * takes microseconds. Main thread.
 *
 * Changes are made in transactions: store_begin, changes, store_end. A change that can
 * revoke access raises the epoch by one in the same transaction. If store_epoch is called
 * before a lookup, the data that the lookup returns is at least as new as that epoch.
 *
 * Errors of all functions: E_AGAIN if another process has locked the database; E_LIMIT if
 * the disk is full; E_NOMEM; E_DB for all other errors of SQLite, and for values in the
 * database that break the rules of principal.h. Errors of SQLite and such values are
 * counted, and logged at a limited rate.
 */
#ifndef AUTHD_STORE_H
#define AUTHD_STORE_H

#include "authd/principal.h"

#include <sys/types.h>

struct store;

/* A principal from the database. Do not copy it: `is` points into bytes. */
struct principal {
	struct admin_principal is; /* its keys are sorted */
	uint8_t bytes[3 * AUTH_MAX_NAME + ADMIN_MAX_EXTRA];
};

/*
 * Opens the database, creates it if it does not exist, and locks it, since only one authd
 * at a time may use a database. E_AGAIN: another process uses it; *holder_out is its pid
 * if it is an authd, or 0 if it is another program or its pid is unknown. E_SYS, E_RANGE:
 * the lock file cannot be used.
 */
int store_open(const char *path, struct store **out, pid_t *holder_out) MUSTCHECK;
/* Closes and unlocks the database. */
void store_close(struct store **s);

/*
 * A random id, chosen when the database was created. Epochs of databases with different
 * ids cannot be compared.
 */
const char *store_id(const struct store *s);
uint64_t store_epoch(const struct store *s);
/* The number of errors so far. */
uint64_t store_errors(const struct store *s);

/* Find a principal. E_NOTFOUND if there is none. After an error *out is undefined. */
int store_find(struct store *s, struct slice authid, struct principal *out) MUSTCHECK;
int store_find_by_key(struct store *s, const uint8_t key[FIELD_KEY_LEN],
		      struct principal *out) MUSTCHECK;

/*
 * Finds the first principal whose authid is greater than `after`, compared bytewise.
 * E_NOTFOUND if there is none.
 */
int store_next(struct store *s, struct slice after, struct principal *out) MUSTCHECK;

/* Begins a transaction. */
int store_begin(struct store *s) MUSTCHECK;
/*
 * Ends a transaction: commits if err is 0, else rolls back. Returns err, or the error of
 * the commit.
 */
int store_end(struct store *s, int err) MUSTCHECK;

/*
 * Call these functions only within a transaction. E_EXISTS: the authid exists already, or
 * the key belongs to a principal. E_NOTFOUND: there is no such principal, or it has no
 * such key.
 */
int store_insert(struct store *s, const struct admin_principal *p) MUSTCHECK;
int store_insert_key(struct store *s, struct slice authid,
		     const uint8_t key[FIELD_KEY_LEN]) MUSTCHECK;
int store_set_disabled(struct store *s, struct slice authid, bool disabled) MUSTCHECK;
/* Deletes a principal and its keys. */
int store_delete(struct store *s, struct slice authid) MUSTCHECK;
int store_delete_key(struct store *s, struct slice authid,
		     const uint8_t key[FIELD_KEY_LEN]) MUSTCHECK;
/* Raises the epoch by one. */
int store_raise_epoch(struct store *s) MUSTCHECK;

#endif
