/* SPDX-License-Identifier: Apache-2.0 */
/* Turns posts into messages to the client; see deliver.h. The worker's thread. */
#include "routerd/peer/deliver.h"

#include "common/err.h"
#include "routerd/peer/authorize.h"
#include "routerd/peer/fan_out.h"
#include "routerd/peer/login.h"
#include "routerd/peer/members.h"
#include "routerd/peer/peer.h"
#include "routerd/peer/send_page.h"

#include <stdio.h>

static const char *undeliverable_uri(int err)
{
	return err == E_LIMIT                    ? WAMP_ERROR_PAYLOAD_SIZE_EXCEEDED
	       : err == E_NOMEM || err == E_FULL ? WAMP_ERROR_UNAVAILABLE
						 : WAMP_ERROR_INVALID_ARGUMENT;
}

/* Counts and logs, at a limited rate, a message that cannot be delivered. */
static void report_undeliverable(struct peer *p, enum wamp_type type,
				 const struct post *post, int err,
				 struct undeliverable *why_out)
{
	peers_count(p->peers, PEER_UNDELIVERABLE);
	peer_log_undeliverable(p, type, post, err, why_out);
}

/* Answers a request that has succeeded. Leaves an id of 0 out of the message. */
static void on_done(struct peer *p, const struct post *post)
{
	static const uint8_t answers[POST_TYPE_COUNT] = {
		[POST_SUBSCRIBED] = WAMP_SUBSCRIBED,
		[POST_UNSUBSCRIBED] = WAMP_UNSUBSCRIBED,
		[POST_PUBLISHED] = WAMP_PUBLISHED,
		[POST_REGISTERED] = WAMP_REGISTERED,
		[POST_UNREGISTERED] = WAMP_UNREGISTERED,
	};
	enum wamp_type type = answers[post->type];
	/* the post has the subscription's id for on_unsubscribed; the message has none */
	uint64_t id = type == WAMP_UNSUBSCRIBED ? 0 : post->id;

	msg_write_ids(peer_begin(p), p->serializer, type, post->request, id);
	peer_send_sure(p);
}

/* Reads the request that has waited for an answer, if there is one. */
static void release_request(struct peer *p)
{
	if (LIKELY(!p->request_waits))
		return;
	p->request_waits = false;
	conn_release(p->conn);
}

/* The owner has answered a SUBSCRIBE. */
static void subscribe_answered(struct peer *p)
{
	if (--p->n_subscribing == 0)
		release_request(p);
}

/* The owner has answered a CALL, which may be one of wamp.subscription.get_events. */
static void page_answered(struct peer *p, uint64_t request)
{
	if (request != p->page_request)
		return;
	p->page_request = 0;
	release_request(p);
}

static void on_page(struct peer *p, const struct post *post)
{
	page_answered(p, post->request);
	send_page(p, post);
}

static void on_subscribed(struct peer *p, const struct post *post)
{
	subscribe_answered(p);
	/* If memory runs out, drop the client: it would wait for events that never
	 * come. */
	if (members_add(p->peers, p, post->id) == 0)
		on_done(p, post);
	else
		peer_drop_no_memory(p, "a subscription");
}

/* Tells the client that a subscription or registration was revoked. */
static void send_revocation(struct peer *p, enum wamp_type type, const struct post *post)
{
	msg_write_revocation(peer_begin(p), p->serializer, type, post->id,
			     post->payload != NULL ? payload_uri(post->payload)
						   : slice_str(post->error.uri));
	peer_send_sure(p);
}

/* The owner sends revocations of registrations only to callees that understand them. */
static void on_unregistered(struct peer *p, const struct post *post)
{
	if (LIKELY(post->request != 0))
		on_done(p, post);
	else
		send_revocation(p, WAMP_UNREGISTERED, post);
}

/*
 * Autobahn|Python announces subscription revocation, but closes the connection when one
 * arrives. It is the only client that also announces payload transparency.
 */
static bool understands_revocation(const struct peer *p)
{
	unsigned features = p->identity->features.of[WAMP_ROLE_SUBSCRIBER];

	return (features & WAMP_FEATURE_SUBSCRIPTION_REVOCATION) != 0 &&
	       (features & WAMP_FEATURE_PAYLOAD_TRANSPARENCY) == 0;
}

static void on_unsubscribed(struct peer *p, const struct post *post)
{
	members_remove(p->peers, p, post->id);
	if (LIKELY(post->request != 0))
		on_done(p, post);
	else if (understands_revocation(p))
		send_revocation(p, WAMP_UNSUBSCRIBED, post);
}

/*
 * Tells the owner that an INVOCATION, a chunk of one, or a progressive result was not
 * sent, so that it ends the call. post is what was not sent; type: of the post to the
 * owner; request_type: INVOCATION or CALL.
 */
