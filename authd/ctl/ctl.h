/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authctl: what its commands share. One command, one or a few requests, one output. A
 * function that returns int returns an exit code of sysexits.h, and has said on standard
 * error what is wrong unless it is EX_OK.
 */
#ifndef AUTHD_CTL_CTL_H
#define AUTHD_CTL_CTL_H

#include "common/buf.h"
#include "proto/admin_api.h"
#include "proto/auth_api.h"
#include "proto/ssh_key.h"

#include <getopt.h>
#include <jansson.h>
#include <sysexits.h>

#define CTL_SOCKET "/run/authd/admin.sock"

enum ctl_format {
	CTL_TABLE = 0, /* for people; what a terminal gets by default */
	CTL_PLAIN = 1, /* fields with a TAB between them; what a pipe gets */
	CTL_JSON = 2,
};

struct ctl {
	const char *socket;
	enum ctl_format format;
	uint64_t timeout_ms;
	const struct ctl_command *command;
};

struct ctl_command {
	const char *noun, *verb;
	const char *usage;                                  /* what follows the verb */
	const char *help;                                   /* about, options, example */
	int (*run)(struct ctl *ctl, int argc, char **argv); /* argv[0] is the verb */
};

/* One file a noun. */
int principal_add(struct ctl *ctl, int argc, char **argv);
int principal_list(struct ctl *ctl, int argc, char **argv);
int principal_show(struct ctl *ctl, int argc, char **argv);
int principal_disable(struct ctl *ctl, int argc, char **argv);
int principal_enable(struct ctl *ctl, int argc, char **argv);
int principal_remove(struct ctl *ctl, int argc, char **argv);
int key_add(struct ctl *ctl, int argc, char **argv);
int key_remove(struct ctl *ctl, int argc, char **argv);
int key_gen(struct ctl *ctl, int argc, char **argv);
int key_show(struct ctl *ctl, int argc, char **argv);

/* --- main.c: arguments and errors --- */

/*
 * getopt_long with the global options added to the command's own (val from 'a' to 'z'; at
 * most 8, ended by a zeroed row). -1: no more options; '?': an error, which has been
 * said. Global options are dealt with inside.
 */
int ctl_option(struct ctl *ctl, int argc, char **argv, const struct option *own);

/*
 * Says what is wrong, in the form that -o asks for, and returns code. uri may be NULL.
 */
int ctl_fail(const struct ctl *ctl, int code, const char *uri, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* The same for wrong usage, with a hint where to look. */
int ctl_usage(const struct ctl *ctl, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* After the options: exactly n arguments, whose names these are ("AUTHID", "KEY"). */
int ctl_want_args(const struct ctl *ctl, int argc, char **argv, int n,
		  const char *const *names) MUSTCHECK;

/*
 * Says that a value cannot be used; fault is the end of the sentence. NULL is none, and
 * EX_OK.
 */
int ctl_bad_value(const struct ctl *ctl, const char *what, struct slice value,
		  const char *fault) MUSTCHECK;

/* A name that is only looked for: not empty, and no longer than any can be. */
int ctl_check_sought(const struct ctl *ctl, const char *what,
		     struct slice name) MUSTCHECK;

/* --- client.c: a request to authd --- */

/*
 * Sends a request and waits for its result, which is left in *result, encoded. object is
 * what the request is about, for messages.
 */
int ctl_call(struct ctl *ctl, const char *method, const char *object,
	     const struct buf *params, struct buf *result) MUSTCHECK;

/* --- output.c --- */

enum { CTL_MAX_COLUMNS = 8 };

/* Rows of text; all strings are copied. */
struct ctl_rows {
	const char *const *headers; /* n_columns */
	size_t n_columns;
	char **cells; /* n_rows * n_columns */
	size_t n_rows, cap;
};
void ctl_rows_init(struct ctl_rows *r, const char *const *headers, size_t n_columns);
/* n_columns strings. false: no memory. */
bool ctl_rows_add(struct ctl_rows *r, const char *const *cells) MUSTCHECK;
void ctl_rows_fini(struct ctl_rows *r);

/*
 * Prints rows as the format says: a table with headers that fits the terminal, or lines
 * of fields. EX_IOERR.
 */
int ctl_rows_print(const struct ctl *ctl, const struct ctl_rows *r) MUSTCHECK;

/* Prints {"version": 1, "items": items}. Takes items; NULL is no memory. */
int ctl_json_print(const struct ctl *ctl, json_t *items) MUSTCHECK;

/* Flushes standard output: a full disk is an error, too. */
int ctl_flush(const struct ctl *ctl) MUSTCHECK;

int ctl_nomem(const struct ctl *ctl);

/* --- keyarg.c: keys as arguments and in files --- */

/* A whole file of at most SSH_KEY_MAX_FILE bytes; "-" is standard input. */
int ctl_read_file(const struct ctl *ctl, const char *path, size_t max,
		  struct buf *out) MUSTCHECK;

/*
 * A public key given as text (hex, ssh-ed25519 ...), as a file with one, or as "-". A
 * private key is refused.
 */
int ctl_public_key(const struct ctl *ctl, const char *arg,
		   uint8_t out[SSH_KEY_BYTES]) MUSTCHECK;

/* The same for a key that is to be added: one that can never verify is refused, too. */
int ctl_new_key(const struct ctl *ctl, const char *arg,
		uint8_t out[SSH_KEY_BYTES]) MUSTCHECK;

/* {"pubkey", "fingerprint"}; NULL: no memory. */
json_t *ctl_key_json(const uint8_t key[SSH_KEY_BYTES]);

#endif
