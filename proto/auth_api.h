/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between routerd and an authenticator, wamp-auth/1. This header is its only
 * definition in C; auth-protocol.md explains it, and the traces in golden/ show its
 * bytes. In the comments below, authd stands for any authenticator. No state; any thread.
 *
 * Each struct has a table. Use it with fields_read_params and fields_write_params for
 * parameters that are an array of one map, and with fields_read_item and
 * fields_write_item for results and errors. Where a table cannot describe a message,
 * there is a function. Slices in a struct that was read point into the input. A slice
 * with len 0 stands for an absent value. After a reader has failed, *out is undefined.
 */
#ifndef PROTO_AUTH_API_H
#define PROTO_AUTH_API_H

#include "common/rpc_msg.h"
#include "proto/fields.h"

enum {
	AUTH_VERSION_MAJOR = 1,
	AUTH_VERSION_MINOR = 0,
};

/* Limits; see "Limits" in auth-protocol.md. Sizes are in bytes, times in milliseconds. */
enum {
	AUTH_MAX_MESSAGE = 64 * 1024,
	/* The smallest limit that an authenticator may announce. */
	AUTH_MIN_MESSAGE = 4096,
	/* The most bytes that a request has in addition to its parameters. */
	AUTH_ENVELOPE = 32,
	AUTH_MAX_DEPTH = 16,
	AUTH_MAX_STRING = 16 * 1024,
	AUTH_MAX_MAP = 256, /* keys of a map */
	AUTH_MAX_NAME = 255,
	AUTH_MAX_SUBJECT = 1024, /* of a certificate */
	AUTH_MAX_SANS = 16,      /* names of a certificate */
	AUTH_MAX_CERT = 8192,    /* of a certificate as DER */
	AUTH_MAX_INFLIGHT = 1024,
	AUTH_MAX_KEYS = FIELD_MAX_KEYS,
	AUTH_HELLO_MS = 2000,
	AUTH_REVOKE_MS = 2000,
	AUTH_PING_MS = 5000,
	AUTH_PING_MISSES = 2, /* unanswered pings until routerd connects again */
};

#define AUTH_METHOD_HELLO        "hello"
#define AUTH_METHOD_AUTHENTICATE "authenticate"
#define AUTH_METHOD_AUTHORIZE    "authorize"
#define AUTH_METHOD_REVOKE       "revoke"
#define AUTH_METHOD_CHANGED      "changed"
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

/* Optional abilities of a side: bits of auth_hello.features. */
enum auth_feature {
	AUTH_FEATURE_REVOKE = 1 << 0, /* authd sends revoke; routerd accepts it */
	AUTH_FEATURE_CANCEL = 1 << 1, /* routerd sends cancel; authd accepts it */
	/* The notifications session.opened, session.closed and auth.failed. */
	AUTH_FEATURE_EVENTS = 1 << 2,
	AUTH_FEATURE_AUTHORIZE = 1 << 3, /* routerd sends authorize; authd answers it */
};

/* For rpc_handlers.read: reads a message. Applies the limits above if limited is true. */
int auth_msg_read(struct slice in, bool limited, struct rpc_msg *out,
		  size_t *len_out) MUSTCHECK;
/*
 * For rpc_handlers.fallback_error: writes the error that replaces an answer that is too
 * large, or for which memory ran out.
 */
void auth_fallback_error(struct buf *out, int err);

/*
 * Checks that the value at the start of `in` is within the limits, as an element of a
 * message. *len_out gets its length.
 */
int auth_check(struct slice in, size_t *len_out) MUSTCHECK;

/*
 * Checks that map is exactly one encoded map within the limits, nested at most max_depth
 * deep. E_TYPE, E_TRAILING, E_DEPTH or another error of auth_check.
 */
int auth_check_map(struct slice map, unsigned max_depth) MUSTCHECK;

