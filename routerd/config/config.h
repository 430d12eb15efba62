/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: an immutable snapshot of one YAML file. Keys have the same names as
 * in Crossbar if Crossbar has the key; etc/examples/routerd.yaml explains them. All
 * cross-references are resolved and checked here, so other code need not check them. One
 * thread builds it, then all threads may read it.
 */
#ifndef ROUTERD_CONFIG_CONFIG_H
#define ROUTERD_CONFIG_CONFIG_H

#include "common/address.h"
#include "common/base.h"
#include "common/conf.h"
#include "proto/cra.h"
#include "proto/fields.h"
#include "proto/wamp.h"
#include "routerd/config/rights.h"

#define ROUTERD_VERSION "0.1.0"

enum {
	CONFIG_MAX_THREADS = 16,
	CONFIG_MAX_REALMS = 1024,
	CONFIG_MAX_ROLES = 256,        /* per realm */
	CONFIG_MAX_PERMISSIONS = 4096, /* per role */
	/*
	 * Per realm. The wildcards among them cannot fill the index of patterns
	 * (PATTERN_VISITS_MAX).
	 */
	CONFIG_MAX_HISTORY = 256,
	CONFIG_MAX_LISTENERS = 64,
	CONFIG_MAX_CERTIFICATES = 64, /* per transport */
	CONFIG_MAX_NETWORKS = 64,     /* per list */
	CONFIG_MAX_AUTHENTICATORS = 64,
	CONFIG_MAX_PRINCIPALS = 1024,  /* per transport and method */
	CONFIG_MAX_SECRET = 4096,      /* bytes of a principal's secret */
	CONFIG_MAX_MESSAGE = 16 << 20, /* bytes */
};

struct config_role {
	const char *name;
	struct permission *permissions;
	size_t n_permissions;
	/* Name of the authenticator that is asked about each request, instead of
	 * permissions; or NULL. */
	const char *authorizer;
};

enum call_timeout_unit {
	CALL_TIMEOUT_IN_MS = 0, /* as the specification says */
	CALL_TIMEOUT_IN_S = 1,  /* as Autobahn|Python says */
};

/* The reason in the router's answer to a client's GOODBYE. */
enum goodbye_reason {
	GOODBYE_AND_OUT = 0, /* as the specification says */
	GOODBYE_NORMAL = 1,  /* as Crossbar.io answers */
};

struct realm_options {
	enum call_timeout_unit call_timeout_unit;
	enum goodbye_reason goodbye_reason;
	int call_queue;          /* calls of a procedure that may wait for a callee */
	size_t call_queue_size;  /* their bytes */
	size_t call_queue_total; /* bytes of all calls in the realm that wait */
	int retained_topics;     /* topics that may have retained events */
	size_t retained_size;    /* bytes of all retained events in the realm */
	uint32_t retained_age;   /* ms; 0: retained events do not expire */
};

/* A topic or pattern whose events are kept (specification: "Event History"). */
struct config_history {
	const char *uri;
	enum match match;
	int limit;    /* events */
	size_t bytes; /* of their memory */
	uint32_t age; /* ms; older events are forgotten. 0: no limit */
};

struct config_realm {
	const char *name;
	struct realm_options options;
	/* In the file it is one of the options, but a reload does not change it. */
	struct config_history *history;
	size_t n_history;
	struct config_role *roles;
	size_t n_roles;
};

enum listener_type {
	LISTENER_WEBSOCKET = 0,
	LISTENER_RAWSOCKET = 1,
	LISTENER_UNIVERSAL = 2, /* both; the first octet tells them apart */
};

enum endpoint_type {
	ENDPOINT_TCP = 0,
	ENDPOINT_UNIX = 1,
};

/* Are clients asked for a certificate? */
enum config_clients {
	CONFIG_CLIENTS_OFF = 0,
	CONFIG_CLIENTS_OPTIONAL = 1,
	CONFIG_CLIENTS_REQUIRED = 2,
};

/* A certificate for TLS, and its key. */
struct config_certificate {
	const char *certificate;                /* a file; NULL: none */
	const char *key;                        /* a file */
	struct conf_strings chain_certificates; /* files */
	/*
	 * Read from the files, and checked. Empty if this process may not read them,
	 * because they are credentials of the service; then the rest is empty, too.
	 */
	struct slice certificates_pem; /* its own first */
	struct slice key_pem;
	const char *names, *expires; /* for log lines */
	int64_t expires_s;           /* Unix time in seconds */
};

