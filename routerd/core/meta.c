/* SPDX-License-Identifier: Apache-2.0 */
/* Meta procedures; the owner's thread. See meta.h. */
#include "routerd/core/meta.h"

#include "common/err.h"
#include "routerd/core/realm_int.h"
#include "routerd/post/role_set.h"

#include <stdlib.h>

/*
 * Sessions visited in a slice. A slice takes about 0.1 ms if they are not in the cache.
 */
enum { SLICE_SESSIONS = 512 };

/* A call that needs a walk. It counts as one of its caller's calls in flight. */
struct meta_walk {
	TAILQ_ENTRY(meta_walk) in_order;
	LIST_ENTRY(meta_walk) of_caller;
	struct session *caller;
	uint64_t request;
	struct role_set *roles; /* owned; NULL: sessions of all roles */
	bool list;              /* false: it only counts them */
};

void meta_init(struct meta *m)
{
	TAILQ_INIT(&m->walks);
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

static void put_pair(struct payload_writer *w, const char *key, struct slice value)
{
	payload_put_text(w, slice_str(key));
	payload_put_text(w, value);
}

/* The keys of transport are those that Crossbar uses. */
static void put_session(struct payload_writer *w, const struct identity *i)
{
	payload_put_dict(w);
	payload_put_text(w, slice_str("session"));
	payload_put_number(w, i->session);
	put_pair(w, "authid", i->authid);
	put_pair(w, "authrole", i->authrole);
	put_pair(w, "authmethod", slice_str(i->authmethod));
	put_pair(w, "authprovider", i->authprovider);
	payload_put_text(w, slice_str("transport"));
	payload_put_dict(w);
	put_pair(w, "channel_type", slice_str(i->channel.type));
	put_pair(w, "channel_framing", slice_str(i->channel.framing));
	put_pair(w, "channel_serializer", slice_str(i->channel.serializer));
	put_pair(w, "peer", i->peer_name);
	payload_put_end(w);
	payload_put_end(w);
}

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
		put_session(w, wanted->identity);
		answer_meta(realm, s, p->request, &w);
	}
}

/* --- wamp.session.list, and count with a filter --- */

static void add_walk(struct realm *realm, struct session *s, struct post *p)
{
	struct meta_walk *walk = malloc(sizeof(*walk));

	if (walk == NULL) {
		fail_meta(realm, s, p->request, E_NOMEM);
		return;
	}
	*walk = (struct meta_walk){
		.caller = s,
		.request = p->request,
		.roles = p->meta.roles,
		.list = p->meta.procedure == META_SESSION_LIST,
	};
	p->meta.roles = NULL;
	TAILQ_INSERT_TAIL(&realm->meta.walks, walk, in_order);
	LIST_INSERT_HEAD(&s->walks, walk, of_caller);
	s->n_calls++;
}

static void end_walk(struct meta *m, struct meta_walk *walk)
{
	if (walk == TAILQ_FIRST(&m->walks)) {
		payload_writer_free(&m->result);
		m->begun = false;
	}
	TAILQ_REMOVE(&m->walks, walk, in_order);
	LIST_REMOVE(walk, of_caller);
	walk->caller->n_calls--;
	role_set_free(&walk->roles);
	free(walk);
}

/* Begins the first walk. False if out of memory. */
static bool begin_walk(struct realm *realm, const struct meta_walk *walk)
{
	struct meta *m = &realm->meta;

	if (walk->list) {
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

static void visit_session(struct meta *m, const struct meta_walk *walk,
			  const struct session *s)
{
	if (walk->roles != NULL && !role_set_has(walk->roles, s->identity->role))
		return;
	m->count++;
	if (walk->list)
		payload_put_number(m->result, s->by_id.id);
}

static void finish_walk(struct realm *realm, const struct meta_walk *walk)
{
	struct meta *m = &realm->meta;

	if (walk->list) {
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
	const struct session *s;

	if (walk == NULL)
		return;
	if (!m->begun && !begin_walk(realm, walk)) {
		fail_meta(realm, walk->caller, walk->request, E_NOMEM);
		end_walk(m, walk);
		return;
	}
	s = session_by_id(realm, m->next);
	for (unsigned n = 0; s != NULL && n < SLICE_SESSIONS; n++) {
		visit_session(m, walk, s);
		s = TAILQ_NEXT(s, link);
	}
	if (s != NULL) {
		m->next = s->by_id.id;
		return;
	}
	finish_walk(realm, walk);
	end_walk(m, walk);
}

void meta_forget_session(struct realm *realm, struct session *s)
{
	const struct session *next = TAILQ_NEXT(s, link);
	struct meta_walk *walk;
	struct meta *m = &realm->meta;

	while ((walk = LIST_FIRST(&s->walks)) != NULL)
		end_walk(m, walk);
	if (m->begun && m->next == s->by_id.id)
		m->next = next == NULL ? 0 : next->by_id.id;
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
	else if (p->meta.procedure == META_SESSION_GET)
		get_session(realm, s, p);
	else if (p->meta.procedure == META_SESSION_COUNT && p->meta.roles == NULL)
		answer_number(realm, s, p->request, realm->sessions_by_id.count);
	else
		add_walk(realm, s, p);
}
