/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds and sends the questions to one authenticator, and passes on the answers; see
 * questions.h. Thread of worker 0.
 */
#include "routerd/control/questions.h"

#include "common/err.h"
#include "common/table.h"
#include "proto/auth_api.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
	TICK_MS = 100,       /* interval of checks while questions are held */
	MAX_BYTES = 8 << 20, /* of all questions of a kind; the last one may exceed it */
	/* The table compares bytes, so the key ends before the padding of session_ref. */
	KEY_LEN = offsetof(struct session_ref, worker) + sizeof(uint16_t),
};

struct question {
	struct session_ref session; /* the key in questions.table */
	struct questions *all;      /* the owner */
	struct login_message *q;
	enum question_place place;
	uint64_t hold_until_ms; /* when to give up, if it is still held */
	uint64_t retry_at_ms;   /* time of the second attempt; 0: none was scheduled */
	uint32_t msgid;         /* only while in flight */
	bool suspect;           /* a link broke while the question was in flight */
	struct lookup_stamp stamp;
	TAILQ_ENTRY(question) link; /* in the list of `place` */
	UT_hash_handle hh;
};

#define X(field, name, type, help) {name, help, type, offsetof(struct questions, field)},
const struct counter_table question_counter_table =
	COUNTER_TABLE(struct questions, QUESTION_COUNTERS(X));
#undef X

static bool is_full(const struct questions *qs, enum question_kind kind, unsigned max,
		    size_t max_bytes)
{
	return qs->n_held[kind] >= max || qs->bytes[kind] >= max_bytes;
}

static void log_full(struct questions *qs, enum question_kind kind)
{
	static const char *const what[] = {
		[QUESTION_AUTHENTICATE] = "logins are refused",
		[QUESTION_AUTHORIZE] = "requests get the error "
				       "wamp.error.authorization_failed",
	};

	log_limited(&qs->full_rate[kind], loop_now_ms(qs->link.loop), LOG_LEVEL_WARN,
		    qs->link.conf->name,
		    "the hold queue is full: further %s held=%" PRIu64 " bytes=%" PRIu64
		    " limit=hold_queue max=%d suppressed=%u",
		    what[kind], qs->n_held[kind], qs->bytes[kind],
		    qs->limits->hold_queue);
}

/*
 * Tells the workers when no more logins can be held, and again when a quarter of the room
 * is free.
 */
static void report_fullness(struct questions *qs)
{
	unsigned max = (unsigned)qs->limits->hold_queue;
	enum question_kind kind = QUESTION_AUTHENTICATE;
	bool full = qs->full_reported
			    ? is_full(qs, kind, max - max / 4, MAX_BYTES - MAX_BYTES / 4)
			    : is_full(qs, kind, max, MAX_BYTES);

	if (full == qs->full_reported)
		return;
	/* If memory is short, the next tick tries again. */
	if (!outbox_send_all(qs->outbox, &(struct post){
						 .type = POST_HOLD_QUEUE,
						 .id = qs->index,
						 .full = full,
					 }))
		return;
	qs->full_reported = full;
	if (full)
		log_full(qs, kind);
}

static bool holds_any(const struct questions *qs)
{
	return qs->n_held[QUESTION_AUTHENTICATE] > 0 ||
	       qs->n_held[QUESTION_AUTHORIZE] > 0;
}

static void insert_question(struct question *qu, enum question_place place)
{
	struct questions *qs = qu->all;

	qu->place = place;
	TAILQ_INSERT_TAIL(&qs->places[place], qu, link);
	if (place == QUESTION_IN_FLIGHT) {
		qs->n_in_flight++;
		return;
	}
	if (!holds_any(qs))
		timer_arm(&qs->tick, TICK_MS);
	qs->n_held[qu->q->kind]++;
}

static void list_remove(struct question *qu)
{
	struct questions *qs = qu->all;

	TAILQ_REMOVE(&qs->places[qu->place], qu, link);
	*(qu->place == QUESTION_IN_FLIGHT ? &qs->n_in_flight
					  : &qs->n_held[qu->q->kind]) -= 1;
}

static void move(struct question *qu, enum question_place to)
{
	list_remove(qu);
	insert_question(qu, to);
	report_fullness(qu->all);
}

static void forget(struct question *qu)
{
	struct questions *qs = qu->all;

	list_remove(qu);
	HASH_DELETE(hh, qs->table, qu);
	qs->bytes[qu->q->kind] -= qu->q->len;
	login_message_free(&qu->q);
	free(qu);
	report_fullness(qs);
}

