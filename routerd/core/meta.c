/* SPDX-License-Identifier: Apache-2.0 */
/* Meta procedures; the owner's thread. See meta.h. */
#include "routerd/core/meta.h"

#include "common/err.h"
#include "routerd/core/leave.h"
#include "routerd/core/meta_event.h"
#include "routerd/core/realm_int.h"
#include "routerd/core/registration.h"
#include "routerd/post/role_set.h"

/* Elements visited in a slice. A slice takes about 0.1 ms if they are not in the cache.
 */
enum {
	SLICE = 512,
	KILL_COST = 32, /* to end a session takes as long as visiting so many */
};

/* --- answers --- */

static void fail_meta(struct realm *realm, struct session *s, uint64_t request, int err)
{
	static const struct post_error too_long = {
		WAMP_ERROR_PAYLOAD_SIZE_EXCEEDED,
		"the result is longer than any message may be"};

	session_error(realm, s, WAMP_CALL, request, err == E_LIMIT ? too_long : no_memory,
		      NULL);
}

/* Sends the written result, and frees the writer. */
static void answer_meta(struct realm *realm, struct session *s, uint64_t request,
			struct payload_writer **w)
{
	struct post result = {.type = POST_RESULT, .request = request};
	int err = payload_finish(w, &result.payload);

	if (err != 0) {
		fail_meta(realm, s, request, err);
		return;
	}
	realm->counters.results++;
	session_post(realm, s, &result);
}

static void answer_number(struct realm *realm, struct session *s, uint64_t request,
			  uint64_t number)
{
	struct payload_writer *w = payload_writer_new();

	if (w == NULL) {
		fail_meta(realm, s, request, E_NOMEM);
		return;
	}
	payload_put_number(w, number);
	answer_meta(realm, s, request, &w);
}

/* --- wamp.session.get --- */

static void get_session(struct realm *realm, struct session *s, const struct post *p)
{
	static const struct post_error no_such = {
		WAMP_ERROR_NO_SUCH_SESSION, "the realm has no session with this id"};
	const struct session *wanted = session_by_id(realm, p->id);
	struct payload_writer *w;

	if (wanted == NULL) {
		session_error(realm, s, WAMP_CALL, p->request, no_such, NULL);
	} else if ((w = payload_writer_new()) == NULL) {
		fail_meta(realm, s, p->request, E_NOMEM);
	} else {
		meta_put_session(w, wanted->identity);
		answer_meta(realm, s, p->request, &w);
	}
}

/* --- wamp.session.kill --- */

static void kill_with(struct realm *realm, struct session *s, struct revocation *kill,
		      bool quiet)
{
	struct post killed = {.type = POST_KILLED, .revocation = revocation_ref(kill)};

	realm->counters.kills++;
	leave_begin(realm, s, &killed, quiet);
}

static void kill_session(struct realm *realm, struct session *s, const struct post *p)
{
	static const struct post_error no_other = {
		WAMP_ERROR_NO_SUCH_SESSION,
		"the realm has no other session with this id"};
	static const struct msg_payload nothing = {.items = 0};
	struct post result = {.type = POST_RESULT, .request = p->request};
	struct session *victim = session_by_id(realm, p->id);

	if (victim == NULL || victim == s) {
		session_error(realm, s, WAMP_CALL, p->request, no_other, NULL);
		return;
	}
	/* before the kill, so that memory cannot run out after it */
	result.payload = payload_new(SERIALIZER_MSGPACK, slice_of(NULL, 0), nothing);
	if (result.payload == NULL) {
		fail_meta(realm, s, p->request, E_NOMEM);
		return;
	}
	kill_with(realm, victim, p->kill, false);
	realm->counters.results++;
	session_post(realm, s, &result);
}

/* --- registrations and subscriptions: what needs no walk --- */

static const struct pattern_index *patterns_of(const struct realm *realm,
					       unsigned procedure)
{
	return procedure < META_SUBSCRIPTION_LIST ? &realm->dealer.procedures
						  : &realm->broker.topics;
}

