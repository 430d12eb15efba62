/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns a client's messages into posts, with a table of message types; see messages.h.
 * The worker's thread.
 */
#include "routerd/peer/messages.h"

#include "common/err.h"
#include "proto/msg.h"
#include "proto/uri.h"
#include "routerd/peer/authorize.h"
#include "routerd/peer/judge.h"
#include "routerd/peer/login.h"
#include "routerd/peer/meta_args.h"
#include "routerd/peer/peer.h"
#include "routerd/peer/testament_args.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <time.h>

/* --- from a message to a post --- */

/*
 * Refuses a request with an option that is not served. If the option were ignored, the
 * client would think that it was granted.
 */
static bool option_served(struct peer *p, const struct msg *m, bool served,
			  const char *text)
{
	if (!served)
		judge_refuse(p, m, WAMP_ERROR_OPTION_NOT_ALLOWED, text);
	return served;
}

/* Like judge_announced, for a CALL, which may also have progressive input. */
static NOINLINE bool call_announced(struct peer *p, const struct msg *m)
{
	if (!judge_announced(p, m))
		return false;
	if (!m->progress)
		return true;
	if ((p->identity->features.of[WAMP_ROLE_CALLER] &
	     WAMP_FEATURE_PROGRESSIVE_CALL_INVOCATIONS) != 0)
		return true;
	peer_violation(p, "CALL.Options.progress: HELLO must announce "
			  "progressive_call_invocations in role caller");
	return false;
}

/*
 * Refuses a message that cannot be posted, because memory ran out. Drops the post's
 * references.
 */
static void not_posted(struct peer *p, const struct msg *m, struct post *post)
{
	post_drop(post);
	peer_no_memory(p, wamp_type_name(m->type));
	p->n_subscribing -= m->type == WAMP_SUBSCRIBE;
	if (m->type == WAMP_CALL)
		p->page_request = 0;
	/* YIELD, ERROR and CANCEL cannot be answered with an ERROR, and a call whose
	 * chunk is lost must not go on. Drop the connection: this ends the session, and
	 * the owner then answers the calls made to it, and ends the calls that it
	 * made. */
	if (m->type == WAMP_YIELD || m->type == WAMP_ERROR || m->type == WAMP_CANCEL ||
	    post->type == POST_CHUNK || post->type == POST_UNDELIVERABLE)
		conn_drop(p->conn);
	else
		judge_refuse(p, m, WAMP_ERROR_UNAVAILABLE, "the router is out of memory");
}

/* Posts a message without a payload. */
static void post_plain(struct peer *p, const struct msg *m, struct post *post)
{
	post->request = m->request;
	if (!peer_post(p, post))
		not_posted(p, m, post);
}

/* Posts a message with its URI and payload. */
static void post_with_payload(struct peer *p, const struct msg *m, struct post *post)
{
	post->payload = payload_new(p->serializer, m->uri, m->payload);
	if (post->payload == NULL)
		not_posted(p, m, post);
	else
		post_plain(p, m, post);
}

/* --- the messages of a session --- */

/* Reads the option match and the time into *post, checks the request, and posts it. */
static void post_pattern(struct peer *p, const struct msg *m, enum action action,
			 struct post *post)
{
	enum match how = MATCH_EXACT;
	struct timespec now;

	if (m->match.len > 0)
		while (how < MATCH_COUNT && !slice_eq_str(m->match, match_names[how]))
			how++;
	post->match = (uint8_t)how;
	/* checked first, because the URI must be valid for this value */
	if (!option_served(p, m, how < MATCH_COUNT,
			   "Options.match: expected exact, prefix or wildcard") ||
	    !judge_permits(p, m, action, post))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	post->generation = p->policy_generation;
	post->created_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	p->n_subscribing += action == ACTION_SUBSCRIBE;
	post_with_payload(p, m, post);
}

