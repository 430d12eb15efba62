/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions at the owner of their realm; see session.h. */
#include "routerd/core/session.h"

#include "routerd/core/realm_int.h"

#include <stdlib.h>

const struct post_error no_memory = {WAMP_ERROR_UNAVAILABLE, "out of memory"};

static uint64_t place(struct session_ref ref)
{
	return (uint64_t)ref.worker << 32 | ref.slot;
}

/* Whoever has this slot of this worker, of whatever generation. */
static struct session *find_by_place(const struct realm *r, struct session_ref ref)
{
	struct id_node *node = id_table_find(&r->session_table, NULL, place(ref));

	return node == NULL ? NULL : container_of(node, struct session, node);
}

struct session *session_find(const struct realm *r, struct session_ref ref)
{
	struct session *s = find_by_place(r, ref);

	return s == NULL || s->ref.generation != ref.generation ? NULL : s;
}

void session_join(struct realm *r, struct post *p)
{
	ASSERT(p->session.worker < r->n_workers);
	struct session *s = find_by_place(r, p->session);
	struct post answer = {
		.type = POST_JOINED,
		.realm = r->index,
		.session = p->session,
	};

	if (s != NULL) { /* its worker's mistake, but not worth a crash */
		r->counters.replaced++;
		session_take_down(r, s);
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL || !post_send(r->outbox, answer.session.worker, &answer)) {
		free(s);
		answer.type = POST_JOIN_REFUSED;
		post_send_reserved(r->outbox, answer.session.worker, &answer, &p->mail);
		return;
	}
	s->ref = p->session;
	s->identity = p->identity;
	p->identity = NULL;
	s->mail = p->mail;
	p->mail = NULL;
	LIST_INIT(&s->memberships);
	LIST_INIT(&s->registrations);
	LIST_INIT(&s->calls);
	LIST_INIT(&s->invocations);
	s->node.id = place(s->ref);
	id_table_add(&r->session_table, &s->node);
	TAILQ_INSERT_TAIL(&r->sessions, s, link);
	r->counters.joins++;
}

void session_take_down(struct realm *r, struct session *s)
{
	broker_drop_memberships(r, s);
	dealer_drop_registrations(r, s);
	dealer_forget_calls(r, s);
	dealer_fail_invocations(r, s);
	ASSERT(s->n_memberships == 0 && s->n_registrations == 0 && s->n_calls == 0 &&
	       s->n_invocations == 0);
	if (s->lost)
		LIST_REMOVE(s, of_lost);
	TAILQ_REMOVE(&r->sessions, s, link);
	id_table_remove(&r->session_table, &s->node);
	identity_unref(&s->identity);
	free(s->mail);
	free(s);
}

void session_kill(struct realm *r, struct session *s, struct revocation *revocation)
{
	struct mail_batch *mail = s->mail;
	struct post killed = {
		.type = POST_KILLED,
		.realm = r->index,
		.session = s->ref,
		.revocation = revocation,
	};

	s->mail = NULL;
	r->counters.kills++;
	session_take_down(r, s);
	post_send_reserved(r->outbox, killed.session.worker, &killed, &mail);
}

void session_end_lost(struct realm *r)
{
	struct session *s;

	/* taking one down may lose another */
	while ((s = LIST_FIRST(&r->lost)) != NULL)
		session_kill(r, s, NULL);
}

bool session_try_post(struct realm *r, const struct session *s, struct post *p)
{
	p->realm = r->index;
	p->session = s->ref;
	return !s->lost && post_send(r->outbox, s->ref.worker, p);
}

void session_post(struct realm *r, struct session *s, struct post *p)
{
	if (session_try_post(r, s, p))
		return;
	post_drop(p);
	if (s->lost)
		return;
	s->lost = true;
	LIST_INSERT_HEAD(&r->lost, s, of_lost);
}

void session_answer(struct realm *r, struct session *s, enum post_type type,
		    uint64_t request, uint64_t id)
{
	struct post p = {
		.type = (uint8_t)type,
		.request = request,
		.id = id,
	};

	session_post(r, s, &p);
}

void session_limit_error(struct realm *r, struct session *s, enum wamp_type request_type,
			 uint64_t request, const char *text)
{
	struct post p = {
		.type = POST_ERROR,
		.full = true,
		.request_type = (uint8_t)request_type,
		.request = request,
		.error = {WAMP_ERROR_UNAVAILABLE, text},
	};

	r->counters.errors++;
	session_post(r, s, &p);
}

void session_error(struct realm *r, struct session *s, enum wamp_type request_type,
		   uint64_t request, struct post_error error, struct payload *payload)
{
	struct post p = {
		.type = POST_ERROR,
		.request_type = (uint8_t)request_type,
		.request = request,
		.payload = payload,
		.error = error,
	};

	r->counters.errors++;
	session_post(r, s, &p);
}