/* Answers with the id of a pattern, or with null if there is none. */
static void answer_pattern(struct realm *realm, struct session *s, uint64_t request,
			   const struct pattern *found)
{
	struct payload_writer *w = payload_writer_new();

	if (w == NULL) {
		fail_meta(realm, s, request, E_NOMEM);
		return;
	}
	if (found == NULL)
		payload_put_null(w);
	else
		payload_put_number(w, found->by_id.id);
	answer_meta(realm, s, request, &w);
}

static void look_up(struct realm *realm, struct session *s, const struct post *p)
{
	answer_pattern(realm, s, p->request,
		       pattern_find(patterns_of(realm, p->procedure), p->match,
				    payload_uri(p->payload)));
}

/* The registration that would get a call now. */
static void match_registration(struct realm *realm, struct session *s,
			       const struct post *p)
{
	const struct registration *reg =
		registration_find(realm, payload_uri(p->payload));

	answer_pattern(realm, s, p->request, reg == NULL ? NULL : &reg->pattern);
}

/* As expensive as a publication to this topic: it needs no slices. */
static void match_subscriptions(struct realm *realm, struct session *s,
				const struct post *p)
{
	struct payload_writer *w = payload_writer_new();
	struct pattern_walk found;
	const struct pattern *pattern;

	if (w == NULL) {
		fail_meta(realm, s, p->request, E_NOMEM);
		return;
	}
	pattern_walk_begin(&found, &realm->broker.topics, payload_uri(p->payload));
	pattern = pattern_walk_next(&found);
	if (pattern == NULL) {
		payload_put_null(w);
	} else {
		payload_put_list(w);
		for (; pattern != NULL; pattern = pattern_walk_next(&found))
			payload_put_number(w, pattern->by_id.id);
		payload_put_end(w);
	}
	answer_meta(realm, s, p->request, &w);
}

/* Answers that there is no registration or subscription with the id of the call. */
static void no_such_pattern(struct realm *realm, struct session *s, uint64_t request,
			    unsigned procedure)
{
	static const struct post_error registration = {
		WAMP_ERROR_NO_SUCH_REGISTRATION,
		"the realm has no registration with this id"};
	static const struct post_error subscription = {
		WAMP_ERROR_NO_SUCH_SUBSCRIPTION,
		"the realm has no subscription with this id"};

	session_error(realm, s, WAMP_CALL, request,
		      procedure < META_SUBSCRIPTION_LIST ? registration : subscription,
		      NULL);
}

static void get_pattern(struct realm *realm, struct session *s, const struct post *p)
{
	struct pattern *wanted = pattern_by_id(patterns_of(realm, p->procedure), p->id);
	struct payload_writer *w;

	if (wanted == NULL) {
		no_such_pattern(realm, s, p->request, p->procedure);
	} else if ((w = payload_writer_new()) == NULL) {
		fail_meta(realm, s, p->request, E_NOMEM);
	} else {
		meta_put_pattern(w, wanted,
				 p->procedure == META_REGISTRATION_GET ? "single" : NULL);
		answer_meta(realm, s, p->request, &w);
	}
}

static void count_sessions_of(struct realm *realm, struct session *s,
			      const struct post *p)
{
	struct pattern *wanted = pattern_by_id(patterns_of(realm, p->procedure), p->id);

	if (wanted == NULL)
		no_such_pattern(realm, s, p->request, p->procedure);
	else
		answer_number(realm, s, p->request,
			      p->procedure == META_REGISTRATION_COUNT_CALLEES
				      ? 1
				      : subscription_of(wanted)->n_members);
}

/* --- walks over sessions --- */

/* True if the result is a list of sessions, false if it is their number. */
static bool makes_list(const struct meta_walk *walk)
{
	return walk->procedure == META_SESSION_LIST ||
	       walk->procedure == META_SESSION_KILL_BY_AUTHID;
}

static bool begin_sessions(struct realm *realm, const struct meta_walk *walk)
{
	if (makes_list(walk))
		payload_put_list(realm->meta.result);
	realm->meta.next = TAILQ_FIRST(&realm->sessions);
	return true;
}

/* True if the walk looks for this session. */
static bool is_sought(const struct meta_walk *walk, const struct session *s)
{
	switch (walk->procedure) {
	case META_SESSION_KILL_BY_AUTHID:
		return s != walk->caller &&
		       slice_eq(s->identity->authid, walk->kill->authid);
	case META_SESSION_KILL_BY_AUTHROLE:
		return s != walk->caller &&
		       slice_eq(s->identity->authrole, walk->kill->role);
	case META_SESSION_KILL_ALL:
		return s != walk->caller;
	default:
		return walk->roles == NULL ||
		       role_set_has(walk->roles, s->identity->role);
	}
}

