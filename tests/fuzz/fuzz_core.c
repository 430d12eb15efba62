/* SPDX-License-Identifier: Apache-2.0 */
/* Routing without sockets. A byte string plays several sessions on several workers in two
 * realms. They join, leave, subscribe, call, answer, ask about sessions and are revoked,
 * also with wrong ids and after their end. Callees share procedures; calls have
 * progressive results, are canceled, time out and wait for a callee. Sessions leave
 * testaments. Next to each realm runs a simple, slow model (arrays with linear search),
 * which predicts every post of every step. In half of the runs another session listens to
 * all meta events; what it hears must agree with the model, too. */
#include "routerd/config/policy.h"
#include "routerd/core/realm.h"
#include "routerd/post/role_set.h"
#include "tests/fuzz/fuzz_listener.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	REALMS = 2,
	WORKERS = 3,
	OWNER = 1, /* worker that owns the realms */
	SLOTS = 3,
	ACTORS = WORKERS * SLOTS,
	LISTENER = ACTORS, /* on worker 0 */
	PLAYERS = ACTORS + 1,
	NAMES = 4,       /* URIs that are published and called */
	URIS = 8,        /* these, and patterns */
	MAX_POSTS = 512, /* more than one step can cause */
	MAX_CALLS = 64,
	MAX_WILLS = 4, /* testaments of a player: fewer than may be, so that one slice is
			  enough */
	ROLES = 2,     /* a player's role is the index of its authid */
};

static const struct realm_limits limits = {
	.subscriptions = 3,
	.registrations = 2,
	.wildcards = 1,
	.calls = 3,
	.queued_calls = 2,
	.queued_bytes = 1 << 20,
	.queued_total = 1 << 20,
};

/* In the order of their EVENTs. None matches a meta topic. */
static const struct {
	const char *text;
	enum match match;
} uris[URIS] = {
	{"a", MATCH_EXACT},     {"b", MATCH_EXACT},     {"a.b", MATCH_EXACT},
	{"c", MATCH_EXACT},     {"a", MATCH_PREFIX},    {"a.", MATCH_PREFIX},
	{"a.", MATCH_WILDCARD}, {".b", MATCH_WILDCARD},
};
static const char *const authids[] = {"joe", "ann"};

struct outbox {
	size_t n;
	struct {
		unsigned to;
		struct post post;
		/* only expected EVENTs: further subscriptions */
		uint64_t more[URIS];
		size_t n_more;
	} posts[MAX_POSTS];
};

/* --- the model --- */

static uint64_t last_id; /* of all realms */

/* A testament. */
struct will {
	struct post post; /* without references */
	unsigned uri;
};

struct player {
	struct session_ref ref;
	struct identity *identity; /* no reference, may be freed */
	bool stops;                /* it can be interrupted, and is told of revocations */
	bool here;
	uint64_t joined; /* a growing number */
	uint64_t session;
	unsigned authid;
	uint64_t last_invocation;
	bool member[URIS];
	uint64_t since[URIS]; /* when it became a member: a growing number */
	struct will wills[MAX_WILLS];
	unsigned n_wills;
};

/* A callee of a procedure. */
struct place {
	unsigned who;
	uint64_t number; /* in the order in which the callees registered */
	unsigned limit;  /* of calls at the same time; 0: none */
	uint64_t made;   /* a growing number, of all procedures */
	bool discloses;  /* it must know its callers */
};

/* A procedure with callees. */
struct shared {
	uint64_t serial; /* other than that of any earlier one; 0: it has no callees */
	uint64_t id;
	uint8_t invoke;
	uint64_t last;   /* number of the callee that registered last */
	uint64_t called; /* number of the callee that had its turn last */
	struct place places[PLAYERS];
	unsigned n;
};

struct flight {
	unsigned caller, callee;
	uint64_t request, invocation;
	uint64_t serial, number; /* of the procedure, of the callee */
	uint8_t match;
	uint64_t started; /* a growing number */
	uint64_t tick;    /* of the wheel, at which it times out; 0: never */
	uint64_t set;     /* when the deadline was set: a growing number */
	bool killing;     /* the callee was told to stop */
	bool progress;    /* the caller wants progressive results */
	uint32_t timeout_ms;
	bool limited;            /* the callee has a limit */
	struct options *options; /* of the CALL */
	bool queued; /* it has no callee yet; the INVOCATION will have these: */
	struct payload *payload;
	struct identity *identity; /* the caller's */
	uint8_t disclose, trust;
	bool orphan; /* the caller has its answer */
};

/* A call of a meta procedure that looks at each session, or whatever its list holds. */
struct stroll {
	unsigned caller;
	uint64_t request;
	uint64_t joins, last_id; /* when it was called */
	uint64_t id;             /* of the registration or subscription */
	enum meta_procedure procedure;
	bool roles[ROLES];
	unsigned authid;         /* of the sessions to kill */
	struct revocation *kill; /* no reference */
};

struct model {
	uint16_t index;
	struct player players[PLAYERS];
	uint64_t subscription[URIS]; /* id; 0: not subscribed */
	struct shared shared[URIS];
	uint64_t serials, made, started;
	struct flight flights[MAX_CALLS]; /* in the order of the calls */
	size_t n_flights;
	uint64_t awake[MAX_CALLS]; /* serials of procedures whose queue can go on */
	size_t n_awake;
	uint64_t posted_ms, wheel_tick, wheel_next, set;
	struct stroll strolls[MAX_CALLS]; /* in the order of the calls */
	size_t n_strolls;
	uint64_t turns[PLAYERS]; /* callers with strolls take turns: the lowest is next */
	uint64_t publications;   /* stands for the id of the last one */
	uint64_t listening;      /* the listener's subscription */
	/* What the listener knows. What it missed before it came, it learns from the
	 * model. */
	struct knowledge heard;
	bool missed;
	char meta[1000]; /* what the result of the last meta procedure is */
	uint64_t dropped, unknown, timeouts, cancels, no_callee, takeovers, taken_off;
	struct outbox expected; /* without references */
};

/* The options of publications for some and for nobody, and of messages with enc_algo.
 * Each post holds a reference. */
static struct options *for_some, *for_nobody, *opaque;

static struct role_slot *role_of(unsigned authid)
{
	static struct role_slot joe = {.refs = 1, .index = 0},
				ann = {.refs = 1, .index = 1};

	return authid == 0 ? &joe : &ann;
}

static struct realm *realms[REALMS];
static struct model models[REALMS];
static struct wheel deadlines[REALMS];
static struct outbox outbox;
static uint64_t joins, subscribes;
static uint64_t now_ms;

bool post_send(struct outbox *ob, unsigned to_worker, const struct post *p)
{
	if (p->type == POST_EVENT && p->id == models[p->realm].listening) {
		struct post event = *p;
		ASSERT(to_worker == 0);
		hear_event(&models[p->realm].heard, &event);
		post_drop(&event);
		return true;
	}
	ASSERT(ob->n < MAX_POSTS);
	ob->posts[ob->n].to = to_worker;
	ob->posts[ob->n++].post = *p;
	return true;
}

bool post_room(struct outbox *ob, unsigned to_worker)
{
	(void)ob;
	(void)to_worker;
	return true;
}

void post_send_reserved(struct outbox *ob, unsigned to_worker, const struct post *p,
			struct mail_batch **mail)
{
	bool sent = post_send(ob, to_worker, p);

	ASSERT(sent && *mail != NULL);
	free(*mail);
	*mail = NULL;
}

static void expect(struct model *m, unsigned to, struct post p)
{
	p.realm = m->index;
	p.session = m->players[to].ref;
	bool sent = post_send(&m->expected, p.session.worker, &p);
	ASSERT(sent);
}

static void expect_error(struct model *m, unsigned to, enum wamp_type request_type,
			 uint64_t request, const char *uri, struct payload *payload)
{
	expect(m, to,
	       (struct post){.type = POST_ERROR,
			     .request_type = (uint8_t)request_type,
			     .request = request,
			     .payload = payload,
			     .error.uri = uri});
}

static unsigned members(const struct model *m, unsigned uri, int worker)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PLAYERS; i++)
		n += m->players[i].member[uri] &&
		     (worker < 0 || m->players[i].ref.worker == worker);
	return n;
}

static unsigned memberships(const struct model *m, unsigned who)
{
	unsigned n = 0;

	for (unsigned u = 0; u < URIS; u++)
		n += m->players[who].member[u];
	return n;
}

static bool has_place(const struct model *m, unsigned who, unsigned uri)
{
	for (unsigned k = 0; k < m->shared[uri].n; k++)
		if (m->shared[uri].places[k].who == who)
			return true;
	return false;
}

static unsigned registrations(const struct model *m, int who)
{
	unsigned n = 0;

	for (unsigned u = 0; u < URIS; u++)
		n += who < 0 ? m->shared[u].n > 0 : has_place(m, (unsigned)who, u);
	return n;
}

/* Is the pattern a wildcard, and has the player as many as it may? */
static bool model_full_of_wildcards(const struct model *m, unsigned who, unsigned uri)
{
	unsigned n = 0;

	for (unsigned u = 0; u < URIS; u++)
		if (uris[u].match == MATCH_WILDCARD)
			n += m->players[who].member[u] + has_place(m, who, u);
	return uris[uri].match == MATCH_WILDCARD && n >= limits.wildcards;
}

