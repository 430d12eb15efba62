/* SPDX-License-Identifier: Apache-2.0 */
/* The link to one authenticator; see link.h. Thread of worker 0. */
#include "routerd/control/link.h"

#include "common/err.h"
#include "common/sock.h"
#include "proto/auth_api.h"

#include <sodium.h>
#include <stdio.h>

enum {
	BACKOFF_FIRST_MS = 50,
	BACKOFF_MAX_MS = 2000,
	/* Time to the next ping if the authenticator is not ready, or if a ping could
	 * not be sent. */
	SOON_MS = 100,
	MAX_OUT = 16 << 20, /* bytes */
};

#define X(field, name, type, help) {name, help, type, offsetof(struct link, field)},
const struct counter_table link_counter_table =
	COUNTER_TABLE(struct link, LINK_COUNTERS(X));
#undef X

static uint64_t last_link; /* number of the newest connection, of all links */

void link_answered(struct link *l)
{
	l->failures = 0;
}

void link_report(struct link *l, const char *method, struct slice params)
{
	if (l->state != LINK_UP || (l->features & AUTH_FEATURE_EVENTS) == 0)
		return;
	/* Drop the report if it cannot be sent: it is only for the authenticator's
	 * records. */
	if (rpc_conn_congested(l->rpc) || rpc_notify(l->rpc, method, params) != 0)
		l->lost_reports++;
}

/* A random delay, so that many routers do not reconnect at the same time. */
static uint64_t backoff_ms(unsigned failures)
{
	unsigned shift = failures < 6 ? failures : 6;
	unsigned most = BACKOFF_FIRST_MS << shift;

	if (most > BACKOFF_MAX_MS)
		most = BACKOFF_MAX_MS;
	return 1 + randombytes_uniform(most);
}

/*
 * Logs one line per outage, and one when the reason changes. become_ready logs the end.
 */
static void log_outage(struct link *l, const char *why)
{
	bool still = l->outage[0] != '\0';

	if (strncmp(l->outage, why, sizeof(l->outage) - 1) == 0)
		return;
	snprintf(l->outage, sizeof(l->outage), "%s", why);
	log_error(l->conf->name,
		  "authenticator is %s available: logins and requests wait socket=%s "
		  "reason=\"%s\"",
		  still ? "still not" : "not", l->conf->socket, why);
}

/* Makes a spare socket. If that fails, connect_now tries again. */
static void keep_spare(struct link *l)
{
	int err = l->spare == -1 ? sock_new_unix(&l->spare) : 0;

	(void)err;
}

static void link_down(struct link *l, const char *why)
{
	rpc_conn_free(&l->rpc);
	/* The descriptor of the connection is free now: take it for the spare socket. */
	keep_spare(l);
	l->state = LINK_DOWN;
	l->up = 0;
	l->handlers->down(l);
	l->features = 0;
	l->misses = 0;
	l->ping_due = false;
	log_outage(l, why);
	timer_arm(&l->timer, backoff_ms(l->failures));
	if (l->failures < UINT32_MAX)
		l->failures++;
}

static void on_link_closed(int err, void *arg)
{
	char why[100];

	snprintf(why, sizeof(why), "%s%s",
		 rpc_peer_fault(err) ? "the authenticator has sent an invalid message: "
				     : "",
		 err_str(err));
	link_down(arg, why);
}

static void on_link_request(struct rpc_request *req, struct slice method,
			    struct slice params, void *arg)
{
	struct link *l = arg;

	l->handlers->request(l, req, method, params);
}

static const struct rpc_handlers rpc_handlers = {
	.read = auth_msg_read,
	.fallback_error = auth_fallback_error,
	.request = on_link_request,
	.closed = on_link_closed,
};

static void become_ready(struct link *l)
{
	l->state = LINK_UP;
	l->up = 1;
	l->outage[0] = '\0';
	log_info(l->conf->name, "authenticator is available socket=%s revoke=%s",
		 l->conf->socket, l->features & AUTH_FEATURE_REVOKE ? "yes" : "no");
	if (!l->handlers->up(l))
		link_down(l, err_str(E_NOMEM));
}

static void on_pong(const struct rpc_answer *ans, void *arg)
{
	struct link *l = arg;
	struct auth_ping_result res;

	if (ans->outcome == RPC_TIMEOUT) {
		if (++l->misses >= AUTH_PING_MISSES)
			link_down(l, "the authenticator does not answer pings");
		return;
	}
	if (ans->outcome == RPC_CLOSED)
		return;
	/* An error counts as an answer: an authenticator need not implement ping. */
	l->misses = 0;
	l->ping_due = false;
	link_answered(l);
	if (l->state == LINK_NOT_READY && ans->outcome == RPC_OK &&
	    fields_read_item(ans->result, &auth_ping_result_table, &res) == 0 &&
	    res.ready)
		become_ready(l);
}

