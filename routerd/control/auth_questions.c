/* SPDX-License-Identifier: Apache-2.0 */
/* An authenticator's questions: held, sent, answered, cancelled; see auth_client.h. */
#include "routerd/control/auth_client_int.h"

#include "common/err.h"
#include "common/rpc.h"
#include "common/table.h"
#include "proto/auth_api.h"

#include <stdlib.h>

enum {
	TICK_MS = 100,       /* held questions are looked at so often */
	ENVELOPE_MAX = 32,   /* what rpc puts around the parameters of a question */
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
	a->full_said = full;
	if (full)
		log_full(a);
	outbox_send_all(a->outbox, &(struct post){
					   .type = POST_HOLD_QUEUE,
					   .id = a->index,
					   .full = full,
				   });
}

static struct question_list *list_of(struct auth_client *a, enum place place)
{
	return place == HELD ? &a->held : place == RESTING ? &a->resting : &a->in_flight;
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
	free(qu->q);
	free(qu);
	note_fullness(a);
}

static void post_answer(struct auth_client *a, struct session_ref to,
			enum login_outcome outcome, const struct lookup_stamp *stamp,
			struct slice bytes)
{
	struct login_answer *answer = login_answer_new(outcome, stamp, bytes);

	/* without an answer the handshake's deadline ends it */
	if (answer != NULL)
		post_send(a->outbox, to.worker,
			  &(struct post){
				  .type = POST_LOGIN_ANSWER,
				  .session = to,
				  .answer = answer,
			  });
}

static void answer(struct question *qu, enum login_outcome outcome, struct slice bytes)
{
	post_answer(qu->client, qu->session, outcome, &qu->stamp, bytes);
	forget(qu);
}

static void answer_unavailable(struct question *qu)
{
	qu->client->stats.unavailable++;
	answer(qu, LOGIN_UNAVAILABLE, slice_of(NULL, 0));
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

	if (ans->outcome == RPC_OK || ans->outcome == RPC_ERROR)
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
		answer_unavailable(qu);
		break;
	case RPC_CLOSED: /* asked again when the authenticator is back */
		move(qu, HELD);
		return;
	}
	questions_pump(a);
}

/* Sends a held question. False: it stays where it is. */
static bool send_question(struct question *qu)
{
	struct auth_client *a = qu->client;
	uint64_t now = loop_now_ms(a->loop);
	uint64_t left = qu->q->deadline_ms > now ? qu->q->deadline_ms - now : 1;

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

/* It would never be sent, and those behind it would wait. */
static void answer_too_long(struct question *qu)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	auth_error_write(&b, &(struct auth_error){
				     .kind = AUTH_ERROR_DENY,
				     .uri = slice_str(WAMP_ERROR_AUTHENTICATION_FAILED),
				     .message = slice_str("the HELLO holds more than the "
							  "authenticator accepts"),
				     .retry_after_ms = FIELD_NONE,
			     });
	answer(qu, LOGIN_ERROR, buf_slice(&b));
	buf_fini(&b);
}

void questions_pump(struct auth_client *a)
{
	struct question *qu;

	while (a->state == LINK_UP && a->n_in_flight < a->max_questions &&
	       !rpc_conn_congested(a->rpc) && (qu = TAILQ_FIRST(&a->held)) != NULL) {
		if (qu->q->len + ENVELOPE_MAX > a->max_message)
			answer_too_long(qu);
		else if (!send_question(qu))
			return;
	}
}

static void give_up_old(struct question_list *l, uint64_t now)
{
	struct question *qu, *next;

	for (qu = TAILQ_FIRST(l); qu != NULL; qu = next) {
		next = TAILQ_NEXT(qu, link);
		if (qu->hold_until_ms <= now)
			answer_unavailable(qu);
	}
}

static void on_tick(void *arg)
{
	struct auth_client *a = arg;
	struct question *qu, *next;
	uint64_t now = loop_now_ms(a->loop);

	give_up_old(&a->held, now);
	give_up_old(&a->resting, now);
	for (qu = TAILQ_FIRST(&a->resting); qu != NULL; qu = next) {
		next = TAILQ_NEXT(qu, link);
		if (qu->retry_at_ms <= now)
			move(qu, HELD);
	}
	questions_pump(a);
	if (a->n_held > 0)
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

	if (is_full(a, (unsigned)a->config->limits.hold_queue, MAX_BYTES))
		a->stats.overflow++;
	else
		qu = question_new(a, session, q);
	if (qu == NULL) {
		free(q);
		a->stats.unavailable++;
		post_answer(a, session, LOGIN_UNAVAILABLE, &none, slice_of(NULL, 0));
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

void questions_hold_all(struct auth_client *a)
{
	while (!TAILQ_EMPTY(&a->in_flight))
		move(TAILQ_FIRST(&a->in_flight), HELD);
}

void questions_init(struct auth_client *a)
{
	TAILQ_INIT(&a->held);
	TAILQ_INIT(&a->resting);
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