static bool matches_name(unsigned pattern, unsigned name)
{
	return uri_matches(uris[pattern].match, slice_str(uris[pattern].text),
			   slice_str(uris[name].text));
}

static void drop_member(struct model *m, unsigned who, unsigned uri)
{
	m->players[who].member[uri] = false;
	if (members(m, uri, -1) == 0)
		m->subscription[uri] = 0;
}

/* How many flights fit: of a caller, a callee, or a procedure, if they are given. */
static unsigned flights(const struct model *m, int caller, int callee, uint64_t serial,
			bool queued, bool orphan)
{
	unsigned n = 0;

	for (size_t i = 0; i < m->n_flights; i++) {
		const struct flight *f = &m->flights[i];
		n += f->queued == queued && f->orphan == orphan &&
		     (caller < 0 || f->caller == (unsigned)caller) &&
		     (callee < 0 || f->callee == (unsigned)callee) &&
		     (serial == 0 || f->serial == serial);
	}
	return n;
}

static bool has_slot(const struct model *m, const struct shared *r, const struct place *p)
{
	unsigned active = 0;

	for (size_t i = 0; i < m->n_flights; i++) {
		const struct flight *f = &m->flights[i];
		active += !f->queued && f->serial == r->serial && f->number == p->number;
	}
	return p->limit == 0 || active < p->limit;
}

static void wake(struct model *m, uint64_t serial)
{
	for (size_t i = 0; i < m->n_awake; i++)
		if (m->awake[i] == serial)
			return;
	if (flights(m, -1, -1, serial, true, false) > 0)
		m->awake[m->n_awake++] = serial;
}

static struct shared *find_shared(struct model *m, uint64_t serial)
{
	for (unsigned u = 0; u < URIS; u++)
		if (m->shared[u].serial == serial)
			return &m->shared[u];
	return NULL;
}

static void drop_flight(struct model *m, size_t i)
{
	struct flight f = m->flights[i];
	const struct shared *r = f.queued ? NULL : find_shared(m, f.serial);
	bool was_full = false;

	for (unsigned k = 0; r != NULL && k < r->n; k++)
		was_full |=
			r->places[k].number == f.number && !has_slot(m, r, &r->places[k]);
	m->n_flights--;
	memmove(&m->flights[i], &m->flights[i + 1],
		(m->n_flights - i) * sizeof(m->flights[0]));
	if (was_full)
		wake(m, f.serial);
}

static void drop_place(struct model *m, struct shared *r, unsigned k)
{
	uint64_t serial = r->serial;

	r->n--;
	memmove(&r->places[k], &r->places[k + 1], (r->n - k) * sizeof(r->places[0]));
	if (r->n > 0)
		return;
	*r = (struct shared){.n = 0};
	wake(m, serial);
}

static size_t find_flight(const struct model *m, unsigned callee, uint64_t invocation)
{
	size_t i = 0;

	while (i < m->n_flights &&
	       (m->flights[i].queued || m->flights[i].callee != callee ||
		m->flights[i].invocation != invocation))
		i++;
	return i;
}

static size_t find_own_flight(const struct model *m, unsigned caller, uint64_t request)
{
	size_t i = 0;

	while (i < m->n_flights &&
	       (m->flights[i].orphan || m->flights[i].caller != caller ||
		m->flights[i].request != request))
		i++;
	return i;
}

static size_t find_stroll(const struct model *m, unsigned caller, uint64_t request)
{
	size_t i = 0;

	while (i < m->n_strolls &&
	       (m->strolls[i].caller != caller || m->strolls[i].request != request))
		i++;
	return i;
}

/* Which players have announced payload transparency as callees, and as callers. */
static bool reads_calls(const struct model *m, unsigned who)
{
	return m->players[who].authid == 0;
}

static bool reads_answers(unsigned who)
{
	return who % 2 == 0;
}

static bool says_unsupported(const struct post *p)
{
	return p->type == POST_ERROR && p->error.uri != NULL &&
	       strcmp(p->error.uri, WAMP_ERROR_FEATURE_NOT_SUPPORTED) == 0;
}

/* The callee for the next call. NULL: all are full. The model cannot predict a random
 * one: it looks where the INVOCATION went. If there is none, the
 * callee must know its callers, or cannot read the call. */
static const struct place *choose_place(const struct model *m, const struct shared *r)
{
	const struct place *first = NULL, *last = NULL, *next = NULL;
	const struct post *post = &outbox.posts[m->expected.n].post;
	unsigned who = post->session.worker * SLOTS + post->session.slot;

	for (unsigned k = 0; k < r->n; k++) {
		const struct place *p = &r->places[k];
		if (!has_slot(m, r, p))
			continue;
		last = p;
		if (first == NULL)
			first = p;
		if (r->invoke == WAMP_INVOKE_RANDOM
			    ? post->type == POST_INVOCATION ? p->who == who
			      : says_unsupported(post)      ? !reads_calls(m, p->who)
							    : p->discloses
			    : next == NULL && p->number > r->called)
			next = p;
	}
	if (r->invoke == WAMP_INVOKE_RANDOM) {
		ASSERT(first == NULL || next != NULL);
		return first == NULL ? NULL : next;
	}
	if (r->invoke == WAMP_INVOKE_ROUNDROBIN)
		return next == NULL ? first : next;
	return r->invoke == WAMP_INVOKE_LAST ? last : first;
}

/* Starts a call, or fails it. False: all callees are full. */
static bool start_flight(struct model *m, struct shared *r, size_t i)
{
	struct flight *f = &m->flights[i];
	const struct place *p = choose_place(m, r);

	if (p == NULL)
		return false;
	r->called = p->number;
	if (f->options != NULL && !reads_calls(m, p->who)) {
		expect_error(m, f->caller, WAMP_CALL, f->request,
			     WAMP_ERROR_FEATURE_NOT_SUPPORTED, NULL);
		drop_flight(m, i);
		return true;
	}
	if (p->discloses && f->disclose == DISCLOSE_NEVER) {
		expect_error(m, f->caller, WAMP_CALL, f->request, WAMP_ERROR_DISCLOSE_ME,
			     NULL);
		drop_flight(m, i);
		return true;
	}
	f->callee = p->who;
	f->number = p->number;
	f->limited = p->limit > 0;
	f->queued = false;
	f->invocation = ++m->players[p->who].last_invocation;
	f->started = ++m->started;
	expect(m, f->callee,
	       (struct post){.type = POST_INVOCATION,
			     .request = f->invocation,
			     .id = r->id,
			     .match = f->match,
			     .payload = f->payload,
			     .options = f->options,
			     .progress = f->progress,
			     .trust = f->trust,
			     .disclosed = p->discloses || f->disclose == DISCLOSE_YES
						  ? f->identity
						  : NULL});
	return true;
}

/* What follows each post: calls leave queues. */
static void model_drain(struct model *m)
{
	while (m->n_awake > 0) {
		uint64_t serial = m->awake[0];
		struct shared *r = find_shared(m, serial);
		size_t i = 0;

		while (i < m->n_flights &&
		       !(m->flights[i].queued && m->flights[i].serial == serial))
			i++;
		struct flight *f = i == m->n_flights ? NULL : &m->flights[i];
		if (f != NULL && r == NULL) {
			expect_error(m, f->caller, WAMP_CALL, f->request,
				     WAMP_ERROR_NO_AVAILABLE_CALLEE, NULL);
			drop_flight(m, i);
		} else if (f == NULL || !start_flight(m, r, i)) {
			m->n_awake--;
			memmove(&m->awake[0], &m->awake[1],
				m->n_awake * sizeof(m->awake[0]));
		}
	}
}

static void set_deadline(struct model *m, struct flight *f, uint64_t due_ms)
{
	bool first = true;

	for (size_t i = 0; i < m->n_flights; i++)
		first &= &m->flights[i] == f || m->flights[i].tick == 0;
	f->tick = due_ms / WHEEL_TICK_MS + 1;
	f->set = ++m->set;
	if (first || f->tick < m->wheel_next)
		m->wheel_next = f->tick;
}

/* The caller has its answer. works_on: the callee was not told to stop. */
static void end_flight(struct model *m, size_t i, bool works_on)
{
	struct flight *f = &m->flights[i];
	uint64_t wheel_ms = m->wheel_tick * WHEEL_TICK_MS;

	if (!works_on || !f->limited || !m->players[f->callee].here ||
	    flights(m, -1, (int)f->callee, 0, false, true) >= limits.calls) {
		drop_flight(m, i);
		return;
	}
	f->orphan = true;
	set_deadline(m, f, (wheel_ms > m->posted_ms ? wheel_ms : m->posted_ms) + 60000);
}

/* The stroll that is next: the first call of the caller whose turn it is. */
static size_t first_stroll(const struct model *m)
{
	size_t first = 0;

	for (size_t i = 1; i < m->n_strolls; i++)
		if (m->turns[m->strolls[i].caller] < m->turns[m->strolls[first].caller])
			first = i;
	return first;
}

static void end_turn(struct model *m, unsigned caller)
{
	static uint64_t last_turn;

	m->turns[caller] = ++last_turn;
}

static void drop_stroll(struct model *m, size_t i)
{
	if (i == first_stroll(m))
		end_turn(m, m->strolls[i].caller);
	m->n_strolls--;
	memmove(&m->strolls[i], &m->strolls[i + 1],
		(m->n_strolls - i) * sizeof(m->strolls[0]));
}