/* Posts an answer with the mail that was reserved for the question. */
static void post_answer(struct questions *qs, struct login_message *q,
			struct session_ref to, enum login_outcome outcome,
			const struct lookup_stamp *stamp, struct slice bytes)
{
	static const uint8_t types[] = {
		[QUESTION_AUTHENTICATE] = POST_LOGIN_ANSWER,
		[QUESTION_AUTHORIZE] = POST_AUTHORIZED,
	};
	struct login_message answer = {
		.outcome = outcome,
		.stamp = *stamp,
		.deadline_ms = q->deadline_ms,
	};

	post_send_reserved(qs->outbox, to.worker,
			   &(struct post){
				   .type = types[q->kind],
				   .session = to,
				   .id = q->number,
				   .login = login_message_new(&answer, bytes),
			   },
			   &q->mail);
}

static void answer_question(struct question *qu, enum login_outcome outcome,
			    struct slice bytes)
{
	post_answer(qu->all, qu->q, qu->session, outcome, &qu->stamp, bytes);
	forget(qu);
}

/* Answers that there is no decision, and why. */
static void answer_none(struct question *qu, enum login_outcome why)
{
	qu->all->unavailable++;
	answer_question(qu, why, slice_of(NULL, 0));
}

/* Answers that no decision is possible, and that another attempt would fail, too. */
static void answer_internal(struct question *qu, const char *detail)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	fields_write_item(&b, &auth_error_table,
			  &(struct auth_error){
				  .kind = AUTH_ERROR_INTERNAL,
				  .detail = slice_str(detail),
				  .retry_after_ms = FIELD_NONE,
			  });
	answer_question(qu, LOGIN_ERROR, buf_slice(&b));
	buf_fini(&b);
}

/*
 * Called when the link broke while the question was in flight. Gives up the second time.
 */
static void suspect(struct question *qu)
{
	if (!qu->suspect) {
		qu->suspect = true;
		move(qu, QUESTION_SUSPECT);
		return;
	}
	qu->all->link_broke++;
	answer_none(qu, LOGIN_LINK_BROKE);
}

static enum question_place held_place(enum question_kind kind)
{
	return (enum question_place)(QUESTION_HELD_LOGIN + kind);
}

static void hold(struct question *qu)
{
	move(qu, qu->suspect ? QUESTION_SUSPECT : held_place(qu->q->kind));
}

static void send_cancel(struct questions *qs, uint32_t msgid)
{
	struct buf b;

	if ((qs->link.features & AUTH_FEATURE_CANCEL) == 0)
		return;
	buf_init(&b, AUTH_MAX_MESSAGE);
	auth_cancel_write(&b, msgid);
	int err = rpc_notify(qs->link.rpc, AUTH_NOTIFY_CANCEL, buf_slice(&b));
	/* Ignore errors: the cancel only saves the authenticator some work. */
	(void)err;
	buf_fini(&b);
}

/*
 * Schedules a second attempt. False if there was one already, or if there is no time
 * left.
 */
static bool retry_later(struct question *qu, uint64_t after_ms)
{
	uint64_t now = loop_now_ms(qu->all->link.loop);
	uint64_t left = qu->hold_until_ms > now ? qu->hold_until_ms - now : 0;

	if (after_ms == FIELD_NONE)
		after_ms = TICK_MS;
	if (qu->retry_at_ms != 0 || after_ms >= left)
		return false;
	qu->retry_at_ms = now + after_ms;
	move(qu, QUESTION_RESTING);
	return true;
}

static void pump(struct questions *qs);

static void on_question_answer(const struct rpc_answer *ans, void *arg)
{
	struct question *qu = arg;
	struct questions *qs = qu->all;
	struct auth_error error;

	/* Any answer, even an invalid one, shows that the authenticator works. */
	if (ans->outcome == RPC_OK || ans->outcome == RPC_ERROR ||
	    ans->outcome == RPC_INVALID)
		link_answered(&qs->link);
	switch (ans->outcome) {
	case RPC_OK:
		qs->results++;
		answer_question(qu, LOGIN_RESULT, ans->result);
		break;
	case RPC_ERROR:
		qs->errors++;
		auth_error_read(ans->error, &error);
		if (error.kind != AUTH_ERROR_TEMPORARY ||
		    !retry_later(qu, error.retry_after_ms))
			answer_question(qu, LOGIN_ERROR, ans->error);
		break;
	case RPC_TIMEOUT:
		qs->timeouts++;
		send_cancel(qs, qu->msgid);
		answer_none(qu, LOGIN_TIMEOUT);
		break;
	case RPC_INVALID:
		qs->invalid++;
		answer_internal(qu, ans->err == E_LIMIT || ans->err == E_DEPTH
					    ? "the answer exceeds a limit of the protocol"
					    : "the answer is malformed");
		break;
	case RPC_CLOSED:
		/* If the answer to another question broke the connection, this
		 * question is no suspect. */
		if (ans->other)
			hold(qu);
		else
			suspect(qu);
		/* The link is down, so do not call pump. */
		return;
	}
	pump(qs);
}

