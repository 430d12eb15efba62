/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link to one authenticator (proto/auth-protocol.md). It connects, sends hello and
 * pings; after an outage it reconnects, with growing delays. It does not know about
 * logins: it tells its owner when it is up or down, and passes the authenticator's
 * requests to the owner.
 *
 * While the link is down it keeps a spare socket, so that a flood of clients cannot take
 * the last descriptor. Thread of worker 0.
 */
#ifndef ROUTERD_CONTROL_LINK_H
#define ROUTERD_CONTROL_LINK_H

#include "common/counters.h"
#include "common/loop.h"
#include "common/rpc.h"
#include "routerd/config/config.h"
#include "routerd/control/auth_hello.h"

enum link_state {
	LINK_DOWN = 0,      /* connects when the timer fires */
	LINK_HELLO = 1,     /* connected; hello is sent, or will be sent again */
	LINK_NOT_READY = 2, /* hello is answered; pings until the peer is ready */
	LINK_UP = 3,
};

struct link;
struct link_handlers {
	/*
	 * The link is up: calls may be made with l->rpc. False if memory runs out: then
	 * the link goes down, and connects again.
	 */
	bool (*up)(struct link *l);
	/*
	 * The link is down. Calls in flight that have not got RPC_CLOSED yet get no
	 * callback.
	 */
	void (*down)(struct link *l);
	/* The authenticator has sent a request. Answer it exactly once, now or later. */
	void (*request)(struct link *l, struct rpc_request *req, struct slice method,
			struct slice params);
};

struct link {
	/* The owner may read these fields. */
	const struct config_authenticator *conf;
	enum link_state state;
	struct rpc_conn *rpc; /* NULL while DOWN */
	uint64_t number;      /* number of this connection, unique in the process */
	unsigned features;
	unsigned max_questions; /* limit of questions in flight */
	bool ping_due; /* a ping could not be sent; send it before any question */
	size_t max_message;
	uint64_t revokes; /* counter; the owner counts */

	/* Only link.c uses the fields below. */
	uint64_t up, connects, lost_reports; /* counters */
	struct loop *loop;
	const struct config *config;
	const struct link_handlers *handlers;
	struct auth_hello_memory memory;
	unsigned failures; /* attempts in a row that got no answer but the one to hello */
	unsigned misses;   /* pings in a row without an answer */
	int spare;         /* a socket for the next connection, or -1 */
	char outage[160];  /* reason of the outage, as logged; "": no outage */
	bool no_revoke_logged, no_authorize_logged;
	/* DOWN: connect; HELLO: send hello again; else: send a ping. */
	struct timer timer;
};

/* Each row: field, name, type, help text. */
#define LINK_COUNTERS(X)                                                                 \
	X(up, "link_up", GAUGE, "1: connected, and the authenticator is ready; else 0")  \
	X(revokes, "revokes", COUNTER, "revocations received")                           \
	X(connects, "connects", COUNTER, "connections made to the authenticator")        \
	X(lost_reports, "lost_reports", COUNTER,                                         \
	  "reports of logins and ended sessions that could not be sent")
extern const struct counter_table link_counter_table; /* describes struct link */

/*
 * Starts connecting. index is the index of the authenticator in cfg->authenticators. The
 * arguments must stay valid until link_fini.
 */
void link_init(struct link *l, struct loop *loop, const struct config *cfg,
	       uint16_t index, const struct link_handlers *handlers);
/* Closes the link. No callback follows, not even for calls in flight. */
void link_fini(struct link *l);

/*
 * Records that the authenticator has answered a question: the next outage starts with
 * short delays. An answer to hello is not enough, since the authenticator may crash at
 * the first question.
 */
void link_answered(struct link *l);

/*
 * Notifies the authenticator that a session has begun or ended, or that a login has
 * failed, if it supports events. A notification that cannot be sent is counted and
 * dropped.
 */
void link_report(struct link *l, const char *method, struct slice params);

#endif
