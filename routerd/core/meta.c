/* SPDX-License-Identifier: Apache-2.0 */
/* Meta procedures; the owner's thread. See meta.h. */
#include "routerd/core/meta.h"

#include "common/err.h"
#include "routerd/core/leave.h"
#include "routerd/core/meta_event.h"
#include "routerd/core/realm_int.h"
#include "routerd/core/registration.h"
#include "routerd/core/testament.h"
#include "routerd/post/event_page.h"
#include "routerd/post/role_set.h"

/*
 * SLICE is the number of elements visited in one slice. A slice takes about 0.1 ms if
 * they are not in the cache.
 */
enum {
	SLICE = 512,
	KILL_COST = 32, /* ending a session takes as long as visiting this many */
};

/* --- answers, which need only the request id --- */

static struct post meta_error(struct realm *realm, struct post_error error)
{
	realm->counters.errors++;
	return (struct post){
		.type = POST_ERROR,
		.request_type = WAMP_CALL,
		.error = error,
	};
}

/* The result that was written. Frees the writer, which is NULL if out of memory. */
static struct post meta_result(struct realm *realm, struct payload_writer **w)
{
	static const struct post_error too_long = {WAMP_ERROR_PAYLOAD_SIZE_EXCEEDED,
						   "the result is longer than 16 MiB"};
	struct post result = {.type = POST_RESULT};
	int err = *w == NULL ? E_NOMEM : payload_finish(w, &result.payload);

	if (err != 0)
		return meta_error(realm, err == E_LIMIT ? too_long : no_memory);
	realm->counters.results++;
	return result;
}

static struct post meta_number(struct realm *realm, uint64_t number)
{
	struct payload_writer *w = payload_writer_new();

	if (w != NULL)
		payload_put_number(w, number);
	return meta_result(realm, &w);
}

/* A result without arguments. The caller counts it. */
static struct post meta_nothing(struct realm *realm)
{
	static const struct msg_payload nothing = {.items = 0};
	struct post result = {
		.type = POST_RESULT,
		.payload = payload_new(SERIALIZER_MSGPACK, slice_of(NULL, 0), nothing),
	};

	return result.payload == NULL ? meta_error(realm, no_memory) : result;
}

/* --- sessions: what needs no walk --- */

static struct post count_all(struct realm *realm, struct session *s, const struct post *p)
{
	(void)s;
	(void)p;
	return meta_number(realm, realm->sessions_by_id.count);
}

static struct post get_session(struct realm *realm, struct session *s,
			       const struct post *p)
{
	static const struct post_error no_such = {
		WAMP_ERROR_NO_SUCH_SESSION, "the realm has no session with this id"};
	const struct session *wanted = session_by_id(realm, p->id);
	struct payload_writer *w;

	(void)s;
	if (wanted == NULL)
		return meta_error(realm, no_such);
	w = payload_writer_new();
	if (w != NULL)
		meta_put_session(w, wanted->identity);
	return meta_result(realm, &w);
}

static struct post kill_session(struct realm *realm, struct session *s,
				const struct post *p)
{
	static const struct post_error no_other = {
		WAMP_ERROR_NO_SUCH_SESSION,
		"the realm has no other session with this id"};
	struct session *victim = session_by_id(realm, p->id);

	if (victim == NULL || victim == s)
		return meta_error(realm, no_other);
	/* before the kill, so that memory cannot run out after it */
	struct post answer = meta_nothing(realm);
	if (answer.type != POST_RESULT)
		return answer;
	leave_killed(realm, victim, revocation_ref(p->kill), false);
	realm->counters.results++;
	return answer;
}

static struct post flush_testaments(struct realm *realm, struct session *s,
				    const struct post *p)
{
	struct post answer = meta_nothing(realm);

	if (answer.type != POST_RESULT)
		return answer;
	testament_flush(realm, s, p->detached);
	realm->counters.results++;
	return answer;
}

/* --- registrations and subscriptions: what needs no walk --- */