/* hello [map], from routerd to authd. */
struct auth_hello {
	struct field_version protocol; /* required */
	struct slice product;          /* "routerd/0.1.0" */
	struct slice instance;         /* a random name of this process */
	uint64_t pid;                  /* FIELD_NONE: absent */
	uint64_t max_message;          /* default: AUTH_MAX_MESSAGE */
	uint64_t max_depth;            /* default: AUTH_MAX_DEPTH */
	unsigned features;
	struct slice methods;   /* encoded array of strings; see auth_list_write */
	struct slice realms;    /* the same */
	struct slice listeners; /* the same */
	uint64_t last_epoch;    /* epoch of the last hello result; or AUTH_NO_EPOCH */
	struct slice last_db;   /* db of the last hello result; or empty */
};
extern const struct field_table auth_hello_table;

/* The result of hello. */
struct auth_hello_result {
	struct field_version protocol; /* required */
	struct slice product, instance;
	struct slice db;       /* identifies the data whose changes the epochs count */
	uint64_t epoch;        /* AUTH_NO_EPOCH: absent */
	uint64_t max_message;  /* default: AUTH_MAX_MESSAGE */
	uint64_t max_inflight; /* default: AUTH_MAX_INFLIGHT */
	unsigned features;
	struct slice methods; /* encoded array of strings */
	bool ready;           /* default: true */
};
extern const struct field_table auth_hello_result_table;

/* details.transport.tls. All fields are optional. */
struct auth_tls {
	struct slice version; /* "1.3" */
	struct slice cipher;
	struct slice sni; /* the name that the client asked for */
	/* The certificate that the client has shown. */
	struct slice client_cert_sha256;  /* of its DER, 64 hex digits */
	struct slice client_cert_subject; /* as RFC 2253 writes it */
	struct slice client_cert_sans; /* encoded array of strings: "DNS:example.com" */
	struct slice client_cert;      /* its DER */
};
extern const struct field_table auth_tls_table;

/* details.transport: how the client is connected. All fields are optional. */
struct auth_transport {
	struct slice listener;
	struct slice channel_framing;    /* "websocket" */
	struct slice channel_serializer; /* "cbor" */
	struct slice channel_type;       /* "tcp", "tls", "unix" */
	struct slice peer;               /* "tcp4:127.0.0.1:51812" */
	struct slice proxied_by;         /* the proxy that has told the peer */
	struct slice path;
	struct slice headers; /* http_headers_received, an encoded map */
	struct slice tls;     /* an encoded struct auth_tls; empty: none */
};

/* authenticate [realm|nil, authid|nil, details], from routerd to authd. */
struct auth_request {
	struct slice realm;
	struct slice authid;
	struct slice authmethod; /* required */
	struct slice authrole;   /* the role that the client asks for */
	/*
	 * The authextra that the client sent: an encoded dict, or empty. The writer puts
	 * the fields pubkey and channel_binding below first, then the other pairs that
	 * the protocol allows. It writes a pubkey of 64 hex digits in lower case. The
	 * reader copies these two keys from authextra to the fields below if they are
	 * strings; otherwise it ignores them.
	 */
	struct slice authextra;
	enum serializer authextra_in; /* the encoding of authextra */
	struct slice pubkey;
	struct slice channel_binding;
	struct slice ticket; /* the secret of the method ticket */
	uint64_t session;    /* the id that the session will get; FIELD_NONE: none yet */
	uint64_t ttl_ms;     /* routerd ignores a later answer; FIELD_NONE: absent */
	struct slice corr;   /* correlation id: in the logs of both sides and in ABORT */
	struct auth_transport transport;
};
int auth_request_read(struct slice params, struct auth_request *out) MUSTCHECK;
/*
 * Writes the parameters of a request whose whole message has at most max_message bytes,
 * which must be AUTH_MIN_MESSAGE or more.
 *
 * A pair of authextra or of the headers is left out if its key is not a string of 1 to
 * AUTH_MAX_NAME bytes; if its value contains an ext type, exceeds a limit, or contains a
 * map with a key that is not a string; or if there is no room for it. The pairs of each
 * dict get at most AUTH_MAX_STRING bytes. A path that is too long is left out, too. If
 * the request is longer than max_message without any pair, the certificate, its SANs and
 * its subject are left out of transport.tls, in this order, until it fits.
 *
 * E_RANGE: realm, authid, authrole, pubkey or channel_binding is longer than
 * AUTH_MAX_NAME, or ticket is longer than AUTH_MAX_STRING; leaving one of them out would
 * change the request. E_LIMIT: the ticket does not fit into max_message. E_NOMEM. After
 * an error the content of *out is undefined. If there is a ticket, out should be secret.
 */
