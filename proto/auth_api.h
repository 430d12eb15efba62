/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between routerd and an authenticator, wamp-auth/1: the one description of
 * it in code. auth-protocol.md beside this file says what it means; the golden traces in
 * golden/ show its bytes. Pure code; any thread.
 *
 * Each struct has a table, by which fields_read_params and fields_write_params (of what
 * stands alone in an array) or fields_read_item and fields_write_item (results and
 * errors) read and write it; or a function where a table cannot say it. Slices in a
 * struct that was read are lent by what it was read from. A slice with len 0 is a value
 * that was not said. After a reader has failed *out holds rubbish.
 */
#ifndef PROTO_AUTH_API_H
#define PROTO_AUTH_API_H

#include "common/rpc_msg.h"
#include "proto/fields.h"

enum {
	AUTH_VERSION_MAJOR = 1,
	AUTH_VERSION_MINOR = 0,
};

/* Limits; see "Limits" in the document. Sizes in bytes, times in milliseconds. */
enum {
	AUTH_MAX_MESSAGE = 64 * 1024,
	AUTH_MIN_MESSAGE = 4096, /* the least that an authenticator may announce */
	AUTH_ENVELOPE = 32, /* more than rpc puts around the parameters of a question */
	AUTH_MAX_DEPTH = 16,
	AUTH_MAX_STRING = 16 * 1024,
	AUTH_MAX_MAP = 256, /* keys */
	AUTH_MAX_NAME = 255,
	AUTH_MAX_INFLIGHT = 1024,
	AUTH_MAX_KEYS = FIELD_MAX_KEYS,
	AUTH_HELLO_MS = 2000,
	AUTH_REVOKE_MS = 2000,
	AUTH_PING_MS = 5000,
	AUTH_PING_MISSES = 2, /* without an answer: the link is dead */
};

#define AUTH_METHOD_HELLO        "hello"
#define AUTH_METHOD_AUTHENTICATE "authenticate"
#define AUTH_METHOD_REVOKE       "revoke"
#define AUTH_METHOD_PING         "ping"
#define AUTH_NOTIFY_CANCEL       "cancel"
#define AUTH_NOTIFY_OPENED       "session.opened"
#define AUTH_NOTIFY_CLOSED       "session.closed"
#define AUTH_NOTIFY_FAILED       "auth.failed"

#define AUTH_ERROR_NO_SUCH_METHOD      "auth.rpc.no_such_method"
#define AUTH_ERROR_UNSUPPORTED_VERSION "auth.rpc.unsupported_version"
#define AUTH_ERROR_INVALID_ARGUMENT    "auth.rpc.invalid_argument"
#define AUTH_ERROR_NOT_READY           "auth.rpc.not_ready"
#define AUTH_ERROR_UNAVAILABLE         "auth.rpc.unavailable"

#define AUTH_NO_EPOCH FIELD_NONE

/* What a side can do beyond the minimum: bits of auth_hello.features. */
enum auth_feature {
	AUTH_FEATURE_REVOKE = 1 << 0, /* authd: sends revoke; routerd: understands it */
	AUTH_FEATURE_CANCEL = 1 << 1, /* the notification cancel, likewise */
	AUTH_FEATURE_EVENTS = 1 << 2, /* session.opened, session.closed, auth.failed */
};

/* For struct rpc_handlers: reads a message, whose limits are those above. */
int auth_msg_read(struct slice in, bool limited, struct rpc_msg *out,
		  size_t *len_out) MUSTCHECK;
/* And: the error of an answer that is too large, or for which there is no memory. */
void auth_unsayable(struct buf *out, int err);

/* Is the object at the start of in within the limits of a message's part? How long is it?
 */
int auth_check(struct slice in, size_t *len_out) MUSTCHECK;

/*
 * Is this one whole encoded map within the limits, nested at most max_depth deep? 0;
 * E_TYPE, E_TRAILING, E_DEPTH or another error of auth_check.
 */
