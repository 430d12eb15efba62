/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to one authenticator; see auth_client.h. Worker 0 only. */
#include "routerd/control/auth_client.h"

#include "common/err.h"
#include "common/rpc.h"
#include "common/sock.h"
#include "common/table.h"
#include "proto/auth_api.h"
#include "routerd/control/auth_hello.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/queue.h>

enum {
	BACKOFF_FIRST_MS = 50,
	BACKOFF_MAX_MS = 2000,
	TICK_MS = 100, /* held questions are looked at so often */
	MAX_OUT = 16 << 20,
	ENVELOPE_MAX = 32, /* what rpc puts around the parameters of a question */
};

enum link_state {
	LINK_DOWN = 0,      /* to be tried again when the timer fires */
	LINK_HELLO = 1,     /* connected; hello is on its way, or will be asked again */
	LINK_NOT_READY = 2, /* it says that it is starting; pinged until it is ready */
	LINK_UP = 3,
};

/* No padding: compared as bytes. */
struct question_key {
	uint32_t slot, generation;
	uint64_t worker;
};

struct question {
	struct question_key key;
	struct session_ref session;
	struct auth_client *client;
	struct login_question *q;
	uint64_t hold_until_ms; /* 0: was never held */
	bool sent;              /* in flight: msgid counts */
	bool retried;           /* its one second chance is used up */
	uint32_t msgid;
	struct lookup_stamp stamp;
	TAILQ_ENTRY(question) link; /* in held or in_flight */
	UT_hash_handle hh;
};
TAILQ_HEAD(question_list, question);

struct auth_client {
	struct control *control;
	struct loop *loop;
	struct outbox *outbox;
	const struct config *config;
	const struct config_authenticator *conf;
	uint16_t index;
	struct auth_hello_memory memory;

	enum link_state state;
	struct rpc_conn *rpc; /* NULL in DOWN */
	uint64_t link;        /* number of this connection, unique in the process */
	unsigned features;
	unsigned max_inflight;
	size_t max_message;
	unsigned failures; /* to connect, in a row */
	unsigned misses;   /* pings without an answer, in a row */
	bool outage_logged;
	struct timer timer; /* DOWN: connect; HELLO: ask again; else: ping */

	struct question *questions; /* table of all, by session */
	struct question_list held, in_flight;
	unsigned n_held, n_in_flight;
	bool full_said;    /* the workers believe that no more can be held */
	struct timer tick; /* armed while something is held */

	struct {
		uint64_t asked, results, errors, timeouts, unavailable, cancelled,
			overflow;
		uint64_t connects, revokes, unknown_notifications;
	} stats;
};

static uint64_t last_link; /* worker 0 alone numbers them */

static void connect_now(struct auth_client *a);
static void link_down(struct auth_client *a, const char *why);
static void pump(struct auth_client *a);

static const char *name_of(const struct auth_client *a)
{
	return a->conf->name;
}

/* --- questions --- */

static struct question_key key_of(struct session_ref s)
{
	return (struct question_key){
		.slot = s.slot, .generation = s.generation, .worker = s.worker};
}

/* Tells the workers when the hold queue is full, and when a quarter of it is free again.
 */
static void note_fullness(struct auth_client *a)
{
	unsigned max = (unsigned)a->config->limits.hold_queue;
	bool full = a->n_held >= (a->full_said ? max - max / 4 : max);

	if (full == a->full_said)
		return;
	a->full_said = full;
	outbox_send_all(a->outbox, &(struct post){
					   .type = POST_HOLD_QUEUE,
					   .id = a->index,
					   .full = full,
				   });
}

static void list_remove(struct question *qu)
{
	struct auth_client *a = qu->client;

	if (qu->sent) {
		TAILQ_REMOVE(&a->in_flight, qu, link);
		a->n_in_flight--;
	} else {
		TAILQ_REMOVE(&a->held, qu, link);
		a->n_held--;
		note_fullness(a);
	}
}

static void hold(struct question *qu)
{
	struct auth_client *a = qu->client;
	uint64_t now = loop_now_ms(a->loop);

	qu->sent = false;
	if (qu->hold_until_ms == 0) {
		qu->hold_until_ms = now + a->config->limits.hold_timeout;
		if (qu->hold_until_ms > qu->q->deadline_ms)
			qu->hold_until_ms = qu->q->deadline_ms;
	}
	TAILQ_INSERT_TAIL(&a->held, qu, link);
	if (a->n_held++ == 0)
		timer_arm(&a->tick, TICK_MS);
	note_fullness(a);
}