/*
 * To find the retained events of a pattern may take the owner 30 ms. If such a SUBSCRIBE
 * comes while the session has another one in flight, it waits (is_done). Otherwise a
 * client that sends many of them at once would keep the realm busy for many seconds.
 */
static bool subscribe_must_wait(struct peer *p, const struct msg *m)
{
	p->request_waits = m->retain && m->match.len > 0 &&
			   !slice_eq_str(m->match, match_names[MATCH_EXACT]) &&
			   p->n_subscribing > 0;
	return p->request_waits;
}

static void on_subscribe(struct peer *p, struct msg *m)
{
	if (subscribe_must_wait(p, m))
		return;
	post_pattern(p, m, ACTION_SUBSCRIBE,
		     &(struct post){.type = POST_SUBSCRIBE, .retain = m->retain});
}

static void on_end(struct peer *p, struct msg *m)
{
	enum post_type type =
		m->type == WAMP_UNSUBSCRIBE ? POST_UNSUBSCRIBE : POST_UNREGISTER;

	post_plain(p, m, &(struct post){.type = (uint8_t)type, .id = m->id});
}

static void fail_invocation(struct peer *p, const struct msg *m, const char *uri,
			    const char *what);

/*
 * Puts the lists of eligible and excluded sessions and the options that describe the
 * payload into the post. If they are malformed or memory runs out, refuses the request or
 * fails the call that the message answers, and returns false.
 */
static NOINLINE bool take_options(struct peer *p, struct msg *m, struct post *post)
{
	char text[MSG_FAULT_TEXT_MAX];
	int err = options_new(p->serializer, m, &post->options);

	if (err == 0)
		return true;
	if (err == E_NOMEM) {
		not_posted(p, m, post);
		return false;
	}
	msg_fault_text(m, err, text);
	if (m->type == WAMP_YIELD || m->type == WAMP_ERROR)
		fail_invocation(p, m, WAMP_ERROR_INVALID_ARGUMENT, text);
	else
		judge_refuse(p, m, WAMP_ERROR_INVALID_ARGUMENT, text);
	return false;
}

/* Checks a publication, puts it into the post, and posts it. */
static ALWAYS_INLINE void post_publication(struct peer *p, struct msg *m,
					   struct post *post)
{
	post->exclude_me = m->exclude_me;
	post->retain = m->retain;
	if (judge_announced(p, m) && judge_permits(p, m, ACTION_PUBLISH, post) &&
	    (LIKELY((m->filters | m->passthru) == 0) || take_options(p, m, post)))
		post_with_payload(p, m, post);
}

static void on_publish(struct peer *p, struct msg *m)
{
	post_publication(
		p, m,
		&(struct post){.type = POST_PUBLISH, .acknowledge = m->acknowledge});
}

/*
 * Reads how a callee shares its registration: the policy, and how many calls it takes at
 * the same time. False if m has been refused.
 */
static bool read_sharing(struct peer *p, const struct msg *m, struct post *out)
{
	double n = m->concurrency;

	while (m->invoke.len > 0 && out->invoke < WAMP_INVOKE_COUNT &&
	       !slice_eq_str(m->invoke, wamp_invoke_names[out->invoke]))
		out->invoke++;
	if (!option_served(p, m, out->invoke < WAMP_INVOKE_COUNT,
			   "REGISTER.Options.invoke: expected single, roundrobin, "
			   "random, first or last"))
		return false;
	/* A limit above UINT32_MAX is never reached, so it counts as none. NaN fails
	 * each comparison, and is refused. */
	if (n >= 1 && n <= UINT32_MAX)
		out->concurrency = (uint32_t)n;
	if (!(n > UINT32_MAX) && (out->concurrency == 0 || out->concurrency != n)) {
		judge_refuse(
			p, m, WAMP_ERROR_INVALID_ARGUMENT,
			"REGISTER.Options.concurrency: expected an integer, 1 or more");
		return false;
	}
	return true;
}