static NOINLINE void return_undeliverable(struct peer *p, enum post_type type,
					  enum wamp_type request_type,
					  const struct post *post,
					  const struct undeliverable *why)
{
	/* the text names the value, so it cannot be a constant */
	struct payload *words = payload_new(p->serializer, slice_str(why->text),
					    (struct msg_payload){.items = 0});
	const char *text = words == NULL ? "the message cannot be delivered" : NULL;

	if (peer_post(p, &(struct post){
				 .type = (uint8_t)type,
				 .request_type = (uint8_t)request_type,
				 .request = post->request,
				 .chunk = post->chunk,
				 .error = {undeliverable_uri(why->err), text},
				 .payload = words,
			 }))
		return;
	payload_unref(&words);
	/* this ends the session, and so all calls that it takes part in */
	peer_drop_no_memory(p, "an undeliverable call");
}

/* post has the request that the client sees. */
static void send_invocation(struct peer *p, const struct post *post)
{
	bool later = UNLIKELY(post->chunk > CHUNK_FIRST);
	struct undeliverable why;
	int err;

	if (later && broken_has(p, BROKEN_AT_CALLEE, post->request))
		return;
	err = peer_send_payload(p, WAMP_INVOCATION, post);
	if (err == 0)
		return;
	report_undeliverable(p, WAMP_INVOCATION, post, err, &why);
	err = later ? broken_add(p, BROKEN_AT_CALLEE, post->request, &why)
		    : unsent_add(&p->unsent, post->request);
	if (err != 0)
		peer_drop_no_memory(p, "an undeliverable call");
	else
		return_undeliverable(p, later ? POST_UNDELIVERABLE : POST_UNSENT,
				     WAMP_INVOCATION, post, &why);
}

static NOINLINE void send_translated(struct peer *p, const struct post *post)
{
	struct post translated = *post;

	if (unsent_translate(&p->unsent, &translated.request))
		send_invocation(p, &translated);
}

static void on_invocation(struct peer *p, const struct post *post)
{
	/* POST_GOODBYE was sent, and ends the call */
	if (UNLIKELY(p->state == PEER_LEAVING))
		return;
	if (UNLIKELY(p->unsent.n > 0))
		send_translated(p, post);
	else
		send_invocation(p, post);
}

static void on_renumbered(struct peer *p, const struct post *post)
{
	unsent_renumbered(&p->unsent, post->id);
}

static void on_input_over(struct peer *p, const struct post *post)
{
	(void)broken_end(p, BROKEN_AT_CALLEE, post->request, NULL);
}

static void on_interrupt(struct peer *p, const struct post *post)
{
	uint64_t request = post->request;

	/* after GOODBYE, INVOCATIONs are not sent, either */
	if (p->state == PEER_LEAVING || !unsent_translate(&p->unsent, &request))
		return;
	msg_write_interrupt(peer_begin(p), p->serializer, request,
			    (enum wamp_cancel_mode)post->mode);
	peer_send_sure(p);
}

/*
 * If a progressive result cannot be delivered, the call is broken: its caller gets no
 * further progressive results, and an ERROR at the end.
 */
static NOINLINE void on_progress(struct peer *p, const struct post *post)
{
	if (broken_has(p, BROKEN_AT_CALLER, post->request))
		return;
	int err = peer_send_payload(p, WAMP_RESULT, post);
	if (err == 0)
		return;
	struct undeliverable why;
	report_undeliverable(p, WAMP_RESULT, post, err, &why);
	if (broken_add(p, BROKEN_AT_CALLER, post->request, &why) == 0)
		return_undeliverable(p, POST_UNDELIVERABLE, WAMP_CALL, post, &why);
	else
		peer_drop_no_memory(p, "an undeliverable result");
}

/*
 * The owner has already forgotten the call. If the RESULT or an earlier progressive
 * result cannot be delivered, answer the call with an ERROR here.
 */
static void on_result(struct peer *p, const struct post *post)
{
	if (UNLIKELY(post->progress)) {
		on_progress(p, post);
		return;
	}
	struct undeliverable why;
	/* test this first: hardly any session has a broken call */
	bool is_broken = UNLIKELY(!LIST_EMPTY(&p->broken[BROKEN_AT_CALLER])) &&
			 broken_end(p, BROKEN_AT_CALLER, post->request, &why);
	if (UNLIKELY(inputs_any(&p->inputs)))
		inputs_answered(p, post->request);
	if (LIKELY(!is_broken)) {
		int err = peer_send_payload(p, WAMP_RESULT, post);
		if (err == 0)
			return;
		report_undeliverable(p, WAMP_RESULT, post, err, &why);
	}
	peer_error(p, WAMP_CALL, post->request, undeliverable_uri(why.err),
		   slice_str(why.text));
}

/*
 * Passes on a callee's ERROR. If its payload is too long, sends the ERROR with the
 * callee's URI, without its payload and options. If that cannot be delivered either, or
 * the client's serializer cannot encode the payload, sends an ERROR from the router.
 */