int auth_check_map(struct slice map, unsigned max_depth) MUSTCHECK;

/* hello [map], routerd to authd */
struct auth_hello {
	struct field_version protocol; /* required */
	struct slice product;          /* "routerd/0.1.0" */
	struct slice instance;         /* drawn anew by each process */
	uint64_t pid;                  /* FIELD_NONE: not said */
	uint64_t max_message;          /* default: AUTH_MAX_MESSAGE */
	uint64_t max_depth;            /* default: AUTH_MAX_DEPTH */
	unsigned features;
	struct slice methods;   /* encoded arrays of strings: auth_list_write */
	struct slice realms;    /* ... */
	struct slice listeners; /* ... */
	uint64_t last_epoch;    /* of the last answer; AUTH_NO_EPOCH: none */
	struct slice last_db;
};
extern const struct field_table auth_hello_table;

/* and its result */
struct auth_hello_result {
	struct field_version protocol; /* required */
	struct slice product, instance;
	struct slice db;       /* identity of the data that epochs count changes of */
	uint64_t epoch;        /* AUTH_NO_EPOCH: there is none */
	uint64_t max_message;  /* default: AUTH_MAX_MESSAGE */
	uint64_t max_inflight; /* default: AUTH_MAX_INFLIGHT */
	unsigned features;
	struct slice methods; /* encoded array of strings */
	bool ready;           /* default: true */
};
extern const struct field_table auth_hello_result_table;

/* How the client is connected: details.transport, everything optional. */
struct auth_transport {
	struct slice listener;
	struct slice channel_framing;    /* "websocket" */
	struct slice channel_serializer; /* "cbor" */
	struct slice channel_type;       /* "tcp", "unix" */
	struct slice peer;               /* "tcp4:127.0.0.1:51812" */
	struct slice path;
	struct slice headers; /* http_headers_received, an encoded map */
};

/* authenticate [realm|nil, authid|nil, details], routerd to authd */
struct auth_request {
	struct slice realm;
	struct slice authid;
	struct slice authmethod; /* required */
	struct slice authrole;   /* asked for by the client */
	/*
	 * What the client sent as authextra: an encoded dict, or nothing. Writing: pubkey
	 * and channel_binding come first, from below (a key in lower case), then those
	 * other pairs of it that can be carried. Reading: these two are picked out of it,
	 * if they are strings; they may be anything otherwise.
	 */
	struct slice authextra;
	enum serializer authextra_in; /* which encoding it has */
	struct slice pubkey;
	struct slice channel_binding;
	uint64_t session;  /* the id that the session will have; FIELD_NONE: none yet */
	uint64_t ttl_ms;   /* after this, nobody waits for the answer; FIELD_NONE */
	struct slice corr; /* stands in the logs of both sides and in ABORT */
	struct auth_transport transport;
};
int auth_request_read(struct slice params, struct auth_request *out) MUSTCHECK;
/*
 * The whole message will have at most max_message bytes (not less than
 * AUTH_MIN_MESSAGE). A pair of authextra or of the headers is left out as a whole if its
 * key is no string of 1 to AUTH_MAX_NAME bytes, if anything in its value is an ext type,
 * is over the limits, or is a map with a key that is no string, or if there is no room
 * for it; each map gets AUTH_MAX_STRING bytes at most. So is a path that is too long.
 * E_RANGE: realm, authid, authrole, pubkey or channel_binding is longer than
 * AUTH_MAX_NAME, and leaving it out would change what was asked for. E_NOMEM. After an
 * error *out holds rubbish.
 */
int auth_request_write(struct buf *out, const struct auth_request *q,
		       size_t max_message) MUSTCHECK;