/* False: the callee cannot be told to stop, or was told before, or there is none. */
static bool expect_interrupt(struct model *m, const struct flight *f,
			     enum wamp_cancel_mode mode)
{
	if (f->killing || f->queued || !m->players[f->callee].here ||
	    !m->players[f->callee].stops)
		return false;
	expect(m, f->callee,
	       (struct post){.type = POST_INTERRUPT,
			     .request = f->invocation,
			     .mode = (uint8_t)mode});
	return true;
}

/* Tells the callee to stop. True: it works on. */
static bool stop_flight(struct model *m, const struct flight *f)
{
	bool told = expect_interrupt(m, f, WAMP_MODE_KILLNOWAIT);

	return !told && !f->queued && !f->killing;
}

/* Ends the registrations of a player: the last one first. */
static void drop_places(struct model *m, unsigned who)
{
	for (;;) {
		struct shared *of = NULL;
		unsigned which = 0;

		for (unsigned u = 0; u < URIS; u++) {
			struct shared *r = &m->shared[u];
			for (unsigned k = 0; k < r->n; k++) {
				if (r->places[k].who != who ||
				    (of != NULL &&
				     of->places[which].made > r->places[k].made))
					continue;
				of = r;
				which = k;
			}
		}
		if (of == NULL)
			return;
		drop_place(m, of, which);
	}
}

/* Ends the calls to a player: the one that was started last first. */
static void fail_flights(struct model *m, unsigned who)
{
	for (;;) {
		size_t last = m->n_flights;

		for (size_t i = 0; i < m->n_flights; i++) {
			const struct flight *f = &m->flights[i];
			if (!f->queued && f->callee == who &&
			    (last == m->n_flights ||
			     f->started > m->flights[last].started))
				last = i;
		}
		if (last == m->n_flights)
			return;
		if (!m->flights[last].orphan && m->players[m->flights[last].caller].here)
			expect_error(m, m->flights[last].caller, WAMP_CALL,
				     m->flights[last].request, WAMP_ERROR_CANCELED, NULL);
		drop_flight(m, last);
	}
}

static void expect_events(struct model *m, unsigned who, unsigned uri,
			  const struct post *p)
{
	unsigned first = URIS;
	uint64_t more[URIS];
	size_t n_more = 0;

	m->publications++;
	for (unsigned u = 0; u < URIS; u++) {
		if (m->subscription[u] == 0 || !matches_name(u, uri))
			continue;
		if (first == URIS)
			first = u;
		else
			more[n_more++] = m->subscription[u];
	}
	for (int w = 0; w < WORKERS && p->options != for_nobody; w++) {
		unsigned n = 0;
		for (unsigned u = first; u < URIS; u++)
			if (m->subscription[u] != 0 && matches_name(u, uri))
				n += members(m, u, w) - (p->exclude_me &&
							 m->players[who].member[u] &&
							 m->players[who].ref.worker == w);
		if (n == 0)
			continue;
		struct post event = {
			.type = POST_EVENT,
			.realm = m->index,
			.session = m->players[who].ref,
			.id = m->subscription[first],
			.match = (uint8_t)uris[first].match,
			.payload = p->payload,
			.options = p->options,
			.exclude_me = p->exclude_me,
			.trust = p->trust,
			.publication = m->publications,
			.disclosed = p->disclose == DISCLOSE_YES
					     ? m->players[who].identity
					     : NULL,
		};
		memcpy(m->expected.posts[m->expected.n].more, more, sizeof(more));
		m->expected.posts[m->expected.n].n_more = n_more;
		bool sent = post_send(&m->expected, (unsigned)w, &event);
		ASSERT(sent);
	}
}

static void model_publish(struct model *m, unsigned who, unsigned uri,
			  const struct post *p)
{
	expect_events(m, who, uri, p);
	if (p->acknowledge)
		expect(m, who,
		       (struct post){.type = POST_PUBLISHED,
				     .request = p->request,
				     .id = m->publications});
}

/* Publishes its testaments: first those with the scope detached. */
static void model_publish_wills(struct model *m, unsigned who)
{
	struct player *pl = &m->players[who];

	for (int detached = 1; detached >= 0; detached--)
		for (unsigned i = 0; i < pl->n_wills; i++)
			if (pl->wills[i].post.detached == detached)
				expect_events(m, who, pl->wills[i].uri,
					      &pl->wills[i].post);
	pl->n_wills = 0;
}

/* What follows the end of a session, which is not here any more. No player has so much
 * that it takes more than one slice. */
static void model_take_down(struct model *m, unsigned who)
{
	model_publish_wills(m, who);
	for (size_t i = m->n_flights; i-- > 0;) {
		const struct flight *f = &m->flights[i];
		if (f->orphan || f->caller != who)
			continue;
		end_flight(m, i, stop_flight(m, f));
	}
	drop_places(m, who);
	for (size_t i = m->n_strolls; i-- > 0;)
		if (m->strolls[i].caller == who)
			drop_stroll(m, i);
	fail_flights(m, who);
	for (unsigned u = 0; u < URIS; u++)
		if (m->players[who].member[u])
			drop_member(m, who, u);
}

static void model_join(struct model *m, unsigned who, struct session_ref ref,
		       struct identity *identity, unsigned authid)
{
	struct player *pl = &m->players[who];
	bool replaced = pl->here, taken = false;

	pl->here = false;
	for (unsigned i = 0; i < PLAYERS; i++)
		taken |= m->players[i].here && m->players[i].session == identity->session;
	struct session_ref before = pl->ref;
	pl->ref = ref;
	expect(m, who, (struct post){.type = taken ? POST_JOIN_REFUSED : POST_JOINED});
	pl->ref = before;
	if (replaced)
		model_take_down(m, who);
	*pl = (struct player){
		.ref = ref,
		.identity = identity,
		.stops = (identity->features.of[WAMP_ROLE_CALLEE] &
			  WAMP_FEATURE_CALL_CANCELING) != 0,
		.here = !taken,
		.joined = ++joins,
		.session = identity->session,
		.authid = authid,
	};
}

/* Id 0 in an expected post stands for an id that was never seen before. */
static void model_subscribe(struct model *m, unsigned who, unsigned uri,
			    const struct post *p)
{
	struct player *pl = &m->players[who];

	if (!pl->member[uri] && (memberships(m, who) >= limits.subscriptions ||
				 model_full_of_wildcards(m, who, uri))) {
		expect_error(m, who, WAMP_SUBSCRIBE, p->request, WAMP_ERROR_UNAVAILABLE,
			     NULL);
		return;
	}
	if (!pl->member[uri])
		pl->since[uri] = ++subscribes;
	pl->member[uri] = true;
	expect(m, who,
	       (struct post){.type = POST_SUBSCRIBED,
			     .request = p->request,
			     .id = m->subscription[uri]});
}

static void model_unsubscribe(struct model *m, unsigned who, const struct post *p)
{
	for (unsigned u = 0; u < URIS; u++) {
		if (m->subscription[u] != p->id || !m->players[who].member[u])
			continue;
		drop_member(m, who, u);
		expect(m, who,
		       (struct post){.type = POST_UNSUBSCRIBED,
				     .request = p->request,
				     .id = p->id});
		return;
	}
	expect_error(m, who, WAMP_UNSUBSCRIBE, p->request,
		     WAMP_ERROR_NO_SUCH_SUBSCRIPTION, NULL);
}

/* Takes off all callees of a procedure, the last one first. The next one gets another id,
 * and the calls that wait. */
static void take_off_all(struct model *m, struct shared *r)
{
	while (r->n > 0) {
		unsigned who = r->places[--r->n].who;
		m->taken_off++;
		if (m->players[who].stops)
			expect(m, who,
			       (struct post){.type = POST_UNREGISTERED, .id = r->id});
	}
	r->id = 0;
	m->takeovers++;
}

static void model_register(struct model *m, unsigned who, unsigned uri,
			   const struct post *p)
{
	struct shared *r = &m->shared[uri];
	bool force = r->n > 0 && p->force, own = force && has_place(m, who, uri);

	if (r->n > 0 && !force &&
	    (p->invoke == WAMP_INVOKE_SINGLE || p->invoke != r->invoke ||
	     has_place(m, who, uri))) {
		expect_error(m, who, WAMP_REGISTER, p->request,
			     WAMP_ERROR_PROCEDURE_ALREADY_EXISTS, p->payload);
		return;
	}
	if (registrations(m, (int)who) - own >= limits.registrations ||
	    (!own && model_full_of_wildcards(m, who, uri))) {
		expect_error(m, who, WAMP_REGISTER, p->request, WAMP_ERROR_UNAVAILABLE,
			     NULL);
		return;
	}
	if (force)
		take_off_all(m, r);
	else if (r->n == 0)
		r->serial = ++m->serials;
	r->invoke = p->invoke;
	r->places[r->n++] = (struct place){.who = who,
					   .number = ++r->last,
					   .limit = p->concurrency,
					   .discloses = p->disclose == DISCLOSE_YES,
					   .made = ++m->made};
	expect(m, who,
	       (struct post){
		       .type = POST_REGISTERED, .request = p->request, .id = r->id});
	wake(m, r->serial);
}