static void on_register(struct peer *p, struct msg *m)
{
	struct post post = {.type = POST_REGISTER, .force = m->force};

	if (read_sharing(p, m, &post))
		post_pattern(p, m, ACTION_REGISTER, &post);
}

/*
 * Reads a CALL's timeout: milliseconds, rounded up; 0 for none. A timeout of more than 49
 * days counts as none. False if m has been refused.
 */
static bool read_timeout(struct peer *p, const struct msg *m, uint32_t *ms_out)
{
	const struct policy_realm *realm = &p->peers->policy->realms[p->identity->realm];
	double ms = m->timeout;

	*ms_out = 0;
	if (isnan(ms)) {
		judge_refuse(p, m, WAMP_ERROR_INVALID_ARGUMENT,
			     "CALL.Options.timeout: expected a number");
		return false;
	}
	if (realm->options.call_timeout_unit == CALL_TIMEOUT_IN_S)
		ms *= 1000;
	if (ms > 0 && ms <= UINT32_MAX)
		*ms_out = (uint32_t)ms + ((double)(uint32_t)ms < ms);
	return true;
}

/*
 * Checks the arguments of a meta procedure, and posts the call to the owner, which knows
 * the sessions, registrations and subscriptions.
 */
static NOINLINE void call_meta(struct peer *p, struct msg *m,
			       enum meta_procedure procedure, uint32_t timeout_ms)
{
	struct post post = {.type = POST_META, .timeout_ms = timeout_ms};
	struct post_error fault;
	bool page = procedure == META_SUBSCRIPTION_GET_EVENTS;

	/* A page takes time and memory, so a session gets one after the other. */
	p->request_waits = page && p->page_request != 0;
	if (p->request_waits)
		return;
	int err = meta_args_read(procedure, p->serializer, &m->payload, p->peers->policy,
				 p->identity->realm, &p->peers->out, &post, &fault);

	if (err == 0) {
		if (page)
			p->page_request = m->request;
		post_plain(p, m, &post);
	} else if (err == E_NOMEM) {
		not_posted(p, m, &post);
	} else {
		post_drop(&post);
		judge_refuse(p, m, fault.uri, fault.text);
	}
}

/*
 * Handles a CALL of wamp.session.add_testament: judges the testament now, like a PUBLISH.
 * An ERROR answers the CALL.
 */
static NOINLINE void add_testament(struct peer *p, const struct msg *call)
{
	char text[MSG_FAULT_TEXT_MAX];
	struct slice message = p->peers->message;
	struct testament_args t;
	int err = testament_args_read(p->serializer, call, &t, text);

	if (err == 0) {
		/* an authorizer gets the options of the PUBLISH */
		p->peers->message = buf_slice(&t.message);
		post_publication(p, &t.publish,
				 &(struct post){
					 .type = POST_TESTAMENT,
					 .detached = t.detached,
					 .generation = p->policy_generation,
				 });
		p->peers->message = message;
	} else if (err == E_NOMEM) {
		not_posted(p, call, &(struct post){.type = POST_TESTAMENT});
	} else {
		judge_refuse(p, call, WAMP_ERROR_INVALID_ARGUMENT, text);
	}
	testament_args_fini(&t);
}

/*
 * Like take_options, for a CALL. The router cannot read such a payload, so it does not
 * serve the call if the procedure is its own.
 */
static NOINLINE bool take_call_options(struct peer *p, struct msg *m,
				       enum meta_procedure meta, struct post *post)
{
	if (!take_options(p, m, post))
		return false;
	if (meta == META_PROCEDURE_COUNT || post->options == NULL)
		return true;
	post_drop(post);
	judge_refuse(p, m, WAMP_ERROR_FEATURE_NOT_SUPPORTED,
		     "the router serves this procedure itself, and does not read "
		     "payloads with ppt_scheme or enc_algo");
	return false;
}

