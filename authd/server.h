/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authd's two sockets and who is connected to them. What a peer may ask is in constant
 * tables, which main hands over. Main thread.
 *
 * A handler answers through its request, now or later, exactly once. It returns nothing.
 */
#ifndef AUTHD_SERVER_H
#define AUTHD_SERVER_H

#include "authd/removal.h"
#include "authd/settings.h"
#include "authd/store.h"
#include "common/listener.h"
#include "common/rpc.h"
#include "proto/fields.h"

#include <sys/queue.h>

struct client;

struct method {
	const char *name;
	enum {
		NEEDS_NOTHING = 0,
		NEEDS_DATABASE = 1, /* the database is open */
		NEEDS_HELLO = 2,    /* the same, and the peer has introduced itself */
	} needs;
	void (*call)(struct client *c, struct rpc_request *req, struct slice params,
		     int what);
	int what; /* tells a handler of several methods which one it is */
};

struct notice {
	const char *name;
	void (*take)(struct client *c, struct slice params);
};

/* What the peers at one of the sockets are, and what they may ask. */
struct role {
	const char *name;    /* for the log */
	const char *fd_name; /* FileDescriptorName= of its socket unit */
	unsigned max_clients;
	struct rpc_limits limits;
	const struct method *methods; /* up to a name of NULL, as notices */
	const struct notice *notices;
};
extern const struct role for_routers; /* for_routers.c; proto/auth-protocol.md */
extern const struct role for_admins;  /* for_admins.c; proto/admin_api.h: authctl */

struct endpoint {
	struct server *server;
	const struct role *role;
	const struct settings_socket *conf;
	struct listener *listener; /* NULL: not open */
	unsigned n_clients;
};

/* A connection. Dies with it. */
struct client {
	LIST_ENTRY(client) link;
	struct endpoint *endpoint;
	struct server *server;
	struct rpc_conn *rpc;
	bool greeted;      /* hello was answered */
	unsigned features; /* of the peer */
	uid_t uid;
	char name[32]; /* log prefix: "router 3" */
};

struct server {
	struct loop *loop;
	const struct settings *settings;
	struct store *store; /* NULL: not open yet; nobody gets in, and nothing changes */
	const char *waits_for; /* why not, for those who ask; lent */
	char instance[33];     /* drawn at start */
	struct endpoint router, admin;
	LIST_HEAD(client_list, client) clients;
	LIST_HEAD(, revoke) revokes; /* not acknowledged by all yet */
	struct removals removals;    /* not confirmed by all */
	uint64_t last_client;        /* number of the youngest */
	struct log_rate rate;        /* of lines that peers can cause */
	struct {
		uint64_t connections, refused, malformed;
		uint64_t authenticate, allowed, denied, failed;
		uint64_t opened, closed, auth_failed, cancels, unknown_notices;
		uint64_t changes, revokes, revoke_failures;
		uint64_t not_ready; /* requests that came before the database was open */
	} counters;
};

/* Lends everything. The owner sets store when the database is open. */
void server_init(struct server *s, struct loop *l, const struct settings *settings,
		 const struct role *routers, const struct role *admins);
/* Opens both sockets, or takes them from the service manager; logs what is wrong. */
int server_listen(struct server *s) MUSTCHECK;
/* Closes all connections. It answers what is not answered yet before that. */
void server_fini(struct server *s);

void server_log_counters(const struct server *s);

/* May a line be logged that a peer has caused? */
bool server_may_log(struct server *s);

/* Answers with a message of auth_api or admin_api, by its table. */
void server_reply(struct rpc_request *req, const struct field_table *t, const void *msg);
/* Answers with an error in auth_api's form; message may be NULL. */
void server_reply_error(struct rpc_request *req, enum auth_error_kind kind,
			const char *uri, const char *message);
/* The same for params that could not be read. */
void server_reply_invalid(struct rpc_request *req, int err);
/* Reads params by such a table. False: it could not, and has answered. */
bool server_read(struct rpc_request *req, struct slice params,
		 const struct field_table *t, void *out) MUSTCHECK;

#endif