static void model_unregister(struct model *m, unsigned who, const struct post *p)
{
	for (unsigned u = 0; u < URIS; u++) {
		struct shared *r = &m->shared[u];
		for (unsigned k = 0; k < r->n; k++) {
			if (r->id != p->id || r->places[k].who != who)
				continue;
			drop_place(m, r, k);
			expect(m, who,
			       (struct post){.type = POST_UNREGISTERED,
					     .request = p->request});
			return;
		}
	}
	expect_error(m, who, WAMP_UNREGISTER, p->request, WAMP_ERROR_NO_SUCH_REGISTRATION,
		     NULL);
}

/* Has it as many calls in flight as it may have? Then it gets an ERROR. */
static bool model_full(struct model *m, unsigned who, uint64_t request)
{
	unsigned calls = flights(m, (int)who, -1, 0, false, false) +
			 flights(m, (int)who, -1, 0, true, false);

	for (size_t i = 0; i < m->n_strolls; i++)
		calls += m->strolls[i].caller == who;
	if (calls < limits.calls)
		return false;
	expect_error(m, who, WAMP_CALL, request, WAMP_ERROR_UNAVAILABLE, NULL);
	return true;
}

/* Has a call in flight of the same caller this id? Then it is a violation. */
static bool model_duplicate(struct model *m, unsigned who, uint64_t request)
{
	if (find_own_flight(m, who, request) == m->n_flights &&
	    find_stroll(m, who, request) == m->n_strolls)
		return false;
	expect(m, who, (struct post){.type = POST_VIOLATION});
	return true;
}

static void expect_meta(struct model *m, unsigned to, uint64_t request, const char *fmt,
			...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m->meta, sizeof(m->meta), fmt, ap);
	va_end(ap);
	expect(m, to, (struct post){.type = POST_RESULT, .request = request});
}

static void model_testament(struct model *m, unsigned who, unsigned uri,
			    const struct post *p)
{
	struct player *pl = &m->players[who];

	if (model_duplicate(m, who, p->request) || model_full(m, who, p->request))
		return;
	pl->wills[pl->n_wills++] = (struct will){*p, uri};
	expect_meta(m, who, p->request, "%s", "");
}

static void model_flush(struct model *m, unsigned who, const struct post *p)
{
	struct player *pl = &m->players[who];
	unsigned n = 0;

	for (unsigned i = 0; i < pl->n_wills; i++)
		if (pl->wills[i].post.detached != p->detached)
			pl->wills[n++] = pl->wills[i];
	pl->n_wills = n;
	expect_meta(m, who, p->request, "%s", "");
}

/* The registration that gets the calls of a URI. URIS: none. */
static unsigned best_of(const struct model *m, unsigned name)
{
	unsigned best = URIS;

	for (unsigned u = 0; u < URIS; u++)
		if (m->shared[u].n > 0 && matches_name(u, name) &&
		    /* of two prefixes, the later one is the longer one */
		    (best == URIS ||
		     (uris[best].match == MATCH_PREFIX && uris[u].match == MATCH_PREFIX)))
			best = u;
	return best;
}

static void model_call(struct model *m, unsigned who, unsigned uri, const struct post *p)
{
	unsigned best = best_of(m, uri);

	if (model_duplicate(m, who, p->request))
		return;
	if (best == URIS) {
		expect_error(m, who, WAMP_CALL, p->request, WAMP_ERROR_NO_SUCH_PROCEDURE,
			     p->payload);
		return;
	}
	if (model_full(m, who, p->request))
		return;
	ASSERT(m->n_flights < MAX_CALLS);
	struct shared *r = &m->shared[best];
	unsigned waiting = flights(m, -1, -1, r->serial, true, false);
	struct flight *f = &m->flights[m->n_flights++];
	*f = (struct flight){
		.caller = who,
		.request = p->request,
		.serial = r->serial,
		.match = (uint8_t)uris[best].match,
		.progress = p->progress,
		.timeout_ms = p->timeout_ms,
		.queued = true,
		.payload = p->payload,
		.options = p->options,
		.trust = p->trust,
		.disclose = p->disclose,
		.identity = m->players[who].identity,
	};
	if (p->timeout_ms != 0)
		set_deadline(m, f, now_ms + p->timeout_ms);
	if ((waiting == 0 && start_flight(m, r, m->n_flights - 1)) ||
	    waiting < limits.queued_calls)
		return;
	m->no_callee++;
	expect_error(m, who, WAMP_CALL, p->request, WAMP_ERROR_NO_AVAILABLE_CALLEE,
		     p->payload);
	m->n_flights--;
}

static void model_cancel(struct model *m, unsigned who, const struct post *p)
{
	size_t i = find_own_flight(m, who, p->request);
	size_t stroll = find_stroll(m, who, p->request);

	if (stroll < m->n_strolls) {
		expect_error(m, who, WAMP_CALL, p->request, WAMP_ERROR_CANCELED, NULL);
		drop_stroll(m, stroll);
		m->cancels++;
		return;
	}
	if (i == m->n_flights)
		return;
	struct flight *f = &m->flights[i];
	bool first = !f->killing;
	m->cancels += first;
	if (p->mode == WAMP_MODE_KILL && f->killing)
		return;
	if (p->mode != WAMP_MODE_SKIP)
		f->killing |= expect_interrupt(m, f, p->mode);
	if (p->mode == WAMP_MODE_KILL && f->killing) {
		if (f->timeout_ms == 0)
			set_deadline(m, f, now_ms + 30000);
		return;
	}
	expect_error(m, who, WAMP_CALL, p->request, WAMP_ERROR_CANCELED, NULL);
	end_flight(m, i, !f->queued && !f->killing);
}

static void model_answer(struct model *m, unsigned who, const struct post *p)
{
	size_t i = find_flight(m, who, p->request);

	if (i == m->n_flights || m->flights[i].orphan) {
		m->unknown++;
		if (i < m->n_flights && !p->progress)
			drop_flight(m, i);
		return;
	}
	struct flight *f = &m->flights[i];
	if (p->progress && (!f->progress || f->killing))
		return;
	if (p->options != NULL && !reads_answers(f->caller)) {
		bool works_on = p->progress && stop_flight(m, f);
		expect_error(m, f->caller, WAMP_CALL, f->request,
			     WAMP_ERROR_FEATURE_NOT_SUPPORTED, NULL);
		end_flight(m, i, works_on);
		return;
	}
	if (p->progress && p->type == POST_YIELD) {
		expect(m, f->caller,
		       (struct post){.type = POST_RESULT,
				     .request = f->request,
				     .progress = true,
				     .options = p->options,
				     .payload = p->payload});
		if (f->timeout_ms != 0)
			set_deadline(m, f, now_ms + f->timeout_ms);
		return;
	}
	bool works_on = p->progress && stop_flight(m, f);
	if (p->type == POST_YIELD)
		expect(m, f->caller,
		       (struct post){.type = POST_RESULT,
				     .request = f->request,
				     .options = p->options,
				     .payload = p->payload});
	else if (p->type == POST_INVOCATION_ERROR)
		expect(m, f->caller,
		       (struct post){.type = POST_ERROR,
				     .request_type = WAMP_CALL,
				     .request = f->request,
				     .options = p->options,
				     .payload = p->payload});
	else
		expect_error(m, f->caller, WAMP_CALL, f->request, p->error.uri, NULL);
	end_flight(m, i, works_on);
}

/* A progressive result could not be delivered to its caller. */
static void model_lost(struct model *m, unsigned who, const struct post *p)
{
	size_t i = find_own_flight(m, who, p->request);

	if (i == m->n_flights)
		return;
	bool works_on = stop_flight(m, &m->flights[i]);
	expect_error(m, who, WAMP_CALL, p->request, p->error.uri, NULL);
	end_flight(m, i, works_on);
}

/* The player that joined first of those that joined after this number. */
static unsigned next_joined(const struct model *m, uint64_t after)
{
	unsigned next = PLAYERS;

	for (unsigned i = 0; i < PLAYERS; i++) {
		const struct player *pl = &m->players[i];
		if (pl->here && pl->joined > after &&
		    (next == PLAYERS || pl->joined < m->players[next].joined))
			next = i;
	}
	return next;
}

static void model_get(struct model *m, unsigned who, const struct post *p)
{
	for (unsigned i = 0; i < PLAYERS; i++) {
		const struct player *pl = &m->players[i];
		if (!pl->here || pl->session != p->id)
			continue;
		expect_meta(
			m, who, p->request,
			"[{\"session\":%u,\"authid\":\"%s\",\"authrole\":\"\","
			"\"authmethod\":\"ticket\",\"authprovider\":\"\",\"transport\":"
			"{\"channel_type\":\"tcp\",\"channel_framing\":\"websocket\","
			"\"channel_serializer\":\"json\",\"peer\":\"\"}}]",
			(unsigned)pl->session, authids[pl->authid]);
		return;
	}
	expect_error(m, who, WAMP_CALL, p->request, WAMP_ERROR_NO_SUCH_SESSION, NULL);
}

static void model_kill(struct model *m, unsigned who, const struct post *p)
{
	for (unsigned i = 0; i < PLAYERS; i++) {
		if (!m->players[i].here || m->players[i].session != p->id || i == who)
			continue;
		m->players[i].here = false;
		expect(m, i, (struct post){.type = POST_KILLED, .revocation = p->kill});
		expect_meta(m, who, p->request, "%s", "");
		model_take_down(m, i);
		return;
	}
	expect_error(m, who, WAMP_CALL, p->request, WAMP_ERROR_NO_SUCH_SESSION, NULL);
}