/*
 * Ends a call, because a message that belongs to it has a wrong value or cannot be passed
 * on. The caller gets an ERROR with this text. request_type INVOCATION: m is the callee's
 * answer; CALL: m is a chunk of the input.
 */
static void post_failure(struct peer *p, const struct msg *m, enum wamp_type request_type,
			 const char *uri, const char *text)
{
	/* the text contains the URI or value, so it cannot be a constant */
	struct payload *words = payload_new(p->serializer, slice_str(text),
					    (struct msg_payload){.items = 0});
	post_plain(
		p, m,
		&(struct post){
			.type = POST_UNDELIVERABLE,
			.request_type = (uint8_t)request_type,
			.progress = request_type == WAMP_INVOCATION && m->progress,
			.error = {uri, words == NULL ? "the message is invalid" : NULL},
			.payload = words,
		});
}

/* True if Arguments may be a binary in place of a list. */
static bool is_encrypted(const struct msg *m)
{
	return (m->passthru & BIT(MSG_ENC_ALGO)) != 0;
}

/*
 * Handles a CALL that continues a call whose input is open, and returns true. If fault is
 * not NULL, the CALL has a wrong value. Specification, "Freezing of Options": the first
 * CALL has decided everything but the payload. False if m begins a new call.
 */
static NOINLINE bool on_chunk(struct peer *p, const struct msg *m, const char *fault)
{
	struct open_input *in = inputs_find(p, m->request);

	if (in == NULL)
		return false;
	bool fits = fault != NULL || in->answered || slice_eq(in->procedure, m->uri);
	bool dropped = in->answered || !fits;
	if (fault == NULL && in->encrypted != is_encrypted(m))
		fault = "CALL.Options.enc_algo: expected in all chunks of an input or in "
			"none";
	if (fits && !m->progress)
		inputs_close(p, in);
	if (dropped)
		peers_count(p->peers, PEER_CHUNKS_DROPPED);
	else if (fault != NULL)
		post_failure(p, m, WAMP_CALL, WAMP_ERROR_INVALID_ARGUMENT, fault);
	else
		post_with_payload(p, m,
				  &(struct post){
					  .type = POST_CHUNK,
					  .chunk = m->progress ? CHUNK_NEXT : CHUNK_LAST,
				  });
	return true;
}

/* Opens the input of a new call. False if the call has been refused. */
static NOINLINE bool open_input(struct peer *p, const struct msg *m, struct post *post)
{
	int err = inputs_open(p, m->request, m->uri, is_encrypted(m));

	post->chunk = CHUNK_FIRST;
	if (err == 0)
		return true;
	post_drop(post);
	if (err == E_NOMEM) {
		peer_drop_no_memory(p, "a call");
		return false;
	}
	peers_count(p->peers, PEER_OPEN_INPUTS_FULL);
	peer_log(p, LOG_LEVEL_INFO,
		 "limit reached limit=open_inputs max=%d authid=%s suppressed=%u",
		 INPUTS_MAX, log_quote(p->identity->authid).text);
	judge_refuse(
		p, m, WAMP_ERROR_UNAVAILABLE,
		"the session has too many calls whose progressive input is not complete");
	return false;
}

/* Posts a CALL of a meta procedure, or with options that only few CALLs have. */
static NOINLINE void post_special_call(struct peer *p, struct msg *m,
				       enum meta_procedure meta, struct post *post)
{
	if (m->progress && meta != META_PROCEDURE_COUNT) {
		judge_refuse(p, m, WAMP_ERROR_FEATURE_NOT_SUPPORTED,
			     "the router's own procedures take no progressive input");
		return;
	}
	if (m->passthru != 0 && !take_call_options(p, m, meta, post))
		return;
	if (meta == META_SESSION_ADD_TESTAMENT)
		add_testament(p, m);
	else if (meta != META_PROCEDURE_COUNT)
		call_meta(p, m, meta, post->timeout_ms);
	else if (!m->progress || open_input(p, m, post))
		post_with_payload(p, m, post);
}