/* Writes the parameters of q again, in at most max bytes. */
static int write_shorter(struct buf *out, const struct login_message *q, size_t max)
{
	struct auth_authorize authorize;
	struct auth_request request;
	int err;

	if (q->kind == QUESTION_AUTHORIZE) {
		err = auth_authorize_read(login_message_bytes(q), &authorize);
		return err != 0 ? err : auth_authorize_write(out, &authorize, max);
	}
	err = auth_request_read(login_message_bytes(q), &request);
	return err != 0 ? err : auth_request_write(out, &request, max);
}

/*
 * Writes a question again, shorter: the authenticator accepts less than the worker
 * assumed when it wrote the question. E_NOMEM. E_LIMIT: even the shortest form is too
 * long, because of the ticket.
 */
static int shorten(struct question *qu)
{
	struct questions *qs = qu->all;
	struct login_message *shorter = NULL;
	struct buf b;

	buf_init_secret(&b, AUTH_MAX_MESSAGE);
	int err = write_shorter(&b, qu->q, qs->link.max_message);
	if (err == 0)
		shorter = login_message_new(qu->q, buf_slice(&b));
	buf_fini(&b);
	if (shorter == NULL)
		return err == E_LIMIT ? E_LIMIT : E_NOMEM;
	qs->bytes[qu->q->kind] -= qu->q->len - shorter->len;
	/* The new question has the mail now. */
	qu->q->mail = NULL;
	login_message_free(&qu->q);
	qu->q = shorter;
	return 0;
}

/*
 * Sends a held question. False if it cannot be sent now. Then the questions behind it
 * must wait, too.
 */
static bool send_question(struct question *qu)
{
	static const char *const methods[] = {
		[QUESTION_AUTHENTICATE] = AUTH_METHOD_AUTHENTICATE,
		[QUESTION_AUTHORIZE] = AUTH_METHOD_AUTHORIZE,
	};
	struct questions *qs = qu->all;
	enum question_kind kind = qu->q->kind;
	uint64_t now = loop_now_ms(qs->link.loop);
	/* If the deadline has passed, but no tick has come since, let the call time out.
	 */
	uint64_t left = qu->q->deadline_ms > now ? qu->q->deadline_ms - now : 1;

	/* The authenticator's features were not known when the question was asked. */
	if (kind == QUESTION_AUTHORIZE &&
	    (qs->link.features & AUTH_FEATURE_AUTHORIZE) == 0) {
		answer_none(qu, LOGIN_UNSUPPORTED);
		return true;
	}
	int err = qu->q->len + AUTH_ENVELOPE > qs->link.max_message ? shorten(qu) : 0;
	if (err != 0) {
		if (err == E_LIMIT)
			answer_internal(
				qu,
				"the ticket is longer than the authenticator accepts");
		else
			answer_none(qu, LOGIN_NO_MEMORY);
		return true;
	}
	/* A revocation that arrives after this may be newer than the answer. */
	qu->stamp = (struct lookup_stamp){
		.asked = true,
		.authenticator = qs->index,
		.link = qs->link.number,
		.revocations = *qs->revocations,
	};
	struct rpc_call call = {
		.method = methods[kind],
		.params = login_message_bytes(qu->q),
		.timeout_ms = min_size(left, qs->link.conf->timeout),
		.cb = on_question_answer,
		.arg = qu,
	};
	if (rpc_call(qs->link.rpc, &call, &qu->msgid) != 0)
		return false;
	qs->asked[kind]++;
	move(qu, QUESTION_IN_FLIGHT);
	return true;
}

static bool may_send(const struct questions *qs)
{
	return qs->link.state == LINK_UP && !qs->link.ping_due &&
	       qs->n_in_flight < qs->link.max_questions &&
	       !rpc_conn_congested(qs->link.rpc);
}

/* The held question to send next. The two kinds take turns. NULL if none is held. */
static struct question *next_held(const struct questions *qs)
{
	enum question_kind kind = (enum question_kind)qs->kind_next;
	struct question *qu = TAILQ_FIRST(&qs->places[held_place(kind)]);

	if (qu == NULL)
		qu = TAILQ_FIRST(&qs->places[held_place(1 - kind)]);
	return qu;
}

/*
 * Sends as many held questions as the authenticator accepts. A suspect is never in flight
 * together with another question.
 */
static void pump(struct questions *qs)
{
	struct question *qu = TAILQ_FIRST(&qs->places[QUESTION_IN_FLIGHT]);
	struct question *first = TAILQ_FIRST(&qs->places[QUESTION_SUSPECT]);

	if (qu != NULL && (first != NULL || qu->suspect))
		/* Wait until the questions in flight are answered. */
		return;
	if (first != NULL && (qs->suspect_next || next_held(qs) == NULL)) {
		qs->suspect_next = false;
		if (may_send(qs))
			send_question(first);
		return;
	}
	qs->suspect_next = true;
	while (may_send(qs) && (qu = next_held(qs)) != NULL) {
		qs->kind_next = qu->q->kind == QUESTION_AUTHENTICATE
					? QUESTION_AUTHORIZE
					: QUESTION_AUTHENTICATE;
		if (!send_question(qu))
			return;
	}
}