/* The id of the registration or subscription of uris[u]; 0: there is none. */
static uint64_t pattern_id(const struct model *m, bool registration, unsigned u)
{
	return registration ? m->shared[u].id : m->subscription[u];
}

/* The sessions of a pattern: the callees, or the members, the newest first. */
static unsigned sessions_of(const struct model *m, bool registration, unsigned u,
			    uint64_t *sessions)
{
	unsigned order[PLAYERS], n = 0;

	if (registration) {
		for (unsigned k = 0; k < m->shared[u].n; k++)
			sessions[k] = m->players[m->shared[u].places[k].who].session;
		return m->shared[u].n;
	}
	for (unsigned i = 0; i < PLAYERS; i++) {
		if (!m->players[i].member[u])
			continue;
		unsigned k = n++;
		for (;
		     k > 0 && m->players[order[k - 1]].since[u] < m->players[i].since[u];
		     k--)
			order[k] = order[k - 1];
		order[k] = i;
	}
	for (unsigned i = 0; i < n; i++)
		sessions[i] = m->players[order[i]].session;
	return n;
}

static void put_ids(char *to, size_t size, const uint64_t *ids, unsigned n)
{
	size_t len = 0;

	to[0] = '\0';
	for (unsigned i = 0; i < n; i++)
		len += (size_t)snprintf(to + len, size - len, "%s%" PRIu64,
					i == 0 ? "" : ",", ids[i]);
}

/* The ids of the patterns that match so, in the order in which they were made. */
static void put_patterns(const struct model *m, bool registration, enum match match,
			 uint64_t last, char *to, size_t size)
{
	uint64_t ids[URIS + 1];
	unsigned n = 0;

	/* the last one is the listener's subscription */
	for (unsigned u = 0; u <= URIS; u++) {
		bool listens = !registration && m->players[LISTENER].here;
		uint64_t id = u < URIS  ? pattern_id(m, registration, u)
			      : listens ? m->listening
					: 0;
		if ((u < URIS ? uris[u].match : MATCH_PREFIX) != match || id == 0 ||
		    id > last)
			continue;
		unsigned k = n++;
		for (; k > 0 && ids[k - 1] > id; k--)
			ids[k] = ids[k - 1];
		ids[k] = id;
	}
	put_ids(to, size, ids, n);
}

static void expect_id_or_null(struct model *m, unsigned who, uint64_t request,
			      uint64_t id)
{
	if (id == 0)
		expect_meta(m, who, request, "[null]");
	else
		expect_meta(m, who, request, "[%" PRIu64 "]", id);
}

static unsigned find_pattern(const struct model *m, bool registration, uint64_t id)
{
	unsigned u = 0;

	while (u < URIS && (id == 0 || pattern_id(m, registration, u) != id))
		u++;
	return u;
}

static void expect_no_such(struct model *m, unsigned who, uint64_t request,
			   bool registration)
{
	expect_error(m, who, WAMP_CALL, request,
		     registration ? WAMP_ERROR_NO_SUCH_REGISTRATION
				  : WAMP_ERROR_NO_SUCH_SUBSCRIPTION,
		     NULL);
}

static bool is_about(unsigned procedure)
{
	return procedure == META_REGISTRATION_GET ||
	       procedure == META_REGISTRATION_COUNT_CALLEES ||
	       procedure == META_SUBSCRIPTION_GET ||
	       procedure == META_SUBSCRIPTION_COUNT_SUBSCRIBERS;
}

/* Get and count. */
static void model_about(struct model *m, unsigned who, const struct post *p)
{
	bool registration = p->procedure < META_SUBSCRIPTION_LIST;
	unsigned u = find_pattern(m, registration, p->id);
	uint64_t sessions[PLAYERS];

	if (u == URIS)
		expect_no_such(m, who, p->request, registration);
	else if (p->procedure == META_REGISTRATION_GET ||
		 p->procedure == META_SUBSCRIPTION_GET)
		expect_meta(m, who, p->request,
			    "[{\"id\":%" PRIu64
			    ",\"created\":\"1970-01-01T00:00:00.000Z\",\"uri\":\"%s\","
			    "\"match\":\"%s\"%s%s%s}]",
			    p->id, uris[u].text, match_names[uris[u].match],
			    registration ? ",\"invoke\":\"" : "",
			    registration ? wamp_invoke_names[m->shared[u].invoke] : "",
			    registration ? "\"" : "");
	else
		expect_meta(m, who, p->request, "[%u]",
			    sessions_of(m, registration, u, sessions));
}

/* Lookup and match. */
static void model_search(struct model *m, unsigned who, unsigned uri,
			 const struct post *p)
{
	uint64_t ids[URIS];
	unsigned n = 0;
	char list[200];

	if (p->procedure != META_SUBSCRIPTION_MATCH) {
		bool registration = p->procedure < META_SUBSCRIPTION_LIST;
		unsigned u =
			p->procedure == META_REGISTRATION_MATCH ? best_of(m, uri) : uri;
		expect_id_or_null(m, who, p->request,
				  u == URIS ? 0 : pattern_id(m, registration, u));
		return;
	}
	for (unsigned u = 0; u < URIS; u++)
		if (m->subscription[u] != 0 && matches_name(u, uri))
			ids[n++] = m->subscription[u];
	put_ids(list, sizeof(list), ids, n);
	if (n == 0)
		expect_meta(m, who, p->request, "[null]");
	else
		expect_meta(m, who, p->request, "[[%s]]", list);
}

static void model_meta(struct model *m, unsigned who, unsigned uri, const struct post *p)
{
	const struct role_set *roles = meta_kills(p->procedure) ? NULL : p->roles;
	unsigned n = 0;

	if (model_duplicate(m, who, p->request) || model_full(m, who, p->request))
		return;
	if (p->procedure == META_SESSION_FLUSH_TESTAMENTS) {
		model_flush(m, who, p);
		return;
	}
	if (p->procedure == META_SESSION_GET) {
		model_get(m, who, p);
		return;
	}
	if (p->procedure == META_SESSION_KILL) {
		model_kill(m, who, p);
		return;
	}
	if (p->payload != NULL) {
		model_search(m, who, uri, p);
		return;
	}
	if (is_about(p->procedure)) {
		model_about(m, who, p);
		return;
	}
	if (p->procedure == META_SESSION_COUNT && roles == NULL) {
		for (unsigned i = 0; i < PLAYERS; i++)
			n += m->players[i].here;
		expect_meta(m, who, p->request, "[%u]", n);
		return;
	}
	size_t others = 0;
	while (others < m->n_strolls && m->strolls[others].caller != who)
		others++;
	if (others == m->n_strolls)
		end_turn(m, who);
	struct stroll *stroll = &m->strolls[m->n_strolls++];
	ASSERT(m->n_strolls <= MAX_CALLS);
	*stroll = (struct stroll){
		.caller = who,
		.request = p->request,
		.joins = joins,
		.last_id = last_id,
		.id = p->id,
		.procedure = p->procedure,
	};
	if (meta_kills(p->procedure)) {
		stroll->kill = p->kill;
		stroll->authid = slice_eq_str(p->kill->authid, authids[1]);
	}
	for (unsigned i = 0; i < ROLES; i++)
		stroll->roles[i] = roles == NULL || role_set_has(roles, role_of(i));
}

static bool is_sought(const struct stroll *stroll, const struct player *pl)
{
	if (!meta_kills(stroll->procedure))
		return stroll->roles[pl->authid];
	/* all have the same authrole */
	return stroll->procedure != META_SESSION_KILL_BY_AUTHID ||
	       pl->authid == stroll->authid;
}

/* Answers a call that does not look at each session. */
static void model_list(struct model *m, const struct stroll *stroll)
{
	bool registration = stroll->procedure < META_SUBSCRIPTION_LIST;
	unsigned u = find_pattern(m, registration, stroll->id);
	char lists[MATCH_COUNT][200];
	uint64_t sessions[PLAYERS];

	if (stroll->procedure == META_REGISTRATION_LIST ||
	    stroll->procedure == META_SUBSCRIPTION_LIST) {
		for (int match = 0; match < MATCH_COUNT; match++)
			put_patterns(m, registration, (enum match)match, stroll->last_id,
				     lists[match], sizeof(lists[match]));
		expect_meta(m, stroll->caller, stroll->request,
			    "[{\"exact\":[%s],\"prefix\":[%s],\"wildcard\":[%s]}]",
			    lists[0], lists[1], lists[2]);
	} else if (u == URIS) {
		expect_no_such(m, stroll->caller, stroll->request, registration);
	} else {
		put_ids(lists[0], sizeof(lists[0]), sessions,
			sessions_of(m, registration, u, sessions));
		expect_meta(m, stroll->caller, stroll->request, "[[%s]]", lists[0]);
	}
}