/*
 * Sends a ping. If that is impossible now, no question is sent before the ping: otherwise
 * a link that always has questions in flight would never be checked.
 */
static void send_ping(struct link *l)
{
	const struct rpc_call ping = {
		.method = AUTH_METHOD_PING,
		.timeout_ms = AUTH_PING_MS,
		.cb = on_pong,
		.arg = l,
	};

	l->ping_due = rpc_call(l->rpc, &ping, NULL) != 0;
	timer_arm(&l->timer,
		  l->state == LINK_UP && !l->ping_due ? AUTH_PING_MS : SOON_MS);
}

/* Logs that a feature is missing, unless it was missing in the last connection, too. */
static void warn_once(const struct link *l, bool missing, bool *logged, const char *text)
{
	if (missing && !*logged)
		log_warn(l->conf->name, "the authenticator does not support %s", text);
	*logged = missing;
}

static void link_up(struct link *l, bool ready)
{
	bool revokes = (l->features & AUTH_FEATURE_REVOKE) != 0;
	bool authorizes = (l->features & AUTH_FEATURE_AUTHORIZE) != 0 ||
			  !config_is_authorizer(l->config, l->conf->name);

	l->state = LINK_NOT_READY;
	warn_once(l, !revokes, &l->no_revoke_logged,
		  "revoke: sessions of removed principals stay open");
	warn_once(l, !authorizes, &l->no_authorize_logged,
		  "authorize: requests of sessions whose role has this authorizer fail "
		  "with wamp.error.authorization_failed");
	timer_arm(&l->timer, ready ? AUTH_PING_MS : SOON_MS);
	if (ready)
		become_ready(l);
	else
		log_outage(l, "the authenticator is not ready");
}

/*
 * The authenticator is connected but cannot be used: logins wait, and hello is sent
 * again later.
 */
static void not_usable(struct link *l, const char *why)
{
	log_outage(l, why);
	timer_arm(&l->timer, backoff_ms(l->failures));
	l->failures++;
}

#define REVOKE_REQUIRED                                                                  \
	"the authenticator does not support revoke, which require_features lists"
#define OTHER_VERSION                                                                    \
	"the authenticator uses another major version of the protocol: upgrade it or "   \
	"routerd"

static bool lacks_revoke(const struct link *l, unsigned features)
{
	return (l->conf->require_features & CONFIG_FEATURE_REVOKE) != 0 &&
	       (features & AUTH_FEATURE_REVOKE) == 0;
}

/*
 * Stores the authenticator's limits and features, and the values to send in the next
 * hello.
 */
static void take_hello(struct link *l, const struct auth_hello_result *h)
{
	unsigned in_flight = (unsigned)min_size(AUTH_MAX_INFLIGHT, h->max_inflight);
	size_t n = min_size(h->db.len, sizeof(l->memory.last_db) - 1);

	l->features = h->features;
	/* Leave room for a ping. */
	l->max_questions = in_flight > 2 ? in_flight - 1 : 1;
	l->max_message = min_size(l->max_message, (size_t)h->max_message);
	rpc_conn_lower_limits(l->rpc, l->max_message, in_flight > 0 ? in_flight : 1);
	l->memory.last_epoch = h->epoch;
	if (n > 0)
		memcpy(l->memory.last_db, h->db.p, n);
	l->memory.last_db[n] = '\0';
	link_up(l, h->ready);
}

static void hello_result(struct link *l, struct slice result)
{
	struct auth_hello_result h;
	int err = fields_read_item(result, &auth_hello_result_table, &h);

	if (err != 0)
		link_down(l, "the authenticator's answer to hello is invalid");
	else if (h.protocol.major != AUTH_VERSION_MAJOR)
		link_down(l, OTHER_VERSION);
	else if (h.max_message < AUTH_MIN_MESSAGE)
		not_usable(l, "the authenticator's max_message is below the minimum of "
			      "4096 bytes");
	else if (lacks_revoke(l, h.features))
		not_usable(l, REVOKE_REQUIRED);
	else
		take_hello(l, &h);
}

