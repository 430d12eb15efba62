/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authctl: what its commands share. One command, one or a few requests, one output. A
 * function that returns int returns an exit code of sysexits.h, and has said on standard
 * error what is wrong unless it is EX_OK.
 *
 * main has the table of commands. It calls the nouns (principal, key), they call change,
 * client, keyarg and output, and all of these call cli.
 */
#ifndef AUTHD_CTL_CTL_H
#define AUTHD_CTL_CTL_H

#include "common/buf.h"
#include "proto/admin_api.h"
#include "proto/auth_api.h"
#include "proto/ssh_key.h"

#include <jansson.h>
#include <sysexits.h>

#define CTL_SOCKET "/run/authd/admin.sock"

enum ctl_format {
	CTL_TABLE = 0, /* for people; what a terminal gets by default */
	CTL_PLAIN = 1, /* fields with a TAB between them; what a pipe gets */
	CTL_JSON = 2,
};

/* The options, by the letters that getopt gives for them. */
enum {
	OPT_HELP = 'h',
	OPT_VERSION = 'V',
	OPT_SOCKET = 's',
	OPT_OUTPUT = 'o',
	OPT_TIMEOUT = 'w',
	OPT_REALM = 'm',
	OPT_ROLE = 'r',
	OPT_KEY = 'k',
	OPT_EXTRA = 'e',
	OPT_DISABLED = 'd',
	OPT_FILE = 'f',
	OPT_FORMAT = 't',
	OPT_FORCE = 'x',
};

enum { CTL_ARGS = 2 };

struct ctl {
	const char *socket;
	enum ctl_format format;
	uint64_t timeout_ms;
	const struct ctl_command *command; /* NULL: not known yet */
	char name[40];                     /* "authctl principal add" */
	const char *args[CTL_ARGS];        /* what the command is about */
	const char *options[128];         /* by letter: its value, or "" if it has none */
	const char *keys[FIELD_MAX_KEYS]; /* each value of --key */
	unsigned n_keys;
};

struct ctl_command {
	const char *noun, *verb;
	const char *usage;           /* what follows the verb */
	const char *help;            /* about, options, example */
	const char *args[CTL_ARGS];  /* the names of its arguments, up to NULL */
	const char *options;         /* the letters of its own options */
	int (*run)(struct ctl *ctl); /* ctl holds its arguments and options */
	const char *method;          /* of a change, and: */
	const char *done;            /* "disabled" */
	const char *was_so;          /* "is disabled already" */
};

/* One file a noun. */
int principal_add(struct ctl *ctl);
int principal_list(struct ctl *ctl);
int principal_show(struct ctl *ctl);
int key_add(struct ctl *ctl);
int key_remove(struct ctl *ctl);
int key_gen(struct ctl *ctl);
int key_show(struct ctl *ctl);

/* --- cli.c: arguments and errors --- */

/*
 * Takes the options: those of every command, and the command's own. Stops at the first
 * argument if there is no command yet, and at --help and --version. optind then is the
 * first argument.
 */
int ctl_parse(struct ctl *ctl, int argc, char **argv) MUSTCHECK;

/* Takes the arguments that the command wants, no more and no less. */
int ctl_take_args(struct ctl *ctl, int argc, char **argv) MUSTCHECK;

/*
 * Says what is wrong, in the form that -o asks for, and returns code. Wrong usage gets a
 * hint where to look. uri is that of authd's error; NULL: the error is authctl's own.
 */
int ctl_fail_uri(const struct ctl *ctl, int code, const char *uri, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
#define ctl_fail(ctl, code, ...) ctl_fail_uri(ctl, code, NULL, __VA_ARGS__)
#define ctl_usage(ctl, ...)      ctl_fail(ctl, EX_USAGE, __VA_ARGS__)
int ctl_nomem(const struct ctl *ctl);

/*
 * Says that a value cannot be used; fault is the end of the sentence. NULL is none, and
 * EX_OK.
 */
int ctl_bad_value(const struct ctl *ctl, const char *what, struct slice value,
		  const char *fault) MUSTCHECK;

/* --- client.c: requests to authd --- */

/*
 * Sends a request, params by table t, and waits for its result, which is left in *result,
 * encoded.
 */
int ctl_call(struct ctl *ctl, const char *method, const struct field_table *t,
	     const void *params, struct buf *result) MUSTCHECK;

/* Says that authd's answer cannot be understood, and why. */
int ctl_bad_answer(const struct ctl *ctl, int err);

/* Reads a result by its table. */
int ctl_read(const struct ctl *ctl, const struct buf *result, const struct field_table *t,
	     void *out) MUSTCHECK;

/* The principal that the first argument names. What *out points to is in *result. */
int ctl_show(struct ctl *ctl, struct buf *result, struct admin_principal *out) MUSTCHECK;

/* --- change.c: a change, and what it has led to --- */

/*
 * Sends the command's request, and prints what happened. EX_TEMPFAIL if a router has not
 * confirmed the end of sessions: the change itself is made then.
 */
int ctl_change(struct ctl *ctl, const struct field_table *t, const void *params);

/* The same with the first argument, an AUTHID, and key unless it is NULL. */
int ctl_change_target(struct ctl *ctl, const uint8_t *key);
/* The same without a key. */
int principal_change(struct ctl *ctl);

/* --- output.c --- */

enum { CTL_MAX_COLUMNS = 8 };

/*
 * Appends text. For a terminal, characters that would steer it become \xNN: a database
 * may hold names from before they were refused.
 */
void ctl_put_text(const struct ctl *ctl, struct buf *b, struct slice text);

/* Appends a MessagePack item as JSON; null if JSON cannot say it. */
void ctl_put_json(struct buf *b, struct slice item);
/* The same as a value. */
json_t *ctl_json(struct slice item);

/*
 * Prints rows of cells, each ended by a zero byte: as a table that fits the terminal,
 * the first row being its headers, or as lines of fields.
 */
int ctl_print_rows(const struct ctl *ctl, const struct buf *cells,
		   size_t n_columns) MUSTCHECK;

/* Prints {"version": 1, "items": items}. Takes items; NULL is no memory. */
int ctl_print_json(const struct ctl *ctl, json_t *items) MUSTCHECK;

/* Flushes standard output: a full disk is an error, too. */
int ctl_flush(const struct ctl *ctl) MUSTCHECK;

/* --- keyarg.c: keys as arguments and in files --- */

/* A whole file of at most max bytes; "-" is standard input. */
int ctl_read_file(const struct ctl *ctl, const char *path, size_t max,
		  struct buf *out) MUSTCHECK;

/*
 * Reads a key from text or, where that is NULL, from a file. name is what messages call
 * it.
 */
int ctl_read_key(const struct ctl *ctl, const char *text, const char *path,
		 const char *name, struct ssh_key *out) MUSTCHECK;

/*
 * A public key given as text (hex, ssh-ed25519 ...), as a file with one, or as "-". A
 * private key is refused.
 */
int ctl_public_key(const struct ctl *ctl, const char *arg,
		   uint8_t out[SSH_KEY_BYTES]) MUSTCHECK;

/* The same for a key that is to be added: one that can never verify is refused, too. */
int ctl_new_key(const struct ctl *ctl, const char *arg,
		uint8_t out[SSH_KEY_BYTES]) MUSTCHECK;

/* A key as people see it. */
struct ctl_key_text {
	char hex[2 * SSH_KEY_BYTES + 1];
	char fingerprint[SSH_FINGERPRINT];
};
struct ctl_key_text ctl_key_text(const uint8_t key[SSH_KEY_BYTES]);

#endif
