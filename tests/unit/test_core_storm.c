/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random posts of many sessions that hold more than one slice ends, at a realm's owner:
 * they come, go and are killed while slices of earlier ends, walks and calls wait. Checks
 * rules that hold in any order: no post to a session after its last one, one answer for
 * each call, no INVOCATION of a procedure that its callee does not have, numbers of
 * INVOCATIONs without gaps, no chunk of a call that its callee does not know, and meta
 * events that agree with each other. The other tests check single orders exactly.
 */
#define FIXTURE_ROOM 60000
#include "routerd/peer/unsent.h"
#include "tests/unit/core_fixture.h"
#include "tests/unit/random_items.h"

#include <stdio.h>

enum {
	PLACES = 4, /* sessions on each worker */
	PLAYERS = N_WORKERS * PLACES,
	REQUESTS = 4096, /* of one session */
	IDS = 1500000,   /* of subscriptions and registrations */
	STEPS = 20000,
	MANY = 600, /* more than two slices of leave.c */
	UNREPORTED_MAX = 8,
};

/* A session as its worker sees it. */
struct player {
	struct session_ref ref;
	bool here;     /* its last post was neither sent nor received */
	bool can_stop; /* announced call_canceling */
	uint64_t requests;
	bool waits[REQUESTS]; /* CALLs without an answer */
	bool open[REQUESTS];  /* of these, those with more input to come */
	/* Of INVOCATIONs, as the client numbers them. */
	bool interrupted[REQUESTS];
	bool more[REQUESTS]; /* more input is to come */
	uint64_t last_invocation;
	struct unsent unsent; /* INVOCATIONs that its worker could not send */
	uint64_t unreported[UNREPORTED_MAX]; /* of these, those that the owner does not
						know */
	unsigned n_unreported;
};

/* What the meta events say about a subscription or registration. */
struct thing {
	bool exists;
	unsigned sessions;
};

static struct player players[PLAYERS];
static struct thing things[IDS];
static uint16_t callees[IDS]; /* a bit for each player */
static uint64_t rng;
static uint64_t
	last_made; /* no subscription or registration has this id or a higher one */
static bool events_are_whole; /* no kill_all and no lack of memory so far */
static unsigned left_events;  /* of testaments */
static unsigned n_chunks, n_not_interrupted;
static const struct session_ref listener = {.worker = 0, .slot = 99, .generation = 1};

static unsigned below(unsigned n)
{
	return (unsigned)rng_below(&rng, n);
}

static struct player *player_of(struct session_ref r)
{
	if (r.slot >= PLACES)
		return NULL;
	struct player *p = &players[r.worker * PLACES + r.slot];
	return session_ref_eq(p->ref, r) ? p : NULL;
}

/* --- what the realm sends --- */

static void check_answer(struct player *p, uint64_t request)
{
	assert_true(request < REQUESTS);
	assert_true(p->waits[request]);
	p->waits[request] = p->open[request] = false;
}

/* Reads the number at the start of the n-th argument. */
static uint64_t argument(const struct post *event, unsigned n)
{
	struct msg_payload items;
	char text[400];

	assert_int_equal(payload_items(event->payload, SERIALIZER_JSON, &items), 0);
	snprintf(text, sizeof(text), "%.*s", (int)items.bytes.len,
		 (const char *)items.bytes.p);
	const char *at = text + 1;
	while (n-- > 0) {
		at = strchr(at, ',');
		assert_non_null(at);
		at++;
	}
	if (strncmp(at, "{\"id\":", 6) == 0)
		at += 6;
	if (strncmp(at, "{\"session\":", 11) == 0)
		at += 11;
	return strtoull(at, NULL, 10);
}