static void send_callee_error(struct peer *p, const struct post *post)
{
	struct slice uri = payload_uri(post->payload);
	struct msg_payload items;
	int err = payload_items(post->payload, p->serializer, &items);

	if (err == 0) {
		msg_write_error_passthru(
			peer_begin(p), p->serializer, post->request_type, post->request,
			post->options == NULL ? NULL : options_passthru(post->options),
			uri, items);
		err = peer_send(p);
	}
	if (err == 0)
		return;
	struct undeliverable why;
	report_undeliverable(p, WAMP_ERROR, post, err, &why);
	if (err != E_UNSUPPORTED) {
		msg_write_error(peer_begin(p), p->serializer, post->request_type,
				post->request, uri, (struct msg_payload){.items = 0});
		if (peer_send(p) == 0)
			return;
	}
	peer_error(p, post->request_type, post->request, undeliverable_uri(err),
		   slice_str(why.text));
}

/*
 * Counts and logs that a session has reached a limit. The owner enforces the limits, but
 * does not log.
 */
static void report_limit(struct peer *p, const struct post *error)
{
	const struct config_limits *limits = &p->peers->config->limits;
	enum peer_counter counter = PEER_PENDING_CALLS_FULL;
	const char *name = "pending_calls";
	int max = limits->pending_calls;

	if (error->match == MATCH_WILDCARD) {
		counter = PEER_WILDCARDS_FULL;
		name = "session_wildcards";
		max = limits->session_wildcards;
	} else if (error->procedure == META_SESSION_ADD_TESTAMENT) {
		counter = PEER_TESTAMENTS_FULL;
		name = "testaments";
		max = TESTAMENTS_MAX;
	} else if (error->request_type == WAMP_SUBSCRIBE) {
		counter = PEER_SUBSCRIPTIONS_FULL;
		name = "session_subscriptions";
		max = limits->session_subscriptions;
	} else if (error->request_type == WAMP_REGISTER) {
		counter = PEER_REGISTRATIONS_FULL;
		name = "session_registrations";
		max = limits->session_registrations;
	}
	peers_count(p->peers, counter);
	peer_log(p, LOG_LEVEL_INFO,
		 "limit reached limit=%s max=%d authid=%s suppressed=%u", name, max,
		 log_quote(p->identity->authid).text);
}

static void on_post_error(struct peer *p, const struct post *post)
{
	struct slice words = slice_str(post->error.text);
	char text[WAMP_MAX_URI + 128];

	if (post->full)
		report_limit(p, post);
	if (post->request_type == WAMP_SUBSCRIBE)
		subscribe_answered(p);
	/* the ERROR ends the call, whether it is broken or not */
	if (post->request_type == WAMP_CALL) {
		(void)broken_end(p, BROKEN_AT_CALLER, post->request, NULL);
		inputs_answered(p, post->request);
		page_answered(p, post->request);
	}
	/* pass on a callee's ERROR */
	if (post->error.uri == NULL) {
		send_callee_error(p, post);
		return;
	}
	if (post->payload != NULL) {
		struct slice uri = payload_uri(post->payload);
		if (words.len == 0) {
			words = uri;
		} else {
			snprintf(text, sizeof(text), "%s <%.*s>", post->error.text,
				 (int)uri.len, (const char *)uri.p);
			words = slice_str(text);
		}
	}
	peer_error(p, post->request_type, post->request, post->error.uri, words);
}

/* The owner sends it at a limited rate, and counts all such events. */
static void on_not_retained(struct peer *p, const struct post *post)
{
	(void)post;
	peer_log(p, LOG_LEVEL_INFO,
		 "event not retained realm=%s authid=%s reason=\"the realm has reached "
		 "retained_topics or retained_size\" suppressed=%u",
		 log_quote(p->identity->realm_name).text,
		 log_quote(p->identity->authid).text);
}

/* Ends a session that has violated the protocol in a way that only the owner can see. */
static void on_violation(struct peer *p, const struct post *post)
{
	/* a session in state LEAVING ends anyway */
	if (p->state == PEER_JOINED)
		peer_violation(p, post->error.text);
}

void deliver(struct peer *p, struct post *post)
{
	static void (*const handlers[POST_TYPE_COUNT])(struct peer *,
						       const struct post *) = {
		[POST_JOINED] = login_joined,
		[POST_JOIN_REFUSED] = login_refused,
		[POST_LEFT] = peer_left,
		[POST_KILLED] = peer_killed,
		[POST_SUBSCRIBED] = on_subscribed,
		[POST_UNSUBSCRIBED] = on_unsubscribed,
		[POST_PUBLISHED] = on_done,
		[POST_REGISTERED] = on_done,
		[POST_UNREGISTERED] = on_unregistered,
		[POST_INVOCATION] = on_invocation,
		[POST_INTERRUPT] = on_interrupt,
		[POST_RESULT] = on_result,
		[POST_EVENT_ONE] = fan_out_to_one,
		[POST_ERROR] = on_post_error,
		[POST_NOT_RETAINED] = on_not_retained,
		[POST_VIOLATION] = on_violation,
		[POST_LOGIN_ANSWER] = login_answer,
		[POST_INPUT_OVER] = on_input_over,
		[POST_RENUMBERED] = on_renumbered,
		[POST_PAGE] = on_page,
	};

	/* not in the table, because authorize_answered takes the post's answer */
	if (post->type == POST_AUTHORIZED) {
		authorize_answered(p, post);
		return;
	}
	ASSERT(handlers[post->type] != NULL);
	handlers[post->type](p, post);
}