static void forget(struct question *qu)
{
	struct auth_client *a = qu->client;

	list_remove(qu);
	HASH_DELETE(hh, a->questions, qu);
	free(qu->q);
	free(qu);
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

static void on_answer(const struct rpc_answer *ans, void *arg)
{
	struct question *qu = arg;
	struct auth_client *a = qu->client;
	struct auth_error e;

	switch (ans->outcome) {
	case RPC_OK:
		a->stats.results++;
		answer(qu, LOGIN_RESULT, ans->result);
		break;
	case RPC_ERROR:
		a->stats.errors++;
		auth_error_read(ans->error, &e);
		if (e.kind == AUTH_ERROR_TEMPORARY && !qu->retried) {
			qu->retried = true;
			list_remove(qu);
			hold(qu);
		} else {
			answer(qu, LOGIN_ERROR, ans->error);
		}
		break;
	case RPC_TIMEOUT:
		a->stats.timeouts++;
		send_cancel(a, qu->msgid);
		answer_unavailable(qu);
		break;
	case RPC_CLOSED: /* asked again when the authenticator is back */
		list_remove(qu);
		hold(qu);
		return;
	}
	pump(a);
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
	list_remove(qu);
	qu->sent = true;
	TAILQ_INSERT_TAIL(&a->in_flight, qu, link);
	a->n_in_flight++;
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

/* Sends as many of the held as the authenticator takes at a time. */
static void pump(struct auth_client *a)
{
	while (a->state == LINK_UP && a->n_held > 0 && a->n_in_flight < a->max_inflight) {
		struct question *qu = TAILQ_FIRST(&a->held);
		if (qu->q->len + ENVELOPE_MAX > a->max_message)
			answer_too_long(qu);
		else if (!send_question(qu))
			return;
	}
}

static void on_tick(void *arg)
{
	struct auth_client *a = arg;
	struct question *qu, *next;
	uint64_t now = loop_now_ms(a->loop);

	for (qu = TAILQ_FIRST(&a->held); qu != NULL; qu = next) {
		next = TAILQ_NEXT(qu, link);
		if (qu->hold_until_ms <= now)
			answer_unavailable(qu);
	}
	pump(a);
	if (a->n_held > 0)
		timer_arm(&a->tick, TICK_MS);
}

void auth_client_ask(struct auth_client *a, struct session_ref session,
		     struct login_question *q)
{
	static const struct lookup_stamp none;
	struct question *qu = NULL;

	if (a->n_held < (unsigned)a->config->limits.hold_queue)
		qu = calloc(1, sizeof(*qu));
	else
		a->stats.overflow++;
	if (qu == NULL) {
		free(q);
		a->stats.unavailable++;
		post_answer(a, session, LOGIN_UNAVAILABLE, &none, slice_of(NULL, 0));
		return;
	}
	qu->key = key_of(session);
	qu->session = session;
	qu->client = a;
	qu->q = q;
	hold(qu);
	HASH_ADD(hh, a->questions, key, sizeof(qu->key), qu);
	if (!table_has(qu)) {
		list_remove(qu);
		post_answer(a, session, LOGIN_UNAVAILABLE, &none, slice_of(NULL, 0));
		free(qu->q);
		free(qu);
		return;
	}
	pump(a);
}

void auth_client_cancel(struct auth_client *a, struct session_ref session)
{
	struct question_key key = key_of(session);
	struct question *qu;

	HASH_FIND(hh, a->questions, &key, sizeof(key), qu);
	if (qu == NULL)
		return;
	a->stats.cancelled++;
	if (qu->sent) {
		send_cancel(a, qu->msgid);
		rpc_cancel(a->rpc, qu->msgid);
	}
	forget(qu);
	pump(a);
}

void auth_client_report(struct auth_client *a, const struct login_report *r)
{
	if (a->state != LINK_UP || (a->features & AUTH_FEATURE_EVENTS) == 0)
		return;
	int rc = rpc_notify(a->rpc, r->method, slice_of(r->params, r->len));
	(void)rc; /* records are not worth failing for */
}

/* --- revocations and other requests of the authenticator --- */

static void reply_error(struct rpc_request *req, const char *uri, const char *message)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	auth_error_write(&b, &(struct auth_error){
				     .kind = AUTH_ERROR_INTERNAL,
				     .uri = slice_str(uri),
				     .message = slice_str(message),
				     .retry_after_ms = FIELD_NONE,
			     });
	rpc_reply_error(req, buf_slice(&b));
	buf_fini(&b);
}

static void on_revoke(struct auth_client *a, struct rpc_request *req, struct slice params)
{
	struct auth_revoke v;
	int rc = auth_revoke_read(params, &v);

	if (rc != 0) {
		log_error(name_of(a), "a revoke that cannot be read: %s", err_str(rc));
		reply_error(req, AUTH_ERROR_INVALID_ARGUMENT, err_str(rc));
		return;
	}
	a->stats.revokes++;
	struct revocation r = {
		.authenticator = a->index,
		.has_epoch = v.epoch != AUTH_NO_EPOCH,
		.dry_run = v.dry_run,
		.epoch = v.epoch,
		.link = a->link,
		.authid = v.match.authid,
		.pubkey = v.match.pubkey,
		.role = v.match.role,
		.realm = v.match.realm,
		.session = v.match.session == FIELD_NONE ? 0 : v.match.session,
		.uri = v.uri,
		.message = v.message,
	};
	control_revoke(a->control, &r, req);
}

static void on_ping_request(struct auth_client *a, struct rpc_request *req)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	auth_ping_result_write(&b, &(struct auth_ping_result){
					   .ready = true,
					   .inflight = a->n_in_flight,
					   .epoch = FIELD_NONE,
				   });
	rpc_reply(req, buf_slice(&b));
	buf_fini(&b);
}

