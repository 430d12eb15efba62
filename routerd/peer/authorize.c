/* SPDX-License-Identifier: Apache-2.0 */
/* Asks an authorizer about requests; see authorize.h. The worker's thread. */
#include "routerd/peer/authorize.h"

#include "common/err.h"
#include "routerd/post/login_message.h"
#include "routerd/post/outbox.h"

#include <stdio.h>

static int write_authorize(const struct peer *p, const struct msg *m, enum action action,
			   struct slice bytes, uint64_t ttl_ms, struct buf *out)
{
	static const char *const names[ACTION_COUNT] = {
		[ACTION_CALL] = "call",
		[ACTION_REGISTER] = "register",
		[ACTION_PUBLISH] = "publish",
		[ACTION_SUBSCRIBE] = "subscribe",
	};
	const struct identity *i = p->identity;
	const struct auth_authorize q = {
		.session = i->session,
		.realm = i->realm_name,
		.authid = i->authid,
		.authrole = i->authrole,
		.authmethod = slice_str(i->authmethod),
		.authprovider = i->authprovider,
		.authextra = i->authextra,
		.ttl_ms = ttl_ms,
		.uri = m->uri,
		.action = slice_str(names[action]),
		.options = msg_options(p->serializer, bytes),
		.options_in = p->serializer,
	};

	return auth_authorize_write(out, &q, AUTH_MAX_MESSAGE);
}

/* Posts the question, with reserved mail for the answer. False if out of memory. */
static bool post_authorize(struct peer *p, struct login_message *q)
{
	struct outbox *ob = p->peers->outbox;

	q->mail = outbox_reserve(ob);
	return q->mail != NULL && post_send(ob, 0,
					    &(struct post){
						    .type = POST_AUTHORIZE,
						    .session = peer_ref(p),
						    .login = q,
					    });
}

/* Index of the session's authorizer. -1: a reload has added it; it is not connected. */
static int authorizer_of(const struct peer *p)
{
	return config_authenticator_find(p->peers->config, rights_authorizer(p->rights));
}

/* True if the authorizer has answered, and its answer is about this action. */
static bool has_answer(const struct peer *p, enum action action)
{
	return p->authorize_state == AUTHORIZE_ANSWERED && p->authorize_action == action;
}

/*
 * True if the answer must not be used: a reload has given the role another authorizer, or
 * the authorizer may have given the answer before it sent changed or revoke. Then it is
 * asked again, but only once, so that a request does not wait for ever.
 */
static bool is_outdated(const struct peer *p)
{
	const struct login_message *a = p->answer;

	if (authorizer_of(p) != p->authorizer)
		return true;
	return !p->authorize_repeated && a != NULL &&
	       (a->outcome == LOGIN_RESULT || a->outcome == LOGIN_ERROR) &&
	       a->stamp.revocations < p->peers->decisions.revocations;
}

/*
 * Asks whether p is allowed to make this request. Replaces an outdated answer: if the
 * same authenticator is asked again, it must answer before the deadline of the first
 * question. NULL if the question was sent; the caller must then hold the message.
 * Otherwise a text that says why the authorizer cannot be asked.
 */
static const char *ask(struct peer *p, const struct msg *m, enum action action)
{
	const struct config *cfg = p->peers->config;
	uint64_t now_ms = loop_now_ms(p->peers->loop);
	int index = authorizer_of(p);
	bool answered = has_answer(p, action);
	bool repeated = answered && index == p->authorizer;
	uint64_t deadline_ms = repeated ? p->answer->deadline_ms : 0;
	struct login_message *q = NULL;
	struct buf params;

	authorize_end(p);
	if (index < 0) /* a reload does not add authenticators */
		return "a reload has added the authorizer, which the router asks only "
		       "after a restart";
	if (!repeated)
		deadline_ms = now_ms + cfg->authenticators[index].timeout;
	const struct login_message question = {
		.kind = QUESTION_AUTHORIZE,
		.authenticator = (uint16_t)index,
		.number = p->question + 1,
		.deadline_ms = deadline_ms,
	};
	buf_init(&params, AUTH_MAX_MESSAGE);
	/* The required parts are short, so it can fail only if memory runs out. */
	if (write_authorize(p, m, action, p->peers->message,
			    deadline_ms > now_ms ? deadline_ms - now_ms : 1,
			    &params) == 0)
		q = login_message_new(&question, buf_slice(&params));
	buf_fini(&params);
	if (q == NULL || !post_authorize(p, q)) {
		login_message_free(&q);
		peer_no_memory(p, "a question to an authorizer");
		return login_outcome_text(LOGIN_NO_MEMORY);
	}
	p->question++;
	p->authorize_state = AUTHORIZE_ASKED;
	p->authorize_action = (uint8_t)action;
	p->authorizer = (uint8_t)index;
	p->decision_clears = p->peers->decisions.clears;
	p->authorize_repeated = repeated;
	peers_count(p->peers, PEER_AUTHORIZATIONS_ASKED);
	if (answered)
		peers_count(p->peers, PEER_AUTHORIZATIONS_REPEATED);
	return NULL;
}

void authorize_answered(struct peer *p, struct post *post)
{
	if (p->authorize_state != AUTHORIZE_ASKED || post->id != p->question) {
		peers_count(p->peers, PEER_POSTS_STALE);
		return;
	}
	p->authorize_state = AUTHORIZE_ANSWERED;
	p->answer = post->login;
	post->login = NULL;
	conn_release(p->conn);
}

