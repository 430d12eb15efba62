/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between authctl and authd, over authd's admin socket: MessagePack-RPC with
 * the limits and the errors of auth_api.h. Both are of one version, so that it has no
 * handshake and may change at will. Pure code; any thread.
 *
 * Every method takes one map and gives one. Slices in a struct that was read are lent by
 * what it was read from.
 */
#ifndef PROTO_ADMIN_API_H
#define PROTO_ADMIN_API_H

#include "common/buf.h"
#include "proto/fields.h"

#define ADMIN_PRINCIPAL_ADD     "principal.add"     /* admin_principal: admin_change */
#define ADMIN_PRINCIPAL_LIST    "principal.list"    /* admin_list: admin_list_result */
#define ADMIN_PRINCIPAL_SHOW    "principal.show"    /* admin_target: admin_principal */
#define ADMIN_PRINCIPAL_DISABLE "principal.disable" /* admin_target: admin_change */
#define ADMIN_PRINCIPAL_ENABLE  "principal.enable"  /* admin_target: admin_change */
#define ADMIN_PRINCIPAL_REMOVE  "principal.remove"  /* admin_target: admin_change */
#define ADMIN_KEY_ADD           "key.add"           /* admin_target: admin_change */
#define ADMIN_KEY_REMOVE        "key.remove"        /* admin_target: admin_change */

/* URIs of errors, besides those of auth_api.h. */
#define ADMIN_ERROR_NO_SUCH_PRINCIPAL "auth.admin.no_such_principal"
#define ADMIN_ERROR_NO_SUCH_KEY       "auth.admin.no_such_key"
#define ADMIN_ERROR_CONFLICT          "auth.admin.conflict" /* exists, but is different */
#define ADMIN_ERROR_BUSY              "auth.admin.busy"     /* the database, for now */
#define ADMIN_ERROR_CANNOT_WRITE      "auth.admin.cannot_write" /* the database, at all */

enum {
	ADMIN_MAX_EXTRA = 8 * 1024, /* bytes of a principal's extra, encoded */
	ADMIN_MAX_DEPTH = 10,       /* of extra: it is met deep in a message */
	ADMIN_PAGE = 24 * 1024,     /* a page of a list ends after this many bytes */
};

/*
 * The messages. Each has a table for fields_read_params, fields_read_item and their
 * writing counterparts.
 */
struct admin_principal {
	struct slice authid, realm, role; /* required */
	struct slice extra;               /* an encoded map; len 0: {} */
	struct field_keys keys;
	bool disabled;
	uint64_t created; /* Unix seconds; FIELD_NONE where it is to be added */
};
extern const struct field_table admin_principal_table;

/* Which principals, in the order of their authids. */
struct admin_list {
	struct slice realm, role; /* len 0: any */
	struct slice after;       /* an authid: only those behind it */
};
extern const struct field_table admin_list_table;

struct admin_list_result {
	struct slice items; /* an encoded array; for admin_list_next */
	struct slice next;  /* "after" for the next page; len 0: this is the last */
};
extern const struct field_table admin_list_result_table;

/*
 * Walks through items: *r is begun by admin_list_begin. E_NOTFOUND: that was the last.
 */
int admin_list_begin(struct token_reader *r, struct slice items) MUSTCHECK;
int admin_list_next(struct token_reader *r, struct admin_principal *out) MUSTCHECK;

struct admin_target {
	struct slice authid;    /* required */
	struct field_keys keys; /* of key.add and key.remove */
};
extern const struct field_table admin_target_table;

/* What a change has led to. The numbers are FIELD_NONE if it ends no sessions. */
struct admin_change {
	bool changed;         /* false: it was so already */
	uint64_t sessions;    /* ended */
	uint64_t pending;     /* handshakes refused */
	uint64_t routers;     /* that have answered */
	uint64_t unreachable; /* that have not, or only in part */
};
extern const struct field_table admin_change_table;

/*
 * What is wrong with the names of a new principal, as the end of a sentence ("must not be
 * empty") about *what_out ("realm") and its value. NULL: nothing.
 */
const char *admin_names_fault(const struct admin_principal *p, const char **what_out,
			      struct slice *value_out);

/* What is wrong with a name that is only looked for. NULL: somebody could have it. */
const char *admin_sought_fault(struct slice name);

/*
 * The length in bytes of the control character that s (UTF-8) begins with, or of an
 * invisible one that changes the order of text or ends a line; 0: it is another one.
 */
size_t admin_control_len(struct slice s);

#endif
