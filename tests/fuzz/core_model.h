/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of a realm for fuzz_core.c: simple and slow, arrays with linear search. It
 * predicts every post of every step. This file: what it consists of, and the outbox
 * double, which records what the realms send. The other core_*.h files have the rules.
 */
#ifndef TESTS_FUZZ_CORE_MODEL_H
#define TESTS_FUZZ_CORE_MODEL_H

#include "routerd/config/policy.h"
#include "routerd/core/call.h"
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
	MAX_RETAINED = 2, /* of a topic: for all, and for some */
	MAX_WILLS = 4,  /* testaments of a player: fewer than may be, so that one slice is
			   enough */
	ROLES = 2,      /* a player's role is the index of its authid */
	MAX_TRIES = 16, /* callees that get one call */
};

static const struct realm_limits limits = {
	.subscriptions = 3,
	.registrations = 2,
	.wildcards = 1,
	.calls = 3,
	.queued_calls = 2,
	.queued_bytes = 1 << 20,
	.queued_total = 1 << 20,
	.retained_topics = 3,
	.retained_bytes = 1 << 20,
	.retained_age_ms = 3000,
	.retained_answer = 1 << 20,
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
	bool takes_input;          /* progressive input */
	bool reroutes;             /* it may answer that it is unavailable */
	bool here;
	uint64_t joined; /* a growing number */
	uint64_t session;
	unsigned authid;
	uint64_t last_invocation;
	uint64_t unsent[UNSENT_MAX]; /* INVOCATIONs that its worker could not send */
	unsigned n_unsent;
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
	uint64_t era; /* grows when it is taken over */
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
	bool orphan;   /* the caller has its answer */
	uint8_t chunk; /* of the CALL */
	bool open;     /* more chunks of the input may come; they will have these: */
	uint64_t id;   /* of the registration */
	bool disclosed;
	bool kept;    /* it may go on to another callee, other than these: */
	uint64_t era; /* of the procedure */
	uint64_t tried[MAX_TRIES];
	unsigned n_tried;
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

/* A retained event. */
struct keepsake {
	bool restricted, exclude_me;
	struct options *options;    /* no reference; not the lists */
	uint64_t publisher;         /* WAMP session id */
	struct identity *disclosed; /* no reference; the realm has one */
	uint8_t trust;
	uint64_t number, ms;
};

struct model {
	uint16_t index;
	struct player players[PLAYERS];
	uint64_t subscription[URIS]; /* id; 0: not subscribed */
	struct shared shared[URIS];
	/* by topic, in the order of publication; number 0: none */
	struct keepsake kept[NAMES][MAX_RETAINED];
	uint64_t last_kept, retained_full, reported_ms;
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
	uint64_t chunks, late_chunks, reroutes;
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

#endif
