/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serves authd's two sockets, one for routers and one for authctl. main passes constant
 * tables of the requests that a peer may send. Main thread.
 *
 * The handler of a request returns nothing. It answers the request exactly once, before
 * it returns or later.
 */
#ifndef AUTHD_SERVER_H
#define AUTHD_SERVER_H

#include "authd/revoke.h"
#include "authd/settings.h"
#include "authd/store.h"
#include "common/listener.h"
#include "common/rpc.h"
#include "proto/fields.h"

#include <sys/queue.h>

struct client;

/* A request that a peer may send. */
struct method {
	const char *name;
	enum {
		NEEDS_NOTHING = 0,
		NEEDS_DATABASE = 1, /* the database is open */
		NEEDS_HELLO = 2,    /* the database is open and the peer has sent hello */
	} needs;
	void (*call)(struct client *c, struct rpc_request *req, struct slice params,
		     int what);
	int what; /* argument for a handler that serves several methods */
};

/* A notification that a peer may send. */
struct notice {
	const char *name;
	void (*take)(struct client *c, struct slice params);
};

/* The kind of peers on a socket, and the requests they may send. */
struct role {
	const char *name;    /* for the log */
	const char *fd_name; /* FileDescriptorName= in the socket unit */
	unsigned max_clients;
	struct rpc_limits limits;
	const struct method *methods; /* ends with a NULL name, like notices */
	const struct notice *notices;
};
extern const struct role for_routers; /* in for_routers.c */
extern const struct role for_admins;  /* authctl; in for_admins.c */

/* A listening socket and its connections. */
struct endpoint {
	struct server *server;
	const struct role *role;
	const struct settings_socket *conf;
	struct listener listener;
	unsigned n_clients;
};

/* A connection of a router or of authctl. */
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

/* Each row: the field, which is also the counter's name; type; help text. */
#define SERVER_COUNTERS(X)                                                               \
	X(connections, COUNTER, "connections that routers and authctl have opened")      \
	X(refused, COUNTER,                                                              \
	  "connections refused: the user is not in allow_users, too many connections "   \
	  "are open, or memory ran out")                                                 \
	X(malformed, COUNTER,                                                            \
	  "connections closed because the peer sent an invalid message")                 \
	X(authenticate, COUNTER, "requests to decide about a login")                     \
	X(allowed, COUNTER, "logins allowed")                                            \
	X(denied, COUNTER, "logins denied")                                              \
	X(failed, COUNTER, "logins without a decision because of an error")              \
	X(opened, COUNTER, "sessions that routers have reported as begun")               \
	X(closed, COUNTER, "sessions that routers have reported as ended")               \
	X(auth_failed, COUNTER, "logins that routers have reported as failed")           \
	X(cancels, COUNTER, "logins canceled by routers")                                \
	X(unknown_notices, COUNTER, "notifications with an unknown method")              \
	X(changes, COUNTER, "changes that authctl made to principals and their keys")    \
	X(revokes, COUNTER, "revocations")                                               \
	X(revoke_failures, COUNTER,                                                      \
	  "revocations not confirmed; counted once for each router that has not "        \
	  "confirmed")                                                                   \
	X(not_ready, COUNTER, "requests refused because the database was not open")      \
	X(database_errors, COUNTER, "failed accesses to the database")                   \
	X(epoch, GAUGE,                                                                  \
	  "the database's epoch: 1 at first, and 1 more after each change that takes "   \
	  "away access")                                                                 \
	X(routers, GAUGE, "connected routers")                                           \
	X(admins, GAUGE, "connections of authctl")

struct server_counters {
	SERVER_COUNTERS(COUNTER_FIELD)
};
/* Describes struct server_counters. */
extern const struct counter_table server_counter_table;

struct server {
	struct loop *loop;
	const struct settings *settings;
	/* NULL while the database is not open: logins and changes are refused. */
	struct store *store;
	const char *waits_for; /* why store is NULL; sent as the error text */
	char instance[33];     /* random, chosen at start */
	struct endpoint router, admin;
	LIST_HEAD(client_list, client) clients;
	LIST_HEAD(, revoke) revokes; /* revocations in progress */
	struct removals removals;    /* removals that some router has not confirmed */
	uint64_t last_client;        /* number of the newest connection */
	struct log_rate rate;        /* limits lines that peers can cause */
	/* database_errors and the gauges stay 0: server_log_counters computes them. */
	struct server_counters counters;
};

/*
 * Initialises the server. All arguments must stay valid as long as the server. The caller
 * sets store when the database is open.
 */
void server_init(struct server *s, struct loop *l, const struct settings *settings,
		 const struct role *routers, const struct role *admins);
/* Opens both sockets, or takes them from the service manager. Errors are logged. */
int server_listen(struct server *s) MUSTCHECK;
/* Answers the pending requests and closes all connections. */
void server_fini(struct server *s);

void server_log_counters(const struct server *s);

/* Applies the rate limit to a log line that a peer has caused. True: log it. */
bool server_may_log(struct server *s);

/* Answers req with msg, a struct of auth_api or admin_api that table t describes. */
void server_reply(struct rpc_request *req, const struct field_table *t, const void *msg);
/* Answers req with a struct auth_error. message may be NULL. */
void server_reply_error(struct rpc_request *req, enum auth_error_kind kind,
			const char *uri, const char *message);
/* Answers that a parameter is invalid; why names it and says what is expected. */
void server_reply_invalid(struct rpc_request *req, const char *why);
/*
 * Reads the parameters into *out, a struct that table t describes. False: they are
 * invalid, and the request has been answered with an error.
 */
bool server_read(struct rpc_request *req, struct slice params,
		 const struct field_table *t, void *out) MUSTCHECK;

#endif
