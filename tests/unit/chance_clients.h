/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that do random things, allowed and forbidden by WAMP, and check that each
 * message they receive is due. JSON over RawSocket. For test_workers.c; include it behind
 * <cmocka.h>. One thread. */
#ifndef TESTS_UNIT_CHANCE_CLIENTS_H
#define TESTS_UNIT_CHANCE_CLIENTS_H

#include "proto/wamp.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	REALMS = 2,
	CLIENTS = 140,
	STAYING = 8, /* this many clients never leave */
	TOPICS = 2,
	PROCEDURES = 3,
	LIST_SESSIONS = PROCEDURES, /* stands for the meta procedure */
	ASKED_MAX = 12,
	INVOCATIONS_MAX = 200,
};

enum client_state {
	AWAY = 0,    /* not connected */
	SILENT = 1,  /* connected, no HELLO sent */
	WAITING = 2, /* HELLO sent */
	JOINED = 3,
	LEAVING = 4, /* GOODBYE sent */
};

/* The number of a request within its session, and the number of the session; from 1. */
struct mark {
	unsigned session, number;
};

/* An unanswered request. */
struct request {
	unsigned id; /* 0: none */
	unsigned type;
	unsigned what; /* index of the topic or procedure */
	struct mark publication;
};

struct invocation {
	unsigned id, caller;
	struct mark call; /* its number is that of the request */
};

/* The state of a session; zeroed when it begins and ends. */
struct session {
	unsigned epoch; /* epoch of the login's answer; 0: anonymous */
	unsigned last_request, last_invocation;
	unsigned subscribed[TOPICS], registered[PROCEDURES]; /* ids; 0: none */
	struct request asked[ASKED_MAX];
	struct invocation invocations[INVOCATIONS_MAX]; /* not answered yet */
	unsigned n_invocations;
	/* For each publisher: the last publication received; the same for each topic. If
	 * none came since SUBSCRIBED (not exact), the last one at that time. */
	struct mark last[CLIENTS], last_to[TOPICS][CLIENTS];
	bool exact[TOPICS][CLIENTS];
	struct mark last_call[CLIENTS]; /* the last call received from each caller */
};

static struct client {
	enum client_state state;
	bool stays;
	/* AWAY because the router stopped; s is kept for check_drained */
	bool closed_by_stop;
	int fd;
	unsigned char in[1 << 16];
	size_t n_in;
	struct session s;
	/* of the current or last session */
	unsigned realm, session;
	json_int_t id; /* WAMP session id */
	unsigned published, published_to[TOPICS];
	bool complete; /* all its publications must arrive */
	struct mark acknowledged[TOPICS];
} clients[CLIENTS];

static bool stopping; /* the router stops: nobody reconnects */
static bool lossy;    /* memory is short: requests may fail, events may be lost */
static uint64_t state_of_chance;
static unsigned char pk[crypto_sign_PUBLICKEYBYTES], sk[crypto_sign_SECRETKEYBYTES];
static char pk_hex[2 * sizeof(pk) + 1];
/* counters of all runs; the tests require that these things have happened */
static uint64_t n_welcome, n_events, n_killed, n_results, n_callee_gone, n_unavailable;
static uint64_t n_whispers, n_lists;

/* Defined by the test: takes the router's end of a connection. */
static void give_connection(int fd);

static unsigned chance(unsigned n)
{
	state_of_chance =
		state_of_chance * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(state_of_chance >> 33) % n;
}

static void clients_begin(uint64_t seed)
{
	static const unsigned char key[crypto_sign_SEEDBYTES];

	state_of_chance = seed;
	stopping = false;
	crypto_sign_seed_keypair(pk, sk, key);
	sodium_bin2hex(pk_hex, sizeof(pk_hex), pk, sizeof(pk));
	memset(clients, 0, sizeof(clients));
	for (unsigned i = 0; i < STAYING; i++)
		clients[i].stays = true;
}

/* --- what clients do --- */

static unsigned index_of(const struct client *c)
{
	return (unsigned)(c - clients);
}

static void session_over(struct client *c, bool complete)
{
	c->complete = complete;
	memset(&c->s, 0, sizeof(c->s));
}