/* Visits a session, which the visit may end. Returns what the visit costs. */
static unsigned visit_session(struct realm *realm, const struct meta_walk *walk,
			      struct session *s)
{
	struct meta *m = &realm->meta;

	if (!is_sought(walk, s))
		return 1;
	m->count++;
	if (makes_list(walk))
		payload_put_number(m->result, s->by_id.id);
	if (!meta_kills(walk->procedure))
		return 1;
	/* Specification: no meta events about sessions that kill_all ends. */
	kill_with(realm, s, walk->kill, walk->procedure == META_SESSION_KILL_ALL);
	return KILL_COST;
}

static bool visit_sessions(struct realm *realm, const struct meta_walk *walk)
{
	struct meta *m = &realm->meta;
	struct session *s;

	for (unsigned n = 0; n < SLICE;) {
		s = m->next;
		if (s == NULL || s->number > walk->last) {
			if (makes_list(walk))
				payload_put_end(m->result);
			else
				payload_put_number(m->result, m->count);
			return false;
		}
		m->next = TAILQ_NEXT(s, link);
		n += visit_session(realm, walk, s);
	}
	return true;
}

/* --- walks over registrations or subscriptions --- */

/* Begins the list of the patterns that match in this way. */
static void begin_match(struct realm *realm, const struct meta_walk *walk, unsigned match)
{
	struct meta *m = &realm->meta;

	m->match = (uint8_t)match;
	payload_put_text(m->result, slice_str(match_names[match]));
	payload_put_list(m->result);
	m->next = TAILQ_FIRST(&patterns_of(realm, walk->procedure)->lists[match]);
}

static bool begin_patterns(struct realm *realm, const struct meta_walk *walk)
{
	payload_put_dict(realm->meta.result);
	begin_match(realm, walk, MATCH_EXACT);
	return true;
}

static bool visit_patterns(struct realm *realm, const struct meta_walk *walk)
{
	struct meta *m = &realm->meta;

	for (unsigned n = 0; n < SLICE; n++) {
		const struct pattern *pattern = m->next;
		if (pattern != NULL && pattern->by_id.id < walk->last) {
			payload_put_number(m->result, pattern->by_id.id);
			m->next = TAILQ_NEXT(pattern, link);
			continue;
		}
		payload_put_end(m->result);
		if (m->match + 1 == MATCH_COUNT) {
			payload_put_end(m->result);
			return false;
		}
		begin_match(realm, walk, m->match + 1u);
	}
	return true;
}

/* --- walks over the sessions of one registration or subscription --- */

/* Puts the session that is a callee or member. */
static void put_session_of(struct payload_writer *w, const struct id_node *node)
{
	const struct session *s = node->owner;

	payload_put_number(w, s->by_id.id);
}

static bool begin_callees(struct realm *realm, const struct meta_walk *walk)
{
	struct meta *m = &realm->meta;

	m->next = pattern_by_id(&realm->dealer.procedures, walk->id);
	payload_put_list(m->result);
	return m->next != NULL;
}

static bool visit_callees(struct realm *realm, const struct meta_walk *walk)
{
	struct meta *m = &realm->meta;
	const struct registration *reg =
		container_of((struct pattern *)m->next, struct registration, pattern);

	(void)walk;
	put_session_of(m->result, &reg->node);
	payload_put_end(m->result);
	return false;
}

static bool begin_members(struct realm *realm, const struct meta_walk *walk)
{
	struct meta *m = &realm->meta;
	struct subscription *sub =
		subscription_of(pattern_by_id(&realm->broker.topics, walk->id));

	m->next = sub == NULL ? NULL : LIST_FIRST(&sub->members);
	payload_put_list(m->result);
	return sub != NULL;
}

static bool visit_members(struct realm *realm, const struct meta_walk *walk)
{
	struct meta *m = &realm->meta;

	(void)walk;
	for (unsigned n = 0; n < SLICE && m->next != NULL; n++) {
		const struct membership *member = m->next;
		put_session_of(m->result, &member->node);
		m->next = LIST_NEXT(member, of_subscription);
	}
	if (m->next == NULL)
		payload_put_end(m->result);
	return m->next != NULL;
}

