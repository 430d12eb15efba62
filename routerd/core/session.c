/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions at the owner of their realm: look-up and answers; the owner's thread. See
 * session.h.
 */
#include "routerd/core/session.h"

#include "routerd/core/realm_int.h"

const struct post_error no_memory = {WAMP_ERROR_UNAVAILABLE, "out of memory"};

struct session *session_at(const struct realm *realm, struct session_ref ref)
{
	struct id_node *node =
		id_table_find(&realm->session_table, NULL, session_place(ref));

	return node == NULL ? NULL : container_of(node, struct session, node);
}

struct session *session_find(const struct realm *realm, struct session_ref ref)
{
	struct session *s = session_at(realm, ref);

	/* If the generation differs, the post is from an earlier session, and its worker
	 * has reused the slot for this one. */
	return s == NULL || s->ref.generation != ref.generation ? NULL : s;
}

struct session *session_by_id(const struct realm *realm, uint64_t id)
{
	struct id_node *node = id_table_find(&realm->sessions_by_id, NULL, id);

	return node == NULL ? NULL : container_of(node, struct session, by_id);
}

bool session_try_post(struct realm *realm, const struct session *s, struct post *p)
{
	p->realm = realm->slot;
	p->session = s->ref;
	return s->state == SESSION_OPEN && post_send(realm->outbox, s->ref.worker, p);
}

void session_post(struct realm *realm, struct session *s, struct post *p)
{
	if (session_try_post(realm, s, p))
		return;
	post_drop(p);
	if (s->state != SESSION_OPEN)
		return;
	/* Do not end the session here: the callers still use s and its lists. end_lost
	 * ends it after the current post is handled. */
	s->state = SESSION_LOST;
	LIST_INSERT_HEAD(&realm->lost, s, of_lost);
}

void session_answer(struct realm *realm, struct session *s, enum post_type type,
		    uint64_t request, uint64_t id)
{
	struct post p = {
		.type = (uint8_t)type,
		.request = request,
		.id = id,
	};

	session_post(realm, s, &p);
}

void session_limit_error(struct realm *realm, struct session *s,
			 enum wamp_type request_type, uint64_t request, const char *text)
{
	struct post p = {
		.type = POST_ERROR,
		.full = true,
		.request_type = (uint8_t)request_type,
		.request = request,
		.error = {WAMP_ERROR_UNAVAILABLE, text},
	};

	realm->counters.errors++;
	session_post(realm, s, &p);
}

bool session_refuse_wildcard(struct realm *realm, struct session *s,
			     enum wamp_type request_type, const struct post *p)
{
	struct post error = {
		.type = POST_ERROR,
		.full = true,
		.match = MATCH_WILDCARD,
		.request_type = (uint8_t)request_type,
		.request = p->request,
		.error = {WAMP_ERROR_UNAVAILABLE, "the session has too many wildcards"},
	};

	static const struct post_error shapes_full = {
		WAMP_ERROR_UNAVAILABLE,
		"the realm has too many wildcards whose empty components are in "
		"different places"};
	const struct pattern_index *others = request_type == WAMP_SUBSCRIBE
						     ? &realm->broker.topics
						     : &realm->dealer.procedures;

	if (p->match != MATCH_WILDCARD)
		return false;
	if (s->n_wildcards >= realm->limits.wildcards) {
		realm->counters.errors++;
		session_post(realm, s, &error);
		return true;
	}
	if (!pattern_shapes_full(others, payload_uri(p->payload)))
		return false;
	realm->counters.shapes_full++;
	session_error(realm, s, request_type, p->request, shapes_full, NULL);
	return true;
}

bool session_may(const struct realm *realm, const struct session *s, enum action action,
		 enum match how, struct slice uri)
{
	const struct rights *rights =
		policy_rights(realm->policy, realm->slot, s->identity->role);

	return rights != NULL &&
	       (rights_authorizer(rights) != NULL ||
		rule_allows(rights_judge(rights, action, how, uri), action));
}

static NOINLINE bool refuse_if_denied(struct realm *realm, struct session *s,
				      struct post *p)
{
	enum action action = ACTION_REGISTER;
	enum wamp_type type = WAMP_REGISTER;
	struct post_error denied = {WAMP_ERROR_NOT_AUTHORIZED,
				    "this session's role may not register"};

	if (p->type == POST_SUBSCRIBE) {
		action = ACTION_SUBSCRIBE;
		type = WAMP_SUBSCRIBE;
		denied.text = "this session's role may not subscribe to";
	} else if (p->type == POST_TESTAMENT) {
		action = ACTION_PUBLISH;
		type = WAMP_CALL;
		denied.text = "this session's role may not publish to";
	}
	if (session_may(realm, s, action, (enum match)p->match, payload_uri(p->payload)))
		return false;
	session_error(realm, s, type, p->request, denied, p->payload);
	p->payload = NULL;
	return true;
}

bool session_refuse_denied(struct realm *realm, struct session *s, struct post *p)
{
	return UNLIKELY(realm->policy != NULL &&
			p->generation < realm->policy->generation) &&
	       refuse_if_denied(realm, s, p);
}

void session_error(struct realm *realm, struct session *s, enum wamp_type request_type,
		   uint64_t request, struct post_error error, struct payload *payload)
{
	struct post p = {
		.type = POST_ERROR,
		.request_type = (uint8_t)request_type,
		.request = request,
		.payload = payload,
		.error = error,
	};

	realm->counters.errors++;
	session_post(realm, s, &p);
}