static void away(struct client *c)
{
	if (c->state == AWAY)
		return;
	close(c->fd);
	c->state = AWAY;
	c->n_in = 0;
	session_over(c, false);
}

static void say(struct client *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct client *c, const char *fmt, ...)
{
	char frame[1024];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(frame + 4, sizeof(frame) - 4, fmt, ap);
	va_end(ap);
	put_be32((uint8_t *)frame, (uint32_t)n);
	ssize_t sent = send(c->fd, frame, (size_t)n + 4, MSG_NOSIGNAL);
	/* The connection may be closed already. But a full socket must not lose the
	 * message: the client, or the caller that it answers, would wait forever. */
	assert_true(sent == n + 4 ||
		    (sent == -1 && (errno == EPIPE || errno == ECONNRESET)));
}

static void connect_client(struct client *c)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	c->state = SILENT;
	c->fd = fds[0];
	assert_int_equal(send(c->fd, "\x7f\xf1\0\0", 4, 0), 4);
	give_connection(fds[1]);
}

static void hello(struct client *c)
{
	if (c->stays || chance(2) == 0)
		say(c, "[1,\"realm%u\",{\"roles\":{\"caller\":{}}}]", chance(4) > 0);
	else
		say(c,
		    "[1,null,{\"roles\":{\"caller\":{}},\"authmethods\":[\"cryptosign\"],"
		    "\"authextra\":{\"pubkey\":\"%s\"}}]",
		    pk_hex);
	c->state = WAITING;
}

/* Returns a request to be sent, which is kept until its answer; NULL if there are too
 * many. */
static struct request *ask(struct client *c, unsigned type, unsigned what)
{
	struct request *r = c->s.asked;

	while (r < c->s.asked + ASKED_MAX && r->id != 0)
		r++;
	if (r == c->s.asked + ASKED_MAX)
		return NULL;
	*r = (struct request){.id = ++c->s.last_request, .type = type, .what = what};
	return r;
}

/* Sends SUBSCRIBE or REGISTER, or the opposite if the client has an id. Only one at a
 * time for each topic or procedure. */
static void toggle(struct client *c, unsigned yes, unsigned no, unsigned what,
		   unsigned id)
{
	for (const struct request *r = c->s.asked; r < c->s.asked + ASKED_MAX; r++)
		if (r->id != 0 && r->what == what && (r->type == yes || r->type == no))
			return;
	struct request *r = ask(c, id == 0 ? yes : no, what);
	if (r != NULL && id == 0)
		say(c, "[%u,%u,{},\"uri.u%u\"]", yes, r->id, what);
	else if (r != NULL)
		say(c, "[%u,%u,%u]", no, r->id, id);
}

static void toggle_subscription(struct client *c, unsigned topic)
{
	if (!c->stays || c->s.subscribed[topic] == 0)
		toggle(c, WAMP_SUBSCRIBE, WAMP_UNSUBSCRIBE, topic,
		       c->s.subscribed[topic]);
}

static void call(struct client *c)
{
	struct request *r = ask(c, WAMP_CALL, chance(PROCEDURES + 1));

	if (r != NULL && r->what == LIST_SESSIONS)
		say(c, "[48,%u,{},\"wamp.session.list\",[[\"user\"]]]", r->id);
	else if (r != NULL)
		say(c, "[48,%u,{},\"uri.u%u\",[%u,%u,%u]]", r->id, r->what, index_of(c),
		    c->session, r->id);
}

/* Publishes to one session, or to all but one, and discloses the publisher. */
static void whisper(struct client *c)
{
	const struct client *to = &clients[chance(CLIENTS)];
	bool exclude = chance(4) == 0;

	if (to->id == 0)
		return; /* it has never joined */
	say(c,
	    "[16,%u,{\"disclose_me\":true,\"exclude_me\":false,\"%s\":[%" JSON_INTEGER_FORMAT
	    ",1]},\"uri.u%u\",[],{\"%s\":%" JSON_INTEGER_FORMAT
	    ",\"from\":%" JSON_INTEGER_FORMAT "}]",
	    ++c->s.last_request, exclude ? "exclude" : "eligible", to->id,
	    chance(TOPICS), exclude ? "exclude" : "eligible", to->id, c->id);
}