/* The warnings begin so many seconds before a certificate expires. */
enum { CONFIG_EXPIRY_WARN_S = 14 * 86400 };

struct config_tls {
	/* For clients that name no server, or one that no certificate is for. No TLS if
	 * own.certificate is NULL. */
	struct config_certificate own;
	struct config_certificate *more;
	size_t n_more;
	const char *ciphers;                 /* of TLS 1.2; NULL: the default */
	const char *groups;                  /* NULL: OpenSSL's default */
	int clients;                         /* enum config_clients */
	struct conf_strings ca_certificates; /* files: what signs clients' certificates */
	struct slice ca_pem;                 /* read from these */
};

struct config_networks {
	struct network items[CONFIG_MAX_NETWORKS];
	size_t count;
};

/* The PROXY protocol. */
struct config_proxy_protocol {
	struct conf_strings texts;   /* "from" in the file */
	struct config_networks from; /* derived from it. None: the protocol is off */
};

struct config_endpoint {
	enum endpoint_type type;
	const char *host; /* TCP: a numeric address; NULL: all addresses of the system */
	int port;         /* TCP */
	int version;      /* TCP: 4, 6, or 0 if absent; already applied to host */
	const char *path; /* UNIX */
	mode_t mode;      /* UNIX: permissions of the socket's file */
	struct config_tls tls; /* TCP */
	struct config_proxy_protocol proxy_protocol;
};

struct config_options {
	size_t max_message_size; /* bytes of a message from a client after WELCOME */
	size_t max_header_size;  /* bytes of an HTTP request head */
	int max_headers;         /* of an HTTP request; at most HTTP_HEADERS_MAX */
	struct conf_strings allowed_origins; /* see config_origin_allowed */
	bool allow_null_origin;
	struct conf_strings trusted_proxies;
	uint32_t auto_ping_interval;     /* ms without input before a ping; 0: no pings */
	bool rawsocket_ping;             /* ping RawSocket connections, too */
	bool compression;                /* WebSocket: agree on permessage-deflate */
	uint32_t auto_ping_timeout;      /* ms */
	uint32_t open_handshake_timeout; /* ms, from accept to WELCOME */
	uint32_t close_handshake_timeout; /* ms */
	int max_connections;              /* open at the same time; 0: no limit */
};

/* The login methods of config_auth.methods: its indexes. */
enum config_method_id {
	METHOD_CRYPTOSIGN = 0,
	METHOD_TICKET = 1,
	METHOD_WAMPCRA = 2,
	METHOD_SCRAM = 3, /* also the WAMP method wamp-scram */
	METHOD_COOKIE = 4,
	METHOD_TLS = 5,
	METHOD_COUNT = 6,
};

/* The keys of these methods in the file, which are also their WAMP names. */
extern const char *const config_method_names[METHOD_COUNT];

enum config_method_type {
	METHOD_STATIC = 0,  /* the file lists the principals */
	METHOD_DYNAMIC = 1, /* an authenticator knows them */
};

/*
 * A secret. After the file was read, text has it, wherever it came from, unless this
 * process may not read the credential.
 */
struct config_secret {
	const char *text;       /* NULL: none */
	const char *file;       /* a file that has the secret, or NULL */
	const char *credential; /* the name of a credential of systemd, or NULL */
};

enum {
	CONFIG_DIGEST_LEN = 32,
	CONFIG_MAX_SALT = 255,
	CONFIG_MAX_SCRAM_SALT = 64,                                     /* bytes */
	CONFIG_SCRAM_SALT_TEXT = 4 * ((CONFIG_MAX_SCRAM_SALT + 2) / 3), /* base64 */
};

/* How SCRAM derives a key from a password; the specification calls it kdf. */
enum config_kdf {
	CONFIG_KDF_AUTOBAHN = 0, /* Argon2id; the key is the hash as text */
	CONFIG_KDF_ARGON2ID = 1, /* Argon2id, as in the specification */
	CONFIG_KDF_PBKDF2 = 2,
	CONFIG_KDF_COUNT = 3,
};
/* Their names in WAMP, which are also those in the file. NULL ends the list. */
extern const char *const config_kdf_names[CONFIG_KDF_COUNT + 1];