static void check_meta_event(const struct post *event)
{
	static const char *const kinds[] = {"wamp.subscription.", "wamp.registration."};
	struct slice topic = payload_uri(event->payload);

	if (!events_are_whole)
		return;
	for (unsigned k = 0; k < 2; k++) {
		if (!slice_begins(topic, kinds[k]))
			continue;
		struct slice what = slice_from(topic, strlen(kinds[k]));
		uint64_t id = argument(event, 1);
		struct thing *t = &things[id];
		assert_true(id < IDS);
		if (slice_eq_str(what, "on_create")) {
			assert_false(t->exists);
			assert_int_equal(t->sessions, 0);
			t->exists = true;
		} else if (slice_eq_str(what, "on_delete")) {
			assert_true(t->exists);
			assert_int_equal(t->sessions, 0);
			t->exists = false;
		} else if (slice_eq_str(what, "on_subscribe") ||
			   slice_eq_str(what, "on_register")) {
			assert_true(t->exists);
			t->sessions++;
		} else {
			assert_true(t->exists);
			assert_true(t->sessions > 0);
			t->sessions--;
		}
	}
}

/* Some INVOCATIONs cannot be sent to the client. */
static void check_invocation(struct player *p, const struct post *post)
{
	uint64_t request = post->request;
	bool more = post->chunk == CHUNK_FIRST || post->chunk == CHUNK_NEXT;

	assert_true((callees[post->id] & BIT(p - players)) != 0 ||
		    post->chunk > CHUNK_FIRST);
	if (post->chunk > CHUNK_FIRST) {
		if (!unsent_translate(&p->unsent, &request))
			return;
		assert_true(p->more[request]);
		assert_false(p->interrupted[request]);
		n_chunks++;
	} else {
		assert_true(unsent_translate(&p->unsent, &request));
		assert_int_equal(request, p->last_invocation + 1);
		if (below(8) == 0 && p->n_unreported < UNREPORTED_MAX) {
			assert_int_equal(unsent_add(&p->unsent, request), 0);
			p->unreported[p->n_unreported++] = request;
			return;
		}
		p->last_invocation++;
	}
	assert_true(request < REQUESTS);
	p->more[request] = more;
}

static void check_interrupt(struct player *p, const struct post *post)
{
	uint64_t request = post->request;

	assert_true(p->can_stop);
	if (!unsent_translate(&p->unsent, &request)) {
		n_not_interrupted++;
		return;
	}
	assert_in_range(request, 1, p->last_invocation);
	assert_false(p->interrupted[request]);
	p->interrupted[request] = true;
}

static void check_post(unsigned to, const struct post *post)
{
	struct player *p = player_of(post->session);

	if (post->type == POST_EVENT) {
		if (to == listener.worker && post->session.generation == 0 &&
		    slice_begins(payload_uri(post->payload), "wamp."))
			check_meta_event(post);
		/* of a publication that a dead session has made, or of the router */
		left_events += post->session.generation != 0 && (p == NULL || !p->here);
		return;
	}
	if (post->session.slot == listener.slot)
		return;
	/* nothing comes after the last post, nor after GONE */
	assert_true(p != NULL && p->here);
	switch (post->type) {
	case POST_LEFT:
	case POST_KILLED:
		p->here = false;
		break;
	case POST_REGISTERED:
		callees[post->id] |= (uint16_t)BIT(p - players);
		break;
	case POST_INVOCATION:
		check_invocation(p, post);
		break;
	case POST_RENUMBERED:
		unsent_renumbered(&p->unsent, post->id);
		break;
	case POST_INTERRUPT:
		check_interrupt(p, post);
		break;
	case POST_RESULT:
		if (post->progress)
			assert_true(p->waits[post->request]);
		else
			check_answer(p, post->request);
		break;
	case POST_ERROR:
		if (post->request_type == WAMP_CALL)
			check_answer(p, post->request);
		break;
	default:
		break;
	}
}

static void check_all(struct core *c)
{
	while (c->outbox.first < c->outbox.end) {
		size_t i = c->outbox.first++;
		check_post(c->outbox.sent[i].to, &c->outbox.sent[i].post);
	}
	forget_sent(c);
}

/* --- what the clients send --- */

static const char *random_uri(enum match *how)
{
	static char uri[64];
	static const char *const wild[] = {"a..c", "..c", "a..", ".b.", "..", "a.b."};

	*how = (enum match)below(3);
	if (*how == MATCH_EXACT)
		snprintf(uri, sizeof(uri), "%c.%c.%c", 'a' + below(3), 'a' + below(3),
			 'a' + below(3));
	else if (*how == MATCH_PREFIX)
		snprintf(uri, sizeof(uri), "%.*s", (int)below(6), "a.b.c");
	else
		snprintf(uri, sizeof(uri), "%s", wild[below(ARRAY_LEN(wild))]);
	if (*how == MATCH_PREFIX && uri[0] == '\0' && below(2) == 0)
		snprintf(uri, sizeof(uri), "wamp.");
	return uri;
}

