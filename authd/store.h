/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The principals on disk: an SQLite database in WAL mode, used synchronously (a look-up
 * takes microseconds). Main thread.
 *
 * Changes are transactions: store_begin, changes, store_end. Each that can take
 * somebody's access away raises the epoch by one, in the same transaction; an epoch that
 * has been answered with is never lower than what the answer was read from.
 *
 * Errors of every function: E_AGAIN the database is locked by another process; E_LIMIT
 * the disk is full; E_NOMEM; E_DB anything else of SQLite's. They are logged here, at a
 * limited rate, and counted. A value on disk that breaks the rules of principal.h is
 * E_DB.
 */
#ifndef AUTHD_STORE_H
#define AUTHD_STORE_H

#include "authd/principal.h"

struct store;

/* Opens the database, or makes it. */
int store_open(const char *path, struct store **out) MUSTCHECK;
void store_close(struct store **s);

/* Drawn when the database was made: epochs of different ones cannot be compared. */
const char *store_id(const struct store *s);
uint64_t store_epoch(const struct store *s);
/* How often the database failed. */
uint64_t store_errors(const struct store *s);

/* E_NOTFOUND if there is none. *out is a copy. */
int store_find(struct store *s, struct slice authid, struct principal *out) MUSTCHECK;
int store_find_by_key(struct store *s, const uint8_t key[PRINCIPAL_KEY],
		      struct principal *out) MUSTCHECK;

/* The first principal whose authid is behind that one (bytewise); E_NOTFOUND after the
 * last. */
int store_next(struct store *s, struct slice after, struct principal *out) MUSTCHECK;

int store_begin(struct store *s) MUSTCHECK;
/*
 * Ends a transaction with result err: keeps all changes if it is 0, and else none.
 * Returns err, or why they cannot be kept.
 */
int store_end(struct store *s, int err) MUSTCHECK;

/*
 * In a transaction. E_EXISTS: there is such an authid, or the key belongs to somebody.
 * E_NOTFOUND: there is no such principal, or no such key of it.
 */
int store_insert(struct store *s, const struct principal *p) MUSTCHECK;
int store_insert_key(struct store *s, struct slice authid,
		     const uint8_t key[PRINCIPAL_KEY]) MUSTCHECK;
int store_set_disabled(struct store *s, struct slice authid, bool disabled) MUSTCHECK;
/* With its keys. */
int store_delete(struct store *s, struct slice authid) MUSTCHECK;
int store_delete_key(struct store *s, struct slice authid,
		     const uint8_t key[PRINCIPAL_KEY]) MUSTCHECK;
int store_raise_epoch(struct store *s) MUSTCHECK;

#endif