/* --- all walks --- */

/*
 * How each procedure walks. begin puts the first elements of the result, and finds out
 * what to visit first; false: the registration or subscription does not exist. visit does
 * one slice; false: the result is complete.
 */
struct meta_walker {
	bool (*begin)(struct realm *realm, const struct meta_walk *walk);
	bool (*visit)(struct realm *realm, const struct meta_walk *walk);
};

static const struct meta_walker walkers[META_PROCEDURE_COUNT] = {
	[META_SESSION_COUNT] = {begin_sessions, visit_sessions},
	[META_SESSION_LIST] = {begin_sessions, visit_sessions},
	[META_SESSION_KILL_BY_AUTHID] = {begin_sessions, visit_sessions},
	[META_SESSION_KILL_BY_AUTHROLE] = {begin_sessions, visit_sessions},
	[META_SESSION_KILL_ALL] = {begin_sessions, visit_sessions},
	[META_REGISTRATION_LIST] = {begin_patterns, visit_patterns},
	[META_REGISTRATION_LIST_CALLEES] = {begin_callees, visit_callees},
	[META_SUBSCRIPTION_LIST] = {begin_patterns, visit_patterns},
	[META_SUBSCRIPTION_LIST_SUBSCRIBERS] = {begin_members, visit_members},
};

/* Begins the first walk. False if it has failed, and the caller has the ERROR. */
static bool begin_walk(struct realm *realm, const struct meta_walk *walk)
{
	struct meta *m = &realm->meta;

	m->begun = true;
	m->count = 0;
	m->result = payload_writer_new();
	if (m->result == NULL) {
		fail_meta(realm, walk->caller, walk->request, E_NOMEM);
		return false;
	}
	if (walkers[walk->procedure].begin(realm, walk))
		return true;
	no_such_pattern(realm, walk->caller, walk->request, walk->procedure);
	return false;
}

void meta_work(struct realm *realm)
{
	struct meta *m = &realm->meta;
	struct meta_walk *walk = TAILQ_FIRST(&m->walks);

	if (walk == NULL)
		return;
	if (m->begun || begin_walk(realm, walk)) {
		if (walkers[walk->procedure].visit(realm, walk))
			return;
		answer_meta(realm, walk->caller, walk->request, &m->result);
	}
	meta_walk_end(m, walk);
}

/* --- the posts --- */

static void count_all(struct realm *realm, struct session *s, const struct post *p)
{
	answer_number(realm, s, p->request, realm->sessions_by_id.count);
}

void meta_call(struct realm *realm, struct session *s, struct post *p)
{
	/* the calls that need no walk */
	static void (*const handlers[META_PROCEDURE_COUNT])(
		struct realm *, struct session *, const struct post *) = {
		[META_SESSION_COUNT] = count_all,
		[META_SESSION_GET] = get_session,
		[META_SESSION_KILL] = kill_session,
		[META_REGISTRATION_LOOKUP] = look_up,
		[META_REGISTRATION_MATCH] = match_registration,
		[META_REGISTRATION_GET] = get_pattern,
		[META_REGISTRATION_COUNT_CALLEES] = count_sessions_of,
		[META_SUBSCRIPTION_LOOKUP] = look_up,
		[META_SUBSCRIPTION_MATCH] = match_subscriptions,
		[META_SUBSCRIPTION_GET] = get_pattern,
		[META_SUBSCRIPTION_COUNT_SUBSCRIBERS] = count_sessions_of,
	};
	bool filtered = p->procedure == META_SESSION_COUNT && p->roles != NULL;

	realm->counters.calls++;
	if (dealer_refuse_duplicate(realm, s, p->request))
		return;
	if (s->n_calls >= realm->limits.calls)
		session_limit_error(realm, s, WAMP_CALL, p->request,
				    "the session has too many calls in flight");
	else if (handlers[p->procedure] != NULL && !filtered)
		handlers[p->procedure](realm, s, p);
	else if (meta_walk_add(realm, s, p) != 0)
		fail_meta(realm, s, p->request, E_NOMEM);
}