int auth_request_write(struct buf *out, const struct auth_request *q,
		       size_t max_message) MUSTCHECK;

/* The result of authenticate: a map, or only a role. */
struct auth_result {
	struct slice role; /* required; not empty */
	struct slice realm, authid, authprovider;
	/* An encoded map, sent to the client as authextra of WELCOME. */
	struct slice extra;
	/* From pubkey or pubkeys; the client may sign with any of them. */
	struct field_keys keys;
	uint64_t epoch; /* of the data that the result was read from; or AUTH_NO_EPOCH */
	struct slice whole; /* when read: the result itself, for auth_proof_read */
};
int auth_result_read(struct slice result, struct auth_result *out) MUSTCHECK;
extern const struct field_table auth_result_table; /* for writing */
/* Describes, for the log, why auth_result_read has refused a result. */
enum { AUTH_FAULT_MAX = 160 };
void auth_result_explain(struct slice result, char text[AUTH_FAULT_MAX]);

/*
 * What the result of authenticate says about the principal's secret, for the methods that
 * need one.
 */
struct auth_proof {
	/* wampcra: either secret, or derived_key and salt */
	struct slice secret;
	struct slice derived_key;    /* base64 */
	struct slice salt;           /* text; scram: hex digits */
	uint64_t iterations, keylen; /* FIELD_NONE: absent */
	/* scram */
	struct slice kdf;
	uint64_t memory; /* KiB; FIELD_NONE: absent */
	struct field_key stored_key, server_key;
};
enum { AUTH_MAX_SECRET = 4096, AUTH_MAX_ITERATIONS = 10000000, AUTH_MAX_KEYLEN = 64 };
/* Reads it. After an error, text says for the log what is wrong. */
int auth_proof_read(struct slice result, struct auth_proof *out,
		    char text[AUTH_FAULT_MAX]) MUSTCHECK;
extern const struct field_table auth_proof_table; /* for writing */

/* authorize [details, uri, action, options], from routerd to authd. */
struct auth_authorize {
	/* The map details. */
	uint64_t session; /* required */
	struct slice realm, authid, authrole, authmethod, authprovider;
	struct slice authextra; /* a MessagePack map: extra of authenticate's result */
	uint64_t ttl_ms;        /* as in auth_request */

	struct slice uri;    /* required, up to WAMP_MAX_URI bytes */
	struct slice action; /* required: "call", "register", "publish" or "subscribe" */
	/* The Options that the client sent: an encoded dict, or empty. */
	struct slice options;
	enum serializer options_in; /* the encoding of options */
};
int auth_authorize_read(struct slice params, struct auth_authorize *out) MUSTCHECK;
/*
 * Writes the parameters of a request whose whole message has at most max_message bytes,
 * which must be AUTH_MIN_MESSAGE or more. Leaves out pairs of authextra and options that
 * the protocol cannot carry (see auth_request_write), and pairs for which there is no
 * room. E_RANGE: a name or the URI is too long. E_NOMEM. After an error the content of
 * *out is undefined.
 */
int auth_authorize_write(struct buf *out, const struct auth_authorize *q,
			 size_t max_message) MUSTCHECK;

/* The result of authorize: a map, or only a boolean. */
struct auth_authorize_result {
	bool allow; /* required */
	/* CALL, PUBLISH: the receiver learns who the client is, as if the client had
	 * asked for it. */
	bool disclose;
	/* The router may keep the decision: until a change, or this long. */
	bool cache;
	uint64_t cache_ttl_ms; /* FIELD_NONE: no limit */
};
int auth_authorize_result_read(struct slice result,
			       struct auth_authorize_result *out) MUSTCHECK;
extern const struct field_table auth_authorize_result_table; /* for writing */