/* Somebody who may log in by a static method. */
struct config_principal {
	const char *authid;
	const char *role;
	const char *realm; /* NULL: the realm that the client asks for */
	struct config_secret secret;
	struct conf_strings authorized_keys; /* cryptosign; tls: of certificates */
	/* wampcra. Without a salt the secret itself signs. */
	const char *salt; /* NULL: none */
	int iterations, keylen;
	/* scram. The salt and the keys are hex digits. */
	int kdf;
	int memory; /* KiB; 0: none */
	const char *stored_key_hex, *server_key_hex;
	/* Derived from the keys above. */
	uint8_t stored_key[FIELD_KEY_LEN], server_key[FIELD_KEY_LEN]; /* scram */
	uint8_t scram_salt[CONFIG_MAX_SCRAM_SALT];
	size_t scram_salt_len;
	struct field_keys keys;
	uint8_t digest[CONFIG_DIGEST_LEN]; /* ticket: of the secret; see config_digest */
	struct cra_key cra_key;            /* wampcra */
};

struct config_method {
	int type;            /* -1: not offered; else enum config_method_type */
	int channel_binding; /* cryptosign: 1 if clients must bind their logins to TLS */
	const char *authenticator; /* METHOD_DYNAMIC: its name */
	int authenticator_index;   /* in config.authenticators; -1: not METHOD_DYNAMIC */
	struct config_principal *principals; /* METHOD_STATIC */
	size_t n_principals;
	/*
	 * Takes the place of a principal whose authid is unknown. Its secret and its key
	 * are random, so nobody can log in as it. The rest is like the first principal.
	 */
	struct config_principal nobody;
};

struct config_auth {
	struct config_method methods[METHOD_COUNT];
	struct {
		int type;          /* -1: not offered */
		const char *role;  /* NULL: not offered */
		const char *realm; /* NULL: the realm that the client asks for */
		/* Index in config.realms; -1: the realm that the client asks for. */
		int realm_index;
	} anonymous;
};

/* The HTTP long-poll transport. */
struct config_longpoll {
	const char *path;         /* its requests are below it; NULL: not offered */
	uint32_t request_timeout; /* ms; the longest time that a request waits */
	uint32_t session_timeout; /* ms without a request before a session ends */
};

struct config_listener {
	const char *name; /* "id" in the file; by default "listener0", "listener1", ... */
	enum listener_type type;
	struct config_endpoint endpoint;
	struct conf_strings paths; /* for WebSocket; none: all paths */
	struct config_longpoll longpoll;
	unsigned serializers; /* bit s: enum serializer s is supported, also batched */
	struct config_options options;
	struct config_auth auth;
	struct config_networks trusted; /* derived from options.trusted_proxies */
};

/* Features that an authenticator must have; bits of require_features. */
enum config_feature {
	CONFIG_FEATURE_REVOKE = 1u << 0,
};

struct config_authenticator {
	const char *name;
	const char *socket;
	/* Bits of enum config_feature. routerd does not use the authenticator without
	 * them. */
	unsigned require_features;
	struct conf_users allow_users; /* users that it may run as */
	bool forward_client_cert;      /* it gets certificates of clients as a whole */
	uint32_t timeout;              /* ms for one answer */
};

struct config_limits {
	size_t queue_size;       /* bytes in the output queue of one connection */
	size_t queued_total;     /* bytes in all output queues */
	size_t incomplete_total; /* bytes of incomplete requests and messages */
	/* Bytes in flight between two workers above which reading is paused. */
	size_t mailbox_high;
	size_t mailbox_low; /* bytes below which reading resumes */
	/* Logins that wait for one authenticator. The same limit applies to the requests
	 * that wait for it. */
	int hold_queue;
	uint32_t hold_timeout;     /* ms */
	int pending_calls;         /* per session */
	int session_subscriptions; /* per session */
	int session_registrations; /* per session */
	/* Per session: wildcard subscriptions and wildcard registrations together. */
	int session_wildcards;
	int handshakes;       /* TLS handshakes at the same time */
	size_t history_total; /* bytes of all histories of all realms */
};

struct config {
	struct pool pool; /* memory of everything below */
	int version;
	int threads;      /* 0: auto; see cpus.h */
	const char *node; /* sent as x_cb_node */
	/*
	 * The router's own key, with which it proves to clients who it is. NULL: none,
	 * and the next two are zero.
	 */
	const char *node_key_file;
	uint8_t node_secret[64]; /* of crypto_sign */
	uint8_t node_public[FIELD_KEY_LEN];
	struct config_realm *realms;
	size_t n_realms;
	struct config_listener *listeners;
	size_t n_listeners;
	struct config_authenticator *authenticators;
	size_t n_authenticators;
	struct config_limits limits;
	struct conf_log log;
	uint8_t digest_key[CONFIG_DIGEST_LEN]; /* random; see config_digest */
	/* See config_salt. Derived from the node's key if there is one; else random. */
	uint8_t decoy_key[CONFIG_DIGEST_LEN];
	struct {
		/* for tests: the worker that SIGUSR2 stalls; -1: none */
		int stall_worker;
	} debug;
};