/* There are so few players that one piece of work answers one call. */
static void model_work(struct model *m)
{
	const struct stroll *stroll = &m->strolls[first_stroll(m)];
	char list[200] = "";
	unsigned killed[PLAYERS], n_killed = 0, n = 0;
	size_t len = 0;

	if (m->n_strolls == 0)
		return;
	if (stroll->procedure >= META_REGISTRATION_LIST) {
		model_list(m, stroll);
		drop_stroll(m, first_stroll(m));
		return;
	}
	for (unsigned i = next_joined(m, 0); i < PLAYERS;
	     i = next_joined(m, m->players[i].joined)) {
		const struct player *pl = &m->players[i];
		bool kill = meta_kills(stroll->procedure);
		if (!is_sought(stroll, pl) || pl->joined > stroll->joins ||
		    (kill && i == stroll->caller))
			continue;
		if (kill) {
			m->players[i].here = false;
			if (stroll->procedure == META_SESSION_KILL_ALL)
				m->players[i].n_wills = 0;
			killed[n_killed++] = i;
			expect(m, i,
			       (struct post){.type = POST_KILLED,
					     .revocation = stroll->kill});
		}
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%u",
					n == 0 ? "" : ",", (unsigned)pl->session);
		n++;
	}
	if (stroll->procedure == META_SESSION_LIST ||
	    stroll->procedure == META_SESSION_KILL_BY_AUTHID)
		expect_meta(m, stroll->caller, stroll->request, "[[%s]]", list);
	else
		expect_meta(m, stroll->caller, stroll->request, "[%u]", n);
	m->missed |= stroll->procedure == META_SESSION_KILL_ALL;
	drop_stroll(m, first_stroll(m));
	for (unsigned i = 0; i < n_killed; i++)
		model_take_down(m, killed[i]);
}

static void model_post(struct model *m, unsigned who, unsigned uri, const struct post *p)
{
	struct player *pl = &m->players[who];

	if (!pl->here || pl->ref.generation != p->session.generation) {
		m->dropped++;
		return;
	}
	if (p->type == POST_GOODBYE)
		expect(m, who, (struct post){.type = POST_LEFT});
	if (p->type == POST_GONE || p->type == POST_GOODBYE) {
		pl->here = false;
		model_take_down(m, who);
	} else if (p->type == POST_SUBSCRIBE)
		model_subscribe(m, who, uri, p);
	else if (p->type == POST_UNSUBSCRIBE)
		model_unsubscribe(m, who, p);
	else if (p->type == POST_PUBLISH)
		model_publish(m, who, uri, p);
	else if (p->type == POST_REGISTER)
		model_register(m, who, uri, p);
	else if (p->type == POST_UNREGISTER)
		model_unregister(m, who, p);
	else if (p->type == POST_CALL)
		model_call(m, who, uri, p);
	else if (p->type == POST_META)
		model_meta(m, who, uri, p);
	else if (p->type == POST_TESTAMENT)
		model_testament(m, who, uri, p);
	else if (p->type == POST_CANCEL)
		model_cancel(m, who, p);
	else if (p->type == POST_UNDELIVERABLE && p->request_type == WAMP_CALL)
		model_lost(m, who, p);
	else if (p->type >= POST_YIELD)
		model_answer(m, who, p);
}

static void time_out(struct model *m, size_t i)
{
	struct flight *f = &m->flights[i];

	f->tick = 0;
	if (f->orphan) {
		drop_flight(m, i);
		return;
	}
	bool works_on = f->timeout_ms != 0 && stop_flight(m, f);
	expect_error(m, f->caller, WAMP_CALL, f->request,
		     f->timeout_ms != 0 ? WAMP_ERROR_TIMEOUT : WAMP_ERROR_CANCELED, NULL);
	m->timeouts += f->timeout_ms != 0;
	end_flight(m, i, works_on);
}

/*
 * Runs a slot of the wheel: the deadline that was put into it last comes first. Those of
 * later rounds are put into it again.
 */
static void model_slot(struct model *m, uint64_t tick)
{
	for (uint64_t begin = m->set;;) {
		size_t i = m->n_flights;
		for (size_t k = 0; k < m->n_flights; k++) {
			const struct flight *f = &m->flights[k];
			if (f->tick != 0 && f->tick % WHEEL_SLOTS == tick % WHEEL_SLOTS &&
			    f->set <= begin &&
			    (i == m->n_flights || f->set > m->flights[i].set))
				i = k;
		}
		if (i == m->n_flights)
			return;
		if (m->flights[i].tick > m->wheel_tick) {
			m->flights[i].set = ++m->set;
		} else {
			time_out(m, i);
			model_drain(m);
		}
	}
}

static bool has_deadline(const struct model *m, uint64_t slot, bool any)
{
	for (size_t i = 0; i < m->n_flights; i++)
		if (m->flights[i].tick != 0 &&
		    (any || m->flights[i].tick % WHEEL_SLOTS == slot % WHEEL_SLOTS))
			return true;
	return false;
}

/* As in common/wheel.c, since the order of deadlines matters. */
static void model_run_wheel(struct model *m)
{
	uint64_t tick = m->wheel_tick + 1;

	if (now_ms / WHEEL_TICK_MS < tick)
		return;
	m->wheel_tick = now_ms / WHEEL_TICK_MS;
	if (!has_deadline(m, 0, true) || m->wheel_next > m->wheel_tick)
		return;
	if (tick < m->wheel_next)
		tick = m->wheel_next;
	for (; tick <= m->wheel_tick; tick++)
		model_slot(m, tick);
	if (!has_deadline(m, 0, true))
		return;
	for (m->wheel_next = m->wheel_tick + 1; !has_deadline(m, m->wheel_next, false);)
		m->wheel_next++;
}

/* Kills the sessions in the order in which they joined. Nothing follows before all are
 * dead. */
static void model_revoke(struct model *m, struct revocation *r, unsigned authid)
{
	unsigned killed[PLAYERS], n = 0;

	for (unsigned i = next_joined(m, 0); i < PLAYERS;
	     i = next_joined(m, m->players[i].joined)) {
		if (m->players[i].authid != authid)
			continue;
		expect(m, i, (struct post){.type = POST_KILLED, .revocation = r});
		m->players[i].here = false;
		killed[n++] = i;
	}
	for (unsigned i = 0; i < n; i++)
		model_take_down(m, killed[i]);
}

/* --- the comparison --- */

/* Learns an id that the model cannot predict: above all before, and of this realm. */
static void learn_id(uint64_t id, uint64_t *known)
{
	ASSERT(id > last_id && id <= WAMP_MAX_ID && id % WORKERS == OWNER + 1);
	last_id = id;
	*known = id;
}

static void compare_meta(const struct model *m, const struct post *p)
{
	struct msg_payload items;

	ASSERT(p->payload != NULL &&
	       payload_items(p->payload, SERIALIZER_JSON, &items) == 0);
	ASSERT(items.items == (items.bytes.len > 0));
	ASSERT(slice_eq_str(items.bytes, m->meta));
}

static void compare_post(struct model *m, const struct post *p, size_t at, unsigned uri)
{
	const struct post *e = &m->expected.posts[at].post;
	size_t n_more = m->expected.posts[at].n_more;

	ASSERT(p->type == e->type && p->realm == e->realm);
	ASSERT(session_ref_eq(p->session, e->session));
	ASSERT(p->type == POST_EVENT || p->request == e->request);
	if (p->type == POST_RESULT && e->payload == NULL)
		compare_meta(m, p);
	else
		ASSERT(p->payload == e->payload);
	ASSERT(p->exclude_me == e->exclude_me && p->options == e->options);
	ASSERT(p->mode == e->mode && p->progress == e->progress);
	if (p->type == POST_SUBSCRIBED && e->id == 0)
		learn_id(p->id, &m->subscription[uri]);
	else if (p->type == POST_REGISTERED && e->id == 0)
		learn_id(p->id, &m->shared[uri].id);
	else if (p->type == POST_INVOCATION && e->id == 0)
		ASSERT(p->id == m->shared[uri].id);
	else if (p->type == POST_PUBLISHED)
		ASSERT(p->id > 0 && p->id <= WAMP_MAX_ID);
	else
		ASSERT(p->id == e->id);
	if (p->type == POST_EVENT) {
		ASSERT(p->match == e->match);
		ASSERT((p->more == NULL ? 0 : p->more->n) == n_more);
		ASSERT(n_more == 0 || memcmp(p->more->ids, m->expected.posts[at].more,
					     n_more * sizeof(p->more->ids[0])) == 0);
		ASSERT(p->publication > 0 && p->publication <= WAMP_MAX_ID);
		ASSERT(p->disclosed == e->disclosed);
	}
	if (p->type == POST_INVOCATION)
		ASSERT(p->disclosed == e->disclosed && p->match == e->match);
	if (p->type == POST_KILLED)
		ASSERT(p->revocation == e->revocation);
	if (p->type == POST_ERROR) {
		ASSERT(p->request_type == e->request_type);
		ASSERT((p->error.uri == NULL) == (e->error.uri == NULL));
		ASSERT(e->error.uri == NULL || strcmp(p->error.uri, e->error.uri) == 0);
	}
}

/* The id of the publication that a post is about. 0: none. */
static uint64_t publication_of(const struct post *p)
{
	return p->type == POST_EVENT       ? p->publication
	       : p->type == POST_PUBLISHED ? p->id
					   : 0;
}

/* Two posts carry the same id if they are about the same publication. */
static void compare_publications(const struct model *m)
{
	uint64_t id = 0, number = 0;

	for (size_t i = 0; i < outbox.n; i++) {
		uint64_t this = publication_of(&outbox.posts[i].post);
		uint64_t expected = publication_of(&m->expected.posts[i].post);
		ASSERT(this == 0 || number == 0 || (this == id) == (expected == number));
		id = this == 0 ? id : this;
		number = this == 0 ? number : expected;
	}
}