static void publish(struct client *c)
{
	unsigned topic = chance(TOPICS), exclude_me = chance(2);
	struct request *r = chance(3) == 0 ? ask(c, WAMP_PUBLISH, topic) : NULL;

	c->published++;
	c->published_to[topic]++;
	if (r != NULL)
		r->publication = (struct mark){c->session, c->published_to[topic]};
	say(c,
	    "[16,%u,{\"acknowledge\":%s,\"exclude_me\":%s},\"uri.u%u\",[%u,%u,%u,%u,%u]]",
	    r != NULL ? r->id : ++c->s.last_request, r != NULL ? "true" : "false",
	    exclude_me ? "true" : "false", topic, index_of(c), c->session, c->published,
	    c->published_to[topic], exclude_me);
}

/* Answers the oldest invocation. */
static void answer(struct client *c)
{
	const struct invocation *i = &c->s.invocations[0];

	if (c->s.n_invocations == 0)
		return;
	if (chance(4) == 0)
		say(c, "[8,68,%u,{},\"com.example.no\"]", i->id);
	else
		say(c, "[70,%u,{},[%u,%u,%u]]", i->id, i->caller, i->call.session,
		    i->call.number);
	memmove(&c->s.invocations[0], i + 1, --c->s.n_invocations * sizeof(*i));
}

static void act_joined(struct client *c)
{
	unsigned what = chance(c->stays ? 140 : 150), procedure = chance(PROCEDURES);

	if (what < 20) {
		toggle_subscription(c, chance(TOPICS));
	} else if (what < 30) {
		toggle(c, WAMP_REGISTER, WAMP_UNREGISTER, procedure,
		       c->s.registered[procedure]);
	} else if (what < 50) {
		call(c);
	} else if (what < 80) {
		answer(c);
	} else if (what < 135) {
		publish(c);
	} else if (what < 140) {
		whisper(c);
	} else if (what < 145) {
		say(c, "[6,{},\"wamp.close.normal\"]");
		c->state = LEAVING;
	} else if (what < 148) {
		away(c);
	} else if (what == 148) {
		/* a protocol violation */
		say(c, "[1,\"realm1\",{\"roles\":{\"caller\":{}}}]");
	}
}

static void act(struct client *c)
{
	if (c->state == AWAY && !stopping)
		connect_client(c);
	else if (c->state == SILENT)
		hello(c);
	else if (c->state == JOINED)
		act_joined(c);
	else if (!c->stays && chance(20) == 0)
		away(c);
}

/* --- what clients receive --- */

static unsigned num(const json_t *m, size_t i)
{
	assert_true(json_is_integer(json_array_get(m, i)));
	return (unsigned)json_integer_value(json_array_get(m, i));
}

static const char *text(const json_t *m, size_t i, const char *key)
{
	const json_t *item = json_array_get(m, i);
	const char *s = json_string_value(key ? json_object_get(item, key) : item);

	assert_non_null(s);
	return s;
}

static bool is_behind(struct mark a, struct mark b)
{
	return a.session > b.session || (a.session == b.session && a.number > b.number);
}

static void got_challenge(struct client *c, const json_t *m)
{
	unsigned char challenge[32], sig[crypto_sign_BYTES];
	const char *in = text(m, 2, "challenge");
	char hex[2 * sizeof(sig) + 1];

	assert_int_equal(sodium_hex2bin(challenge, 32, in, 64, NULL, NULL, NULL), 0);
	crypto_sign_detached(sig, NULL, challenge, sizeof(challenge), sk);
	sodium_bin2hex(hex, sizeof(hex), sig, sizeof(sig));
	say(c, "[5,\"%s%s\",{}]", hex, in);
}

static void got_welcome(struct client *c, const json_t *m)
{
	const json_t *extra = json_object_get(json_array_get(m, 2), "authextra");

	assert_true(c->state == WAITING);
	session_over(c, true);
	c->state = JOINED;
	c->session++;
	c->published = 0;
	memset(c->published_to, 0, sizeof(c->published_to));
	c->realm = text(m, 2, "realm")[5] == '1';
	c->id = json_integer_value(json_array_get(m, 1));
	c->s.epoch = (unsigned)json_integer_value(json_object_get(extra, "e"));
	n_welcome++;
	for (unsigned t = 0; t < TOPICS; t++)
		if (c->stays || chance(4) > 0)
			toggle_subscription(c, t);
}

