/* SPDX-License-Identifier: Apache-2.0 */
/* A client's connection to a router: socket, handshake, frames, login; and the loop for
 * all connections. In each turn the loop makes one read per connection into a common
 * buffer, and at the end one write per connection. One thread. */
#ifndef TESTS_BENCH_CONN_H
#define TESTS_BENCH_CONN_H

#include "tests/bench/codec.h"
#include "tests/bench/tls.h"

#include <stdbool.h>
#include <stdint.h>

enum conn_state {
	CONN_CLOSED,
	CONN_UPGRADING, /* until the answer to the handshake */
	CONN_JOINING,   /* until WELCOME */
	CONN_OPEN,
	CONN_LEAVING, /* GOODBYE is sent */
};

enum { MAX_ITEMS = 8 };

enum {
	WAMP_HELLO = 1,
	WAMP_WELCOME = 2,
	WAMP_ABORT = 3,
	WAMP_CHALLENGE = 4,
	WAMP_AUTHENTICATE = 5,
	WAMP_GOODBYE = 6,
	WAMP_ERROR = 8,
	WAMP_PUBLISH = 16,
	WAMP_PUBLISHED = 17,
	WAMP_SUBSCRIBE = 32,
	WAMP_SUBSCRIBED = 33,
	WAMP_EVENT = 36,
	WAMP_CALL = 48,
	WAMP_RESULT = 50,
	WAMP_REGISTER = 64,
	WAMP_REGISTERED = 65,
	WAMP_INVOCATION = 68,
	WAMP_YIELD = 70,
};

/* A received message: its elements; the first is the type. */
struct message {
	uint64_t type;
	unsigned count;
	struct item item[MAX_ITEMS];
};

struct conn {
	int fd;
	struct tls *tls; /* NULL: none */
	enum conn_state state;
	enum format format;
	bool dirty; /* on the list of connections with something to send */
	bool wants_write;
	unsigned index; /* for the owner of the connection */
	void *owner;
	uint64_t session;
	int64_t started; /* ns, start of connecting */
	struct bytes in; /* an incomplete frame; no memory if there is none */
	struct bytes out;
};

/* What a mode does with its connections. Set before the first conn_start. */
struct conn_handler {
	void (*on_open)(struct conn *c); /* WELCOME has come */
	void (*on_message)(struct conn *c, const struct message *m);
	void (*on_closed)(struct conn *c, const char *why); /* c is already CONN_CLOSED */
};

extern struct conn_handler conn_handler;

/* Number of connections in each state, except CONN_CLOSED. */
extern unsigned conn_count[CONN_LEAVING + 1];

/* When the bytes that are handled now were read. */
extern int64_t conn_read_at;

void conn_setup(void);

/* Begins to connect and log in. on_open or on_closed reports the outcome. */
void conn_start(struct conn *c, enum format format);

/* A writer for the next message of c. conn_send sends it. */
struct writer conn_write(const struct conn *c);
void conn_send(struct conn *c);

/* Sends GOODBYE. The answer closes the connection; on_closed is not called. */
void conn_leave(struct conn *c);

/* Closes by a reset, so that no port stays in TIME_WAIT. on_closed is not called. */
void conn_abort(struct conn *c);

/* Waits at most this long, reads what has come, sends what is queued. */
void conn_turn(int64_t wait_ns);

/* Sends what is queued. */
void conn_flush(void);

/* --- join.c: from the handshake to WELCOME --- */

void join_hello(struct conn *c);

/* Handles a message before WELCOME. Returns why the connection must be closed, or NULL.
 */
const char *join_message(struct conn *c, const struct message *m);

/* --- */

/* Counts an error of the router, and prints the first ones. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);
extern uint64_t complaints;

#endif