static void compare_heard(struct model *m)
{
	struct knowledge now = {.n = 0};

	for (unsigned i = 0; i < PLAYERS; i++) {
		const struct player *pl = &m->players[i];
		if (pl->here)
			learn(&now, pl->session, 0);
		for (unsigned u = 0; u < URIS; u++) {
			if (pl->member[u])
				learn(&now, pl->session, m->subscription[u]);
			if (has_place(m, i, u))
				learn(&now, pl->session, m->shared[u].id);
		}
	}
	for (unsigned u = 0; u < URIS; u++) {
		if (m->subscription[u] != 0)
			learn(&now, 0, m->subscription[u]);
		if (m->shared[u].id != 0)
			learn(&now, 0, m->shared[u].id);
	}
	ASSERT(m->missed || knows_the_same(&m->heard, &now));
	m->heard = now;
	m->missed = false;
}

static void compare_step(struct model *m, const struct realm *r, unsigned uri)
{
	struct realm_counters n = realm_counters(r);
	uint64_t sessions = 0, of_sessions = 0, subscriptions = 0, callees = 0, wills = 0;

	ASSERT(outbox.n == m->expected.n);
	for (size_t i = 0; i < outbox.n; i++) {
		ASSERT(outbox.posts[i].to == m->expected.posts[i].to);
		compare_post(m, &outbox.posts[i].post, i, uri);
	}
	compare_publications(m);
	for (unsigned i = 0; i < PLAYERS; i++) {
		sessions += m->players[i].here;
		of_sessions += memberships(m, i);
		callees += registrations(m, (int)i);
		wills += m->players[i].n_wills;
	}
	if (m->players[LISTENER].here && m->listening != 0) {
		of_sessions++;
		subscriptions++;
		compare_heard(m);
	}
	for (unsigned u = 0; u < URIS; u++)
		subscriptions += m->subscription[u] != 0;
	ASSERT(n.sessions == sessions);
	ASSERT(n.memberships == of_sessions && n.subscriptions == subscriptions);
	ASSERT(n.registrations == registrations(m, -1) && n.callees == callees);
	ASSERT(n.testaments == wills);
	ASSERT(n.calls_queued == flights(m, -1, -1, 0, true, false));
	ASSERT(n.orphans == flights(m, -1, -1, 0, false, true));
	ASSERT(n.calls_in_flight == m->n_flights - n.orphans + m->n_strolls);
	ASSERT(n.no_available_callee == m->no_callee);
	ASSERT(realm_has_work(r) == (m->n_strolls > 0));
	ASSERT(n.dropped_posts == m->dropped && n.unknown_answers == m->unknown);
	ASSERT(n.timeouts == m->timeouts && n.cancels == m->cancels);
	ASSERT(n.takeovers == m->takeovers && n.revoked_callees == m->taken_off);
}

static void next_step(struct model *m)
{
	for (size_t i = 0; i < outbox.n; i++)
		post_drop(&outbox.posts[i].post);
	outbox.n = 0;
	m->expected.n = 0;
}

/* --- the players --- */

static void play_time(unsigned ms)
{
	/* some steps are longer than a callee may take to stop; in steps of more than one
	 * turn of the wheel, deadlines do not pass in order */
	now_ms += ms < 0xf0 ? ms : ms * 130;
	for (unsigned i = 0; i < REALMS; i++) {
		wheel_run(&deadlines[i], now_ms, realm_deadline_passed, NULL);
		model_run_wheel(&models[i]);
		compare_step(&models[i], realms[i], 0);
		next_step(&models[i]);
	}
}

static struct session_ref place_of(unsigned who, uint32_t generation)
{
	return (struct session_ref){
		.worker = (uint16_t)(who == LISTENER ? 0 : who / SLOTS),
		.slot = who == LISTENER ? SLOTS : who % SLOTS,
		.generation = generation,
	};
}

static void play_join(unsigned realm, unsigned who, uint64_t session, unsigned authid,
		      bool stops)
{
	struct model *m = &models[realm];
	struct identity i = {
		.session = session,
		.role = role_of(authid),
		.authmethod = "ticket",
		.channel = {"tcp", "websocket", "json"},
		.stamp.asked = true,
		.authid = slice_str(authids[authid]),
		.features.of[WAMP_ROLE_CALLEE] =
			(stops ? WAMP_FEATURE_CALL_CANCELING |
					 WAMP_FEATURE_REGISTRATION_REVOCATION
			       : 0) |
			(authid == 0 ? WAMP_FEATURE_PAYLOAD_TRANSPARENCY : 0),
		.features.of[WAMP_ROLE_CALLER] =
			reads_answers(who) ? WAMP_FEATURE_PAYLOAD_TRANSPARENCY : 0,
	};
	struct post p = {
		.type = POST_JOIN,
		.realm = m->index,
		.session = place_of(who, m->players[who].ref.generation + 1),
		.identity = identity_new(&i),
		.mail = malloc(1),
	};

	ASSERT(p.identity != NULL);
	struct identity *identity = identity_ref(p.identity);
	struct session_ref ref = p.session;
	realm_post(realms[realm], &p);
	model_join(m, who, ref, identity, authid);
	model_drain(m);
	identity_unref(&identity);
	compare_step(m, realms[realm], 0);
	next_step(m);
}

static void play_revoke(unsigned realm, unsigned authid)
{
	struct model *m = &models[realm];
	struct revocation from = {
		.authid = slice_str(authids[authid]),
	};
	struct revocation *r = revocation_new(&from);

	ASSERT(r != NULL);
	realm_revoke(realms[realm], r);
	model_revoke(m, r, authid);
	model_drain(m);
	compare_step(m, realms[realm], 0);
	next_step(m);
	revocation_unref(&r);
}

/* Chooses an id for the post: mostly an existing one, half of the time the player's own.
 */
static uint64_t choose_id(const struct model *m, unsigned who, enum post_type type,
			  unsigned arg)
{
	unsigned uri = arg % URIS;

	if (arg >= 0xe0)
		return arg % 8;
	if (type == POST_UNSUBSCRIBE)
		return m->subscription[uri];
	if (type == POST_UNREGISTER)
		return m->shared[uri].id;
	return m->players[who].last_invocation - arg % 4;
}

/* late: from an earlier session; force: a REGISTER takes over */
static void play_post(unsigned realm, unsigned who, enum post_type type, unsigned arg,
		      bool late, bool force)
{
	struct model *m = &models[realm];
	unsigned uri = arg % (type == POST_PUBLISH || type == POST_CALL ? NAMES : URIS);
	uint64_t id = choose_id(m, who, type, arg);
	bool answer = type >= POST_YIELD;
	bool lost = type == POST_UNDELIVERABLE && (arg & 32) != 0;
	struct post p = {
		.type = (uint8_t)type,
		.realm = m->index,
		.session = m->players[who].ref,
		.time_ms = now_ms,
		.request = answer && !lost ? id : arg / 16,
		.request_type = type != POST_UNDELIVERABLE ? 0
				: lost                     ? WAMP_CALL
							   : WAMP_INVOCATION,
		.id = answer ? 0 : id,
		.acknowledge = type == POST_PUBLISH && (arg & 16) != 0,
		.exclude_me = type == POST_PUBLISH && (arg & 32) != 0,
	};
	struct msg_payload nothing = {.items = 0};

	p.session = place_of(who, m->players[who].ref.generation - late);
	if (type == POST_PUBLISH || type == POST_CALL || type == POST_REGISTER)
		p.disclose = (uint8_t)(arg / 64 % (type == POST_REGISTER ? 2 : 3));
	if (type == POST_PUBLISH || type == POST_CALL)
		p.trust = (uint8_t)(arg / 16);
	if (type == POST_REGISTER) {
		p.invoke = (uint8_t)(arg / 16 % WAMP_INVOKE_COUNT);
		p.concurrency = arg / 4 % 4;
		p.force = force;
	}
	if (type == POST_CALL)
		p.timeout_ms = arg / 4 % 4 * 40;
	p.progress =
		!lost &&
		(type == POST_CALL || type == POST_YIELD || type == POST_UNDELIVERABLE) &&
		(arg & 16) != 0;
	if (type == POST_SUBSCRIBE || type == POST_REGISTER)
		p.match = (uint8_t)uris[uri].match;
	if (type == POST_CANCEL)
		p.mode = (uint8_t)(arg % 3);
	if (type == POST_UNDELIVERABLE)
		p.error.uri = WAMP_ERROR_PAYLOAD_SIZE_EXCEEDED;
	else if (type != POST_GONE && type != POST_GOODBYE && type != POST_UNSUBSCRIBE &&
		 type != POST_UNREGISTER && type != POST_CANCEL)
		p.payload =
			payload_new(SERIALIZER_JSON, slice_str(uris[uri].text), nothing);
	if (type == POST_PUBLISH && (arg & 12) != 0)
		p.options = options_ref((arg & 12) == 12 ? for_nobody : for_some);
	if ((type == POST_CALL || type == POST_YIELD || type == POST_INVOCATION_ERROR) &&
	    (arg & 9) == 9)
		p.options = options_ref(opaque);
	/* The realm is first, because the model asks it whom it chose at random. */
	struct post copy = p;
	realm_post(realms[realm], &p);
	m->posted_ms = now_ms;
	model_post(m, who, uri, &copy);
	model_drain(m);
	compare_step(m, realms[realm], uri);
	next_step(m);
}