static enum authorize_decision refuse_with(struct authorize_refusal *r,
					   enum authorize_decision decision,
					   struct slice uri, struct slice text)
{
	snprintf(r->uri, sizeof(r->uri), "%.*s", (int)uri.len, (const char *)uri.p);
	r->text = text;
	r->detail[0] = '\0';
	return decision;
}

/*
 * Refuses a request because the authorizer has not decided. The client gets a general
 * text, and the log gets the detail.
 */
static enum authorize_decision no_decision(struct authorize_refusal *r, const char *text,
					   struct slice detail)
{
	refuse_with(r, AUTHORIZE_FAILED, slice_str(WAMP_ERROR_AUTHORIZATION_FAILED),
		    slice_str(text));
	snprintf(r->detail, sizeof(r->detail), "%.100s",
		 detail.len == 0 ? text : log_quote_text(detail).text);
	return AUTHORIZE_FAILED;
}

static enum authorize_decision deny(struct authorize_refusal *r, struct slice uri,
				    struct slice text)
{
	if (uri.len == 0)
		uri = slice_str(WAMP_ERROR_NOT_AUTHORIZED);
	return refuse_with(r, AUTHORIZE_DENIED, uri, text);
}

static enum authorize_decision read_authorize_error(struct slice bytes,
						    struct authorize_refusal *r)
{
	struct auth_error error;

	auth_error_read(bytes, &error);
	switch (error.kind) {
	case AUTH_ERROR_DENY:
		return deny(r, error.uri, error.message);
	case AUTH_ERROR_IGNORE:
		return deny(r, slice_of(NULL, 0), slice_of(NULL, 0));
	case AUTH_ERROR_TEMPORARY:
		return no_decision(r, "the authorizer cannot decide now", error.detail);
	case AUTH_ERROR_INTERNAL:
	case AUTH_ERROR_KIND_COUNT:
		break;
	}
	return no_decision(r, "the authorizer has failed", error.detail);
}

static enum authorize_decision take(const struct decision_result *result,
				    struct authorize_refusal *r)
{
	if (!result->allow)
		return deny(r, slice_of(NULL, 0), slice_of(NULL, 0));
	return result->disclose ? AUTHORIZE_DISCLOSED : AUTHORIZE_ALLOWED;
}

/* Reads the answer. Keeps it for later requests, if it says so. */
static enum authorize_decision read_answer(struct peer *p,
					   const struct decision_about *about,
					   struct authorize_refusal *r)
{
	const struct login_message *a = p->answer;
	struct auth_authorize_result res;

	if (a == NULL)
		return no_decision(r, login_outcome_text(LOGIN_NO_MEMORY),
				   slice_of(NULL, 0));
	if (a->outcome == LOGIN_ERROR)
		return read_authorize_error(login_message_bytes(a), r);
	if (a->outcome != LOGIN_RESULT)
		return no_decision(r, login_outcome_text(a->outcome), slice_of(NULL, 0));
	int err = auth_authorize_result_read(login_message_bytes(a), &res);
	if (err != 0)
		return no_decision(
			r, "the authorizer has failed",
			slice_str("the authorizer's result: expected a boolean, "
				  "or a map with the booleans allow, disclose "
				  "and cache, and the number cache_ttl_ms"));
	struct decision_result result = {
		.authenticator = p->authorizer,
		.allow = res.allow,
		.disclose = res.disclose,
	};
	if (res.cache_ttl_ms != FIELD_NONE)
		result.until_ms = loop_now_ms(p->peers->loop) + res.cache_ttl_ms;
	/* If it was asked again, a change may have come once more. */
	if (res.cache && res.cache_ttl_ms != 0 && !p->authorize_repeated &&
	    p->decision_clears == p->peers->decisions.clears)
		decisions_keep(&p->peers->decisions, about, &result);
	return take(&result, r);
}

enum authorize_decision authorize_decide(struct peer *p, const struct msg *m,
					 enum action action, enum match match,
					 struct authorize_refusal *r)
{
	const struct decision_about about = {
		.who = p->identity,
		.rights = p->rights,
		.action = action,
		.match = match,
		.uri = m->uri,
	};
	const char *why;

	/* The call was allowed by an earlier answer; the client is about to learn
	 * whether it may publish its testament. */
	if (action == ACTION_CALL && has_answer(p, ACTION_PUBLISH))
		return AUTHORIZE_ALLOWED;
	if (has_answer(p, action)) {
		if (!is_outdated(p))
			return read_answer(p, &about, r);
	} else {
		const struct decision_result *kept = decisions_find(
			&p->peers->decisions, &about, loop_now_ms(p->peers->loop));

		if (kept != NULL)
			return take(kept, r);
	}
	why = ask(p, m, action);
	return why == NULL ? AUTHORIZE_WAITS : no_decision(r, why, slice_of(NULL, 0));
}

void authorize_end(struct peer *p)
{
	bool asked = p->authorize_state == AUTHORIZE_ASKED;

	p->authorize_state = AUTHORIZE_IDLE;
	p->authorize_repeated = false;
	login_message_free(&p->answer);
	/* If memory runs out, worker 0 keeps the question, and the answer will be
	 * dropped. */
	if (asked && !post_send(p->peers->outbox, 0,
				&(struct post){
					.type = POST_LOGIN_CANCEL,
					.session = peer_ref(p),
				}))
		peer_no_memory(p, "canceling a question to an authorizer");
}