/* Checks an EVENT by whisper: it is for this session, and names its publisher. */
static void got_whisper(const struct client *c, const json_t *m)
{
	const json_t *kwargs = json_array_get(m, 5);
	const json_t *eligible = json_object_get(kwargs, "eligible");
	const json_t *publisher = json_object_get(json_array_get(m, 3), "publisher");

	if (eligible != NULL)
		assert_true(json_integer_value(eligible) == c->id);
	else
		assert_true(json_integer_value(json_object_get(kwargs, "exclude")) !=
			    c->id);
	assert_true(json_equal(publisher, json_object_get(kwargs, "from")));
	n_whispers++;
}

/* Checks an EVENT: only while subscribed; in order of publication over all topics;
 * without a gap. */
static void got_event(struct client *c, const json_t *m)
{
	if (json_array_size(m) == 6) {
		got_whisper(c, m);
		return;
	}
	const json_t *args = json_array_get(m, 4);
	unsigned from = num(args, 0), t = 0;
	struct mark of_all = {num(args, 1), num(args, 2)},
		    at = {num(args, 1), num(args, 3)};

	while (t < TOPICS && c->s.subscribed[t] != num(m, 1))
		t++;
	assert_true(t < TOPICS && from < CLIENTS);
	assert_true(from != index_of(c) || at.session < c->session || num(args, 4) == 0);
	n_events++;
	struct mark *last = &c->s.last_to[t][from];
	/* publications of a lost connection may arrive after those of its successor */
	if (of_all.session < c->s.last[from].session || at.session < last->session)
		return;
	assert_true(is_behind(of_all, c->s.last[from]));
	c->s.last[from] = of_all;
	/* publishers may exclude themselves */
	if (!lossy && from != index_of(c) &&
	    (c->s.exact[t][from] || is_behind(at, *last)))
		assert_int_equal(at.number,
				 at.session == last->session ? last->number + 1 : 1);
	*last = at;
	c->s.exact[t][from] = true;
}

/* Checks an INVOCATION: each caller's calls come in order. */
static void got_invocation(struct client *c, const json_t *m)
{
	const json_t *args = json_array_get(m, 4);
	struct invocation i = {num(m, 1), num(args, 0), {num(args, 1), num(args, 2)}};
	struct mark *last = &c->s.last_call[i.caller];

	assert_int_equal(i.id, c->s.last_invocation + 1);
	c->s.last_invocation = i.id;
	assert_true(i.call.session < last->session || is_behind(i.call, *last));
	if (i.call.session >= last->session)
		*last = i.call;
	assert_true(c->s.n_invocations < INVOCATIONS_MAX);
	c->s.invocations[c->s.n_invocations++] = i;
}

static void got_goodbye(struct client *c, const json_t *m)
{
	bool own = strcmp(text(m, 2, NULL), WAMP_CLOSE_GOODBYE_AND_OUT) == 0;

	assert_true(!own || c->state == LEAVING);
	n_killed += !own;
	c->state = SILENT;
	session_over(c, own);
}

static void got_subscribed(struct client *c, unsigned topic, unsigned id)
{
	c->s.subscribed[topic] = id;
	for (unsigned i = 0; i < CLIENTS; i++) {
		c->s.last_to[topic][i] =
			(struct mark){clients[i].session, clients[i].published_to[topic]};
		c->s.exact[topic][i] = false;
	}
}

static void assert_no_number_twice(const json_t *numbers)
{
	for (size_t i = 0; i < json_array_size(numbers); i++)
		for (size_t j = 0; j < i; j++)
			assert_true(json_integer_value(json_array_get(numbers, i)) !=
				    json_integer_value(json_array_get(numbers, j)));
}