static void on_call(struct peer *p, struct msg *m)
{
	struct post post = {.type = POST_CALL, .progress = m->receive_progress};
	bool plain = (m->passthru | m->progress) == 0;

	if (UNLIKELY(inputs_any(&p->inputs)) && on_chunk(p, m, NULL))
		return;
	if ((UNLIKELY(!plain) && !call_announced(p, m)) ||
	    !judge_permits(p, m, ACTION_CALL, &post) ||
	    (m->timeout != 0 && !read_timeout(p, m, &post.timeout_ms)))
		return;
	enum meta_procedure meta = meta_find(m->uri);
	if (LIKELY(plain && meta == META_PROCEDURE_COUNT))
		post_with_payload(p, m, &post);
	else
		post_special_call(p, m, meta, &post);
}

static void on_yield(struct peer *p, struct msg *m)
{
	struct post post = {.type = POST_YIELD, .progress = m->progress};

	if (LIKELY(m->passthru == 0) ||
	    (judge_passthru_announced(p, m) && take_options(p, m, &post)))
		post_with_payload(p, m, &post);
}

/*
 * Fails a call because its callee sent an answer that cannot be passed on. The caller
 * gets an ERROR that says why. The callee gets no ERROR; if the answer was a progressive
 * result, it gets an INTERRUPT.
 */
static void fail_invocation(struct peer *p, const struct msg *m, const char *uri,
			    const char *what)
{
	char text[MSG_FAULT_TEXT_MAX + LOG_QUOTE_MAX + sizeof("the callee's answer: ")];

	snprintf(text, sizeof(text), "the callee's answer: %s", what);
	post_failure(p, m, WAMP_INVOCATION, uri, text);
}

/* Checks that an ERROR answers an INVOCATION: clients must not send any other ERROR. */
static bool is_for_invocation(struct peer *p, const struct msg *m)
{
	if (m->error_type != WAMP_INVOCATION)
		peer_violation(p, "ERROR.REQUEST.Type: expected 68 (INVOCATION)");
	return m->error_type == WAMP_INVOCATION;
}

static void on_error(struct peer *p, struct msg *m)
{
	struct post post = {.type = POST_INVOCATION_ERROR};
	char text[MSG_FAULT_TEXT_MAX + LOG_QUOTE_MAX];

	if (!is_for_invocation(p, m) || !judge_announced(p, m))
		return;
	if (uri_valid(m->uri)) {
		if (LIKELY(m->passthru == 0) || take_options(p, m, &post))
			post_with_payload(p, m, &post);
		return;
	}
	judge_quote_bad_uri(MATCH_EXACT, m->uri, text, sizeof(text));
	fail_invocation(p, m, WAMP_ERROR_INVALID_URI, text);
}

static void cancel_call(struct peer *p, const struct msg *m, enum wamp_cancel_mode mode)
{
	post_plain(p, m, &(struct post){.type = POST_CANCEL, .mode = (uint8_t)mode});
}

/*
 * An unknown mode counts as the default, killnowait, because an ERROR cannot refuse a
 * CANCEL. Autobahn sends no mode.
 */
static void on_cancel(struct peer *p, struct msg *m)
{
	enum wamp_cancel_mode mode = WAMP_MODE_KILLNOWAIT;

	if (slice_eq_str(m->text, "skip"))
		mode = WAMP_MODE_SKIP;
	else if (slice_eq_str(m->text, "kill"))
		mode = WAMP_MODE_KILL;
	cancel_call(p, m, mode);
}

static void on_goodbye(struct peer *p, struct msg *m)
{
	(void)m;
	/* the owner answers with LEFT, its last post to this session */
	peer_post_last(p, POST_GOODBYE);
	peer_set_state(p, PEER_LEAVING);
}