static void send_random_register(struct core *c, struct player *p)
{
	enum match how = MATCH_EXACT;
	bool shares = below(3) == 0;
	const char *uri = shares ? "shared" : random_uri(&how);

	if (uri[0] != 'w')
		send_post(c, p->ref,
			  (struct post){.type = POST_REGISTER,
					.request = ++p->requests,
					.match = (uint8_t)how,
					.invoke = shares || below(2) == 0,
					.force = !shares && below(4) == 0,
					.concurrency = below(3),
					.disclose = (uint8_t)below(2),
					.payload = payload(uri, NULL)});
}

static void send_some(struct core *c, struct player *p, enum post_type type, unsigned n)
{
	enum match how;

	for (unsigned i = 0; i < n; i++) {
		if (n > 1) {
			char uri[32];
			snprintf(uri, sizeof(uri), "many.%u", i);
			send_pattern(c, p->ref, type, ++p->requests, MATCH_EXACT, uri);
		} else {
			const char *uri = random_uri(&how);
			send_pattern(c, p->ref, type, ++p->requests, how, uri);
		}
		check_all(c);
		if (!p->here)
			return;
	}
}

static uint64_t random_id(void)
{
	return last_made < 60 ? 1 + below(60) : last_made - below(60);
}

/* Its worker tells the owner what it could not send, before anything else. */
static void report_unsent(struct core *c, struct player *p)
{
	for (unsigned i = 0; i < p->n_unreported && p->here; i++)
		send_post(c, p->ref,
			  (struct post){.type = POST_UNSENT,
					.error = {"x.y", "text"},
					.request = p->unreported[i]});
	p->n_unreported = 0;
}

static void send_chunk(struct core *c, struct player *p)
{
	uint64_t request = p->requests;

	while (request > 0 && !p->open[request])
		request--;
	if (request == 0)
		return;
	p->open[request] = below(3) > 0;
	send_post(c, p->ref,
		  (struct post){.type = POST_CHUNK,
				.time_ms = 1000,
				.request = request,
				.chunk = p->open[request] ? CHUNK_NEXT : CHUNK_LAST,
				.payload = payload(NULL, NULL)});
}

static void send_call(struct core *c, struct player *p)
{
	bool open = below(4) == 0;
	char uri[32];

	snprintf(uri, sizeof(uri), "%c.%c.%c", 'a' + below(3), 'a' + below(3),
		 'a' + below(3));
	unsigned other = below(4);
	if (other == 0)
		snprintf(uri, sizeof(uri), "many.%u", below(MANY));
	else if (other == 1)
		snprintf(uri, sizeof(uri), "shared");
	p->waits[++p->requests] = true;
	p->open[p->requests] = open;
	send_post(c, p->ref,
		  (struct post){.type = POST_CALL,
				.chunk = open ? CHUNK_FIRST : CHUNK_NONE,
				.time_ms = 1000,
				.request = p->requests,
				.progress = below(2) == 0,
				.timeout_ms = below(3) == 0 ? 1000 + below(50) : 0,
				.disclose = (uint8_t)below(3),
				.payload = payload(uri, NULL)});
}