static struct role_set *make_roles(unsigned bits)
{
	struct role_set *roles = role_set_new(ROLES);

	ASSERT(roles != NULL);
	for (unsigned i = 0; i < ROLES; i++)
		if (bits >> i & 1)
			role_set_add(roles, role_of(i));
	return roles;
}

static bool is_search(unsigned procedure)
{
	return procedure == META_REGISTRATION_LOOKUP ||
	       procedure == META_REGISTRATION_MATCH ||
	       procedure == META_SUBSCRIPTION_LOOKUP ||
	       procedure == META_SUBSCRIPTION_MATCH;
}

static void play_testament(unsigned realm, unsigned who, unsigned arg, bool late)
{
	struct model *m = &models[realm];
	unsigned uri = arg % NAMES;
	struct post p = {
		.type = POST_TESTAMENT,
		.realm = m->index,
		.session = place_of(who, m->players[who].ref.generation - late),
		.request = arg / 4,
		.exclude_me = (arg & 4) != 0,
		.detached = (arg & 8) != 0,
		.disclose = (uint8_t)(arg / 4 % 3),
		.trust = (uint8_t)arg,
	};

	if (m->players[who].n_wills == MAX_WILLS)
		return;
	p.payload = payload_new(SERIALIZER_JSON, slice_str(uris[uri].text),
				(struct msg_payload){.items = 0});
	if ((arg & 3) == 3)
		p.options = options_ref((arg & 4) != 0 ? for_nobody : for_some);
	struct post copy = p;
	realm_post(realms[realm], &p);
	model_post(m, who, uri, &copy);
	model_drain(m);
	compare_step(m, realms[realm], uri);
	next_step(m);
}

static void play_meta(unsigned realm, unsigned who, unsigned arg, bool late)
{
	struct model *m = &models[realm];
	/* the procedures behind it are not in the model */
	enum { KNOWN = META_SESSION_ADD_TESTAMENT };
	unsigned procedure = arg % KNOWN, rest = arg / KNOWN;
	unsigned uri = procedure == META_REGISTRATION_MATCH ||
				       procedure == META_SUBSCRIPTION_MATCH
			       ? rest % NAMES
			       : rest % URIS;
	struct post p = {
		.type = POST_META,
		.realm = m->index,
		.session = m->players[who].ref,
		.request = arg / 16,
		.procedure = (uint8_t)procedure,
	};

	if (procedure == META_SESSION_ADD_TESTAMENT) /* play_testament does it */
		return;
	p.session = place_of(who, m->players[who].ref.generation - late);
	if (procedure == META_SESSION_GET || procedure == META_SESSION_KILL)
		p.id = rest % (PLAYERS + 2);
	if (meta_kills(procedure)) {
		struct revocation from = {.authid = slice_str(authids[rest % 2])};
		p.kill = revocation_new(&from);
		ASSERT(p.kill != NULL);
	} else if (is_search(procedure)) {
		p.match = (uint8_t)uris[uri].match;
		p.payload = payload_new(SERIALIZER_JSON, slice_str(uris[uri].text),
					(struct msg_payload){.items = 0});
	} else if (procedure == META_SESSION_FLUSH_TESTAMENTS) {
		p.detached = rest % 2 == 0;
	} else if (procedure >= META_REGISTRATION_LIST) {
		p.id = pattern_id(m, procedure < META_SUBSCRIPTION_LIST, uri);
	} else if (procedure != META_SESSION_GET && rest % 2 == 0) {
		p.roles = make_roles(rest / 2);
	}
	struct post copy = p;
	if (meta_kills(procedure))
		revocation_ref(p.kill);
	else if (p.payload != NULL)
		payload_ref(p.payload);
	else if (p.roles != NULL)
		copy.roles = make_roles(rest / 2);
	realm_post(realms[realm], &p);
	model_post(m, who, uri, &copy);
	model_drain(m);
	compare_step(m, realms[realm], uri);
	next_step(m);
	post_drop(&copy);
}

static void play_work(unsigned realm)
{
	struct model *m = &models[realm];

	realm_work(realms[realm]);
	model_work(m);
	model_drain(m);
	compare_step(m, realms[realm], 0);
	next_step(m);
}

/* The listener comes, also again if it has been killed. */
static void listen_again(unsigned realm)
{
	struct model *m = &models[realm];
	struct post p = {
		.type = POST_SUBSCRIBE,
		.realm = m->index,
		.match = MATCH_PREFIX,
		.payload = payload_new(SERIALIZER_JSON, slice_str("wamp."),
				       (struct msg_payload){.items = 0}),
	};

	m->listening = 0;
	play_join(realm, LISTENER, 1 + LISTENER, 1, false);
	p.session = m->players[LISTENER].ref;
	realm_post(realms[realm], &p);
	ASSERT(outbox.n == 1 && outbox.posts[0].post.type == POST_SUBSCRIBED);
	learn_id(outbox.posts[0].post.id, &m->listening);
	next_step(m);
	m->missed = true;
	compare_step(m, realms[realm], 0);
}

/* What a step does: sends a post of this type, or something else. The corpus relies on
 * the order. */
enum { PLAY_WORK = POST_TYPE_COUNT, PLAY_REVOKE };
static const uint8_t plays[] = {
	POST_JOIN,          POST_GONE,    POST_GOODBYE,   POST_SUBSCRIBE,
	POST_UNSUBSCRIBE,   POST_PUBLISH, POST_REGISTER,  POST_UNREGISTER,
	POST_CALL,          POST_CANCEL,  POST_YIELD,     POST_INVOCATION_ERROR,
	POST_UNDELIVERABLE, POST_META,    POST_TESTAMENT, PLAY_WORK,
	PLAY_REVOKE,
};

/* Each step has three bytes: what, who, and the details. */
static void play(const uint8_t step[3], bool listens)
{
	unsigned what = plays[step[0] % ARRAY_LEN(plays)], who = step[1] % ACTORS;
	unsigned realm = step[1] / 128, arg = step[2];

	for (unsigned i = 0; i < REALMS && listens; i++)
		if (!models[i].players[LISTENER].here)
			listen_again(i);
	if (step[0] / 16 == 0xd)
		play_time(arg);
	else if (what == POST_JOIN)
		/* some have the id that is another player's */
		play_join(realm, who, 1 + (arg >= 0xe0 ? 0 : who), arg % 2,
			  (arg & 2) != 0);
	else if (what == POST_META)
		play_meta(realm, who, arg, step[0] >= 0xe0);
	else if (what == POST_TESTAMENT)
		play_testament(realm, who, arg, step[0] >= 0xe0);
	else if (what < POST_META)
		play_post(realm, who, (enum post_type)what, arg, step[0] >= 0xe0,
			  (step[0] & 32) != 0);
	else if (what == PLAY_WORK)
		play_work(realm);
	else
		play_revoke(realm, arg % 2);
}

static struct options *make_options(struct msg m)
{
	struct options *o;
	int err = options_new(SERIALIZER_JSON, &m, &o);

	ASSERT(err == 0 && o != NULL);
	return o;
}

/* The options of a PUBLISH whose eligible list is this, in JSON. */
static struct options *make_eligible(const char *list)
{
	return make_options((struct msg){
		.type = WAMP_PUBLISH,
		.filters = 1 << MSG_ELIGIBLE,
		.filter = {[MSG_ELIGIBLE] = slice_str(list)},
	});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct id_series ids = {.next = OWNER + 1, .step = WORKERS};

	for_some = make_eligible("[1]");
	for_nobody = make_eligible("[]");
	opaque = make_options((struct msg){
		.passthru = 1 << MSG_ENC_ALGO,
		.passthru_value = {[MSG_ENC_ALGO] = slice_str("\"mqtt\"")},
	});
	joins = 0;
	now_ms = 1000;
	last_id = 0;
	for (uint16_t i = 0; i < REALMS; i++) {
		models[i] =
			(struct model){.index = i, .wheel_tick = now_ms / WHEEL_TICK_MS};
		wheel_init(&deadlines[i], now_ms);
		realms[i] = realm_new(i, WORKERS, &limits, &ids, &deadlines[i], &outbox);
		ASSERT(realms[i] != NULL);
	}
	for (size_t at = 0; at + 3 <= size; at += 3)
		play(data + at, data[0] % 2 != 0);
	/* the sessions of one realm leave first, the other realm is freed with its
	 * sessions */
	for (unsigned who = 0; who < PLAYERS; who++)
		play_post(0, who, POST_GONE, 0, false, false);
	struct realm_counters n = realm_counters(realms[0]);
	ASSERT(n.sessions == 0 && n.memberships == 0 && n.subscriptions == 0 &&
	       n.registrations == 0 && n.callees == 0 && n.calls_in_flight == 0 &&
	       n.calls_queued == 0 && n.orphans == 0);
	for (unsigned i = 0; i < REALMS; i++)
		realm_free(&realms[i]);
	ASSERT(outbox.n == 0);
	options_unref(&for_some);
	options_unref(&for_nobody);
	options_unref(&opaque);
	return 0;
}