static void on_hello(struct peer *p, struct msg *m)
{
	login_hello(p, m->hello);
}

static void on_authenticate(struct peer *p, struct msg *m)
{
	login_authenticate(p, m);
}

/* An ABORT is never answered (specification: "Session Closing"). */
static void on_abort(struct peer *p, struct msg *m)
{
	(void)m;
	peer_close(p, WS_CLOSE_NORMAL, "aborted by the client");
}

#define HANDSHAKE                                                                        \
	(BIT(PEER_NEW) | BIT(PEER_AUTH_WAIT) | BIT(PEER_CHALLENGED) | BIT(PEER_JOINING))

static const struct {
	void (*handle)(struct peer *p, struct msg *m);
	unsigned states; /* the states in which a client may send the message */
	bool request;    /* true if an ERROR can refuse the message */
} on_type[] = {
	[WAMP_HELLO] = {on_hello, BIT(PEER_NEW), false},
	[WAMP_AUTHENTICATE] = {on_authenticate, BIT(PEER_CHALLENGED), false},
	[WAMP_ABORT] = {on_abort, HANDSHAKE | BIT(PEER_JOINED), false},
	[WAMP_GOODBYE] = {on_goodbye, BIT(PEER_JOINED), false},
	[WAMP_ERROR] = {on_error, BIT(PEER_JOINED), false},
	[WAMP_PUBLISH] = {on_publish, BIT(PEER_JOINED), true},
	[WAMP_SUBSCRIBE] = {on_subscribe, BIT(PEER_JOINED), true},
	[WAMP_UNSUBSCRIBE] = {on_end, BIT(PEER_JOINED), true},
	[WAMP_CALL] = {on_call, BIT(PEER_JOINED), true},
	[WAMP_CANCEL] = {on_cancel, BIT(PEER_JOINED), false},
	[WAMP_REGISTER] = {on_register, BIT(PEER_JOINED), true},
	[WAMP_UNREGISTER] = {on_end, BIT(PEER_JOINED), true},
	[WAMP_YIELD] = {on_yield, BIT(PEER_JOINED), false},
};

/* --- reading --- */

/*
 * Handles a message that is well-formed but has an invalid value. If it is a request,
 * only that request fails.
 */
static void on_invalid_value(struct peer *p, const struct msg *m, const char *text)
{
	if (m->type == WAMP_CALL && (on_chunk(p, m, text) || !call_announced(p, m)))
		return;
	if (on_type[m->type].request)
		judge_refuse(p, m, WAMP_ERROR_INVALID_ARGUMENT, text);
	else if (m->type == WAMP_ERROR && is_for_invocation(p, m))
		fail_invocation(p, m, WAMP_ERROR_INVALID_ARGUMENT, text);
	else if (m->type == WAMP_YIELD)
		fail_invocation(p, m, WAMP_ERROR_INVALID_ARGUMENT, text);
	else if (m->type == WAMP_CANCEL)
		cancel_call(p, m, WAMP_MODE_KILLNOWAIT);
	else
		peer_violation(p, text); /* there is no request that could fail */
}

static bool expected_now(const struct peer *p, enum wamp_type type)
{
	return type < ARRAY_LEN(on_type) && (on_type[type].states & BIT(p->state)) != 0;
}

static NOINLINE void not_expected(struct peer *p, enum wamp_type type)
{
	static const char *const why[PEER_STATE_COUNT] = {
		[PEER_NEW] = "expected HELLO first",
		[PEER_AUTH_WAIT] = "the router has not answered yet",
		[PEER_CHALLENGED] = "expected AUTHENTICATE first",
		[PEER_JOINING] = "the router has not answered yet",
		[PEER_JOINED] = "the session is already open",
	};
	char text[64];

	snprintf(text, sizeof(text), "%s: %s", wamp_type_name(type), why[p->state]);
	peer_violation(p, text);
}

