/* SPDX-License-Identifier: Apache-2.0 */
/* Meta procedures; the owner's thread. See meta.h. */
#include "routerd/core/meta.h"

#include "common/err.h"
#include "routerd/core/leave.h"
#include "routerd/core/meta_event.h"
#include "routerd/core/realm_int.h"
#include "routerd/post/role_set.h"

/*
 * Sessions visited in a slice. A slice takes about 0.1 ms if they are not in the cache.
 */
enum {
	SLICE_SESSIONS = 512,
	KILL_COST = 32, /* to end a session takes as long as visiting so many */
};

/* True if the result is a list of sessions, false if it is their number. */
static bool makes_list(const struct meta_walk *walk)
{
	return walk->procedure == META_SESSION_LIST ||
	       walk->procedure == META_SESSION_KILL_BY_AUTHID;
}

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

/* --- the other procedures need a walk --- */

/* Begins the first walk. False if out of memory. */
static bool begin_walk(struct realm *realm, const struct meta_walk *walk)
{
	struct meta *m = &realm->meta;

	if (makes_list(walk)) {
		m->result = payload_writer_new();
		if (m->result == NULL)
			return false;
		payload_put_list(m->result);
	}
	m->begun = true;
	m->count = 0;
	/* not NULL: the list contains at least the caller */
	m->next = TAILQ_FIRST(&realm->sessions)->by_id.id;
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

static void finish_walk(struct realm *realm, const struct meta_walk *walk)
{
	struct meta *m = &realm->meta;

	if (makes_list(walk)) {
		payload_put_end(m->result);
		answer_meta(realm, walk->caller, walk->request, &m->result);
	} else {
		answer_number(realm, walk->caller, walk->request, m->count);
	}
}

void meta_work(struct realm *realm)
{
	struct meta *m = &realm->meta;
	struct meta_walk *walk = TAILQ_FIRST(&m->walks);
	struct session *s, *next;

	if (walk == NULL)
		return;
	if (!m->begun && !begin_walk(realm, walk)) {
		fail_meta(realm, walk->caller, walk->request, E_NOMEM);
		meta_walk_end(m, walk);
		return;
	}
	s = session_by_id(realm, m->next);
	for (unsigned n = 0; s != NULL && s->number <= walk->last && n < SLICE_SESSIONS;
	     s = next) {
		/* the visit may free s, but no other session */
		next = TAILQ_NEXT(s, link);
		n += visit_session(realm, walk, s);
	}
	if (s != NULL && s->number <= walk->last) {
		m->next = s->by_id.id;
		return;
	}
	finish_walk(realm, walk);
	meta_walk_end(m, walk);
}

/* --- the posts --- */

void meta_call(struct realm *realm, struct session *s, struct post *p)
{
	realm->counters.calls++;
	if (dealer_refuse_duplicate(realm, s, p->request))
		return;
	if (s->n_calls >= realm->limits.calls)
		session_limit_error(realm, s, WAMP_CALL, p->request,
				    "the session has too many calls in flight");
	else if (p->procedure == META_SESSION_GET)
		get_session(realm, s, p);
	else if (p->procedure == META_SESSION_KILL)
		kill_session(realm, s, p);
	else if (p->procedure == META_SESSION_COUNT && p->roles == NULL)
		answer_number(realm, s, p->request, realm->sessions_by_id.count);
	else if (meta_walk_add(realm, s, p) != 0)
		fail_meta(realm, s, p->request, E_NOMEM);
}