static void send_meta(struct core *c, struct player *p, bool quiet)
{
	unsigned procedure = below(META_PROCEDURE_COUNT);
	struct session_ref victim = players[below(PLAYERS)].ref;
	struct post post = {
		.type = POST_META,
		.time_ms = 1000,
		.timeout_ms = below(3) == 0 ? 1000 + below(50) : 0,
		.request = ++p->requests,
		.procedure = (uint8_t)procedure,
		.id = random_id(),
	};

	p->waits[p->requests] = true;
	if (meta_kills(procedure) && below(4) > 0)
		procedure = post.procedure = META_SESSION_LIST;
	if (procedure == META_SESSION_KILL_ALL && !quiet)
		procedure = post.procedure = META_SESSION_KILL_BY_AUTHID;
	if (procedure == META_SESSION_GET || procedure == META_SESSION_KILL)
		post.id = session_id(victim);
	if (meta_revokes(procedure)) {
		post.kill = revocation_new(&(struct revocation){
			.session = session_id(victim),
			.authid = slice_str(below(2) == 0 ? "joe" : "ann"),
			.role = slice_str("nobody"),
			.uri = slice_str("x.y"),
		});
		assert_non_null(post.kill);
	}
	if (procedure == META_REGISTRATION_MATCH ||
	    procedure == META_SUBSCRIPTION_MATCH ||
	    procedure == META_REGISTRATION_LOOKUP ||
	    procedure == META_SUBSCRIPTION_LOOKUP) {
		enum match how;
		post.payload = payload(random_uri(&how), NULL);
		post.match = (uint8_t)how;
	}
	post.detached = below(2) == 0;
	if (procedure == META_SESSION_ADD_TESTAMENT) {
		post.type = POST_TESTAMENT;
		post.exclude_me = below(2) == 0;
		post.payload = payload("a.b.c", NULL);
	}
	send_post(c, p->ref, post);
}

static void send_answer(struct core *c, struct player *p)
{
	/* mostly one of the last, which has no answer yet */
	uint64_t invocation =
		p->last_invocation - rng_below(&rng, p->last_invocation % 8 + 1) + 1;
	bool progress = below(2) == 0;
	static const enum post_type types[] = {POST_YIELD, POST_YIELD,
					       POST_INVOCATION_ERROR};
	struct post post = {
		.type = (uint8_t)types[below(3)],
		.time_ms = 1000,
		.request = invocation,
		.payload =
			payload(below(2) == 0 ? "x.error" : WAMP_ERROR_UNAVAILABLE, NULL),
	};

	if (post.type == POST_YIELD)
		post.progress = progress;
	send_post(c, p->ref, post);
}

static void come(struct core *c, struct player *p)
{
	struct session_ref r = {
		.worker = (uint16_t)((p - players) / PLACES),
		.slot = (uint32_t)((p - players) % PLACES),
		.generation = p->ref.generation + 1,
	};

	for (size_t i = 0; i < last_made; i++)
		callees[i] &= (uint16_t)~BIT(p - players);
	unsent_free(&p->unsent);
	*p = (struct player){.ref = r, .here = true, .can_stop = below(3) > 0};
	unsigned features =
		(p->can_stop ? WAMP_FEATURE_CALL_CANCELING : 0) |
		(below(3) > 0 ? WAMP_FEATURE_PROGRESSIVE_CALL_INVOCATIONS : 0) |
		(below(2) == 0 ? WAMP_FEATURE_CALL_REROUTE : 0);
	send_join_with(c, r, below(2) == 0 ? "joe" : "ann", (uint8_t)features);
}

static void do_something(struct core *c, struct player *p, bool quiet)
{
	if (!p->here || p->requests > REQUESTS - 2 * MANY) {
		if (!p->here)
			come(c, p);
		else
			send_post(c, p->ref, (struct post){.type = POST_GOODBYE});
		return;
	}
	report_unsent(c, p);
	check_all(c);
	if (!p->here)
		return;
	switch (below(43)) {
	case 0:
		p->here = false;
		send_post(c, p->ref, (struct post){.type = POST_GONE});
		break;
	case 1:
		send_post(c, p->ref, (struct post){.type = POST_GOODBYE});
		break;
	case 2:
		send_some(c, p, POST_SUBSCRIBE, MANY);
		break;
	case 3:
		send_some(c, p, POST_REGISTER, MANY);
		break;
	case 4:
	case 5:
	case 6:
		send_some(c, p, POST_SUBSCRIBE, 1);
		break;
	case 7:
	case 8:
	case 9:
		send_random_register(c, p);
		break;
	case 10:
		send_id(c, p->ref, POST_UNSUBSCRIBE, ++p->requests, random_id());
		break;
	case 11:
		send_id(c, p->ref, POST_UNREGISTER, ++p->requests, random_id());
		break;
	case 12:
	case 13:
	case 14:
		send_post(c, p->ref,
			  (struct post){.type = POST_PUBLISH,
					.request = ++p->requests,
					.exclude_me = below(2) == 0,
					.acknowledge = below(2) == 0,
					.payload = payload("a.b.c", NULL)});
		break;
	case 15:
	case 16:
		send_post(c, p->ref,
			  (struct post){.type = POST_CANCEL,
					.time_ms = 1000,
					.mode = (uint8_t)below(3),
					.request = p->requests - below(4)});
		break;
	case 17:
	case 18:
	case 19:
		send_meta(c, p, quiet);
		break;
	case 20:
		send_post(c, p->ref,
			  (struct post){.type = POST_UNDELIVERABLE,
					.request_type = below(2) == 0 ? WAMP_CALL
								      : WAMP_INVOCATION,
					.error = {"x.y", "text"},
					.chunk = (uint8_t)(below(2) * CHUNK_NEXT),
					.request = 1 + rng_below(&rng, p->requests + 1)});
		break;
	case 21:
	case 22:
	case 23:
		send_chunk(c, p);
		break;
	default:
		if (below(2) == 0)
			send_call(c, p);
		else
			send_answer(c, p);
		break;
	}
}