static void on_request(struct rpc_request *req, struct slice method, struct slice params,
		       void *arg)
{
	struct auth_client *a = arg;

	if (slice_eq_str(method, AUTH_METHOD_REVOKE))
		on_revoke(a, req, params);
	else if (slice_eq_str(method, AUTH_METHOD_PING))
		on_ping_request(a, req);
	else
		reply_error(req, AUTH_ERROR_NO_SUCH_METHOD, "no such method");
}

static void on_notification(struct slice method, struct slice params, void *arg)
{
	struct auth_client *a = arg;

	(void)method;
	(void)params;
	a->stats.unknown_notifications++;
}

/* --- the link --- */

static void on_closed(int reason, void *arg)
{
	link_down(arg, err_str(reason));
}

static const struct rpc_handlers handlers = {
	.check = auth_check,
	.request = on_request,
	.notification = on_notification,
	.closed = on_closed,
};

/* Full jitter, so that many routers do not come back in step. */
static uint64_t backoff_ms(unsigned failures)
{
	unsigned shift = failures < 6 ? failures : 6;
	unsigned most = BACKOFF_FIRST_MS << shift;

	if (most > BACKOFF_MAX_MS)
		most = BACKOFF_MAX_MS;
	return 1 + randombytes_uniform(most);
}

/* One line an outage; the end of it is a line too. */
static void log_outage(struct auth_client *a, const char *why)
{
	if (a->outage_logged)
		return;
	a->outage_logged = true;
	log_error(
		name_of(a),
		"authenticator is not available socket=%s reason=\"%s\"; logins are held",
		a->conf->socket, why);
}

static void link_down(struct auth_client *a, const char *why)
{
	/* pending calls were told RPC_CLOSED: their questions are held again */
	rpc_conn_free(&a->rpc);
	while (!TAILQ_EMPTY(&a->in_flight)) {
		struct question *qu = TAILQ_FIRST(&a->in_flight);
		list_remove(qu);
		hold(qu);
	}
	a->state = LINK_DOWN;
	a->features = 0;
	a->misses = 0;
	log_outage(a, why);
	timer_arm(&a->timer, backoff_ms(a->failures));
	if (a->failures < UINT32_MAX)
		a->failures++;
}

static void become_ready(struct auth_client *a)
{
	a->state = LINK_UP;
	a->outage_logged = false;
	log_info(name_of(a), "authenticator is available socket=%s revoke=%s",
		 a->conf->socket, a->features & AUTH_FEATURE_REVOKE ? "yes" : "no");
	pump(a);
}