static void hello_refused(struct link *l, const struct auth_error *error)
{
	struct slice text = error->message.len > 0  ? error->message
			    : error->detail.len > 0 ? error->detail
						    : error->uri;
	char why[sizeof(l->outage)];

	if (slice_eq_str(error->uri, AUTH_ERROR_UNSUPPORTED_VERSION)) {
		link_down(l, OTHER_VERSION);
	} else if (!slice_eq_str(error->uri, AUTH_ERROR_NO_SUCH_METHOD)) {
		snprintf(why, sizeof(why),
			 "the authenticator has answered hello with an error: %.100s",
			 log_quote_text(text).text);
		not_usable(l, why);
	} else if (lacks_revoke(l, 0)) {
		not_usable(l, REVOKE_REQUIRED);
	} else {
		/* The authenticator implements only the minimum: protocol 1.0 without
		 * features. */
		link_up(l, true);
	}
}

static void on_hello_answer(const struct rpc_answer *ans, void *arg)
{
	struct link *l = arg;
	struct auth_error error;

	switch (ans->outcome) {
	case RPC_OK:
		hello_result(l, ans->result);
		return;
	case RPC_ERROR:
		auth_error_read(ans->error, &error);
		hello_refused(l, &error);
		return;
	case RPC_TIMEOUT:
		link_down(l, "the authenticator did not answer hello");
		return;
	case RPC_INVALID:
		link_down(l, "the authenticator's answer to hello is malformed or over a "
			     "limit");
		return;
	case RPC_CLOSED:
		return;
	}
}

static void send_hello(struct link *l)
{
	struct buf b;

	buf_init(&b, AUTH_MAX_MESSAGE);
	auth_hello_put(&b, l->config, &l->memory);
	int err = b.err;
	if (err == 0)
		err = rpc_call(l->rpc,
			       &(struct rpc_call){
				       .method = AUTH_METHOD_HELLO,
				       .params = buf_slice(&b),
				       .timeout_ms = AUTH_HELLO_MS,
				       .cb = on_hello_answer,
				       .arg = l,
			       },
			       NULL);
	buf_fini(&b);
	if (err != 0)
		link_down(l, err_str(err));
}

static void connect_now(struct link *l)
{
	static const struct rpc_limits limits = {
		.max_message = AUTH_MAX_MESSAGE,
		.max_out = MAX_OUT,
		.max_calls = AUTH_MAX_INFLIGHT,
		.max_requests = AUTH_MAX_INFLIGHT,
	};
	struct ucred cred = {.uid = (uid_t)-1};
	char why[80];
	/* A new socket might get no descriptor: clients may have taken them all. */
	int err = sock_connect_unix(&l->spare, l->conf->socket);

	if (err == 0)
		err = sock_peer_cred(l->spare, &cred);
	if (err != 0) {
		link_down(l, err == E_AGAIN ? "the authenticator does not accept "
					      "connections: its backlog is full"
					    : err_str(err));
		return;
	}
	/* Another user may have put a socket there: do not trust its answers. */
	if (!conf_user_allowed(&l->conf->allow_users, cred.uid)) {
		sock_close(&l->spare);
		snprintf(why, sizeof(why),
			 "the authenticator runs as uid %u, which is not in allow_users",
			 (unsigned)cred.uid);
		link_down(l, why);
		return;
	}
	int fd = l->spare;
	l->spare = -1;
	l->rpc = rpc_conn_new(l->loop, fd, &rpc_handlers, &limits, l);
	if (l->rpc == NULL) {
		link_down(l, err_str(E_NOMEM));
		return;
	}
	l->connects++;
	l->number = ++last_link;
	l->state = LINK_HELLO;
	l->max_questions = AUTH_MAX_INFLIGHT - 1;
	l->max_message = AUTH_MAX_MESSAGE;
	send_hello(l);
}

static void on_timer(void *arg)
{
	struct link *l = arg;

	if (l->state == LINK_DOWN)
		connect_now(l);
	else if (l->state == LINK_HELLO)
		send_hello(l);
	else
		send_ping(l);
}

void link_init(struct link *l, struct loop *loop, const struct config *cfg,
	       uint16_t index, const struct link_handlers *handlers)
{
	uint8_t instance[16];

	*l = (struct link){
		.conf = &cfg->authenticators[index],
		.loop = loop,
		.config = cfg,
		.handlers = handlers,
		.memory.last_epoch = AUTH_NO_EPOCH,
		.spare = -1,
	};
	keep_spare(l);
	randombytes_buf(instance, sizeof(instance));
	sodium_bin2hex(l->memory.instance, sizeof(l->memory.instance), instance,
		       sizeof(instance));
	timer_init(&l->timer, loop, on_timer, l);
	timer_arm(&l->timer, 0);
}

void link_fini(struct link *l)
{
	timer_disarm(&l->timer);
	rpc_conn_free(&l->rpc);
	sock_close(&l->spare);
}