/* Drops a connection because memory ran out. The client has not violated the protocol. */
static void out_of_memory(struct peer *p)
{
	if ((HANDSHAKE & BIT(p->state)) != 0) {
		login_try_again(p, "out of memory");
		return;
	}
	peer_drop_no_memory(p, "a message");
}

static NOINLINE void not_read(struct peer *p, const struct msg *m, int err)
{
	char text[MSG_FAULT_TEXT_MAX];

	if (err == E_NOMEM) {
		out_of_memory(p);
		return;
	}
	msg_fault_text(m, err, text);
	if (err != E_VALUE) {
		peer_violation(p, text);
	} else if (!expected_now(p, m->type)) {
		not_expected(p, m->type);
	} else {
		peers_count(p->peers, PEER_INVALID_VALUES);
		peer_log(p, LOG_LEVEL_INFO, "invalid value reason=\"%s\" suppressed=%u",
			 text);
		on_invalid_value(p, m, text);
	}
}

/*
 * Overwrites a message that may contain a ticket, and the copy that a decoder may have
 * made. The message is in a buffer of the connection, so it may be written to.
 */
static NOINLINE void overwrite(struct peer *p, struct slice bytes)
{
	struct buf *decoded = &p->peers->decoded;

	sodium_memzero((uint8_t *)(uintptr_t)bytes.p, bytes.len);
	if (decoded->len > 0)
		sodium_memzero(decoded->data, decoded->len);
}

static void read_one(struct peer *p, struct slice bytes)
{
	struct msg_hello hello;
	struct msg m;

	p->peers->message = bytes;
	/* not_read needs a type even if msg_read fails before it has read one */
	m.type = 0;
	m.hello = &hello;
	int err = msg_read(p->serializer, bytes, &p->peers->decoded, &m);
	if (UNLIKELY(err != 0))
		not_read(p, &m, err);
	else if (UNLIKELY(!expected_now(p, m.type)))
		not_expected(p, m.type);
	else
		on_type[m.type].handle(p, &m);
	if (UNLIKELY(m.type == WAMP_AUTHENTICATE))
		overwrite(p, bytes);
}

/*
 * Returns true if the first message in rest has been handled. If it waits, for the
 * authorizer or for the answer to an earlier request, holds the connection, so that the
 * messages after it wait, too, and returns false.
 */
static bool is_done(struct peer *p, struct slice rest)
{
	if (LIKELY(p->authorize_state == AUTHORIZE_IDLE && !p->request_waits))
		return true;
	if (p->request_waits || p->authorize_state == AUTHORIZE_ASKED) {
		conn_hold(p->conn, rest);
		return false;
	}
	authorize_end(p);
	return true;
}

/* Reads the messages of a batched subprotocol. */
static NOINLINE void read_batch(struct peer *p, struct slice bytes, bool text)
{
	struct slice one;

	do {
		struct slice rest = bytes;

		if (batch_next(p->serializer, &bytes, &one, &p->separator) != 0) {
			peer_violation(p, text ? "batch: expected a message"
					       : "batch: expected 32 bits of length, "
						 "and a message of that length");
			return;
		}
		read_one(p, one);
		/* stop if the rest of the batch waits or the session has ended */
		if (!is_done(p, rest) || p->state == PEER_LEAVING ||
		    p->state == PEER_CLOSING)
			return;
	} while (bytes.len > 0);
}

void messages_read(struct peer *p, struct slice bytes, bool text)
{
	if (p->state == PEER_LEAVING || p->state == PEER_CLOSING)
		return;
	/* WebSocket has text and binary messages; each subprotocol uses one type */
	if (text != (p->serializer == SERIALIZER_JSON)) {
		peer_violation(p, text ? "a text message in a binary subprotocol"
				       : "a binary message in a text subprotocol");
		return;
	}
	if (p->batched) {
		read_batch(p, bytes, text);
		return;
	}
	read_one(p, bytes);
	(void)is_done(p, bytes);
}
