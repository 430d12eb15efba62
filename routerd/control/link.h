/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link to one authenticator (proto/auth-protocol.md): a connection that comes and
 * goes. It connects, says hello, pings, and after an outage tries again, after pauses
 * that grow. It knows no login: who uses it is told when it is up, and what it is asked.
 *
 * While it is down a socket is kept for it, so that no flood of clients can take the last
 * descriptor away. Worker 0 only.
 */
#ifndef ROUTERD_CONTROL_LINK_H
#define ROUTERD_CONTROL_LINK_H

#include "common/loop.h"
#include "common/rpc.h"
#include "routerd/config/config.h"
#include "routerd/control/auth_hello.h"

enum link_state {
	LINK_DOWN = 0,      /* to be tried again when the timer fires */
	LINK_HELLO = 1,     /* connected; hello is on its way, or will be asked again */
	LINK_NOT_READY = 2, /* it says that it is starting; pinged until it is ready */
	LINK_UP = 3,
};

struct link;
struct link_handlers {
	/* It is up: calls may be made by l->rpc. */
	void (*up)(struct link *l);
	/* It is down. Calls in flight that were not told RPC_CLOSED will hear nothing. */
	void (*down)(struct link *l);
	/* The authenticator asks. To be answered exactly once, now or later. */
	void (*request)(struct link *l, struct rpc_request *req, struct slice method,
			struct slice params);
};

struct link {
	/* for all to read */
	const struct config_authenticator *conf;
	enum link_state state;
	struct rpc_conn *rpc; /* NULL in DOWN */
	uint64_t number;      /* of this connection, unique in the process */
	unsigned features;
	unsigned max_questions; /* in flight at a time */
	bool ping_due;          /* for want of room: before any further question */
	size_t max_message;
	uint64_t connects, lost_reports; /* counters */

	/* link.c's own */
	struct loop *loop;
	const struct config *config;
	const struct link_handlers *handlers;
	struct auth_hello_memory memory;
	unsigned failures; /* in a row: connections that answered at most hello */
	unsigned misses;   /* pings without an answer, in a row */
	int spare;         /* a socket for the next connection, or -1 */
	char outage[96];   /* the reason that was logged last; "": none */
	bool no_revoke_logged;
	struct timer timer; /* DOWN: connect; HELLO: ask again; else: ping */
};

/* Begins to connect. index: in config.authenticators; all is lent until link_fini. */
void link_init(struct link *l, struct loop *loop, const struct config *cfg,
	       uint16_t index, const struct link_handlers *handlers);
/* No callback follows, not even for calls in flight. */
void link_fini(struct link *l);

/*
 * It has answered a question: the next outage begins with short pauses. An answer to
 * hello alone is not enough, since it may die of whatever comes after that.
 */
void link_answered(struct link *l);

/*
 * Notifies the authenticator of a session that began, ended or failed, if it asked for
 * such notifications. One that cannot be sent is counted and dropped.
 */
void link_report(struct link *l, const char *method, struct slice params);

#endif
