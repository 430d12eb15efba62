/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An authenticator's questions: held, sent, answered, cancelled; see auth_client.h.
 *
 * A question that is in flight when the link breaks may be why. It is a suspect from then
 * on: it is asked once more, with nothing else in flight. If the link breaks again, its
 * client is dropped. So a question that the authenticator dies of costs two connections
 * at most. Between two suspects all others that wait are asked, so that neither waits for
 * long.
 */
#include "routerd/control/auth_client_int.h"

#include "common/err.h"
#include "common/rpc.h"
#include "common/table.h"
#include "proto/auth_api.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	TICK_MS = 100,       /* held questions are looked at so often */
	MAX_BYTES = 8 << 20, /* of all questions; the last may pass it */
};

/* No padding: compared as bytes. */
struct question_key {
	uint32_t slot, generation;
	uint64_t worker;
};

enum place {
	HELD = 0,
	RESTING = 1, /* held, but not to be sent before retry_at_ms */
	IN_FLIGHT = 2,
	SUSPECT = 3, /* held, until nothing is in flight */
};

struct question {
	struct question_key key;
	struct session_ref session;
	struct auth_client *client;
	struct login_question *q;
	enum place place;
	uint64_t hold_until_ms;
	uint64_t retry_at_ms; /* 0: its one second chance is not used up */
	uint32_t msgid;       /* of one in flight */
	bool suspect;         /* a link broke while it was in flight */
	struct lookup_stamp stamp;
	TAILQ_ENTRY(question) link; /* in the list of its place */
	UT_hash_handle hh;
};

static struct question_key key_of(struct session_ref s)
{
	return (struct question_key){
		.slot = s.slot, .generation = s.generation, .worker = s.worker};
}

static bool is_full(const struct auth_client *a, unsigned max, size_t max_bytes)
{
	return a->n_held >= max || a->bytes >= max_bytes;
}

static void log_full(struct auth_client *a)
{
	unsigned suppressed;

	if (log_rate_ok(&a->full_rate, loop_now_ms(a->loop), &suppressed))
		log_warn(a->conf->name,
			 "the hold queue is full: further logins are refused held=%u "
			 "bytes=%zu limit=hold_queue max=%d suppressed=%u",
			 a->n_held, a->bytes, a->config->limits.hold_queue, suppressed);
}

/* Tells the workers when no more can be held, and when a quarter of it is free again. */
static void note_fullness(struct auth_client *a)
{
	unsigned max = (unsigned)a->config->limits.hold_queue;
	bool full = a->full_said ? is_full(a, max - max / 4, MAX_BYTES - MAX_BYTES / 4)
				 : is_full(a, max, MAX_BYTES);

	if (full == a->full_said)
		return;
	/* without memory it is tried again, at the next tick at the latest */
	if (!outbox_send_all(a->outbox, &(struct post){
						.type = POST_HOLD_QUEUE,
						.id = a->index,
						.full = full,
					}))
		return;
	a->full_said = full;
	if (full)
		log_full(a);
}

static struct question_list *list_of(struct auth_client *a, enum place place)
{
	switch (place) {
	case HELD:
		return &a->held;
	case RESTING:
		return &a->resting;
	case IN_FLIGHT:
		return &a->in_flight;
	case SUSPECT:
		break;
	}
	return &a->suspects;
}

static unsigned *count_of(struct auth_client *a, enum place place)
{
	return place == IN_FLIGHT ? &a->n_in_flight : &a->n_held;
}

static void insert(struct question *qu, enum place place)
{
	struct auth_client *a = qu->client;

	qu->place = place;
	TAILQ_INSERT_TAIL(list_of(a, place), qu, link);
	if ((*count_of(a, place))++ == 0 && place != IN_FLIGHT)
		timer_arm(&a->tick, TICK_MS);
}

static void list_remove(struct question *qu)
{
	struct auth_client *a = qu->client;

	TAILQ_REMOVE(list_of(a, qu->place), qu, link);
	(*count_of(a, qu->place))--;
}

static void move(struct question *qu, enum place to)
{
	list_remove(qu);
	insert(qu, to);
	note_fullness(qu->client);
}

static void forget(struct question *qu)
{
	struct auth_client *a = qu->client;

	list_remove(qu);
	HASH_DELETE(hh, a->questions, qu);
	a->bytes -= qu->q->len;
	login_question_free(&qu->q);
	free(qu);
	note_fullness(a);
}

/* By the question's mail. */
static void post_answer(struct auth_client *a, struct login_question *q,
			struct session_ref to, enum login_outcome outcome,
			const struct lookup_stamp *stamp, struct slice bytes)
{
	struct login_answer *answer = login_answer_new(outcome, stamp, bytes);

	/* NULL says that there was no memory */
	post_send_reserved(a->outbox, to.worker,
			   &(struct post){
				   .type = POST_LOGIN_ANSWER,
				   .session = to,
				   .answer = answer,
			   },
			   &q->mail);
}

static void answer(struct question *qu, enum login_outcome outcome, struct slice bytes)
{
	post_answer(qu->client, qu->q, qu->session, outcome, &qu->stamp, bytes);
	forget(qu);
}