static const struct pattern_index *patterns_of(const struct realm *realm,
					       unsigned procedure)
{
	return procedure < META_SUBSCRIPTION_LIST ? &realm->dealer.procedures
						  : &realm->broker.topics;
}

/* The result is the id of a pattern, or null if there is none. */
static struct post meta_pattern(struct realm *realm, const struct pattern *found)
{
	struct payload_writer *w = payload_writer_new();

	if (w != NULL && found == NULL)
		payload_put_null(w);
	else if (w != NULL)
		payload_put_number(w, found->by_id.id);
	return meta_result(realm, &w);
}

static struct post look_up(struct realm *realm, struct session *s, const struct post *p)
{
	(void)s;
	return meta_pattern(realm, pattern_find(patterns_of(realm, p->procedure),
						p->match, payload_uri(p->payload)));
}

/* The registration that would get a call now. */
static struct post match_registration(struct realm *realm, struct session *s,
				      const struct post *p)
{
	const struct registration *reg =
		registration_find(realm, payload_uri(p->payload));

	(void)s;
	return meta_pattern(realm, reg == NULL ? NULL : &reg->pattern);
}

/* This takes no longer than a publication to this topic, so it needs no slices. */
static struct post match_subscriptions(struct realm *realm, struct session *s,
				       const struct post *p)
{
	struct payload_writer *w = payload_writer_new();
	struct pattern_walk found;
	const struct pattern *pattern;

	(void)s;
	pattern_walk_begin(&found, &realm->broker.topics, payload_uri(p->payload));
	pattern = pattern_walk_next(&found);
	if (w != NULL && pattern == NULL) {
		payload_put_null(w);
	} else if (w != NULL) {
		payload_put_list(w);
		for (; pattern != NULL; pattern = pattern_walk_next(&found))
			payload_put_number(w, pattern->by_id.id);
		payload_put_end(w);
	}
	return meta_result(realm, &w);
}

/* Says that there is no registration or subscription with the id of the call. */
static struct post no_such_pattern(struct realm *realm, unsigned procedure)
{
	static const struct post_error registration = {
		WAMP_ERROR_NO_SUCH_REGISTRATION,
		"the realm has no registration with this id"};
	static const struct post_error subscription = {
		WAMP_ERROR_NO_SUCH_SUBSCRIPTION,
		"the realm has no subscription with this id"};

	return meta_error(realm, procedure < META_SUBSCRIPTION_LIST ? registration
								    : subscription);
}

static struct post get_pattern(struct realm *realm, struct session *s,
			       const struct post *p)
{
	struct pattern *wanted = pattern_by_id(patterns_of(realm, p->procedure), p->id);
	bool registration = p->procedure == META_REGISTRATION_GET;
	struct payload_writer *w;

	(void)s;
	if (wanted == NULL)
		return no_such_pattern(realm, p->procedure);
	w = payload_writer_new();
	if (w != NULL)
		meta_put_pattern(
			w, wanted,
			registration ? wamp_invoke_names[registration_of(wanted)->invoke]
				     : NULL);
	return meta_result(realm, &w);
}

static struct post get_events(struct realm *realm, struct session *s,
			      const struct post *p)
{
	static const struct post_error no_history = {
		WAMP_ERROR_HISTORY_UNAVAILABLE,
		"the router keeps no events of this subscription"};
	const struct subscription *sub =
		subscription_of(pattern_by_id(&realm->broker.topics, p->id));
	struct post answer = {.type = POST_PAGE};

	if (sub == NULL)
		return no_such_pattern(realm, p->procedure);
	if (sub->history == NULL)
		return meta_error(realm, no_history);
	answer.page = history_page(realm, s, sub, p);
	if (answer.page == NULL)
		return meta_error(realm, no_memory);
	answer.page->member = broker_membership(&realm->broker, s, sub) != NULL;
	realm->counters.results++;
	return answer;
}

static struct post count_sessions_of(struct realm *realm, struct session *s,
				     const struct post *p)
{
	struct pattern *wanted = pattern_by_id(patterns_of(realm, p->procedure), p->id);
	bool registration = p->procedure == META_REGISTRATION_COUNT_CALLEES;

	(void)s;
	if (wanted == NULL)
		return no_such_pattern(realm, p->procedure);
	return meta_number(realm, registration ? registration_of(wanted)->n_callees
					       : subscription_of(wanted)->n_members);
}