/* its result: a map, or a role alone */
struct auth_result {
	struct slice role; /* required, at least one byte */
	struct slice realm, authid, authprovider;
	struct slice extra;     /* an encoded map, becomes WELCOME's authextra */
	struct field_keys keys; /* said as pubkey or as pubkeys; any of them may sign */
	uint64_t epoch;         /* of the data it was read from; AUTH_NO_EPOCH */
};
int auth_result_read(struct slice result, struct auth_result *out) MUSTCHECK;
extern const struct field_table auth_result_table; /* for writing */
/* What is wrong with a result that auth_result_read has refused, for the log. */
enum { AUTH_FAULT_MAX = 160 };
void auth_result_explain(struct slice result, char text[AUTH_FAULT_MAX]);

enum auth_error_kind {
	AUTH_ERROR_DENY = 0,      /* decided: no */
	AUTH_ERROR_IGNORE = 1,    /* not mine, ask the next */
	AUTH_ERROR_TEMPORARY = 2, /* cannot decide now */
	AUTH_ERROR_INTERNAL = 3,  /* a bug, or an error that could not be read */
	AUTH_ERROR_KIND_COUNT = 4,
};

/* The error of any request. */
struct auth_error {
	enum auth_error_kind kind;
	struct slice uri;        /* valid, if any; a deny without one is allowed */
	struct slice message;    /* for the client, if kind is deny */
	struct slice detail;     /* for the log only */
	uint64_t retry_after_ms; /* FIELD_NONE: not said */
};
/*
 * Reads a map, a bare URI (a deny) or [uri, message] (a deny). Never fails: what cannot
 * be read is AUTH_ERROR_INTERNAL, and detail says what is wrong with it.
 */
void auth_error_read(struct slice error, struct auth_error *out);
extern const struct field_table auth_error_table; /* for writing */

/* Which sessions: those for which every term holds that is said. At least one is. */
struct auth_match {
	struct slice authid, role, realm;
	struct field_key pubkey;
	uint64_t session; /* FIELD_NONE: any */
};

/* revoke [map], authd to routerd */
struct auth_revoke {
	struct auth_match match; /* an unknown term fails: it would widen the match */
	uint64_t epoch;          /* of the change; AUTH_NO_EPOCH */
	struct slice uri;        /* of GOODBYE and ABORT; default: wamp.close.killed */
	struct slice message;
	bool dry_run; /* count only */
};
int auth_revoke_read(struct slice params, struct auth_revoke *out) MUSTCHECK;
extern const struct field_table auth_revoke_table; /* for writing */

struct auth_revoke_result {
	uint64_t sessions; /* killed; required */
	uint64_t pending;  /* handshakes refused; default: 0 */
	bool partial;      /* not all of the router has answered in time */
};
extern const struct field_table auth_revoke_result_table;

/* ping [], either way; its result */
struct auth_ping_result {
	bool ready;               /* default: true */
	uint64_t inflight, epoch; /* FIELD_NONE */
};
int auth_ping_read(struct slice params) MUSTCHECK;
extern const struct field_table auth_ping_result_table;

/* cancel [msgid]: routerd does not wait any more */
void auth_cancel_write(struct buf *out, uint32_t id);

/* session.opened [map] */
struct auth_opened {
	uint64_t session; /* required */
	struct slice realm, authid, authrole, authmethod, peer, corr;
	struct field_key pubkey;
};
extern const struct field_table auth_opened_table;

/* session.closed [map] */
struct auth_closed {
	uint64_t session; /* required */
	struct slice authid, reason;
	uint64_t duration_ms; /* FIELD_NONE */
};
extern const struct field_table auth_closed_table;

/* auth.failed [map]: the client did not prove what authenticate said */
struct auth_failed {
	struct slice corr;
	struct slice reason; /* "bad_signature", "timeout", "abandoned"; required */
};
extern const struct field_table auth_failed_table;

/* An encoded array of strings, for methods, realms and listeners. */
void auth_list_write(struct buf *out, const struct slice *items, size_t n);

#endif