/* No answer, so that the client tries again. */
static void answer_none(struct question *qu, enum login_outcome why)
{
	qu->client->stats.unavailable++;
	answer(qu, why, slice_of(NULL, 0));
}

/* The authenticator's answer is malformed or over a limit. */
static void answer_invalid(struct question *qu, int why)
{
	char detail[80];
	struct buf b;

	snprintf(detail, sizeof(detail), "its answer is %s",
		 why == E_LIMIT || why == E_DEPTH ? "over a limit of the protocol"
						  : "malformed");
	buf_init(&b, AUTH_MAX_MESSAGE);
	fields_write_item(&b, &auth_error_table,
			  &(struct auth_error){
				  .kind = AUTH_ERROR_INTERNAL,
				  .detail = slice_str(detail),
				  .retry_after_ms = FIELD_NONE,
			  });
	answer(qu, LOGIN_ERROR, buf_slice(&b));
	buf_fini(&b);
}

/* The link broke while it was in flight. */
static void suspect(struct question *qu)
{
	if (!qu->suspect) {
		qu->suspect = true;
		move(qu, SUSPECT);
		return;
	}
	qu->client->stats.link_broke++;
	answer_none(qu, LOGIN_LINK_BROKE);
}

static void hold(struct question *qu)
{
	move(qu, qu->suspect ? SUSPECT : HELD);
}

static void send_cancel(struct auth_client *a, uint32_t msgid)
{
	struct buf b;

	if ((a->features & AUTH_FEATURE_CANCEL) == 0)
		return;
	buf_init(&b, AUTH_MAX_MESSAGE);
	auth_cancel_write(&b, msgid);
	int r = rpc_notify(a->rpc, AUTH_NOTIFY_CANCEL, buf_slice(&b));
	(void)r; /* it only spares the authenticator some work */
	buf_fini(&b);
}

/* False: it was asked a second time already, or there is no time left for that. */
static bool retry_later(struct question *qu, uint64_t after_ms)
{
	uint64_t now = loop_now_ms(qu->client->loop);
	uint64_t left = qu->hold_until_ms > now ? qu->hold_until_ms - now : 0;

	if (after_ms == FIELD_NONE)
		after_ms = TICK_MS;
	if (qu->retry_at_ms != 0 || after_ms >= left)
		return false;
	qu->retry_at_ms = now + after_ms;
	move(qu, RESTING);
	return true;
}

static void on_answer(const struct rpc_answer *ans, void *arg)
{
	struct question *qu = arg;
	struct auth_client *a = qu->client;
	struct auth_error e;

	if (ans->outcome == RPC_OK || ans->outcome == RPC_ERROR ||
	    ans->outcome == RPC_INVALID)
		auth_client_answered(a);
	switch (ans->outcome) {
	case RPC_OK:
		a->stats.results++;
		answer(qu, LOGIN_RESULT, ans->result);
		break;
	case RPC_ERROR:
		a->stats.errors++;
		auth_error_read(ans->error, &e);
		if (e.kind != AUTH_ERROR_TEMPORARY || !retry_later(qu, e.retry_after_ms))
			answer(qu, LOGIN_ERROR, ans->error);
		break;
	case RPC_TIMEOUT:
		a->stats.timeouts++;
		send_cancel(a, qu->msgid);
		answer_none(qu, LOGIN_TIMEOUT);
		break;
	case RPC_INVALID:
		a->stats.invalid++;
		answer_invalid(qu, ans->why);
		break;
	case RPC_CLOSED:
		if (ans->other)
			hold(qu);
		else
			suspect(qu);
		return;
	}
	questions_pump(a);
}

/* For an authenticator that takes less than was thought. E_NOMEM. */
static int shorten(struct question *qu)
{
	struct auth_client *a = qu->client;
	struct login_question *shorter = NULL;
	struct auth_request req;
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	int r = auth_request_read(slice_of(qu->q->params, qu->q->len), &req);
	if (r == 0)
		r = auth_request_write(&b, &req, a->max_message);
	if (r == 0)
		shorter = login_question_new(qu->q->authenticator, qu->q->deadline_ms,
					     buf_slice(&b));
	buf_fini(&b);
	if (shorter == NULL)
		return E_NOMEM;
	a->bytes -= qu->q->len - shorter->len;
	shorter->mail = qu->q->mail;
	qu->q->mail = NULL;
	login_question_free(&qu->q);
	qu->q = shorter;
	return 0;
}

/* Sends a held question. False: it stays where it is, and so should those behind it. */
static bool send_question(struct question *qu)
{
	struct auth_client *a = qu->client;
	uint64_t now = loop_now_ms(a->loop);
	uint64_t left = qu->q->deadline_ms > now ? qu->q->deadline_ms - now : 1;

	if (qu->q->len + AUTH_ENVELOPE > a->max_message && shorten(qu) != 0) {
		answer_none(qu, LOGIN_NO_MEMORY);
		return true;
	}
	qu->stamp = (struct lookup_stamp){
		.asked = true,
		.authenticator = a->index,
		.link = a->link,
		.revocations = control_revocations(a->control),
	};
	struct rpc_call call = {
		.method = AUTH_METHOD_AUTHENTICATE,
		.params = slice_of(qu->q->params, qu->q->len),
		.timeout_ms = left < a->conf->timeout ? left : a->conf->timeout,
		.cb = on_answer,
		.arg = qu,
	};
	if (rpc_call(a->rpc, &call, &qu->msgid) != 0)
		return false;
	a->stats.asked++;
	move(qu, IN_FLIGHT);
	return true;
}