static void storm(struct core *c, uint64_t seed, bool quiet, bool fail)
{
	c->realm->limits.queued_calls = 3;
	c->realm->limits.queued_bytes = c->realm->limits.queued_total = 1 << 20;
	rng = seed;
	events_are_whole = !quiet && !fail;
	left_events = n_chunks = n_not_interrupted = 0;
	memset(players, 0, sizeof(players));
	memset(things, 0, sizeof(things));
	memset(callees, 0, sizeof(callees));
	wheel_init(&c->deadlines, 900);
	join(c, listener, "listener");
	send_pattern(c, listener, POST_SUBSCRIBE, 1, MATCH_PREFIX, "wamp.");
	forget_sent(c);
	for (unsigned i = 0; i < STEPS; i++) {
		last_made = c->ids.next;
		if (fail && below(50) == 0)
			c->outbox.fail_at = 1 + below(20);
		do_something(c, &players[below(PLAYERS)], quiet);
		c->outbox.fail_at = 0;
		check_all(c);
		if (below(8) == 0)
			realm_work(c->realm);
		if (below(200) == 0)
			wheel_run(&c->deadlines, 2000 + 10 * (uint64_t)i,
				  realm_deadline_passed, NULL);
		check_all(c);
	}
	for (unsigned i = 0; i < PLAYERS; i++) {
		report_unsent(c, &players[i]);
		check_all(c);
		if (!players[i].here)
			continue;
		players[i].here = false;
		send_post(c, players[i].ref, (struct post){.type = POST_GONE});
		check_all(c);
	}
	while (realm_has_work(c->realm)) {
		realm_work(c->realm);
		check_all(c);
	}
	for (unsigned i = 0; i < PLAYERS; i++)
		unsent_free(&players[i].unsent);
	struct realm_counters n = realm_counters(c->realm);
	/* kill_all may have ended the listener, too */
	assert_in_range(n.sessions, quiet ? 0 : 1, 1);
	assert_int_equal(n.memberships, n.sessions);
	assert_int_equal(n.subscriptions, n.sessions);
	assert_int_equal(n.registrations, 0);
	assert_int_equal(n.calls_in_flight, 0);
	assert_int_equal(n.testaments, 0);
	for (unsigned i = 0; events_are_whole && i < IDS; i++)
		assert_false(things[i].exists);
}

static void in_any_order(void **state)
{
	storm(*state, 42, false, false);
	/* else the storm tests nothing */
	struct realm_counters n = realm_counters(((struct core *)*state)->realm);
	assert_true(n.kills > 10);
	assert_true(n.results > 100);
	assert_true(n.progressive_results > 5);
	assert_true(n.timeouts > 10);
	assert_true(n.cancels > 5);
	assert_true(n.no_available_callee > 5);
	assert_true(n.reroutes > 5);
	assert_true(n_chunks > 20);
	assert_true(n_not_interrupted > 5);
	assert_true(left_events > 10);
}

static void with_kill_all(void **state)
{
	storm(*state, 43, true, false);
}

static void memory_runs_out(void **state)
{
	storm(*state, 44, false, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		large_test(in_any_order),
		large_test(with_kill_all),
		large_test(memory_runs_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
