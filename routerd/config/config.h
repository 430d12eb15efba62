/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running configuration: an immutable snapshot of one YAML file. Keys have
 * Crossbar's names wherever Crossbar has the key; etc/examples/routerd.yaml explains
 * each. All cross-references are resolved and checked here, so nobody else needs to.
 *
 * Built by one thread, then read by all.
 */
#ifndef ROUTERD_CONFIG_CONFIG_H
#define ROUTERD_CONFIG_CONFIG_H

#include "common/base.h"
#include "common/conf.h"
#include "proto/wamp.h"
#include "routerd/config/rights.h"

enum {
	CONFIG_MAX_THREADS = 16,
	CONFIG_MAX_REALMS = 1024,
	CONFIG_MAX_ROLES = 256,        /* in a realm */
	CONFIG_MAX_PERMISSIONS = 4096, /* of a role */
	CONFIG_MAX_LISTENERS = 64,
	CONFIG_MAX_AUTHENTICATORS = 64,
	CONFIG_MAX_MESSAGE = 16 << 20, /* bytes */
};

struct config_role {
	const char *name;
	struct permission *permissions;
	size_t n_permissions;
};

struct config_realm {
	const char *name;
	struct config_role *roles;
	size_t n_roles;
};

enum listener_type {
	LISTENER_WEBSOCKET = 0,
	LISTENER_RAWSOCKET = 1,
	LISTENER_UNIVERSAL = 2, /* both, told apart by the first octet */
};

enum endpoint_type {
	ENDPOINT_TCP = 0,
	ENDPOINT_UNIX = 1,
};

struct config_endpoint {
	enum endpoint_type type;
	const char *host; /* TCP: a numeric address; NULL: every address of the system */
	int port;         /* TCP */
	int version;      /* TCP: 4, 6, or 0 where the file says nothing; host has it */
	const char *path; /* UNIX */
	mode_t mode;      /* UNIX: of the socket's file */
};

struct config_options {
	size_t max_message_size; /* bytes, of messages from clients after WELCOME */
	size_t max_header_size;  /* bytes of an HTTP request */
	int max_headers;         /* of it: HTTP_HEADERS_MAX at most */
	struct conf_strings allowed_origins; /* see config_origin_allowed */
	bool allow_null_origin;
	uint32_t auto_ping_interval;      /* ms of silence; 0: no pings */
	bool rawsocket_ping;              /* RawSocket connections are pinged, too */
	uint32_t auto_ping_timeout;       /* ms */
	uint32_t open_handshake_timeout;  /* ms, from accept to WELCOME */
	uint32_t close_handshake_timeout; /* ms */
	int max_connections;              /* at a time; 0: no limit */
};

struct config_auth {
	struct {
		int type;                  /* -1: not offered */
		const char *authenticator; /* its name */
		int authenticator_index;   /* in config.authenticators; -1: not offered */
	} cryptosign;
	struct {
		int type;          /* -1: not offered */
		const char *role;  /* NULL: not offered */
		const char *realm; /* NULL: the one that the client asks for */
		int realm_index; /* in config.realms; -1: the one that the client asks for
				  */
	} anonymous;
};

struct config_listener {
	const char *name; /* "id" in the file, else "listener0" for the first, ... */
	enum listener_type type;
	struct config_endpoint endpoint;
	struct conf_strings paths; /* of WebSocket; none: all */
	unsigned serializers;      /* bit s: enum serializer s is spoken, also batched */
	struct config_options options;
	struct config_auth auth;
};

/* Features that a listener may insist on; bits of require_features. */
enum config_feature {
	CONFIG_FEATURE_REVOKE = 1u << 0,
};

struct config_authenticator {
	const char *name;
	const char *socket;
	unsigned require_features; /* enum config_feature bits: without them nobody logs
				      in */
	struct conf_users allow_users; /* as whom it may run */
	uint32_t timeout;              /* ms for one answer */
};

struct config_limits {
	size_t queue_size;       /* bytes in one connection's out-queue */
	size_t queued_total;     /* bytes in all out-queues */
	size_t incomplete_total; /* bytes of requests and messages not yet complete */
	size_t mailbox_high;   /* bytes on their way between two workers: pause reading */
	size_t mailbox_low;    /* resume */
	int hold_queue;        /* HELLOs that wait for an authenticator */
	uint32_t hold_timeout; /* ms */
	int pending_calls;     /* of one session */
	int session_subscriptions; /* of one session */
	int session_registrations; /* of one session */
};

struct config {
	struct pool pool; /* everything below */
	int version;
	int threads;      /* 0: auto, see cpus.h */
	const char *node; /* x_cb_node */
	struct config_realm *realms;
	size_t n_realms;
	struct config_listener *listeners;
	size_t n_listeners;
	struct config_authenticator *authenticators;
	size_t n_authenticators;
	struct config_limits limits;
	struct conf_log log;
	struct {
		int stall_worker; /* a test aid: this worker handles no posts; -1: none */
	} debug;
};

/*
 * Reads a file into *out, for config_free. 0; E_SYS: it cannot be read; E_SYNTAX:
 * something in it is wrong; E_NOMEM. *errors_out says what, with file:line:column.
 */
int config_load(const char *path, struct config **out,
		struct conf_error *errors_out) MUSTCHECK;
/* The same from memory; name stands for the file in messages. */
int config_parse(struct slice text, const char *name, struct config **out,
		 struct conf_error *errors_out) MUSTCHECK;

/* When nobody uses it any more. NULL-safe, clears the caller's pointer. */
void config_free(struct config **cfg);

/* The index of a realm in cfg->realms, or E_NOTFOUND. */
int config_realm_find(const struct config *cfg, struct slice name) MUSTCHECK;
/* The index of a role in realm->roles, or E_NOTFOUND. */
int config_role_find(const struct config_realm *realm, struct slice name) MUSTCHECK;

/*
 * May a page from this origin connect? Any may where allowed_origins says nothing; see
 * http_origin_allowed. "null", which browsers send for pages without an origin, needs a
 * pattern "*" or allow_null_origin. A request without Origin comes from no browser and
 * needs no question.
 */
bool config_origin_allowed(const struct config_listener *l, struct slice origin);

/* The table of keys: for the test that compares it with the documentation. */
extern const struct conf_table config_table;

#endif