static void on_pong(const struct rpc_answer *ans, void *arg)
{
	struct auth_client *a = arg;
	struct auth_ping_result res = {.ready = true};

	if (ans->outcome == RPC_TIMEOUT) {
		if (++a->misses >= AUTH_PING_MISSES)
			link_down(a, "it does not answer pings");
		return;
	}
	if (ans->outcome == RPC_CLOSED)
		return;
	a->misses = 0; /* an error is an answer too: it need not know ping */
	if (ans->outcome == RPC_OK && auth_ping_result_read(ans->result, &res) != 0)
		res.ready = false;
	if (a->state == LINK_NOT_READY && res.ready)
		become_ready(a);
}

static void send_ping(struct auth_client *a)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	auth_ping_write(&b);
	int rc = rpc_call(a->rpc,
			  &(struct rpc_call){
				  .method = AUTH_METHOD_PING,
				  .params = buf_slice(&b),
				  .timeout_ms = AUTH_PING_MS,
				  .cb = on_pong,
				  .arg = a,
			  },
			  NULL);
	(void)rc; /* with so much in flight the answers show whether it is alive */
	buf_fini(&b);
	timer_arm(&a->timer, a->state == LINK_UP ? AUTH_PING_MS : TICK_MS);
}

static void link_up(struct auth_client *a, bool ready)
{
	a->state = LINK_NOT_READY;
	a->failures = 0;
	if ((a->features & AUTH_FEATURE_REVOKE) == 0)
		log_warn(name_of(a),
			 "this authenticator does not revoke: sessions of removed "
			 "principals live on");
	timer_arm(&a->timer, ready ? AUTH_PING_MS : TICK_MS);
	if (ready)
		become_ready(a);
}

/* Connected, but it cannot or must not be used: logins are held, hello is asked again. */
static void not_usable(struct auth_client *a, const char *why)
{
	log_outage(a, why);
	timer_arm(&a->timer, backoff_ms(a->failures));
	a->failures++;
}

static void hello_result(struct auth_client *a, struct slice result)
{
	struct auth_hello_result h;
	int rc = auth_hello_result_read(result, &h);

	if (rc != 0) {
		link_down(a, "its answer to hello cannot be read");
		return;
	}
	if (h.protocol.major != AUTH_VERSION_MAJOR) {
		link_down(a, "it speaks another major version; is an upgrade half done?");
		return;
	}
	if ((a->conf->require_features & CONFIG_FEATURE_REVOKE) != 0 &&
	    (h.features & AUTH_FEATURE_REVOKE) == 0) {
		not_usable(a,
			   "the configuration requires revoke, which it does not offer");
		return;
	}
	a->features = h.features;
	a->max_inflight = h.max_inflight < AUTH_MAX_INFLIGHT ? (unsigned)h.max_inflight
							     : AUTH_MAX_INFLIGHT;
	if (a->max_inflight == 0)
		a->max_inflight = 1;
	a->max_message = min_size(a->max_message, (size_t)h.max_message);
	rpc_conn_lower_limits(a->rpc, a->max_message, a->max_inflight + 1);
	a->memory.last_epoch = h.epoch;
	size_t n = min_size(h.db.len, sizeof(a->memory.last_db) - 1);
	if (n > 0)
		memcpy(a->memory.last_db, h.db.p, n);
	a->memory.last_db[n] = '\0';
	link_up(a, h.ready);
}

static void on_hello_answer(const struct rpc_answer *ans, void *arg)
{
	struct auth_client *a = arg;
	struct auth_error e;

	switch (ans->outcome) {
	case RPC_OK:
		hello_result(a, ans->result);
		return;
	case RPC_ERROR:
		auth_error_read(ans->error, &e);
		if (slice_eq_str(e.uri, AUTH_ERROR_UNSUPPORTED_VERSION))
			link_down(a, "it speaks another major version");
		else if (!slice_eq_str(e.uri, AUTH_ERROR_NO_SUCH_METHOD))
			not_usable(a, "it is not ready");
		else if (a->conf->require_features != 0)
			not_usable(a,
				   "the configuration requires revoke, which it does not "
				   "offer");
		else
			link_up(a, true); /* the minimum: protocol 1.0 without features */
		return;
	case RPC_TIMEOUT:
		link_down(a, "it does not answer hello");
		return;
	case RPC_CLOSED:
		return;
	}
}

static void send_hello(struct auth_client *a)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	auth_hello_put(&b, a->config, &a->memory);
	int rc = b.err;
	if (rc == 0)
		rc = rpc_call(a->rpc,
			      &(struct rpc_call){
				      .method = AUTH_METHOD_HELLO,
				      .params = buf_slice(&b),
				      .timeout_ms = AUTH_HELLO_MS,
				      .cb = on_hello_answer,
				      .arg = a,
			      },
			      NULL);
	buf_fini(&b);
	if (rc != 0)
		link_down(a, err_str(rc));
}