/*
 * Makes a result without arguments, whose payload also has the URI of the reason, for a
 * revocation. The caller counts it. No memory is needed after that.
 */
static struct post meta_with_reason(struct realm *realm, const struct post *p)
{
	static const struct msg_payload nothing = {.items = 0};
	struct post result = {
		.type = POST_RESULT,
		.payload = payload_new(SERIALIZER_MSGPACK, p->kill->uri, nothing),
	};

	return result.payload == NULL ? meta_error(realm, no_memory) : result;
}

static struct post remove_callee(struct realm *realm, struct session *s,
				 const struct post *p)
{
	static const struct post_error no_callee = {
		WAMP_ERROR_NO_SUCH_SESSION,
		"the registration has no callee with this session id"};
	const struct session *victim = session_by_id(realm, p->kill->session);

	(void)s;
	if (pattern_by_id(&realm->dealer.procedures, p->id) == NULL)
		return no_such_pattern(realm, META_REGISTRATION_GET);
	struct callee *callee =
		victim == NULL ? NULL
			       : registration_callee(&realm->dealer, victim, p->id);
	if (callee == NULL)
		return meta_error(realm, no_callee);
	struct post answer = meta_with_reason(realm, p);
	if (answer.type != POST_RESULT)
		return answer;
	registration_revoke(realm, callee, NULL, answer.payload);
	realm->counters.results++;
	return answer;
}

static struct post remove_subscriber(struct realm *realm, struct session *s,
				     const struct post *p)
{
	static const struct post_error no_member = {
		WAMP_ERROR_NO_SUCH_SESSION,
		"the subscription has no subscriber with this session id"};
	const struct session *victim = session_by_id(realm, p->kill->session);
	const struct subscription *sub =
		subscription_of(pattern_by_id(&realm->broker.topics, p->id));

	(void)s;
	if (sub == NULL)
		return no_such_pattern(realm, META_SUBSCRIPTION_GET);
	struct membership *m =
		victim == NULL ? NULL : broker_membership(&realm->broker, victim, sub);
	if (m == NULL)
		return meta_error(realm, no_member);
	struct post answer = meta_with_reason(realm, p);
	if (answer.type != POST_RESULT)
		return answer;
	broker_revoke(realm, m, NULL, answer.payload);
	realm->counters.results++;
	return answer;
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

/* True if the walk counts, lists or ends this session. */
static bool walk_selects(const struct meta_walk *walk, const struct session *s)
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

	if (!walk_selects(walk, s))
		return 1;
	m->count++;
	if (makes_list(walk))
		payload_put_number(m->result, s->by_id.id);
	if (!meta_kills(walk->procedure))
		return 1;
	/* Specification: no meta events about sessions that kill_all ends. */
	leave_killed(realm, s, revocation_ref(walk->kill),
		     walk->procedure == META_SESSION_KILL_ALL);
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

	struct registration *reg =
		registration_of(pattern_by_id(&realm->dealer.procedures, walk->id));

	m->next = reg == NULL ? NULL : TAILQ_FIRST(&reg->callees);
	payload_put_list(m->result);
	return reg != NULL;
}

