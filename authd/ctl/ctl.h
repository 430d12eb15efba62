/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions that authctl's commands share. authctl runs one command and exits. A
 * command sends requests to authd, if it needs any, and prints the result. authctl has
 * one thread. A function that returns int returns an exit code of sysexits.h; if that is
 * not EX_OK, it has printed an error.
 *
 * main.c has the table of commands and calls their functions, in principal_cmd.c,
 * key_cmd.c and change.c. These call client.c, keyarg.c and output.c, and all files call
 * cli.c.
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
	CTL_TABLE = 0, /* for people; the default on a terminal */
	CTL_PLAIN = 1, /* fields with TABs between them; the default elsewhere */
	CTL_JSON = 2,
};

/* The options. Each row: the character that getopt returns, value, name. */
#define CTL_OPTIONS(X)                                                                   \
	X(HELP, 'h', no_argument, "help")                                                \
	X(VERSION, 'V', no_argument, "version")                                          \
	X(SOCKET, 's', required_argument, "socket")                                      \
	X(OUTPUT, 'o', required_argument, "output")                                      \
	X(TIMEOUT, 'w', required_argument, "timeout")                                    \
	X(REALM, 'm', required_argument, "realm")                                        \
	X(ROLE, 'r', required_argument, "role")                                          \
	X(KEY, 'k', required_argument, "key")                                            \
	X(EXTRA, 'e', required_argument, "extra")                                        \
	X(DISABLED, 'd', no_argument, "disabled")                                        \
	X(FILE, 'f', required_argument, "file")                                          \
	X(FORMAT, 't', required_argument, "format")                                      \
	X(FORCE, 'x', no_argument, "force")

enum {
#define X(id, character, value, name) OPT_##id = (character),
	CTL_OPTIONS(X)
#undef X
};

enum { CTL_ARGS = 2 };

struct ctl {
	const char *socket;
	enum ctl_format format;
	uint64_t timeout_ms;
	const struct ctl_command *command; /* NULL: not known yet */
	char name[40];                     /* "authctl principal add" */
	const char *args[CTL_ARGS];        /* arguments of the command */
	/* Indexed by OPT_...: the value, "" if the option takes none, NULL if it is
	 * absent. */
	const char *options[128];
	const char *keys[FIELD_MAX_KEYS]; /* the values of --key */
	unsigned n_keys;
};

struct ctl_command {
	const char *noun, *verb;
	const char *usage;           /* the usage line after the verb */
	const char *help;            /* description, options and example */
	const char *args[CTL_ARGS];  /* names of the arguments; NULL ends the list */
	const char *options;         /* characters of the command's own options */
	int (*run)(struct ctl *ctl); /* ctl has the arguments and options */
	const char *method;          /* the request's method, if it is a change */
	const char *done;            /* text for a change: "disabled" */
	const char *was_so; /* text if nothing has changed: "is already disabled" */
};

/* The commands, in one file per noun. */
int principal_add(struct ctl *ctl);
int principal_list(struct ctl *ctl);
int principal_show(struct ctl *ctl);
int key_add(struct ctl *ctl);
int key_remove(struct ctl *ctl);
int key_gen(struct ctl *ctl);
int key_show(struct ctl *ctl);

/* --- cli.c: arguments and errors --- */

/*
 * Parses the options that all commands have and those of the command. Stops at --help and
 * --version and, if there is no command yet, at the first argument. Afterwards optind is
 * the index of the first argument.
 */
int ctl_parse(struct ctl *ctl, int argc, char **argv) MUSTCHECK;

/* Stores the command's arguments, after checking their number. */
int ctl_take_args(struct ctl *ctl, int argc, char **argv) MUSTCHECK;

/*
 * Prints an error in the format that -o selects, and returns code. If code is EX_USAGE,
 * also refers to --help. uri is the URI of authd's error; NULL: the error is authctl's
 * own.
 */