static bool user_allowed(struct auth_client *a, int fd)
{
	struct sock_cred cred;

	if (sock_peer_cred(fd, &cred) != 0)
		return false;
	if (config_uid_allowed(a->conf, cred.uid))
		return true;
	if (!a->outage_logged)
		log_error(name_of(a),
			  "authenticator runs as uid=%u, which allow_users of the "
			  "configuration does not name",
			  (unsigned)cred.uid);
	return false;
}

static void connect_now(struct auth_client *a)
{
	static const struct rpc_limits limits = {
		.max_message = AUTH_MAX_MESSAGE,
		.max_out = MAX_OUT,
		.max_calls = AUTH_MAX_INFLIGHT + 1, /* and a ping */
		.max_requests = AUTH_MAX_INFLIGHT,
	};
	int fd;
	int rc = sock_connect_unix(a->conf->socket, &fd);

	if (rc != 0) {
		link_down(a, err_str(rc));
		return;
	}
	if (!user_allowed(a, fd)) {
		sock_close(&fd);
		link_down(a, "it runs as a user that is not allowed");
		return;
	}
	a->rpc = rpc_conn_new(a->loop, fd, &handlers, &limits, a);
	if (a->rpc == NULL) {
		link_down(a, err_str(E_NOMEM));
		return;
	}
	a->stats.connects++;
	a->link = ++last_link;
	a->state = LINK_HELLO;
	a->max_inflight = AUTH_MAX_INFLIGHT;
	a->max_message = AUTH_MAX_MESSAGE;
	send_hello(a);
}

static void on_timer(void *arg)
{
	struct auth_client *a = arg;

	switch (a->state) {
	case LINK_DOWN:
		connect_now(a);
		return;
	case LINK_HELLO:
		send_hello(a);
		return;
	case LINK_NOT_READY:
	case LINK_UP:
		send_ping(a);
		return;
	}
}

struct auth_client *auth_client_new(struct control *c, struct loop *l,
				    const struct config *cfg, uint16_t index,
				    struct outbox *outbox)
{
	struct auth_client *a = calloc(1, sizeof(*a));
	uint8_t instance[16];

	if (a == NULL)
		return NULL;
	a->control = c;
	a->loop = l;
	a->outbox = outbox;
	a->config = cfg;
	a->conf = &cfg->authenticators[index];
	a->index = index;
	a->memory.last_epoch = AUTH_NO_EPOCH;
	randombytes_buf(instance, sizeof(instance));
	sodium_bin2hex(a->memory.instance, sizeof(a->memory.instance), instance,
		       sizeof(instance));
	TAILQ_INIT(&a->held);
	TAILQ_INIT(&a->in_flight);
	timer_init(&a->timer, l, on_timer, a);
	timer_init(&a->tick, l, on_tick, a);
	timer_arm(&a->timer, 0);
	return a;
}

void auth_client_free(struct auth_client **ap)
{
	struct auth_client *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	timer_disarm(&a->timer);
	timer_disarm(&a->tick);
	rpc_conn_free(&a->rpc);
	while (!TAILQ_EMPTY(&a->in_flight))
		forget(TAILQ_FIRST(&a->in_flight));
	while (!TAILQ_EMPTY(&a->held))
		forget(TAILQ_FIRST(&a->held));
	free(a);
}

void auth_client_log_stats(const struct auth_client *a)
{
	log_info(name_of(a),
		 "counters authenticator link_up=%d held=%u in_flight=%u asked=%llu "
		 "results=%llu errors=%llu timeouts=%llu unavailable=%llu cancelled=%llu "
		 "hold_overflow=%llu connects=%llu revokes=%llu",
		 a->state == LINK_UP, a->n_held, a->n_in_flight,
		 (unsigned long long)a->stats.asked, (unsigned long long)a->stats.results,
		 (unsigned long long)a->stats.errors,
		 (unsigned long long)a->stats.timeouts,
		 (unsigned long long)a->stats.unavailable,
		 (unsigned long long)a->stats.cancelled,
		 (unsigned long long)a->stats.overflow,
		 (unsigned long long)a->stats.connects,
		 (unsigned long long)a->stats.revokes);
}