static bool may_send(const struct auth_client *a)
{
	return a->state == LINK_UP && a->n_in_flight < a->max_questions &&
	       !rpc_conn_congested(a->rpc);
}

void questions_pump(struct auth_client *a)
{
	struct question *qu = TAILQ_FIRST(&a->in_flight);
	struct question *first = TAILQ_FIRST(&a->suspects);

	if (qu != NULL && (first != NULL || qu->suspect))
		return; /* when all of this round are answered */
	if (first != NULL && (a->suspect_next || TAILQ_EMPTY(&a->held))) {
		a->suspect_next = false;
		if (may_send(a))
			send_question(first);
		return;
	}
	a->suspect_next = true;
	while (may_send(a) && (qu = TAILQ_FIRST(&a->held)) != NULL)
		if (!send_question(qu))
			return;
}

static void give_up_old(struct question_list *l, uint64_t now)
{
	struct question *qu, *next;

	for (qu = TAILQ_FIRST(l); qu != NULL; qu = next) {
		next = TAILQ_NEXT(qu, link);
		if (qu->hold_until_ms <= now)
			answer_none(qu, qu->client->state == LINK_UP ? LOGIN_BUSY
								     : LOGIN_UNAVAILABLE);
	}
}

static void on_tick(void *arg)
{
	struct auth_client *a = arg;
	struct question *qu, *next;
	uint64_t now = loop_now_ms(a->loop);

	give_up_old(&a->held, now);
	give_up_old(&a->resting, now);
	give_up_old(&a->suspects, now);
	for (qu = TAILQ_FIRST(&a->resting); qu != NULL; qu = next) {
		next = TAILQ_NEXT(qu, link);
		if (qu->retry_at_ms <= now)
			hold(qu);
	}
	questions_pump(a);
	note_fullness(a);
	if (a->n_held > 0 || a->full_said)
		timer_arm(&a->tick, TICK_MS);
}

/* NULL: no memory. */
static struct question *question_new(struct auth_client *a, struct session_ref session,
				     struct login_question *q)
{
	struct question *qu = calloc(1, sizeof(*qu));

	if (qu == NULL)
		return NULL;
	qu->key = key_of(session);
	qu->session = session;
	qu->client = a;
	qu->q = q;
	qu->hold_until_ms = loop_now_ms(a->loop) + a->config->limits.hold_timeout;
	if (qu->hold_until_ms > q->deadline_ms)
		qu->hold_until_ms = q->deadline_ms;
	HASH_ADD(hh, a->questions, key, sizeof(qu->key), qu);
	if (!table_has(qu)) {
		free(qu);
		return NULL;
	}
	return qu;
}

void auth_client_ask(struct auth_client *a, struct session_ref session,
		     struct login_question *q)
{
	static const struct lookup_stamp none;
	struct question *qu = NULL;
	bool full = is_full(a, (unsigned)a->config->limits.hold_queue, MAX_BYTES);

	if (full)
		a->stats.overflow++;
	else
		qu = question_new(a, session, q);
	if (qu == NULL) {
		a->stats.unavailable++;
		post_answer(a, q, session, full ? LOGIN_NO_ROOM : LOGIN_NO_MEMORY, &none,
			    slice_of(NULL, 0));
		login_question_free(&q);
		return;
	}
	a->bytes += q->len;
	insert(qu, HELD);
	note_fullness(a);
	questions_pump(a);
}

void auth_client_cancel(struct auth_client *a, struct session_ref session)
{
	struct question_key key = key_of(session);
	struct question *qu;

	HASH_FIND(hh, a->questions, &key, sizeof(key), qu);
	if (qu == NULL)
		return;
	a->stats.cancelled++;
	if (qu->place == IN_FLIGHT) {
		send_cancel(a, qu->msgid);
		rpc_cancel(a->rpc, qu->msgid);
	}
	forget(qu);
	questions_pump(a);
}

void questions_link_broke(struct auth_client *a)
{
	while (!TAILQ_EMPTY(&a->in_flight))
		suspect(TAILQ_FIRST(&a->in_flight));
}

void questions_init(struct auth_client *a)
{
	TAILQ_INIT(&a->held);
	TAILQ_INIT(&a->resting);
	TAILQ_INIT(&a->suspects);
	TAILQ_INIT(&a->in_flight);
	timer_init(&a->tick, a->loop, on_tick, a);
	a->full_rate.burst = 1;
}

void questions_fini(struct auth_client *a)
{
	timer_disarm(&a->tick);
	while (a->questions != NULL)
		forget(a->questions);
}