/*
 * Reads a file. The caller frees *out with config_free. E_SYS: the file cannot be read;
 * E_SYNTAX: it has errors; E_NOMEM. *errors_out has the messages, with file:line:column.
 */
int config_load(const char *path, struct config **out,
		struct conf_error *errors_out) MUSTCHECK;
/* Like config_load, for a text in memory. name is the file's name in messages. */
int config_parse(struct slice text, const char *name, struct config **out,
		 struct conf_error *errors_out) MUSTCHECK;

/*
 * Derives what logins by static methods compare: the digests of the principals' secrets,
 * and each method's `nobody`. Call it once before clients connect. E_NOTFOUND: this
 * process may not read a credential that it needs; config_load has warned of it.
 */
int config_derive(struct config *cfg) MUSTCHECK;

/*
 * Computes the digest of a secret. It depends on a random key of this process, so digests
 * can be compared in a time that tells nothing about the secret or its length.
 */
void config_digest(const struct config *cfg, struct slice secret,
		   uint8_t out[CONFIG_DIGEST_LEN]);

/*
 * The salt of a principal of a static method; empty: none. For the method's nobody, makes
 * one in `decoy`, which looks like the first principal's and is the same each time for
 * the same authid: a salt that changes would tell that nobody has this authid.
 */
struct slice config_salt(const struct config *cfg, const struct config_method *m,
			 const struct config_principal *who, struct slice authid,
			 char decoy[CONFIG_MAX_SALT + 1]);

/*
 * The same for SCRAM, in base64 in `text`: the salt of a principal or, if decoy is true,
 * one of the same length for an authid that nobody has.
 */
struct slice config_scram_salt(const struct config *cfg,
			       const struct config_principal *like, bool decoy,
			       struct slice authid,
			       char text[CONFIG_SCRAM_SALT_TEXT + 1]);
/* The first principal of a static method with one of these kdfs (bits), or NULL. */
const struct config_principal *config_principal_of_kdfs(const struct config_method *m,
							unsigned kdfs);

/*
 * The principal of a static method that has this authid, or NULL. Takes the same time for
 * each authid of the same length.
 */
const struct config_principal *config_principal_find(const struct config_method *m,
						     struct slice authid);
/* The same for the only principal that has this public key. */
const struct config_principal *config_principal_by_key(const struct config_method *m,
						       const uint8_t key[FIELD_KEY_LEN]);

/*
 * Frees a configuration that no thread uses any more, and sets *cfg to NULL. *cfg may be
 * NULL.
 */
void config_free(struct config **cfg);

/* The index of a realm in cfg->realms, or E_NOTFOUND. */
int config_realm_find(const struct config *cfg, struct slice name) MUSTCHECK;
/* The index of a role in realm->roles, or E_NOTFOUND. */
int config_role_find(const struct config_realm *realm, struct slice name) MUSTCHECK;

/* The certificates of a listener with TLS: i is at most tls->n_more. */
static inline const struct config_certificate *
config_certificate_at(const struct config_tls *tls, size_t i)
{
	return i == 0 ? &tls->own : &tls->more[i - 1];
}

/* Does a login method ask this authenticator, or any authenticator if it is -1? */
bool config_auth_asks(const struct config_auth *auth, int authenticator);
/* Does a role have the authenticator of this name as its authorizer? */
bool config_is_authorizer(const struct config *cfg, const char *authenticator);
/* The index of an authenticator in cfg->authenticators, or E_NOTFOUND. */
int config_authenticator_find(const struct config *cfg, const char *name) MUSTCHECK;

/*
 * May a page from this origin connect? Without allowed_origins all may; see
 * http_origin_allowed. "null", which browsers send for pages without an origin, needs the
 * pattern "*" or allow_null_origin. Do not call it for a request without Origin: such a
 * request does not come from a browser.
 */
bool config_origin_allowed(const struct config_listener *l, struct slice origin);

/*
 * Do two versions of a realm keep different histories? A reload does not change them. If
 * memory runs out, the answer is yes.
 */
bool config_history_differs(const struct config_realm *a, const struct config_realm *b);

/* The table of keys, for a test that compares it with the documentation. */
extern const struct conf_table config_table;

#endif