/* Checks the times of a held question. */
static void check_times(struct question *qu, uint64_t now)
{
	if (qu->hold_until_ms <= now)
		answer_none(qu, qu->all->link.state == LINK_UP ? LOGIN_BUSY
							       : LOGIN_UNAVAILABLE);
	else if (qu->place == QUESTION_RESTING && qu->retry_at_ms <= now)
		hold(qu);
}

static void on_questions_tick(void *arg)
{
	struct questions *qs = arg;
	struct question *qu, *next;
	uint64_t now = loop_now_ms(qs->link.loop);

	for (int place = 0; place < QUESTION_IN_FLIGHT; place++)
		for (qu = TAILQ_FIRST(&qs->places[place]); qu != NULL; qu = next) {
			next = TAILQ_NEXT(qu, link);
			check_times(qu, now);
		}
	pump(qs);
	report_fullness(qs);
	if (holds_any(qs) || qs->full_reported)
		timer_arm(&qs->tick, TICK_MS);
}

/* NULL if out of memory. */
static struct question *question_new(struct questions *qs, struct session_ref session,
				     struct login_message *q)
{
	struct question *qu = calloc(1, sizeof(*qu));

	if (qu == NULL)
		return NULL;
	qu->session = session;
	qu->all = qs;
	qu->q = q;
	qu->hold_until_ms = loop_now_ms(qs->link.loop) + qs->limits->hold_timeout;
	if (qu->hold_until_ms > q->deadline_ms)
		qu->hold_until_ms = q->deadline_ms;
	HASH_ADD(hh, qs->table, session, KEY_LEN, qu);
	/* If memory ran out, HASH_ADD has not added the question. */
	if (!table_has(qu)) {
		free(qu);
		return NULL;
	}
	return qu;
}

void questions_ask(struct questions *qs, struct session_ref session,
		   struct login_message *q)
{
	static const struct lookup_stamp none;
	struct question *qu = NULL;
	enum question_kind kind = q->kind;
	bool full = is_full(qs, kind, (unsigned)qs->limits->hold_queue, MAX_BYTES);

	if (full) {
		qs->overflow[kind]++;
		if (kind == QUESTION_AUTHORIZE) /* report_fullness logs it for logins */
			log_full(qs, kind);
	} else {
		qu = question_new(qs, session, q);
	}
	if (qu == NULL) {
		qs->unavailable++;
		post_answer(qs, q, session, full ? LOGIN_NO_ROOM : LOGIN_NO_MEMORY, &none,
			    slice_of(NULL, 0));
		login_message_free(&q);
		return;
	}
	qs->bytes[kind] += q->len;
	insert_question(qu, held_place(kind));
	pump(qs);
	/* Call this last: pump may have sent the question. */
	report_fullness(qs);
}

void questions_cancel(struct questions *qs, struct session_ref session)
{
	struct question *qu;

	HASH_FIND(hh, qs->table, &session, KEY_LEN, qu);
	if (qu == NULL)
		return;
	qs->canceled++;
	if (qu->place == QUESTION_IN_FLIGHT) {
		send_cancel(qs, qu->msgid);
		rpc_cancel(qs->link.rpc, qu->msgid);
	}
	forget(qu);
	pump(qs);
}

void questions_link_up(struct questions *qs)
{
	pump(qs);
}

void questions_link_down(struct link *l)
{
	struct questions *qs = container_of(l, struct questions, link);

	while (!TAILQ_EMPTY(&qs->places[QUESTION_IN_FLIGHT]))
		suspect(TAILQ_FIRST(&qs->places[QUESTION_IN_FLIGHT]));
}

void questions_init(struct questions *qs, struct loop *loop, const struct config *cfg,
		    const struct link_handlers *handlers)
{
	qs->limits = &cfg->limits;
	for (int kind = 0; kind < QUESTION_KIND_COUNT; kind++)
		qs->full_rate[kind].burst = 1;
	for (int place = 0; place < QUESTION_PLACE_COUNT; place++)
		TAILQ_INIT(&qs->places[place]);
	timer_init(&qs->tick, loop, on_questions_tick, qs);
	link_init(&qs->link, loop, cfg, qs->index, handlers);
}

void questions_fini(struct questions *qs)
{
	/* Close the link first, so that its callbacks cannot use the questions. */
	link_fini(&qs->link);
	while (qs->table != NULL)
		forget(qs->table);
	timer_disarm(&qs->tick);
}