/* Checks an answer, and forgets its request. */
static void got_answer(struct client *c, unsigned to, unsigned id, const json_t *m)
{
	struct request *r = c->s.asked;

	while (r < c->s.asked + ASKED_MAX && (r->id != id || r->type != to))
		r++;
	assert_true(r < c->s.asked + ASKED_MAX);
	r->id = 0;
	if (num(m, 0) == WAMP_ERROR) {
		const char *uri = text(m, 4, NULL);
		bool unavailable = strcmp(uri, WAMP_ERROR_UNAVAILABLE) == 0;
		/* a reload has removed the session's role, which ends it soon */
		bool denied = strcmp(uri, WAMP_ERROR_NOT_AUTHORIZED) == 0;
		assert_true((to == WAMP_CALL && r->what != LIST_SESSIONS) ||
			    to == WAMP_REGISTER || (to == WAMP_SUBSCRIBE && denied) ||
			    (lossy && unavailable));
		n_unavailable += unavailable;
		n_callee_gone += strcmp(text(m, 4, NULL), WAMP_ERROR_CANCELED) == 0;
	} else if (to == WAMP_SUBSCRIBE) {
		got_subscribed(c, r->what, num(m, 2));
	} else if (to == WAMP_UNSUBSCRIBE) {
		c->s.subscribed[r->what] = 0;
	} else if (to == WAMP_REGISTER) {
		c->s.registered[r->what] = num(m, 2);
	} else if (to == WAMP_UNREGISTER) {
		c->s.registered[r->what] = 0;
	} else if (to == WAMP_PUBLISH) {
		c->acknowledged[r->what] = r->publication;
	} else if (r->what == LIST_SESSIONS) {
		/* The client itself, at least. There may be more than CLIENTS: the list
		 * is made in steps, and one client may have two sessions meanwhile, an
		 * old one that the owner still has to end, and a new one. */
		const json_t *ids = json_array_get(json_array_get(m, 3), 0);
		assert_in_range(json_array_size(ids), 1, 2 * CLIENTS);
		assert_no_number_twice(ids);
		n_lists++;
	} else {
		const json_t *args = json_array_get(m, 3);
		assert_int_equal(num(args, 0), index_of(c));
		assert_int_equal(num(args, 1), c->session);
		assert_int_equal(num(args, 2), id);
		n_results++;
	}
}

static void got(struct client *c, const json_t *m)
{
	unsigned type = num(m, 0);

	if (type == WAMP_ABORT) { /* perhaps for a protocol violation */
		c->complete = false;
		return;
	}
	if (c->state != JOINED && c->state != LEAVING) {
		if (type == WAMP_CHALLENGE)
			got_challenge(c, m);
		else
			got_welcome(c, m);
		return;
	}
	switch (type) {
	case WAMP_EVENT:
		got_event(c, m);
		break;
	case WAMP_INVOCATION:
		got_invocation(c, m);
		break;
	case WAMP_GOODBYE:
		got_goodbye(c, m);
		break;
	case WAMP_ERROR:
		got_answer(c, num(m, 1), num(m, 2), m);
		break;
	case WAMP_RESULT:
		got_answer(c, WAMP_CALL, num(m, 1), m);
		break;
	default: /* an answer has the type of its request plus 1 */
		got_answer(c, type - 1, num(m, 1), m);
	}
}

/* Handles the complete frames in the buffer. The handshake's reply looks like a frame's
 * head. */
static size_t read_frames(struct client *c)
{
	size_t used = 0;

	while (c->n_in - used >= 4) {
		const unsigned char *at = c->in + used;
		size_t len = at[0] == 0x7f ? 0 : get_be32(at);
		if (c->n_in - used < 4 + len)
			break;
		used += 4 + len;
		if (len == 0)
			continue;
		json_t *m = json_loadb((const char *)at + 4, len, 0, NULL);
		assert_non_null(m);
		got(c, m);
		json_decref(m);
	}
	return used;
}

/* Reads what has come. True if there was anything. */
static bool listen_to(struct client *c)
{
	bool some = false;
	ssize_t n;

	if (c->state == AWAY)
		return false;
	while ((n = recv(c->fd, c->in + c->n_in, sizeof(c->in) - c->n_in, 0)) > 0) {
		some = true;
		c->n_in += (size_t)n;
		size_t used = read_frames(c);
		memmove(c->in, c->in + used, c->n_in - used);
		c->n_in -= used;
	}
	if (n != 0)
		return some;
	if (stopping && c->state == JOINED && c->complete) {
		close(c->fd);
		c->state = AWAY;
		c->closed_by_stop = true;
	}
	away(c);
	return true;
}

#endif
