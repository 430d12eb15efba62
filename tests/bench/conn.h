/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's connection to a router: socket, handshake, frames, login, and the loop that
 * serves all of them: one read per connection and turn into a common buffer, and one
 * write per connection at the turn's end. One thread.
 */
#ifndef TESTS_BENCH_CONN_H
#define TESTS_BENCH_CONN_H

#include "tests/bench/codec.h"

#include <stdbool.h>
#include <stdint.h>

enum conn_state {
	CONN_CLOSED,
	CONN_UPGRADING, /* until the handshake is answered */
	CONN_JOINING,   /* until WELCOME */
	CONN_OPEN,
	CONN_LEAVING, /* GOODBYE sent */
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

/* A message received: its elements, the first of which is the type. */
struct message {
	uint64_t type;
	unsigned count;
	struct item item[MAX_ITEMS];
};

struct conn {
	int fd;
	enum conn_state state;
	enum format format;
	bool dirty; /* on the list of those with something to send */
	bool wants_write;
	unsigned index; /* the owner's */
	void *owner;
	uint64_t session;
	int64_t started; /* ns, when it began to connect */
	struct bytes in; /* an incomplete frame, else no memory */
	struct bytes out;
};

/* What a mode does with its connections; set before the first of them. */
struct conn_handler {
	void (*on_open)(struct conn *c); /* WELCOME came */
	void (*on_message)(struct conn *c, const struct message *m);
	void (*on_closed)(struct conn *c, const char *why); /* c is CONN_CLOSED already */
};

extern struct conn_handler conn_handler;

/* How many connections are in each state, but for CONN_CLOSED. */
extern unsigned conn_count[CONN_LEAVING + 1];

/* When the bytes that are being handled were read. */
extern int64_t conn_read_at;

void conn_setup(void);

/* Begins to connect and to log in; on_open or on_closed tells how it ended. */
void conn_start(struct conn *c, enum format format);

/* A writer for the next message of c; conn_send sends what was written. */
struct writer conn_write(const struct conn *c);
void conn_send(struct conn *c);

/* Sends GOODBYE; the answer closes the connection, without on_closed. */
void conn_leave(struct conn *c);

/* Closes without a word, so that no port stays in TIME_WAIT; without on_closed. */
void conn_abort(struct conn *c);

/* Waits at most that long, reads what came, sends what is queued. */
void conn_turn(int64_t wait_ns);

/* Sends what is queued. */
void conn_flush(void);

/* --- join.c: from the handshake to WELCOME --- */

void join_hello(struct conn *c);

/* A message before WELCOME; returns why the connection must be closed, or NULL. */
const char *join_message(struct conn *c, const struct message *m);

/* --- */

/* Counts something that a correct router does not do; the first are printed. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);
extern uint64_t complaints;

#endif