int ctl_fail_uri(const struct ctl *ctl, int code, const char *uri, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
#define ctl_fail(ctl, code, ...) ctl_fail_uri(ctl, code, NULL, __VA_ARGS__)
#define ctl_usage(ctl, ...)      ctl_fail(ctl, EX_USAGE, __VA_ARGS__)
int ctl_nomem(const struct ctl *ctl);

/*
 * Reports an invalid value: WHAT "VALUE": FAULT. If fault is NULL, the value is valid:
 * returns EX_OK.
 */
int ctl_bad_value(const struct ctl *ctl, const char *what, struct slice value,
		  const char *fault) MUSTCHECK;

/* --- client.c: requests to authd --- */

/*
 * Sends a request and waits for its result. Table t describes *params. *result gets the
 * result in encoded form.
 */
int ctl_call(struct ctl *ctl, const char *method, const struct field_table *t,
	     const void *params, struct buf *result) MUSTCHECK;

/* Reports that authd's answer cannot be read, and why. */
int ctl_bad_answer(const struct ctl *ctl, int err);

/* Reads a result into *out, a struct that table t describes. */
int ctl_read(const struct ctl *ctl, const struct buf *result, const struct field_table *t,
	     void *out) MUSTCHECK;

/* Gets the principal that the first argument names. *out points into *result. */
int ctl_show(struct ctl *ctl, struct buf *result, struct admin_principal *out) MUSTCHECK;

/* --- change.c: changes --- */

/*
 * Sends the command's change and prints its effect. EX_TEMPFAIL: authd is busy or has not
 * answered; or the change was made, but a router has not confirmed that the sessions have
 * ended.
 */
int ctl_change(struct ctl *ctl, const struct field_table *t, const void *params);

/*
 * Like ctl_change, with params for the principal that the first argument names, and for
 * key unless it is NULL.
 */
int ctl_change_target(struct ctl *ctl, const uint8_t *key);
/* Like ctl_change_target, without a key. */
int principal_change(struct ctl *ctl);

/* --- output.c --- */

enum { CTL_MAX_COLUMNS = 8 };

/*
 * Appends text. In the table format, replaces the bytes of control characters with \xNN,
 * since they could change the display. A database may have old names that contain them.
 */
void ctl_put_text(const struct ctl *ctl, struct buf *b, struct slice text);

/* Appends a MessagePack item as JSON; null if JSON cannot express it. */
void ctl_put_json(struct buf *b, struct slice item);
/* Like ctl_put_json, but returns a jansson value. */
json_t *ctl_json(struct slice item);

/*
 * Prints rows of cells. A NUL ends each cell. In the table format, the first row is the
 * header, and the table is at most as wide as the terminal, if possible. In the plain
 * format, each row is a line of fields.
 */
int ctl_print_rows(const struct ctl *ctl, const struct buf *cells,
		   size_t n_columns) MUSTCHECK;

/*
 * Prints {"version": 1, "items": items}. Takes ownership of items; NULL means out of
 * memory.
 */
int ctl_print_json(const struct ctl *ctl, json_t *items) MUSTCHECK;

/* Flushes standard output and reports errors, such as a full disk. */
int ctl_flush(const struct ctl *ctl) MUSTCHECK;

/* --- keyarg.c: keys as arguments and in files --- */

/* Reads a whole file of at most max bytes. "-" is standard input. */
int ctl_read_file(const struct ctl *ctl, const char *path, size_t max,
		  struct buf *out) MUSTCHECK;

/*
 * Reads a key from text, or from the file path if text is NULL. Error messages begin with
 * `name`.
 */
int ctl_read_key(const struct ctl *ctl, const char *text, const char *path,
		 const char *name, struct ssh_key *out) MUSTCHECK;

/*
 * Reads a public key: a text (hex, ssh-ed25519 ...), a file with one, or "-" for standard
 * input. Refuses a private key.
 */
int ctl_public_key(const struct ctl *ctl, const char *arg,
		   uint8_t out[SSH_KEY_BYTES]) MUSTCHECK;

/*
 * Like ctl_public_key, for a key that is to be added: also refuses a key that cannot
 * verify signatures.
 */
int ctl_new_key(const struct ctl *ctl, const char *arg,
		uint8_t out[SSH_KEY_BYTES]) MUSTCHECK;

/* The two forms in which keys are shown. */
struct ctl_key_text {
	char hex[2 * SSH_KEY_BYTES + 1];
	char fingerprint[SSH_FINGERPRINT];
};
struct ctl_key_text ctl_key_text(const uint8_t key[SSH_KEY_BYTES]);

#endif