static bool visit_callees(struct realm *realm, const struct meta_walk *walk)
{
	struct meta *m = &realm->meta;

	(void)walk;
	for (unsigned n = 0; n < SLICE && m->next != NULL; n++) {
		const struct callee *callee = m->next;
		put_session_of(m->result, &callee->node);
		m->next = TAILQ_NEXT(callee, of_registration);
	}
	if (m->next == NULL)
		payload_put_end(m->result);
	return m->next != NULL;
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
 * How each procedure walks. begin opens the list or dict of the result, and sets
 * meta.next to what is visited first; it returns false if the registration or
 * subscription does not exist. visit does one slice; it returns false when the result is
 * complete.
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

/*
 * Does one slice of the first walk. True if more slices are needed. Otherwise *answer_out
 * is the answer.
 */
static bool walk_on(struct realm *realm, const struct meta_walk *walk,
		    struct post *answer_out)
{
	struct meta *m = &realm->meta;

	if (!m->begun) {
		m->begun = true;
		m->count = 0;
		m->result = payload_writer_new();
		if (m->result == NULL) {
			*answer_out = meta_error(realm, no_memory);
			return false;
		}
		if (!walkers[walk->procedure].begin(realm, walk)) {
			*answer_out = no_such_pattern(realm, walk->procedure);
			return false;
		}
	}
	if (walkers[walk->procedure].visit(realm, walk))
		return true;
	*answer_out = meta_result(realm, &m->result);
	return false;
}

void meta_work(struct realm *realm)
{
	const struct meta_walk *walk = meta_first_walk(&realm->meta);
	struct post answer;

	if (walk == NULL)
		return;
	if (walk->caller->state == SESSION_LEAVING)
		dealer_answer(realm, walk->call, NULL);
	else if (!walk_on(realm, walk, &answer))
		dealer_answer(realm, walk->call, &answer);
}

/* --- the posts --- */

/* Adds a call that needs a walk. False if out of memory. */
static bool add_walk(struct realm *realm, struct session *s, struct post *p)
{
	struct meta_walk *walk = meta_walk_add(realm, s, p);

	if (walk == NULL)
		return false;
	walk->call = dealer_add_walk(realm, s, p, walk);
	if (walk->call != NULL)
		return true;
	meta_walk_end(&realm->meta, walk);
	return false;
}

/* Counts a call. False if it has been refused. */
static bool meta_admits(struct realm *realm, struct session *s, uint64_t request)
{
	realm->counters.calls++;
	if (dealer_refuse_duplicate(realm, s, request))
		return false;
	if (s->n_calls < realm->limits.calls)
		return true;
	session_limit_error(realm, s, WAMP_CALL, request,
			    "the session has too many calls in flight");
	return false;
}

void meta_call(struct realm *realm, struct session *s, struct post *p)
{
	/* the procedures that need no walk */
	static struct post (*const handlers[META_PROCEDURE_COUNT])(
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
		[META_SESSION_FLUSH_TESTAMENTS] = flush_testaments,
		[META_REGISTRATION_REMOVE_CALLEE] = remove_callee,
		[META_SUBSCRIPTION_REMOVE_SUBSCRIBER] = remove_subscriber,
		[META_SUBSCRIPTION_GET_EVENTS] = get_events,
	};
	bool filtered = p->procedure == META_SESSION_COUNT && p->roles != NULL;
	struct post answer;

	if (!meta_admits(realm, s, p->request))
		return;
	if (handlers[p->procedure] != NULL && !filtered)
		answer = handlers[p->procedure](realm, s, p);
	else if (add_walk(realm, s, p))
		return;
	else
		answer = meta_error(realm, no_memory);
	answer.request = p->request;
	session_post(realm, s, &answer);
}

/* Keeps a testament. Returns the answer to the call. */
static struct post keep_testament(struct realm *realm, struct session *s, struct post *p)
{
	static const struct post_error too_many = {
		WAMP_ERROR_UNAVAILABLE,
		"the session has too many testaments: at most 32, and 64 KiB in total"};
	struct post answer = meta_nothing(realm);

	if (answer.type != POST_RESULT)
		return answer;
	int err = testament_add(realm, s, p);
	if (err == 0) {
		realm->counters.results++;
		return answer;
	}
	post_drop(&answer);
	answer = meta_error(realm, err == E_LIMIT ? too_many : no_memory);
	answer.full = err == E_LIMIT;
	answer.procedure = META_SESSION_ADD_TESTAMENT;
	return answer;
}

void meta_add_testament(struct realm *realm, struct session *s, struct post *p)
{
	if (!meta_admits(realm, s, p->request) || session_refuse_denied(realm, s, p))
		return;
	struct post answer = keep_testament(realm, s, p);
	answer.request = p->request;
	session_post(realm, s, &answer);
}
