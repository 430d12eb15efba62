/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between authctl and authd over authd's admin socket: MessagePack-RPC with
 * the limits and errors of auth_api.h. authctl and authd always have the same version, so
 * the protocol has no handshake and may change at any time. No state; any thread.
 *
 * Every method takes one map and returns one map; the comments below name the structs,
 * first of the parameter, then of the result. Slices in a struct that was read point into
 * the input.
 */
#ifndef PROTO_ADMIN_API_H
#define PROTO_ADMIN_API_H

#include "common/buf.h"
#include "proto/fields.h"

#define AUTHD_VERSION "0.1.0" /* of authd and authctl */

#define ADMIN_PRINCIPAL_ADD     "principal.add"     /* admin_principal: admin_change */
#define ADMIN_PRINCIPAL_LIST    "principal.list"    /* admin_list: admin_list_result */
#define ADMIN_PRINCIPAL_SHOW    "principal.show"    /* admin_target: admin_principal */
#define ADMIN_PRINCIPAL_DISABLE "principal.disable" /* admin_target: admin_change */
#define ADMIN_PRINCIPAL_ENABLE  "principal.enable"  /* admin_target: admin_change */
#define ADMIN_PRINCIPAL_REMOVE  "principal.remove"  /* admin_target: admin_change */
#define ADMIN_KEY_ADD           "key.add"           /* admin_target: admin_change */
#define ADMIN_KEY_REMOVE        "key.remove"        /* admin_target: admin_change */

/* Error URIs, in addition to those of auth_api.h. */
#define ADMIN_ERROR_NO_SUCH_PRINCIPAL "auth.admin.no_such_principal"
#define ADMIN_ERROR_NO_SUCH_KEY       "auth.admin.no_such_key"
/* The principal exists and differs, or the key cannot be added to it. */
#define ADMIN_ERROR_CONFLICT "auth.admin.conflict"
#define ADMIN_ERROR_BUSY     "auth.admin.busy" /* the database is busy */
/* The database is read-only or full. */
#define ADMIN_ERROR_CANNOT_WRITE "auth.admin.cannot_write"

enum {
	ADMIN_MAX_EXTRA = 8 * 1024, /* bytes of a principal's extra, encoded */
	ADMIN_MAX_DEPTH = 10,   /* nesting of extra, which itself is nested in messages */
	ADMIN_PAGE = 24 * 1024, /* a page of a list ends after this many bytes */
};

/*
 * The messages. Each has a table for fields_read_params, fields_read_item,
 * fields_write_params and fields_write_item.
 */
struct admin_principal {
	struct slice authid, realm, role; /* required */
	struct slice extra;               /* an encoded map; len 0: {} */
	struct field_keys keys;
	bool disabled;
	uint64_t created; /* Unix seconds; FIELD_NONE in principal.add */
};
extern const struct field_table admin_principal_table;

/* Selects the principals to list. The list is sorted by authid. */
struct admin_list {
	struct slice realm, role; /* len 0: any */
	struct slice after;       /* list the authids that are greater than this one */
};
extern const struct field_table admin_list_table;

struct admin_list_result {
	struct slice items; /* an encoded array; for admin_list_next */
	struct slice next;  /* `after` of the next page; len 0: this is the last page */
};
extern const struct field_table admin_list_result_table;

/* Read the principals in items one by one: begin, then next until E_NOTFOUND. */
int admin_list_begin(struct token_reader *r, struct slice items) MUSTCHECK;
int admin_list_next(struct token_reader *r, struct admin_principal *out) MUSTCHECK;

struct admin_target {
	struct slice authid;    /* required */
	struct field_keys keys; /* only for key.add and key.remove */
};
extern const struct field_table admin_target_table;

/* The effect of a change. The numbers are FIELD_NONE if the change ends no sessions. */
struct admin_change {
	bool changed;         /* false: there was nothing to change */
	uint64_t sessions;    /* sessions ended */
	uint64_t pending;     /* handshakes refused */
	uint64_t routers;     /* routers that have answered */
	uint64_t unreachable; /* routers that have not answered, or only in part */
};
extern const struct field_table admin_change_table;

/*
 * Checks the names of a new principal. Returns what is wrong as the end of a sentence
 * ("must not be empty"), with the subject in *what_out ("realm") and its value in
 * *value_out. NULL: all names are valid.
 */
const char *admin_names_fault(const struct admin_principal *p, const char **what_out,
			      struct slice *value_out);

/*
 * Returns what is wrong with an authid, realm or role to search for. NULL: a principal
 * could have this name.
 */
const char *admin_search_fault(struct slice name);

/*
 * Returns the length in bytes of the control character at the start of s (UTF-8), or 0 if
 * there is none. Invisible characters that end a line or change the direction of text
 * count as control characters, and so does the byte order mark.
 */
size_t admin_control_len(struct slice s);

#endif