enum auth_error_kind {
	AUTH_ERROR_DENY = 0, /* the client may not log in */
	/* The authenticator does not know the client: ask the next authenticator. */
	AUTH_ERROR_IGNORE = 1,
	AUTH_ERROR_TEMPORARY = 2, /* no decision is possible now */
	AUTH_ERROR_INTERNAL = 3,  /* a bug, or an error that could not be read */
	AUTH_ERROR_KIND_COUNT = 4,
};

/* The error of any request. */
struct auth_error {
	enum auth_error_kind kind;
	struct slice uri;        /* a valid URI; may be empty, even in a deny */
	struct slice message;    /* for the client; only sent if kind is deny */
	struct slice detail;     /* for the log only */
	uint64_t retry_after_ms; /* FIELD_NONE: absent */
};
/*
 * Reads a map, a URI (a deny) or [uri, message] (a deny). Never fails: an error that
 * cannot be read becomes AUTH_ERROR_INTERNAL, whose detail says what is wrong.
 */
void auth_error_read(struct slice error, struct auth_error *out);
/* Writes an error. message may be empty. */
void auth_error_write(struct buf *out, enum auth_error_kind kind, const char *uri,
		      struct slice message);
extern const struct field_table auth_error_table; /* for writing other errors */

/*
 * Selects sessions. Each field is a term: a session must match every term that is given.
 * At least one is given.
 */
struct auth_match {
	struct slice authid, role, realm;
	struct field_key pubkey;
	uint64_t session; /* FIELD_NONE: any */
};

/* revoke [map], from authd to routerd. */
struct auth_revoke {
	/* An unknown term is an error: ignoring it would match more sessions. */
	struct auth_match match;
	uint64_t epoch;   /* of the change; or AUTH_NO_EPOCH */
	struct slice uri; /* reason in GOODBYE and ABORT; default: wamp.close.killed */
	struct slice message;
	bool dry_run; /* only count the sessions */
};
int auth_revoke_read(struct slice params, struct auth_revoke *out) MUSTCHECK;
/* Says why auth_revoke_read has refused the parameters. */
void auth_revoke_explain(struct slice params, char text[AUTH_FAULT_MAX]);
extern const struct field_table auth_revoke_table; /* for writing */

struct auth_revoke_result {
	uint64_t sessions; /* sessions ended; required */
	uint64_t pending;  /* handshakes refused; default: 0 */
	bool partial;      /* some worker of the router has not answered in time */
};
extern const struct field_table auth_revoke_result_table;

/*
 * changed [map], from authd to routerd: the router forgets the decisions that it has kept
 * (auth_authorize_result.cache) about these principals. Without a term: about all. pubkey
 * and session are ignored. Read it with fields_read_params.
 */
struct auth_changed {
	struct auth_match match;
};
extern const struct field_table auth_changed_table;

struct auth_changed_result {
	bool partial; /* some worker of the router has not answered in time */
};
extern const struct field_table auth_changed_result_table;

/* The result of ping [], in either direction. */
struct auth_ping_result {
	bool ready;               /* default: true */
	uint64_t inflight, epoch; /* FIELD_NONE: absent */
};
int auth_ping_read(struct slice params) MUSTCHECK;
extern const struct field_table auth_ping_result_table;

/* cancel [msgid]: routerd no longer waits for the answer to this request. */
void auth_cancel_write(struct buf *out, uint32_t id);

/* session.opened [map]. */
struct auth_opened {
	uint64_t session; /* required */
	struct slice realm, authid, authrole, authmethod, peer, corr;
	struct field_key pubkey;
};
extern const struct field_table auth_opened_table;

/* session.closed [map]. */
struct auth_closed {
	uint64_t session; /* required */
	struct slice authid, reason;
	uint64_t duration_ms; /* FIELD_NONE: absent */
};
extern const struct field_table auth_closed_table;

/* auth.failed [map]: the client did not complete the login after authenticate. */
struct auth_failed {
	struct slice corr;
	struct slice reason; /* "bad_signature", "timeout", "abandoned"; required */
};
extern const struct field_table auth_failed_table;

/* Writes an encoded array of strings, for methods, realms and listeners. */
void auth_list_write(struct buf *out, const struct slice *items, size_t n);

#endif
